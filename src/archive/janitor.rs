//! Finds what a crash has left behind: segments and manifest objects that nothing refers to.
//!
//! ```text
//! list objects ─▶ the archiver, between two of its works: who leads here ─▶ read the references ─▶ graveyard, grace ─▶ delete
//! ```
//!
//! The order is the proof. Each broker looks at the partitions that it serves, and no other. One is served here when every
//! session that led it before has acknowledged that it does so no longer, or was sealed; so none of them can make a swap
//! any more. An object that was there before the references were read, put by one that can write no more, and that no
//! reference names, will never be named by one. Segments carry the leader epoch of who wrote them; those of the epoch in
//! which the partition came here are left alone, as they may be on their way into a manifest. Manifest objects carry
//! none: those put here are all written by the task that reads the references, so that none is on its way then, but for
//! swaps without an answer (below). Objects of a topic that is gone are looked at by who would lead its partition. Journal
//! objects are for who keeps their journal ([`super::keeping`]).
//!
//! *Swaps without an answer.* A swap that was sent may be made after its sender has given up waiting, and names objects that
//! nothing named before. Can they have been buried by then?
//!
//! - Not if another leader sent it. Every swap compares the standing of its session, which was removed, or rewritten by
//!   an acknowledgement, before the partition was served here: whatever the references do not name then stays so.
//! - Not if this session sent it. Its segments are left alone as all of its epoch are. Its root and parts are left alone
//!   because the archiver knows of which partitions a swap has no answer: of these no manifest object is litter. It forgets
//!   about one when a later swap of that partition was made, since both compare the pointer, so the first never will be.
//! - Nor can such a swap name what is in the graveyard already: what a swap leaves behind is buried after its answer, and
//!   what it was to bring in only if it was surely not made.
//!
//! Never by age, and never more than a share of all bytes: who finds half of a store to be litter is more likely to be wrong.
//! Never if there are objects of a view that the metadata does not know of: then it is an old copy. What is left then is for
//! `cenote fsck`.

use super::archiver::ArchiveStart;
use super::error::LoadError;
use super::kept::KeptManifest;
use crate::cluster::PlacementKey;
use crate::hashing::{HashMap, HashSet};
use crate::leadership::Leader;
use crate::meta::Standing;
use crate::meta::keys::view;
use crate::segment::manifest::{ManifestPointer, POINTERS};
use crate::store::{ListedObject, ObjectPath, ObjectStore, StoreError, paths};
use crate::types::{LeaderEpoch, MergeNumber, Timestamp, TopicPartition};
use futures_util::TryStreamExt;
use std::collections::BTreeSet;

/// What lay in the store before the references were read.
#[derive(Debug, Default)]
pub(super) struct Listed {
    /// Segments and manifest objects.
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
const HOUR_MS: i64 = 3_600_000;

/// Lists what may be litter.
pub(super) async fn list(store: &ObjectStore) -> Result<Listed, StoreError> {
    let mut listed = Listed::default();
    for prefix in [paths::segments_prefix(), paths::manifests_prefix()] {
        let mut found = store.list(Some(&prefix));
        while let Some(object) = found.try_next().await? {
            if listed.objects.len() == OBJECTS_MAX {
                listed.is_cut = true;
                return Ok(listed);
            }
            listed.objects.push(object);
        }
    }
    Ok(listed)
}

/// When a file was last written that nobody writes any more: before the session begins if no other process writes to these
/// stores, else an hour earlier, which is longer than any PUT takes.
pub(super) fn unfinished_before(standing: &Standing, now: Timestamp) -> Timestamp {
    let spared_ms = if standing.store().sole_writer() { 0 } else { HOUR_MS };
    Timestamp(now.get().saturating_sub(spared_ms))
}

/// Takes away what killed processes left of PUTs to a local directory.
pub(super) async fn clear_unfinished(store: &ObjectStore, before: Timestamp) -> Result<(), StoreError> {
    let files = store.unfinished(before).await?;
    if !files.is_empty() {
        let bytes: u64 = files.iter().map(|file| file.bytes).sum();
        tracing::info!(files = files.len(), bytes, "half-written files of killed processes go");
    }
    store.delete_unfinished(files).await
}

/// What of `listed` may go. Called by the task that writes manifests, between two of its works. `unsettled` are the
/// partitions of which a swap of this session may still be made.
pub(super) async fn litter(
    start: &ArchiveStart,
    kept: &HashMap<TopicPartition, KeptManifest>,
    unsettled: &BTreeSet<TopicPartition>,
    listed: &Listed,
) -> Result<Vec<ObjectPath>, LoadError> {
    let served = start.log.partitions();
    let served = served.iter().map(|led| (led.topic_partition(), led.leader_epoch())).collect();
    let mut references = References {
        served,
        view: LeaderEpoch(0),
        objects: HashSet::default(),
        gone: BTreeSet::new(),
        unsettled: unsettled.clone(),
    };
    references.find_gone(start, listed).await;
    references.read(start, kept).await?;
    Ok(match decide(&references, listed) {
        Verdict::Litter(litter) => litter,
        Verdict::Ask(why) => {
            tracing::error!(why, "what crashes left behind is not deleted: run cenote fsck");
            Vec::new()
        }
    })
}

/// What is referred to, as far as it is for this broker to know.
#[derive(Debug)]
struct References {
    /// The partitions that are served here, each with the epoch since when.
    served: HashMap<TopicPartition, LeaderEpoch>,
    /// The newest view that the metadata knows.
    view: LeaderEpoch,
    /// What their manifests name, and are.
    objects: HashSet<ObjectPath>,
    /// Partitions of topics that are gone, which would be led here.
    gone: BTreeSet<TopicPartition>,
    /// Partitions whose pointer may come to name what nothing names yet.
    unsettled: BTreeSet<TopicPartition>,
}

impl References {
    /// Which of the listed objects are of topics that are gone for good: no name comes back with its id.
    async fn find_gone(&mut self, start: &ArchiveStart, listed: &Listed) {
        let image = start.leadership.image();
        let partitions = listed.objects.iter().filter_map(|object| partition_of(&object.path));
        let unknown = partitions.filter(|partition| start.catalog.by_id(partition.topic_id).is_none());
        let unknown: BTreeSet<TopicPartition> = unknown.collect();
        let is_ours =
            |partition: &&TopicPartition| image.leader(PlacementKey::partition(**partition)) == Leader::Own;
        let mut last = None;
        for partition in unknown.iter().filter(is_ours) {
            let is_gone = match last {
                Some((topic_id, is_gone)) if topic_id == partition.topic_id => is_gone,
                _ => matches!(start.catalog.resolve_id(partition.topic_id).await, Ok(None)),
            };
            last = Some((partition.topic_id, is_gone));
            if is_gone {
                self.gone.insert(*partition);
            }
        }
    }

    async fn read(
        &mut self,
        start: &ArchiveStart,
        kept: &HashMap<TopicPartition, KeptManifest>,
    ) -> Result<(), LoadError> {
        let metadata = start.standing.store();
        let view = metadata.get(view::KEY).await?;
        let view = view.as_ref().map(view::View::decode).transpose()?;
        self.view = LeaderEpoch(view.map_or(0, |view| view.number.0));
        for entry in metadata.list(POINTERS).await?.entries {
            let Some(topic_partition) = ManifestPointer::partition_of(&entry.key) else {
                return Err(LoadError::UnknownKey(entry.key));
            };
            // Its deletion is not over: what the pointers name goes with them.
            self.gone.retain(|gone| gone.topic_id != topic_partition.topic_id);
            if !self.served.contains_key(&topic_partition) {
                continue;
            }
            let Some(topic) = start.catalog.by_id(topic_partition.topic_id) else {
                self.served.remove(&topic_partition);
                continue;
            };
            match kept.get(&topic_partition).filter(|kept| kept.is_at(&entry)) {
                Some(kept) => self.objects.extend(kept.objects(&topic.name)),
                None => {
                    let (kept, below) = KeptManifest::load(&start.store, topic_partition, &entry).await?;
                    self.objects.extend(kept.objects(&topic.name));
                    let below = below.iter().map(|segment| segment.name());
                    let below = below.map(|name| paths::segment(&topic.name, topic_partition, &name));
                    self.objects.extend(below);
                }
            }
        }
        Ok(())
    }

    /// Whether it is for this broker to say what becomes of an object.
    fn concern(&self, path: &ObjectPath) -> bool {
        partition_of(path)
            .is_some_and(|partition| self.served.contains_key(&partition) || self.gone.contains(&partition))
    }

    /// Whether an object is proven not to be needed.
    fn lack(&self, path: &ObjectPath) -> bool {
        if let Some((topic_partition, name)) = paths::parse_segment(path) {
            let since = self.served.get(&topic_partition);
            let is_over = since.is_some_and(|since| name.leader_epoch < *since);
            return self.gone.contains(&topic_partition) || is_over && !self.objects.contains(path);
        }
        paths::parse_manifest_object(path).is_some_and(|(topic_partition, _)| {
            let is_settled =
                self.served.contains_key(&topic_partition) && !self.unsettled.contains(&topic_partition);
            self.gone.contains(&topic_partition) || is_settled && !self.objects.contains(path)
        })
    }
}

fn partition_of(path: &ObjectPath) -> Option<TopicPartition> {
    let of_segment = paths::parse_segment(path).map(|(partition, _)| partition);
    of_segment.or_else(|| paths::parse_manifest_object(path).map(|(partition, _)| partition))
}

/// Without I/O: what may go, unless it is so much, or so strange, that somebody has to look.
fn decide(references: &References, listed: &Listed) -> Verdict {
    let epoch =
        |object: &&ListedObject| paths::parse_segment(&object.path).map(|(_, name)| name.leader_epoch);
    if let Some(later) = listed.objects.iter().find(|object| epoch(object) > Some(references.view)) {
        let why = format!("{} is of a later view than the last: is the metadata an old copy?", later.path);
        return Verdict::Ask(why);
    }
    if listed.is_cut {
        return Verdict::Ask(format!("there are more than {OBJECTS_MAX} objects"));
    }
    let ours: Vec<&ListedObject> =
        listed.objects.iter().filter(|object| references.concern(&object.path)).collect();
    let litter: Vec<&&ListedObject> = ours.iter().filter(|object| references.lack(&object.path)).collect();
    let bytes: u64 = litter.iter().map(|object| object.size).sum();
    let all: u64 = ours.iter().map(|object| object.size).sum();
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
