//! What the metadata store holds of the settings of groups: one JSON value a group that has any.
//!
//! ```text
//! group-settings/<group>    {"v":1,"name":"g","overrides":{"share.auto.offset.reset":"earliest"}}
//! ```
//!
//! Names are written in keys as [`escaped`] does.

use crate::group::GroupId;
use crate::meta::Entry;
use crate::meta::keys::escaped;
use crate::settings::Overrides;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::fmt::Display;

/// Where they are.
pub(super) const GROUP_SETTINGS: &str = "group-settings/";
const VERSION: u32 = 1;

/// A value that this release cannot read.
#[derive(Debug, thiserror::Error)]
#[error("the metadata at {key} cannot be read: {reason}")]
pub struct UnreadableGroupSettings {
    key: String,
    reason: String,
}

#[derive(Serialize, Deserialize)]
struct StoredGroupSettings {
    v: u32,
    /// The group's name, which the key has in another form.
    name: String,
    overrides: Overrides,
}

#[derive(Deserialize)]
struct Version {
    v: u32,
}

pub(super) fn key(group_id: &GroupId) -> String {
    format!("{GROUP_SETTINGS}{}", escaped(group_id.as_str()))
}

pub(super) fn encode(group_id: &GroupId, overrides: &Overrides) -> Bytes {
    let stored = StoredGroupSettings { v: VERSION, name: group_id.to_string(), overrides: overrides.clone() };
    serde_json::to_vec(&stored).expect("numbers and text are always JSON").into()
}

pub(super) fn decode(entry: &Entry) -> Result<(GroupId, Overrides), UnreadableGroupSettings> {
    let version: Version = serde_json::from_slice(&entry.value).map_err(|error| unreadable(entry, &error))?;
    if version.v != VERSION {
        return Err(unreadable(entry, &format!("version {} is not known here", version.v)));
    }
    let stored: StoredGroupSettings =
        serde_json::from_slice(&entry.value).map_err(|error| unreadable(entry, &error))?;
    Ok((GroupId::new(&stored.name), stored.overrides))
}

pub(super) fn unreadable(entry: &Entry, reason: &dyn Display) -> UnreadableGroupSettings {
    UnreadableGroupSettings { key: entry.key.clone(), reason: reason.to_string() }
}
