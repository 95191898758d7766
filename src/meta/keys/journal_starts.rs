//! `journal-starts/<session>`: from where on a session's journal is needed. Objects before that may be gone.
//!
//! `{"v":1,"first":12}`; without this key the journal is needed from its first object on, which has number 1.

use super::DecodeKeyError;
use crate::meta::Entry;
use crate::types::SessionId;
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalStart {
    /// The first object that is needed.
    pub first: u64,
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
