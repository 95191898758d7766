//! The bytes of a journal object back to its rows: from a prefix that holds the index columns alone.
//!
//! Nothing read here is trusted: every length is checked, and the columns against their CRC. The batches
//! are not: [`super::recovery`] and the read path check them where they are read.

use super::encode::{CONTINUATION, FORMAT, MAGIC, StoredTransaction, crc32c};
use super::row::{ObjectName, RowIndex, Span, spans};
use crate::types::{
    LeaderEpoch, Offset, PartitionIndex, ProducerEpoch, ProducerId, Timestamp, TopicId, TopicPartition,
};
use arrow_ipc::{Message, root_as_message};
use std::ops::Range;
use uuid::Uuid;

/// How much of an object is read at first: the index of some hundred rows.
pub const PREFIX_BYTES: u64 = 32 * 1024;

/// The rows of an object, and where its bytes lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectIndex {
    /// In the order of the object.
    pub rows: Vec<RowIndex>,
    /// The byte range of each row's batch.
    pub byte_ranges: Vec<Range<u64>>,
    /// The runs of each partition.
    pub spans: Vec<Span>,
}

/// Why bytes are not the beginning of the journal object that they should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The index is longer than the prefix: read this many bytes.
    #[error("the index needs {bytes} bytes")]
    NeedsMore {
        /// From the object's first byte.
        bytes: u64,
    },
    /// Not what was written.
    #[error("not a whole journal object: {0}")]
    Damaged(&'static str),
}

use DecodeError::Damaged;

/// Reads the index of object `name` from its first bytes.
pub fn decode_index(name: impl Into<ObjectName>, prefix: &[u8]) -> Result<ObjectIndex, DecodeError> {
    if prefix.len() < MAGIC.len() {
        return Err(DecodeError::NeedsMore { bytes: PREFIX_BYTES });
    }
    if !prefix.starts_with(MAGIC) {
        return Err(Damaged("no Arrow magic"));
    }
    let (schema, schema_end) = message_at(prefix, MAGIC.len())?;
    let index_crc32c = check_metadata(name.into(), &schema)?;
    let (batch, body_at) = message_at(prefix, schema_end)?;
    let header = batch.header_as_record_batch().ok_or(Damaged("no record batch"))?;
    let count = usize::try_from(header.length()).map_err(|_| Damaged("negative row count"))?;
    let buffers: Vec<Range<usize>> =
        header.buffers().ok_or(Damaged("no buffers"))?.iter().map(buffer_range).collect();
    let [.., batches] = buffers.as_slice() else { return Err(Damaged("no buffers")) };
    let columns_end = body_at.checked_add(batches.start).ok_or(Damaged("buffers out of range"))?;
    let body =
        prefix.get(body_at..columns_end).ok_or(DecodeError::NeedsMore { bytes: columns_end as u64 })?;
    if crc32c(&[&prefix[schema_end..columns_end]]) != index_crc32c {
        return Err(Damaged("the index columns do not match their checksum"));
    }
    let columns = Columns { body, buffers: &buffers, count };
    let rows = (0..count).map(|row| columns.row(row)).collect::<Result<Vec<_>, _>>()?;
    let byte_ranges = columns.byte_ranges((columns_end) as u64, batches.len() as u64)?;
    let spans = spans(rows.iter().zip(byte_ranges.iter().cloned()));
    Ok(ObjectIndex { rows, byte_ranges, spans })
}

/// The message at `position`, and where it ends.
pub(super) fn message_at(prefix: &[u8], position: usize) -> Result<(Message<'_>, usize), DecodeError> {
    let start = position + 8;
    let head = prefix.get(position..start).ok_or(DecodeError::NeedsMore { bytes: PREFIX_BYTES })?;
    if head[..4] != CONTINUATION {
        return Err(Damaged("no message where one should be"));
    }
    let len = u32::from_le_bytes(head[4..].try_into().expect("four bytes")) as usize;
    if len > MESSAGE_BYTES_MAX {
        return Err(Damaged("a message of unlikely length"));
    }
    let end = start + len;
    let bytes = prefix.get(start..end).ok_or(DecodeError::NeedsMore { bytes: end as u64 + PREFIX_BYTES })?;
    let message = root_as_message(bytes).map_err(|_| Damaged("a message that is no flatbuffer"))?;
    Ok((message, end))
}

/// Schema and batch messages are a few kilobytes.
const MESSAGE_BYTES_MAX: usize = 1024 * 1024;

/// Sees that the object is the one asked for, and returns the checksum of its index.
fn check_metadata(name: ObjectName, schema: &Message<'_>) -> Result<u32, DecodeError> {
    let schema = schema.header_as_schema().ok_or(Damaged("no schema"))?;
    let metadata = schema.custom_metadata().ok_or(Damaged("no metadata"))?;
    let get = |key: &str| metadata.iter().find(|pair| pair.key() == Some(key)).and_then(|pair| pair.value());
    if get("cenote.format") != Some(FORMAT) {
        return Err(Damaged("a format that this version does not know"));
    }
    let named = (get("cenote.session"), get("cenote.seq"));
    if named != (Some(&name.session.to_string()), Some(&name.number.to_string())) {
        return Err(Damaged("it names itself differently"));
    }
    let crc = get("cenote.index-crc32c").ok_or(Damaged("no checksum"))?;
    u32::from_str_radix(crc, 16).map_err(|_| Damaged("a checksum that is no number"))
}

pub(super) fn buffer_range(buffer: &arrow_ipc::Buffer) -> Range<usize> {
    let at = |value: i64| usize::try_from(value).unwrap_or(usize::MAX);
    at(buffer.offset())..at(buffer.offset()).saturating_add(at(buffer.length()))
}

/// The offsets of a batch, both ends included as they are stored.
pub(super) fn offsets(base: i64, last: i64) -> Result<Range<Offset>, DecodeError> {
    if base < 0 || last < base || last == i64::MAX {
        return Err(Damaged("offsets out of order"));
    }
    Ok(Offset(base)..Offset(last + 1))
}

/// The index columns, by their place in the schema. Each has two buffers: validity (empty) and values.
struct Columns<'a> {
    body: &'a [u8],
    buffers: &'a [Range<usize>],
    count: usize,
}

impl Columns<'_> {
    fn row(&self, row: usize) -> Result<RowIndex, DecodeError> {
        let topic_id = TopicId(Uuid::from_bytes(self.value::<16>(0, row)?));
        let partition = PartitionIndex(i32::from_le_bytes(self.value(1, row)?));
        let transaction = StoredTransaction {
            ordinal: i64::from_le_bytes(self.value(10, row)?),
            coordinator_view: i32::from_le_bytes(self.value(11, row)?),
            verdict: i8::from_le_bytes(self.value(12, row)?),
        };
        Ok(RowIndex {
            topic_partition: TopicPartition { topic_id, partition },
            offsets: offsets(
                i64::from_le_bytes(self.value(2, row)?),
                i64::from_le_bytes(self.value(3, row)?),
            )?,
            leader_epoch: LeaderEpoch(i32::from_le_bytes(self.value(4, row)?)),
            max_timestamp: Timestamp(i64::from_le_bytes(self.value(5, row)?)),
            producer_id: ProducerId(i64::from_le_bytes(self.value(6, row)?)),
            producer_epoch: ProducerEpoch(i16::from_le_bytes(self.value(7, row)?)),
            base_sequence: i32::from_le_bytes(self.value(8, row)?),
            attributes: i16::from_le_bytes(self.value(9, row)?),
            transaction: transaction.decode().ok_or(Damaged("a transaction that makes no sense"))?,
        })
    }

    /// Value `row` of column `column`, which has values of `N` bytes.
    fn value<const N: usize>(&self, column: usize, row: usize) -> Result<[u8; N], DecodeError> {
        let buffer = self.buffers.get(column * 2 + 1).ok_or(Damaged("a column is missing"))?;
        let values = self.body.get(buffer.clone()).ok_or(Damaged("a column out of range"))?;
        let value = values.get(row * N..row * N + N).ok_or(Damaged("a column is too short"))?;
        Ok(value.try_into().expect("N bytes were taken"))
    }

    /// Where each batch lies in the object, the first at `data_at`.
    fn byte_ranges(&self, data_at: u64, data_len: u64) -> Result<Vec<Range<u64>>, DecodeError> {
        let mut ranges = Vec::with_capacity(self.count);
        let mut start = 0_u64;
        for row in 0..self.count {
            let end = i32::from_le_bytes(self.value(13, row + 1)?);
            let end = u64::try_from(end).map_err(|_| Damaged("a batch of negative length"))?;
            if end <= start || end > data_len {
                return Err(Damaged("batches out of range"));
            }
            ranges.push(data_at + start..data_at + end);
            start = end;
        }
        Ok(ranges)
    }
}
