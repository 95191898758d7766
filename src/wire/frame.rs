//! Frames: what follows the 4-byte length in, what goes out with it.
//!
//! ```text
//! request   length | api key, api version, correlation id, client id, [tagged fields] | body
//! response  length | correlation id, [tagged fields]                                  | body
//! ```
//! The tagged fields stand in header versions 2 (request) and 1 (response): flexible versions, KIP-482.

use super::api;
use super::error::ErrorCode;
use super::private;
use super::shape::{self, ShapeError};
use crate::limits::MemoryPermit;
use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request};
use std::sync::Arc;

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

impl RequestHeader {
    /// Whether this broker decodes and answers such a request.
    #[must_use]
    pub fn is_supported(&self) -> bool {
        api::is_supported(self.api_key, self.api_version)
    }
}

/// A request whose header is read and whose body is not.
#[derive(Clone, Debug)]
pub struct RequestFrame {
    /// The header.
    pub header: RequestHeader,
    /// What follows it.
    pub body: Bytes,
    /// Both as they came, without the length: what is sent on to another broker.
    pub whole: Bytes,
}

/// An answer, ready to be written: length, header and body, in chunks that need not be copied together.
#[derive(Clone, Debug, Default)]
pub struct ResponseFrame {
    /// In order.
    pub chunks: Vec<Bytes>,
    /// The memory that the chunks count against, until they are written.
    pub permit: Option<Arc<MemoryPermit>>,
}

/// Why a frame is no Kafka request: the connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The header ends early.
    #[error("the frame of {0} bytes ends within its header")]
    Short(usize),
    /// The client id's length is below -1, or a tagged field's is no number.
    #[error("the request header has an illegal length")]
    IllegalLength,
}

/// Why a request's body cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The header names another API than the caller decodes.
    #[error("a request of api key {got} cannot be decoded as api key {wanted}")]
    WrongApi {
        /// The header's.
        got: i16,
        /// The caller's.
        wanted: i16,
    },
    /// The bytes do not follow the schema.
    #[error("malformed request: {0}")]
    Shape(#[from] ShapeError),
    /// The bytes follow the schema but not its types, as text that is not UTF-8.
    #[error("malformed message: {0}")]
    Message(String),
}

/// Why an answer or a request cannot be written: a field is set that the version lacks, or a length overflows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot encode the message: {0}")]
pub struct EncodeError(pub(super) String);

/// What every version of a request's header begins with: API key, version, correlation id.
pub(super) const HEADER_BYTES_MIN: usize = 8;

/// Reads a request's header. `frame` is what follows the 4-byte length.
///
/// For a key or version that is not supported only the first eight bytes are trusted, which every version of
/// the header begins with; the body is then empty, and [`ResponseFrame::unsupported_version`] is the answer. A private
/// request (`private.rs`) has no more header than that.
pub fn decode_frame(frame: Bytes) -> Result<RequestFrame, FrameError> {
    let Some(&[k0, k1, v0, v1, c0, c1, c2, c3]) = frame.first_chunk() else {
        return Err(FrameError::Short(frame.len()));
    };
    let mut header = RequestHeader {
        api_key: i16::from_be_bytes([k0, k1]),
        api_version: i16::from_be_bytes([v0, v1]),
        correlation_id: i32::from_be_bytes([c0, c1, c2, c3]),
        client_id: None,
    };
    if private::is_private(header.api_key) {
        return Ok(RequestFrame { header, body: frame.slice(HEADER_BYTES_MIN..), whole: frame });
    }
    let Some(api_key) = api::supported(header.api_key, header.api_version) else {
        return Ok(RequestFrame { header, body: Bytes::new(), whole: frame });
    };
    let mut rest = HeaderRest { frame: &frame, position: HEADER_BYTES_MIN };
    header.client_id = rest.client_id()?;
    if shape::is_flexible(api_key, header.api_version) {
        rest.skip_tagged_fields()?;
    }
    let header_bytes = rest.position;
    let body = frame.slice(header_bytes..);
    Ok(RequestFrame { header, body, whole: frame })
}

/// What follows the first eight bytes of a header.
struct HeaderRest<'a> {
    frame: &'a [u8],
    position: usize,
}

impl HeaderRest<'_> {
    fn client_id(&mut self) -> Result<Option<String>, FrameError> {
        let length = self.take(2)?;
        let length = i16::from_be_bytes([length[0], length[1]]);
        if length == -1 {
            return Ok(None);
        }
        let length = usize::try_from(length).map_err(|_| FrameError::IllegalLength)?;
        Ok(Some(String::from_utf8_lossy(self.take(length)?).into_owned()))
    }

    fn skip_tagged_fields(&mut self) -> Result<(), FrameError> {
        for _ in 0..self.varint()? {
            self.varint()?;
            let size = self.varint()?;
            self.take(size as usize)?;
        }
        Ok(())
    }

    fn varint(&mut self) -> Result<u32, FrameError> {
        let mut value = 0;
        for shift in [0, 7, 14, 21, 28] {
            let byte = u32::from(self.take(1)?[0]);
            value |= (byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(FrameError::IllegalLength)
    }

    fn take(&mut self, bytes: usize) -> Result<&[u8], FrameError> {
        let left = &self.frame[self.position..];
        let taken = left.get(..bytes).ok_or(FrameError::Short(self.frame.len()))?;
        self.position += bytes;
        Ok(taken)
    }
}

impl RequestFrame {
    /// Reads the body as `R`: walks it first, so that what is reserved is bounded by the frame's own size.
    /// Bytes and text of the result are slices of the frame, not copies.
    pub fn decode<R: Decodable + Request>(&self) -> Result<R, DecodeError> {
        if self.header.api_key != R::KEY {
            return Err(DecodeError::WrongApi { got: self.header.api_key, wanted: R::KEY });
        }
        let end = shape::check(self.header.api_key, self.header.api_version, &self.body)?;
        let mut body = self.body.slice(..end);
        let request = R::decode(&mut body, self.header.api_version);
        let request = request.map_err(|error| DecodeError::Message(error.to_string()))?;
        if body.is_empty() {
            return Ok(request);
        }
        // The walk has seen the end: a schema of ours is not kafka_protocol's.
        Err(DecodeError::Message(format!("{} bytes before the end are not understood", body.len())))
    }
}

impl ResponseFrame {
    /// `response` as the answer to the request of `header`, in one buffer of exact size.
    pub fn encode<R: Encodable + HeaderVersion>(
        header: &RequestHeader,
        response: &R,
    ) -> Result<ResponseFrame, EncodeError> {
        let version = header.api_version;
        ResponseFrame::encode_as(header, R::header_version(version), response, version)
    }

    /// The answer to a request whose key or version is not supported. For ApiVersions that is its version 0
    /// with the table, from which the client picks another (KIP-511). For the rest it is the code alone: the
    /// shape that the client expects is not known, and silence would leave it waiting.
    #[must_use]
    pub fn unsupported_version(header: &RequestHeader) -> ResponseFrame {
        if header.api_key == api::ApiKey::ApiVersions.code() {
            let response = api::versions_response(Some(ErrorCode::UnsupportedVersion), 0);
            return ResponseFrame::encode_as(header, 0, &response, 0)
                .expect("version 0 has both fields that are set");
        }
        let mut frame = BytesMut::with_capacity(10);
        frame.put_i32(6);
        frame.put_i32(header.correlation_id);
        frame.put_i16(ErrorCode::UnsupportedVersion.code());
        ResponseFrame { chunks: vec![frame.freeze()], permit: None }
    }

    /// Bytes of all chunks together, the 4-byte length included.
    #[must_use]
    pub fn total_len(&self) -> usize {
        self.chunks.iter().map(Bytes::len).sum()
    }

    fn encode_as<R: Encodable>(
        header: &RequestHeader,
        header_version: i16,
        response: &R,
        version: i16,
    ) -> Result<ResponseFrame, EncodeError> {
        let header_bytes = if header_version >= 1 { 5 } else { 4 };
        let body_bytes = response.compute_size(version).map_err(encode_error)?;
        let mut frame = BytesMut::with_capacity(4 + header_bytes + body_bytes);
        frame.put_i32(frame_length(header_bytes + body_bytes)?);
        frame.put_i32(header.correlation_id);
        if header_version >= 1 {
            frame.put_u8(0);
        }
        response.encode(&mut frame, version).map_err(encode_error)?;
        Ok(ResponseFrame { chunks: vec![frame.freeze()], permit: None })
    }
}

/// A client's request, the 4-byte length included, in one buffer of exact size.
pub fn encode_request<R: Request>(header: &RequestHeader, request: &R) -> Result<Bytes, EncodeError> {
    let version = header.api_version;
    let client_id = header.client_id.as_deref();
    let flexible = R::header_version(version) >= 2;
    let header_bytes = 10 + client_id.map_or(0, str::len) + usize::from(flexible);
    let body_bytes = request.compute_size(version).map_err(encode_error)?;
    let mut frame = BytesMut::with_capacity(4 + header_bytes + body_bytes);
    frame.put_i32(frame_length(header_bytes + body_bytes)?);
    frame.put_i16(header.api_key);
    frame.put_i16(version);
    frame.put_i32(header.correlation_id);
    let id_length = client_id.map_or(Ok(-1), |id| i16::try_from(id.len()));
    frame.put_i16(id_length.map_err(|_| EncodeError("the client id is too long".into()))?);
    frame.put_slice(client_id.unwrap_or_default().as_bytes());
    if flexible {
        frame.put_u8(0);
    }
    request.encode(&mut frame, version).map_err(encode_error)?;
    Ok(frame.freeze())
}

/// A broker's answer as a client reads it: the correlation id and the body. `frame` is what follows the
/// 4-byte length. For brokers that the caller trusts: the body's counts are not checked before it is decoded.
pub fn decode_response<R: Decodable + HeaderVersion>(
    mut frame: Bytes,
    version: i16,
) -> Result<(i32, R), DecodeError> {
    let malformed = |error: &dyn std::fmt::Display| DecodeError::Message(error.to_string());
    let header_version = R::header_version(version);
    let header = kafka_protocol::messages::ResponseHeader::decode(&mut frame, header_version);
    let header = header.map_err(|error| malformed(&error))?;
    let body = R::decode(&mut frame, version).map_err(|error| malformed(&error))?;
    Ok((header.correlation_id, body))
}

/// The value of the 4-byte length before `bytes` bytes.
pub(super) fn frame_length(bytes: usize) -> Result<i32, EncodeError> {
    i32::try_from(bytes).map_err(|_| EncodeError(format!("{bytes} bytes are too many for one frame")))
}

fn encode_error(error: impl std::fmt::Display) -> EncodeError {
    EncodeError(error.to_string())
}

#[cfg(test)]
mod tests;
