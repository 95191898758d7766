//! Finds what a crash has left behind: objects that an earlier session put, and that nothing refers to.
//!
//! ```text
//! list objects ─▶ the archiver, between two of its works: read the references ─▶ graveyard, grace ─▶ delete
//! ```
//!
//! The order is the proof. An object that was there before the references were read, put by a session that can write
//! no more, and that no reference names, will never be named by one. Segments carry the leader epoch of who wrote them;
//! those of this session are left alone, as they may be on their way into a manifest. Manifest objects carry none:
//! this session's are all written by the task that reads the references, so that none is on its way then, but for swaps
//! without an answer (below). Journal objects lie below their session: those of this session are not looked at, and of an
//! ended one only what is before its first or behind its last. Merged ones carry the view of the session that made them,
//! which is its epoch.
//!
//! *Swaps without an answer.* A swap that was sent may be made after its sender has given up waiting, and names objects that
//! nothing named before. Can they have been buried by then?
//!
//! - Not if an earlier session sent it. Every swap compares the standing of its session, and that was removed before this
//!   session began, hence before its listing: whatever the references do not name then stays so.
//! - Not if this session sent it. Its segments are left alone as all of its epoch are. Its root and parts are left alone
//!   because the archiver knows of which partitions a swap has no answer: of these no manifest object is litter. It forgets
//!   about one when a later swap of that partition was made, since both compare the pointer, so the first never will be.
//! - Nor can such a swap name what is in the graveyard already: what a swap leaves behind is buried after its answer, and
//!   what it was to bring in only if it was surely not made.
//!
//! Never by age, never while another session stands, and never more than a share of all bytes: who finds half of a store
//! to be litter is more likely to be wrong. What it leaves then is for `cenote fsck`. Objects of a journal that the
//! metadata itself has given up do not count there: an old copy of the metadata has given up less, not more.

use super::archiver::ArchiveStart;
use super::error::LoadError;
use super::kept::KeptManifest;
use crate::meta::keys::journal_starts::{self, JournalStart};
use crate::meta::keys::{journals, sessions};
use crate::segment::manifest::{ManifestPointer, POINTERS};
use crate::store::{ListedObject, ObjectPath, ObjectStore, StoreError, paths};
use crate::types::{LeaderEpoch, MergeNumber, SessionId, TopicId, TopicPartition};
use futures_util::TryStreamExt;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ops::RangeInclusive;

/// What lay in the store before the references were read.
#[derive(Debug, Default)]
pub(super) struct Listed {
    /// Segments and manifest objects of any session, and journal objects of others.
    objects: Vec<ListedObject>,
    /// Whether there were more than a listing takes.
    is_cut: bool,
}

/// What the litter is, or why none is taken away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing refers to these.
    Litter(Vec<ObjectPath>),
    /// Somebody has to look.
    Ask(String),
}

/// Objects of a listing; a store with more is for `cenote fsck`.
const OBJECTS_MAX: usize = 4_000_000;
/// Less than this is taken away whatever its share: about one segment.
const UNASKED_BYTES: u64 = 64 << 20;

/// Lists what may be litter. `own` is the session that has begun.
pub(super) async fn list(store: &ObjectStore, own: SessionId) -> Result<Listed, StoreError> {
    let mut listed = Listed::default();
    for prefix in [paths::segments_prefix(), paths::manifests_prefix(), paths::journals_prefix()] {
        let mut found = store.list(Some(&prefix));
        while let Some(object) = found.try_next().await? {
            if paths::parse_journal_object(&object.path).is_some_and(|(session, _)| session == own) {
                continue;
            }
            if listed.objects.len() == OBJECTS_MAX {
                listed.is_cut = true;
                return Ok(listed);
            }
            listed.objects.push(object);
        }
    }
    Ok(listed)
}

/// What of `listed` may go; none, if that is not for a broker to say. Called by the task that writes manifests, between two of its works.
/// `unsettled` are the partitions of which a swap of this session may still be made.
pub(super) async fn litter(
    start: &ArchiveStart,
    kept: &HashMap<TopicPartition, KeptManifest>,
    unsettled: &BTreeSet<TopicPartition>,
    listed: &Listed,
) -> Result<Option<Vec<ObjectPath>>, LoadError> {
    let metadata = start.standing.store();
    let standing = metadata.list(sessions::PREFIX).await?.entries;
    if standing.iter().any(|entry| entry.key != sessions::key(start.session)) {
        tracing::info!("other sessions stand: nothing is looked for that crashes left behind");
        return Ok(None);
    }
    let mut references = References::read(start, kept).await?;
    references.unsettled.clone_from(unsettled);
    Ok(match decide(&references, start.leader_epoch, listed) {
        Verdict::Litter(litter) => Some(litter),
        Verdict::Ask(why) => {
            tracing::error!(
                why,
                "what crashes left behind is not deleted; stop the broker and run cenote fsck"
            );
            None
        }
    })
}

/// What is referred to.
#[derive(Debug, Default)]
struct References {
    objects: HashSet<ObjectPath>,
    /// Topics whose deletion is not over.
    on_their_way: BTreeSet<TopicId>,
    /// Partitions whose pointer may come to name what nothing names yet.
    unsettled: BTreeSet<TopicPartition>,
    /// The objects of ended journals that are needed.
    journals: BTreeMap<SessionId, RangeInclusive<u64>>,
    /// The merged objects of any journal that are needed.
    merged: HashSet<(SessionId, MergeNumber)>,
}

impl References {
    async fn read(
        start: &ArchiveStart,
        kept: &HashMap<TopicPartition, KeptManifest>,
    ) -> Result<References, LoadError> {
        let metadata = start.standing.store();
        let mut references = References::default();
        for entry in metadata.list(POINTERS).await?.entries {
            let Some(topic_partition) = ManifestPointer::partition_of(&entry.key) else {
                return Err(LoadError::UnknownKey(entry.key));
            };
            let Some(topic) = start.catalog.by_id(topic_partition.topic_id) else {
                references.on_their_way.insert(topic_partition.topic_id);
                continue;
            };
            match kept.get(&topic_partition).filter(|kept| kept.is_at(&entry)) {
                Some(kept) => references.objects.extend(kept.objects(&topic.name)),
                None => {
                    let (kept, below) = KeptManifest::load(&start.store, topic_partition, &entry).await?;
                    references.objects.extend(kept.objects(&topic.name));
                    let below = below.iter().map(|segment| segment.name());
                    let below = below.map(|name| paths::segment(&topic.name, topic_partition, &name));
                    references.objects.extend(below);
                }
            }
        }
        references.read_journals(start).await?;
        Ok(references)
    }

    async fn read_journals(&mut self, start: &ArchiveStart) -> Result<(), LoadError> {
        let metadata = start.standing.store();
        let mut starts = BTreeMap::new();
        for entry in metadata.list(journal_starts::PREFIX).await?.entries {
            let start = JournalStart::decode(&entry)?;
            let session = journal_starts::session_of(&entry.key).ok_or(LoadError::UnknownKey(entry.key))?;
            self.merged.extend(start.merged.iter().map(|merged| (session, merged.number)));
            starts.insert(session, start.first);
        }
        for entry in metadata.list(journals::PREFIX).await?.entries {
            let journal = journals::Journal::decode(&entry)?;
            let Some((session, last)) = journals::session_of(&entry.key).zip(journal.final_seq) else {
                continue;
            };
            let first = starts.get(&session).copied().unwrap_or(JournalStart::default().first);
            self.journals.insert(session, first..=last);
        }
        Ok(())
    }

    /// Whether it is an object before the first that its journal needs.
    fn gave_up(&self, path: &ObjectPath) -> bool {
        let journal = paths::parse_journal_object(path);
        journal.is_some_and(|(session, seq)| {
            self.journals.get(&session).is_some_and(|needed| seq < *needed.start())
        })
    }

    /// Whether an object is proven not to be needed.
    fn lack(&self, own: LeaderEpoch, path: &ObjectPath) -> bool {
        if let Some((topic_partition, name)) = paths::parse_segment(path) {
            let is_over = name.leader_epoch < own && !self.on_their_way.contains(&topic_partition.topic_id);
            return is_over && !self.objects.contains(path);
        }
        if let Some((topic_partition, _)) = paths::parse_manifest_object(path) {
            let is_settled = !self.on_their_way.contains(&topic_partition.topic_id)
                && !self.unsettled.contains(&topic_partition);
            return is_settled && !self.objects.contains(path);
        }
        if let Some((session, number)) = paths::parse_merged_object(path) {
            return epoch_of(number) < own && !self.merged.contains(&(session, number));
        }
        // Of a journal that the metadata does not know nothing is proven here.
        let journal = paths::parse_journal_object(path);
        journal.is_some_and(|(session, seq)| {
            self.journals.get(&session).is_some_and(|needed| !needed.contains(&seq))
        })
    }
}

/// Without I/O: what may go, unless it is so much, or so strange, that somebody has to look.
fn decide(references: &References, own: LeaderEpoch, listed: &Listed) -> Verdict {
    let epoch = |object: &ListedObject| {
        let of_segment = paths::parse_segment(&object.path).map(|(_, name)| name.leader_epoch);
        of_segment.or_else(|| paths::parse_merged_object(&object.path).map(|(_, number)| epoch_of(number)))
    };
    if let Some(later) = listed.objects.iter().find(|object| epoch(object) > Some(own)) {
        let why = format!("{} is of a later session than this: is the metadata an old copy?", later.path);
        return Verdict::Ask(why);
    }
    if listed.is_cut {
        return Verdict::Ask(format!("there are more than {OBJECTS_MAX} objects"));
    }
    let litter: Vec<&ListedObject> =
        listed.objects.iter().filter(|object| references.lack(own, &object.path)).collect();
    let doubtful = |object: &&&ListedObject| !references.gave_up(&object.path);
    let bytes: u64 = litter.iter().filter(doubtful).map(|object| object.size).sum();
    let all: u64 = listed.objects.iter().filter(|object| doubtful(&object)).map(|object| object.size).sum();
    if bytes > UNASKED_BYTES && bytes > all / 2 {
        return Verdict::Ask(format!("nothing refers to {bytes} of {all} bytes, which is more than half"));
    }
    Verdict::Litter(litter.into_iter().map(|object| object.path.clone()).collect())
}

/// The epoch of the session that made a merged object.
pub(super) fn epoch_of(number: MergeNumber) -> LeaderEpoch {
    LeaderEpoch(number.view.0)
}

#[cfg(test)]
mod tests;
