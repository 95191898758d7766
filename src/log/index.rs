//! Where a partition's committed batches lie: spans of journal objects, in the order of their offsets.

use crate::journal::{ObjectName, Span};
use crate::types::{LeaderEpoch, Offset, SessionId, Timestamp};
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

    /// Puts `new` in the place of `old`: the same batches, elsewhere. Gives the entries that are not needed any more, of
    /// either; if `old` is not what the index has, all of `new`. Nothing below `archived` is read.
    pub fn replace(&mut self, archived: Offset, old: &[IndexEntry], new: &[IndexEntry]) -> Vec<IndexEntry> {
        match substitute(&self.entries, archived, old, new) {
            Substituted::By { entries, removed, passed } => {
                self.take(entries);
                [removed, passed].concat()
            }
            Substituted::Nothing => new.to_vec(),
            Substituted::Misfit => {
                let begin = old.first().map(|entry| entry.offsets.start);
                tracing::error!(?begin, "a merged journal object does not have what it was made of");
                new.to_vec()
            }
        }
    }

    /// Puts `new` in the place of `old`, if it has the same batches. Whether it does, or nothing of `old` is there any more.
    pub fn repoint(&mut self, archived: Offset, old: &[IndexEntry], new: &[IndexEntry]) -> bool {
        match substitute(&self.entries, archived, old, new) {
            Substituted::By { entries, .. } => self.take(entries),
            Substituted::Nothing => {}
            Substituted::Misfit => return false,
        }
        true
    }

    /// Takes, for the journals that `is_kept` names, the entries that are known of them; what the index had of them has the
    /// same batches, or some that were archived meanwhile. Gives those of `known` that are not needed; none if both do not
    /// fit.
    pub fn adopt(
        &mut self,
        archived: Offset,
        is_kept: impl Fn(SessionId) -> bool,
        known: &[IndexEntry],
    ) -> Option<Vec<IndexEntry>> {
        let is_old = |entry: &&IndexEntry| is_kept(entry.object.session);
        let old: Vec<IndexEntry> = self.entries.iter().filter(is_old).cloned().collect();
        match substitute(&self.entries, archived, &old, known) {
            Substituted::By { entries, passed, .. } => {
                self.take(entries);
                Some(passed)
            }
            Substituted::Nothing if old.is_empty() => Some(known.to_vec()),
            Substituted::Nothing | Substituted::Misfit => None,
        }
    }

    fn take(&mut self, entries: Vec<IndexEntry>) {
        self.bytes = entries.iter().map(IndexEntry::size).sum();
        self.entries = entries;
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

/// What a list of entries becomes when others take the place of some.
pub(super) enum Substituted {
    /// This.
    By {
        /// The list.
        entries: Vec<IndexEntry>,
        /// Entries that are not in it any more.
        removed: Vec<IndexEntry>,
        /// Entries that were to come in, and whose place is gone.
        passed: Vec<IndexEntry>,
    },
    /// Nothing of the old is there any more.
    Nothing,
    /// The list has others there, or the new ones do not have what the old ones had.
    Misfit,
}

/// Puts `new` in the place of `old`: the same batches of a partition, elsewhere. All are in the order of their offsets. Those
/// of `old` that end where the list begins were let go of meanwhile, and are passed over; so are those of `new` that end
/// where the first of `old` begins that is left. Between others there may be entries of other journals. Where the list
/// begins the first of `new` may begin elsewhere, at `archived` at the latest, as what is before that is not read.
pub(super) fn substitute(
    entries: &[IndexEntry],
    archived: Offset,
    old: &[IndexEntry],
    new: &[IndexEntry],
) -> Substituted {
    let Some(begin) = entries.first().map(|first| first.offsets.start) else { return Substituted::Nothing };
    let mut left = old[old.partition_point(|entry| entry.offsets.end <= begin)..].iter().peekable();
    let Some(start) = left.peek().map(|first| first.offsets.start) else { return Substituted::Nothing };
    let (mut after, mut removed) = (Vec::with_capacity(entries.len()), Vec::new());
    for entry in entries {
        match left.next_if(|old| *old == entry) {
            Some(old) => removed.push(old.clone()),
            None => after.push(entry.clone()),
        }
    }
    let (passed, taken) = new.split_at(new.partition_point(|entry| entry.offsets.end <= start));
    let (had, have) = (runs(&removed), runs(taken));
    let ends = |runs: &[Range<Offset>]| runs.iter().map(|run| run.end).collect::<Vec<_>>();
    let starts = |runs: &[Range<Offset>]| runs.iter().skip(1).map(|run| run.start).collect::<Vec<_>>();
    let begins = |runs: &[Range<Offset>]| runs.first().map(|run| run.start);
    let may_begin = |have: Offset| start == begin && have <= archived.max(begin);
    let fits = left.peek().is_none()
        && ends(&had) == ends(&have)
        && starts(&had) == starts(&have)
        && (begins(&had) == begins(&have) || begins(&have).is_some_and(may_begin));
    if !fits {
        return Substituted::Misfit;
    }
    after.extend_from_slice(taken);
    after.sort_by_key(|entry| entry.offsets.start);
    after.shrink_to_fit();
    Substituted::By { entries: after, removed, passed: passed.to_vec() }
}

/// The offsets of entries, in order; those together that follow each other.
fn runs(entries: &[IndexEntry]) -> Vec<Range<Offset>> {
    let mut runs: Vec<Range<Offset>> = Vec::new();
    for entry in entries {
        match runs.last_mut() {
            Some(run) if run.end == entry.offsets.start => run.end = entry.offsets.end,
            _ => runs.push(entry.offsets.clone()),
        }
    }
    runs
}
