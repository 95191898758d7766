//! `alive/<session>`: there while the session keeps its lease. The value is empty.
//!
//! It says that the session was alive a moment ago, and nothing of what it may write: that is its standing.

use crate::types::SessionId;

/// What all these keys start with.
pub const PREFIX: &str = "alive/";

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
