//! The rows of one page, gathered as columns: every byte is copied once, and nothing is allocated per row.

use super::{TIMESTAMP_MAX, TIMESTAMP_MIN};
use crate::segment::row::Row;
use crate::segment::schema::{Layout, TextColumns, fields};
use crate::types::{PartitionIndex, Timestamp};
use crate::wire::batch::TimestampType;
use arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, Int32Array, Int64Array, ListArray, RecordBatch, StructArray,
    TimestampMicrosecondArray,
};
use arrow_buffer::{Buffer, NullBufferBuilder, OffsetBuffer, ScalarBuffer};
use arrow_schema::{DataType, Schema, SchemaRef};
use parquet::errors::ParquetError;
use std::sync::Arc;

/// Microseconds in one of Kafka's milliseconds.
pub(in crate::segment) const MICROS: i64 = 1000;

/// A page that is being filled.
#[derive(Debug)]
pub(super) struct Page {
    partition: PartitionIndex,
    schema: SchemaRef,
    offsets: Vec<i64>,
    timestamps: Vec<i64>,
    timestamp_types: Vec<i32>,
    keys: ByteColumn,
    values: ByteColumn,
    header_ends: Vec<i32>,
    header_keys: ByteColumn,
    header_values: ByteColumn,
    leader_epochs: Vec<i32>,
    batch_base_offsets: Vec<i64>,
    producer_ids: Vec<i64>,
    producer_epochs: Vec<i32>,
    sequences: Vec<i32>,
    transactional: Vec<bool>,
    codecs: Vec<i32>,
}

impl Page {
    pub(super) fn new(partition: PartitionIndex) -> Page {
        // What is text is known when the file is complete, and written into its footer then.
        let schema = Arc::new(Schema::new(fields(TextColumns::default(), Layout::Contiguous)));
        Page {
            partition,
            schema,
            offsets: Vec::new(),
            timestamps: Vec::new(),
            timestamp_types: Vec::new(),
            keys: ByteColumn::new(),
            values: ByteColumn::new(),
            header_ends: vec![0],
            header_keys: ByteColumn::new(),
            header_values: ByteColumn::new(),
            leader_epochs: Vec::new(),
            batch_base_offsets: Vec::new(),
            producer_ids: Vec::new(),
            producer_epochs: Vec::new(),
            sequences: Vec::new(),
            transactional: Vec::new(),
            codecs: Vec::new(),
        }
    }

    pub(super) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    pub(super) fn rows(&self) -> usize {
        self.offsets.len()
    }

    /// Bytes of keys, values and headers.
    pub(super) fn raw_bytes(&self) -> usize {
        self.byte_columns().iter().map(|column| column.bytes.len()).sum()
    }

    /// Bytes of memory that it holds.
    pub(super) fn memory(&self) -> usize {
        let bytes: usize = self.byte_columns().iter().map(|column| column.memory()).sum();
        let rows = self.offsets.capacity();
        bytes + rows * (4 * size_of::<i64>() + 6 * size_of::<i32>() + 1)
    }

    fn byte_columns(&self) -> [&ByteColumn; 4] {
        [&self.keys, &self.values, &self.header_keys, &self.header_values]
    }

    #[inline]
    pub(super) fn push(&mut self, row: &Row<'_>) {
        self.offsets.push(row.offset.get());
        self.timestamps.push(micros(row.timestamp));
        self.timestamp_types.push(match row.timestamp_type {
            TimestampType::CreateTime => 0,
            TimestampType::LogAppendTime => 1,
        });
        self.keys.push(row.key);
        self.values.push(row.value);
        for header in row.headers {
            self.header_keys.push(Some(header.key));
            self.header_values.push(header.value);
        }
        self.header_ends.push(self.header_keys.end());
        self.leader_epochs.push(row.leader_epoch.0);
        self.batch_base_offsets.push(row.batch_base_offset.get());
        self.producer_ids.push(row.producer_id.0);
        self.producer_epochs.push(i32::from(row.producer_epoch.0));
        self.sequences.push(row.sequence);
        self.transactional.push(row.transactional);
        self.codecs.push(i32::from(row.codec.bits()));
    }

    /// Which columns have nothing but valid UTF-8 so far.
    pub(super) fn text(&self) -> TextColumns {
        TextColumns {
            key: self.keys.is_text(),
            value: self.values.is_text(),
            header_key: self.header_keys.is_text(),
        }
    }

    /// Its rows as arrays; it is empty afterwards.
    pub(super) fn take(&mut self) -> Result<RecordBatch, ParquetError> {
        let rows = self.rows();
        let timestamps = std::mem::replace(&mut self.timestamps, Vec::with_capacity(rows));
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Int32Array::from(vec![self.partition.0; rows])),
            take_i64(&mut self.offsets),
            Arc::new(TimestampMicrosecondArray::from(timestamps).with_timezone("UTC")),
            take_i32(&mut self.timestamp_types),
            Arc::new(self.keys.take()?),
            Arc::new(self.values.take()?),
            self.take_headers()?,
            take_i32(&mut self.leader_epochs),
            take_i64(&mut self.batch_base_offsets),
            take_i64(&mut self.producer_ids),
            take_i32(&mut self.producer_epochs),
            take_i32(&mut self.sequences),
            Arc::new(BooleanArray::from(std::mem::take(&mut self.transactional))),
            take_i32(&mut self.codecs),
        ];
        Ok(RecordBatch::try_new(self.schema.clone(), columns)?)
    }

    fn take_headers(&mut self) -> Result<ArrayRef, ParquetError> {
        let ends = std::mem::replace(&mut self.header_ends, vec![0]);
        let column = self.schema.field_with_name("headers")?;
        let DataType::List(element) = column.data_type() else {
            return Err(ParquetError::General("headers are a list".to_owned()));
        };
        let DataType::Struct(parts) = element.data_type() else {
            return Err(ParquetError::General("a header is a struct".to_owned()));
        };
        let (keys, values) = (self.header_keys.take()?, self.header_values.take()?);
        let headers = StructArray::try_new(parts.clone(), vec![Arc::new(keys), Arc::new(values)], None)?;
        let ends = OffsetBuffer::new(ScalarBuffer::from(ends));
        Ok(Arc::new(ListArray::try_new(element.clone(), ends, Arc::new(headers), None)?))
    }
}

/// Clamped to what the column can hold.
fn micros(timestamp: Timestamp) -> i64 {
    timestamp.clamp(TIMESTAMP_MIN, TIMESTAMP_MAX).get() * MICROS
}

fn take_i64(values: &mut Vec<i64>) -> ArrayRef {
    let next = Vec::with_capacity(values.len());
    Arc::new(Int64Array::from(std::mem::replace(values, next)))
}

fn take_i32(values: &mut Vec<i32>) -> ArrayRef {
    let next = Vec::with_capacity(values.len());
    Arc::new(Int32Array::from(std::mem::replace(values, next)))
}

/// Values of bytes, some of them null, as Arrow has them.
#[derive(Debug)]
struct ByteColumn {
    bytes: Vec<u8>,
    ends: Vec<i32>,
    nulls: NullBufferBuilder,
}

impl ByteColumn {
    fn new() -> ByteColumn {
        ByteColumn { bytes: Vec::new(), ends: vec![0], nulls: NullBufferBuilder::new(0) }
    }

    #[inline]
    fn push(&mut self, value: Option<&[u8]>) {
        self.bytes.extend_from_slice(value.unwrap_or_default());
        self.ends.push(i32::try_from(self.bytes.len()).expect("a page is closed long before 2 GiB"));
        self.nulls.append(value.is_some());
    }

    /// How many values.
    fn end(&self) -> i32 {
        i32::try_from(self.ends.len() - 1).expect("a page is closed long before 2^31 headers")
    }

    fn memory(&self) -> usize {
        self.bytes.capacity() + self.ends.capacity() * size_of::<i32>() + self.nulls.allocated_size()
    }

    fn is_text(&self) -> bool {
        // No value of a text in ASCII can end within a character.
        self.bytes.is_ascii() || self.values().all(|value| std::str::from_utf8(value).is_ok())
    }

    fn values(&self) -> impl Iterator<Item = &[u8]> {
        // Null values are empty here.
        self.ends.windows(2).map(|ends| &self.bytes[ends[0] as usize..ends[1] as usize])
    }

    fn take(&mut self) -> Result<BinaryArray, ParquetError> {
        let next = Vec::with_capacity(self.bytes.len());
        let bytes = Buffer::from_vec(std::mem::replace(&mut self.bytes, next));
        let mut next = Vec::with_capacity(self.ends.len());
        next.push(0);
        let ends = OffsetBuffer::new(ScalarBuffer::from(std::mem::replace(&mut self.ends, next)));
        Ok(BinaryArray::try_new(ends, bytes, self.nulls.finish())?)
    }
}
