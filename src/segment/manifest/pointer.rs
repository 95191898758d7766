//! `manifests/<topic id>/<partition>`: what the metadata store holds of a partition's manifest.
//!
//! `{"v":1,"log_start":7,"archived":900,"root":{"id":"0123…cdef","bytes":4096,"crc32c":"0a1b2c3d"}}`, or
//! `{"v":1,"log_start":7,"archived":0,"root":null}` if nothing was ever archived and only the log start has moved.
//! The log start here may be above that of the root: a log start that moves alone rewrites no object.

use super::frame::ObjectRef;
use super::lookup::Manifest;
use super::stored::StoredRef;
use crate::meta::Entry;
use crate::types::{Offset, PartitionIndex, TopicId, TopicPartition};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// What the keys of all partitions start with.
pub const POINTERS: &str = "manifests/";
const VERSION: u32 = 1;

/// Which manifest is a partition's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestPointer {
    /// The root of the manifest; none if nothing was archived yet.
    pub root: Option<ObjectRef>,
    /// The first readable offset.
    pub log_start_offset: Offset,
    /// The first offset that only the journal has; zero without a root.
    pub archived_offset: Offset,
}

/// A stored pointer that cannot be understood: somebody must look.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the metadata at {key} cannot be read: {reason}")]
pub struct UnreadablePointer {
    /// Where it lies.
    pub key: String,
    /// What is wrong with it.
    pub reason: String,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    v: u32,
    log_start: i64,
    archived: i64,
    root: Option<StoredRef>,
}

#[derive(Deserialize)]
struct Version {
    v: u32,
}

/// What the keys of all partitions of a topic start with.
#[must_use]
pub fn pointer_prefix(topic_id: TopicId) -> String {
    format!("{POINTERS}{topic_id}/")
}

/// The key of a partition's pointer.
#[must_use]
pub fn pointer_key(topic_partition: TopicPartition) -> String {
    format!("{}{}", pointer_prefix(topic_partition.topic_id), topic_partition.partition)
}

impl ManifestPointer {
    /// The pointer of a partition whose log start alone has moved.
    #[must_use]
    pub fn without_root(log_start_offset: Offset) -> ManifestPointer {
        ManifestPointer { root: None, log_start_offset, archived_offset: Offset::ZERO }
    }

    /// The pointer to `root`, which holds `manifest`.
    #[must_use]
    pub fn to(root: ObjectRef, manifest: &Manifest) -> ManifestPointer {
        let (log_start_offset, archived_offset) = (manifest.log_start_offset(), manifest.archived_offset());
        ManifestPointer { root: Some(root), log_start_offset, archived_offset }
    }

    /// The stored form.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let (log_start, archived) = (self.log_start_offset.0, self.archived_offset.0);
        let stored = Stored { v: VERSION, log_start, archived, root: self.root.map(StoredRef::from) };
        serde_json::to_vec(&stored).expect("numbers and strings are always JSON").into()
    }

    /// From the stored form.
    pub fn decode(entry: &Entry) -> Result<ManifestPointer, UnreadablePointer> {
        let unreadable = |reason: String| UnreadablePointer { key: entry.key.clone(), reason };
        let version: Version =
            serde_json::from_slice(&entry.value).map_err(|error| unreadable(error.to_string()))?;
        if version.v != VERSION {
            return Err(unreadable(format!("version {} is not known here", version.v)));
        }
        let stored: Stored =
            serde_json::from_slice(&entry.value).map_err(|error| unreadable(error.to_string()))?;
        let Stored { log_start, archived, root, .. } = stored;
        if log_start < 0 || archived < 0 || root.is_none() && archived > 0 {
            return Err(unreadable(format!("log start {log_start}, archived {archived}")));
        }
        let (log_start_offset, archived_offset) = (Offset(log_start), Offset(archived));
        Ok(ManifestPointer { root: root.map(ObjectRef::from), log_start_offset, archived_offset })
    }

    /// The partition of a key that [`pointer_key`] made.
    #[must_use]
    pub fn partition_of(key: &str) -> Option<TopicPartition> {
        let (id, partition) = key.strip_prefix(POINTERS)?.split_once('/')?;
        let topic_id = TopicId(Uuid::parse_str(id).ok()?);
        let topic_partition = TopicPartition { topic_id, partition: PartitionIndex(partition.parse().ok()?) };
        (pointer_key(topic_partition) == key).then_some(topic_partition)
    }
}
