//! Every journal, its merged objects and from the first needed one to its committed end; and per partition, that segments and journal rows
//! join without a hole.

use super::{Fsck, FsckError};
use crate::journal::{ObjectId, ObjectName, read_object};
use crate::meta::keys::journal_starts::{self, JournalStart};
use crate::meta::keys::{journals, sessions};
use crate::store::paths;
use crate::types::{Offset, SessionId, TopicPartition};
use futures_util::{StreamExt, stream};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Range, RangeInclusive};

/// The numbered objects of each journal that are committed and needed.
pub(super) type JournalEnds = BTreeMap<SessionId, RangeInclusive<u64>>;

/// What of each journal is needed.
type JournalStarts = BTreeMap<SessionId, JournalStart>;

/// Objects that are read at the same time.
const OBJECTS_AT_ONCE: usize = 4;

impl Fsck<'_> {
    /// Checks all journals, and gives the objects that each needs.
    pub(super) async fn check_journals(&mut self) -> Result<JournalEnds, FsckError> {
        let starts = self.journal_starts().await?;
        let ends = self.journal_ends(&starts).await?;
        let mut spans: BTreeMap<TopicPartition, Vec<Range<Offset>>> = BTreeMap::new();
        let numbered = ends.iter().flat_map(|(session, needed)| {
            needed.clone().map(|seq| (ObjectName::from(ObjectId { session: *session, seq }), None))
        });
        let merged = starts.iter().flat_map(|(session, start)| {
            let merged = start.merged.iter();
            merged.map(|merged| (ObjectName::merged(*session, merged.number), Some(merged.bytes)))
        });
        let (store, listed) = (self.store, &self.listed);
        let reads = merged.chain(numbered).map(async |(name, stated)| {
            let path = name.path();
            let bytes = match listed.get(&path) {
                Some(bytes) => Some(*bytes),
                // Where brokers run, it may have been put after the listing.
                None => store.size(&path).await.ok(),
            };
            match (bytes, stated) {
                (None, _) => (path, Err("it was committed, and is missing".to_owned())),
                (Some(bytes), Some(stated)) if bytes != stated => {
                    (path, Err(format!("it has {bytes} bytes, and {stated} were written")))
                }
                (Some(bytes), _) => {
                    let read = read_object(store, name).await.map_err(|error| error.to_string());
                    (path, read.map(|index| (bytes, index.spans)))
                }
            }
        });
        let mut reads = stream::iter(reads).buffered(OBJECTS_AT_ONCE);
        while let Some((path, read)) = reads.next().await {
            self.report.checked.journal_objects += 1;
            match read {
                Ok((bytes, found)) => {
                    self.report.checked.journal_bytes += bytes;
                    for span in found {
                        spans.entry(span.topic_partition).or_default().push(span.offsets);
                    }
                }
                Err(why) => self.report.problem(&path, &why),
            }
            self.references.insert(path);
        }
        drop(reads);
        for (topic_partition, spans) in spans {
            self.check_joins(topic_partition, spans);
        }
        Ok(ends)
    }

    async fn journal_starts(&mut self) -> Result<JournalStarts, FsckError> {
        let mut starts = JournalStarts::new();
        for entry in self.metadata.list(journal_starts::PREFIX).await?.entries {
            match journal_starts::session_of(&entry.key) {
                Some(session) => {
                    starts.insert(session, JournalStart::decode(&entry)?);
                }
                None => self.report.problem(&entry.key, &"this key of the metadata names no session"),
            }
        }
        Ok(starts)
    }

    async fn journal_ends(&mut self, starts: &JournalStarts) -> Result<JournalEnds, FsckError> {
        let standing = self.metadata.list(sessions::PREFIX).await?.entries;
        let standing: BTreeSet<&str> = standing.iter().map(|entry| entry.key.as_str()).collect();
        let mut ends = JournalEnds::new();
        for entry in self.metadata.list(journals::PREFIX).await?.entries {
            let journal = journals::Journal::decode(&entry)?;
            let Some(session) = journals::session_of(&entry.key) else {
                self.report.problem(&entry.key, &"this key of the metadata names no session");
                continue;
            };
            if journal.final_seq.is_none() && !standing.contains(sessions::key(session).as_str()) {
                self.report.problem(&entry.key, &"this journal has no end, and its session stands no more");
            }
            let last = journal.final_seq.unwrap_or_else(|| self.tail_of(session, journal.committed));
            let first = starts.get(&session).map_or(JournalStart::default().first, |start| start.first);
            ends.insert(session, first..=last);
        }
        Ok(ends)
    }

    /// The end of a journal that no start has ended yet: where this process is the only writer, a stored object is
    /// itself the record of its commit.
    fn tail_of(&self, session: SessionId, committed: u64) -> u64 {
        if !self.metadata.sole_writer() {
            return committed;
        }
        let is_there = |seq: &u64| self.listed.contains_key(&paths::journal_object(session, *seq));
        (committed + 1..).take_while(is_there).last().unwrap_or(committed)
    }

    /// Whether the journal goes on where the segments end, and has no hole.
    fn check_joins(&mut self, topic_partition: TopicPartition, mut spans: Vec<Range<Offset>>) {
        let Some(topic) = self.catalog.by_id(topic_partition.topic_id) else { return };
        if self.in_doubt.contains(&topic_partition) {
            return;
        }
        let archived = self.archived.get(&topic_partition).copied().unwrap_or(Offset::ZERO);
        let place = format!("{}-{}", topic.name, topic_partition.partition);
        spans.sort_by_key(|span| span.start);
        let mut expected = archived;
        for span in spans.iter().filter(|span| span.end > archived) {
            // What the first of them has below is archived already.
            let start = if expected == archived { span.start.max(archived) } else { span.start };
            if start > expected {
                let why = format!("offsets {expected} to {start} are in no segment and no journal object");
                self.report.problem(&place, &why);
            }
            if start < expected {
                let why = format!("two journal objects hold offset {start}");
                self.report.problem(&place, &why);
            }
            expected = expected.max(span.end);
        }
    }
}
