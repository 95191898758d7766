//! Two or three brokers made of the cores, on a clock that is moved by hand: what is sealed, by whom, how soon, and that it
//! ends. The metadata store, the mesh and the object store are a few rules each.

use super::{at, partition, s};
use crate::cluster::{
    Ack, Barrier, Change, Draining, JournalWrite, Lease, PlacementKey, Stand, Standings, Suspicion,
    SuspicionSettings, TellTale, Verdict, ViewBounds, Why, next_view, to_close,
};
use crate::meta::Revision;
use crate::meta::keys::view::{Member, View};
use crate::types::{BrokerId, Moment, SessionId, TopicPartition, ViewNumber};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

const TICK: u64 = 10;
const LEASE: Duration = Duration::from_secs(5);
/// A sealed broker's process begins a new session so soon.
const RESTART: Duration = Duration::from_millis(300);
const PARTITIONS: i32 = 30;

fn key(partition: &TopicPartition) -> PlacementKey {
    PlacementKey::partition(*partition)
}

/// A broker's process and the faults around it.
struct Broker {
    session: SessionId,
    life: Life,
    suspicion: Option<Suspicion>,
    /// What it has seen of the metadata store.
    seen: Revision,
    view: ViewNumber,
    barrier: Option<Barrier>,
    served: BTreeSet<TopicPartition>,
    /// When what it had taken in for a view that it learned is through.
    drained: Option<Moment>,
    refreshed: Moment,
    begins: Option<Moment>,
    reaches_metadata: bool,
    /// How long its PUTs take; none: they never end.
    put: Option<Duration>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Life {
    Running,
    Paused,
    Killed,
}

struct Cluster {
    now: Moment,
    brokers: BTreeMap<i32, Broker>,
    /// Pairs whose mesh is cut, both ways.
    cut: BTreeSet<(i32, i32)>,
    view: View,
    revision: Revision,
    standings: Standings,
    sessions: u128,
    /// When, who, whom, why.
    seals: Vec<(Moment, i32, i32, Why)>,
}

impl Cluster {
    /// They have joined, one after the other, and all is quiet.
    fn of(numbers: &[i32]) -> Cluster {
        let mut cluster = Cluster {
            now: at(0),
            brokers: BTreeMap::new(),
            cut: BTreeSet::new(),
            view: View::new(ViewNumber(0), Vec::new()),
            revision: Revision(1),
            standings: Standings { as_of: Revision(1), ..Standings::default() },
            sessions: 0,
            seals: Vec::new(),
        };
        for &number in numbers {
            cluster.start(number);
            cluster.run(1_000);
        }
        cluster.run(9_000);
        assert_eq!(cluster.seals, []);
        cluster.assert_all_served();
        cluster
    }

    fn start(&mut self, number: i32) {
        let broker = Broker {
            session: s(0),
            life: Life::Running,
            suspicion: None,
            seen: Revision(0),
            view: ViewNumber(0),
            barrier: None,
            served: BTreeSet::new(),
            drained: None,
            refreshed: self.now,
            begins: Some(self.now),
            reaches_metadata: true,
            put: Some(Duration::from_millis(30)),
        };
        self.brokers.insert(number, broker);
    }

    fn cut(&mut self, one: i32, other: i32) {
        self.cut.extend([(one, other), (other, one)]);
    }

    fn broker(&mut self, number: i32) -> &mut Broker {
        self.brokers.get_mut(&number).expect("it was started")
    }

    fn stands(&self, session: SessionId) -> bool {
        self.standings.sessions.contains_key(&session)
    }

    fn run(&mut self, millis: u64) {
        for _ in 0..millis / TICK {
            self.now = self.now + Duration::from_millis(TICK);
            let numbers: Vec<i32> = self.brokers.keys().copied().collect();
            for number in numbers {
                self.tick(number);
            }
        }
    }

    /// Runs until somebody was sealed, and says how long that took.
    fn until_a_seal(&mut self, millis_max: u64) -> Duration {
        let (began, seals) = (self.now, self.seals.len());
        while self.seals.len() == seals {
            assert!(self.now.since(began) < Duration::from_millis(millis_max), "nobody was sealed");
            self.run(TICK);
        }
        self.now.since(began)
    }

    // ---- the metadata store

    fn write(&mut self) -> Revision {
        self.revision = Revision(self.revision.0 + 1);
        self.standings.as_of = self.revision;
        self.revision
    }

    /// The revision of the view, as its watch brings it: at once.
    fn propose(&mut self, changes: &[Change], joins: Option<Member>) -> Vec<SessionId> {
        let current = (&self.view, self.standings.as_of);
        let Ok(next) = next_view(current, &self.standings, changes, &ViewBounds::default()) else {
            return Vec::new();
        };
        self.write();
        self.standings.sessions.retain(|session, _| !next.seals.contains(session));
        if let Some(Member { session, broker_id, .. }) = joins {
            let stand = Stand { broker_id, acked_view: next.view.number };
            self.standings.sessions.insert(session, stand);
        }
        self.view = next.view;
        next.seals
    }

    // ---- a broker

    fn tick(&mut self, number: i32) {
        let broker = &self.brokers[&number];
        if broker.life != Life::Running {
            return;
        }
        if broker.begins.is_some_and(|begins| begins <= self.now) && broker.reaches_metadata {
            self.begin(number);
        }
        let broker = &self.brokers[&number];
        if broker.begins.is_some() {
            return;
        }
        if broker.reaches_metadata && !self.stands(broker.session) {
            self.broker(number).begins = Some(self.now + RESTART);
            return;
        }
        self.look(number);
        self.hear(number);
        self.acknowledge(number);
        self.act(number);
    }

    fn begin(&mut self, number: i32) {
        self.sessions += 1;
        let (session, now) = (s(self.sessions), self.now);
        let member = Member::new(session, BrokerId(number));
        self.propose(&[Change::Join(member.clone())], Some(member));
        assert!(self.stands(session), "it joins");
        let broker = self.broker(number);
        let suspicion = match broker.suspicion.take() {
            Some(suspicion) => suspicion.begun_again(session, now),
            None => Suspicion::new(session, SuspicionSettings::default(), now),
        };
        broker.suspicion = Some(suspicion);
        (broker.session, broker.begins, broker.refreshed) = (session, None, now);
        (broker.seen, broker.view, broker.barrier, broker.drained) = (Revision(0), ViewNumber(0), None, None);
        broker.served.clear();
    }

    /// Learns the view, and what stands.
    fn look(&mut self, number: i32) {
        let (now, revision) = (self.now, self.revision);
        let broker = self.broker(number);
        if !broker.reaches_metadata {
            return;
        }
        broker.refreshed = now;
        if let Some(put) = broker.put
            && now.0.as_millis().is_multiple_of(250)
        {
            let suspicion = broker.suspicion.as_mut().expect("it has begun");
            suspicion.on_put(Moment(now.0.saturating_sub(put)), now);
            suspicion.on_commit(Moment(now.0.saturating_sub(Duration::from_millis(5))), now);
        }
        if broker.seen < revision {
            broker.seen = revision;
            self.learn(number);
        }
    }

    fn learn(&mut self, number: i32) {
        let (now, view, standings) = (self.now, self.view.clone(), self.standings.clone());
        let broker = self.broker(number);
        let suspicion = broker.suspicion.as_mut().expect("it has begun");
        if broker.view < view.number {
            suspicion.on_view(&view, now).expect("a known placement");
            let mut barrier = Barrier::new(&view, standings.as_of, broker.session).expect("known");
            (0..PARTITIONS).for_each(|index| _ = barrier.place(key(&partition(index))));
            let closed: Vec<_> =
                to_close(barrier.placement(), broker.session, broker.served.iter().copied(), key).collect();
            closed.iter().for_each(|partition| _ = broker.served.remove(partition));
            broker.drained = broker.put.map(|put| now + put);
            (broker.view, broker.barrier) = (view.number, Some(barrier));
        }
        let barrier = broker.barrier.as_mut().expect("a view is known");
        barrier.observe(Arc::new(standings.clone()));
        for partition in (0..PARTITIONS).map(partition) {
            if barrier.verdict(key(&partition)) == Verdict::Serve {
                broker.served.insert(partition);
            }
        }
        suspicion.on_standings(&standings, standings.as_of, now);
        suspicion.on_barrier(&barrier.waits_for(), now);
    }

    /// What the mesh and the leases tell.
    fn hear(&mut self, number: i32) {
        let (now, mut reports) = (self.now, Vec::new());
        let is_beat = now.0.as_millis().is_multiple_of(150);
        let mut suspicion = self.broker(number).suspicion.take().expect("it has begun");
        for (&other, broker) in self.brokers.iter().filter(|&(&other, _)| other != number) {
            let is_linked = !self.cut.contains(&(number, other));
            let lives = broker.life == Life::Running && broker.begins.is_none();
            if is_linked && lives && is_beat {
                suspicion.on_heard(broker.session, now);
                reports.push((broker.session, broker.suspicion.as_ref().map(|other| other.unreachable(now))));
            }
            let tell_tale = match broker.life {
                _ if !is_linked => TellTale::Silent,
                Life::Killed => TellTale::Refused,
                Life::Running | Life::Paused => TellTale::Open,
            };
            suspicion.on_tell_tale(broker.session, tell_tale, now);
            let is_lost = now.since(broker.refreshed) > LEASE;
            suspicion.on_lease(broker.session, if is_lost { Lease::Lost } else { Lease::Held }, now);
        }
        for (from, unreachable) in reports {
            let number = u64::try_from(now.0.as_millis()).expect("days");
            suspicion.on_report((from, number), &unreachable.unwrap_or_default(), now);
        }
        let broker = self.broker(number);
        let is_lost = now.since(broker.refreshed) > LEASE;
        suspicion.on_own_lease(if is_lost { Lease::Lost } else { Lease::Held }, now);
        broker.suspicion = Some(suspicion);
    }

    fn acknowledge(&mut self, number: i32) {
        let now = self.now;
        let broker = self.broker(number);
        let (session, learned) = (broker.session, broker.view);
        let undrained = u64::from(broker.drained.is_none_or(|drained| drained > now));
        if !broker.reaches_metadata {
            return;
        }
        let acked = self.standings.sessions[&session].acked_view;
        let draining = Draining { learned, acked, write: JournalWrite::Idle, undrained };
        if let Ack::Now(view) = draining.ack() {
            self.write();
            self.standings.sessions.get_mut(&session).expect("it stands").acked_view = view;
        }
    }

    fn act(&mut self, number: i32) {
        let now = self.now;
        let broker = self.broker(number);
        let decision = broker.suspicion.as_ref().expect("it has begun").decide(now);
        if !broker.reaches_metadata || (decision.seal.is_empty() && !decision.check) {
            return;
        }
        let mut changes: Vec<Change> =
            decision.seal.iter().map(|sealing| Change::Seal(sealing.session)).collect();
        changes.extend(decision.check.then_some(Change::Check));
        let sealed = self.propose(&changes, None);
        for sealing in decision.seal.iter().filter(|sealing| sealed.contains(&sealing.session)) {
            self.seals.push((now, number, sealing.broker_id.0, sealing.why));
            let suspicion = self.broker(number).suspicion.as_mut().expect("it has begun");
            suspicion.on_sealed(sealing.session, now);
        }
    }

    /// Each partition is served by one session that stands.
    fn assert_all_served(&self) {
        let standing = self.brokers.values().filter(|broker| self.stands(broker.session));
        let served: usize = standing.map(|broker| broker.served.len()).sum();
        assert_eq!(served, usize::try_from(PARTITIONS).expect("a small number"), "{:?}", self.view);
    }

    fn sealed(&self) -> Vec<(i32, Why)> {
        self.seals.iter().map(|&(_, _, whom, why)| (whom, why)).collect()
    }
}

#[test]
fn a_killed_broker_is_sealed_once_in_under_a_second() {
    for numbers in [&[1, 2][..], &[1, 2, 3]] {
        for &victim in numbers {
            let mut cluster = Cluster::of(numbers);
            cluster.broker(victim).life = Life::Killed;
            let took = cluster.until_a_seal(1_000);
            assert!(took < Duration::from_millis(500), "{took:?}");
            cluster.run(500);
            cluster.assert_all_served();
            cluster.run(60_000);
            assert_eq!(cluster.sealed(), [(victim, Why::Gone)]);
        }
    }
}

/// As the kernel sees it, the process is there and its connections stand.
#[test]
fn a_stopped_broker_is_sealed_once_when_two_agree_and_begins_again() {
    for victim in 1..=3 {
        let mut cluster = Cluster::of(&[1, 2, 3]);
        cluster.broker(victim).life = Life::Paused;
        let took = cluster.until_a_seal(5_000);
        assert!(took < Duration::from_millis(1_500), "{took:?}");
        assert!(matches!(cluster.seals[0].3, Why::Agreed(_)), "{:?}", cluster.seals);
        cluster.run(30_000);
        cluster.broker(victim).life = Life::Running;
        cluster.run(30_000);
        assert_eq!(cluster.seals.len(), 1, "{:?}", cluster.seals);
        assert_eq!(cluster.view.members.len(), 3);
        cluster.assert_all_served();
    }
}

#[test]
fn of_two_a_stopped_one_is_sealed_when_its_lease_ends() {
    let mut cluster = Cluster::of(&[1, 2]);
    cluster.broker(2).life = Life::Paused;
    let took = cluster.until_a_seal(10_000);
    assert!(took > LEASE && took < LEASE + Duration::from_secs(1), "{took:?}");
    assert_eq!(cluster.sealed(), [(2, Why::LeaseLost)]);
}

#[test]
fn a_broker_without_metadata_is_sealed_when_its_lease_ends_and_comes_back() {
    let mut cluster = Cluster::of(&[1, 2, 3]);
    cluster.broker(2).reaches_metadata = false;
    cluster.run(20_000);
    assert_eq!(cluster.sealed(), [(2, Why::LeaseLost)]);
    cluster.broker(2).reaches_metadata = true;
    cluster.run(20_000);
    assert_eq!((cluster.seals.len(), cluster.view.members.len()), (1, 3));
    cluster.assert_all_served();
}

/// The metadata store is away for all: when it is back, all go on as they were.
#[test]
fn nobody_is_sealed_after_the_metadata_store_was_away() {
    let mut cluster = Cluster::of(&[1, 2, 3]);
    (1..=3).for_each(|number| cluster.broker(number).reaches_metadata = false);
    cluster.run(60_000);
    for number in 1..=3 {
        cluster.broker(number).reaches_metadata = true;
        cluster.run(100);
    }
    cluster.run(60_000);
    assert_eq!(cluster.seals, []);
}

#[test]
fn a_cut_between_two_alone_seals_nobody() {
    for numbers in [&[1, 2][..], &[1, 2, 3]] {
        let mut cluster = Cluster::of(numbers);
        cluster.cut(1, 2);
        cluster.run(300_000);
        assert_eq!(cluster.seals, []);
    }
}

/// Both reach the metadata store and neither hears the other. The second joins and waits for the first, whose PUTs take their
/// time; once that is sealed it begins again and waits for the second, and so on, until both have become patient enough.
#[test]
fn a_war_ends() {
    let mut cluster = Cluster::of(&[1]);
    cluster.cut(1, 2);
    cluster.start(2);
    (1..=2).for_each(|number| cluster.broker(number).put = Some(Duration::from_millis(2_800)));
    cluster.run(120_000);
    let wars = cluster.seals.len();
    assert!((1..=8).contains(&wars), "{:?}", cluster.seals);
    cluster.run(300_000);
    assert_eq!(cluster.seals.len(), wars, "{:?}", cluster.seals);
    cluster.assert_all_served();
}

/// The others agree that it is unreachable, whenever it begins again: it is sealed less and less often.
#[test]
fn one_that_is_cut_from_two_others_is_let_be_for_longer_each_time() {
    let mut cluster = Cluster::of(&[1, 2, 3]);
    cluster.cut(1, 2);
    cluster.cut(1, 3);
    cluster.run(300_000);
    let times: Vec<Moment> = cluster.seals.iter().map(|&(at, ..)| at).collect();
    assert!((5..=12).contains(&times.len()), "{:?}", cluster.seals);
    assert!(cluster.sealed().iter().all(|&(whom, why)| whom == 1 && matches!(why, Why::Agreed(_))));
    let pauses: Vec<Duration> = times.windows(2).map(|pair| pair[1].since(pair[0])).collect();
    assert!(pauses.is_sorted() && *pauses.last().unwrap() > Duration::from_secs(30), "{pauses:?}");
}

#[test]
fn a_store_that_is_slow_for_all_seals_nobody() {
    for put in [None, Some(Duration::from_secs(8))] {
        let mut cluster = Cluster::of(&[1, 2]);
        (1..=2).for_each(|number| cluster.broker(number).put = put);
        cluster.start(3);
        cluster.broker(3).put = put;
        cluster.run(60_000);
        assert_eq!(cluster.seals, []);
        (1..=3).for_each(|number| {
            let (now, broker) = (cluster.now, cluster.broker(number));
            (broker.put, broker.drained) = (Some(Duration::from_millis(30)), Some(now));
        });
        cluster.run(5_000);
        assert_eq!((cluster.seals.len(), cluster.view.members.len()), (0, 3));
        cluster.assert_all_served();
    }
}

#[test]
fn one_that_is_slow_alone_is_sealed_for_that_when_others_wait_for_it() {
    let mut cluster = Cluster::of(&[1, 2]);
    cluster.broker(1).put = None;
    cluster.run(60_000);
    assert_eq!(cluster.seals, [], "nobody waits for it");
    cluster.start(3);
    let took = cluster.until_a_seal(10_000);
    assert!(took > Duration::from_secs(3) && took < Duration::from_millis(3_500), "{took:?}");
    assert_eq!(cluster.sealed(), [(1, Why::Slow)]);
}

#[test]
fn a_broker_that_dies_again_and_again_is_taken_over_from_in_a_second_each_time() {
    let mut cluster = Cluster::of(&[1, 2, 3]);
    for _ in 0..20 {
        cluster.broker(3).life = Life::Killed;
        let took = cluster.until_a_seal(2_000);
        assert!(took < Duration::from_secs(1), "{took:?}");
        cluster.run(1_000);
        cluster.start(3);
        cluster.run(12_000);
        cluster.assert_all_served();
    }
    assert_eq!(cluster.seals.len(), 20);
}
