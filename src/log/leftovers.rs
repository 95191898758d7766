//! Partitions that come and go, and what is kept of the journals for those that are elsewhere.
//!
//! A broker *keeps* its own journal, and those of ended sessions whose undertaker it is: it counts what is needed of them
//! ([`JournalNeeds`](super::JournalNeeds)), and gives up the rest. What is needed is what partitions have not archived, also
//! those that another broker leads by now, or nobody yet. Their spans are *leftovers* here.
//!
//! ```text
//! index of a partition that is served here ◀─ on_gained ── leftovers ◀─ keep: an ended journal
//!                                          ── on_lost ──▶     │
//!                                                             └─▶ released: archived by whoever leads, or the topic is gone
//! ```
//!
//! Every span of a kept journal that is needed is in one place, an index or the leftovers, and counted once. So whatever
//! moves spans from one to the other holds the lock of the leftovers meanwhile. For kept journals the leftovers are the
//! truth: who takes a partition over may have read objects that were merged meanwhile.

use super::broker_log::{BrokerLog, LogError};
use super::index::{IndexEntry, Substituted, substitute};
use super::merged::{MergeSources, MergedPartition};
use super::objects::ObjectUse;
use super::partition::Partition;
use crate::journal::{ObjectName, ObjectNumber, RecoveredObject, Span};
use crate::meta::keys::journal_starts::MergedObject;
use crate::types::{Offset, PartitionIndex, SessionId, TopicId, TopicPartition};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// Spans of kept journals, of partitions that are not served here.
#[derive(Debug, Default)]
pub(super) struct Leftovers {
    partitions: BTreeMap<TopicPartition, Left>,
    /// Topics that were deleted last: what is committed of them now is not needed.
    deleted: VecDeque<TopicId>,
}

const DELETED_MAX: usize = 1_024;

/// What is left of one partition.
#[derive(Debug, Default)]
struct Left {
    /// Rows that end at or before this are archived.
    archived: Offset,
    /// In the order of their offsets; between them others may be missing.
    entries: Vec<IndexEntry>,
}

/// A journal that is to be kept from now on, with all that was found needed of it.
#[derive(Debug)]
pub struct KeptJournal {
    /// Whose it was.
    pub session: SessionId,
    /// Its last numbered object.
    pub last: u64,
    /// Its objects: the merged ones in the order of their age, then the numbered ones in theirs.
    pub objects: Vec<KeptObject>,
}

/// An object of a journal that is kept.
#[derive(Debug)]
pub struct KeptObject {
    /// Which one.
    pub number: KeptNumber,
    /// Its size; nothing of it is counted as needed.
    pub size: ObjectUse,
    /// All its spans.
    pub spans: Vec<(TopicPartition, IndexEntry)>,
}

/// Which object of a journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeptNumber {
    /// A flush has cut it.
    Flushed(u64),
    /// It was made of others.
    Merged(MergedObject),
}

impl BrokerLog {
    /// Serves a partition from now on, which has taken over all that is committed. For kept journals its index is brought
    /// to what is known here. An error leaves it unserved: its journals have changed while they were read, so it has to be
    /// taken over anew.
    pub fn on_gained(&self, partition: Arc<Partition>) -> Result<(), LogError> {
        let topic_partition = partition.topic_partition();
        let mut leftovers = self.leftovers().lock();
        let known = leftovers.partitions.get(&topic_partition).map_or(&[][..], |left| &left.entries);
        let Some(unneeded) = partition.adopt(|session| self.needs().is_kept(session), known) else {
            return Err(LogError::Outdated { partition: topic_partition });
        };
        leftovers.partitions.remove(&topic_partition);
        self.needs().release(&unneeded);
        self.insert(partition);
        Ok(())
    }

    /// Serves a partition no longer: closes it, with its term, and wakes who waits. What of it is in kept journals stays
    /// needed until its next leader has archived it. None: it was not served.
    pub fn on_lost(&self, topic_partition: TopicPartition) -> Option<Arc<Partition>> {
        let mut leftovers = self.leftovers().lock();
        let partition = self.take_out(topic_partition)?;
        let archived = partition.archived_offset();
        let kept = |entry: &IndexEntry| self.needs().is_kept(entry.object.session);
        let entries: Vec<IndexEntry> = partition.close().into_iter().filter(kept).collect();
        leftovers.add(topic_partition, archived, entries);
        Some(partition)
    }

    /// A partition that is not served here is archived up to `offset`: what lies below is not needed of kept journals.
    pub fn release_archived(&self, topic_partition: TopicPartition, offset: Offset) {
        let mut leftovers = self.leftovers().lock();
        self.needs().release(&leftovers.release(topic_partition, offset));
    }

    /// A topic is gone, and with it all that is left of its partitions.
    pub fn release_topic(&self, topic_id: TopicId) {
        let mut leftovers = self.leftovers().lock();
        self.needs().release(&leftovers.remove_topic(topic_id));
    }

    /// The partitions of which something is left, in order.
    #[must_use]
    pub fn left_partitions(&self) -> Vec<TopicPartition> {
        self.leftovers().lock().partitions.keys().copied().collect()
    }

    /// Whether nothing is left of any partition.
    #[must_use]
    pub fn nothing_is_left(&self) -> bool {
        self.leftovers().lock().partitions.is_empty()
    }

    /// What is left in these objects of a session's journal.
    pub(crate) fn left_in(&self, session: SessionId, sources: &MergeSources) -> Vec<MergedPartition> {
        let leftovers = self.leftovers().lock();
        let of_sources = leftovers.partitions.iter().map(|(topic_partition, left)| {
            let is_source =
                |entry: &&IndexEntry| entry.object.session == session && sources.contain(entry.object.number);
            let spans = left.entries.iter().filter(is_source).cloned().collect();
            MergedPartition { topic_partition: *topic_partition, archived_offset: left.archived, spans }
        });
        of_sources.filter(|found| !found.spans.is_empty()).collect()
    }

    /// Everything that is left, to see that it is counted.
    #[cfg(test)]
    pub(crate) fn left_spans(&self) -> Vec<(TopicPartition, IndexEntry)> {
        let leftovers = self.leftovers().lock();
        let spans = leftovers.partitions.iter().flat_map(|(topic_partition, left)| {
            left.entries.iter().map(|entry| (*topic_partition, entry.clone()))
        });
        spans.collect()
    }

    /// A span that was committed when its partition was not served here any more.
    pub(super) fn on_committed_late(&self, topic_partition: TopicPartition, entry: IndexEntry) {
        let mut leftovers = self.leftovers().lock();
        match self.partition(topic_partition) {
            // It came back, and has taken over what was committed.
            Some(partition) if partition.holds(&entry) => {}
            Some(_) => self.needs().release(&[entry]),
            None if leftovers.deleted.contains(&topic_partition.topic_id) => self.needs().release(&[entry]),
            None => leftovers.add(topic_partition, Offset::ZERO, vec![entry]),
        }
    }
}

// ---- keeping journals of ended sessions

impl BrokerLog {
    /// Keeps an ended journal from now on. Of partitions that are not served here all of it counts as needed, until it is
    /// said what they have archived ([`BrokerLog::release_archived`]) or that they are gone. Called by the task alone that
    /// archives. Gives the partitions whose index does not fit what is known now; what they may need is kept for them.
    pub fn keep(&self, journal: KeptJournal) -> Vec<TopicPartition> {
        let mut leftovers = self.leftovers().lock();
        self.forget_kept(&mut leftovers, journal.session);
        let mut known: BTreeMap<TopicPartition, Vec<IndexEntry>> = BTreeMap::new();
        self.needs().begin(journal.session, journal.last);
        for object in journal.objects {
            let used = object.size.needing(object.spans.iter().map(|(_, entry)| entry));
            match object.number {
                KeptNumber::Flushed(seq) => self.needs().on_flushed(journal.session, seq, used),
                KeptNumber::Merged(merged) => self.needs().on_merged(journal.session, merged, used, &[]),
            }
            for (topic_partition, entry) in object.spans {
                known.entry(topic_partition).or_default().push(entry);
            }
        }
        let mut misfits = Vec::new();
        for (topic_partition, mut entries) in known {
            entries.sort_by_key(|entry| entry.offsets.start);
            if let Some(partition) = self.partition(topic_partition) {
                match partition.adopt(|session| session == journal.session, &entries) {
                    Some(unneeded) => self.needs().release(&unneeded),
                    None => misfits.push(topic_partition),
                }
                continue;
            }
            leftovers.add(topic_partition, Offset::ZERO, entries);
        }
        misfits
    }

    /// In a journal that is kept elsewhere, objects were merged: reads from now on `new`, which has the batches of `old`, that
    /// a partition has. Whether it does; else it stays as it is.
    #[must_use]
    pub fn repoint(
        &self,
        topic_partition: TopicPartition,
        session: SessionId,
        old: &[IndexEntry],
        new: &[IndexEntry],
    ) -> bool {
        let _leftovers = self.leftovers().lock();
        let partition = self.partition(topic_partition).filter(|_| !self.needs().is_kept(session));
        partition.is_none_or(|partition| partition.repoint(old, new))
    }

    /// Keeps a journal no longer: another broker does, or nothing of it is needed.
    pub fn forget_journal(&self, session: SessionId) {
        let mut leftovers = self.leftovers().lock();
        self.forget_kept(&mut leftovers, session);
    }

    fn forget_kept(&self, leftovers: &mut Leftovers, session: SessionId) {
        self.needs().forget(session);
        leftovers.partitions.retain(|_, left| {
            left.entries.retain(|entry| entry.object.session != session);
            !left.entries.is_empty()
        });
    }
}

impl Leftovers {
    fn add(&mut self, topic_partition: TopicPartition, archived: Offset, entries: Vec<IndexEntry>) {
        if entries.is_empty() {
            return;
        }
        let left = self.partitions.entry(topic_partition).or_default();
        left.archived = left.archived.max(archived);
        left.entries.extend(entries);
        left.entries.sort_by_key(|entry| entry.offsets.start);
    }

    /// Lets go of what ends at or before `offset`.
    fn release(&mut self, topic_partition: TopicPartition, offset: Offset) -> Vec<IndexEntry> {
        let Some(left) = self.partitions.get_mut(&topic_partition) else { return Vec::new() };
        left.archived = left.archived.max(offset);
        let released = left.entries.partition_point(|entry| entry.offsets.end <= offset);
        let released = left.entries.drain(..released).collect();
        if left.entries.is_empty() {
            self.partitions.remove(&topic_partition);
        }
        released
    }

    pub(super) fn remove_topic(&mut self, topic_id: TopicId) -> Vec<IndexEntry> {
        if self.deleted.len() == DELETED_MAX {
            // What was under way of that one is long over; and if not, it is found out later that it is gone.
            self.deleted.pop_front();
        }
        self.deleted.push_back(topic_id);
        let first = TopicPartition { topic_id, partition: PartitionIndex(i32::MIN) };
        let of_topic: Vec<TopicPartition> = self
            .partitions
            .range(first..)
            .map(|(key, _)| *key)
            .take_while(|key| key.topic_id == topic_id)
            .collect();
        let left = of_topic.iter().filter_map(|key| self.partitions.remove(key));
        left.flat_map(|left| left.entries).collect()
    }

    /// Has `new` in the place of `old`. Gives the spans, of either, that nobody needs any more.
    pub(super) fn on_merged(
        &mut self,
        topic_partition: TopicPartition,
        old: &[IndexEntry],
        new: &[IndexEntry],
    ) -> Vec<IndexEntry> {
        let Some(left) = self.partitions.get_mut(&topic_partition) else { return new.to_vec() };
        match substitute(&left.entries, left.archived, old, new) {
            Substituted::By { entries, removed, passed } => {
                left.entries = entries;
                [removed, passed].concat()
            }
            Substituted::Nothing => new.to_vec(),
            Substituted::Misfit => {
                tracing::error!(topic = %topic_partition.topic_id, partition = topic_partition.partition.0,
                    "a merged journal object does not have what it was made of");
                new.to_vec()
            }
        }
    }
}

impl Partition {
    /// For the journals that `is_kept` names, reads from now on what is known of them. Gives those that are not needed; none
    /// if they do not have what the index has.
    fn adopt(&self, is_kept: impl Fn(SessionId) -> bool, known: &[IndexEntry]) -> Option<Vec<IndexEntry>> {
        let mut state = self.state();
        let archived = state.archived_offset();
        state.index.adopt(archived, is_kept, known)
    }

    /// Reads `new` instead of `old`, if it has the same batches. Whether it does, or nothing of `old` is there any more.
    fn repoint(&self, old: &[IndexEntry], new: &[IndexEntry]) -> bool {
        let mut state = self.state();
        let archived = state.archived_offset();
        state.index.repoint(archived, old, new)
    }

    /// Its spans in objects of which `is_wanted` says so.
    #[must_use]
    pub fn spans_of(&self, mut is_wanted: impl FnMut(ObjectName) -> bool) -> Vec<IndexEntry> {
        let state = self.state();
        state.index.entries().iter().filter(|entry| is_wanted(entry.object)).cloned().collect()
    }

    fn holds(&self, entry: &IndexEntry) -> bool {
        self.state().index.from(entry.offsets.start).first() == Some(entry)
    }
}

impl From<&RecoveredObject> for KeptObject {
    fn from(object: &RecoveredObject) -> KeptObject {
        let number = match object.name.number {
            ObjectNumber::Flushed(seq) => KeptNumber::Flushed(seq),
            ObjectNumber::Merged(number) => {
                KeptNumber::Merged(MergedObject { number, bytes: object.bytes, puts: object.puts })
            }
        };
        let entry = |span: &Span| (span.topic_partition, IndexEntry::new(object.name, span));
        KeptObject {
            number,
            size: ObjectUse::of(object.index.byte_ranges.iter().cloned()),
            spans: object.index.spans.iter().map(entry).collect(),
        }
    }
}
