//! Proves that what the metadata refers to is in the store, whole, and counts what nothing refers to. For a broker that
//! is stopped: whoever calls holds the metadata store's lock, so nobody else writes.
//!
//! ```text
//! list all objects ─▶ pointers ─▶ manifests ─▶ segments: length, CRC-32C, footer     ┐
//!                     journals ─▶ their objects: index, every batch                  ├─▶ no hole in any partition
//!                     the rest of the listing: orphans, counted, deleted by a repair ┘
//! ```
//!
//! A repair deletes orphans and nothing else, and nothing at all while there is a problem: the object that one index
//! lacks may be the one that looks like an orphan. It goes by no object's age, as clocks prove nothing, but by names: an
//! object of a leader epoch above the metadata's view was put by a session that this metadata has never seen. Then the
//! metadata is an old copy, what looks like an orphan may be the only copy of records, and that is a problem, too.

mod journals;
mod orphans;
mod report;
mod segments;

pub use report::{Checked, Count, FsckReport, Orphans, Problem};

use super::error::LoadError;
use super::kept::KeptManifest;
use crate::clock::Clock;
use crate::hashing::{HashMap, HashSet};
use crate::meta::keys::{DecodeKeyError, cluster, view};
use crate::meta::{MetadataError, MetadataStore, Revision, Standing};
use crate::segment::manifest::{ManifestPointer, POINTERS, UnreadablePointer};
use crate::store::{self, ClaimError, ClusterHistory, ObjectPath, ObjectStore, StoreError};
use crate::topic::{Catalog, CatalogError};
use crate::types::{LeaderEpoch, Offset, TopicId, TopicPartition};
use futures_util::TryStreamExt;
use journals::JournalEnds;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What to do with orphans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repair {
    /// Count them.
    No,
    /// Delete them, if there is no problem.
    DeleteOrphans,
}

/// Why nothing was checked.
#[derive(Debug, thiserror::Error)]
pub enum FsckError {
    /// The metadata store does not answer.
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    /// A value in it cannot be read.
    #[error(transparent)]
    Unreadable(#[from] DecodeKeyError),
    /// A manifest's pointer cannot be read.
    #[error(transparent)]
    Pointer(#[from] UnreadablePointer),
    /// The topics cannot be read.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The store is not the one of this metadata.
    #[error(transparent)]
    Claim(#[from] ClaimError),
    /// The object store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No broker ever ran on this metadata.
    #[error("the metadata belongs to no cluster yet: no broker ever ran on it")]
    NoCluster,
    /// A listing has a limit.
    #[error("the store has more than {OBJECTS_MAX} objects")]
    TooManyObjects,
}

const OBJECTS_MAX: usize = 50_000_000;

/// What is known while it goes on.
struct Fsck<'a> {
    metadata: Arc<dyn MetadataStore>,
    store: &'a ObjectStore,
    catalog: Catalog,
    /// The last view that the metadata knows; leader epochs are views.
    view: LeaderEpoch,
    /// Every object and its size, as listed before anything else was read.
    listed: HashMap<ObjectPath, u64>,
    /// What is referred to.
    references: HashSet<ObjectPath>,
    /// From where on each partition's offsets are in the journal.
    archived: BTreeMap<TopicPartition, Offset>,
    /// Partitions whose manifest cannot be read: which of their objects are orphans is not known.
    in_doubt: BTreeSet<TopicPartition>,
    /// Deleted topics whose objects the next start removes.
    deleted: BTreeSet<TopicId>,
    report: FsckReport,
}

/// Checks everything that `metadata` refers to in `store`.
pub async fn fsck(
    metadata: Arc<dyn MetadataStore>,
    store: &ObjectStore,
    repair: Repair,
) -> Result<FsckReport, FsckError> {
    let mut fsck = Fsck::open(metadata, store).await?;
    let manifests = fsck.read_manifests().await?;
    fsck.check_segments(&manifests).await;
    let ends = fsck.check_journals().await?;
    let orphans = fsck.find_orphans(&ends).await;
    let unfinished = fsck.find_unfinished().await?;
    if repair == Repair::DeleteOrphans && fsck.report.problems_total == 0 {
        fsck.delete(orphans).await;
        fsck.delete_unfinished(unfinished).await;
    }
    Ok(fsck.report)
}

impl<'a> Fsck<'a> {
    async fn open(metadata: Arc<dyn MetadataStore>, store: &'a ObjectStore) -> Result<Fsck<'a>, FsckError> {
        let cluster = metadata.get(cluster::KEY).await?.ok_or(FsckError::NoCluster)?;
        let cluster_id = cluster::Cluster::decode(&cluster)?.cluster_id;
        // With a history nothing is marked: a store without a mark is not ours.
        store::claim(store, cluster_id, ClusterHistory::Committed).await?;
        let mut listed = HashMap::default();
        let mut objects = store.list(None);
        while let Some(object) = objects.try_next().await? {
            if listed.len() == OBJECTS_MAX {
                return Err(FsckError::TooManyObjects);
            }
            listed.insert(object.path, object.size);
        }
        let view = metadata.get(view::KEY).await?;
        let view = view.as_ref().map(view::View::decode).transpose()?;
        // A session that does not exist: nothing can be written in its name.
        let standing = Standing::new(Arc::clone(&metadata), "sessions/none".to_owned(), Revision(0));
        let catalog = Catalog::load(Arc::clone(&metadata), standing, Clock::System).await?;
        let report = FsckReport {
            cluster_id: cluster_id.to_string(),
            checked: Checked { topics: catalog.all().len() as u64, ..Checked::default() },
            ..FsckReport::default()
        };
        Ok(Fsck {
            metadata,
            store,
            catalog,
            view: LeaderEpoch(view.map_or(0, |view| view.number.0)),
            listed,
            references: HashSet::default(),
            archived: BTreeMap::new(),
            in_doubt: BTreeSet::new(),
            deleted: BTreeSet::new(),
            report,
        })
    }

    /// Every pointer's manifest; its objects have the lengths and checksums by which they are named, or do not decode.
    async fn read_manifests(&mut self) -> Result<Vec<KeptManifest>, FsckError> {
        let mut manifests = Vec::new();
        for entry in self.metadata.list(POINTERS).await?.entries {
            let Some(topic_partition) = ManifestPointer::partition_of(&entry.key) else {
                self.report.problem(&entry.key, &"this key of the metadata names no partition");
                continue;
            };
            let Some(topic) = self.catalog.by_id(topic_partition.topic_id) else {
                self.deleted.insert(topic_partition.topic_id);
                continue;
            };
            self.report.checked.partitions += 1;
            match KeptManifest::load(self.store, topic_partition, &entry).await {
                Ok((kept, _below)) => {
                    let objects = kept.objects(&topic.name);
                    let segments = kept.manifest.totals().segments;
                    self.report.checked.manifest_objects += objects.len() as u64 - segments;
                    self.references.extend(objects);
                    self.archived.insert(topic_partition, kept.manifest.archived_offset());
                    manifests.push(kept);
                }
                Err(LoadError::Pointer(error)) => return Err(error.into()),
                Err(error) => {
                    self.in_doubt.insert(topic_partition);
                    self.report.problem(&format!("{}-{}", topic.name, topic_partition.partition), &error);
                }
            }
        }
        Ok(manifests)
    }
}
