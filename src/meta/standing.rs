//! A session's right to write: the key that every write of the session compares, and the proof that it is
//! still there.
//!
//! A session stands while its key exists. Whoever seals it removes the key, once and for ever; only the session
//! itself rewrites it. So "it exists" is the whole question, and "gone" is an answer that stays.

#[cfg(test)]
mod tests;

use super::{Compare, Entry, MetadataStore, Revision};
use parking_lot::Mutex;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::watch;

/// Why a standing is not confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StandingError {
    /// The session was sealed: it must start over as a new one.
    #[error("this session no longer stands")]
    Lost,
    /// The metadata store gave no answer in time: ask again.
    #[error("the metadata store gave no answer about this session's standing")]
    Unavailable,
}

/// A handle to the session's standing; all clones are one.
#[derive(Clone)]
pub struct Standing {
    shared: Arc<Shared>,
}

struct Shared {
    store: Arc<dyn MetadataStore>,
    key: String,
    revision: AtomicU64,
    deadline: Duration,
    lost: watch::Sender<bool>,
    reads: Mutex<Reads>,
    /// The newest read that has ended.
    ended: watch::Sender<Ended>,
}

/// Reads of the standing, one at a time, by a task of their own: a caller that is not polled for a while must
/// not hold up the others.
#[derive(Debug, Default)]
struct Reads {
    /// The number of the newest read that has begun.
    begun: u64,
    /// The greatest number that a caller waits for.
    wanted: u64,
    /// Whether the task runs.
    running: bool,
}

#[derive(Clone, Copy)]
struct Ended {
    number: u64,
    outcome: Result<(), StandingError>,
}

/// How long a caller waits for a confirmation.
const CONFIRM_DEADLINE: Duration = Duration::from_secs(5);

impl Standing {
    /// The standing at `key`, as written by the session itself at `revision`.
    #[must_use]
    pub fn new(store: Arc<dyn MetadataStore>, key: String, revision: Revision) -> Standing {
        Standing::with_deadline(store, key, revision, CONFIRM_DEADLINE)
    }

    fn with_deadline(
        store: Arc<dyn MetadataStore>,
        key: String,
        revision: Revision,
        deadline: Duration,
    ) -> Standing {
        let shared = Shared {
            store,
            key,
            revision: AtomicU64::new(revision.0),
            deadline,
            lost: watch::Sender::new(false),
            reads: Mutex::default(),
            ended: watch::Sender::new(Ended { number: 0, outcome: Ok(()) }),
        };
        Standing { shared: Arc::new(shared) }
    }

    /// The key whose existence is the standing.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.shared.key
    }

    /// Where it stands.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn MetadataStore> {
        &self.shared.store
    }

    /// What every write of this session compares.
    #[must_use]
    pub fn compare(&self) -> Compare {
        let revision = self.shared.revision.load(Ordering::SeqCst);
        Compare::Unchanged(self.shared.key.clone(), Revision(revision))
    }

    /// The session has rewritten its own standing; what it sent before can no longer land.
    pub fn on_rewritten(&self, revision: Revision) {
        self.shared.revision.fetch_max(revision.0, Ordering::SeqCst);
    }

    /// Judges what a transaction of this session read at [`Standing::key`].
    pub fn judge(&self, entry: Option<&Entry>) -> Result<(), StandingError> {
        if entry.is_none() {
            self.shared.lost.send_replace(true);
        }
        if self.is_lost() { Err(StandingError::Lost) } else { Ok(()) }
    }

    /// Whether the standing is known to be lost.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        *self.shared.lost.borrow()
    }

    /// Waits until the standing is known to be lost: the broker then starts over.
    pub async fn lost(&self) {
        let mut lost = self.shared.lost.subscribe();
        // The sender lives in `self`, so the channel cannot close.
        let _ = lost.wait_for(|lost| *lost).await;
    }

    /// Confirms that the session stood at some moment after this call began, by a linearizable read that began
    /// after it too; one read serves all that wait for it. Answers within five seconds. Dropping it is safe.
    ///
    /// Callers are bounded by the limit of requests in flight.
    pub async fn confirm(&self) -> Result<(), StandingError> {
        if self.is_lost() {
            return Err(StandingError::Lost);
        }
        let mut ended = self.shared.ended.subscribe();
        let wanted = self.want_read();
        let confirmed = ended.wait_for(|ended| ended.number >= wanted);
        match tokio::time::timeout(self.shared.deadline, confirmed).await {
            Ok(Ok(ended)) => ended.outcome,
            Ok(Err(_)) | Err(_) => Err(StandingError::Unavailable),
        }
    }

    /// Asks for a read that begins from now on, and says which one that will be.
    fn want_read(&self) -> u64 {
        let mut reads = self.shared.reads.lock();
        // A read that has begun already may have been answered before the session lost its standing.
        let wanted = reads.begun + 1;
        reads.wanted = wanted;
        if !reads.running {
            reads.running = true;
            tokio::spawn(self.clone().run_reads());
        }
        wanted
    }

    async fn run_reads(self) {
        while let Some(number) = self.next_read() {
            let outcome = match tokio::time::timeout(self.shared.deadline, self.read()).await {
                Ok(outcome) => outcome,
                Err(_elapsed) => Err(StandingError::Unavailable),
            };
            self.shared.ended.send_replace(Ended { number, outcome });
        }
    }

    fn next_read(&self) -> Option<u64> {
        let mut reads = self.shared.reads.lock();
        reads.running = reads.begun < reads.wanted;
        reads.running.then(|| {
            reads.begun += 1;
            reads.begun
        })
    }

    async fn read(&self) -> Result<(), StandingError> {
        match self.shared.store.get(&self.shared.key).await {
            Ok(entry) => self.judge(entry.as_ref()),
            Err(error) => {
                tracing::warn!(%error, key = self.shared.key, "standing not confirmed");
                Err(StandingError::Unavailable)
            }
        }
    }
}

impl fmt::Debug for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Standing").field("key", &self.shared.key).field("lost", &self.is_lost()).finish()
    }
}
