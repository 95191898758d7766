//! Random members with random timing, and crashes: what holds whatever comes.

use super::super::StoredClassicGroup;
use super::super::group::State;
use super::*;
use proptest::prelude::*;
use std::collections::BTreeSet;

/// No member asks for a longer rebalance than this, so no answer takes longer.
const WAIT_MAX: Duration = Duration::from_secs(20);
const ACTORS: usize = 7;

#[derive(Clone, Debug)]
enum Step {
    Join {
        actor: usize,
        fresh: bool,
        offer: usize,
        rebalance_ms: i32,
        required: bool,
        skip: bool,
    },
    Sync {
        actor: usize,
        stale: bool,
    },
    Heartbeat {
        actor: usize,
    },
    Leave {
        actor: usize,
        by_instance: bool,
        also: usize,
    },
    /// Some do what their client would do next, in that order.
    Behave {
        actors: Vec<usize>,
    },
    Pass {
        ms: u64,
    },
    Crash,
}

/// A client, as far as it knows.
#[derive(Clone, Debug, Default)]
struct Actor {
    member_id: MemberId,
    generation_id: i32,
    leads: Vec<MemberId>,
}

struct Waiting {
    actor: usize,
    asked_as: MemberId,
    since: Moment,
}

struct Play {
    world: World,
    actors: Vec<Actor>,
    waiting: BTreeMap<Ticket, Waiting>,
    ids_seen: BTreeSet<MemberId>,
    stored: Option<StoredClassicGroup>,
    generation_id: i32,
    highest: i32,
    stable: usize,
}

fn config() -> ClassicGroupConfig {
    ClassicGroupConfig {
        members_max: 5,
        pending_max: 2,
        stored_bytes_max: 29_500,
        member_assignment_bytes_max: 100,
        ..ClassicGroupConfig::default()
    }
}

/// The last three are static.
fn instance_of(actor: usize) -> Option<GroupInstanceId> {
    (actor >= 4).then(|| GroupInstanceId::new(&format!("s{actor}")))
}

fn offers(offer: usize) -> Vec<Protocol> {
    match offer {
        0 => protocols(&["a", "b"]),
        1 => protocols(&["b", "a"]),
        2 => protocols(&["b"]),
        3 => vec![Protocol { name: "b".to_owned(), metadata: subscription_to(&["t", "u"]) }],
        _ => protocols(&["c"]),
    }
}

impl Play {
    fn new() -> Play {
        Play {
            world: World::with(config()),
            actors: vec![Actor::default(); ACTORS],
            waiting: BTreeMap::new(),
            ids_seen: BTreeSet::new(),
            stored: None,
            generation_id: 0,
            highest: 0,
            stable: 0,
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Join { actor, fresh, offer, rebalance_ms, required, skip } => {
                let asked_as = if fresh { MemberId::default() } else { self.actors[actor].member_id.clone() };
                let request = JoinRequest {
                    group_instance_id: instance_of(actor),
                    rebalance_timeout_ms: rebalance_ms,
                    member_id_required: required,
                    skip_assignment: skip,
                    protocols: offers(offer),
                    ..join_as(&asked_as)
                };
                let ticket = Ticket(self.world.tickets + 1);
                self.wait(ticket, actor, asked_as);
                self.world.join(request);
            }
            Step::Sync { actor, stale } => self.sync(actor, stale),
            Step::Heartbeat { actor } => {
                let Actor { member_id, generation_id, .. } = self.actors[actor].clone();
                let _ = self.world.heartbeat(&member_id, generation_id);
            }
            Step::Leave { actor, by_instance, also } => {
                let nobody = MemberId::default();
                let instance = instance_of(actor);
                let id = if by_instance { nobody } else { self.actors[actor].member_id.clone() };
                let also = self.actors[also].member_id.clone();
                self.world.leave(&[(&id, instance.as_ref().map(GroupInstanceId::as_str)), (&also, None)]);
            }
            Step::Behave { actors } => actors.into_iter().for_each(|actor| self.behave(actor)),
            Step::Pass { ms } => self.world.pass(Duration::from_millis(ms)),
            Step::Crash => self.crash(),
        }
        self.look();
    }

    fn wait(&mut self, ticket: Ticket, actor: usize, asked_as: MemberId) {
        self.waiting.insert(ticket, Waiting { actor, asked_as, since: self.world.now });
    }

    fn sync(&mut self, actor: usize, stale: bool) {
        let Actor { member_id, generation_id, leads } = self.actors[actor].clone();
        let generation_id = generation_id - i32::from(stale);
        let own = |member: &MemberId| Assignment {
            member_id: member.clone(),
            assignment: Bytes::from(generation_id.to_string()),
        };
        let assignments = leads.iter().map(own).collect();
        let request = SyncRequest {
            assignments,
            group_instance_id: instance_of(actor),
            ..sync_as(&member_id, generation_id)
        };
        let ticket = Ticket(self.world.tickets + 1);
        self.wait(ticket, actor, member_id);
        self.world.sync(request);
    }

    fn behave(&mut self, actor: usize) {
        if self.waiting.values().any(|waiting| waiting.actor == actor) {
            return;
        }
        let Actor { member_id, generation_id, .. } = self.actors[actor].clone();
        let instance = instance_of(actor);
        let heard = self.world.heartbeat_as(
            &member_id,
            instance.as_ref().map(GroupInstanceId::as_str),
            generation_id,
        );
        if heard.is_err() {
            let fresh = matches!(heard, Err(GroupError::UnknownMemberId | GroupError::FencedInstanceId))
                && !self.world.group.pending.contains_key(&member_id);
            let (rebalance_ms, required) = (15_000, true);
            self.step(Step::Join { actor, fresh, offer: actor % 2, rebalance_ms, required, skip: true });
        } else if self.world.group.state == State::Completing {
            self.sync(actor, false);
        }
        self.look();
    }

    /// The broker is gone, with all answers that wait; what was stored is left.
    fn crash(&mut self) {
        self.waiting.clear();
        let (now, tickets, uuids) = (self.world.now, self.world.tickets, self.world.uuids);
        let group = match &self.stored {
            Some(stored) => {
                let json = serde_json::to_string(stored).expect("plain data");
                assert!(json.len() <= config().stored_bytes_max, "{} bytes are stored", json.len());
                let stored = serde_json::from_str(&json).expect("what was written");
                ClassicGroup::restore(stored, config(), now).expect("what was stored is sound")
            }
            None => {
                // Whoever was in it has an id that nobody knows now, so its generations may come again.
                self.highest = 0;
                ClassicGroup::new(config())
            }
        };
        self.generation_id = group.generation_id();
        self.world = World { now, tickets, uuids, ..World::of(group) };
    }

    fn look(&mut self) {
        let dirty = self.world.group.take_dirty();
        if dirty {
            self.store();
        }
        let generation_id = self.world.group.generation_id();
        if generation_id != self.generation_id {
            assert!(generation_id > self.highest, "{generation_id} after {}", self.highest);
            self.generation_id = generation_id;
        }
        self.highest = self.highest.max(generation_id);
        for (ticket, answer) in std::mem::take(&mut self.world.answers) {
            self.hear(ticket, answer);
        }
        for (ticket, waiting) in &self.waiting {
            assert!(self.world.now.since(waiting.since) <= WAIT_MAX, "{ticket:?} waits too long");
        }
        self.check_counts();
    }

    fn store(&mut self) {
        let stored = self.world.group.stored();
        if self.world.group.state_name() == "Stable" {
            let again = ClassicGroup::restore(stored.clone(), config(), self.world.now).expect("sound");
            assert_eq!(again.members(), self.world.group.members());
            assert_eq!(again.generation_id(), self.world.group.generation_id());
            assert_eq!(again.group_leader(), self.world.group.group_leader());
            self.stable += 1;
        }
        self.stored = Some(stored);
    }

    fn hear(&mut self, ticket: Ticket, answer: Answer) {
        let Some(waiting) = self.waiting.remove(&ticket) else {
            assert!(
                matches!(answer, Answer::Heartbeat(_) | Answer::Leave(_)),
                "{ticket:?} was given: {answer:?}"
            );
            return;
        };
        let actor = &mut self.actors[waiting.actor];
        match answer {
            Answer::Join(Ok(joined)) => {
                self.check_id(&waiting.asked_as, &joined.member_id);
                let leads = joined.members.iter().map(|member| member.member_id.clone()).collect();
                self.actors[waiting.actor] =
                    Actor { member_id: joined.member_id, generation_id: joined.generation_id, leads };
            }
            Answer::Join(Err(refused)) if refused.error == GroupError::MemberIdRequired => {
                self.check_id(&waiting.asked_as, &refused.member_id);
                self.actors[waiting.actor].member_id = refused.member_id;
            }
            Answer::Join(Err(refused)) if refused.error == GroupError::UnknownMemberId => {
                actor.member_id = MemberId::default();
            }
            Answer::Join(Err(_)) | Answer::Sync(Err(_)) => {}
            Answer::Sync(Ok(synced)) => {
                let of = std::str::from_utf8(&synced.assignment).expect("a number");
                assert!(
                    of.is_empty() || of == self.generation_id.to_string(),
                    "{of} in {}",
                    self.generation_id
                );
            }
            Answer::Heartbeat(_) | Answer::Leave(_) => panic!("{ticket:?} asked for something else"),
        }
    }

    /// Whoever has an id keeps it; whoever has none gets one that nobody had.
    fn check_id(&mut self, asked_as: &MemberId, told: &MemberId) {
        if asked_as.is_empty() {
            assert!(self.ids_seen.insert(told.clone()), "{told} was given before");
        } else {
            assert_eq!(asked_as, told);
        }
    }

    fn check_counts(&self) {
        let group = &self.world.group;
        let members = &group.members;
        let awaiting_join = members.iter().filter(|(_, member)| member.awaits_join()).count();
        let awaiting_sync = members.iter().filter(|(_, member)| member.awaiting_sync.is_some()).count();
        assert_eq!(members.awaiting_join(), awaiting_join);
        assert_eq!(
            members.cost(),
            members.iter().map(|(id, member)| member.profile().cost(id)).sum::<usize>()
        );
        assert_eq!(
            group.group_leader().is_some_and(|group_leader| members.contains(group_leader)),
            !members.is_empty()
        );
        assert_eq!(self.waiting.len(), awaiting_join + awaiting_sync, "who waits is waited for");
        assert!(members.len() <= 2 * config().members_max + 3 && group.pending.len() <= config().pending_max);
        assert!(group.unsynced.iter().all(|member_id| members.contains(member_id)));
        assert_eq!(group.unsynced.is_empty(), group.sync_deadline.is_none());
        assert_eq!(members.select_protocol().is_some(), !members.is_empty());
        match group.state {
            State::Empty => assert!(members.is_empty()),
            State::Preparing { .. } => assert_eq!(awaiting_sync, 0),
            State::Completing => assert!(awaiting_join == 0 && !members.is_empty()),
            State::Stable => assert!(awaiting_join + awaiting_sync == 0 && !members.is_empty()),
        }
    }

    fn end(&mut self) {
        self.world.pass(secs(10_000));
        self.look();
        assert!(self.waiting.is_empty(), "each ticket is answered in the end");
        assert!(self.world.group.is_idle());
        assert_eq!(self.world.group.next_deadline(), None);
        assert!(self.stored.as_ref().is_none_or(|stored| stored.members.is_empty()));
    }
}

fn step() -> impl Strategy<Value = Step> {
    let actor = 0..ACTORS;
    let offer = prop_oneof![6 => 0..2_usize, 2 => 2..4_usize, 1 => Just(4_usize)];
    let join =
        (actor.clone(), prop::bool::weighted(0.15), offer, -1..20_000_i32, any::<bool>(), any::<bool>());
    prop_oneof![
        8 => join.prop_map(|(actor, fresh, offer, rebalance_ms, required, skip)| {
            Step::Join { actor, fresh, offer, rebalance_ms, required, skip }
        }),
        8 => (actor.clone(), prop::bool::weighted(0.1)).prop_map(|(actor, stale)| Step::Sync { actor, stale }),
        4 => actor.clone().prop_map(|actor| Step::Heartbeat { actor }),
        1 => (actor.clone(), any::<bool>(), actor)
            .prop_map(|(actor, by_instance, also)| Step::Leave { actor, by_instance, also }),
        9 => proptest::collection::vec(0..ACTORS, 4..25).prop_map(|actors| Step::Behave { actors }),
        4 => (0..4000_u64).prop_map(|ms| Step::Pass { ms }),
        1 => (4000..30_000_u64).prop_map(|ms| Step::Pass { ms }),
        1 => Just(Step::Crash),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn whatever_comes_each_ticket_is_answered_once_and_generations_only_grow(
        steps in proptest::collection::vec(step(), 0..200)
    ) {
        let mut play = Play::new();
        for step in steps {
            play.step(step);
        }
        play.end();
    }
}
