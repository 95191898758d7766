//! What nothing refers to: counted by kind, and deleted when it is asked for.

use super::{Fsck, JournalEnds};
use crate::archive::janitor;
use crate::journal::{ObjectId, RecoveryError, block_of, check_index_object, read_object};
use crate::store::{ObjectPath, StoreError, UnfinishedFile, paths};
use crate::types::{LeaderEpoch, SessionId, Timestamp, TopicPartition};
use futures_util::{StreamExt, stream};

const DELETIONS_AT_ONCE: usize = 16;

/// What an object is to the cluster.
enum Standing {
    Needed,
    Segment,
    Manifest,
    Journal,
    OfDeletedTopic,
    Stranger,
    Problem(String),
}

impl Fsck<'_> {
    /// Counts what is not needed; the orphans among it, with their sizes.
    pub(super) async fn find_orphans(&mut self, ends: &JournalEnds) -> Vec<(ObjectPath, u64)> {
        let mut orphans = Vec::new();
        let mut listed: Vec<_> = self.listed.iter().map(|(path, bytes)| (path.clone(), *bytes)).collect();
        listed.sort_unstable();
        for (path, bytes) in listed {
            let standing = standing_of(self, ends, &path).await;
            let counts = &mut self.report.orphans;
            match standing {
                Standing::Needed => continue,
                Standing::Segment => counts.segments.add(bytes),
                Standing::Manifest => counts.manifests.add(bytes),
                Standing::Journal => counts.journal.add(bytes),
                Standing::OfDeletedTopic => {
                    self.report.deleted_topics.add(bytes);
                    continue;
                }
                Standing::Stranger => {
                    self.report.strangers.add(bytes);
                    continue;
                }
                Standing::Problem(why) => {
                    self.report.problem(&path, &why);
                    continue;
                }
            }
            orphans.push((path, bytes));
        }
        orphans
    }

    /// Counts what killed processes left of PUTs. Nobody writes while this goes on.
    pub(super) async fn find_unfinished(&mut self) -> Result<Vec<UnfinishedFile>, StoreError> {
        let files = self.store.unfinished(Timestamp(i64::MAX)).await?;
        files.iter().for_each(|file| self.report.orphans.unfinished.add(file.bytes));
        Ok(files)
    }

    pub(super) async fn delete_unfinished(&mut self, files: Vec<UnfinishedFile>) {
        let bytes: Vec<u64> = files.iter().map(|file| file.bytes).collect();
        match self.store.delete_unfinished(files).await {
            Ok(()) => bytes.into_iter().for_each(|bytes| self.report.repaired.add(bytes)),
            Err(error) => self.report.problem(&"half-written files", &error),
        }
    }

    pub(super) async fn delete(&mut self, orphans: Vec<(ObjectPath, u64)>) {
        let store = self.store;
        let deletions =
            orphans.into_iter().map(async |(path, bytes)| (store.delete(&path).await, path, bytes));
        let mut deletions = stream::iter(deletions).buffer_unordered(DELETIONS_AT_ONCE);
        while let Some((deleted, path, bytes)) = deletions.next().await {
            match deleted {
                Ok(()) => self.report.repaired.add(bytes),
                Err(error) => self.report.problem(&path, &format!("it could not be deleted: {error}")),
            }
        }
    }

    /// What is known of an object of this partition that no manifest names.
    fn unnamed(&self, topic_partition: TopicPartition, orphan: Standing) -> Standing {
        match () {
            () if self.in_doubt.contains(&topic_partition) => Standing::Needed,
            () if self.deleted.contains(&topic_partition.topic_id) => Standing::OfDeletedTopic,
            () => orphan,
        }
    }

    fn later(&self, leader_epoch: LeaderEpoch) -> Option<Standing> {
        (leader_epoch > self.view).then(|| {
            let (epoch, view) = (leader_epoch.0, self.view.0);
            let why = "it was put by a session that the metadata has never seen: the metadata is an old copy";
            Standing::Problem(format!("{why} (epoch {epoch}, view {view})"))
        })
    }
}

async fn standing_of(fsck: &Fsck<'_>, ends: &JournalEnds, path: &ObjectPath) -> Standing {
    if *path == paths::cluster_marker() || fsck.references.contains(path) {
        return Standing::Needed;
    }
    if let Some((topic_partition, name)) = paths::parse_segment(path) {
        let later = fsck.later(name.leader_epoch);
        return later.unwrap_or_else(|| fsck.unnamed(topic_partition, Standing::Segment));
    }
    if let Some((topic_partition, _)) = paths::parse_manifest_object(path) {
        return fsck.unnamed(topic_partition, Standing::Manifest);
    }
    if let Some((_, number)) = paths::parse_merged_object(path) {
        // Put by a merge whose object was never named, or is not any more.
        return fsck.later(janitor::epoch_of(number)).unwrap_or(Standing::Journal);
    }
    if let Some((session, last)) = paths::parse_index_object(path) {
        return of_index(fsck, ends, session, last).await;
    }
    match paths::parse_journal_object(path) {
        // Before what is needed, or behind the end.
        Some((session, _)) if ends.contains_key(&session) => Standing::Journal,
        Some((session, seq)) => of_unknown_journal(fsck, session, seq).await,
        None => Standing::Stranger,
    }
}

/// An index object is a copy: it is needed as long as one of its objects is, and may go at any time.
async fn of_index(fsck: &Fsck<'_>, ends: &JournalEnds, session: SessionId, last: u64) -> Standing {
    match ends.get(&session) {
        Some(needed) if last >= *needed.start() && *block_of(last).start() <= *needed.end() => {
            match check_index_object(fsck.store, session, last).await {
                // Where brokers run, it may have gone since the listing.
                Ok(()) | Err(RecoveryError::Store(StoreError::Missing { .. })) => Standing::Needed,
                Err(error) => Standing::Problem(error.to_string()),
            }
        }
        _ => Standing::Journal,
    }
}

/// A journal that the metadata does not know was forgotten when all of it was archived, or began after this metadata
/// was copied: its rows tell.
async fn of_unknown_journal(fsck: &Fsck<'_>, session: SessionId, seq: u64) -> Standing {
    match read_object(fsck.store, ObjectId { session, seq }).await {
        Ok(index) => {
            let latest = index.rows.iter().map(|row| row.leader_epoch).max();
            latest.and_then(|latest| fsck.later(latest)).unwrap_or(Standing::Journal)
        }
        Err(_unreadable) => Standing::Stranger,
    }
}
