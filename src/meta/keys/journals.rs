//! `journals/<session>`: how much of a session's journal is committed.
//!
//! `{"v":1,"committed":12,"final":null}`, and once sealed `{"v":1,"committed":12,"final":12}`

use super::DecodeKeyError;
use crate::meta::Entry;
use crate::types::SessionId;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// What all these keys start with.
pub const PREFIX: &str = "journals/";

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
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Journal {
    /// Objects up to this number are committed, it included; numbers start at 1, so 0 is none.
    pub committed: u64,
    /// Set when the session was sealed: no object above it exists, whatever the bucket holds.
    #[serde(rename = "final")]
    pub final_seq: Option<u64>,
}

impl Journal {
    /// The stored form.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        super::encode(self)
    }

    /// From the stored form.
    pub fn decode(entry: &Entry) -> Result<Journal, DecodeKeyError> {
        super::decode(entry)
    }
}
