//! The manifest in memory, and what is looked up in it.

use super::chunks::Chunks;
use super::segment_entry::{Segment, Totals};
use super::state::{CleanPass, EpochStart, ProducerSnapshot, epochs_fault, passes_fault, producers_fault};
use crate::types::{Offset, Timestamp, TopicPartition};
use std::sync::Arc;

/// A partition's segments and what a restart needs besides. Cheap to clone: chunks are shared.
#[derive(Clone, Debug)]
pub struct Manifest {
    pub(super) topic_partition: TopicPartition,
    pub(super) log_start_offset: Offset,
    pub(super) archived_offset: Offset,
    pub(super) chunks: Chunks,
    pub(super) leader_epochs: Arc<Vec<EpochStart>>,
    pub(super) clean_passes: Arc<Vec<CleanPass>>,
    pub(super) producers: Arc<Vec<ProducerSnapshot>>,
}

impl Manifest {
    /// The manifest of a partition of which nothing is archived.
    #[must_use]
    pub fn new(topic_partition: TopicPartition, log_start_offset: Offset) -> Manifest {
        Manifest {
            topic_partition,
            log_start_offset,
            archived_offset: Offset::ZERO,
            chunks: Chunks::default(),
            leader_epochs: Arc::default(),
            clean_passes: Arc::default(),
            producers: Arc::default(),
        }
    }

    /// Which partition's it is.
    #[must_use]
    pub fn topic_partition(&self) -> TopicPartition {
        self.topic_partition
    }

    /// The first readable offset. It may lie in the middle of a segment, between two, or above all.
    #[must_use]
    pub fn log_start_offset(&self) -> Offset {
        self.log_start_offset
    }

    /// The first offset that only the journal has.
    #[must_use]
    pub fn archived_offset(&self) -> Offset {
        self.archived_offset
    }

    /// Where leader epochs begin, below the archived offset, oldest first.
    #[must_use]
    pub fn leader_epochs(&self) -> &[EpochStart] {
        &self.leader_epochs
    }

    /// The passes of log compaction, oldest first.
    #[must_use]
    pub fn clean_passes(&self) -> &[CleanPass] {
        &self.clean_passes
    }

    /// The end of the last pass of log compaction: from here on a key may have earlier records.
    #[must_use]
    pub fn cleaned_up_to(&self) -> Offset {
        self.clean_passes.last().map_or(Offset::ZERO, |pass| pass.up_to)
    }

    /// The producers as they stood at the archived offset, in the order of their ids.
    #[must_use]
    pub fn producers(&self) -> &[ProducerSnapshot] {
        &self.producers
    }

    /// Sums over all segments; rows below the log start count as long as their segment is there.
    #[must_use]
    pub fn totals(&self) -> Totals {
        self.chunks.totals()
    }

    /// All segments, in the order of their offsets.
    pub fn segments(&self) -> impl DoubleEndedIterator<Item = &Segment> {
        self.chunks.iter()
    }

    /// The segments from the one that holds `offset` on, or, if it lies in a gap, from the next.
    pub fn segments_from(&self, offset: Offset) -> impl Iterator<Item = &Segment> {
        self.chunks.from(offset)
    }

    /// The segment that holds `offset`, or, if it lies in a gap, the next.
    #[must_use]
    pub fn segment_at(&self, offset: Offset) -> Option<&Segment> {
        self.segments_from(offset).next()
    }

    /// The segments that have rows with timestamps at or after `target`, in the order of their offsets: the first
    /// such row of a partition is in the first of them, if that row is not below the log start.
    pub fn segments_from_timestamp(&self, target: Timestamp) -> impl Iterator<Item = &Segment> {
        let chunks = self.chunks.all().iter().filter(move |chunk| chunk.max_timestamp() >= target);
        let segments = chunks.flat_map(|chunk| chunk.segments());
        segments.filter(move |segment| segment.max_timestamp >= target)
    }

    /// The first segment that has the latest timestamp.
    #[must_use]
    pub fn segment_of_max_timestamp(&self) -> Option<&Segment> {
        let latest = self.chunks.all().iter().map(|chunk| chunk.max_timestamp()).max()?;
        self.segments_from_timestamp(latest).next()
    }

    /// What is wrong with it as a whole, if anything.
    pub(super) fn fault(&self) -> Option<&'static str> {
        let mut end = Offset::ZERO;
        for segment in self.segments() {
            if let Some(fault) = segment.fault() {
                return Some(fault);
            }
            if segment.offsets.start < end {
                return Some("segments overlap or are out of order");
            }
            end = segment.offsets.end;
        }
        let first_end = self.segments().next().map(|segment| segment.offsets.end);
        match () {
            () if end > self.archived_offset => Some("a segment lies above the archived offset"),
            () if first_end.is_some_and(|end| end <= self.log_start_offset) => {
                Some("a segment lies below the log start")
            }
            () => self.fault_beside_segments(),
        }
    }

    /// What is wrong with the rest of it, if anything.
    pub(super) fn fault_beside_segments(&self) -> Option<&'static str> {
        if self.log_start_offset < Offset::ZERO || self.archived_offset < Offset::ZERO {
            return Some("an offset is negative");
        }
        epochs_fault(&self.leader_epochs, self.archived_offset)
            .or_else(|| passes_fault(&self.clean_passes, self.archived_offset))
            .or_else(|| producers_fault(&self.producers, self.archived_offset))
    }
}
