//! When the open object is cut: a decision about numbers and moments, without a clock or I/O of its own.

use crate::config::JournalConfig;
use tokio::time::Instant;

/// What the cutter knows of the journal when it decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Situation {
    /// Bytes in the open object.
    pub open_bytes: usize,
    /// When its oldest batch came; nothing if it is empty.
    pub oldest: Option<Instant>,
    /// Objects cut and not yet stored.
    pub in_flight: usize,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Cut the open object and put it.
    Now,
    /// Nothing until then, unless something changes.
    At(Instant),
    /// Nothing until something changes.
    Wait,
}

/// Group commit: cut at a size, at an age, or, with no age set, as soon as a PUT may start.
#[must_use]
pub fn decide(config: &JournalConfig, now: Instant, situation: Situation) -> Cut {
    let Some(oldest) = situation.oldest else { return Cut::Wait };
    if situation.in_flight >= config.puts_in_flight {
        return Cut::Wait;
    }
    let deadline = oldest + config.flush_interval;
    if situation.open_bytes >= config.flush_bytes || now >= deadline { Cut::Now } else { Cut::At(deadline) }
}
