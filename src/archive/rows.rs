//! Shows the rows of a segment from the first to the last, for those who write them anew.
//!
//! Memory: a piece of the file, and one decoded chunk of it at a time.

use super::error::ArchiveError;
use crate::log::SegmentFile;
use crate::segment::{ChunkId, FetchedRanges, Row};
use std::ops::{ControlFlow, Range};

/// A segment's file, piece by piece.
#[derive(Debug)]
pub(super) struct Pieces<'a> {
    file: &'a SegmentFile,
    left: Range<ChunkId>,
}

/// A run of chunks whose bytes were read.
#[derive(Debug)]
pub(super) struct Piece {
    file: SegmentFile,
    chunks: Range<ChunkId>,
    fetched: FetchedRanges,
}

/// Bytes of the file that are read together, if a chunk is not larger.
const PIECE_BYTES: u64 = 8 * 1024 * 1024;

impl Pieces<'_> {
    /// All of `file`.
    pub fn of(file: &SegmentFile) -> Pieces<'_> {
        Pieces { file, left: file.footer().chunks() }
    }

    /// Reads the first of the chunks that are left, and more of them while they are small. None is left: nothing.
    pub async fn next(&mut self) -> Result<Option<Piece>, ArchiveError> {
        let Range { start, end } = self.left;
        if start >= end {
            return Ok(None);
        }
        let mut bytes = 0;
        while self.left.start < end && (bytes < PIECE_BYTES || self.left.start == start) {
            bytes += self.file.footer().chunk_file_bytes(self.left.start);
            self.left.start = ChunkId(self.left.start.0 + 1);
        }
        let chunks = start..self.left.start;
        let fetched = self.file.fetch(chunks.clone()).await?;
        Ok(Some(Piece { file: self.file.clone(), chunks, fetched }))
    }
}

impl Piece {
    /// Shows every row, in order, until it is told to break off. Work for a processor.
    pub fn each(
        &self,
        mut show: impl FnMut(&Row<'_>) -> Result<ControlFlow<()>, ArchiveError>,
    ) -> Result<ControlFlow<()>, ArchiveError> {
        for chunk in (self.chunks.start.0..self.chunks.end.0).map(ChunkId) {
            let rows = self.file.footer().decode_rows(chunk, &self.fetched);
            for row in rows.map_err(|fault| self.file.damaged(fault))?.iter() {
                if show(&row)?.is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
        }
        Ok(ControlFlow::Continue(()))
    }
}
