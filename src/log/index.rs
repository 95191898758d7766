//! Where a partition's committed batches lie: spans of journal objects, in the order of their offsets.

use crate::journal::{ObjectName, Span};
use crate::types::{LeaderEpoch, Offset, Timestamp};
use std::ops::Range;

/// A run of the partition's batches in one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexEntry {
    /// The object.
    pub object: ObjectName,
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
    /// The entry of a span of `object`.
    #[must_use]
    pub fn new(object: ObjectName, span: &Span) -> IndexEntry {
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

    /// Bytes of the entries that end at or before `offset`.
    pub fn bytes_before(&self, offset: Offset) -> u64 {
        self.entries.iter().take_while(|entry| entry.offsets.end <= offset).map(IndexEntry::size).sum()
    }

    /// Lets go of the entries that end at or before `offset`.
    pub fn drop_before(&mut self, offset: Offset) -> Vec<IndexEntry> {
        let kept = self.entries.partition_point(|entry| entry.offsets.end <= offset);
        let dropped: Vec<IndexEntry> = self.entries.drain(..kept).collect();
        self.bytes -= dropped.iter().map(IndexEntry::size).sum::<u64>();
        dropped
    }

    /// Puts `new` in the place of `old`: the same batches, elsewhere. Both are without gaps and end at one offset; `new`
    /// may begin later, where what is before is archived. Of `old` those that were let go of meanwhile are passed over, and
    /// so are those of `new` that end where the index begins or before. Gives the entries that are not needed any more,
    /// of either; if `old` is not what the index has, all of `new`.
    pub fn replace(&mut self, old: &[IndexEntry], new: &[IndexEntry]) -> Vec<IndexEntry> {
        let Some((place, replaced)) = self.find(old) else { return new.to_vec() };
        let start = self.entries[place].offsets.start;
        let (passed, taken) = new.split_at(new.partition_point(|entry| entry.offsets.end <= start));
        let end = self.entries[place + replaced - 1].offsets.end;
        if !fits(taken, place == 0, start..end) {
            tracing::error!(?start, ?end, "a merged journal object does not have what it was made of");
            return new.to_vec();
        }
        let before = self.entries.splice(place..place + replaced, taken.iter().cloned());
        let mut unneeded: Vec<IndexEntry> = before.collect();
        self.bytes -= unneeded.iter().map(IndexEntry::size).sum::<u64>();
        self.bytes += taken.iter().map(IndexEntry::size).sum::<u64>();
        self.entries.shrink_to(self.entries.len() * 2);
        unneeded.extend_from_slice(passed);
        unneeded
    }

    /// Where those of `old` lie that are still there, and how many they are.
    fn find(&self, old: &[IndexEntry]) -> Option<(usize, usize)> {
        let begin = self.entries.first()?.offsets.start;
        let left = &old[old.partition_point(|entry| entry.offsets.end <= begin)..];
        let start = left.first()?.offsets.start;
        let place = self.entries.partition_point(|entry| entry.offsets.start < start);
        let is_there = self.entries.get(place..place + left.len()) == Some(left);
        is_there.then_some((place, left.len()))
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

/// Whether entries may stand for `offsets`. Only at the front of an index may they begin elsewhere, as what is before the
/// archived offset is not read.
fn fits(entries: &[IndexEntry], is_front: bool, offsets: Range<Offset>) -> bool {
    let (Some(first), Some(last)) = (entries.first(), entries.last()) else { return false };
    let follows = entries.windows(2).all(|pair| pair[0].offsets.end == pair[1].offsets.start);
    follows && last.offsets.end == offsets.end && (is_front || first.offsets.start == offsets.start)
}
