//! Bytes to typed requests and back, record batches, error codes. Pure: no I/O, no clock.

use bytes::Bytes;

/// A request's header, versions 1 and 2 of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestHeader {
    /// Which API.
    pub api_key: i16,
    /// Which version of it.
    pub api_version: i16,
    /// Given back in the answer.
    pub correlation_id: i32,
    /// The client's own name, for logs.
    pub client_id: Option<String>,
}

/// A request whose header is read and whose body is not.
#[derive(Clone, Debug)]
pub struct RequestFrame {
    /// The header.
    pub header: RequestHeader,
    /// What follows it.
    pub body: Bytes,
}

/// An answer, ready to be written: length, header and body, in chunks that need not be copied together.
#[derive(Clone, Debug, Default)]
pub struct ResponseFrame {
    /// In order.
    pub chunks: Vec<Bytes>,
}
