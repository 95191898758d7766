//! Whom this session cannot reach, for the others; and what they say, for this one. What one broker alone does not hear may be
//! its own fault; what two do not hear is not there.
//!
//! ```text
//! task ─ unreachable ─▶ Reports ─ room peers ─▶ Reports of another ─ told ─▶ task
//! ```
//!
//! A report is the whole list, and is told anew while there is anybody on it: what is not repeated is forgotten. So a
//! task that hangs reports nobody.

use crate::types::SessionId;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

/// Whom a session cannot reach.
pub type Unreachable = Arc<BTreeSet<SessionId>>;

/// Reports that wait for the task. What has no room is told again.
const WAITING_MAX: usize = 1_024;

/// The door for reports, of a session's task. Clones are the same.
#[derive(Clone, Debug)]
pub struct Reports {
    own: watch::Receiver<Unreachable>,
    told: mpsc::Sender<Report>,
}

/// What another session said.
#[derive(Clone, Debug)]
pub(super) struct Report {
    pub from: SessionId,
    pub number: u64,
    pub unreachable: BTreeSet<SessionId>,
    /// When it came in: it may wait for the task.
    pub at: Instant,
}

/// The task's side.
#[derive(Debug)]
pub(super) struct Reporting {
    own: watch::Sender<Unreachable>,
    published: Instant,
    every: Duration,
}

impl Reports {
    /// A door; what comes in by it; and where the task says whom it cannot reach, again at most `every` so often.
    pub(super) fn new(every: Duration) -> (Reports, mpsc::Receiver<Report>, Reporting) {
        let (own, published) = watch::channel(Unreachable::default());
        let (told, received) = mpsc::channel(WAITING_MAX);
        (Reports { own: published, told }, received, Reporting { own, published: Instant::now(), every })
    }

    /// Another broker told whom it cannot reach, in its report of that number.
    pub fn on_told(&self, from: SessionId, number: u64, unreachable: BTreeSet<SessionId>) {
        let report = Report { from, number, unreachable, at: Instant::now() };
        if self.told.try_send(report).is_err() {
            tracing::debug!(%from, "a report finds no room");
        }
    }

    /// Whom this session cannot reach. Each change is to be told to the others at once, also if it says the same; it ends
    /// with the session.
    #[must_use]
    pub fn own(&self) -> watch::Receiver<Unreachable> {
        self.own.clone()
    }
}

impl Reporting {
    /// Whom the session cannot reach now.
    pub fn publish(&mut self, unreachable: BTreeSet<SessionId>) {
        let is_news = **self.own.borrow() != unreachable;
        let is_due = !unreachable.is_empty() && self.published.elapsed() >= self.every;
        if is_news || is_due {
            self.published = Instant::now();
            self.own.send_replace(Arc::new(unreachable));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn of(number: u128) -> BTreeSet<SessionId> {
        BTreeSet::from([SessionId(Uuid::from_u128(number))])
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_said_at_once_and_again_while_there_is_anybody() {
        let every = Duration::from_millis(150);
        let (reports, _told, mut reporting) = Reports::new(every);
        let mut own = reports.own();
        let mut says = |reporting: &mut Reporting, unreachable| {
            reporting.publish(unreachable);
            let is_said = own.has_changed().expect("open");
            own.mark_unchanged();
            is_said
        };
        assert!(!says(&mut reporting, BTreeSet::new()));
        assert!(says(&mut reporting, of(1)));
        assert!(!says(&mut reporting, of(1)));
        assert!(says(&mut reporting, of(2)));
        tokio::time::advance(every).await;
        assert!(says(&mut reporting, of(2)));
        assert!(says(&mut reporting, BTreeSet::new()));
        tokio::time::advance(every).await;
        assert!(!says(&mut reporting, BTreeSet::new()));
    }

    #[tokio::test]
    async fn what_has_no_room_is_dropped() {
        let (reports, mut told, _reporting) = Reports::new(Duration::ZERO);
        let from = SessionId(Uuid::nil());
        let waiting = u64::try_from(WAITING_MAX).expect("a small number");
        (0..waiting + 7).for_each(|number| reports.on_told(from, number, of(1)));
        let mut received = Vec::new();
        while let Ok(report) = told.try_recv() {
            received.push(report.number);
        }
        assert_eq!(received, (0..waiting).collect::<Vec<_>>());
    }
}
