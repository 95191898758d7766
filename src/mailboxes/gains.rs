//! When to look for what this session serves since a view: a group whose members nobody would miss, a transaction that
//! nobody would end, for nobody asks for it.
//!
//! Looking lists all that is stored, so it is done once for a view, when all that the view gave to this session may be
//! served. While some of it waits for others it is done now and then, for the rest. What is not listed yet may wait for
//! others than what is; so names that stand for all are asked about too, enough of them to meet every case but the rarest,
//! which is met when all is looked through after a longer time.

use crate::cluster::PlacementKey;
use crate::leadership::Leadership;
use crate::types::{SessionId, ViewNumber};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;
use uuid::Uuid;

/// Tells when to look.
#[derive(Debug)]
pub struct Gains {
    leadership: Leadership,
    changes: watch::Receiver<u64>,
    /// The view that nothing more can be gained from.
    done: Option<ViewNumber>,
    /// When to look although some of the view waits for others.
    partly_at: Option<Instant>,
    /// After a look that failed: not before.
    not_before: Option<Instant>,
}

/// A look that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gained {
    view: ViewNumber,
    is_all: bool,
}

/// Names that stand for all.
const SAMPLES: u128 = 512;
/// How long to wait for others, or for a store that failed, before looking again.
const AGAIN: Duration = Duration::from_secs(1);

impl Gains {
    /// Nothing has been looked for yet.
    #[must_use]
    pub fn new(leadership: Leadership) -> Gains {
        let changes = leadership.changes();
        Gains { leadership, changes, done: None, partly_at: None, not_before: None }
    }

    /// Waits until it is time to look. Dropping it is safe.
    pub async fn due(&mut self) -> Gained {
        loop {
            self.changes.mark_unchanged();
            let view = self.leadership.image().number();
            if self.done == Some(view) {
                self.changed().await;
                continue;
            }
            // What has been taken over when this is asked is seen by a look that begins later.
            let is_all = !waits_for_others(&self.leadership);
            let now = Instant::now();
            let partly_at = if is_all { now } else { *self.partly_at.get_or_insert(now + AGAIN) };
            let due_at = partly_at.max(self.not_before.unwrap_or(now));
            if due_at <= now {
                return Gained { view, is_all };
            }
            tokio::select! {
                () = self.changed() => {}
                () = tokio::time::sleep_until(due_at) => {}
            }
        }
    }

    async fn changed(&mut self) {
        if self.changes.changed().await.is_err() {
            // Nothing will ever change: the session is over.
            std::future::pending::<()>().await;
        }
    }

    /// All that may be served was found; `waits` if something that was found may not be served yet. If there is no such
    /// thing, that is all for this view.
    pub fn looked(&mut self, gained: Gained, waits: bool) {
        self.not_before = None;
        self.partly_at = None;
        if gained.is_all && waits {
            self.failed();
        } else if gained.is_all {
            self.done = Some(gained.view);
        }
    }

    /// It could not be looked through: again in a while.
    pub fn failed(&mut self) {
        self.not_before = Some(Instant::now() + AGAIN);
    }
}

fn waits_for_others(leadership: &Leadership) -> bool {
    let sample = |number| PlacementKey::sealer(SessionId(Uuid::from_u128(number)));
    leadership.servable((0..SAMPLES).map(|number| (sample(number), ()))).1
}

#[cfg(test)]
mod tests;
