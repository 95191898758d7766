//! The records of a batch, borrowed from it: nothing is allocated per record.
//!
//! ```text
//! length | attributes i8 | timestamp delta | offset delta | key length, key | value length, value
//!        | header count | (key length, key | value length, value) ...
//! ```
//! All lengths and deltas are zigzag varints; -1 stands for null.

use super::compression::{CompressionError, decompress};
use super::header::{BatchHeader, HEADER_BYTES, HeaderError, TimestampType, crc_of};
use super::varint::{take_i32, take_i64};
use crate::types::{Offset, Timestamp};
use bytes::Bytes;

/// One record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Its number in the partition.
    pub offset: Offset,
    /// When, by the clock that the batch names.
    pub timestamp: Timestamp,
    /// Its key, if any: an empty key is not a missing one.
    pub key: Option<&'a [u8]>,
    /// Its value, if any: a record without one is a tombstone.
    pub value: Option<&'a [u8]>,
    /// Its headers, in order, with repeats.
    pub headers: Headers<'a>,
}

/// One header of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header<'a> {
    /// Its name: UTF-8 when the client keeps to the rules, which is not checked.
    pub key: &'a [u8],
    /// Its value, if any.
    pub value: Option<&'a [u8]>,
}

/// The headers of a record, already checked: iterate over a copy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Headers<'a> {
    bytes: &'a [u8],
    count: usize,
}

/// Bytes that are no record, at record `index` of the batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("record {index} is malformed")]
pub struct RecordError {
    /// From 0.
    pub index: usize,
}

/// Why a batch that was stored or received cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// No batch.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// Shorter or longer than its header says.
    #[error("a batch of {claimed} bytes lies in {found}")]
    WrongLength {
        /// By its header.
        claimed: usize,
        /// As given.
        found: usize,
    },
    /// The bytes have changed since they were written.
    #[error("the batch's checksum is {claimed:#010x}, its bytes give {found:#010x}")]
    WrongChecksum {
        /// By its header.
        claimed: u32,
        /// By its bytes.
        found: u32,
    },
    /// The codec is not one of Kafka's.
    #[error("unknown codec in attributes {0:#06x}")]
    UnknownCodec(i16),
    /// The records cannot be decompressed, or are too large when they are.
    #[error(transparent)]
    Compression(#[from] CompressionError),
    /// A record is malformed.
    #[error(transparent)]
    Record(#[from] RecordError),
}

/// A batch whose checksum was right and whose records are at hand, decompressed.
#[derive(Clone, Debug)]
pub struct DecodedBatch {
    /// Its header.
    pub header: BatchHeader,
    payload: Bytes,
}

impl DecodedBatch {
    /// Reads exactly one batch. Uncompressed records stay slices of `batch`; compressed ones are refused when
    /// they come to more than `decompressed_bytes_max`.
    pub fn decode(batch: &Bytes, decompressed_bytes_max: usize) -> Result<DecodedBatch, ReadError> {
        let header = BatchHeader::decode(batch)?;
        if header.total_bytes() != batch.len() {
            return Err(ReadError::WrongLength { claimed: header.total_bytes(), found: batch.len() });
        }
        let found = crc_of(batch);
        if found != header.crc {
            return Err(ReadError::WrongChecksum { claimed: header.crc, found });
        }
        let codec = header.codec().ok_or(ReadError::UnknownCodec(header.attributes))?;
        let payload = decompress(codec, &batch.slice(HEADER_BYTES..), decompressed_bytes_max)?;
        Ok(DecodedBatch { header, payload })
    }

    /// Its records, in order.
    #[must_use]
    pub fn records(&self) -> Records<'_> {
        Records::new(&self.header, &self.payload)
    }
}

/// Iterates over the records of a decompressed batch; after an error it ends. It yields an error, too, when
/// there are fewer records than the header says, or bytes after the last one.
#[derive(Clone, Debug)]
pub struct Records<'a> {
    bytes: &'a [u8],
    base_offset: Offset,
    last_offset_delta: i32,
    base_timestamp: i64,
    append_time: Option<Timestamp>,
    count: usize,
    index: usize,
    ended: bool,
}

impl<'a> Records<'a> {
    pub(super) fn new(header: &BatchHeader, payload: &'a [u8]) -> Records<'a> {
        let append_time = match header.timestamp_type() {
            TimestampType::CreateTime => None,
            TimestampType::LogAppendTime => Some(header.max_timestamp),
        };
        Records {
            bytes: payload,
            base_offset: header.base_offset,
            last_offset_delta: header.last_offset_delta,
            base_timestamp: header.base_timestamp.get(),
            append_time,
            count: usize::try_from(header.record_count).unwrap_or(0),
            index: 0,
            ended: false,
        }
    }

    #[inline]
    fn take_record(&mut self) -> Option<Record<'a>> {
        let length = usize::try_from(take_i32(&mut self.bytes)?).ok()?;
        let (mut record, rest) = self.bytes.split_at_checked(length)?;
        self.bytes = rest;
        let [_attributes, tail @ ..] = record else { return None };
        record = tail;
        let timestamp_delta = take_i64(&mut record)?;
        let offset_delta = take_i32(&mut record)?;
        let timestamp = self.base_timestamp.checked_add(timestamp_delta)?;
        if !(0..=self.last_offset_delta).contains(&offset_delta) {
            return None;
        }
        let key = take_bytes(&mut record)?;
        let value = take_bytes(&mut record)?;
        let headers = take_headers(record)?;
        let offset = Offset(self.base_offset.get().checked_add(i64::from(offset_delta))?);
        let timestamp = self.append_time.unwrap_or(Timestamp(timestamp));
        Some(Record { offset, timestamp, key, value, headers })
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<Record<'a>, RecordError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let index = self.index;
        if self.ended || (index == self.count && self.bytes.is_empty()) {
            return None;
        }
        self.index += 1;
        let record = if index < self.count { self.take_record() } else { None };
        self.ended = record.is_none();
        Some(record.ok_or(RecordError { index }))
    }
}

impl<'a> Headers<'a> {
    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
}

impl<'a> Iterator for Headers<'a> {
    type Item = Header<'a>;

    fn next(&mut self) -> Option<Header<'a>> {
        self.count = self.count.checked_sub(1)?;
        take_header(&mut self.bytes)
    }
}

/// A nullable length and its bytes. `None` when malformed.
#[inline]
fn take_bytes<'a>(bytes: &mut &'a [u8]) -> Option<Option<&'a [u8]>> {
    let length = take_i32(bytes)?;
    if length == -1 {
        return Some(None);
    }
    let (taken, rest) = bytes.split_at_checked(usize::try_from(length).ok()?)?;
    *bytes = rest;
    Some(Some(taken))
}

fn take_header<'a>(bytes: &mut &'a [u8]) -> Option<Header<'a>> {
    Some(Header { key: take_bytes(bytes)??, value: take_bytes(bytes)? })
}

/// Walks the headers, which must end where the record does.
#[inline]
fn take_headers(mut record: &[u8]) -> Option<Headers<'_>> {
    let count = usize::try_from(take_i32(&mut record)?).ok()?;
    let headers = Headers { bytes: record, count };
    // A header takes two bytes at least, so that a lying count ends the loop early.
    for _ in 0..count {
        take_header(&mut record)?;
    }
    record.is_empty().then_some(headers)
}
