//! Rows back to record batches, straight from the columns: one buffer a batch, nothing allocated per record.
//!
//! A batch ends where the next row has another leader epoch, producer, producer epoch, kind of timestamp, or is of a
//! transaction and this is not (or the other way round); where its codec differs, if that is kept; and at
//! [`BATCH_BYTES_MAX`]. Original batches are not restored: small ones grow together, which is what a reader far
//! behind wants. Rows may have gaps between them, as offsets are written one by one.
//!
//! *Sequence numbers.* `base_sequence` is what it was where every row of a batch has the sequence number that its
//! offset gives it, so in particular for the rows of one original batch, or of several that followed each other.
//! Else (a gap of another length in offsets than in sequence numbers) it is -1, and producer id and epoch stay. No
//! reader looks at it; who rebuilds a producer's state does so from the manifest and the journal.
//!
//! *Ends.* The last batch of a chunk reaches to the chunk's end, so that a reader passes the gap behind it.

use super::ChunkRows;
use crate::segment::row::{Row, sequence_after};
use crate::types::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp};
use crate::wire::batch::compression::compress;
use crate::wire::batch::{BatchHeader, Codec, HEADER_BYTES, MAGIC, TimestampType};
use bytes::Bytes;
use std::ops::Range;

/// How a chunk's batches are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChunkCodec {
    /// As their producers did.
    AsProduced,
    /// All in one way.
    All(Codec),
}

/// Plain bytes of a batch's records, if it has more than one.
const BATCH_BYTES_MAX: usize = 1 << 20;

const ZSTD_LEVEL: i32 = 1;

/// Where a header's fields that are written last stand, and where the CRC's coverage begins.
const LENGTH_AT: usize = 8;
const LENGTH_END: usize = 12;
const CRC_AT: usize = 17;
const CRC_FROM: usize = 21;

const LOG_APPEND_TIME_BIT: i16 = 1 << 3;
const TRANSACTIONAL_BIT: i16 = 1 << 4;

/// The batches of a chunk.
pub(super) fn encode(rows: &ChunkRows, codec: ChunkCodec) -> Vec<Bytes> {
    let mut batches = Vec::new();
    let mut open: Option<OpenBatch> = None;
    for row in rows.iter() {
        let identity = Identity::of(&row, codec);
        match &mut open {
            Some(batch) if batch.takes(&row, &identity) => batch.append(&row),
            _ => {
                let started = open.replace(OpenBatch::new(&row, identity));
                batches.extend(started.map(OpenBatch::finish));
            }
        }
    }
    if let Some(mut batch) = open {
        batch.reach(rows.offsets().end);
        batches.push(batch.finish());
    }
    batches
}

/// A batch without records over `offsets`: answers a reader who stands in a gap that no chunk covers. As Kafka's
/// own compaction leaves them, it makes a reader go on behind it.
#[must_use]
pub fn gap_batch(offsets: &Range<Offset>, leader_epoch: LeaderEpoch) -> Bytes {
    let header = BatchHeader {
        base_offset: offsets.start,
        batch_length: 0,
        partition_leader_epoch: leader_epoch,
        magic: MAGIC,
        crc: 0,
        attributes: 0,
        last_offset_delta: delta_to_end(offsets.start, offsets.end),
        base_timestamp: Timestamp::NONE,
        max_timestamp: Timestamp::NONE,
        producer_id: ProducerId(-1),
        producer_epoch: ProducerEpoch(-1),
        base_sequence: -1,
        record_count: 0,
    };
    seal(&header, vec![0; HEADER_BYTES])
}

/// What the rows of a batch have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Identity {
    leader_epoch: LeaderEpoch,
    producer_id: ProducerId,
    producer_epoch: ProducerEpoch,
    transactional: bool,
    /// Of log append time there is one in a batch.
    append_time: Option<Timestamp>,
    codec: Codec,
}

impl Identity {
    #[inline]
    fn of(row: &Row<'_>, codec: ChunkCodec) -> Identity {
        Identity {
            leader_epoch: row.leader_epoch,
            producer_id: row.producer_id,
            producer_epoch: row.producer_epoch,
            transactional: row.transactional,
            append_time: match row.timestamp_type {
                TimestampType::CreateTime => None,
                TimestampType::LogAppendTime => Some(row.timestamp),
            },
            codec: match codec {
                ChunkCodec::AsProduced => row.codec,
                ChunkCodec::All(codec) => codec,
            },
        }
    }

    fn attributes(&self) -> i16 {
        let append_time = if self.append_time.is_some() { LOG_APPEND_TIME_BIT } else { 0 };
        let transactional = if self.transactional { TRANSACTIONAL_BIT } else { 0 };
        self.codec.bits() | append_time | transactional
    }
}

/// A batch that is being filled: room for its header, then its records.
struct OpenBatch {
    identity: Identity,
    bytes: Vec<u8>,
    base_offset: Offset,
    last_offset_delta: i32,
    base_timestamp: Timestamp,
    max_timestamp: Timestamp,
    base_sequence: i32,
    record_count: i32,
}

impl OpenBatch {
    fn new(row: &Row<'_>, identity: Identity) -> OpenBatch {
        let mut batch = OpenBatch {
            identity,
            bytes: vec![0; HEADER_BYTES],
            base_offset: row.offset,
            last_offset_delta: 0,
            base_timestamp: row.timestamp,
            max_timestamp: row.timestamp,
            base_sequence: row.sequence,
            record_count: 0,
        };
        batch.append(row);
        batch
    }

    #[inline]
    fn takes(&self, row: &Row<'_>, identity: &Identity) -> bool {
        self.identity == *identity
            && self.bytes.len() + row.raw_bytes() <= BATCH_BYTES_MAX
            && row.offset - self.base_offset <= i64::from(i32::MAX)
    }

    #[inline]
    fn append(&mut self, row: &Row<'_>) {
        let offset_delta = row.offset - self.base_offset;
        let timestamp_delta = row.timestamp.get().wrapping_sub(self.base_timestamp.get());
        self.last_offset_delta = i32::try_from(offset_delta).unwrap_or(i32::MAX);
        self.max_timestamp = self.max_timestamp.max(row.timestamp);
        self.record_count += 1;
        if self.base_sequence >= 0 && row.sequence != sequence_after(self.base_sequence, offset_delta) {
            self.base_sequence = -1;
        }
        put_record(&mut self.bytes, row, timestamp_delta, offset_delta);
    }

    /// Extends its offsets to `end`, or as far as a batch can reach.
    fn reach(&mut self, end: Offset) {
        self.last_offset_delta = self.last_offset_delta.max(delta_to_end(self.base_offset, end));
    }

    fn finish(self) -> Bytes {
        let header = BatchHeader {
            base_offset: self.base_offset,
            batch_length: 0,
            partition_leader_epoch: self.identity.leader_epoch,
            magic: MAGIC,
            crc: 0,
            attributes: self.identity.attributes(),
            last_offset_delta: self.last_offset_delta,
            base_timestamp: self.base_timestamp,
            max_timestamp: self.max_timestamp,
            producer_id: self.identity.producer_id,
            producer_epoch: self.identity.producer_epoch,
            base_sequence: self.base_sequence,
            record_count: self.record_count,
        };
        match self.identity.codec {
            Codec::None => seal(&header, self.bytes),
            codec => {
                let records = compress_fast(codec, &self.bytes[HEADER_BYTES..]);
                let mut bytes = Vec::with_capacity(HEADER_BYTES + records.len());
                bytes.resize(HEADER_BYTES, 0);
                bytes.extend_from_slice(&records);
                seal(&header, bytes)
            }
        }
    }
}

/// As [`compress`], but for speed: these bytes are read a few times and never stored.
fn compress_fast(codec: Codec, plain: &[u8]) -> Vec<u8> {
    match codec {
        Codec::Zstd => zstd::bulk::compress(plain, ZSTD_LEVEL).expect("memory is all that it can lack"),
        codec => compress(codec, plain),
    }
}

/// The last offset before `end`, from `base`, as far as a batch can reach.
fn delta_to_end(base: Offset, end: Offset) -> i32 {
    i32::try_from(end.get().saturating_sub(1).saturating_sub(base.get())).unwrap_or(i32::MAX).max(0)
}

/// Writes `header` over the start of `bytes`, with their length and CRC.
fn seal(header: &BatchHeader, mut bytes: Vec<u8>) -> Bytes {
    let length = i32::try_from(bytes.len() - LENGTH_END).expect("a record is capped far below 2 GiB");
    bytes[..HEADER_BYTES].copy_from_slice(&header.encode());
    bytes[LENGTH_AT..LENGTH_END].copy_from_slice(&length.to_be_bytes());
    let crc = crc_fast::crc32_iscsi(&bytes[CRC_FROM..]);
    bytes[CRC_AT..CRC_FROM].copy_from_slice(&crc.to_be_bytes());
    Bytes::from(bytes)
}

#[inline]
fn put_record(out: &mut Vec<u8>, row: &Row<'_>, timestamp_delta: i64, offset_delta: i64) {
    let headers: usize = row.headers.map(|h| bytes_of(Some(h.key)) + bytes_of(h.value)).sum();
    let count = row.headers.len() as i64;
    let length = 1
        + varint_bytes(timestamp_delta)
        + varint_bytes(offset_delta)
        + bytes_of(row.key)
        + bytes_of(row.value)
        + varint_bytes(count)
        + headers;
    out.reserve(length + VARINT_BYTES_MAX);
    put_varint(out, length as i64);
    out.push(0);
    put_varint(out, timestamp_delta);
    put_varint(out, offset_delta);
    put_bytes(out, row.key);
    put_bytes(out, row.value);
    put_varint(out, count);
    for header in row.headers {
        put_bytes(out, Some(header.key));
        put_bytes(out, header.value);
    }
}

/// Bytes of a nullable field with its length.
#[inline]
fn bytes_of(field: Option<&[u8]>) -> usize {
    field.map_or(1, |bytes| varint_bytes(bytes.len() as i64) + bytes.len())
}

#[inline]
fn put_bytes(out: &mut Vec<u8>, field: Option<&[u8]>) {
    put_varint(out, field.map_or(-1, |bytes| bytes.len() as i64));
    out.extend_from_slice(field.unwrap_or_default());
}

const VARINT_BYTES_MAX: usize = 10;

#[inline]
fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

#[inline]
fn varint_bytes(value: i64) -> usize {
    let bits = 64 - (zigzag(value) | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}

#[inline]
fn put_varint(out: &mut Vec<u8>, value: i64) {
    let mut rest = zigzag(value);
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}
