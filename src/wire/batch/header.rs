//! The 61 bytes before the records.

use super::compression::Codec;
use crate::types::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp};
use bytes::{BufMut, Bytes};
use std::ops::Range;

/// Bytes of a batch before its records.
pub const HEADER_BYTES: usize = 61;

/// The format version of every batch here.
pub const MAGIC: i8 = 2;

/// Bytes that `batch_length` does not count: the base offset and itself.
pub(super) const LENGTH_END: usize = 12;

/// Where the CRC's coverage begins.
pub(super) const CRC_FROM: usize = 21;

const CODEC_BITS: i16 = 0b111;
const LOG_APPEND_TIME_BIT: i16 = 1 << 3;
const TRANSACTIONAL_BIT: i16 = 1 << 4;
const CONTROL_BIT: i16 = 1 << 5;

/// Whose clock set a batch's timestamps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TimestampType {
    /// The producer's: each record carries its own.
    #[default]
    CreateTime,
    /// The broker's: the batch's max timestamp is that of every record.
    LogAppendTime,
}

/// A batch's header, decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchHeader {
    /// The first record's offset.
    pub base_offset: Offset,
    /// Bytes after this field.
    pub batch_length: i32,
    /// The leader's epoch when it was appended.
    pub partition_leader_epoch: LeaderEpoch,
    /// The format version.
    pub magic: i8,
    /// CRC-32C of all that follows it.
    pub crc: u32,
    /// Codec, timestamp type, transactional, control.
    pub attributes: i16,
    /// The last record's offset less the first's.
    pub last_offset_delta: i32,
    /// What the records' timestamps are relative to.
    pub base_timestamp: Timestamp,
    /// The greatest of the records' timestamps.
    pub max_timestamp: Timestamp,
    /// The idempotent producer, -1 for none.
    pub producer_id: ProducerId,
    /// Its epoch, -1 for none.
    pub producer_epoch: ProducerEpoch,
    /// The first record's sequence number, -1 for none.
    pub base_sequence: i32,
    /// How many records follow.
    pub record_count: i32,
}

/// Why bytes are not a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// Fewer than [`HEADER_BYTES`].
    #[error("{0} bytes are too few for a batch")]
    Short(usize),
    /// Another format version.
    #[error("unknown magic {0}")]
    UnknownMagic(i8),
    /// A length below the header's own.
    #[error("illegal batch length {0}")]
    IllegalLength(i32),
}

impl BatchHeader {
    /// Reads the header at the start of `bytes`, which may go on after it. Checks magic and length only.
    pub fn decode(bytes: &[u8]) -> Result<BatchHeader, HeaderError> {
        let Some(fixed) = bytes.first_chunk::<HEADER_BYTES>() else {
            return Err(HeaderError::Short(bytes.len()));
        };
        let header = BatchHeader {
            base_offset: Offset(i64::from_be_bytes(part(fixed, 0))),
            batch_length: i32::from_be_bytes(part(fixed, 8)),
            partition_leader_epoch: LeaderEpoch(i32::from_be_bytes(part(fixed, 12))),
            magic: i8::from_be_bytes(part(fixed, 16)),
            crc: u32::from_be_bytes(part(fixed, 17)),
            attributes: i16::from_be_bytes(part(fixed, 21)),
            last_offset_delta: i32::from_be_bytes(part(fixed, 23)),
            base_timestamp: Timestamp(i64::from_be_bytes(part(fixed, 27))),
            max_timestamp: Timestamp(i64::from_be_bytes(part(fixed, 35))),
            producer_id: ProducerId(i64::from_be_bytes(part(fixed, 43))),
            producer_epoch: ProducerEpoch(i16::from_be_bytes(part(fixed, 51))),
            base_sequence: i32::from_be_bytes(part(fixed, 53)),
            record_count: i32::from_be_bytes(part(fixed, 57)),
        };
        match usize::try_from(header.batch_length) {
            _ if header.magic != MAGIC => Err(HeaderError::UnknownMagic(header.magic)),
            Ok(length) if length >= HEADER_BYTES - LENGTH_END => Ok(header),
            _ => Err(HeaderError::IllegalLength(header.batch_length)),
        }
    }

    /// The header as the first [`HEADER_BYTES`] of a batch, its CRC as it stands in the field.
    #[must_use]
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        let mut out = &mut bytes[..];
        out.put_i64(self.base_offset.get());
        out.put_i32(self.batch_length);
        out.put_i32(self.partition_leader_epoch.0);
        out.put_i8(self.magic);
        out.put_u32(self.crc);
        out.put_i16(self.attributes);
        out.put_i32(self.last_offset_delta);
        out.put_i64(self.base_timestamp.get());
        out.put_i64(self.max_timestamp.get());
        out.put_i64(self.producer_id.0);
        out.put_i16(self.producer_epoch.0);
        out.put_i32(self.base_sequence);
        out.put_i32(self.record_count);
        bytes
    }

    /// How the records are compressed; `None` for a codec that Kafka does not have.
    #[must_use]
    pub fn codec(&self) -> Option<Codec> {
        Codec::from_bits(self.attributes & CODEC_BITS)
    }

    /// Whose clock set the timestamps.
    #[must_use]
    pub fn timestamp_type(&self) -> TimestampType {
        match self.attributes & LOG_APPEND_TIME_BIT {
            0 => TimestampType::CreateTime,
            _ => TimestampType::LogAppendTime,
        }
    }

    /// Whether it belongs to a transaction.
    #[must_use]
    pub fn is_transactional(&self) -> bool {
        self.attributes & TRANSACTIONAL_BIT != 0
    }

    /// Whether it holds a marker of a transaction's end in place of records.
    #[must_use]
    pub fn is_control(&self) -> bool {
        self.attributes & CONTROL_BIT != 0
    }

    /// Whether an idempotent producer sent it.
    #[must_use]
    pub fn has_producer(&self) -> bool {
        self.producer_id.0 >= 0
    }

    /// Bytes of the whole batch, header and records.
    #[must_use]
    pub fn total_bytes(&self) -> usize {
        LENGTH_END + usize::try_from(self.batch_length).expect("decode refuses a negative length")
    }

    /// The offsets it takes, gaps included.
    #[must_use]
    pub fn offsets(&self) -> Range<Offset> {
        self.base_offset..Offset(self.base_offset.get().saturating_add(i64::from(self.last_offset_delta) + 1))
    }

    /// Whether `batch`, all of its bytes, is what its CRC was made of.
    #[must_use]
    pub fn crc_matches(&self, batch: &[u8]) -> bool {
        batch.len() >= HEADER_BYTES && crc_of(batch) == self.crc
    }

    /// The last record's sequence number: after the greatest `i32` comes 0.
    #[must_use]
    pub fn last_sequence(&self) -> i32 {
        let next = i64::from(self.base_sequence) + i64::from(self.last_offset_delta);
        i32::try_from(next % (i64::from(i32::MAX) + 1)).unwrap_or(-1)
    }

    pub(super) fn set_codec(&mut self, codec: Codec) {
        self.attributes = (self.attributes & !CODEC_BITS) | codec.bits();
    }

    pub(super) fn set_append_time(&mut self, now: Timestamp) {
        self.attributes |= LOG_APPEND_TIME_BIT;
        self.max_timestamp = now;
    }

    pub(super) fn set_transactional(&mut self) {
        self.attributes |= TRANSACTIONAL_BIT;
    }

    pub(super) fn set_control(&mut self) {
        self.attributes |= CONTROL_BIT;
    }
}

/// Writes the offset and the leader epoch that the log gives to a batch. The CRC does not cover them.
///
/// # Panics
/// When `batch` is shorter than a batch's header.
pub fn stamp(batch: &mut [u8], base_offset: Offset, leader_epoch: LeaderEpoch) {
    assert!(batch.len() >= HEADER_BYTES, "only a validated batch is stamped");
    batch[..8].copy_from_slice(&base_offset.get().to_be_bytes());
    batch[12..16].copy_from_slice(&leader_epoch.0.to_be_bytes());
}

/// The batches that lie one after another in `bytes`, as slices of it. Ends without an error before a batch
/// that is not there in full, as the last one of a fetch may be; yields an error for bytes that are no batch.
pub fn split(mut bytes: Bytes) -> impl Iterator<Item = Result<(BatchHeader, Bytes), HeaderError>> {
    std::iter::from_fn(move || {
        let header = match BatchHeader::decode(&bytes) {
            Ok(header) if header.total_bytes() <= bytes.len() => header,
            Ok(_) | Err(HeaderError::Short(_)) => return None,
            Err(error) => {
                bytes.clear();
                return Some(Err(error));
            }
        };
        Some(Ok((header, bytes.split_to(header.total_bytes()))))
    })
}

/// The CRC-32C over what it covers of `batch`, which must be longer than a header.
pub(super) fn crc_of(batch: &[u8]) -> u32 {
    crc_fast::crc32_iscsi(&batch[CRC_FROM..])
}

fn part<const N: usize>(fixed: &[u8; HEADER_BYTES], from: usize) -> [u8; N] {
    *fixed[from..].first_chunk().expect("every field ends within the header")
}
