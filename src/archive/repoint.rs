//! Follows the merges of journals that other brokers keep: partitions that are served here have rows there, too.
//!
//! ```text
//! journal-starts/: watch ─▶ which objects are given up ─▶ spans of ours in them ─▶ index of the merged objects ─▶ read from there
//! ```
//!
//! A keeper names a merged object, and a grace period later the objects go that it was made of. Until then whoever has spans in
//! them has to read elsewhere. So this goes by what is, not by what has happened: spans that lie in objects which their
//! journal's start no longer names are looked for every twenty seconds, as partitions come that were read before it; and when
//! a start changes that has given up what was found the last time. Objects of journals that are kept here are swapped by who
//! merges them.
//!
//! Never: it writes nothing. A reader that comes too late finds an object missing, plans again, and is told so if it is still
//! named.

use super::left::Others;
use crate::journal::{EndedJournal, ObjectName, ObjectNumber, Partitions, recover};
use crate::log::IndexEntry;
use crate::meta::keys::journal_starts::{self, JournalStart, MergedObject};
use crate::meta::{Entry, KeyChange, WatchEvent};
use crate::types::{MergeNumber, Offset, SessionId, TopicPartition};
use futures_util::TryStreamExt;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::Duration;
use tokio::time::interval;

/// Much less than what is given up is kept for.
const LOOK_EVERY: Duration = Duration::from_secs(20);
/// Partitions that are looked through before others have their turn on the processor.
const PARTITIONS_PER_TURN: usize = 64;

/// What of each journal is needed, as far as the metadata says.
pub(super) type Starts = BTreeMap<SessionId, JournalStart>;
/// Spans in objects that were given up.
type Stale = BTreeMap<TopicPartition, Vec<IndexEntry>>;

/// In which objects of other brokers' journals spans of ours lay when it was looked last.
#[derive(Default)]
pub(super) struct Held {
    journals: BTreeMap<SessionId, Objects>,
}

struct Objects {
    /// The first of the numbered ones.
    first: u64,
    merged: BTreeSet<MergeNumber>,
}

impl Held {
    fn add(&mut self, object: ObjectName) {
        let new = || Objects { first: u64::MAX, merged: BTreeSet::new() };
        let objects = self.journals.entry(object.session).or_insert_with(new);
        match object.number {
            ObjectNumber::Flushed(seq) => objects.first = objects.first.min(seq),
            ObjectNumber::Merged(number) => drop(objects.merged.insert(number)),
        }
    }

    /// Whether a journal has given up something of that.
    fn is_given_up(&self, session: SessionId, start: &JournalStart) -> bool {
        self.journals.get(&session).is_some_and(|objects| {
            objects.first < start.first
                || objects.merged.iter().any(|number| !names(start, ObjectNumber::Merged(*number)))
        })
    }
}

/// Has partitions read what was merged elsewhere, for ever.
pub(super) async fn follow(others: Others) {
    let mut ticks = interval(LOOK_EVERY);
    let mut watch = others.watch(journal_starts::PREFIX, &mut ticks).await;
    let (mut starts, mut held) = (Starts::new(), Held::default());
    others.list_starts(&mut starts).await;
    loop {
        tokio::select! {
            event = watch.next() => {
                let Some(event) = event else { return };
                let changed = on_event(&mut starts, event);
                let given_up = changed.iter().any(|session| {
                    starts.get(session).is_some_and(|start| held.is_given_up(*session, start))
                });
                if !given_up {
                    continue;
                }
            }
            _ = ticks.tick() => {}
        }
        held = others.repoint(&starts).await;
    }
}

/// Takes what the watch told; the journals of which other objects are needed now.
fn on_event(starts: &mut Starts, event: WatchEvent) -> BTreeSet<SessionId> {
    match event {
        WatchEvent::Listed(listing) => {
            starts.clear();
            listing.entries.iter().filter_map(|entry| on_start(starts, entry)).collect()
        }
        WatchEvent::Changed { changes, .. } => {
            let changed = changes.iter().filter_map(|change| match change {
                KeyChange::Put(entry) => on_start(starts, entry),
                KeyChange::Deleted(key) => {
                    // Nothing of it is needed.
                    starts.remove(&journal_starts::session_of(key)?);
                    None
                }
            });
            changed.collect()
        }
    }
}

fn on_start(starts: &mut Starts, entry: &Entry) -> Option<SessionId> {
    let session = journal_starts::session_of(&entry.key);
    match (session, JournalStart::decode(entry)) {
        (Some(session), Ok(start)) => {
            starts.insert(session, start);
            Some(session)
        }
        (None, _) => {
            tracing::warn!(key = entry.key, "this key of the metadata names no session");
            None
        }
        (_, Err(error)) => {
            tracing::warn!(%error, "what of a journal is needed is not known");
            None
        }
    }
}

impl Others {
    async fn list_starts(&self, starts: &mut Starts) {
        // If it cannot be listed now, changes tell the same later.
        match self.metadata.list(journal_starts::PREFIX).await {
            Ok(listing) => drop(on_event(starts, WatchEvent::Listed(listing))),
            Err(error) => tracing::debug!(%error, "what of the journals is needed is not known yet"),
        }
    }

    /// Has every span read where its journal has it now. Gives where they lay.
    pub async fn repoint(&self, starts: &Starts) -> Held {
        let needs = self.log.needs();
        let concerned: BTreeSet<SessionId> =
            starts.keys().copied().filter(|session| !needs.is_kept(*session)).collect();
        if concerned.is_empty() {
            return Held::default();
        }
        let (stale, held) = self.look(starts, &concerned).await;
        for (session, stale) in stale {
            let Some(start) = starts.get(&session) else { continue };
            let left = self.repoint_journal(session, start, stale).await;
            if !left.is_empty() {
                tracing::debug!(%session, partitions = left.len(),
                    "objects of a journal were given up, and what stands for them is not found yet");
            }
        }
        held
    }

    /// The spans in objects that their journals have given up, and where all of them lie.
    async fn look(
        &self,
        starts: &Starts,
        concerned: &BTreeSet<SessionId>,
    ) -> (BTreeMap<SessionId, Stale>, Held) {
        let mut held = Held::default();
        let mut stale: BTreeMap<SessionId, Stale> = BTreeMap::new();
        for (looked_at, partition) in self.log.partitions().into_iter().enumerate() {
            let spans = partition.spans_of(|object| {
                let start = starts.get(&object.session).filter(|_| concerned.contains(&object.session));
                let Some(start) = start else { return false };
                held.add(object);
                !names(start, object.number)
            });
            for entry in spans {
                let of_session = stale.entry(entry.object.session).or_default();
                of_session.entry(partition.topic_partition()).or_default().push(entry);
            }
            if looked_at % PARTITIONS_PER_TURN == 0 {
                tokio::task::yield_now().await;
            }
        }
        (stale, held)
    }

    /// Looks for the spans in the merged objects of their journal, the youngest first. Gives those that were not found.
    async fn repoint_journal(&self, session: SessionId, start: &JournalStart, mut stale: Stale) -> Stale {
        let mut merged = start.merged.clone();
        merged.sort_by_key(|merged| std::cmp::Reverse(merged.number));
        let mut found: BTreeMap<TopicPartition, Vec<IndexEntry>> = BTreeMap::new();
        for object in merged {
            if stale.is_empty() {
                break;
            }
            if let Err(error) = self.find_in(session, object, &stale, &mut found).await {
                tracing::debug!(%session, object = %object.number, error, "a merged journal object is not read yet");
                continue;
            }
            stale.retain(|partition, old| {
                let new = found.get(partition).map_or(&[][..], Vec::as_slice);
                new.is_empty() || !self.log.repoint(*partition, session, old, new)
            });
        }
        stale
    }

    /// Adds what a merged object has of these spans.
    async fn find_in(
        &self,
        session: SessionId,
        object: MergedObject,
        stale: &Stale,
        found: &mut BTreeMap<TopicPartition, Vec<IndexEntry>>,
    ) -> Result<(), String> {
        let name = ObjectName::merged(session, object.number);
        let alone =
            EndedJournal { session, start: JournalStart { first: 1, merged: vec![object] }, final_seq: 0 };
        let mut read = recover(&self.store, std::slice::from_ref(&alone), Partitions::All);
        while let Some(read) = read.try_next().await.map_err(|error| error.to_string())? {
            for span in &read.index.spans {
                let Some(old) = stale.get(&span.topic_partition) else { continue };
                if old.iter().any(|old| overlap(&old.offsets, &span.offsets)) {
                    let new = found.entry(span.topic_partition).or_default();
                    new.push(IndexEntry::new(name, span));
                    new.sort_by_key(|entry| entry.offsets.start);
                }
            }
        }
        Ok(())
    }
}

fn names(start: &JournalStart, object: ObjectNumber) -> bool {
    match object {
        ObjectNumber::Flushed(seq) => seq >= start.first,
        ObjectNumber::Merged(number) => start.merged.iter().any(|merged| merged.number == number),
    }
}

fn overlap(one: &Range<Offset>, other: &Range<Offset>) -> bool {
    one.start < other.end && other.start < one.end
}
