//! Who may come in: a number of connections over all listeners, and a calm log about those turned away.

use super::turns;
use crate::limits::MemoryBudget;
use crate::metrics::Metrics;
use parking_lot::Mutex;
use prometheus_client::metrics::gauge::Gauge;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// The door's rules, shared by all listeners.
#[derive(Debug)]
pub struct Admission {
    places: Arc<Semaphore>,
    next_connection_id: AtomicU64,
    log: LogPace,
    /// Memory that frames are read into.
    pub budget: MemoryBudget,
    /// Where connections are counted.
    pub metrics: Arc<Metrics>,
    /// Turns at writing long answers.
    pub(super) turns: Arc<Semaphore>,
}

/// A connection's place, given back when dropped.
#[derive(Debug)]
pub struct Guest {
    /// The connection's number in this process, from 1.
    pub connection_id: u64,
    gauge: Gauge,
    _place: OwnedSemaphorePermit,
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.gauge.dec();
    }
}

impl Admission {
    /// Lets `connections_max` in at once.
    #[must_use]
    pub fn new(connections_max: usize, budget: MemoryBudget, metrics: Arc<Metrics>) -> Admission {
        Admission {
            places: Arc::new(Semaphore::new(connections_max.min(Semaphore::MAX_PERMITS))),
            next_connection_id: AtomicU64::new(1),
            log: LogPace::default(),
            budget,
            metrics,
            turns: turns::of_a_server(),
        }
    }

    /// For streams of other brokers, which the mesh counts. Their numbers are none of those that clients' connections have.
    #[must_use]
    pub fn of_brokers(budget: MemoryBudget, metrics: Arc<Metrics>) -> Admission {
        let next_connection_id = AtomicU64::new(BROKERS_FROM);
        Admission { next_connection_id, ..Admission::new(0, budget, metrics) }
    }

    /// A number for a stream of another broker.
    pub fn next_number(&self) -> u64 {
        self.next_connection_id.fetch_add(1, Ordering::Relaxed)
    }

    /// A place, counted on `gauge`; or none, counted and logged.
    pub fn admit(&self, gauge: &Gauge, peer: &dyn std::fmt::Display) -> Option<Guest> {
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            self.metrics.connections_refused.inc();
            if let Some(unsaid) = self.may_log() {
                tracing::warn!(%peer, unsaid, "connection refused: connections-max are open");
            }
            return None;
        };
        gauge.inc();
        let connection_id = self.next_connection_id.fetch_add(1, Ordering::Relaxed);
        Some(Guest { connection_id, gauge: gauge.clone(), _place: place })
    }

    /// Whether a line about a peer's fault may be logged now; the number is of those left out before it.
    pub fn may_log(&self) -> Option<u64> {
        self.log.take(Instant::now())
    }
}

/// At most [`LINES_PER_WINDOW`] lines in [`LOG_WINDOW`], so that a bad peer cannot fill a disk with our log.
#[derive(Debug, Default)]
struct LogPace {
    window: Mutex<Option<LogWindow>>,
}

#[derive(Debug)]
struct LogWindow {
    began: Instant,
    lines: u32,
    unsaid: u64,
}

/// The first number of a stream of another broker.
const BROKERS_FROM: u64 = 1 << 48;

const LOG_WINDOW: Duration = Duration::from_secs(10);
const LINES_PER_WINDOW: u32 = 20;

impl LogPace {
    fn take(&self, now: Instant) -> Option<u64> {
        let mut guard = self.window.lock();
        let window = guard.get_or_insert(LogWindow { began: now, lines: 0, unsaid: 0 });
        if now.duration_since(window.began) >= LOG_WINDOW {
            window.began = now;
            window.lines = 0;
        }
        if window.lines == LINES_PER_WINDOW {
            window.unsaid += 1;
            return None;
        }
        window.lines += 1;
        Some(std::mem::take(&mut window.unsaid))
    }
}
