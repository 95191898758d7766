//! Records in the order of their offsets to the bytes of a segment.
//!
//! ```text
//! append(batch) ─┐
//!                ├▶ page of columns ─1,500 rows▶ encoded, compressed pages ─128 MiB raw▶ row group ─▶ bytes
//! append_row ────┘                                                        finish ▶ indexes, checksums, footer
//! ```
//!
//! Memory: one page of rows, the encoded pages of the row group, and the file so far, which is small beside the
//! records; [`SegmentWriter::memory`] says how much.

mod close;
mod page;
mod properties;

use super::error::WriteError;
use super::row::{Row, RowHeaders};
use super::schema::{self, TextColumns};
use crate::types::{Offset, Timestamp, TopicPartition};
use crate::wire::batch::{BatchHeader, Codec, DecodedBatch, ReadError, Record};
use bytes::Bytes;
use page::Page;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use std::ops::Range;

pub(super) use close::{BASE_OFFSET_KEY, END_OFFSET_KEY, PARTITION_KEY, TOPIC_ID_KEY};
pub(super) use close::{CHUNKS_KEY, FOOTER_KEY, FORMAT, FORMAT_KEY, INDEXES_KEY};
pub(super) use page::MICROS;

/// The latest time that a column of microseconds can hold. A later one, which an earlier release took, is stored as this.
pub const TIMESTAMP_MAX: Timestamp = Timestamp::LATEST;

/// The earliest time, likewise.
pub const TIMESTAMP_MIN: Timestamp = Timestamp::EARLIEST;

/// Bytes of one record at most: what fits into a page, and every engine's memory, with much to spare.
const RECORD_BYTES_MAX: usize = 1 << 30;

/// How a segment is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentOptions {
    /// Whether keys and values that are valid UTF-8 are to be strings (`cenote.parquet.text`): see [`schema`].
    pub text: bool,
    /// Rows of a page, hence of a chunk.
    pub page_rows: usize,
    /// Raw bytes at which a page is closed early, with its row group, so that a chunk stays small.
    pub page_bytes_max: usize,
    /// Raw bytes of a row group at most, if no page is larger.
    pub row_group_bytes_max: usize,
    /// 1 to 22.
    pub zstd_level: i32,
    /// Of a batch's records when decompressed; more is an error.
    pub decompressed_bytes_max: usize,
}

impl Default for SegmentOptions {
    fn default() -> SegmentOptions {
        SegmentOptions {
            text: false,
            page_rows: 1500,
            page_bytes_max: 8 << 20,
            row_group_bytes_max: 128 << 20,
            zstd_level: 1,
            decompressed_bytes_max: RECORD_BYTES_MAX,
        }
    }
}

/// A segment ready to be put.
#[derive(Clone, Debug)]
pub struct Segment {
    /// The whole file.
    pub bytes: Bytes,
    /// What a manifest says of it.
    pub summary: SegmentSummary,
}

/// What is known of a segment without reading it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentSummary {
    /// The offsets that it covers; there may be gaps, at both ends too.
    pub offsets: Range<Offset>,
    /// Its records.
    pub rows: u64,
    /// Those with a key and no value.
    pub tombstones: u64,
    /// Bytes of their keys, values and headers.
    pub raw_bytes: u64,
    /// Of the file.
    pub file_bytes: u64,
    /// The least of its timestamps, [`Timestamp::NONE`] included.
    pub min_timestamp: Timestamp,
    /// The greatest.
    pub max_timestamp: Timestamp,
    /// The first record with `max_timestamp`.
    pub max_timestamp_offset: Offset,
    /// CRC-32C of the file.
    pub crc32c: u32,
}

/// Writes one segment, in memory.
pub struct SegmentWriter {
    topic_partition: TopicPartition,
    options: SegmentOptions,
    page: Page,
    file: ArrowWriter<Vec<u8>>,
    text: TextColumns,
    row_group_bytes: usize,
    totals: Totals,
}

/// Over the rows so far.
#[derive(Clone, Copy, Debug)]
struct Totals {
    rows: u64,
    tombstones: u64,
    raw_bytes: u64,
    first: Offset,
    last: Offset,
    min_timestamp: Timestamp,
    max_timestamp: Timestamp,
    max_timestamp_offset: Offset,
}

impl SegmentWriter {
    /// A segment of one partition, without rows so far. An error means options out of range.
    pub fn new(
        topic_partition: TopicPartition,
        options: SegmentOptions,
    ) -> Result<SegmentWriter, WriteError> {
        let options = SegmentOptions { page_rows: options.page_rows.max(1), ..options };
        let page = Page::new(topic_partition.partition);
        let schema = schema::parquet_schema(TextColumns::default())?;
        let writer_options = ArrowWriterOptions::new()
            .with_properties(properties::properties(&schema, &options)?)
            .with_parquet_schema(schema)
            .with_skip_arrow_metadata(true);
        let file = ArrowWriter::try_new_with_options(Vec::new(), page.schema().clone(), writer_options)?;
        let text = TextColumns { key: options.text, value: options.text, header_key: true };
        let totals = Totals {
            rows: 0,
            tombstones: 0,
            raw_bytes: 0,
            first: Offset::ZERO,
            last: Offset::ZERO,
            min_timestamp: Timestamp::NONE,
            max_timestamp: Timestamp::NONE,
            max_timestamp_offset: Offset::ZERO,
        };
        Ok(SegmentWriter { topic_partition, options, page, file, text, row_group_bytes: 0, totals })
    }

    /// Adds the records of one batch as the log has it: stamped, committed, no marker, above all that came before.
    pub fn append(&mut self, batch: &Bytes) -> Result<(), WriteError> {
        let batch = DecodedBatch::decode(batch, self.options.decompressed_bytes_max)?;
        if batch.header.is_control() {
            return Err(WriteError::ControlBatch(batch.header.base_offset));
        }
        let codec = batch.header.codec().unwrap_or_default();
        for record in batch.records() {
            let record = record.map_err(ReadError::from)?;
            self.append_row(&row_of(&batch.header, codec, &record))?;
        }
        Ok(())
    }

    /// Adds one row, as from another segment, above all that came before.
    #[inline]
    pub fn append_row(&mut self, row: &Row<'_>) -> Result<(), WriteError> {
        let raw_bytes = row.raw_bytes();
        if self.totals.rows > 0 && row.offset <= self.totals.last {
            return Err(WriteError::NotAscending { last: self.totals.last, got: row.offset });
        }
        if raw_bytes > RECORD_BYTES_MAX {
            return Err(WriteError::RecordTooLarge { offset: row.offset, bytes: raw_bytes });
        }
        if self.page.rows() > 0 && self.page.raw_bytes() + raw_bytes > self.options.page_bytes_max {
            self.close_page()?;
            self.close_row_group()?;
        }
        self.totals.add(row, raw_bytes);
        self.page.push(row);
        if self.page.rows() >= self.options.page_rows { self.close_page() } else { Ok(()) }
    }

    /// Rows so far.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.totals.rows
    }

    /// Bytes of keys, values and headers so far.
    #[must_use]
    pub fn raw_bytes(&self) -> u64 {
        self.totals.raw_bytes
    }

    /// About the bytes of the file so far, without the page that is being filled.
    #[must_use]
    pub fn file_bytes(&self) -> u64 {
        (self.file.bytes_written() + self.file.in_progress_size()) as u64
    }

    /// About the bytes of memory that it holds.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.page.memory() + self.file.memory_size() + self.file.inner().capacity()
    }

    /// Ends the file, which is to cover `offsets`.
    pub fn finish(mut self, offsets: Range<Offset>) -> Result<Segment, WriteError> {
        let totals = self.totals;
        if totals.rows == 0 {
            return Err(WriteError::NoRows);
        }
        if totals.first < offsets.start || totals.last >= offsets.end {
            let rows = totals.first..Offset(totals.last.get().saturating_add(1));
            return Err(WriteError::OutsideOffsets { rows, offsets });
        }
        self.close_page()?;
        self.close_row_group()?;
        let bytes = close::close(self.file, self.text, self.topic_partition, &offsets)?;
        let summary = SegmentSummary {
            offsets,
            rows: totals.rows,
            tombstones: totals.tombstones,
            raw_bytes: totals.raw_bytes,
            file_bytes: bytes.len() as u64,
            min_timestamp: totals.min_timestamp,
            max_timestamp: totals.max_timestamp,
            max_timestamp_offset: totals.max_timestamp_offset,
            crc32c: super::checksum::crc32c([&bytes[..]]),
        };
        Ok(Segment { bytes: Bytes::from(bytes), summary })
    }

    fn close_page(&mut self) -> Result<(), WriteError> {
        let raw_bytes = self.page.raw_bytes();
        if self.row_group_bytes + raw_bytes > self.options.row_group_bytes_max {
            self.close_row_group()?;
        }
        let found = if self.text == TextColumns::default() { self.text } else { self.page.text() };
        self.text.key &= found.key;
        self.text.value &= found.value;
        self.text.header_key &= found.header_key;
        self.file.write(&self.page.take()?)?;
        self.row_group_bytes += raw_bytes;
        Ok(())
    }

    fn close_row_group(&mut self) -> Result<(), WriteError> {
        self.row_group_bytes = 0;
        Ok(self.file.flush()?)
    }
}

impl Totals {
    fn add(&mut self, row: &Row<'_>, raw_bytes: usize) {
        let timestamp = row.timestamp.clamp(TIMESTAMP_MIN, TIMESTAMP_MAX);
        if self.rows == 0 {
            self.first = row.offset;
            self.min_timestamp = timestamp;
        }
        if self.rows == 0 || timestamp > self.max_timestamp {
            (self.max_timestamp, self.max_timestamp_offset) = (timestamp, row.offset);
        }
        self.min_timestamp = self.min_timestamp.min(timestamp);
        self.last = row.offset;
        self.rows += 1;
        self.tombstones += u64::from(row.key.is_some() && row.value.is_none());
        self.raw_bytes += raw_bytes as u64;
    }
}

impl std::fmt::Debug for SegmentWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SegmentWriter({}, {} rows)", self.topic_partition, self.totals.rows)
    }
}

fn row_of<'a>(header: &BatchHeader, codec: Codec, record: &Record<'a>) -> Row<'a> {
    Row {
        offset: record.offset,
        timestamp: record.timestamp,
        timestamp_type: header.timestamp_type(),
        key: record.key,
        value: record.value,
        headers: RowHeaders::of_record(record.headers),
        leader_epoch: header.partition_leader_epoch,
        batch_base_offset: header.base_offset,
        producer_id: header.producer_id,
        producer_epoch: header.producer_epoch,
        sequence: sequence_of(header, record.offset),
        transactional: header.is_transactional(),
        codec,
    }
}

/// A record's own sequence number: after the greatest `i32` comes 0. -1 where its batch has none.
fn sequence_of(header: &BatchHeader, offset: Offset) -> i32 {
    if header.base_sequence < 0 {
        return -1;
    }
    super::row::sequence_after(header.base_sequence, offset - header.base_offset)
}
