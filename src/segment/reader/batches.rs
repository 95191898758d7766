//! Rows back to record batches, straight from the columns: one buffer for a chunk, nothing allocated per record.
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
use super::packing::{Effort, Scratch};
use crate::segment::row::{RowHeaders, sequence_after};
use crate::types::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp};
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

/// What a record takes besides its key, value and headers, about: lengths and deltas, in bytes.
const RECORD_OVERHEAD_BYTES: usize = 14;

/// Where a header's fields that are written last stand, and where the CRC's coverage begins.
const LENGTH_AT: usize = 8;
const LENGTH_END: usize = 12;
const CRC_AT: usize = 17;
const CRC_FROM: usize = 21;

const LOG_APPEND_TIME_BIT: i16 = 1 << 3;
const TRANSACTIONAL_BIT: i16 = 1 << 4;

/// The batches of a chunk, one behind the other.
pub(super) fn encode(rows: &ChunkRows, codec: ChunkCodec) -> Bytes {
    Scratch::of_this_thread(|scratch| {
        let raw_bytes = rows.raw_bytes();
        let effort = Effort::worth(raw_bytes, rows.stored_bytes());
        let mut batches = Batches { rows, raw_bytes, effort, bytes: Vec::new(), scratch };
        let mut next = 0;
        while next < rows.len() {
            let alike = next..rows.alike_until(next, codec);
            let identity = Identity::of(rows, next, codec);
            while next < alike.end {
                next = batches.append(next..alike.end, &identity);
            }
        }
        Bytes::from(batches.bytes)
    })
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
    let mut batch = vec![0; HEADER_BYTES];
    seal(&header, &mut batch);
    Bytes::from(batch)
}

/// What the rows of a batch have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Identity {
    leader_epoch: LeaderEpoch,
    producer_id: ProducerId,
    producer_epoch: ProducerEpoch,
    codec: Codec,
    attributes: i16,
}

impl Identity {
    fn of(rows: &ChunkRows, index: usize, codec: ChunkCodec) -> Identity {
        let row = rows.row(index);
        let codec = match codec {
            ChunkCodec::AsProduced => row.codec,
            ChunkCodec::All(codec) => codec,
        };
        let append_time = match row.timestamp_type {
            TimestampType::CreateTime => 0,
            TimestampType::LogAppendTime => LOG_APPEND_TIME_BIT,
        };
        let transactional = if row.transactional { TRANSACTIONAL_BIT } else { 0 };
        Identity {
            leader_epoch: row.leader_epoch,
            producer_id: row.producer_id,
            producer_epoch: row.producer_epoch,
            codec,
            attributes: codec.bits() | append_time | transactional,
        }
    }
}

/// Batches on their way into one buffer.
struct Batches<'a> {
    rows: &'a ChunkRows,
    raw_bytes: usize,
    effort: Effort,
    bytes: Vec<u8>,
    scratch: &'a mut Scratch,
}

impl Batches<'_> {
    /// Appends one batch of the first of `alike`, as many as it takes. Returns the row that comes next.
    fn append(&mut self, alike: Range<usize>, identity: &Identity) -> usize {
        let rows = self.rows;
        let start = self.bytes.len();
        let next = match identity.codec {
            Codec::None => {
                if self.bytes.capacity() == 0 {
                    let overhead = rows.len() * RECORD_OVERHEAD_BYTES + HEADER_BYTES;
                    self.bytes.reserve_exact(self.raw_bytes + overhead);
                }
                self.bytes.resize(start + HEADER_BYTES, 0);
                put_records(&mut self.bytes, rows, alike.clone())
            }
            codec => {
                let next = put_records(self.scratch.plain(), rows, alike.clone());
                let packed = self.scratch.pack(codec, self.effort);
                self.bytes.reserve_exact(HEADER_BYTES + packed.len());
                self.bytes.resize(start + HEADER_BYTES, 0);
                self.bytes.extend_from_slice(packed);
                next
            }
        };
        let header = header_of(rows, alike.start..next, identity);
        seal(&header, &mut self.bytes[start..]);
        next
    }
}

/// All but length and CRC.
fn header_of(rows: &ChunkRows, range: Range<usize>, identity: &Identity) -> BatchHeader {
    let (first, last) = (range.start, range.end - 1);
    let base_offset = rows.offset(first);
    // The last batch reaches to the chunk's end, or as far as a batch can.
    let end = if range.end == rows.len() { rows.offsets().end } else { Offset(rows.offset(last).get() + 1) };
    BatchHeader {
        base_offset,
        batch_length: 0,
        partition_leader_epoch: identity.leader_epoch,
        magic: MAGIC,
        crc: 0,
        attributes: identity.attributes,
        last_offset_delta: delta_to_end(base_offset, end),
        base_timestamp: rows.timestamp(first),
        max_timestamp: rows.latest_of(range.clone()),
        producer_id: identity.producer_id,
        producer_epoch: identity.producer_epoch,
        base_sequence: base_sequence(rows, range.clone()),
        record_count: i32::try_from(range.len()).expect("a page has fewer rows"),
    }
}

/// The first row's sequence number, if its offset gives every other row its own.
fn base_sequence(rows: &ChunkRows, mut range: Range<usize>) -> i32 {
    let (base_offset, base) = (rows.offset(range.start), rows.sequence(range.start));
    let follows =
        |index: usize| rows.sequence(index) == sequence_after(base, rows.offset(index) - base_offset);
    if base >= 0 && range.all(follows) { base } else { -1 }
}

/// The last offset before `end`, from `base`, as far as a batch can reach.
fn delta_to_end(base: Offset, end: Offset) -> i32 {
    i32::try_from(end.get().saturating_sub(1).saturating_sub(base.get())).unwrap_or(i32::MAX).max(0)
}

/// Writes `header` over the start of `batch`, with its length and CRC.
fn seal(header: &BatchHeader, batch: &mut [u8]) {
    let length = i32::try_from(batch.len() - LENGTH_END).expect("a record is capped far below 2 GiB");
    batch[..HEADER_BYTES].copy_from_slice(&header.encode());
    batch[LENGTH_AT..LENGTH_END].copy_from_slice(&length.to_be_bytes());
    let crc = crc_fast::crc32_iscsi(&batch[CRC_FROM..]);
    batch[CRC_AT..CRC_FROM].copy_from_slice(&crc.to_be_bytes());
}

/// Writes the first of the rows of `range`, at least one and as many as a batch takes. Returns the row that comes next.
fn put_records(out: &mut Vec<u8>, rows: &ChunkRows, range: Range<usize>) -> usize {
    let begin = out.len();
    let mut numbers = Numbers { bytes: [0; Numbers::BYTES], filled: 0 };
    let (base_offset, base_timestamp) = (rows.offset(range.start), rows.timestamp(range.start));
    for index in range.clone() {
        let (offset_delta, record) = (rows.offset(index) - base_offset, rows.record(index));
        let is_full = HEADER_BYTES + out.len() - begin + record.raw_bytes() > BATCH_BYTES_MAX
            || offset_delta > i64::from(i32::MAX);
        if is_full && index > range.start {
            return index;
        }
        let timestamp_delta = rows.timestamp(index).get().wrapping_sub(base_timestamp.get());
        put_record(out, &mut numbers, &record, (timestamp_delta, offset_delta));
    }
    range.end
}

/// What of a row its record has.
pub(super) struct RecordParts<'a> {
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
    pub headers: RowHeaders<'a>,
}

impl RecordParts<'_> {
    #[inline]
    fn raw_bytes(&self) -> usize {
        let headers: usize = self.headers.map(|h| h.key.len() + h.value.map_or(0, <[u8]>::len)).sum();
        self.key.map_or(0, <[u8]>::len) + self.value.map_or(0, <[u8]>::len) + headers
    }
}

#[inline]
fn put_record(
    out: &mut Vec<u8>,
    numbers: &mut Numbers,
    record: &RecordParts<'_>,
    (timestamp_delta, offset_delta): (i64, i64),
) {
    let headers: usize = record.headers.map(|h| bytes_of(Some(h.key)) + bytes_of(h.value)).sum();
    let count = record.headers.len() as i64;
    let length = 1
        + varint_bytes(timestamp_delta)
        + varint_bytes(offset_delta)
        + bytes_of(record.key)
        + bytes_of(record.value)
        + varint_bytes(count)
        + headers;
    // The small numbers before the key go out in one piece, and so do those before the value.
    numbers.put(length as i64);
    numbers.put(0);
    numbers.put(timestamp_delta);
    numbers.put(offset_delta);
    numbers.put_length(record.key);
    if let Some(key) = record.key.filter(|key| !key.is_empty()) {
        numbers.flush(out);
        out.extend_from_slice(key);
    }
    numbers.put_length(record.value);
    numbers.flush(out);
    out.extend_from_slice(record.value.unwrap_or_default());
    numbers.put(count);
    numbers.flush(out);
    for header in record.headers {
        numbers.put_length(Some(header.key));
        numbers.flush(out);
        out.extend_from_slice(header.key);
        numbers.put_length(header.value);
        numbers.flush(out);
        out.extend_from_slice(header.value.unwrap_or_default());
    }
}

/// Bytes of a nullable field with its length.
#[inline]
fn bytes_of(field: Option<&[u8]>) -> usize {
    field.map_or(1, |bytes| varint_bytes(bytes.len() as i64) + bytes.len())
}

const VARINT_BYTES_MAX: usize = 10;
/// As many as a record has before its value.
const NUMBERS_MAX: usize = 6;

/// Varints that are gathered.
struct Numbers {
    bytes: [u8; Numbers::BYTES],
    filled: usize,
}

impl Numbers {
    const BYTES: usize = VARINT_BYTES_MAX * NUMBERS_MAX;

    #[inline]
    fn put(&mut self, value: i64) {
        let mut rest = zigzag(value);
        while rest >= 0x80 {
            self.bytes[self.filled] = rest as u8 | 0x80;
            self.filled += 1;
            rest >>= 7;
        }
        self.bytes[self.filled] = rest as u8;
        self.filled += 1;
    }

    /// The length of a nullable field.
    #[inline]
    fn put_length(&mut self, field: Option<&[u8]>) {
        self.put(field.map_or(-1, |bytes| bytes.len() as i64));
    }

    #[inline]
    fn flush(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.bytes[..self.filled]);
        self.filled = 0;
    }
}

#[inline]
fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

#[inline]
fn varint_bytes(value: i64) -> usize {
    let bits = 64 - (zigzag(value) | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}
