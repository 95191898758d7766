//! The one place that reads the real clock and draws chance. Everything else takes values.

#[cfg(feature = "simulation")]
pub mod simulated;

use crate::types::Timestamp;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use uuid::Uuid;

/// Wall-clock time, as a seam: tests set it.
#[derive(Clone, Debug)]
pub enum Clock {
    /// The machine's.
    System,
    /// A test's: milliseconds since the Unix epoch, moved by hand.
    Manual(Arc<AtomicI64>),
}

impl Clock {
    /// Now, in milliseconds since the Unix epoch.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        match self {
            Clock::System => Timestamp(system_millis()),
            Clock::Manual(millis) => Timestamp(millis.load(Ordering::Relaxed)),
        }
    }
}

#[allow(clippy::disallowed_methods, reason = "this is the place")]
fn system_millis() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// Whether this thread simulates: then nothing goes to other threads, and chance comes from a seed.
#[must_use]
pub fn is_simulated() -> bool {
    #[cfg(feature = "simulation")]
    return simulated::is_on();
    #[cfg(not(feature = "simulation"))]
    false
}

/// A fresh random id, for sessions, topics and clusters.
#[must_use]
pub fn random_id() -> Uuid {
    #[cfg(feature = "simulation")]
    if let Some((high, low)) = simulated::draw().zip(simulated::draw()) {
        return uuid::Builder::from_random_bytes((u128::from(high) << 64 | u128::from(low)).to_be_bytes())
            .into_uuid();
    }
    Uuid::new_v4()
}

/// A fresh secret for a hash: two random numbers.
#[must_use]
pub fn random_secret() -> (u64, u64) {
    // Six bits of an id are fixed; crossing two of them leaves none.
    let (one, other) = (random_id().as_u64_pair(), random_id().as_u64_pair());
    (one.0 ^ other.1, one.1 ^ other.0)
}

/// A fresh random id for a fetch session: positive, as 0 stands for none.
#[must_use]
pub fn random_session_id() -> i32 {
    let [a, b, c, d, ..] = *random_id().as_bytes();
    i32::from_be_bytes([a & 0x7f, b, c, d]).max(1)
}
