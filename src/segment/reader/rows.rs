//! The rows of a chunk: its decoded columns, and a borrowed view of each row.

use super::batches::RecordParts;
use super::footer::SegmentFooter;
use super::{Chunk, ChunkCodec, ChunkId, FetchedRanges, batches, pages};
use crate::segment::error::DamagedSegment;
use crate::segment::row::{Row, RowHeaders};
use crate::segment::writer::MICROS;
use crate::types::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp};
use crate::wire::batch::{Codec, TimestampType};
use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef, BinaryViewArray, BooleanArray, PrimitiveArray, RecordBatch};
use arrow_buffer::{OffsetBuffer, ScalarBuffer};
use arrow_schema::DataType;
use std::ops::Range;

/// The records of a chunk, decoded and verified.
#[derive(Clone, Debug)]
pub struct ChunkRows {
    batch: RecordBatch,
    answers: Range<Offset>,
    /// Its length in the file.
    stored_bytes: usize,
    offsets: ScalarBuffer<i64>,
    timestamps: ScalarBuffer<i64>,
    timestamp_types: ScalarBuffer<i32>,
    keys: BinaryViewArray,
    values: BinaryViewArray,
    header_ends: OffsetBuffer<i32>,
    header_keys: BinaryViewArray,
    header_values: BinaryViewArray,
    leader_epochs: ScalarBuffer<i32>,
    batch_base_offsets: ScalarBuffer<i64>,
    producer_ids: ScalarBuffer<i64>,
    producer_epochs: ScalarBuffer<i32>,
    sequences: ScalarBuffer<i32>,
    transactional: BooleanArray,
    codecs: ScalarBuffer<i32>,
}

impl SegmentFooter {
    /// Decodes a chunk whose bytes are among `fetched`.
    pub fn decode_rows(&self, chunk: ChunkId, fetched: &FetchedRanges) -> Result<ChunkRows, DamagedSegment> {
        let answers = self.chunk_offsets(chunk).ok_or_else(|| wrong("there is no such chunk"))?;
        let stored_bytes = usize::try_from(self.chunk_file_bytes(chunk)).unwrap_or(usize::MAX);
        let rows = ChunkRows::of(pages::decode(self, chunk, fetched)?, answers, stored_bytes)?;
        let entry = self.entry(chunk).ok_or_else(|| wrong("there is no such chunk"))?;
        let bounds = (rows.offsets.first().copied(), rows.offsets.last().copied());
        if bounds != (Some(entry.first.get()), Some(entry.last.get())) {
            return Err(wrong("a chunk has other offsets than its index says"));
        }
        let partition = self.topic_partition().partition.0;
        let partitions = numbers_i32(rows.batch.column(0))?;
        if partitions.iter().any(|found| *found != partition) {
            return Err(wrong("a chunk has rows of another partition"));
        }
        Ok(rows)
    }

    /// Decodes a chunk and encodes it as record batches.
    pub fn decode_chunk(
        &self,
        chunk: ChunkId,
        fetched: &FetchedRanges,
        codec: ChunkCodec,
    ) -> Result<Chunk, DamagedSegment> {
        Ok(self.decode_rows(chunk, fetched)?.encode(codec))
    }
}

impl ChunkRows {
    fn of(
        batch: RecordBatch,
        answers: Range<Offset>,
        stored_bytes: usize,
    ) -> Result<ChunkRows, DamagedSegment> {
        let column = |index: usize| batch.columns().get(index).ok_or_else(|| wrong("a column is missing"));
        let timestamps = column(2)?.as_primitive_opt::<TimestampMicrosecondType>().ok_or_else(mistyped)?;
        let headers = column(6)?.as_list_opt::<i32>().ok_or_else(mistyped)?;
        let parts = headers.values().as_struct_opt().ok_or_else(mistyped)?;
        let [header_keys, header_values] = parts.columns() else { return Err(mistyped()) };
        let rows = ChunkRows {
            answers,
            stored_bytes,
            offsets: numbers_i64(column(1)?)?,
            timestamps: timestamps.values().clone(),
            timestamp_types: numbers_i32(column(3)?)?,
            keys: views(column(4)?)?,
            values: views(column(5)?)?,
            header_ends: headers.offsets().clone(),
            header_keys: views(header_keys)?,
            header_values: views(header_values)?,
            leader_epochs: numbers_i32(column(7)?)?,
            batch_base_offsets: numbers_i64(column(8)?)?,
            producer_ids: numbers_i64(column(9)?)?,
            producer_epochs: numbers_i32(column(10)?)?,
            sequences: numbers_i32(column(11)?)?,
            transactional: column(12)?.as_boolean_opt().ok_or_else(mistyped)?.clone(),
            codecs: numbers_i32(column(13)?)?,
            batch: batch.clone(),
        };
        rows.verify()?;
        Ok(rows)
    }

    /// What the types of the columns do not say.
    fn verify(&self) -> Result<(), DamagedSegment> {
        if self.offsets.windows(2).any(|pair| pair[0] >= pair[1]) {
            return Err(wrong("offsets do not ascend within a chunk"));
        }
        if self.timestamp_types.iter().any(|kind| !(0..=1).contains(kind)) {
            return Err(wrong("there is no such type of timestamps"));
        }
        if self.codecs.iter().any(|bits| codec_of(*bits).is_none()) {
            return Err(wrong("there is no such codec"));
        }
        if self.producer_epochs.iter().any(|epoch| i16::try_from(*epoch).is_err()) {
            return Err(wrong("there is no such producer epoch"));
        }
        Ok(())
    }

    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.offsets.len()
    }

    /// Whether there is none, which does not happen.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.offsets.is_empty()
    }

    /// What the chunk answers: see [`SegmentFooter::chunk_offsets`].
    #[must_use]
    pub fn offsets(&self) -> Range<Offset> {
        self.answers.clone()
    }

    /// About the bytes of memory that it holds.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.batch.get_array_memory_size()
    }

    /// The columns as Arrow arrays, in the order of the schema; byte columns are views.
    #[must_use]
    pub fn columns(&self) -> &RecordBatch {
        &self.batch
    }

    /// All rows, in order.
    pub fn iter(&self) -> impl Iterator<Item = Row<'_>> {
        (0..self.len()).map(|index| self.row(index))
    }

    /// The row at `index`.
    ///
    /// # Panics
    /// When `index` is not below [`ChunkRows::len`].
    #[must_use]
    #[inline]
    pub fn row(&self, index: usize) -> Row<'_> {
        let headers = self.header_ends[index] as usize..self.header_ends[index + 1] as usize;
        Row {
            offset: Offset(self.offsets[index]),
            timestamp: Timestamp(self.timestamps[index].div_euclid(MICROS)),
            timestamp_type: match self.timestamp_types[index] {
                0 => TimestampType::CreateTime,
                _ => TimestampType::LogAppendTime,
            },
            key: value_at(&self.keys, index),
            value: value_at(&self.values, index),
            headers: RowHeaders::of_columns(&self.header_keys, &self.header_values, headers),
            leader_epoch: LeaderEpoch(self.leader_epochs[index]),
            batch_base_offset: Offset(self.batch_base_offsets[index]),
            producer_id: ProducerId(self.producer_ids[index]),
            // Verified when the chunk was decoded.
            producer_epoch: ProducerEpoch(i16::try_from(self.producer_epochs[index]).unwrap_or(-1)),
            sequence: self.sequences[index],
            transactional: self.transactional.value(index),
            codec: codec_of(self.codecs[index]).unwrap_or_default(),
        }
    }

    /// The first record at or after `from` that is not before `timestamp`: what ListOffsets answers.
    #[must_use]
    pub fn first_at_or_after(&self, timestamp: Timestamp, from: Offset) -> Option<Row<'_>> {
        let start = self.offsets.partition_point(|offset| *offset < from.get());
        (start..self.len()).map(|index| self.row(index)).find(|row| row.timestamp >= timestamp)
    }

    /// Bytes of the chunk in its file, where it is compressed.
    pub(super) fn stored_bytes(&self) -> usize {
        self.stored_bytes
    }

    /// Bytes of all keys, values and headers.
    pub(super) fn raw_bytes(&self) -> usize {
        let columns = [&self.keys, &self.values, &self.header_keys, &self.header_values];
        // The lower half of a view is the length of what it shows.
        let lengths = columns.into_iter().flat_map(|column| column.views()).map(|view| *view as u32 as usize);
        lengths.sum()
    }

    /// Where the rows end that may share a batch with the one at `start`: what they have in common is in its header.
    pub(super) fn alike_until(&self, start: usize, codec: ChunkCodec) -> usize {
        let mut rows = start..self.len();
        rows.end = same_until(&self.producer_ids, rows.clone());
        if codec == ChunkCodec::AsProduced {
            rows.end = same_until(&self.codecs, rows.clone());
        }
        rows.end = same_until(&self.producer_epochs, rows.clone());
        rows.end = same_until(&self.leader_epochs, rows.clone());
        rows.end = same_until(&self.timestamp_types, rows.clone());
        if self.timestamp_types[start] != 0 {
            // Of log append time there is one in a batch.
            rows.end = same_until(&self.timestamps, rows.clone());
        }
        let transactional = self.transactional.values();
        let first = transactional.value(start);
        rows.clone().find(|index| transactional.value(*index) != first).unwrap_or(rows.end)
    }

    #[inline]
    pub(super) fn offset(&self, index: usize) -> Offset {
        Offset(self.offsets[index])
    }

    #[inline]
    pub(super) fn timestamp(&self, index: usize) -> Timestamp {
        Timestamp(self.timestamps[index].div_euclid(MICROS))
    }

    #[inline]
    pub(super) fn sequence(&self, index: usize) -> i32 {
        self.sequences[index]
    }

    /// The latest timestamp of these rows, which are some.
    pub(super) fn latest_of(&self, rows: Range<usize>) -> Timestamp {
        let latest = self.timestamps[rows].iter().max().copied().unwrap_or_default();
        Timestamp(latest.div_euclid(MICROS))
    }

    #[inline]
    pub(super) fn record(&self, index: usize) -> RecordParts<'_> {
        let headers = self.header_ends[index] as usize..self.header_ends[index + 1] as usize;
        RecordParts {
            key: value_at(&self.keys, index),
            value: value_at(&self.values, index),
            headers: RowHeaders::of_columns(&self.header_keys, &self.header_values, headers),
        }
    }

    /// The rows as record batches.
    #[must_use]
    pub fn encode(&self, codec: ChunkCodec) -> Chunk {
        Chunk { batches: batches::encode(self, codec), offsets: self.answers.clone() }
    }
}

/// Where those end of `rows` that have the value of the first of them.
fn same_until<T: PartialEq>(column: &[T], rows: Range<usize>) -> usize {
    let values = &column[rows.clone()];
    let differs = values.iter().position(|value| *value != values[0]);
    differs.map_or(rows.end, |same| rows.start + same)
}

#[inline]
fn value_at(column: &BinaryViewArray, index: usize) -> Option<&[u8]> {
    column.is_valid(index).then(|| column.value(index))
}

fn codec_of(bits: i32) -> Option<Codec> {
    i16::try_from(bits).ok().and_then(Codec::from_bits)
}

fn numbers_i32(column: &ArrayRef) -> Result<ScalarBuffer<i32>, DamagedSegment> {
    let column: &PrimitiveArray<Int32Type> = column.as_primitive_opt().ok_or_else(mistyped)?;
    Ok(column.values().clone())
}

fn numbers_i64(column: &ArrayRef) -> Result<ScalarBuffer<i64>, DamagedSegment> {
    let column: &PrimitiveArray<Int64Type> = column.as_primitive_opt().ok_or_else(mistyped)?;
    Ok(column.values().clone())
}

/// A column of bytes or of strings.
fn views(column: &ArrayRef) -> Result<BinaryViewArray, DamagedSegment> {
    match column.data_type() {
        DataType::BinaryView => Ok(column.as_binary_view().clone()),
        DataType::Utf8View => Ok(column.as_string_view().clone().to_binary_view()),
        _ => Err(mistyped()),
    }
}

fn mistyped() -> DamagedSegment {
    wrong("a column has another type")
}

fn wrong(why: &str) -> DamagedSegment {
    DamagedSegment::new(why)
}
