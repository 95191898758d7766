//! The bytes of a manifest object: lines of JSON in one zstd frame. `zstdcat` and `jq` read them.
//!
//! ```text
//! {"head":{"format":"cenote-manifest","v":1,"kind":"root","topic_id":"…","partition":0,"lines":3}}
//! {"root":{…}}              lines after the head: as many as it says
//! {"segment":{…}}
//! ```
//!
//! Whoever names an object knows its length and its CRC-32C, which cover the compressed bytes.

use super::decode::DecodeError;
use super::stored::{Head, Line};
use crate::types::TopicPartition;
use bytes::Bytes;
use std::io::Read;
use uuid::Uuid;

/// An object by its unique name, with what proves that it is the one meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ObjectRef {
    /// What names it.
    pub id: Uuid,
    /// Its length.
    pub bytes: u64,
    /// CRC-32C of all its bytes.
    pub crc32c: u32,
}

/// What an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Root,
    Segments,
    Producers,
}

pub(super) const VERSION: u32 = 1;
pub(super) const FORMAT: &str = "cenote-manifest";
/// What one object may come to when it is decompressed: 500,000 producers, or 200,000 segments.
const TEXT_BYTES_MAX: u64 = 256 * 1024 * 1024;
const ZSTD_LEVEL: i32 = 3;
/// 8 MiB: what every decoder must accept (RFC 8878).
const WINDOW_LOG_MAX: u32 = 23;

/// Writes an object of these lines.
pub(super) fn encode(topic_partition: TopicPartition, kind: Kind, lines: &[Line]) -> Bytes {
    let mut text = Vec::with_capacity((lines.len() + 1) * 300);
    let head = Line::Head(Head::new(topic_partition, kind, lines.len()));
    for line in std::iter::once(&head).chain(lines) {
        serde_json::to_writer(&mut text, line).expect("numbers, strings and lists are always JSON");
        text.push(b'\n');
    }
    compressed(&text).into()
}

pub(super) fn compressed(text: &[u8]) -> Vec<u8> {
    zstd::bulk::compress(text, ZSTD_LEVEL).expect("memory is all that it can lack")
}

/// Reads the lines of the object that `named` names, without the head.
pub(super) fn decode(
    topic_partition: TopicPartition,
    named: &ObjectRef,
    bytes: &[u8],
) -> Result<(Kind, Vec<Line>), DecodeError> {
    if u64::try_from(bytes.len()) != Ok(named.bytes) || crc32c(bytes) != named.crc32c {
        return Err(DecodeError::NotWhatWasWritten { object: named.id });
    }
    let malformed = |reason: String| DecodeError::Malformed { object: named.id, reason };
    let text = decompressed(bytes).map_err(|error| malformed(error.to_string()))?;
    let text = text.strip_suffix(b"\n").ok_or_else(|| malformed("the last line has no end".to_owned()))?;
    let mut lines = text.split(|byte| *byte == b'\n').map(serde_json::from_slice::<Line>);
    let head = match lines.next() {
        Some(Ok(Line::Head(head))) => head,
        Some(Err(error)) => return Err(malformed(error.to_string())),
        _ => return Err(malformed("it has no head".to_owned())),
    };
    if head.version() != VERSION {
        return Err(DecodeError::UnknownVersion { object: named.id, version: head.version() });
    }
    let (kind, count) = head.check(topic_partition).map_err(|reason| malformed(reason.to_owned()))?;
    let lines: Vec<Line> = lines.collect::<Result<_, _>>().map_err(|error| malformed(error.to_string()))?;
    if lines.len() != count {
        return Err(malformed(format!("{} lines instead of {count}", lines.len())));
    }
    Ok((kind, lines))
}

fn decompressed(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut decoder = zstd::stream::read::Decoder::with_buffer(bytes)?.single_frame();
    decoder.window_log_max(WINDOW_LOG_MAX)?;
    let mut text = Vec::new();
    let read = decoder.take(TEXT_BYTES_MAX + 1).read_to_end(&mut text)?;
    match u64::try_from(read) {
        Ok(read) if read <= TEXT_BYTES_MAX => Ok(text),
        _ => Err(std::io::Error::other(format!("more than {TEXT_BYTES_MAX} bytes when decompressed"))),
    }
}

/// CRC-32C, as of record batches and journal objects.
pub(super) fn crc32c(bytes: &[u8]) -> u32 {
    let mut digest = crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc32Iscsi);
    digest.update(bytes);
    digest.finalize() as u32
}
