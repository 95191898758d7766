//! `journal-starts/<session>`: what of a session's journal is needed. Its other objects may be gone.
//!
//! `{"v":1,"first":12,"merged":[{"number":"7-3","bytes":52000,"puts":500000000}]}`: the numbered objects from 12 on,
//! and before them, in the order of age, the merged ones, which have what is needed of the objects before 12.
//! Without merged objects the list is left out; without this key the journal is needed from its first object on, which
//! has number 1.

use super::DecodeKeyError;
use crate::meta::Entry;
use crate::types::{MergeNumber, SessionId};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// What all these keys start with.
pub const PREFIX: &str = "journal-starts/";

/// The key of one session's journal.
#[must_use]
pub fn key(session: SessionId) -> String {
    format!("{PREFIX}{session}")
}

/// The session that a key of this prefix names.
#[must_use]
pub fn session_of(key: &str) -> Option<SessionId> {
    key.strip_prefix(PREFIX)?.parse().ok()
}

/// The value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalStart {
    /// The first numbered object that is needed.
    pub first: u64,
    /// What is needed of those before it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub merged: Vec<MergedObject>,
}

/// A merged object that is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MergedObject {
    /// Its name below the session.
    #[serde(with = "super::text")]
    pub number: MergeNumber,
    /// Its length.
    pub bytes: u64,
    /// How many PUTs of numbered objects its rows stand for, in millionths.
    pub puts: u64,
}

impl Default for JournalStart {
    /// As it is without a key.
    fn default() -> JournalStart {
        JournalStart { first: 1, merged: Vec::new() }
    }
}

impl JournalStart {
    /// The stored form.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        super::encode(self)
    }

    /// From the stored form.
    pub fn decode(entry: &Entry) -> Result<JournalStart, DecodeKeyError> {
        super::decode(entry)
    }
}
