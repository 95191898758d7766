//! Where the metadata store holds share partitions.
//!
//! ```text
//! share-partitions/<group>/<topic id>/<partition>   what became of its records (`share/stored_partition.rs`)
//! ```

use super::{DeliveryError, ShareKey};
use crate::group::GroupId;
use crate::group::share::{SharePartition, StoredSharePartition};
use crate::group::stored::UnreadableGroup;
use crate::meta::Entry;
use crate::meta::keys::escaped;
use crate::types::{PartitionIndex, TopicId, TopicPartition};
use bytes::Bytes;
use std::fmt;
use uuid::Uuid;

const PARTITIONS: &str = "share-partitions/";

pub(super) fn prefix(group_id: &GroupId) -> String {
    format!("{PARTITIONS}{}/", escaped(group_id.as_str()))
}

pub(super) fn key(key: &ShareKey) -> String {
    let TopicPartition { topic_id, partition } = key.partition;
    format!("{}{topic_id}/{}", prefix(&key.group_id), partition.0)
}

pub(super) fn encode(partition: &SharePartition) -> Bytes {
    serde_json::to_vec(&partition.stored()).expect("numbers are always JSON").into()
}

/// Reads a value, and which partition it is of from its key.
pub(super) fn decode(entry: &Entry) -> Result<(TopicPartition, StoredSharePartition), UnreadableGroup> {
    let unreadable = |reason: String| UnreadableGroup { key: entry.key.clone(), reason };
    let place = partition_of(&entry.key).ok_or_else(|| unreadable("no partition".to_owned()))?;
    let stored = serde_json::from_slice(&entry.value).map_err(|error| unreadable(error.to_string()))?;
    Ok((place, stored))
}

fn partition_of(key: &str) -> Option<TopicPartition> {
    let mut parts = key.rsplit('/');
    let partition = PartitionIndex(parts.next()?.parse().ok()?);
    let topic_id = TopicId(Uuid::parse_str(parts.next()?).ok()?);
    Some(TopicPartition { topic_id, partition })
}

pub(super) fn unavailable(group_id: &GroupId, error: &dyn fmt::Display) -> DeliveryError {
    tracing::warn!(group = %group_id, %error, "what is stored of a share group cannot be read");
    DeliveryError::Unavailable
}
