//! Rows to the bytes of a journal object: an Arrow IPC file with one record batch.
//!
//! ```text
//! "ARROW1\0\0" │ schema message │ batch message │ index columns │ batch bytes │ end │ footer │ len │ "ARROW1"
//!              └ metadata: cenote.format, cenote.session, cenote.seq, cenote.index-crc32c
//! ```
//!
//! `cenote.seq` is the number of a flushed object, or `merged-<view>-<attempt>` of a merged one. Rows are sorted by
//! (topic id, partition, offset). The columns, none of them nullable:
//!
//! | column | type |
//! | --- | --- |
//! | `topic_id` | fixed size binary of 16 |
//! | `partition`, `leader_epoch`, `base_sequence` | int32 |
//! | `base_offset`, `last_offset`, `producer_id` | int64 |
//! | `max_timestamp` | timestamp in ms, UTC |
//! | `producer_epoch`, `attributes` | int16 |
//! | `transaction_ordinal` | int64: which of its producer's transactions (from 1), 0 for none |
//! | `coordinator_view` | int32: of an end marker, the view of its coordinator; -1 for other batches |
//! | `verdict` | int8: of an end marker, 0 for abort and 1 for commit; -1 for other batches |
//! | `batch` | binary: the record batch (KIP-98), stamped with its offset and epoch |
//!
//! `batch` is last and not compressed, so a partition's batches are one byte range of the object. The CRC is
//! that of the batch message and the index columns; the batches have their own. Any reader of Arrow
//! files reads it. It is written by hand for one reason: the bytes of the batches are copied once.

use super::row::{ObjectName, Row, RowIndex, RowTransaction, Span, spans};
use crate::types::{TransactionOrdinal, Verdict, ViewNumber};
use crate::wire::batch;
use arrow_ipc::convert::IpcSchemaEncoder;
use arrow_ipc::{
    Block, Buffer, FieldNode, FooterBuilder, MessageBuilder, MessageHeader, MetadataVersion,
    RecordBatchBuilder,
};
use arrow_schema::{DataType, Field, Schema, TimeUnit};
use bytes::{BufMut, Bytes, BytesMut};
use flatbuffers::FlatBufferBuilder;
use std::collections::HashMap;
use std::ops::Range;

/// A journal object ready to be put.
#[derive(Clone, Debug)]
pub struct EncodedObject {
    /// The whole object.
    pub bytes: Bytes,
    /// Its rows, sorted.
    pub rows: Vec<RowIndex>,
    /// Where the batch of each row lies.
    pub byte_ranges: Vec<Range<u64>>,
    /// Where each partition's batches lie.
    pub spans: Vec<Span>,
}

pub(super) const FORMAT: &str = "2";
pub(super) const MAGIC: &[u8; 8] = b"ARROW1\0\0";
pub(super) const CONTINUATION: [u8; 4] = [0xff; 4];
/// Buffers begin at multiples of this, as Arrow recommends.
const ALIGNMENT: usize = 64;

/// Writes `rows` as object `name`. Rows of one partition must be in the order of their offsets. Each batch is let go of
/// as soon as it is written, so that memory has every one of them once.
#[must_use]
pub fn encode(name: impl Into<ObjectName>, mut rows: Vec<Row>) -> EncodedObject {
    rows.sort_by_key(|row| row.index.topic_partition);
    let batches_len: usize = rows.iter().map(|row| row.batch.len()).sum();
    let index = IndexColumns::of(&rows);
    let body_len = (index.bytes.len() + batches_len).next_multiple_of(ALIGNMENT);
    let batch_message = batch_message(&index, rows.len(), batches_len, body_len);
    let schema = schema(name.into(), crc32c(&[&batch_message, &index.bytes]));
    let schema_message = schema_message(&schema);
    let batch_at = MAGIC.len() + schema_message.len();
    let body_at = batch_at + batch_message.len();
    let footer = footer(&schema, Block::new(batch_at as i64, batch_message.len() as i32, body_len as i64));

    let mut bytes = BytesMut::with_capacity(body_at + body_len + footer.len() + 64);
    bytes.put_slice(MAGIC);
    bytes.put_slice(&schema_message);
    bytes.put_slice(&batch_message);
    bytes.put_slice(&index.bytes);
    let byte_ranges = put_batches(&mut bytes, &mut rows);
    bytes.put_bytes(0, body_at + body_len - bytes.len());
    bytes.put_slice(&CONTINUATION);
    bytes.put_u32_le(0);
    bytes.put_slice(&footer);
    bytes.put_u32_le(footer.len() as u32);
    bytes.put_slice(&MAGIC[..6]);

    let rows: Vec<RowIndex> = rows.into_iter().map(|row| row.index).collect();
    let spans = spans(rows.iter().zip(byte_ranges.iter().cloned()));
    EncodedObject { bytes: bytes.freeze(), rows, byte_ranges, spans }
}

/// Copies the batches and stamps each with its offset and epoch, which lie outside its CRC.
fn put_batches(bytes: &mut BytesMut, rows: &mut [Row]) -> Vec<Range<u64>> {
    let mut ranges = Vec::with_capacity(rows.len());
    for row in rows {
        let start = bytes.len();
        bytes.put_slice(&std::mem::take(&mut row.batch));
        batch::stamp(&mut bytes[start..], row.index.offsets.start, row.index.leader_epoch);
        ranges.push(start as u64..bytes.len() as u64);
    }
    ranges
}

/// CRC-32C of the parts, one after the other.
pub(super) fn crc32c(parts: &[&[u8]]) -> u32 {
    let mut digest = crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc32Iscsi);
    parts.iter().for_each(|part| digest.update(part));
    digest.finalize() as u32
}

/// The index columns as they lie in the body: (start, length) of each Arrow buffer, and the bytes.
struct IndexColumns {
    bytes: Vec<u8>,
    buffers: Vec<Buffer>,
}

impl IndexColumns {
    fn of(rows: &[Row]) -> IndexColumns {
        let mut columns =
            IndexColumns { bytes: Vec::with_capacity(rows.len() * 96 + 1024), buffers: Vec::new() };
        columns.put(rows, |row, out| out.put_slice(row.topic_partition.topic_id.0.as_bytes()));
        columns.put(rows, |row, out| out.put_i32_le(row.topic_partition.partition.0));
        columns.put(rows, |row, out| out.put_i64_le(row.offsets.start.0));
        columns.put(rows, |row, out| out.put_i64_le(row.offsets.end.0 - 1));
        columns.put(rows, |row, out| out.put_i32_le(row.leader_epoch.0));
        columns.put(rows, |row, out| out.put_i64_le(row.max_timestamp.0));
        columns.put(rows, |row, out| out.put_i64_le(row.producer_id.0));
        columns.put(rows, |row, out| out.put_i16_le(row.producer_epoch.0));
        columns.put(rows, |row, out| out.put_i32_le(row.base_sequence));
        columns.put(rows, |row, out| out.put_i16_le(row.attributes));
        columns.put(rows, |row, out| out.put_i64_le(stored(row.transaction).ordinal));
        columns.put(rows, |row, out| out.put_i32_le(stored(row.transaction).coordinator_view));
        columns.put(rows, |row, out| out.put_i8(stored(row.transaction).verdict));
        columns.put_batch_offsets(rows);
        columns
    }

    fn put(&mut self, rows: &[Row], write: impl Fn(&RowIndex, &mut Vec<u8>)) {
        let start = self.bytes.len();
        rows.iter().for_each(|row| write(&row.index, &mut self.bytes));
        self.close(start);
    }

    /// Where each batch begins and ends, counted from the first byte of the column's data.
    fn put_batch_offsets(&mut self, rows: &[Row]) {
        let start = self.bytes.len();
        let mut end = 0_usize;
        self.bytes.put_i32_le(0);
        for row in rows {
            end += row.batch.len();
            self.bytes.put_i32_le(i32::try_from(end).expect("an object is cut long before 2 GiB"));
        }
        self.close(start);
    }

    /// Ends a buffer: an empty validity buffer goes before it, as nothing is null.
    fn close(&mut self, start: usize) {
        self.buffers.push(Buffer::new(start as i64, 0));
        self.buffers.push(Buffer::new(start as i64, (self.bytes.len() - start) as i64));
        self.bytes.resize(self.bytes.len().next_multiple_of(ALIGNMENT), 0);
    }
}

/// A [`RowTransaction`] as its three columns have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StoredTransaction {
    pub ordinal: i64,
    pub coordinator_view: i32,
    pub verdict: i8,
}

pub(super) fn stored(transaction: RowTransaction) -> StoredTransaction {
    let (ordinal, coordinator_view, verdict) = match transaction {
        RowTransaction::None => (TransactionOrdinal::NONE, ViewNumber(-1), -1),
        RowTransaction::Batch { ordinal } => (ordinal, ViewNumber(-1), -1),
        RowTransaction::Marker { ordinal, verdict: Verdict::Abort, coordinator_view } => {
            (ordinal, coordinator_view, 0)
        }
        RowTransaction::Marker { ordinal, verdict: Verdict::Commit, coordinator_view } => {
            (ordinal, coordinator_view, 1)
        }
    };
    StoredTransaction { ordinal: ordinal.0, coordinator_view: coordinator_view.0, verdict }
}

impl StoredTransaction {
    /// What the columns say, if it makes sense.
    pub fn decode(self) -> Option<RowTransaction> {
        let ordinal = TransactionOrdinal(self.ordinal);
        let coordinator_view = ViewNumber(self.coordinator_view);
        let verdict = match self.verdict {
            -1 => None,
            0 => Some(Verdict::Abort),
            1 => Some(Verdict::Commit),
            _ => return None,
        };
        match (self.ordinal, self.coordinator_view, verdict) {
            (0, -1, None) => Some(RowTransaction::None),
            (1.., -1, None) => Some(RowTransaction::Batch { ordinal }),
            (1.., 0.., Some(verdict)) => Some(RowTransaction::Marker { ordinal, verdict, coordinator_view }),
            _ => None,
        }
    }
}

fn schema(name: ObjectName, index_crc32c: u32) -> Schema {
    let column = |name: &str, data_type: DataType| Field::new(name, data_type, false);
    let columns = vec![
        column("topic_id", DataType::FixedSizeBinary(16)),
        column("partition", DataType::Int32),
        column("base_offset", DataType::Int64),
        column("last_offset", DataType::Int64),
        column("leader_epoch", DataType::Int32),
        column("max_timestamp", DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()))),
        column("producer_id", DataType::Int64),
        column("producer_epoch", DataType::Int16),
        column("base_sequence", DataType::Int32),
        column("attributes", DataType::Int16),
        column("transaction_ordinal", DataType::Int64),
        column("coordinator_view", DataType::Int32),
        column("verdict", DataType::Int8),
        column("batch", DataType::Binary),
    ];
    let metadata = HashMap::from([
        ("cenote.format".to_owned(), FORMAT.to_owned()),
        ("cenote.session".to_owned(), name.session.to_string()),
        ("cenote.seq".to_owned(), name.number.to_string()),
        ("cenote.index-crc32c".to_owned(), format!("{index_crc32c:08x}")),
    ]);
    Schema::new_with_metadata(columns, metadata)
}

fn schema_message(schema: &Schema) -> Vec<u8> {
    let mut fbb = FlatBufferBuilder::new();
    let header = IpcSchemaEncoder::new().schema_to_fb_offset(&mut fbb, schema).as_union_value();
    let mut message = MessageBuilder::new(&mut fbb);
    message.add_version(MetadataVersion::V5);
    message.add_header_type(MessageHeader::Schema);
    message.add_bodyLength(0);
    message.add_header(header);
    let message = message.finish();
    fbb.finish(message, None);
    encapsulate(fbb.finished_data(), MAGIC.len())
}

fn batch_message(index: &IndexColumns, rows: usize, batches_len: usize, body_len: usize) -> Vec<u8> {
    let mut buffers = index.buffers.clone();
    buffers.push(Buffer::new(index.bytes.len() as i64, batches_len as i64));
    let columns = index.buffers.len() / 2;
    let mut fbb = FlatBufferBuilder::new();
    let nodes = fbb.create_vector(&vec![FieldNode::new(rows as i64, 0); columns]);
    let buffers = fbb.create_vector(&buffers);
    let mut header = RecordBatchBuilder::new(&mut fbb);
    header.add_length(rows as i64);
    header.add_nodes(nodes);
    header.add_buffers(buffers);
    let header = header.finish().as_union_value();
    let mut message = MessageBuilder::new(&mut fbb);
    message.add_version(MetadataVersion::V5);
    message.add_header_type(MessageHeader::RecordBatch);
    message.add_bodyLength(body_len as i64);
    message.add_header(header);
    let message = message.finish();
    fbb.finish(message, None);
    encapsulate(fbb.finished_data(), 0)
}

/// Continuation marker, length, flatbuffer, and padding, so that what follows is aligned in the file when
/// the message begins `position` bytes past an aligned place.
fn encapsulate(flatbuffer: &[u8], position: usize) -> Vec<u8> {
    let prefix = CONTINUATION.len() + size_of::<u32>();
    let len = (position + prefix + flatbuffer.len()).next_multiple_of(ALIGNMENT) - position;
    let mut message = Vec::with_capacity(len);
    message.put_slice(&CONTINUATION);
    message.put_u32_le((len - prefix) as u32);
    message.put_slice(flatbuffer);
    message.resize(len, 0);
    message
}

fn footer(schema: &Schema, batch: Block) -> Vec<u8> {
    let mut fbb = FlatBufferBuilder::new();
    let blocks = fbb.create_vector(&[batch]);
    let none = fbb.create_vector::<Block>(&[]);
    let schema = IpcSchemaEncoder::new().schema_to_fb_offset(&mut fbb, schema);
    let mut footer = FooterBuilder::new(&mut fbb);
    footer.add_version(MetadataVersion::V5);
    footer.add_schema(schema);
    footer.add_dictionaries(none);
    footer.add_recordBatches(blocks);
    let footer = footer.finish();
    fbb.finish(footer, None);
    fbb.finished_data().to_vec()
}
