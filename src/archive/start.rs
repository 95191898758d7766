//! Reads what was archived before a session begins.

use super::error::LoadError;
use super::kept::KeptManifest;
use crate::log::ArchivedLog;
use crate::meta::MetadataStore;
use crate::segment::manifest::{ManifestPointer, POINTERS};
use crate::store::{ObjectPath, ObjectStore, paths};
use crate::topic::Catalog;
use crate::types::{TopicId, TopicName, TopicPartition};
use futures_util::{StreamExt, TryStreamExt, stream};
use std::collections::BTreeSet;

/// The manifests of all partitions.
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
        loaded.manifests.push(manifest);
        loaded.garbage.extend(garbage);
    }
    Ok(loaded)
}
