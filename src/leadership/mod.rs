//! What this session may serve now: who leads what in the newest view, and the terms under which groups and transactional
//! ids are coordinated here.
//!
//! ```text
//! room views ─ on_view, on_standings ─▶ Leadership ─▶ image: leaders, addresses      (handlers, forwarding)
//!                                                  └▶ coordinate: term, or who else  (groups, transactions)
//! ```
//!
//! Terms of partitions are the partitions themselves (room `log/`): they are served while the log has them open. Here
//! are the terms of what has no such place.
//!
//! Never: it reads nothing and decides no view. Whoever learns of one closes, by [`Leadership::on_view`], what this session
//! no longer leads, before the view is acknowledged.

mod control;
mod image;

pub use control::{ClusterControl, ControlError, NoCluster, Ordered};
pub use image::{Leader, Sessions, ViewImage};

use crate::cluster::{Barrier, Place, PlacementKey, Standings, UnknownPlacement, Verdict};
use crate::hashing::HashMap;
use crate::meta::keys::view::View;
use crate::meta::{Revision, Term};
use crate::types::{SessionId, ViewNumber};
use arc_swap::ArcSwap;
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::sync::Arc;
use tokio::sync::watch;

/// What this session leads, as far as it knows. Clones are the same.
#[derive(Clone, Debug)]
pub struct Leadership {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    own: SessionId,
    image: ArcSwap<ViewImage>,
    state: Mutex<State>,
    /// Counts what has changed: the view, who stands where, what may be served.
    changes: watch::Sender<u64>,
}

#[derive(Debug)]
struct State {
    barrier: Barrier,
    terms: HashMap<PlacementKey, Term>,
    /// Set when the session is over: nothing is coordinated any more.
    is_over: bool,
}

/// Who coordinates a group or a transactional id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Coordination {
    /// This session, under this term.
    Here(Term),
    /// This session, as soon as those have let go that may have coordinated it before.
    Loading,
    /// That one.
    Elsewhere(SessionId),
    /// Nobody.
    Nobody,
}

/// Terms kept before those are let go of that nobody has.
const TERMS_KEPT: usize = 4096;

impl Leadership {
    /// What the session `own` leads in `view`, which was written at `revision`.
    pub fn new(view: &View, revision: Revision, own: SessionId) -> Result<Leadership, UnknownPlacement> {
        let barrier = Barrier::new(view, revision, own)?;
        let image = ViewImage::new(view, barrier.placement().clone(), own);
        let state = State { barrier, terms: HashMap::default(), is_over: false };
        let shared = Shared {
            own,
            image: ArcSwap::from_pointee(image),
            state: Mutex::new(state),
            changes: watch::Sender::new(0),
        };
        Ok(Leadership { shared: Arc::new(shared) })
    }

    /// One broker that leads everything.
    #[must_use]
    pub fn alone(own: SessionId, number: ViewNumber) -> Leadership {
        use crate::cluster::Stand;
        use crate::meta::keys::view::Member;
        use crate::types::BrokerId;
        let view = View::new(number, vec![Member::new(own, BrokerId(1))]);
        let leadership = Leadership::new(&view, Revision(1), own).expect("a placement of this release");
        let stand = Stand { broker_id: BrokerId(1), acked_view: number };
        let standings = Standings { as_of: Revision(1), sessions: [(own, stand)].into() };
        leadership.on_standings(Arc::new(standings));
        leadership
    }

    /// This session.
    #[must_use]
    pub fn own(&self) -> SessionId {
        self.shared.own
    }

    /// The newest view that is known here.
    #[must_use]
    pub fn image(&self) -> Arc<ViewImage> {
        self.shared.image.load_full()
    }

    /// Tells of every change: of the view, of addresses, of what may be served.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.shared.changes.subscribe()
    }

    /// Who coordinates what `key` names, now.
    #[must_use]
    pub fn coordinate(&self, key: PlacementKey) -> Coordination {
        let mut state = self.shared.state.lock();
        if state.is_over {
            return Coordination::Nobody;
        }
        if let Some(term) = state.terms.get(&key) {
            return Coordination::Here(term.clone());
        }
        match state.barrier.verdict(key) {
            Verdict::Serve => {
                if state.terms.len() >= TERMS_KEPT {
                    state.terms.retain(|_, term| term.is_shared());
                }
                let term = Term::new();
                state.terms.insert(key, term.clone());
                Coordination::Here(term)
            }
            Verdict::Wait { .. } | Verdict::Outdated => Coordination::Loading,
            Verdict::NotMine { leader: Some(leader) } if leader != self.shared.own => {
                Coordination::Elsewhere(leader)
            }
            Verdict::NotMine { .. } => Coordination::Nobody,
        }
    }

    /// Waits until this session coordinates what `key` names, or it is known that another does. Dropping it is safe.
    pub async fn coordinated(&self, key: PlacementKey) -> Coordination {
        let mut changes = self.changes();
        loop {
            match self.coordinate(key) {
                Coordination::Loading => {}
                settled => return settled,
            }
            if changes.changed().await.is_err() {
                return Coordination::Nobody;
            }
        }
    }
}

// ---- what the room `views` tells

impl Leadership {
    /// A view was learned. Closes the terms of what this session no longer leads; others go on. An older view than the
    /// one known changes nothing.
    pub fn on_view(&self, view: &View, revision: Revision) -> Result<(), UnknownPlacement> {
        let barrier = Barrier::new(view, revision, self.shared.own)?;
        let image = ViewImage::new(view, barrier.placement().clone(), self.shared.own);
        let mut state = self.shared.state.lock();
        let before = self.shared.image.load();
        if view.number <= before.number() {
            return Ok(());
        }
        // A new view changes nothing of what sessions said.
        let image = image.with_sessions(Arc::clone(before.sessions()));
        state.terms.retain(|key, term| {
            let is_mine = image.leader(*key) == Leader::Own;
            if !is_mine {
                term.close();
            }
            is_mine && term.is_shared()
        });
        state.barrier = barrier;
        self.shared.image.store(Arc::new(image));
        drop(state);
        self.changed();
        Ok(())
    }

    /// What is known of standings now. Returns whether more, or less, may be served.
    pub fn on_standings(&self, standings: Arc<Standings>) -> bool {
        let changed = self.shared.state.lock().barrier.observe(standings);
        self.changed();
        !changed.is_empty()
    }

    /// Brokers' addresses, zones and the like, by session.
    pub fn on_sessions(&self, sessions: Sessions) {
        let _state = self.shared.state.lock();
        let image = self.image().with_sessions(sessions);
        self.shared.image.store(Arc::new(image));
        self.changed();
    }

    /// What of these this session leads and may serve, if it does not yet; and whether it waits for more.
    pub fn servable<T>(&self, keys: impl IntoIterator<Item = (PlacementKey, T)>) -> (Vec<T>, bool) {
        let mut state = self.shared.state.lock();
        let (mut servable, mut waits) = (Vec::new(), false);
        for (key, item) in keys {
            if let Place::Mine(group) = state.barrier.place(key) {
                match state.barrier.group(group) {
                    Verdict::Serve => servable.push(item),
                    _ => waits = true,
                }
            }
        }
        (servable, waits)
    }

    /// More is served now: whoever waits for it looks again.
    pub fn on_served(&self) {
        self.changed();
    }

    /// Whom this session's barriers wait for now.
    #[must_use]
    pub fn waits_for(&self) -> BTreeSet<SessionId> {
        self.shared.state.lock().barrier.waits_for()
    }

    /// The session is over: closes every term.
    pub fn close(&self) {
        let mut state = self.shared.state.lock();
        state.is_over = true;
        state.terms.drain().for_each(|(_, term)| term.close());
        drop(state);
        self.changed();
    }

    fn changed(&self) {
        self.shared.changes.send_modify(|changes| *changes += 1);
    }
}

#[cfg(test)]
mod tests;
