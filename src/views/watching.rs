//! What is seen of the other sessions, handed to the core that suspects.

use super::known::{Following, alive};
use super::reports::{Report, Reporting};
use crate::cluster::{Lease, Standings, Suspicion, SuspicionSettings, TellTale};
use crate::leadership::Leadership;
use crate::mesh::{self, Reachability, Sighting};
use crate::meta::Revision;
use crate::meta::keys::view::View;
use crate::types::{Moment, SessionId};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// What the mesh sees, by session.
pub type Sightings = Arc<BTreeMap<SessionId, Sighting>>;

/// How long a session may be without a lease.
const LEASE_GRACE: Duration = Duration::from_millis(1500);

/// What the suspicion of one session leaves to the next one of its process. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct PastSuspicion(Arc<Mutex<Option<(Instant, Suspicion)>>>);

/// The suspicion of one session, on real time.
#[derive(Debug)]
pub(super) struct Watching {
    own: SessionId,
    past: PastSuspicion,
    origin: Instant,
    settings: SuspicionSettings,
    pub suspicion: Suspicion,
    /// Who kept a lease when that was looked at last, and who stood.
    leases_at: (Revision, Revision),
    reporting: Reporting,
}

impl Watching {
    /// The session `own`, after those of the same process that left `past`.
    pub fn new(own: SessionId, reporting: Reporting, past: PastSuspicion) -> Watching {
        // A session that has just joined has no lease for a moment.
        let settings = SuspicionSettings { lease_grace: LEASE_GRACE, ..SuspicionSettings::default() };
        let before = past.0.lock().take();
        let (origin, suspicion) = match before {
            Some((origin, before)) => (origin, before.begun_again(own, Moment(origin.elapsed()))),
            None => (Instant::now(), Suspicion::new(own, settings, Moment::default())),
        };
        Watching { own, past, origin, settings, suspicion, leases_at: Default::default(), reporting }
    }

    pub fn now(&self) -> Moment {
        Moment(self.origin.elapsed())
    }

    /// How often something has to be said of peers that are heard.
    pub fn keep_alive(&self) -> Duration {
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
            match sighting.reachability {
                Reachability::Up => self.suspicion.on_heard(session, now),
                Reachability::Silent { since } => self.suspicion.on_silent(session, self.moment(since)),
                Reachability::Gone { .. } => {}
            }
            // That it was closed alone may be a box on the way: connecting again tells in a moment. A session that another
            // one has replaced is gone, whatever the port says.
            let tell_tale = match sighting.tell_tale {
                mesh::TellTale::Open => TellTale::Open,
                mesh::TellTale::Refused | mesh::TellTale::Replaced => TellTale::Refused,
                mesh::TellTale::Closed | mesh::TellTale::Unknown => TellTale::Silent,
            };
            self.suspicion.on_tell_tale(session, tell_tale, now);
        }
    }

    /// What another session told.
    pub fn on_report(&mut self, report: &Report) {
        let told = (report.from, report.number);
        self.suspicion.on_report(told, &report.unreachable, self.moment(report.at));
    }

    /// Tells the others whom this session cannot reach.
    pub fn report(&mut self) {
        self.reporting.publish(self.suspicion.unreachable(self.now()));
    }

    /// When somebody falls silent, or something is to be done, if nothing is heard before.
    pub fn wake(&self) -> Option<Instant> {
        let now = self.now();
        let wakes = [self.suspicion.next_silence(now), self.suspicion.decide(now).wake];
        wakes.into_iter().flatten().min().map(|at| self.origin + at.0)
    }

    fn moment(&self, at: Instant) -> Moment {
        Moment(at.saturating_duration_since(self.origin))
    }

    /// Who keeps a lease now, of those that stand.
    pub fn on_leases(&mut self, leases: &Following, standings: &Standings) {
        let looked_at = (leases.revision(), standings.as_of);
        if std::mem::replace(&mut self.leases_at, looked_at) == looked_at {
            return;
        }
        let (now, alive) = (self.now(), alive(leases));
        for &session in standings.sessions.keys().filter(|session| **session != self.own) {
            let lease = if alive.contains(&session) { Lease::Held } else { Lease::Lost };
            self.suspicion.on_lease(session, lease, now);
        }
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

/// However the session ends, it is by somebody's doing, and the next one is to know of it.
impl Drop for Watching {
    fn drop(&mut self) {
        let nothing = Suspicion::new(self.own, self.settings, Moment::default());
        let suspicion = std::mem::replace(&mut self.suspicion, nothing);
        *self.past.0.lock() = Some((self.origin, suspicion));
    }
}

#[cfg(test)]
mod tests;
