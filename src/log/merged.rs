//! What becomes of the index when rows of journal objects are copied into a merged one.
//!
//! ```text
//! spans_in: what is needed of the objects ─▶ copied, PUT, named by the metadata ─▶ on_merged: read from there
//! ```
//!
//! Meanwhile readers go on, partitions are archived and topics deleted: [`BrokerLog::on_merged`] takes over what is still
//! needed, whatever has become of the rest. A plan that was made before finds the old objects for as long as any read
//! may take.

use super::broker_log::BrokerLog;
use super::index::IndexEntry;
use super::objects::{NeededJournal, ObjectUse};
use super::partition::Partition;
use crate::hashing::HashMap;
use crate::journal::{ObjectName, ObjectNumber, Span};
use crate::meta::keys::journal_starts::{JournalStart, MergedObject};
use crate::types::{MergeNumber, Offset, SessionId, TopicPartition};

/// What one partition has in the objects that are merged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MergedPartition {
    /// Which partition.
    pub topic_partition: TopicPartition,
    /// Rows that end at or before this are archived already.
    pub archived_offset: Offset,
    /// Its spans there, in order.
    pub spans: Vec<IndexEntry>,
}

/// A merged object that has become part of its journal.
#[derive(Clone, Debug)]
pub struct MergedSpans {
    /// Whose journal.
    pub session: SessionId,
    /// Its name and size.
    pub object: MergedObject,
    /// Its spans.
    pub spans: Vec<Span>,
    /// What these stand for.
    pub replaced: Vec<MergedPartition>,
    /// The objects that it stands for.
    pub sources: MergeSources,
}

/// Objects of one journal that become one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MergeSources {
    /// All numbered objects below this.
    pub until: u64,
    /// Merged objects, neighbours in the order of their age.
    pub merged: Vec<MergeNumber>,
    /// How many numbered ones are needed or pinned.
    pub flushed: u64,
}

impl MergeSources {
    pub(super) fn contain(&self, object: ObjectNumber) -> bool {
        match object {
            ObjectNumber::Flushed(seq) => seq < self.until,
            ObjectNumber::Merged(number) => self.merged.contains(&number),
        }
    }
}

impl MergedSpans {
    /// What is needed of the journal when this stands for what it was made of.
    #[must_use]
    pub fn in_place(&self, needed: &NeededJournal) -> JournalStart {
        let is_source = |other: &MergedObject| self.sources.merged.contains(&other.number);
        let at = needed.merged.iter().position(is_source).unwrap_or(needed.merged.len());
        let mut merged = needed.merged.clone();
        merged.insert(at, self.object);
        merged.retain(|other| !is_source(other));
        JournalStart { first: needed.first.max(self.sources.until), merged }
    }
}

impl Partition {
    /// The spans that lie in these objects of a session's journal.
    #[must_use]
    pub fn spans_in(&self, session: SessionId, sources: &MergeSources) -> MergedPartition {
        let is_later = |object: ObjectName| {
            object.session == session
                && matches!(object.number, ObjectNumber::Flushed(seq) if seq >= sources.until)
        };
        let state = self.state();
        let entries = state.index.entries().iter().take_while(|entry| !is_later(entry.object));
        let spans = entries
            .filter(|entry| entry.object.session == session && sources.contain(entry.object.number))
            .cloned()
            .collect();
        let (topic_partition, archived_offset) = (self.topic_partition(), state.archived_offset());
        MergedPartition { topic_partition, archived_offset, spans }
    }

    /// Reads from `new` what was read from `old`. Gives the spans, of either, that nobody needs any more.
    pub(super) fn on_merged(&self, old: &[IndexEntry], new: &[IndexEntry]) -> Vec<IndexEntry> {
        let mut state = self.state();
        let archived = state.archived_offset();
        state.index.replace(archived, old, new)
    }
}

impl BrokerLog {
    /// Reads from a merged object, from now on, what it has. Of a journal that is not kept here any more nothing is done.
    pub fn on_merged(&self, merged: &MergedSpans) {
        if !self.needs().is_kept(merged.session) {
            return;
        }
        let name = ObjectName::merged(merged.session, merged.object.number);
        let mut new: HashMap<TopicPartition, Vec<IndexEntry>> = HashMap::default();
        for span in &merged.spans {
            new.entry(span.topic_partition).or_default().push(IndexEntry::new(name, span));
        }
        let used = ObjectUse::of(merged.spans.iter().map(|span| span.byte_range.clone()));
        let used = used.needing(new.values().flatten());
        // All of it counts before any of it can be let go of.
        self.needs().on_merged(merged.session, merged.object, used, &merged.sources.merged);
        for replaced in &merged.replaced {
            let topic_partition = replaced.topic_partition;
            let new = new.remove(&topic_partition).unwrap_or_default();
            let mut leftovers = self.leftovers().lock();
            let unneeded = match self.partition(topic_partition) {
                Some(partition) => partition.on_merged(&replaced.spans, &new),
                // It is led elsewhere; or its topic was deleted, and what it had was let go of then.
                None => leftovers.on_merged(topic_partition, &replaced.spans, &new),
            };
            self.needs().release(&unneeded);
        }
    }
}
