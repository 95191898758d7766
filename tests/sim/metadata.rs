//! The metadata store: one map with revisions, as etcd has it, behind a network that fails.

mod state;

use crate::dice::Dice;
use crate::machine::{SECOND, now};
use crate::network::{Links, METADATA, Node};
use crate::pipe::AGAIN;
use crate::tally::Tally;
use cenote::meta::{
    Entry, Fullness, Lease, LeaseId, LeaseKeeper, LeaseState, Listing, MetadataError, MetadataStore,
    Revision, Transaction, TransactionAnswer, Watch, WatchEvent,
};
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use state::State;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep, timeout, timeout_at};

/// How often what fails, of a thousand operations.
#[derive(Clone, Copy, Debug, Default)]
pub struct MetadataFaults {
    pub not_done: u64,
    pub lost: u64,
    pub slow: u64,
    pub watch_late: u64,
    pub watch_cut: u64,
}

impl MetadataFaults {
    pub const NONE: MetadataFaults =
        MetadataFaults { not_done: 0, lost: 0, slow: 0, watch_late: 0, watch_cut: 0 };

    /// Some, each seed others.
    pub fn drawn(dice: &Dice) -> MetadataFaults {
        let rate = |most: u64| if dice.permille(500) { dice.below(most) } else { 0 };
        MetadataFaults {
            not_done: rate(30),
            lost: rate(30),
            slow: rate(80),
            watch_late: rate(200),
            watch_cut: rate(20),
        }
    }
}

/// The store itself.
pub struct Metadata {
    state: Mutex<State>,
    /// Tells watches that there is more.
    revision: watch::Sender<u64>,
    faults: Mutex<MetadataFaults>,
    /// Until then it has no leader, in nanoseconds.
    leaderless_until: Mutex<u64>,
    dice: Dice,
    links: Arc<Links>,
    machine: Handle,
    tally: Tally,
}

/// The store as one broker has it.
#[derive(Clone)]
pub struct MetadataOf {
    pub store: Arc<Metadata>,
    pub node: Node,
}

/// A call ends within this time, as with etcd.
const CALL_MAX: Duration = Duration::from_secs(4);

impl Metadata {
    pub fn new(dice: Dice, links: Arc<Links>, machine: Handle, tally: Tally) -> Arc<Metadata> {
        let store = Arc::new(Metadata {
            state: Mutex::default(),
            revision: watch::Sender::new(0),
            faults: Mutex::default(),
            leaderless_until: Mutex::default(),
            dice,
            links,
            machine: machine.clone(),
            tally,
        });
        machine.spawn(expire(Arc::clone(&store)));
        store
    }

    pub fn set_faults(&self, faults: MetadataFaults) {
        *self.faults.lock() = faults;
    }

    /// It changes its leader, which takes until a moment.
    pub fn change_leader(&self, until: u64) {
        *self.leaderless_until.lock() = until;
    }

    /// Forgets all history.
    pub fn compact(&self) {
        self.state.lock().compact();
    }

    /// Ends all leases at once, as a store does whose clock leaps.
    pub fn expire_leases(&self) {
        self.state.lock().expire(u64::MAX);
        self.told();
    }

    fn told(&self) {
        let revision = self.state.lock().revision;
        self.revision.send_if_modified(|known| std::mem::replace(known, revision) != revision);
    }

    /// Does something on the store's machine, for a node, with whatever comes between.
    async fn ask<T: Send + 'static>(
        self: &Arc<Metadata>,
        node: Node,
        work: impl FnOnce(&mut State) -> Result<T, MetadataError> + Send + 'static,
    ) -> Result<T, MetadataError> {
        let faults = *self.faults.lock();
        let dice = &self.dice;
        let before = if dice.permille(faults.slow) {
            self.tally.happens("metadata store is slow", node);
            dice.between(SECOND / 10..6 * SECOND)
        } else {
            dice.between(SECOND / 1000..SECOND / 250)
        };
        let not_done = dice.permille(faults.not_done);
        let lost = dice.permille(faults.lost);
        let after = dice.between(SECOND / 1000..SECOND / 500);
        for (is_so, what) in [(not_done, "metadata store does nothing"), (lost, "metadata answers lost")] {
            if is_so {
                self.tally.happens(what, node);
            }
        }
        let (answer, answered) = oneshot::channel();
        let store = Arc::clone(self);
        self.machine.spawn(async move {
            sleep(Duration::from_nanos(before)).await;
            loop {
                let until = *store.leaderless_until.lock();
                if until <= now() {
                    break;
                }
                crate::machine::until(until).await;
            }
            if not_done || !store.links.is_open(node, METADATA) {
                let _ = answer.send(Err(unknown("no connection")));
                return;
            }
            let outcome = work(&mut store.state.lock());
            store.told();
            sleep(Duration::from_nanos(after)).await;
            while !store.links.is_open(METADATA, node) {
                sleep(AGAIN).await;
            }
            // Whoever asked may be gone.
            let _ = answer.send(if lost { Err(unknown("the answer was lost")) } else { outcome });
        });
        match timeout(CALL_MAX, answered).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(unknown("the store is gone")),
            Err(_) => Err(unknown("no answer in time")),
        }
    }
}

fn unknown(why: &str) -> MetadataError {
    MetadataError::Unknown(why.to_owned())
}

/// Ends leases whose time has passed.
async fn expire(store: Arc<Metadata>) {
    loop {
        sleep(Duration::from_millis(100)).await;
        // Without a leader none ends.
        if *store.leaderless_until.lock() <= now() && store.state.lock().expire(now()) {
            store.tally.count("leases expired");
            store.told();
        }
    }
}

impl fmt::Debug for MetadataOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MetadataOf({})", self.node)
    }
}

impl MetadataStore for MetadataOf {
    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Entry>, MetadataError>> {
        let key = key.to_owned();
        Box::pin(self.store.ask(self.node, move |state| Ok(state.get(&key))))
    }

    fn list<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<Listing, MetadataError>> {
        let prefix = prefix.to_owned();
        Box::pin(self.store.ask(self.node, move |state| Ok(state.list(&prefix))))
    }

    fn transact(&self, transaction: Transaction) -> BoxFuture<'_, Result<TransactionAnswer, MetadataError>> {
        Box::pin(async move {
            transaction.check_limits()?;
            self.store.ask(self.node, move |state| state.transact(transaction)).await
        })
    }

    fn watch(&self, prefix: &str, after: Revision) -> Watch {
        let (own, prefix) = (self.clone(), prefix.to_owned());
        Watch::start(move |events| own.run_watch(prefix, after.0, events))
    }

    fn lease(&self, ttl: Duration) -> BoxFuture<'_, Result<Lease, MetadataError>> {
        Box::pin(async move {
            let nanos = u64::try_from(ttl.as_nanos()).expect("seconds");
            let sent = Instant::now();
            let id = self.store.ask(self.node, move |state| Ok(state.grant(nanos, now()))).await?;
            let (lease, keeper) = Lease::new(id, Some(sent + ttl * 7 / 8));
            tokio::spawn(self.clone().keep(id, ttl, keeper));
            Ok(lease)
        })
    }

    fn fullness(&self) -> Option<Fullness> {
        None
    }

    fn sole_writer(&self) -> bool {
        false
    }
}

impl MetadataOf {
    async fn run_watch(self, prefix: String, after: u64, events: mpsc::Sender<WatchEvent>) {
        let mut revisions = self.store.revision.subscribe();
        let mut seen = after;
        loop {
            let faults = *self.store.faults.lock();
            let (dice, tally) = (&self.store.dice, &self.store.tally);
            if dice.permille(faults.watch_cut) {
                tally.happens("watches cut", self.node);
                let back = now() + dice.between(SECOND..5 * SECOND);
                while now() < back && self.store.faults.lock().watch_cut > 0 {
                    sleep(AGAIN).await;
                }
            } else if dice.permille(faults.watch_late) {
                tally.count("watches late");
                sleep(Duration::from_nanos(dice.between(SECOND / 100..SECOND))).await;
            } else {
                sleep(Duration::from_millis(1)).await;
            }
            while !self.store.links.is_open(METADATA, self.node) {
                sleep(AGAIN).await;
            }
            revisions.borrow_and_update();
            let (told, upto) = self.store.state.lock().changes(&prefix, seen);
            seen = upto;
            for event in told {
                if events.send(event).await.is_err() {
                    return;
                }
            }
            tokio::select! {
                changed = revisions.changed() => if changed.is_err() { return },
                () = events.closed() => return,
            }
        }
    }

    /// Renews a lease until it is revoked, dropped or lost.
    async fn keep(self, id: LeaseId, ttl: Duration, mut keeper: LeaseKeeper) {
        let mut valid_until = Instant::now() + ttl / 2;
        loop {
            let renew_at = valid_until - ttl / 2;
            match timeout_at(renew_at, keeper.revocations.recv()).await {
                Ok(Some(revocation)) => {
                    let revoked = self.store.ask(self.node, move |state| {
                        state.revoke(id);
                        Ok(())
                    });
                    let revoked = revoked.await;
                    keeper.state.send_replace(LeaseState::Lost);
                    let _ = revocation.send(revoked);
                    return;
                }
                // Dropped: it ends when its time has passed.
                Ok(None) => return,
                Err(_) => {}
            }
            let sent = Instant::now();
            match self.store.ask(self.node, move |state| Ok(state.renew(id, now()))).await {
                Ok(true) => {
                    valid_until = sent + ttl * 7 / 8;
                    keeper.state.send_replace(LeaseState::ValidUntil(Some(valid_until)));
                }
                Ok(false) => break,
                Err(_) if Instant::now() >= valid_until => break,
                Err(_) => sleep(Duration::from_millis(100)).await,
            }
        }
        keeper.state.send_replace(LeaseState::Lost);
    }
}
