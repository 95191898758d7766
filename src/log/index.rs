//! Where a partition's committed batches lie: spans of journal objects, in the order of their offsets.

use crate::journal::{ObjectId, Span};
use crate::types::{LeaderEpoch, Offset, Timestamp};
use std::ops::Range;

/// A run of the partition's batches in one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexEntry {
    /// The object.
    pub object: ObjectId,
    /// The run's offsets.
    pub offsets: Range<Offset>,
    /// Its bytes in the object.
    pub byte_range: Range<u64>,
    /// The epoch of its batches.
    pub leader_epoch: LeaderEpoch,
    /// The latest timestamp in it.
    pub max_timestamp: Timestamp,
}

impl IndexEntry {
    pub(super) fn new(object: ObjectId, span: &Span) -> IndexEntry {
        IndexEntry {
            object,
            offsets: span.offsets.clone(),
            byte_range: span.byte_range.clone(),
            leader_epoch: span.leader_epoch,
            max_timestamp: span.max_timestamp,
        }
    }

    /// Bytes of the run.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.byte_range.end - self.byte_range.start
    }
}

/// The entries of one partition, without gap or overlap.
#[derive(Debug, Default)]
pub(super) struct PartitionIndex {
    entries: Vec<IndexEntry>,
    bytes: u64,
}

impl PartitionIndex {
    /// Adds what follows.
    pub fn push(&mut self, entry: IndexEntry) {
        if let Some(last) = self.entries.last() {
            assert_eq!(last.offsets.end, entry.offsets.start, "committed offsets follow each other");
        }
        self.bytes += entry.size();
        self.entries.push(entry);
    }

    /// The entries from the one that holds `offset` on; none if it is at or past the end.
    pub fn from(&self, offset: Offset) -> &[IndexEntry] {
        let first = self.entries.partition_point(|entry| entry.offsets.end <= offset);
        &self.entries[first..]
    }

    pub fn entries(&self) -> &[IndexEntry] {
        &self.entries
    }

    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Lets go of the entries that end at or before `offset`.
    pub fn drop_before(&mut self, offset: Offset) -> Vec<IndexEntry> {
        let kept = self.entries.partition_point(|entry| entry.offsets.end <= offset);
        let dropped: Vec<IndexEntry> = self.entries.drain(..kept).collect();
        self.bytes -= dropped.iter().map(IndexEntry::size).sum::<u64>();
        dropped
    }

    /// The epochs that have rows and where each begins, oldest first.
    pub fn epoch_starts(&self) -> impl Iterator<Item = (LeaderEpoch, Offset)> + '_ {
        let mut last = None;
        self.entries.iter().filter_map(move |entry| {
            let starts = last != Some(entry.leader_epoch);
            last = Some(entry.leader_epoch);
            starts.then_some((entry.leader_epoch, entry.offsets.start))
        })
    }
}
