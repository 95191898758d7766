//! The page index of a file as a table of chunks: verified once, then a binary search away.

use crate::segment::error::DamagedSegment;
use crate::segment::schema::{LEAVES, Leaf};
use crate::segment::writer::MICROS;
use crate::types::{Offset, Timestamp};
use parquet::file::metadata::page_index::RowGroupPageIndex;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData};
use parquet::file::page_index::column_index::ColumnIndexMetaData;
use std::ops::Range;

/// Every chunk of a file.
#[derive(Debug)]
pub(in crate::segment) struct PageTable {
    /// In the order of their offsets.
    pub chunks: Vec<ChunkEntry>,
    /// [`LEAVES`] a chunk.
    pages: Vec<Range<u64>>,
    /// [`LEAVES`] a row group; empty where there is none.
    dictionaries: Vec<Range<u64>>,
}

/// One page of every column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::segment) struct ChunkEntry {
    pub row_group: u32,
    pub rows: u32,
    pub first: Offset,
    pub last: Offset,
    pub max_timestamp: Timestamp,
}

impl PageTable {
    /// The dictionary and the data page of a column.
    pub fn column(&self, chunk: usize, leaf: usize) -> (Range<u64>, Range<u64>) {
        let row_group = self.chunks[chunk].row_group as usize;
        (self.dictionaries[row_group * LEAVES + leaf].clone(), self.pages[chunk * LEAVES + leaf].clone())
    }

    /// The byte ranges that make up a chunk, in the order of its checksum.
    pub fn parts(&self, chunk: usize) -> Vec<Range<u64>> {
        let columns = (0..LEAVES).map(|leaf| self.column(chunk, leaf));
        columns.flat_map(|(dictionary, page)| [dictionary, page]).filter(|range| !range.is_empty()).collect()
    }

    /// Bytes of memory.
    pub fn memory(&self) -> usize {
        let ranges = self.pages.capacity() + self.dictionaries.capacity();
        ranges * size_of::<Range<u64>>() + self.chunks.capacity() * size_of::<ChunkEntry>()
    }
}

/// Reads the page index of `metadata` and sees that it is that of a segment of `file_bytes`: every column has the
/// same pages, all of them lie within their columns, and offsets ascend.
pub(in crate::segment) fn page_table(
    metadata: &ParquetMetaData,
    file_bytes: u64,
) -> Result<PageTable, DamagedSegment> {
    let mut table = PageTable { chunks: Vec::new(), pages: Vec::new(), dictionaries: Vec::new() };
    for (index, row_group) in metadata.row_groups().iter().enumerate() {
        if row_group.num_columns() != LEAVES {
            return Err(DamagedSegment::new("a row group lacks columns"));
        }
        let page_index = metadata.page_index_for_row_group(index);
        let row_counts = row_counts(&page_index, row_group.num_rows())?;
        append_chunks(&mut table, index, &page_index, &row_counts)?;
        let first_page = table.pages.len();
        table.pages.resize(first_page + row_counts.len() * LEAVES, 0..0);
        for leaf in 0..LEAVES {
            let whole = column_range(row_group.column(leaf), file_bytes)?;
            let pages = pages_of(&page_index, leaf, &whole, &row_counts)?;
            table.dictionaries.push(whole.start..pages[0].start);
            for (page, range) in pages.into_iter().enumerate() {
                table.pages[first_page + page * LEAVES + leaf] = range;
            }
        }
    }
    Ok(table)
}

/// Rows of each page of the offset column, to which all others must be equal.
fn row_counts(page_index: &RowGroupPageIndex, rows: i64) -> Result<Vec<u32>, DamagedSegment> {
    let locations =
        page_index.page_locations(Leaf::Offset as usize).ok_or_else(|| wrong("there is no page index"))?;
    let starts = locations.iter().map(|page| page.first_row_index);
    let ends = starts.clone().skip(1).chain([rows]);
    if locations.first().is_none_or(|page| page.first_row_index != 0) {
        return Err(wrong("pages do not begin with the first row"));
    }
    let counts = starts.zip(ends).map(|(start, end)| u32::try_from(end.checked_sub(start)?).ok());
    let counts = counts.map(|count| count.filter(|count| *count > 0));
    counts.collect::<Option<_>>().ok_or_else(|| wrong("pages have no rows"))
}

fn append_chunks(
    table: &mut PageTable,
    row_group: usize,
    page_index: &RowGroupPageIndex,
    row_counts: &[u32],
) -> Result<(), DamagedSegment> {
    let (first, last) = bounds(page_index, Leaf::Offset, row_counts.len())?;
    let (_, latest) = bounds(page_index, Leaf::Timestamp, row_counts.len())?;
    let row_group = u32::try_from(row_group).map_err(DamagedSegment::new)?;
    for (page, rows) in row_counts.iter().enumerate() {
        let chunk = ChunkEntry {
            row_group,
            rows: *rows,
            first: Offset(first[page]),
            last: Offset(last[page]),
            max_timestamp: Timestamp(latest[page].div_euclid(MICROS)),
        };
        let before = table.chunks.last().map_or(Offset(-1), |chunk| chunk.last);
        if chunk.first <= before || chunk.last < chunk.first || chunk.last.get() == i64::MAX {
            return Err(wrong("offsets do not ascend"));
        }
        table.chunks.push(chunk);
    }
    Ok(())
}

/// The least and the greatest value of each page.
fn bounds(
    page_index: &RowGroupPageIndex,
    leaf: Leaf,
    pages: usize,
) -> Result<(&[i64], &[i64]), DamagedSegment> {
    match page_index.column_index(leaf as usize) {
        Some(ColumnIndexMetaData::INT64(index))
            if index.min_values().len() == pages && index.max_values().len() == pages =>
        {
            Ok((index.min_values(), index.max_values()))
        }
        _ => Err(wrong("there is no column index")),
    }
}

/// Where a column of a row group lies, its dictionary included.
fn column_range(column: &ColumnChunkMetaData, file_bytes: u64) -> Result<Range<u64>, DamagedSegment> {
    let start = column.dictionary_page_offset().unwrap_or(column.data_page_offset());
    let range = u64::try_from(start).ok().zip(u64::try_from(column.compressed_size()).ok());
    let range = range.and_then(|(start, bytes)| Some(start..start.checked_add(bytes)?));
    range.filter(|range| range.end <= file_bytes).ok_or_else(|| wrong("a column lies outside of the file"))
}

fn pages_of(
    page_index: &RowGroupPageIndex,
    leaf: usize,
    whole: &Range<u64>,
    row_counts: &[u32],
) -> Result<Vec<Range<u64>>, DamagedSegment> {
    let locations = page_index.page_locations(leaf).ok_or_else(|| wrong("a column has no page index"))?;
    if locations.len() != row_counts.len() {
        return Err(wrong("columns have different pages"));
    }
    let mut first_row = 0;
    let mut position = whole.start;
    let mut pages = Vec::with_capacity(locations.len());
    for (location, rows) in locations.iter().zip(row_counts) {
        let start = u64::try_from(location.offset).map_err(DamagedSegment::new)?;
        let bytes = u64::try_from(location.compressed_page_size).map_err(DamagedSegment::new)?;
        if location.first_row_index != first_row || start < position || bytes == 0 {
            return Err(wrong("columns have different pages"));
        }
        position = start.saturating_add(bytes);
        first_row += i64::from(*rows);
        pages.push(start..position);
    }
    if position > whole.end { Err(wrong("a page lies outside of its column")) } else { Ok(pages) }
}

fn wrong(why: &str) -> DamagedSegment {
    DamagedSegment::new(why)
}
