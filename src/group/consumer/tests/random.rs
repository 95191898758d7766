//! Random joins, leaves, changes, lost answers, restores and time: never do two members own one partition, and after
//! quiet everything is owned by somebody who wants it.

use super::fixture::*;
use super::restores::restored;
use crate::group::consumer::*;
use crate::types::{Moment, TopicName, TopicPartition};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const CLIENTS: usize = 6;
const TOPICS: usize = 3;
const REGEXES: [&str; 4] = ["", "t[01]", "t.*", "x"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lost {
    Answer,
    Nothing,
}

#[derive(Clone, Debug)]
enum Event {
    Join {
        client: usize,
        subscription: usize,
        regex: usize,
        lost: Lost,
    },
    /// A heartbeat that says nothing.
    Beat {
        client: usize,
        lost: Lost,
    },
    /// The client does what it was told and says so.
    Acknowledge {
        client: usize,
        lost: Lost,
    },
    /// A client that has not yet done what it was told says everything.
    Full {
        client: usize,
    },
    Subscribe {
        client: usize,
        subscription: usize,
        regex: usize,
    },
    Leave {
        client: usize,
    },
    LeaveForAWhile {
        client: usize,
    },
    /// The client dies without a word; another process takes its place.
    Die {
        client: usize,
    },
    Topic {
        number: usize,
        partitions: i32,
    },
    Pass {
        millis: u64,
    },
    Restore,
}

fn event() -> impl Strategy<Value = Event> {
    let client = 0..CLIENTS;
    let lost = prop_oneof![4 => Just(Lost::Nothing), 1 => Just(Lost::Answer)];
    let (subscription, regex) = (0..1usize << TOPICS, 0..REGEXES.len());
    prop_oneof![
        4 => (client.clone(), subscription.clone(), regex.clone(), lost.clone())
            .prop_map(|(client, subscription, regex, lost)| Event::Join { client, subscription, regex, lost }),
        4 => (client.clone(), lost.clone()).prop_map(|(client, lost)| Event::Beat { client, lost }),
        8 => (client.clone(), lost).prop_map(|(client, lost)| Event::Acknowledge { client, lost }),
        2 => client.clone().prop_map(|client| Event::Full { client }),
        1 => (client.clone(), subscription, regex)
            .prop_map(|(client, subscription, regex)| Event::Subscribe { client, subscription, regex }),
        1 => client.clone().prop_map(|client| Event::Leave { client }),
        1 => client.clone().prop_map(|client| Event::LeaveForAWhile { client }),
        1 => client.prop_map(|client| Event::Die { client }),
        2 => (0..TOPICS, 0..8i32).prop_map(|(number, partitions)| Event::Topic { number, partitions }),
        3 => prop_oneof![0..300u64, 0..50_000u64].prop_map(|millis| Event::Pass { millis }),
        1 => Just(Event::Restore),
    ]
}

/// How much of itself a client says in a heartbeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Says {
    Nothing,
    Owned,
    /// As the Java client, librdkafka and franz-go do after a lost connection: the subscription too, without which the
    /// group cannot tell that they may have missed an answer.
    Everything,
}

/// A consumer as it sees itself.
#[derive(Clone, Debug, Default)]
struct Client {
    /// Grows with every process that takes this place.
    life: usize,
    member_epoch: i32,
    in_group: bool,
    names: BTreeSet<TopicName>,
    regex: String,
    owned: PartitionSet,
    told: Option<PartitionSet>,
    missed: bool,
}

struct World {
    group: ConsumerGroup,
    config: ConsumerGroupConfig,
    image: TopicsImage,
    sizes: [(u128, i32); TOPICS],
    now: Moment,
    clients: Vec<Client>,
    stored: StoredConsumerGroup,
}

fn subscription(bits: usize) -> BTreeSet<TopicName> {
    (0..TOPICS).filter(|n| bits >> n & 1 == 1).map(|n| name(&format!("t{n}"))).collect()
}

impl World {
    fn new(assignment_delay: Duration) -> World {
        let config = ConsumerGroupConfig { assignment_delay, ..ConsumerGroupConfig::default() };
        let group = ConsumerGroup::new(config.clone());
        let stored = group.stored();
        let clients = vec![Client::default(); CLIENTS];
        let mut world = World {
            group,
            config,
            image: TopicsImage::new(),
            sizes: [(0, 0); TOPICS],
            now: at(0),
            clients,
            stored,
        };
        for number in 0..TOPICS {
            world.topic(number, 3);
        }
        world
    }

    /// Half of the clients are static.
    fn instance_id(client: usize) -> Option<GroupInstanceId> {
        (client % 2 == 1).then(|| GroupInstanceId::new(&format!("i{client}")))
    }

    fn base(&self, client: usize, member_epoch: i32) -> HeartbeatRequest {
        let id = format!("c{client}-{}", self.clients[client].life);
        HeartbeatRequest { instance_id: World::instance_id(client), ..beat(&id, member_epoch) }
    }

    fn send(&mut self, client: usize, request: HeartbeatRequest, lost: Lost) {
        let result = self.group.heartbeat(self.now, &request, &self.image);
        let client = &mut self.clients[client];
        match result {
            Err(_) if request.member_epoch == JOIN_EPOCH && !client.in_group => {}
            Err(GroupError::FencedMemberEpoch { .. } | GroupError::UnknownMemberId) => {
                let life = client.life;
                *client = Client { life, ..Client::default() };
            }
            Err(error) => panic!("{request:?}: {error}"),
            Ok(_) if lost == Lost::Answer => client.missed = true,
            Ok(answer) => {
                client.in_group = true;
                client.missed = false;
                client.member_epoch = answer.member_epoch;
                if let Some(assignment) = answer.assignment {
                    client.owned.extend(assignment.iter().copied());
                    client.told = Some(assignment);
                }
            }
        }
    }

    fn join(&mut self, client: usize, bits: usize, regex: usize, lost: Lost) {
        let (names, regex) = (subscription(bits), REGEXES[regex].to_owned());
        if self.clients[client].in_group || (names.is_empty() && regex.is_empty()) {
            return;
        }
        (self.clients[client].names, self.clients[client].regex) = (names, regex);
        let request = self.request(client, JOIN_EPOCH, Says::Everything);
        self.send(client, request, lost);
    }

    /// A client that missed an answer says everything.
    fn live(&mut self, client: usize, says: Says, lost: Lost) {
        let state = &self.clients[client];
        if !state.in_group {
            return;
        }
        let says = if state.missed { Says::Everything } else { says };
        let request = self.request(client, state.member_epoch, says);
        self.send(client, request, lost);
    }

    fn request(&self, client: usize, member_epoch: i32, says: Says) -> HeartbeatRequest {
        let (state, base) = (&self.clients[client], self.base(client, member_epoch));
        let owned = Some(state.owned.clone());
        match says {
            Says::Nothing => base,
            Says::Owned => HeartbeatRequest { owned, ..base },
            Says::Everything => HeartbeatRequest {
                owned,
                rebalance_timeout: Some(Duration::from_secs(30)),
                subscribed_topic_names: Some(state.names.clone()),
                subscribed_topic_regex: Some(state.regex.clone()),
                ..base
            },
        }
    }

    fn acknowledge(&mut self, client: usize, lost: Lost) {
        let state = &mut self.clients[client];
        if let Some(told) = state.told.take() {
            state.owned = told;
        }
        self.live(client, Says::Owned, lost);
    }

    fn leave(&mut self, client: usize, member_epoch: i32) {
        if self.clients[client].in_group {
            let _gone_already = self.group.heartbeat(self.now, &self.base(client, member_epoch), &self.image);
        }
        let life = self.clients[client].life + 1;
        self.clients[client] = Client { life, ..Client::default() };
    }

    /// No partitions: the topic is deleted. Fewer than before: deleted and created anew.
    fn topic(&mut self, number: usize, partitions: i32) {
        let (mut id, size) = self.sizes[number];
        if partitions < size {
            id += 10;
        }
        self.sizes[number] = (id, partitions);
        let text = name(&format!("t{number}"));
        if partitions == 0 {
            self.image.remove(&text);
        } else {
            let topic_id = topic(id + number as u128);
            self.image.insert(text, TopicSize { topic_id, partitions });
        }
        self.group.on_topics_changed(self.now, &self.image);
    }

    fn pass(&mut self, millis: u64) {
        let until = self.now + Duration::from_millis(millis);
        while let Some(deadline) = self.group.next_deadline().filter(|deadline| *deadline <= until) {
            self.now = deadline.max(self.now);
            self.group.on_time(self.now);
        }
        self.now = until;
        self.forget_fenced();
    }

    /// Whoever was fenced by time owns nothing from the group's view; it will hear of it.
    fn forget_fenced(&mut self) {
        let members: BTreeSet<MemberId> =
            self.group.describe().members.into_iter().map(|member| member.member_id).collect();
        for client in 0..CLIENTS {
            let id = self.base(client, 0).member_id;
            let state = &mut self.clients[client];
            if state.in_group && !members.contains(&id) {
                *state = Client { life: state.life, ..Client::default() };
            }
        }
    }

    fn act(&mut self, event: &Event) {
        match *event {
            Event::Join { client, subscription, regex, lost } => self.join(client, subscription, regex, lost),
            Event::Beat { client, lost } => self.live(client, Says::Nothing, lost),
            Event::Acknowledge { client, lost } => self.acknowledge(client, lost),
            Event::Full { client } => self.live(client, Says::Everything, Lost::Nothing),
            Event::Subscribe { client, subscription: bits, regex } => {
                let state = &mut self.clients[client];
                (state.names, state.regex) = (subscription(bits), REGEXES[regex].to_owned());
                self.live(client, Says::Everything, Lost::Nothing);
            }
            Event::Leave { client } => self.leave(client, LEAVE_EPOCH),
            Event::LeaveForAWhile { client } => {
                let epoch = if client % 2 == 1 { STATIC_LEAVE_EPOCH } else { LEAVE_EPOCH };
                self.leave(client, epoch);
            }
            Event::Die { client } => {
                let life = self.clients[client].life + 1;
                self.clients[client] = Client { life, ..Client::default() };
            }
            Event::Topic { number, partitions } => self.topic(number, partitions),
            Event::Pass { millis } => self.pass(millis),
            Event::Restore => {
                self.group = restored(&self.group, self.config.clone(), self.now);
                self.group.on_topics_changed(self.now, &self.image);
            }
        }
    }

    fn check(&mut self) {
        let mut owners: BTreeMap<TopicPartition, usize> = BTreeMap::new();
        for (number, client) in self.clients.iter().enumerate() {
            for which in &client.owned {
                let other = owners.insert(*which, number);
                assert_eq!(other, None, "{which} is owned by client {number} too");
            }
        }
        let stored = self.group.stored();
        assert!(self.group.take_dirty() || stored == self.stored, "changed, and not said so");
        self.stored = stored;
    }

    /// Time passes, and everybody does what it is told.
    fn quiet(&mut self) {
        for _ in 0..40 {
            self.pass(2_000);
            for client in 0..CLIENTS {
                self.acknowledge(client, Lost::Nothing);
            }
            self.check();
        }
    }

    fn check_quiet(&self) {
        let view = self.group.describe();
        assert!(matches!(view.state, ConsumerGroupState::Stable | ConsumerGroupState::Empty), "{view:?}");
        let mut wanted = PartitionSet::new();
        for member in &view.members {
            let mut eligible = PartitionSet::new();
            for (text, size) in &self.image {
                let by_name = member.subscribed_topic_names.contains(text);
                let by_regex = match member.subscribed_topic_regex.as_deref() {
                    Some("t.*") => true,
                    Some("t[01]") => text.as_str() != "t2",
                    _ => false,
                };
                if by_name || by_regex {
                    let partition = |number| TopicPartition {
                        topic_id: size.topic_id,
                        partition: crate::types::PartitionIndex(number),
                    };
                    eligible.extend((0..size.partitions).map(partition));
                }
            }
            assert!(member.assignment.is_subset(&eligible), "{member:?}");
            wanted.extend(eligible);
        }
        let owned: Vec<TopicPartition> =
            view.members.iter().flat_map(|member| member.assignment.iter().copied()).collect();
        assert_eq!(owned.len(), wanted.len());
        assert_eq!(owned.into_iter().collect::<PartitionSet>(), wanted);
        let told: BTreeMap<_, _> =
            view.members.iter().map(|member| (member.member_id.clone(), &member.assignment)).collect();
        let alive = (0..CLIENTS).filter(|client| self.clients[*client].in_group);
        let owned: BTreeMap<_, _> =
            alive.map(|client| (self.base(client, 0).member_id, &self.clients[client].owned)).collect();
        assert_eq!(told, owned, "members own something else than the group believes");
        let same = |a: &MemberView, b: &MemberView| {
            (&a.subscribed_topic_names, &a.subscribed_topic_regex)
                == (&b.subscribed_topic_names, &b.subscribed_topic_regex)
        };
        if view.members.windows(2).all(|pair| same(&pair[0], &pair[1])) {
            let counts = view.members.iter().map(|member| member.assignment.len());
            let (least, most) = (counts.clone().min().unwrap_or(0), counts.max().unwrap_or(0));
            assert!(most - least <= 1, "{view:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn no_two_members_own_a_partition_and_after_quiet_all_are_owned(
        events in proptest::collection::vec(event(), 1..80),
        delay in prop_oneof![Just(0u64), Just(50u64)],
    ) {
        let mut world = World::new(Duration::from_millis(delay));
        for event in &events {
            world.act(event);
            world.check();
        }
        world.quiet();
        world.check_quiet();
    }
}
