//! `drained/<broker id>`: there while an operator wants the broker to lead nothing. The value is empty.

use crate::types::BrokerId;

/// What all these keys start with.
pub const PREFIX: &str = "drained/";

/// The key of one broker.
#[must_use]
pub fn key(broker: BrokerId) -> String {
    format!("{PREFIX}{}", broker.0)
}

/// The broker that a key of this prefix names.
#[must_use]
pub fn broker_of(key: &str) -> Option<BrokerId> {
    key.strip_prefix(PREFIX)?.parse().ok().map(BrokerId)
}
