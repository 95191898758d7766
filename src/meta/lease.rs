//! Leases: keys that go when their owner no longer renews them.
//!
//! A lease says that its owner was alive a moment ago, and nothing more: who may write is decided by the standing. Its
//! owner stops believing in it before the store does, as it measures from the sending of the last renewal that was
//! answered, and leaves a margin for clocks that run at different speeds.

use super::MetadataError;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

/// Names a lease in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeaseId(pub i64);

/// What its keeper knows of a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaseState {
    /// Until then; none: while the process lives.
    ValidUntil(Option<Instant>),
    /// It is over, and stays so.
    Lost,
}

/// Asks the keeper to end the lease now.
pub type Revocation = oneshot::Sender<Result<(), MetadataError>>;

/// A lease that is kept by a task of its own while this lives. Dropped, it ends when its time has passed.
#[derive(Debug)]
pub struct Lease {
    id: LeaseId,
    state: watch::Receiver<LeaseState>,
    revoke: mpsc::Sender<Revocation>,
}

/// The keeper's half of a lease.
#[derive(Debug)]
pub struct LeaseKeeper {
    /// What the owner is told.
    pub state: watch::Sender<LeaseState>,
    /// At most one comes; closed: the lease was dropped.
    pub revocations: mpsc::Receiver<Revocation>,
}

impl Lease {
    /// A lease and its keeper's half.
    pub fn new(id: LeaseId, valid_until: Option<Instant>) -> (Lease, LeaseKeeper) {
        let (sender, state) = watch::channel(LeaseState::ValidUntil(valid_until));
        let (revoke, revocations) = mpsc::channel(1);
        (Lease { id, state, revoke }, LeaseKeeper { state: sender, revocations })
    }

    /// Its name, for [`super::Write::PutLeased`].
    #[must_use]
    pub fn id(&self) -> LeaseId {
        self.id
    }

    /// Whether its keys are still there for certain.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        match *self.state.borrow() {
            LeaseState::ValidUntil(until) => until.is_none_or(|until| Instant::now() < until),
            LeaseState::Lost => false,
        }
    }

    /// Until when its keys are there for certain; none: while this process lives. Once it has passed without a renewal,
    /// the lease is lost.
    #[must_use]
    pub fn valid_until(&self) -> Option<Instant> {
        match *self.state.borrow() {
            LeaseState::ValidUntil(until) => until,
            LeaseState::Lost => Some(Instant::now()),
        }
    }

    /// Waits until the lease is lost; it never comes back.
    pub async fn lost(&self) {
        let mut state = self.state.clone();
        // A keeper that is gone keeps nothing: that is a loss too.
        let _ended = state.wait_for(|state| *state == LeaseState::Lost).await;
    }

    /// Ends it now, and its keys with it. An error: they go when its time has passed.
    pub async fn revoke(self) -> Result<(), MetadataError> {
        let gone = || MetadataError::Unknown("the keeper of the lease is gone".to_owned());
        let (answer, revoked) = oneshot::channel();
        self.revoke.send(answer).await.map_err(|_| gone())?;
        revoked.await.unwrap_or_else(|_| Err(gone()))
    }
}
