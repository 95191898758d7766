//! What is seen of the other sessions, handed to the core that suspects.

use super::known::{Following, alive};
use crate::cluster::{Lease, Standings, Suspicion, SuspicionSettings, TellTale};
use crate::leadership::Leadership;
use crate::mesh::{self, Reachability, Sighting};
use crate::meta::Revision;
use crate::meta::keys::view::View;
use crate::types::{Moment, SessionId};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio::time::Instant;

/// What the mesh sees, by session.
pub type Sightings = Arc<BTreeMap<SessionId, Sighting>>;

/// The suspicion of one session, on real time.
#[derive(Debug)]
pub(super) struct Watching {
    own: SessionId,
    origin: Instant,
    settings: SuspicionSettings,
    pub suspicion: Suspicion,
    alive: BTreeSet<SessionId>,
}

impl Watching {
    pub fn new(own: SessionId) -> Watching {
        let settings = SuspicionSettings::default();
        let suspicion = Suspicion::new(own, settings, Moment::default());
        Watching { own, origin: Instant::now(), settings, suspicion, alive: BTreeSet::new() }
    }

    pub fn now(&self) -> Moment {
        Moment(self.origin.elapsed())
    }

    /// When the clock of this session shows `moment`.
    pub fn instant(&self, moment: Moment) -> Instant {
        self.origin + moment.0
    }

    /// How often something has to be said of peers that are heard.
    pub fn keep_alive(&self) -> std::time::Duration {
        self.settings.keep_alive
    }

    pub fn on_view(&mut self, view: &View) {
        let now = self.now();
        if let Err(error) = self.suspicion.on_view(view, now) {
            tracing::error!(%error, "nobody is suspected in this view");
        }
    }

    /// What the mesh sees now. What answers was heard now.
    pub fn on_sightings(&mut self, sightings: &Sightings) {
        let now = self.now();
        for (&session, sighting) in sightings.iter() {
            if sighting.reachability == Reachability::Up {
                self.suspicion.on_heard(session, now);
            }
            // Of two witnesses one may say more: a session that another one has replaced is gone, whatever the port says.
            let tell_tale = match (sighting.tell_tale, sighting.reachability) {
                (mesh::TellTale::Open, _) => TellTale::Open,
                (mesh::TellTale::Refused | mesh::TellTale::Replaced, _) | (_, Reachability::Gone { .. }) => {
                    TellTale::Refused
                }
                (mesh::TellTale::Closed | mesh::TellTale::Unknown, _) => TellTale::Silent,
            };
            self.suspicion.on_tell_tale(session, tell_tale, now);
        }
    }

    /// Who keeps a lease now, of those that stand.
    pub fn on_leases(&mut self, leases: &Following, standings: &Standings) {
        let (now, alive) = (self.now(), alive(leases));
        for &session in standings.sessions.keys().filter(|session| **session != self.own) {
            let lease = if alive.contains(&session) { Lease::Held } else { Lease::Lost };
            self.suspicion.on_lease(session, lease, now);
        }
        self.alive = alive;
    }

    pub fn on_own_lease(&mut self, is_held: bool) {
        let lease = if is_held { Lease::Held } else { Lease::Lost };
        let now = self.now();
        self.suspicion.on_own_lease(lease, now);
    }

    pub fn on_standings(&mut self, standings: &Standings, view_at: Revision, leadership: &Leadership) {
        let now = self.now();
        self.suspicion.on_standings(standings, view_at, now);
        self.suspicion.on_barrier(&leadership.waits_for(), now);
    }
}
