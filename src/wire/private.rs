//! Requests that brokers make to each other and that Kafka does not know.
//!
//! ```text
//! request   length | api key, from 16384 on | version, 0 | correlation id | body
//! answer    length | correlation id | 0: served, 1: not served here | body
//! ```
//! They travel where Kafka's requests between brokers do, as their keys are none of Kafka's; a client that sends one is answered
//! as to any key that is not known. The bodies are bytes to this room.

use super::frame::{FrameError, HEADER_BYTES_MIN, RequestHeader, ResponseFrame, frame_length};
use bytes::{Buf, BufMut, Bytes, BytesMut};

/// The first key that Kafka will not use.
const FIRST_KEY: i16 = 0x4000;
const VERSION: i16 = 0;
const SERVED: u8 = 0;
const NOT_SERVED: u8 = 1;

/// What a broker answers to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PrivateAnswer {
    /// The answer's body.
    Served(Bytes),
    /// It does not know such requests, in this version: an older release, or one that begins or ends.
    NotServed,
}

/// Whether requests of this key are private.
#[must_use]
pub fn is_private(api_key: i16) -> bool {
    api_key >= FIRST_KEY
}

/// Whether this release reads private requests of this version.
#[must_use]
pub fn is_known(header: &RequestHeader) -> bool {
    header.api_version == VERSION
}

/// A request of the key `FIRST_KEY + number`, without the 4-byte length.
#[must_use]
pub fn encode_request(number: u8, correlation_id: i32, body: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(HEADER_BYTES_MIN + body.len());
    frame.put_i16(FIRST_KEY + i16::from(number));
    frame.put_i16(VERSION);
    frame.put_i32(correlation_id);
    frame.put_slice(body);
    frame.freeze()
}

/// Which private request a header is of; none for keys of Kafka's or beyond ours.
#[must_use]
pub fn number_of(header: &RequestHeader) -> Option<u8> {
    header.api_key.checked_sub(FIRST_KEY).and_then(|number| u8::try_from(number).ok())
}

/// An answer, with the 4-byte length.
#[must_use]
pub fn encode_answer(header: &RequestHeader, answer: PrivateAnswer) -> ResponseFrame {
    let (kind, body) = match answer {
        PrivateAnswer::Served(body) if frame_length(body.len().saturating_add(5)).is_ok() => (SERVED, body),
        PrivateAnswer::Served(_) | PrivateAnswer::NotServed => (NOT_SERVED, Bytes::new()),
    };
    let mut head = BytesMut::with_capacity(9);
    head.put_i32(frame_length(body.len() + 5).expect("checked above"));
    head.put_i32(header.correlation_id);
    head.put_u8(kind);
    ResponseFrame { chunks: vec![head.freeze(), body], permit: None }
}

/// Reads an answer without its length.
pub fn decode_answer(mut frame: Bytes) -> Result<PrivateAnswer, FrameError> {
    let length = frame.len();
    let Some(&[_, _, _, _, kind]) = frame.first_chunk() else { return Err(FrameError::Short(length)) };
    frame.advance(5);
    match kind {
        SERVED => Ok(PrivateAnswer::Served(frame)),
        _ => Ok(PrivateAnswer::NotServed),
    }
}

#[cfg(test)]
mod tests {
    use super::super::decode_frame;
    use super::*;

    #[test]
    fn a_request_and_its_answer_come_through() {
        let frame = decode_frame(encode_request(3, 7, b"body")).expect("a private frame");
        assert!(is_private(frame.header.api_key) && is_known(&frame.header));
        assert_eq!((number_of(&frame.header), &frame.body[..]), (Some(3), &b"body"[..]));
        for answer in [PrivateAnswer::Served(Bytes::from_static(b"answer")), PrivateAnswer::NotServed] {
            let bytes = Bytes::from(encode_answer(&frame.header, answer.clone()).chunks.concat());
            assert_eq!(bytes.first_chunk(), Some(&(bytes.len() as u32 - 4).to_be_bytes()));
            assert_eq!(bytes[4..8], [0, 0, 0, 7]);
            assert_eq!(decode_answer(bytes.slice(4..)), Ok(answer));
        }
        assert_eq!(decode_answer(Bytes::from_static(b"1234")), Err(FrameError::Short(4)));
    }

    #[test]
    fn the_keys_are_none_of_kafkas() {
        let least = super::super::api::SUPPORTED.iter().map(|range| range.api_key.code()).max();
        assert!(!is_private(least.expect("some")) && is_private(i16::MAX) && !is_private(-1));
        let header =
            decode_frame(Bytes::from_static(&[0, 3, 0, 0, 0, 0, 0, 1, 0xFF, 0xFF])).expect("Metadata");
        assert_eq!(number_of(&header.header), None);
    }
}
