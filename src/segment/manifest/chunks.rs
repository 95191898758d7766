//! The segments of a manifest in chunks, which manifests share and which are stored one to an object.
//!
//! A change copies the chunks that it touches and no others. The last chunk grows up to [`CHUNK_SEGMENTS_MAX`]; one
//! that shrinks under [`CHUNK_SEGMENTS_MIN`] is joined with its left neighbour, so that there are never many more
//! chunks than full ones would be. The first may shrink to nothing, as the log start takes it away in any case.

use super::segment_entry::{Segment, Totals};
use crate::types::{Offset, Timestamp};
use std::ops::Range;
use std::sync::Arc;

/// Segments of a chunk, hence of a stored part, at most.
pub(super) const CHUNK_SEGMENTS_MAX: usize = 1_000;
const CHUNK_SEGMENTS_MIN: usize = 250;

/// Neighbouring segments, at least one.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Chunk {
    segments: Vec<Segment>,
    totals: Totals,
    max_timestamp: Timestamp,
}

impl Chunk {
    /// Nothing if there is no segment.
    pub fn new(segments: Vec<Segment>) -> Option<Chunk> {
        let max_timestamp = segments.iter().map(|segment| segment.max_timestamp).max()?;
        let totals = segments.iter().map(Segment::totals).sum();
        Some(Chunk { segments, totals, max_timestamp })
    }

    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    pub fn totals(&self) -> Totals {
        self.totals
    }

    pub fn max_timestamp(&self) -> Timestamp {
        self.max_timestamp
    }

    pub fn offsets(&self) -> Range<Offset> {
        let (first, last) = (self.segments.first(), self.segments.last());
        let ends = first.zip(last).map(|(first, last)| first.offsets.start..last.offsets.end);
        ends.expect("a chunk is made of at least one segment")
    }
}

/// All segments of a manifest, in the order of their offsets.
#[derive(Clone, Debug, Default)]
pub(super) struct Chunks {
    chunks: Vec<Arc<Chunk>>,
    totals: Totals,
}

impl Chunks {
    /// Takes chunks as they are; whether their segments are in order is for the caller to check.
    pub fn new(chunks: Vec<Arc<Chunk>>) -> Chunks {
        let totals = chunks.iter().map(|chunk| chunk.totals).sum();
        Chunks { chunks, totals }
    }

    pub fn all(&self) -> &[Arc<Chunk>] {
        &self.chunks
    }

    pub fn totals(&self) -> Totals {
        self.totals
    }

    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Segment> {
        self.chunks.iter().flat_map(|chunk| &chunk.segments)
    }

    /// The segments that end above `offset`.
    pub fn from(&self, offset: Offset) -> impl Iterator<Item = &Segment> {
        let first = self.chunks.partition_point(|chunk| chunk.offsets().end <= offset);
        let rest = self.chunks[first..].iter().flat_map(|chunk| &chunk.segments);
        let skipped = self
            .chunks
            .get(first)
            .map_or(0, |chunk| chunk.segments.partition_point(|segment| segment.offsets.end <= offset));
        rest.skip(skipped)
    }

    /// Puts `with`, which fits there, in the place of the segments that lie in `offsets`; returns those.
    pub fn splice(&mut self, offsets: Range<Offset>, with: Vec<Segment>) -> Vec<Segment> {
        let mut first = self.chunks.partition_point(|chunk| chunk.offsets().end <= offsets.start);
        let mut end = self.chunks.partition_point(|chunk| chunk.offsets().start < offsets.end).max(first);
        // What goes to the end goes into the last chunk, and what goes between two into the one before it.
        if first == end && first > 0 {
            first -= 1;
        } else if first == end && end < self.chunks.len() {
            end += 1;
        }
        let touched = self.chunks[first..end].iter().flat_map(|chunk| chunk.segments.iter().cloned());
        let (removed, mut kept): (Vec<_>, Vec<_>) = touched.partition(|segment| {
            offsets.start <= segment.offsets.start && segment.offsets.end <= offsets.end
        });
        let place = kept.partition_point(|segment| segment.offsets.end <= offsets.start);
        kept.splice(place..place, with);
        let is_tail = end == self.chunks.len();
        if kept.len() < CHUNK_SEGMENTS_MIN && !is_tail && first > 0 {
            first -= 1;
            kept.splice(0..0, self.chunks[first].segments.iter().cloned());
        }
        self.chunks.splice(first..end, cut(kept, is_tail));
        self.totals = self.chunks.iter().map(|chunk| chunk.totals).sum();
        removed
    }
}

/// The last chunk is what remains beside full ones; elsewhere all are about as large.
fn cut(segments: Vec<Segment>, is_tail: bool) -> Vec<Arc<Chunk>> {
    let chunks = segments.len().div_ceil(CHUNK_SEGMENTS_MAX).max(1);
    let len = if is_tail { CHUNK_SEGMENTS_MAX } else { segments.len().div_ceil(chunks).max(1) };
    segments.chunks(len).filter_map(|chunk| Chunk::new(chunk.to_vec())).map(Arc::new).collect()
}
