//! Index objects: what 64 journal objects that follow each other hold, in one, so that who takes partitions over reads one
//! object where it would read 64. A copy of what these objects say themselves: without one they are read one by one.
//!
//! The journal objects 1 to 64 are the first block, 65 to 128 the second. All numbers little-endian:
//!
//! ```text
//! "CNTINDX1" │ session, 16 │ last, u64 │ 64 × (bytes of the object, u64 │ rows, u32) │ rows, 93 bytes each │ crc-32c, u32
//! ```
//!
//! A row is what the index columns of a journal object say of a batch (`encode.rs`), in their order, and then where the batch
//! lies in its object: first byte and end, u64 each. The checksum is that of all before it.
//!
//! A journal that has ended gets one for its last block, too, when it comes into somebody's keeping: the objects that it never had,
//! and those that nobody needs any more, have no rows and no bytes there.
//!
//! Never: an index object tells of what is not committed.

use super::decode::{DecodeError, ObjectIndex, offsets};
use super::encode::{StoredTransaction, crc32c, stored};
use super::row::{ObjectId, RowIndex, spans};
use crate::types::{
    LeaderEpoch, PartitionIndex, ProducerEpoch, ProducerId, SessionId, Timestamp, TopicId, TopicPartition,
};
use DecodeError::Damaged;
use bytes::{Buf, BufMut, Bytes};
use std::ops::{Range, RangeInclusive};
use uuid::Uuid;

/// Journal objects of one index object.
pub(super) const BLOCK: u64 = 64;

const MAGIC: &[u8; 8] = b"CNTINDX1";
const HEAD_BYTES: usize = MAGIC.len() + 16 + 8 + BLOCK as usize * 12;
const ROW_BYTES: usize = 93;
const CRC_BYTES: usize = 4;

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

/// Writes a whole block, in the order of its objects.
pub(super) fn encode_index_object(session: SessionId, last: u64, block: &[IndexedObject]) -> Bytes {
    let rows: usize = block.iter().map(|object| object.rows.len()).sum();
    let mut bytes = Vec::with_capacity(HEAD_BYTES + rows * ROW_BYTES + CRC_BYTES);
    bytes.put_slice(MAGIC);
    bytes.put_slice(session.0.as_bytes());
    bytes.put_u64_le(last);
    for object in block {
        bytes.put_u64_le(object.bytes);
        bytes.put_u32_le(u32::try_from(object.rows.len()).expect("an object has far less rows"));
    }
    for object in block {
        object.rows.iter().zip(&object.byte_ranges).for_each(|(row, range)| put_row(&mut bytes, row, range));
    }
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

/// Reads the index object of the block that ends with `last`: each object's number, length and index.
pub(super) fn decode_index_object(
    session: SessionId,
    last: u64,
    bytes: &[u8],
) -> Result<Vec<(ObjectId, u64, ObjectIndex)>, DecodeError> {
    let (whole, mut crc) = bytes
        .len()
        .checked_sub(CRC_BYTES)
        .and_then(|at| bytes.split_at_checked(at))
        .ok_or(Damaged("it is cut short"))?;
    let (mut head, mut rows) = whole.split_at_checked(HEAD_BYTES).ok_or(Damaged("it is cut short"))?;
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
    let mut objects = Vec::with_capacity(BLOCK as usize);
    for seq in block_of(last) {
        let (object_bytes, count) = (head.get_u64_le(), head.get_u32_le() as usize);
        let taken = count.checked_mul(ROW_BYTES).and_then(|len| rows.split_at_checked(len));
        let (of_object, rest) = taken.ok_or(Damaged("rows are missing"))?;
        rows = rest;
        objects.push((ObjectId { session, seq }, object_bytes, index_of(of_object, object_bytes)?));
    }
    if !rows.is_empty() {
        return Err(Damaged("there are rows of no object"));
    }
    Ok(objects)
}

fn index_of(bytes: &[u8], object_bytes: u64) -> Result<ObjectIndex, DecodeError> {
    let (mut rows, mut byte_ranges) = (Vec::new(), Vec::new());
    let mut end = 0;
    for row in bytes.chunks_exact(ROW_BYTES) {
        let (row, byte_range) = row_of(row)?;
        if byte_range.start < end || byte_range.end <= byte_range.start || byte_range.end > object_bytes {
            return Err(Damaged("batches out of range"));
        }
        end = byte_range.end;
        rows.push(row);
        byte_ranges.push(byte_range);
    }
    let spans = spans(rows.iter().zip(byte_ranges.iter().cloned()));
    Ok(ObjectIndex { rows, byte_ranges, spans })
}

/// One row, of exactly its length.
fn row_of(mut bytes: &[u8]) -> Result<(RowIndex, Range<u64>), DecodeError> {
    let mut topic_id = [0; 16];
    bytes.copy_to_slice(&mut topic_id);
    let row = RowIndex {
        topic_partition: TopicPartition {
            topic_id: TopicId(Uuid::from_bytes(topic_id)),
            partition: PartitionIndex(bytes.get_i32_le()),
        },
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
    };
    Ok((row, bytes.get_u64_le()..bytes.get_u64_le()))
}
