//! Whom to seal, why, and when.
//!
//! To seal is always safe. It is not free: who is sealed starts over. So there must be a reason (`suspicion/peer.rs`):
//!
//! | why | what is known | how soon |
//! | --- | --- | --- |
//! | gone | its end of the tell-tale connection was closed by its kernel, and connecting again is refused | at once |
//! | lease lost | it no longer refreshes its standing | after a moment in which it may do so again |
//! | unreachable, agreed | nothing is heard of it here, nor at another broker that is heard | after the silence |
//! | unreachable, waited for | nothing is heard of it, and a barrier has been waiting for it as long | after the silence |
//! | slow | a barrier waits for it, while own PUTs and commits succeed | when patience ends |
//!
//! Being unreachable alone is no reason while its standing is refreshed and no barrier waits for it: the fault may be ours, and
//! it does its work. Nor is being slow, to one whose own PUTs or commits do not succeed, or take as long: then the store is slow for
//! all, and who seals them has nobody left. What was never connected here is never taken for gone.
//!
//! Not all who suspect act at once: the session that the rendezvous of the suspected one names goes first, the next
//! a moment later. And of a pair of brokers that seal each other again and again each time waits twice as long
//! (`suspicion/pair.rs`), also in the session that a sealed one begins.

mod pair;
mod peer;

use super::placement::{Placement, PlacementKey, UnknownPlacement};
use super::standings::{Known, Standings};
use crate::meta::Revision;
use crate::meta::keys::view::View;
use crate::types::{BrokerId, Moment, SessionId};
use pair::Pair;
use peer::{OwnStores, Peer, Took};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// How soon. The defaults have a killed broker sealed in well under a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SuspicionSettings {
    /// How often brokers say something to each other.
    pub keep_alive: Duration,
    /// Who says nothing for so long is unreachable.
    pub silence: Duration,
    /// And who has said nothing yet, after so long: connections have to be made first.
    pub introduction: Duration,
    /// How long it counts that another broker called one unreachable.
    pub report_age: Duration,
    /// How long one whose lease is lost may take to get another.
    pub lease_grace: Duration,
    /// How long a barrier waits for one that is reachable.
    pub patience: Duration,
    /// Between one who may act and the next.
    pub turn: Duration,
    /// What is waited longer after one seal in the pair; doubles with each.
    pub back_off: Duration,
    /// What is waited longer at most.
    pub back_off_max: Duration,
    /// A seal in the pair is forgotten after that time, or after four times the waiting that came of it if that is longer.
    pub forget: Duration,
}

impl Default for SuspicionSettings {
    fn default() -> SuspicionSettings {
        SuspicionSettings {
            keep_alive: Duration::from_millis(150),
            silence: Duration::from_millis(600),
            introduction: Duration::from_secs(2),
            report_age: Duration::from_secs(1),
            lease_grace: Duration::from_millis(500),
            patience: Duration::from_secs(3),
            turn: Duration::from_millis(200),
            back_off: Duration::from_millis(250),
            back_off_max: Duration::from_secs(60),
            forget: Duration::from_secs(10),
        }
    }
}

/// The idle TCP connection to a peer: QUIC says nothing of a killed process, the kernel does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TellTale {
    /// It is there.
    Open,
    /// It was closed, and connecting again is refused: nobody listens there.
    Refused,
    /// It is not there, and connecting gets no answer.
    Silent,
}

/// Whether a session keeps its lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lease {
    /// It does.
    Held,
    /// It ran out.
    Lost,
}

/// A reason to seal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// Its process has ended.
    Gone,
    /// It no longer refreshes its standing.
    LeaseLost,
    /// Neither this broker nor that session hears of it.
    Agreed(SessionId),
    /// It is unreachable, and a barrier waits for it.
    WaitedFor,
    /// It is reachable, a barrier waits for it, and the stores are fast enough here.
    Slow,
}

/// A session to seal now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sealing {
    /// The session.
    pub session: SessionId,
    /// Its broker.
    pub broker_id: BrokerId,
    /// Why.
    pub why: Why,
}

/// What to do now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decision {
    /// Whom to seal, in one view.
    pub seal: Vec<Sealing>,
    /// Whether to propose a view without members that do not stand.
    pub check: bool,
    /// Whether to try a small PUT and a commit: somebody seems slow, and how fast the stores are is not known here.
    pub probe: bool,
    /// When to ask again, unless something is heard before.
    pub wake: Option<Moment>,
}

/// What a session makes of its peers. It holds as many as a view names.
#[derive(Debug)]
pub struct Suspicion {
    own: SessionId,
    settings: SuspicionSettings,
    placement: Option<Placement>,
    members: BTreeSet<SessionId>,
    peers: BTreeMap<SessionId, Peer>,
    pairs: BTreeMap<BrokerId, Pair>,
    stores: OwnStores,
    /// Since when this session holds its lease; none while it does not.
    leased: Option<Moment>,
}

/// Turns waited at most: a cluster of hundreds must not wait for the last of them.
const TURNS_MAX: u32 = 8;

// ---- what is heard

impl Suspicion {
    /// A session that knows nobody yet and holds its lease.
    #[must_use]
    pub fn new(own: SessionId, settings: SuspicionSettings, now: Moment) -> Suspicion {
        Suspicion {
            own,
            settings,
            placement: None,
            members: BTreeSet::new(),
            peers: BTreeMap::new(),
            pairs: BTreeMap::new(),
            stores: OwnStores::default(),
            leased: Some(now),
        }
    }

    /// The session was sealed and begins again as `own`. It takes along how often it was at war, and with whom: those that it
    /// suspects now may be who sealed it.
    #[must_use]
    pub fn begun_again(mut self, own: SessionId, now: Moment) -> Suspicion {
        let settings = self.settings;
        let suspects = self.peers.values().filter(|peer| peer.is_suspect(&settings, now));
        let brokers: BTreeSet<BrokerId> = suspects.map(|peer| peer.broker_id).collect();
        for broker_id in brokers {
            self.pairs.entry(broker_id).or_default().on_sealed(&settings, now);
        }
        Suspicion { pairs: self.pairs, ..Suspicion::new(own, settings, now) }
    }

    /// A view was learned: its peers are the members, and those of earlier views that are not settled.
    pub fn on_view(&mut self, view: &View, now: Moment) -> Result<(), UnknownPlacement> {
        self.placement = Some(Placement::new(view.placement, &view.members)?);
        self.members = view.members.iter().map(|member| member.session).collect();
        let earlier = view.earlier.iter().flat_map(|earlier| &earlier.members);
        let mut before = std::mem::take(&mut self.peers);
        for member in view.members.iter().chain(earlier).filter(|member| member.session != self.own) {
            let known = before.remove(&member.session);
            let peer = known.unwrap_or_else(|| Peer::new(member.broker_id, now));
            self.peers.entry(member.session).or_insert(peer);
        }
        self.pairs.retain(|_, pair| pair.level(&self.settings, now) > 0);
        Ok(())
    }

    /// Standings were listed; the newest view was written at `revision`.
    pub fn on_standings(&mut self, standings: &Standings, revision: Revision, now: Moment) {
        let settings = self.settings;
        for (&session, peer) in &mut self.peers {
            match standings.of(session, revision) {
                Known::Gone if peer.fell.is_none() => {
                    // Somebody sealed whom this session suspects as well: it counts here, too, or each of many would
                    // seal it once before all of them are patient.
                    if peer.is_suspect(&settings, now) {
                        self.pairs.entry(peer.broker_id).or_default().on_sealed(&settings, now);
                    }
                    peer.fell = Some(now);
                }
                Known::Stands(acked) => peer.on_acked(acked, now),
                Known::Gone | Known::Unknown => {}
            }
        }
    }

    /// A packet of the peer arrived.
    pub fn on_heard(&mut self, session: SessionId, now: Moment) {
        self.change(session, |peer| peer.on_heard(now));
    }

    /// The peer answers no more: nothing was heard of it since then, whatever was taken for heard.
    pub fn on_silent(&mut self, session: SessionId, since: Moment) {
        self.change(session, |peer| peer.on_silent(since));
    }

    /// The tell-tale connection to the peer has changed.
    pub fn on_tell_tale(&mut self, session: SessionId, tell_tale: TellTale, now: Moment) {
        self.change(session, |peer| peer.on_tell_tale(tell_tale, now));
    }

    /// The peer's lease ran out, or it has one again.
    pub fn on_lease(&mut self, session: SessionId, lease: Lease, now: Moment) {
        self.change(session, |peer| match lease {
            Lease::Held => peer.lease_lost = None,
            Lease::Lost => _ = peer.lease_lost.get_or_insert(now),
        });
    }

    /// This session's own lease ran out, or it has one again. Without it it holds nobody's lost lease against them.
    pub fn on_own_lease(&mut self, lease: Lease, now: Moment) {
        match lease {
            Lease::Held => _ = self.leased.get_or_insert(now),
            Lease::Lost => self.leased = None,
        }
    }

    /// Another broker told whom it cannot reach, all of them. It counts its reports, as one may overtake another.
    pub fn on_report(
        &mut self,
        (from, number): (SessionId, u64),
        unreachable: &BTreeSet<SessionId>,
        now: Moment,
    ) {
        if !self.peers.get_mut(&from).is_some_and(|peer| peer.on_told(number)) {
            return;
        }
        for (session, peer) in &mut self.peers {
            if unreachable.contains(session) {
                peer.on_report(from, &self.settings, now);
            } else {
                peer.on_no_report(from);
            }
        }
    }

    /// Whom this session's barriers wait for now.
    pub fn on_barrier(&mut self, waits_for: &BTreeSet<SessionId>, now: Moment) {
        for (session, peer) in &mut self.peers {
            if waits_for.contains(session) {
                peer.waited_for.get_or_insert(now);
            } else {
                peer.waited_for = None;
            }
        }
    }

    /// A PUT of this session, begun at `begun`, has succeeded.
    pub fn on_put(&mut self, begun: Moment, now: Moment) {
        self.stores.put = Some(Took::new(begun, now));
    }

    /// A commit of this session, begun at `begun`, has succeeded.
    pub fn on_commit(&mut self, begun: Moment, now: Moment) {
        self.stores.commit = Some(Took::new(begun, now));
    }

    /// A PUT or a commit of this session failed, or was not answered in time.
    pub fn on_failure(&mut self) {
        self.stores = OwnStores::default();
    }

    /// This session has sealed that one.
    pub fn on_sealed(&mut self, session: SessionId, now: Moment) {
        let Some(peer) = self.peers.get_mut(&session).filter(|peer| peer.fell.is_none()) else { return };
        peer.fell = Some(now);
        self.pairs.entry(peer.broker_id).or_default().on_sealed(&self.settings, now);
    }

    fn change(&mut self, session: SessionId, change: impl FnOnce(&mut Peer)) {
        if let Some(peer) = self.peers.get_mut(&session) {
            change(peer);
        }
    }
}

// ---- what comes of it

impl Suspicion {
    /// Whom this session cannot reach, to be told to the others at least twice in each `report_age`.
    #[must_use]
    pub fn unreachable(&self, now: Moment) -> BTreeSet<SessionId> {
        let is_unreachable = |peer: &Peer| peer.is_unreachable(&self.settings, now);
        self.peers.iter().filter(|(_, peer)| is_unreachable(peer)).map(|(&session, _)| session).collect()
    }

    /// When the next of those that can be reached cannot any more, if nothing is heard of it before.
    #[must_use]
    pub fn next_silence(&self, now: Moment) -> Option<Moment> {
        let silences = self.peers.values().map(|peer| peer.silent_from(&self.settings));
        silences.filter(|at| *at > now).min()
    }

    /// What to do now.
    #[must_use]
    pub fn decide(&self, now: Moment) -> Decision {
        let mut decision = Decision::default();
        let mut wake = |at: Moment| decision.wake = Some(decision.wake.map_or(at, |wake| wake.min(at)));
        let (mut check, mut probe, mut seal) = (false, false, Vec::new());
        for (&session, peer) in &self.peers {
            if let Some(fell) = peer.fell {
                match fell + self.turn(session, now) {
                    at if !self.members.contains(&session) || at <= now => {
                        check |= self.members.contains(&session);
                    }
                    at => wake(at),
                }
                continue;
            }
            let reasons = peer.reasons(&self.judge(session), now);
            probe |= reasons.wants_probe;
            let due = reasons.due.iter().map(|&(at, why)| (at + self.delay(session, peer, why, now), why));
            match due.min() {
                Some((at, why)) if at <= now => {
                    seal.push(Sealing { session, broker_id: peer.broker_id, why });
                }
                Some((at, _)) => wake(at),
                None => {}
            }
        }
        Decision { seal, check, probe, ..decision }
    }

    fn judge(&self, session: SessionId) -> peer::Judge<'_> {
        let settings = self.settings;
        let is_heard = move |other: SessionId, now: Moment| {
            let other = self.peers.get(&other).filter(|_| other != session);
            other.is_some_and(|peer| peer.fell.is_none() && !peer.is_unreachable(&settings, now))
        };
        peer::Judge { settings, stores: self.stores, leased: self.leased, is_heard: Box::new(is_heard) }
    }

    /// What this session waits longer than the reason alone would have it.
    fn delay(&self, session: SessionId, peer: &Peer, why: Why, now: Moment) -> Duration {
        let back_off = self.pairs.get(&peer.broker_id).map_or(Duration::ZERO, |pair| {
            let waits = pair.back_off(&self.settings, now);
            // A process that is gone was not sealed by mistake. Still, one that dies again and again is let be a while.
            if why == Why::Gone { waits / 8 } else { waits }
        });
        back_off + self.turn(session, now)
    }

    /// How long after the first this session acts against `session`: members that it does not suspect go in the order
    /// of their rank.
    fn turn(&self, session: SessionId, now: Moment) -> Duration {
        let Some(placement) = &self.placement else { return self.settings.turn * TURNS_MAX };
        let may_act = |other: SessionId| {
            let is_well = |peer: &Peer| !peer.is_suspect(&self.settings, now);
            other == self.own || (other != session && self.peers.get(&other).is_some_and(is_well))
        };
        let rank = placement.rank(PlacementKey::sealer(session));
        let order = rank.iter().map(|member| member.session).filter(|&other| may_act(other));
        let before = order.take_while(|&other| other != self.own).take(TURNS_MAX as usize).count();
        self.settings.turn * u32::try_from(before).unwrap_or(TURNS_MAX)
    }
}
