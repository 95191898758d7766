//! `sessions/<session>`: a session's standing. It exists while the session may write; sealing removes it.
//!
//! `{"v":1,"broker_id":1,"acked_view":7,"started_ms":1760000000000}`

use super::{BrokerIdNumber, DecodeKeyError, ViewNumberNumber};
use crate::meta::Entry;
use crate::types::{BrokerId, SessionId, ViewNumber};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// What all these keys start with.
pub const PREFIX: &str = "sessions/";

/// The key of one session.
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
pub struct Session {
    /// The broker whose session it is.
    #[serde(with = "BrokerIdNumber")]
    pub broker_id: BrokerId,
    /// The newest view it has acknowledged.
    #[serde(with = "ViewNumberNumber")]
    pub acked_view: ViewNumber,
    /// When it started, by its own clock, in milliseconds since the Unix epoch. For people to read.
    pub started_ms: i64,
}

impl Session {
    /// The stored form.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        super::encode(self)
    }

    /// From the stored form.
    pub fn decode(entry: &Entry) -> Result<Session, DecodeKeyError> {
        super::decode(entry)
    }
}
