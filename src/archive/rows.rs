//! Reads the rows of segments from the first to the last, for those who write them anew.
//!
//! Memory: a piece of the file, and one decoded chunk of it at a time.

use super::error::ArchiveError;
use crate::log::SegmentRef;
use crate::segment::{ChunkId, DamagedSegment, FetchedRanges, LoadError, ReadAt, Row, SegmentFooter};
use crate::store::{ObjectPath, ObjectStore, StoreError};
use bytes::Bytes;
use std::ops::{ControlFlow, Range};
use std::sync::Arc;

/// A segment that was opened.
#[derive(Clone, Debug)]
pub(super) struct SegmentRows {
    path: ObjectPath,
    footer: Arc<SegmentFooter>,
}

/// A run of chunks whose bytes were read.
#[derive(Debug)]
pub(super) struct Piece {
    path: ObjectPath,
    footer: Arc<SegmentFooter>,
    chunks: Range<u32>,
    fetched: FetchedRanges,
}

/// Bytes of the file that are read together, if a chunk is not larger.
const PIECE_BYTES: u64 = 8 * 1024 * 1024;
/// Ranges of a file closer than this are read as one.
const GAP_BYTES_MAX: u64 = 64 * 1024;

impl SegmentRows {
    /// Reads the footer, and sees that the file is what the manifest says.
    pub async fn open(store: &ObjectStore, wanted: &SegmentRef) -> Result<SegmentRows, ArchiveError> {
        let path = wanted.path.clone();
        let source = Source { store, path: &path, bytes: wanted.segment.file_bytes };
        let footer = SegmentFooter::load(&source).await.map_err(|error| match error {
            LoadError::Read(error) => ArchiveError::Store(error),
            LoadError::Damaged(error) => damaged(&path, &error),
        })?;
        let is_it = footer.topic_partition() == wanted.topic_partition
            && footer.offsets() == wanted.segment.offsets
            && footer.rows() == wanted.segment.rows;
        if !is_it {
            return Err(ArchiveError::Damaged { path, why: "it is another segment".to_owned() });
        }
        Ok(SegmentRows { path, footer: Arc::new(footer) })
    }

    /// All its chunks.
    pub fn chunks(&self) -> Range<u32> {
        self.footer.chunks().start.0..self.footer.chunks().end.0
    }

    /// Reads the first of these chunks, and more of them while they are small. None is left: nothing.
    pub async fn read(
        &self,
        store: &ObjectStore,
        left: &mut Range<u32>,
    ) -> Result<Option<Piece>, ArchiveError> {
        if left.start >= left.end {
            return Ok(None);
        }
        let (start, mut bytes) = (left.start, 0);
        while left.start < left.end && (bytes < PIECE_BYTES || left.start == start) {
            bytes += self.footer.chunk_file_bytes(ChunkId(left.start));
            left.start += 1;
        }
        let chunks = start..left.start;
        let mut fetched = FetchedRanges::default();
        for range in self.footer.chunk_ranges(ChunkId(chunks.start)..ChunkId(chunks.end), GAP_BYTES_MAX) {
            fetched.push(range.clone(), store.get_range(&self.path, range).await?);
        }
        Ok(Some(Piece { path: self.path.clone(), footer: Arc::clone(&self.footer), chunks, fetched }))
    }
}

impl Piece {
    /// Shows every row, in order, until it is told to break off. Work for a processor.
    pub fn each(
        &self,
        mut show: impl FnMut(&Row<'_>) -> Result<ControlFlow<()>, ArchiveError>,
    ) -> Result<ControlFlow<()>, ArchiveError> {
        for chunk in self.chunks.clone() {
            let rows = self.footer.decode_rows(ChunkId(chunk), &self.fetched);
            let rows = rows.map_err(|error| damaged(&self.path, &error))?;
            for row in rows.iter() {
                if show(&row)?.is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
        }
        Ok(ControlFlow::Continue(()))
    }
}

fn damaged(path: &ObjectPath, error: &DamagedSegment) -> ArchiveError {
    ArchiveError::Damaged { path: path.clone(), why: error.to_string() }
}

struct Source<'a> {
    store: &'a ObjectStore,
    path: &'a ObjectPath,
    bytes: u64,
}

impl ReadAt for Source<'_> {
    type Error = StoreError;

    fn size(&self) -> u64 {
        self.bytes
    }

    fn read(&self, range: Range<u64>) -> impl Future<Output = Result<Bytes, StoreError>> + Send {
        self.store.get_range(self.path, range)
    }
}
