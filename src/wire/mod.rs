//! Bytes to typed requests and back, record batches, error codes.
//!
//! Pure: no I/O, no clock, no chance. A frame comes in as [`RequestFrame`], is walked ([`shape`]) before
//! `kafka_protocol` may allocate anything for it, and an answer goes out as [`ResponseFrame`], whose chunks
//! are written without being copied together. `kafka_protocol` is seen through this room only.
//!
//! What this room never does: know a topic, keep state, log.

pub mod api;
pub mod batch;
mod error;
mod fetch_response;
mod frame;
pub mod private;
mod shape;

pub use error::{ErrorCode, error_code};
pub use fetch_response::{
    AbortedTransaction, CurrentLeader, FetchAnswer, FetchAnswerPartition, FetchAnswerTopic,
};
pub use frame::{
    DecodeError, EncodeError, FrameError, RequestFrame, RequestHeader, ResponseFrame, decode_frame,
    decode_response, encode_request,
};
pub use kafka_protocol::messages;
pub use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Message, Request, StrBytes};
#[cfg(test)]
pub(crate) use shape::tests::requests::{Sample, samples};
pub use shape::{ELEMENTS_MAX, ShapeError};
