//! One chunk as the Parquet library wants to see it: a row group whose columns have a single page each.
//!
//! The library finds a column's dictionary right before its first page. Here the two are parts of their own: they
//! are shown as if the page followed the dictionary, at the place where the column begins in the file.

use super::footer::SegmentFooter;
use super::{ChunkId, FetchedRanges};
use crate::segment::error::DamagedSegment;
use crate::segment::schema::LEAVES;
use arrow_array::RecordBatch;
use bytes::{Buf, Bytes};
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, RowGroups};
use parquet::column::page::{PageIterator, PageReader};
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};
use parquet::file::page_index::offset_index::PageLocation;
use parquet::file::reader::{ChunkReader, Length};
use parquet::file::serialized_reader::SerializedPageReader;
use std::sync::Arc;

/// Decodes all columns of a chunk.
pub(super) fn decode(
    footer: &SegmentFooter,
    chunk: ChunkId,
    fetched: &FetchedRanges,
) -> std::result::Result<RecordBatch, DamagedSegment> {
    let parts = footer.verified(chunk, fetched)?;
    let entry = footer.entry(chunk).ok_or_else(|| DamagedSegment::new("there is no such chunk"))?;
    let (row_group, rows) = (entry.row_group as usize, entry.rows as usize);
    let pages = ChunkPages { footer, row_group, rows, columns: columns(footer, chunk, parts) };
    let mut reader = ParquetRecordBatchReader::try_new_with_row_groups(&footer.levels, &pages, rows, None)?;
    let batch = reader.next().transpose().map_err(DamagedSegment::new)?;
    match batch {
        Some(batch) if batch.num_rows() == rows => Ok(batch),
        _ => Err(DamagedSegment::new("a chunk has fewer rows than it says")),
    }
}

/// The dictionary, which may be empty, and the page of each column.
fn columns(footer: &SegmentFooter, chunk: ChunkId, parts: Vec<Bytes>) -> Vec<(Bytes, Bytes)> {
    let mut parts = parts.into_iter();
    let mut next = |is_there: bool| if is_there { parts.next().unwrap_or_default() } else { Bytes::new() };
    let ranges = (0..LEAVES).map(|leaf| footer.table.column(chunk.0 as usize, leaf));
    ranges.map(|(dictionary, page)| (next(!dictionary.is_empty()), next(!page.is_empty()))).collect()
}

struct ChunkPages<'a> {
    footer: &'a SegmentFooter,
    row_group: usize,
    rows: usize,
    columns: Vec<(Bytes, Bytes)>,
}

impl RowGroups for ChunkPages<'_> {
    fn num_rows(&self) -> usize {
        self.rows
    }

    fn column_chunks(&self, column: usize) -> Result<Box<dyn PageIterator>> {
        let parts = self.columns.get(column).cloned();
        let (dictionary, page) =
            parts.ok_or_else(|| ParquetError::General("there is no such column".to_owned()))?;
        let metadata = self.footer.metadata.row_group(self.row_group).column(column);
        let start = metadata.dictionary_page_offset().unwrap_or(metadata.data_page_offset());
        let bytes = ColumnBytes { start: u64::try_from(start)?, dictionary, page };
        let page = PageLocation {
            offset: start.saturating_add(i64::try_from(bytes.dictionary.len())?),
            compressed_page_size: i32::try_from(bytes.page.len())?,
            first_row_index: 0,
        };
        let reader = SerializedPageReader::new(Arc::new(bytes), metadata, self.rows, Some(vec![page]))?;
        Ok(Box::new(OneColumn(Some(Box::new(reader)))))
    }

    fn row_groups(&self) -> Box<dyn Iterator<Item = &RowGroupMetaData> + '_> {
        Box::new(std::iter::once(self.footer.metadata.row_group(self.row_group)))
    }

    fn metadata(&self) -> &ParquetMetaData {
        &self.footer.metadata
    }
}

/// A dictionary, which may be empty, and a page right behind it.
struct ColumnBytes {
    start: u64,
    dictionary: Bytes,
    page: Bytes,
}

impl Length for ColumnBytes {
    fn len(&self) -> u64 {
        self.start + (self.dictionary.len() + self.page.len()) as u64
    }
}

impl ChunkReader for ColumnBytes {
    type T = bytes::buf::Reader<Bytes>;

    fn get_read(&self, start: u64) -> Result<Self::T> {
        Ok(self.from(start)?.reader())
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        let bytes = self.from(start)?;
        if length > bytes.len() {
            return Err(ParquetError::EOF("a page ends early".to_owned()));
        }
        Ok(bytes.slice(..length))
    }
}

impl ColumnBytes {
    fn from(&self, start: u64) -> Result<Bytes> {
        let outside = || ParquetError::EOF("a page begins outside of its column".to_owned());
        let skip = usize::try_from(start.checked_sub(self.start).ok_or_else(outside)?)?;
        match skip.checked_sub(self.dictionary.len()) {
            Some(skip) if skip <= self.page.len() => Ok(self.page.slice(skip..)),
            Some(_) => Err(outside()),
            None => Ok(self.dictionary.slice(skip..)),
        }
    }
}

struct OneColumn(Option<Box<dyn PageReader>>);

impl Iterator for OneColumn {
    type Item = Result<Box<dyn PageReader>>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.take().map(Ok)
    }
}

impl PageIterator for OneColumn {}
