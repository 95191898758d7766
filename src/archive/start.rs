//! Reads what was archived before: of all partitions, or of those that a session begins to lead.

use super::error::LoadError;
use super::kept::KeptManifest;
use crate::hashing::HashSet;
use crate::log::ArchivedLog;
use crate::meta::{Entry, MetadataStore, Transaction};
use crate::segment::manifest::{ManifestPointer, POINTERS, pointer_key};
use crate::store::{ObjectPath, ObjectStore, paths};
use crate::topic::Catalog;
use crate::types::{TopicId, TopicName, TopicPartition};
use futures_util::{StreamExt, TryStreamExt, stream};
use std::collections::BTreeSet;

/// The manifests of partitions.
#[derive(Debug, Default)]
pub struct LoadedManifests {
    /// Those of topics that exist.
    pub manifests: Vec<LoadedManifest>,
    /// Topics that have manifests and exist no more.
    pub gone: BTreeSet<TopicId>,
    /// Segments that a log start has left behind.
    pub(super) garbage: Vec<ObjectPath>,
}

/// A partition's manifest.
#[derive(Clone, Debug)]
pub struct LoadedManifest {
    /// Whose.
    pub topic_partition: TopicPartition,
    /// The topic's name.
    pub(super) topic: TopicName,
    pub(super) kept: KeptManifest,
}

/// Manifests that are read at the same time.
const READS_AT_ONCE: usize = 64;
/// Pointers that are read in one transaction.
const POINTERS_AT_ONCE: usize = 100;
/// More pointers than this are read by listing all.
const POINTERS_MAX: usize = 1_000;

impl LoadedManifest {
    /// As the log needs it.
    #[must_use]
    pub fn archived_log(&self) -> ArchivedLog {
        self.kept.archived_log(&self.topic)
    }
}

/// Reads all manifests.
pub async fn load(
    metadata: &dyn MetadataStore,
    store: &ObjectStore,
    catalog: &Catalog,
) -> Result<LoadedManifests, LoadError> {
    let mut loaded = LoadedManifests::default();
    let mut wanted = Vec::new();
    for entry in metadata.list(POINTERS).await?.entries {
        let Some(topic_partition) = ManifestPointer::partition_of(&entry.key) else {
            return Err(LoadError::UnknownKey(entry.key));
        };
        match catalog.by_id(topic_partition.topic_id) {
            Some(topic) => wanted.push((topic_partition, topic.name.clone(), entry)),
            None => {
                loaded.gone.insert(topic_partition.topic_id);
            }
        }
    }
    loaded.read(store, wanted).await?;
    Ok(loaded)
}

/// Finds the topics that have manifests and exist no more: whoever deleted them did not come to the end of it. That one is
/// not known here proves nothing, so each is looked up.
pub async fn load_gone(
    metadata: &dyn MetadataStore,
    catalog: &Catalog,
) -> Result<LoadedManifests, LoadError> {
    let entries = metadata.list(POINTERS).await?.entries;
    let partitions = entries.iter().filter_map(|entry| ManifestPointer::partition_of(&entry.key));
    let topics: BTreeSet<TopicId> = partitions.map(|partition| partition.topic_id).collect();
    let mut loaded = LoadedManifests::default();
    for topic_id in topics {
        let found = catalog.resolve_id(topic_id).await;
        if found.map_err(|error| LoadError::Topics(error.to_string()))?.is_none() {
            loaded.gone.insert(topic_id);
        }
    }
    Ok(loaded)
}

/// Reads the manifests of these partitions: those of them that have one, and whose topic is there. Of two reads of one
/// partition the later is the one to go by, so whoever leads it reads it after those who led it before have let go.
pub async fn load_some(
    metadata: &dyn MetadataStore,
    store: &ObjectStore,
    catalog: &Catalog,
    partitions: &[TopicPartition],
) -> Result<LoadedManifests, LoadError> {
    let mut wanted = Vec::new();
    for entry in pointers(metadata, partitions).await? {
        let Some(topic_partition) = ManifestPointer::partition_of(&entry.key) else {
            return Err(LoadError::UnknownKey(entry.key));
        };
        if let Some(topic) = catalog.by_id(topic_partition.topic_id) {
            wanted.push((topic_partition, topic.name.clone(), entry));
        }
    }
    let mut loaded = LoadedManifests::default();
    loaded.read(store, wanted).await?;
    Ok(loaded)
}

/// The pointers of these partitions, as far as there are any.
pub(super) async fn pointers(
    metadata: &dyn MetadataStore,
    partitions: &[TopicPartition],
) -> Result<Vec<Entry>, LoadError> {
    if partitions.len() > POINTERS_MAX {
        let wanted: HashSet<String> = partitions.iter().map(|partition| pointer_key(*partition)).collect();
        let mut entries = metadata.list(POINTERS).await?.entries;
        entries.retain(|entry| wanted.contains(&entry.key));
        return Ok(entries);
    }
    let mut entries = Vec::new();
    for chunk in partitions.chunks(POINTERS_AT_ONCE) {
        let reads = chunk.iter().map(|partition| pointer_key(*partition)).collect();
        let answer = metadata.transact(Transaction { reads, ..Transaction::default() }).await?;
        entries.extend(answer.reads.into_iter().flatten());
    }
    Ok(entries)
}

impl LoadedManifests {
    async fn read(
        &mut self,
        store: &ObjectStore,
        wanted: Vec<(TopicPartition, TopicName, Entry)>,
    ) -> Result<(), LoadError> {
        let reads = wanted.into_iter().map(async |(topic_partition, topic, entry)| {
            let (kept, unreferenced) = KeptManifest::load(store, topic_partition, &entry).await?;
            let garbage: Vec<ObjectPath> = unreferenced
                .iter()
                .map(|segment| paths::segment(&topic, topic_partition, &segment.name()))
                .collect();
            Ok::<_, LoadError>((LoadedManifest { topic_partition, topic, kept }, garbage))
        });
        let mut reads = stream::iter(reads).buffer_unordered(READS_AT_ONCE);
        while let Some((manifest, garbage)) = reads.try_next().await? {
            self.manifests.push(manifest);
            self.garbage.extend(garbage);
        }
        Ok(())
    }
}
