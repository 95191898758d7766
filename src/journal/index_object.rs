//! Index objects: what 64 journal objects that follow each other hold, in one, so that who takes partitions over reads one
//! object where it would read 64. A copy of what these objects say themselves: without one they are read one by one.
//!
//! The journal objects 1 to 64 are the first block, 65 to 128 the second. All numbers little-endian:
//!
//! ```text
//! "CNTINDX2" │ session, 16 │ last, u64 │ 64 × (bytes of the object, u64 │ rows, u32) │ rows │ crc-32c, u32
//! ```
//!
//! The rows are one zstd frame (RFC 8878): of 93 bytes each, most repeat what the row before has. A row is what the index columns
//! of a journal object say of a batch (`encode.rs`), in their order, and then where the batch lies in its object: first byte and
//! end, u64 each. The checksum is that of all before it.
//!
//! A block that is not full has one, too, where partitions change hands: when its session acknowledges a view, and when its journal
//! has ended and comes into somebody's keeping. The objects that were not there yet, and those that nobody needs any more, have no
//! rows and no bytes in it: who needs one reads it itself.
//!
//! Never: an index object tells of what is not committed.

use super::decode::{DecodeError, ObjectIndex, offsets};
use super::encode::{StoredTransaction, crc32c, stored};
use super::row::{ObjectId, Partitions, RowIndex, spans};
use crate::types::{
    LeaderEpoch, PartitionIndex, ProducerEpoch, ProducerId, SessionId, Timestamp, TopicId, TopicPartition,
};
use DecodeError::Damaged;
use bytes::{Buf, BufMut, Bytes};
use std::borrow::Borrow;
use std::io::Read;
use std::ops::{Range, RangeInclusive};
use uuid::Uuid;

/// Journal objects of one index object.
pub(super) const BLOCK: u64 = 64;

/// Rows of a block that is written, so that whoever reads one knows what it may come to.
pub(super) const ROWS_MAX: usize = 400_000;

const MAGIC: &[u8; 8] = b"CNTINDX2";
pub(super) const HEAD_BYTES: usize = MAGIC.len() + 16 + 8 + BLOCK as usize * 12;
pub(super) const ROW_BYTES: usize = 93;
/// Of a row: its topic and partition.
const PLACE_BYTES: usize = 20;
const CRC_BYTES: usize = 4;
const ZSTD_LEVEL: i32 = 1;
/// 8 MiB: what every decoder must accept (RFC 8878).
const WINDOW_LOG_MAX: u32 = 23;
/// So much smaller rows become when they are compressed, as a rule.
const ROWS_RATIO: usize = 16;

/// What one journal object of a block holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct IndexedObject {
    /// Its length.
    pub bytes: u64,
    pub rows: Vec<RowIndex>,
    /// The byte range of each row's batch.
    pub byte_ranges: Vec<Range<u64>>,
}

/// The last object of the block that object `seq` is in.
#[must_use]
pub fn last_of_block(seq: u64) -> u64 {
    seq.next_multiple_of(BLOCK)
}

/// The objects of the block that ends with `last`.
#[must_use]
pub fn block_of(last: u64) -> RangeInclusive<u64> {
    last.saturating_sub(BLOCK) + 1..=last
}

/// Writes a whole block, in the order of its objects; of at most [`ROWS_MAX`] rows.
pub(super) fn encode_index_object(
    session: SessionId,
    last: u64,
    block: &[impl Borrow<IndexedObject>],
) -> Bytes {
    let objects = || block.iter().map(Borrow::borrow);
    let count: usize = objects().map(|object| object.rows.len()).sum();
    let mut rows = Vec::with_capacity(count * ROW_BYTES);
    for object in objects() {
        object.rows.iter().zip(&object.byte_ranges).for_each(|(row, range)| put_row(&mut rows, row, range));
    }
    let rows = zstd::bulk::compress(&rows, ZSTD_LEVEL).expect("memory is all that it can lack");
    let mut bytes = Vec::with_capacity(HEAD_BYTES + rows.len() + CRC_BYTES);
    bytes.put_slice(MAGIC);
    bytes.put_slice(session.0.as_bytes());
    bytes.put_u64_le(last);
    for object in objects() {
        bytes.put_u64_le(object.bytes);
        bytes.put_u32_le(u32::try_from(object.rows.len()).expect("an object has far less rows"));
    }
    bytes.put_slice(&rows);
    let crc = crc32c(&[&bytes]);
    bytes.put_u32_le(crc);
    Bytes::from(bytes)
}

fn put_row(bytes: &mut Vec<u8>, row: &RowIndex, byte_range: &Range<u64>) {
    let transaction = stored(row.transaction);
    bytes.put_slice(row.topic_partition.topic_id.0.as_bytes());
    bytes.put_i32_le(row.topic_partition.partition.0);
    bytes.put_i64_le(row.offsets.start.0);
    bytes.put_i64_le(row.offsets.end.0 - 1);
    bytes.put_i32_le(row.leader_epoch.0);
    bytes.put_i64_le(row.max_timestamp.0);
    bytes.put_i64_le(row.producer_id.0);
    bytes.put_i16_le(row.producer_epoch.0);
    bytes.put_i32_le(row.base_sequence);
    bytes.put_i16_le(row.attributes);
    bytes.put_i64_le(transaction.ordinal);
    bytes.put_i32_le(transaction.coordinator_view);
    bytes.put_i8(transaction.verdict);
    bytes.put_u64_le(byte_range.start);
    bytes.put_u64_le(byte_range.end);
}

/// Reads the index object of the block that ends with `last`: each object's number, length and index, which has the rows of
/// `partitions` alone.
pub(super) fn decode_index_object(
    session: SessionId,
    last: u64,
    bytes: &[u8],
    partitions: &Partitions,
) -> Result<Vec<(ObjectId, u64, ObjectIndex)>, DecodeError> {
    let (whole, mut crc) = bytes
        .len()
        .checked_sub(CRC_BYTES)
        .and_then(|at| bytes.split_at_checked(at))
        .ok_or(Damaged("it is cut short"))?;
    let (mut head, rows) = whole.split_at_checked(HEAD_BYTES).ok_or(Damaged("it is cut short"))?;
    if !head.starts_with(MAGIC) {
        return Err(Damaged("a format that this version does not know"));
    }
    if crc32c(&[whole]) != crc.get_u32_le() {
        return Err(Damaged("it does not match its checksum"));
    }
    head.advance(MAGIC.len());
    let mut of = [0; 16];
    head.copy_to_slice(&mut of);
    if (SessionId(Uuid::from_bytes(of)), head.get_u64_le()) != (session, last) {
        return Err(Damaged("it names itself differently"));
    }
    let objects: Vec<_> =
        block_of(last).map(|seq| (seq, head.get_u64_le(), head.get_u32_le() as usize)).collect();
    let rows = rows_of(rows, objects.iter().map(|(_, _, count)| count).sum())?;
    let mut rows = rows.as_slice();
    let mut indexes = Vec::with_capacity(BLOCK as usize);
    for (seq, object_bytes, count) in objects {
        let (of_object, rest) =
            rows.split_at_checked(count * ROW_BYTES).ok_or(Damaged("rows are missing"))?;
        rows = rest;
        let index = index_of(of_object, object_bytes, partitions)?;
        indexes.push((ObjectId { session, seq }, object_bytes, index));
    }
    Ok(indexes)
}

/// The bytes of so many rows, and of no other.
fn rows_of(compressed: &[u8], count: usize) -> Result<Vec<u8>, DecodeError> {
    if count > ROWS_MAX {
        return Err(Damaged("more rows than a block has"));
    }
    let bytes = count * ROW_BYTES;
    // Room is made as rows come, so that a number alone costs nothing.
    let mut rows = Vec::with_capacity(bytes.min(compressed.len().saturating_mul(ROWS_RATIO)));
    let decoder = zstd::stream::read::Decoder::with_buffer(compressed).map(|decoder| decoder.single_frame());
    let read = decoder.and_then(|mut decoder| {
        decoder.window_log_max(WINDOW_LOG_MAX)?;
        decoder.take(bytes as u64 + 1).read_to_end(&mut rows)
    });
    read.map_err(|_| Damaged("rows that are not what their number says"))?;
    if rows.len() == bytes { Ok(rows) } else { Err(Damaged("rows are missing")) }
}

fn index_of(bytes: &[u8], object_bytes: u64, partitions: &Partitions) -> Result<ObjectIndex, DecodeError> {
    let (mut rows, mut byte_ranges) = (Vec::new(), Vec::new());
    let mut end = 0;
    for row in bytes.chunks_exact(ROW_BYTES) {
        let (topic_partition, byte_range) = place_of(row);
        if byte_range.start < end || byte_range.end <= byte_range.start || byte_range.end > object_bytes {
            return Err(Damaged("batches out of range"));
        }
        end = byte_range.end;
        if partitions.have(topic_partition) {
            rows.push(row_of(row, topic_partition)?);
            byte_ranges.push(byte_range);
        }
    }
    let spans = spans(rows.iter().zip(byte_ranges.iter().cloned()));
    Ok(ObjectIndex { rows, byte_ranges, spans })
}

/// Whose a row is, and where its batch lies.
fn place_of(mut row: &[u8]) -> (TopicPartition, Range<u64>) {
    let mut byte_range = &row[ROW_BYTES - 16..];
    let mut topic_id = [0; 16];
    row.copy_to_slice(&mut topic_id);
    let topic_partition = TopicPartition {
        topic_id: TopicId(Uuid::from_bytes(topic_id)),
        partition: PartitionIndex(row.get_i32_le()),
    };
    (topic_partition, byte_range.get_u64_le()..byte_range.get_u64_le())
}

/// One row, of exactly its length.
fn row_of(bytes: &[u8], topic_partition: TopicPartition) -> Result<RowIndex, DecodeError> {
    let mut bytes = &bytes[PLACE_BYTES..];
    Ok(RowIndex {
        topic_partition,
        offsets: offsets(bytes.get_i64_le(), bytes.get_i64_le())?,
        leader_epoch: LeaderEpoch(bytes.get_i32_le()),
        max_timestamp: Timestamp(bytes.get_i64_le()),
        producer_id: ProducerId(bytes.get_i64_le()),
        producer_epoch: ProducerEpoch(bytes.get_i16_le()),
        base_sequence: bytes.get_i32_le(),
        attributes: bytes.get_i16_le(),
        transaction: StoredTransaction {
            ordinal: bytes.get_i64_le(),
            coordinator_view: bytes.get_i32_le(),
            verdict: bytes.get_i8(),
        }
        .decode()
        .ok_or(Damaged("a transaction that makes no sense"))?,
    })
}
