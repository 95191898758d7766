//! Partitions go from session to session while views change, in an order that a seed draws: views are learned late or
//! skipped, listings of standings are old, sessions die, leave and are sealed, and the next views are those of
//! [`next_view`]. Two sessions that stand never hold one partition, and when all is quiet every one is served.

use super::{Chance, partition, s};
use crate::cluster::{
    Ack, Barrier, Change, Draining, JournalWrite, Placement, PlacementKey, Stand, Standings, Verdict,
    ViewBounds, next_view, to_close,
};
use crate::meta::Revision;
use crate::meta::keys::view::{Member, View};
use crate::types::{BrokerId, SessionId, TopicPartition, ViewNumber};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

const BROKERS: usize = 4;
const PARTITIONS: i32 = 12;

/// Some so small that views are put together again and again.
fn bounds(seed: u64) -> ViewBounds {
    let earlier_views = 1 + usize::try_from(seed % 6).expect("a small number");
    ViewBounds { members: 4, earlier_views, earlier_members: 20, seals: 2 }
}

struct World {
    seed: u64,
    chance: Chance,
    revision: u64,
    /// All views so far, each with its revision.
    views: Vec<(View, Revision)>,
    /// All listings so far: the last is what stands now.
    listings: Vec<Arc<Standings>>,
    nodes: BTreeMap<SessionId, Node>,
    sessions: u128,
    /// How many entries of `earlier` stood for several views, over all views.
    put_together: usize,
    taken_over: usize,
}

/// One session that runs.
struct Node {
    broker_id: BrokerId,
    /// The place in [`World::views`] of what it knows.
    view: usize,
    barrier: Barrier,
    served: BTreeSet<TopicPartition>,
    /// Closed; something of it may still be committed.
    undrained: BTreeSet<TopicPartition>,
}

impl World {
    fn new(seed: u64) -> World {
        let none = View::new(ViewNumber(0), Vec::new());
        let mut world = World {
            seed,
            chance: Chance(seed),
            revision: 1,
            views: vec![(none, Revision(1))],
            listings: vec![Arc::new(Standings { as_of: Revision(1), ..Standings::default() })],
            nodes: BTreeMap::new(),
            sessions: 0,
            put_together: 0,
            taken_over: 0,
        };
        world.join(BrokerId(1));
        world
    }

    fn standings(&self) -> Arc<Standings> {
        Arc::clone(self.listings.last().expect("there is one from the start"))
    }

    fn stands(&self, session: SessionId) -> bool {
        self.standings().sessions.contains_key(&session)
    }

    fn chosen<T: Copy>(&mut self, from: &[T]) -> Option<T> {
        (!from.is_empty()).then(|| from[self.chance.below(from.len())])
    }

    fn write(&mut self, change: impl FnOnce(&mut BTreeMap<SessionId, Stand>)) -> Revision {
        self.revision += 1;
        let mut next = (*self.standings()).clone();
        next.as_of = Revision(self.revision);
        change(&mut next.sessions);
        self.listings.push(Arc::new(next));
        Revision(self.revision)
    }

    // ---- views

    /// Proposes with a listing that may be old; the view itself is compared. True if there is a next view.
    fn propose(&mut self, changes: &[Change], joins: Option<SessionId>) -> bool {
        let (current, revision) = self.views.last().expect("there is one from the start").clone();
        let back = self.chance.below(3).min(self.listings.len() - 1);
        let listing = Arc::clone(&self.listings[self.listings.len() - 1 - back]);
        let Ok(next) = next_view((&current, revision), &listing, changes, &bounds(self.seed)) else {
            return false;
        };
        let number = next.view.number;
        let member = next.view.members.iter().find(|member| Some(member.session) == joins).cloned();
        if joins.is_some() && member.is_none() {
            return false;
        }
        let revision = self.write(|sessions| {
            sessions.retain(|session, _| !next.seals.contains(session));
            if let Some(Member { session, broker_id, .. }) = member {
                sessions.insert(session, Stand { broker_id, acked_view: number });
            }
        });
        self.put_together += next.view.earlier.iter().filter(|earlier| earlier.first.is_some()).count();
        self.views.push((next.view, revision));
        true
    }

    fn join(&mut self, broker_id: BrokerId) {
        self.sessions += 1;
        let session = s(self.sessions);
        if !self.propose(&[Change::Join(Member::new(session, broker_id))], Some(session)) {
            return;
        }
        let view = self.views.len() - 1;
        let (known, revision) = &self.views[view];
        let barrier = Barrier::new(known, *revision, session).expect("a known placement");
        let node = Node { broker_id, view, barrier, served: BTreeSet::new(), undrained: BTreeSet::new() };
        self.nodes.insert(session, node);
    }

    fn learn(&mut self, session: SessionId, view: usize) {
        let (known, revision) = self.views[view].clone();
        let node = self.nodes.get_mut(&session).expect("it runs");
        let placement = Placement::new(known.placement, &known.members).expect("known");
        let closed: Vec<_> =
            to_close(&placement, session, node.served.iter().copied(), |&of| PlacementKey::partition(of))
                .collect();
        for partition in closed {
            node.served.remove(&partition);
            node.undrained.insert(partition);
        }
        node.view = view;
        node.barrier = Barrier::new(&known, revision, session).expect("a known placement");
    }

    /// What is closed drains at some time, and then the view is acknowledged: if the session still stands.
    fn acknowledge(&mut self, session: SessionId) {
        if !self.stands(session) {
            return drop(self.nodes.remove(&session));
        }
        let acked = self.standings().sessions[&session].acked_view;
        let learned = self.views[self.nodes[&session].view].0.number;
        let drained = self.chance.one_in(2);
        let node = self.nodes.get_mut(&session).expect("it runs");
        let undrained = if drained { 0 } else { node.undrained.len() as u64 };
        let draining = Draining { learned, acked, write: JournalWrite::Idle, undrained };
        let Ack::Now(number) = draining.ack() else { return };
        node.undrained.clear();
        self.write(|sessions| {
            sessions.get_mut(&session).expect("it stands").acked_view = number;
        });
    }

    /// Looks at a listing that may be old, and takes over what the barrier lets it have.
    fn take_over(&mut self, session: SessionId) {
        let back = self.chance.below(24).min(self.listings.len() - 1);
        let listing = Arc::clone(&self.listings[self.listings.len() - 1 - back]);
        let node = self.nodes.get_mut(&session).expect("it runs");
        node.barrier.observe(listing);
        let served = node.served.clone();
        let open = |index: &i32| !served.contains(&partition(*index));
        let open: Vec<_> = (0..PARTITIONS).filter(open).map(partition).collect();
        let may = |partition: &TopicPartition| {
            node.barrier.verdict(PlacementKey::partition(*partition)) == Verdict::Serve
        };
        let taken: Vec<_> = open.into_iter().filter(may).collect();
        // The journals are listed in one transaction with the session's own standing.
        if !self.stands(session) {
            return drop(self.nodes.remove(&session));
        }
        for partition in taken {
            self.assert_free(session, partition);
            self.nodes.get_mut(&session).expect("it runs").served.insert(partition);
            self.taken_over += 1;
        }
    }

    fn assert_free(&self, session: SessionId, partition: TopicPartition) {
        let holds = |node: &Node| node.served.contains(&partition) || node.undrained.contains(&partition);
        let others = self.nodes.iter().filter(|&(&other, _)| other != session && self.stands(other));
        for (other, node) in others {
            assert!(!holds(node), "seed {}: {other} holds {partition}, and {session} takes it", self.seed);
        }
        let own = &self.nodes[&session];
        assert!(!own.undrained.contains(&partition), "seed {}: {session} is not through", self.seed);
    }

    // ---- what happens

    fn step(&mut self) {
        if self.chance.one_in(16) {
            // Often one change comes right after another, and most sessions learn of the second only.
            for _ in 0..=self.chance.below(3) {
                self.change();
            }
            return;
        }
        let running: Vec<SessionId> = self.nodes.keys().copied().collect();
        if let Some(session) = self.chosen(&running) {
            self.run(session);
        }
    }

    fn change(&mut self) {
        let running: Vec<SessionId> = self.nodes.keys().copied().collect();
        let standing: Vec<SessionId> = self.standings().sessions.keys().copied().collect();
        match self.chance.below(12) {
            0..=4 => {
                let broker = self.chance.below(BROKERS);
                self.join(BrokerId(i32::try_from(broker).expect("a small number")));
            }
            5..=8 => {
                if let Some(session) = self.chosen(&standing) {
                    self.propose(&[Change::Leave(session)], None);
                }
            }
            9..=10 => {
                if let Some(session) = self.chosen(&standing) {
                    self.propose(&[Change::Seal(session)], None);
                }
            }
            _ => {
                if let Some(session) = self.chosen(&running) {
                    self.nodes.remove(&session);
                }
            }
        }
    }

    fn run(&mut self, session: SessionId) {
        // Every third session is slow: it is overtaken by several views.
        if session.0.as_u128().is_multiple_of(3) && !self.chance.one_in(12) {
            return;
        }
        match self.chance.below(3) {
            0 => {
                let known = self.nodes[&session].view;
                let later = self.views.len() - 1 - known;
                if later > 0 {
                    let skipped = self.chance.below(later);
                    self.learn(session, known + 1 + skipped);
                }
            }
            1 => self.acknowledge(session),
            _ => self.take_over(session),
        }
    }

    /// Nothing more goes wrong: the dead are sealed, all learn and drain.
    fn come_to_rest(&mut self) {
        for _ in 0..400 {
            let stands_without_running: Vec<SessionId> = {
                let standings = self.standings();
                standings
                    .sessions
                    .keys()
                    .copied()
                    .filter(|session| !self.nodes.contains_key(session))
                    .collect()
            };
            if let Some(&session) = stands_without_running.first() {
                self.propose(&[Change::Seal(session)], None);
            }
            if self.views.last().expect("there is one").0.members.is_empty() {
                self.join(BrokerId(1));
            }
            let sessions: Vec<SessionId> = self.nodes.keys().copied().collect();
            for session in sessions {
                let newest = self.views.len() - 1;
                if self.nodes[&session].view < newest {
                    self.learn(session, newest);
                }
                self.acknowledge(session);
                if self.nodes.contains_key(&session) {
                    self.take_over(session);
                }
            }
        }
    }

    fn assert_all_served(&self) {
        let view = &self.views.last().expect("there is one").0;
        let placement = Placement::new(view.placement, &view.members).expect("known");
        for partition in (0..PARTITIONS).map(partition) {
            let leader = placement.leader(PlacementKey::partition(partition)).expect("there are members");
            let node = self.nodes.get(&leader.session);
            let serves = node
                .is_some_and(|node| node.broker_id == leader.broker_id && node.served.contains(&partition));
            assert!(serves, "seed {}: nobody serves {partition} in {view:?}", self.seed);
        }
    }
}

#[test]
fn two_that_stand_never_hold_one_partition_and_at_rest_all_are_served() {
    let (mut put_together, mut taken_over) = (0, 0);
    for seed in 0..100 {
        let mut world = World::new(seed);
        for _ in 0..4_000 {
            world.step();
        }
        world.come_to_rest();
        world.assert_all_served();
        put_together += world.put_together;
        taken_over += world.taken_over;
    }
    // Else nothing was shown.
    assert!(put_together > 100 && taken_over > 5_000, "{put_together} {taken_over}");
}
