//! Makes one segment of several, without the rows that are to go. It decides nothing and swaps nothing: what it puts
//! is nobody's until a manifest refers to it.

use super::compact::{DirtyPass, Fate, PassProgress, RowKey, Survivors};
use super::error::ArchiveError;
use super::rows::{Piece, Pieces};
use crate::background::Background;
use crate::log::{SegmentFile, SegmentRef};
use crate::segment::manifest::{Made, Segment};
use crate::segment::{Row, SegmentOptions, SegmentWriter};
use crate::store::{ObjectPath, ObjectStore};
use crate::types::{Offset, TopicPartition};
use std::ops::{ControlFlow, Range};
use std::sync::Arc;

/// Segments of a partition that are neighbours, and what is to be made of them.
#[derive(Clone)]
pub(super) struct Rewrite {
    pub topic_partition: TopicPartition,
    pub segments: Vec<SegmentRef>,
    pub keep: Keep,
    pub options: SegmentOptions,
    pub made: Made,
    /// Where the file goes.
    pub path: ObjectPath,
}

/// Which rows stay.
#[derive(Clone)]
pub(super) enum Keep {
    /// Those from the log start on; the segments become one even if that is all of them.
    From(Offset),
    /// Those that a pass of compaction keeps; if that is all of them, the segments stay as they are.
    Survivors(Arc<Survivors>),
}

/// What came of it.
#[derive(Clone, Debug)]
pub(super) enum Rewritten {
    /// Every row stays: there is no file.
    Unchanged,
    /// The segment to put in their place; none, if no row stays. So many rows are gone.
    Replaced { with: Option<Segment>, rows_gone: u64 },
}

impl Keep {
    fn keeps(&self, row: &Row<'_>) -> bool {
        match self {
            Keep::From(log_start_offset) => row.offset >= *log_start_offset,
            Keep::Survivors(survivors) => survivors.fate(key_of(row)) == Fate::Kept,
        }
    }
}

impl Rewrite {
    /// The offsets that the new segment stands for.
    fn offsets(&self) -> Option<Range<Offset>> {
        let (first, last) = (self.segments.first()?, self.segments.last()?);
        Some(first.segment.offsets.start..last.segment.offsets.end)
    }

    /// Reads, writes and puts.
    pub async fn run(self, store: &ObjectStore, background: &Background) -> Result<Rewritten, ArchiveError> {
        let Some(offsets) = self.offsets() else { return Ok(Rewritten::Unchanged) };
        let mut sources = Vec::with_capacity(self.segments.len());
        for segment in &self.segments {
            sources.push(SegmentFile::open(store, segment).await?);
        }
        if matches!(self.keep, Keep::Survivors(_)) && !self.has_rows_to_go(&sources, background).await? {
            return Ok(Rewritten::Unchanged);
        }
        let mut writing =
            Writing { writer: SegmentWriter::new(self.topic_partition, self.options)?, seen: 0 };
        for source in &sources {
            let mut pieces = Pieces::of(source);
            while let Some(piece) = pieces.next().await? {
                let keep = self.keep.clone();
                writing = background.run(move || writing.take(&piece, &keep)).await??;
            }
        }
        let rows: u64 = self.segments.iter().map(|wanted| wanted.segment.rows).sum();
        if writing.seen != rows {
            let why = format!("{} rows came of {rows}", writing.seen);
            return Err(ArchiveError::Damaged { path: self.segments[0].path.clone(), why });
        }
        let rows_gone = rows - writing.writer.rows();
        if rows_gone == rows {
            return Ok(Rewritten::Replaced { with: None, rows_gone });
        }
        let written = background.run(move || writing.writer.finish(offsets)).await??;
        store.put_bulk(&self.path, written.bytes).await?;
        Ok(Rewritten::Replaced { with: Some(Segment::written(written.summary, self.made)), rows_gone })
    }

    /// Looks for the first row that goes: most often one of the first, if there is any.
    async fn has_rows_to_go(
        &self,
        sources: &[SegmentFile],
        background: &Background,
    ) -> Result<bool, ArchiveError> {
        for source in sources {
            let mut pieces = Pieces::of(source);
            while let Some(piece) = pieces.next().await? {
                let keep = self.keep.clone();
                let look = move |row: &Row<'_>| {
                    Ok(if keep.keeps(row) { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
                };
                if background.run(move || piece.each(look)).await??.is_break() {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }
}

struct Writing {
    writer: SegmentWriter,
    seen: u64,
}

impl Writing {
    fn take(mut self, piece: &Piece, keep: &Keep) -> Result<Writing, ArchiveError> {
        let _all = piece.each(|row| {
            self.seen += 1;
            if keep.keeps(row) {
                self.writer.append_row(row)?;
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(self)
    }
}

/// Shows these segments' rows to a pass, until it has no room for another key.
pub(super) async fn observe(
    mut pass: DirtyPass,
    segments: &[SegmentRef],
    store: &ObjectStore,
    background: &Background,
) -> Result<(DirtyPass, PassProgress), ArchiveError> {
    for segment in segments {
        let source = SegmentFile::open(store, segment).await?;
        let mut pieces = Pieces::of(&source);
        while let Some(piece) = pieces.next().await? {
            let look = move || {
                let shown = piece.each(|row| {
                    Ok(match pass.observe(key_of(row)) {
                        PassProgress::More => ControlFlow::Continue(()),
                        PassProgress::Full => ControlFlow::Break(()),
                    })
                });
                shown.map(|shown| (pass, shown))
            };
            let shown;
            (pass, shown) = background.run(look).await??;
            if shown.is_break() {
                return Ok((pass, PassProgress::Full));
            }
        }
    }
    Ok((pass, PassProgress::More))
}

fn key_of<'a>(row: &Row<'a>) -> RowKey<'a> {
    RowKey { offset: row.offset, key: row.key, is_tombstone: row.value.is_none() }
}
