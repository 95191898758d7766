//! What the metadata store holds of groups.
//!
//! ```text
//! groups/<group>                     {"v":1,"name":"g","empty_since_ms":null,"core":{"protocol":"classic","group":{…}}}
//! group-offsets/<group>/<topic id>   the committed offsets of all partitions of a topic
//! group-producers/<group>            which transactions with offsets of the group have ended
//! ```
//!
//! Names are written in keys as [`escaped`] does.

use super::classic::StoredClassicGroup;
use super::consumer::StoredConsumerGroup;
use super::offsets::{StoredTopicOffsets, TopicOffsets};
use super::producers::{Producers, StoredProducers};
use super::share::StoredShareGroup;
use super::types::GroupId;
use crate::meta::Entry;
use crate::meta::keys::escaped;
use crate::types::{Timestamp, TopicId};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Prefix of all groups.
pub(super) const GROUPS: &str = "groups/";
/// Prefix of all committed offsets.
pub(super) const OFFSETS: &str = "group-offsets/";
/// Prefix of what is known of transactional producers.
const PRODUCERS: &str = "group-producers/";
pub(super) const VERSION: u32 = 1;

/// A group as it is stored.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct StoredGroup {
    v: u32,
    /// Its name, which the key has in another form.
    pub name: String,
    /// Since when nobody is in it; its offsets are kept for a while from then on.
    pub empty_since_ms: Option<i64>,
    pub core: StoredCore,
}

/// What the protocol of a group stores.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "protocol", content = "group", rename_all = "lowercase")]
pub(super) enum StoredCore {
    Classic(StoredClassicGroup),
    Consumer(Box<StoredConsumerGroup>),
    Share(Box<StoredShareGroup>),
}

/// A stored value that cannot be understood: somebody must look.
#[derive(Debug, thiserror::Error)]
#[error("the metadata at {key} cannot be read: {reason}")]
pub struct UnreadableGroup {
    /// Where it lies.
    pub key: String,
    /// What is wrong with it.
    pub reason: String,
}

#[derive(Deserialize)]
struct Version {
    v: u32,
}

impl StoredGroup {
    pub fn new(name: &GroupId, empty_since: Option<Timestamp>, core: StoredCore) -> StoredGroup {
        let empty_since_ms = empty_since.map(|since| since.0);
        StoredGroup { v: VERSION, name: name.to_string(), empty_since_ms, core }
    }

    pub fn encode(&self) -> Bytes {
        serde_json::to_vec(self).expect("numbers, strings and lists are always JSON").into()
    }

    pub fn decode(entry: &Entry) -> Result<StoredGroup, UnreadableGroup> {
        check_version(entry)?;
        serde_json::from_slice(&entry.value).map_err(|error| unreadable(entry, error))
    }
}

pub(super) fn encode_offsets(offsets: &TopicOffsets) -> Bytes {
    serde_json::to_vec(&StoredTopicOffsets::from(offsets))
        .expect("numbers and strings are always JSON")
        .into()
}

pub(super) fn decode_offsets(entry: &Entry) -> Result<TopicOffsets, UnreadableGroup> {
    check_version(entry)?;
    let stored: StoredTopicOffsets =
        serde_json::from_slice(&entry.value).map_err(|error| unreadable(entry, error))?;
    Ok(stored.into())
}

fn check_version(entry: &Entry) -> Result<(), UnreadableGroup> {
    let version: Version = serde_json::from_slice(&entry.value).map_err(|error| unreadable(entry, error))?;
    match version.v {
        VERSION => Ok(()),
        newer => Err(unreadable(entry, format!("version {newer} is not known here"))),
    }
}

fn unreadable(entry: &Entry, reason: impl ToString) -> UnreadableGroup {
    UnreadableGroup { key: entry.key.clone(), reason: reason.to_string() }
}

pub(super) fn group_key(group_id: &GroupId) -> String {
    format!("{GROUPS}{}", escaped(group_id.as_str()))
}

pub(super) fn producers_key(group_id: &GroupId) -> String {
    format!("{PRODUCERS}{}", escaped(group_id.as_str()))
}

pub(super) fn encode_producers(producers: &Producers) -> Bytes {
    serde_json::to_vec(&StoredProducers::from(producers)).expect("numbers are always JSON").into()
}

pub(super) fn decode_producers(entry: &Entry) -> Result<Producers, UnreadableGroup> {
    check_version(entry)?;
    let stored: StoredProducers =
        serde_json::from_slice(&entry.value).map_err(|error| unreadable(entry, error))?;
    Ok(stored.into())
}

pub(super) fn offsets_prefix(group_id: &GroupId) -> String {
    format!("{OFFSETS}{}/", escaped(group_id.as_str()))
}

pub(super) fn offsets_key(group_id: &GroupId, topic_id: TopicId) -> String {
    format!("{}{topic_id}", offsets_prefix(group_id))
}

/// The topic of a key that [`offsets_key`] made.
pub(super) fn topic_of(key: &str) -> Option<TopicId> {
    key.rsplit('/').next().and_then(|id| Uuid::parse_str(id).ok()).map(TopicId)
}
