//! What a producer's batch must be before the log takes it in, and what Kafka answers when it is not.
//!
//! Apache Kafka has these rules in `ProduceRequest`, `UnifiedLog` and `LogValidator`. Two are stricter here,
//! so that every stored batch is exactly what its header says: offset deltas are 0, 1, 2, ..., and nothing
//! may follow the batch (Kafka rewrites the one and cuts the other).

mod rejected;

pub use rejected::{RecordFault, RejectedRecords};

use super::compression::{Codec, CompressionError, decompress};
use super::header::{BatchHeader, HEADER_BYTES, HeaderError, TimestampType, crc_of};
use super::records::{RecordError, Records};
use super::rewrite;
use crate::types::{Offset, Timestamp};
use crate::wire::ErrorCode;
use bytes::Bytes;
use rejected::accepted_times;

/// A topic's rules for what is appended to it, and the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProduceRules {
    /// The version of the Produce request.
    pub api_version: i16,
    /// `max.message.bytes`: of a batch as it is stored.
    pub batch_bytes_max: usize,
    /// Of a batch's records when decompressed.
    pub decompressed_bytes_max: usize,
    /// `message.timestamp.type`.
    pub timestamp_type: TimestampType,
    /// `message.timestamp.before.max.ms`: how far back a producer's timestamp may lie.
    pub before_max_ms: i64,
    /// `message.timestamp.after.max.ms`: how far ahead.
    pub after_max_ms: i64,
    /// The moment of the append.
    pub now: Timestamp,
    /// Whether `cleanup.policy` has `compact`, which needs keys.
    pub compacted: bool,
    /// `compression.type`, or `None` for `producer`: as it came.
    pub target_codec: Option<Codec>,
}

/// A batch that the log may number and store.
#[derive(Clone, Debug)]
pub struct ProducedBatch {
    /// Its header.
    pub header: BatchHeader,
    /// All of it: a slice of what came, unless a rule asked for another codec or timestamp.
    pub bytes: Bytes,
}

/// Why a batch is refused.
#[derive(Debug, thiserror::Error)]
pub enum BatchError {
    /// No bytes, or a batch that is not there in full.
    #[error("produce requests must have exactly one record batch, found none")]
    NoBatch,
    /// More than one batch, or bytes that are none.
    #[error("produce requests must have exactly one record batch, found {0} more bytes")]
    TrailingBytes(usize),
    /// A format before version 2.
    #[error("only record batches of magic 2 are accepted, not {0}")]
    OldMagic(i8),
    /// A format that does not exist.
    #[error("unknown magic {0}")]
    UnknownMagic(i8),
    /// A length that no batch has.
    #[error("illegal batch length {0}")]
    IllegalLength(i32),
    /// Over `max.message.bytes`.
    #[error("a batch of {bytes} bytes where {bytes_max} are accepted")]
    TooLarge {
        /// Its own.
        bytes: usize,
        /// The topic's.
        bytes_max: usize,
    },
    /// Over the cap when decompressed.
    #[error("a batch of more than {bytes_max} bytes when decompressed")]
    TooLargeDecompressed {
        /// The cap.
        bytes_max: usize,
    },
    /// Damaged on its way.
    #[error("the batch's checksum is {claimed:#010x}, its bytes give {found:#010x}")]
    WrongChecksum {
        /// By its header.
        claimed: u32,
        /// By its bytes.
        found: u32,
    },
    /// A codec that does not exist.
    #[error("unknown codec in attributes {0:#06x}")]
    UnknownCodec(i16),
    /// zstd before version 7 of Produce, whose readers may not know it.
    #[error("produce requests before version 7 cannot carry zstd")]
    ZstdTooEarly,
    /// A base offset other than 0.
    #[error("the base offset is {0}, not 0")]
    BaseOffset(Offset),
    /// Offset range and record count do not agree, or there is no record.
    #[error("last offset delta {last_offset_delta} and record count {record_count} do not agree")]
    WrongCount {
        /// By its header.
        last_offset_delta: i32,
        /// By its header.
        record_count: i32,
    },
    /// A marker from a client.
    #[error("clients cannot write control batches")]
    ControlBatch,
    /// A producer id without a sequence.
    #[error("base sequence {0} with a producer id")]
    IllegalSequence(i32),
    /// The records cannot be decompressed.
    #[error("{0}")]
    Undecodable(CompressionError),
    /// A record that is none, or fewer or more records than the header says.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// Offset deltas other than 0, 1, 2, ...
    #[error("record {index} has offset delta {delta}")]
    OffsetDelta {
        /// From 0.
        index: usize,
        /// Its own.
        delta: i64,
    },
    /// Single records that the topic does not take.
    #[error("{0}")]
    Rejected(RejectedRecords),
}

impl BatchError {
    /// What Kafka answers.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            BatchError::NoBatch
            | BatchError::TrailingBytes(_)
            | BatchError::OldMagic(_)
            | BatchError::BaseOffset(_)
            | BatchError::WrongCount { .. }
            | BatchError::ControlBatch
            | BatchError::IllegalSequence(_)
            | BatchError::Undecodable(_)
            | BatchError::Record(_)
            | BatchError::OffsetDelta { .. } => ErrorCode::InvalidRecord,
            BatchError::Rejected(rejected) if rejected.has_wrong_time => ErrorCode::InvalidTimestamp,
            BatchError::Rejected(_) => ErrorCode::InvalidRecord,
            BatchError::UnknownMagic(_) | BatchError::IllegalLength(_) | BatchError::WrongChecksum { .. } => {
                ErrorCode::CorruptMessage
            }
            // A producer that gets this splits its batch and tries again, which helps against both.
            BatchError::TooLarge { .. } | BatchError::TooLargeDecompressed { .. } => {
                ErrorCode::MessageTooLarge
            }
            BatchError::UnknownCodec(_) | BatchError::ZstdTooEarly => ErrorCode::UnsupportedCompressionType,
        }
    }
}

/// Checks what a Produce request (version 3 on) carries for one partition: one whole batch, every record of it.
/// Cheap checks come first; records are decompressed only after the checksum.
pub fn validate_produced(records: Bytes, rules: &ProduceRules) -> Result<ProducedBatch, BatchError> {
    let mut header = whole_batch(&records, rules)?;
    let codec = check_header(&header, rules)?;
    let found = crc_of(&records);
    if found != header.crc {
        return Err(BatchError::WrongChecksum { claimed: header.crc, found });
    }
    let payload = decompress(codec, &records.slice(HEADER_BYTES..), rules.decompressed_bytes_max)
        .map_err(compression_error)?;
    let max_timestamp = check_records(&header, &payload, rules)?;

    let came = header;
    match rules.timestamp_type {
        // Time look-ups rest on it: a client's word is not enough.
        TimestampType::CreateTime => header.max_timestamp = max_timestamp,
        TimestampType::LogAppendTime => header.set_append_time(rules.now),
    }
    let bytes = match rules.target_codec {
        Some(target) if target != codec => rewrite::with_codec(&mut header, &payload, target),
        _ if header != came => rewrite::with_header(&mut header, &records),
        _ => records,
    };
    if bytes.len() > rules.batch_bytes_max {
        return Err(BatchError::TooLarge { bytes: bytes.len(), bytes_max: rules.batch_bytes_max });
    }
    Ok(ProducedBatch { header, bytes })
}

/// One batch, there in full, with nothing after it.
fn whole_batch(records: &[u8], rules: &ProduceRules) -> Result<BatchHeader, BatchError> {
    let header = match BatchHeader::decode(records) {
        Ok(header) => header,
        Err(HeaderError::Short(_)) => return Err(BatchError::NoBatch),
        Err(HeaderError::UnknownMagic(magic @ (0 | 1))) => return Err(BatchError::OldMagic(magic)),
        Err(HeaderError::UnknownMagic(magic)) => return Err(BatchError::UnknownMagic(magic)),
        Err(HeaderError::IllegalLength(length)) => return Err(BatchError::IllegalLength(length)),
    };
    let bytes = header.total_bytes();
    if bytes > rules.batch_bytes_max {
        return Err(BatchError::TooLarge { bytes, bytes_max: rules.batch_bytes_max });
    }
    match records.len().checked_sub(bytes) {
        None => Err(BatchError::NoBatch),
        Some(0) => Ok(header),
        Some(more) => Err(BatchError::TrailingBytes(more)),
    }
}

fn check_header(header: &BatchHeader, rules: &ProduceRules) -> Result<Codec, BatchError> {
    let BatchHeader { last_offset_delta, record_count, .. } = *header;
    if header.base_offset != Offset::ZERO {
        return Err(BatchError::BaseOffset(header.base_offset));
    }
    if record_count <= 0 || last_offset_delta != record_count - 1 {
        return Err(BatchError::WrongCount { last_offset_delta, record_count });
    }
    if header.is_control() {
        return Err(BatchError::ControlBatch);
    }
    if header.has_producer() && header.base_sequence < 0 {
        return Err(BatchError::IllegalSequence(header.base_sequence));
    }
    if header.timestamp_type() == TimestampType::LogAppendTime {
        return Err(BatchError::Rejected(RejectedRecords::with_append_time(header)));
    }
    match header.codec() {
        None => Err(BatchError::UnknownCodec(header.attributes)),
        Some(Codec::Zstd) if rules.api_version < 7 => Err(BatchError::ZstdTooEarly),
        Some(codec) => Ok(codec),
    }
}

/// Walks every record; the greatest of their timestamps. The hot path: nothing is allocated here.
fn check_records(
    header: &BatchHeader,
    payload: &[u8],
    rules: &ProduceRules,
) -> Result<Timestamp, BatchError> {
    let times = accepted_times(rules).unwrap_or(Timestamp(i64::MIN)..=Timestamp(i64::MAX));
    let mut max_timestamp = Timestamp::NONE;
    for (index, record) in Records::new(header, payload).enumerate() {
        let record = record?;
        let delta = record.offset.get();
        if delta != i64::try_from(index).unwrap_or(i64::MAX) {
            return Err(BatchError::OffsetDelta { index, delta });
        }
        let has_time = record.timestamp == Timestamp::NONE || times.contains(&record.timestamp);
        if !has_time || rules.compacted && record.key.is_none() {
            return Err(BatchError::Rejected(RejectedRecords::of(header, payload, rules)));
        }
        max_timestamp = max_timestamp.max(record.timestamp);
    }
    Ok(max_timestamp)
}

fn compression_error(error: CompressionError) -> BatchError {
    match error {
        CompressionError::TooLarge { bytes_max } => BatchError::TooLargeDecompressed { bytes_max },
        error @ CompressionError::Malformed { .. } => BatchError::Undecodable(error),
    }
}

#[cfg(test)]
mod tests;
