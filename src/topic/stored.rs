//! What the metadata store holds of topics: one JSON value a topic, and one key a name.
//!
//! ```text
//! topics/<topic id>         {"version":1,"name":"a.b","partitions":6,"overrides":{"retention.ms":"5"},"created_ms":1}
//! topic-names/<name>        the topic id, 32 hex digits
//! ```
//!
//! In the key of a name every `.` is written `_`: Apache Kafka refuses a topic whose name differs from another's in
//! nothing else, and so one `Absent` finds both that and the name itself taken, whoever creates at the same time.

use super::catalog::{PARTITIONS_MAX, Topic};
use super::settings::TopicSettings;
use crate::meta::Entry;
use crate::types::{Timestamp, TopicId, TopicName};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use uuid::Uuid;

/// Where topics are.
pub(super) const TOPICS: &str = "topics/";
const TOPIC_NAMES: &str = "topic-names/";
const STORED_VERSION: u32 = 1;

/// A value that this release cannot read.
#[derive(Debug, thiserror::Error)]
#[error("the metadata key {key} cannot be read: {cause}")]
pub struct UnreadableTopic {
    key: String,
    cause: String,
}

#[derive(Serialize, Deserialize)]
struct StoredTopic {
    version: u32,
    name: String,
    partitions: i32,
    overrides: BTreeMap<String, String>,
    created_ms: i64,
}

pub(super) fn topic_key(topic_id: TopicId) -> String {
    format!("{TOPICS}{topic_id}")
}

/// The topic that a key names.
pub(super) fn topic_of_key(key: &str) -> Option<TopicId> {
    Uuid::parse_str(key.strip_prefix(TOPICS)?).map(TopicId).ok()
}

pub(super) fn name_key(name: &str) -> String {
    format!("{TOPIC_NAMES}{}", name.replace('.', "_"))
}

pub(super) fn encode_name_value(topic_id: TopicId) -> Bytes {
    Bytes::from(topic_id.to_string())
}

pub(super) fn decode_name_value(entry: &Entry) -> Result<TopicId, UnreadableTopic> {
    let text = std::str::from_utf8(&entry.value).map_err(|error| unreadable(entry, &error))?;
    Uuid::parse_str(text).map(TopicId).map_err(|error| unreadable(entry, &error))
}

pub(super) fn encode_topic(topic: &Topic) -> Bytes {
    let stored = StoredTopic {
        version: STORED_VERSION,
        name: topic.name.to_string(),
        partitions: topic.partitions,
        overrides: topic.overrides.clone(),
        created_ms: topic.created_ms.get(),
    };
    Bytes::from(serde_json::to_vec(&stored).expect("plain numbers and text always have a JSON form"))
}

pub(super) fn decode_topic(entry: &Entry) -> Result<Topic, UnreadableTopic> {
    let id = entry.key.strip_prefix(TOPICS).unwrap_or_default();
    let id = Uuid::parse_str(id).map_err(|error| unreadable(entry, &error))?;
    let stored: StoredTopic =
        serde_json::from_slice(&entry.value).map_err(|error| unreadable(entry, &error))?;
    if stored.version != STORED_VERSION {
        return Err(unreadable(entry, &format!("version {} is not known here", stored.version)));
    }
    if !(1..=PARTITIONS_MAX).contains(&stored.partitions) {
        return Err(unreadable(entry, &format!("{} partitions", stored.partitions)));
    }
    Ok(Topic {
        id: TopicId(id),
        name: TopicName::parse(&stored.name).map_err(|error| unreadable(entry, &error))?,
        partitions: stored.partitions,
        settings: TopicSettings::parse(&stored.overrides).map_err(|error| unreadable(entry, &error))?,
        overrides: stored.overrides,
        created_ms: Timestamp(stored.created_ms),
    })
}

fn unreadable(entry: &Entry, cause: &dyn std::fmt::Display) -> UnreadableTopic {
    UnreadableTopic { key: entry.key.clone(), cause: cause.to_string() }
}
