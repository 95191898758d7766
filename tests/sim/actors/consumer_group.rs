//! Members of groups by the consumer protocol (KIP-848): the coordinator says what each shall have, and a member comes there
//! step by step. What it is to give back it commits, lets go of and says so; what it is given it owns from the answer on.
//! A member that is not known any more drops everything and begins anew.

use super::consumer::{Ask, Fetched, fetch, list_offsets};
use super::group::{OffsetOf, commit_offset, fetch_offset};
use super::transaction::Membership;
use crate::client::{Client, Topic, text};
use crate::history::{Answer, Call, Isolation, OffsetSpec, Outcome, Role, TopicId, TopicPartition};
use crate::machine::now;
use kafka_protocol::messages::consumer_group_heartbeat_request::TopicPartitions;
use kafka_protocol::messages::{ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse, TopicName};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

const COORDINATOR_OF_GROUPS: i8 = 0;
const HEARTBEAT: i16 = 1;
const OFFSET_COMMIT: i16 = 9;
const OFFSET_FETCH: i16 = 9;
const REBALANCE_TIMEOUT_MS: i32 = 10_000;
/// The epoch by which a member joins.
const JOIN: i32 = 0;
/// The epoch by which a member leaves.
const LEAVE: i32 = -1;
/// Attempts to say that it leaves.
const LEAVE_ATTEMPTS_MAX: u32 = 10;

/// Codes by which a member is told that it is none.
const UNKNOWN_MEMBER_ID: i16 = 25;
const FENCED_MEMBER_EPOCH: i16 = 110;
/// Its epoch is not the newest: the next heartbeat tells.
const STALE_MEMBER_EPOCH: i16 = 113;

struct Member {
    client: Client,
    group: String,
    topic: Topic,
    id: String,
    epoch: i32,
    /// What it has, and how far it came there once that is known.
    owned: BTreeMap<TopicPartition, Option<i64>>,
    /// What it said last that it has; none where it cannot know whether that was heard.
    said: Option<BTreeSet<TopicPartition>>,
    /// When the next heartbeat is due, in nanoseconds.
    due: u64,
    assignment: u64,
}

/// A member of a group that reads a topic.
pub async fn run(mut client: Client, group: String, topic: String, role: Role) {
    client.started("consumer", role);
    let Some(found) = client.await_topic(&topic).await else { return client.stopped() };
    let mut member = Member {
        client,
        group,
        topic: found,
        id: String::new(),
        epoch: JOIN,
        owned: BTreeMap::new(),
        said: None,
        due: 0,
        assignment: 0,
    };
    while !member.client.shared.is_over() {
        member.run().await;
    }
    member.client.stopped();
}

impl Member {
    /// For a while, then it leaves, or is gone without a word.
    async fn run(&mut self) {
        self.id = format!("{:016x}{:016x}", self.client.dice.next(), self.client.dice.next());
        self.begin_anew();
        for _ in 0..self.client.dice.between(20..300) {
            if self.client.shared.is_over() {
                break;
            }
            if self.is_due() && !self.heartbeat().await {
                self.client.pause(20..200).await;
                continue;
            }
            self.read().await;
            self.client.pause(1..150).await;
        }
        if self.client.vanishes() {
            self.client.leave_coordinators();
        } else {
            self.leave().await;
        }
    }

    fn begin_anew(&mut self) {
        self.epoch = JOIN;
        self.owned.clear();
        self.said = None;
        self.due = now();
    }

    fn is_due(&self) -> bool {
        let is_as_said = self.said.as_ref().is_some_and(|said| self.owned.keys().eq(said));
        self.epoch == JOIN || !is_as_said || now() >= self.due
    }

    /// Says that it is there and what it has, and does what it is told. False: nobody has told anything.
    async fn heartbeat(&mut self) -> bool {
        let owned: BTreeSet<TopicPartition> = self.owned.keys().copied().collect();
        let call = self.client.begins(Call::Heartbeat {
            group: self.group.clone(),
            member: self.id.clone(),
            instance: None,
            owned: owned.iter().copied().collect(),
        });
        // After an answer that did not come everything is said again.
        let says_all = self.said.is_none();
        let mut request = ConsumerGroupHeartbeatRequest::default()
            .with_group_id(text(&self.group).into())
            .with_member_id(text(&self.id))
            .with_member_epoch(self.epoch);
        if says_all {
            request = request
                .with_rebalance_timeout_ms(REBALANCE_TIMEOUT_MS)
                .with_subscribed_topic_names(Some(vec![TopicName(text(&self.topic.name))]));
        }
        if self.said.as_ref() != Some(&owned) {
            request = request.with_topic_partitions(Some(by_topic(&owned)));
        }
        self.said = None;
        let answer =
            self.client.ask_coordinator(COORDINATOR_OF_GROUPS, &self.group, HEARTBEAT, &request).await;
        match answer {
            Ok(answer) if answer.error_code == 0 => {
                let places = answer.assignment.as_ref().map(|_| assigned(&answer));
                let told = Answer::Assigned {
                    member: self.id.clone(),
                    epoch: answer.member_epoch,
                    places: places.clone(),
                };
                self.client.ends(call, Outcome::Ok(told));
                self.said = Some(owned);
                self.epoch = answer.member_epoch;
                let interval = u64::try_from(answer.heartbeat_interval_ms).expect("not negative").max(1);
                self.due = now() + self.client.dice.between(0..interval) * 1_000_000;
                if let Some(places) = places {
                    self.reconcile(places).await;
                }
                if self.owned.is_empty() && self.said.as_ref().is_some_and(BTreeSet::is_empty) {
                    self.client.got_on_with(&self.group);
                }
                true
            }
            Ok(answer) if matches!(answer.error_code, UNKNOWN_MEMBER_ID | FENCED_MEMBER_EPOCH) => {
                self.client.ends(call, Outcome::Refused(answer.error_code));
                self.begin_anew();
                false
            }
            _ => {
                self.client.ends(call, Outcome::Unknown);
                self.client.leave_coordinators();
                false
            }
        }
    }

    /// What it is not to have any more it gives back, when that is committed or cannot be; what is new it takes.
    async fn reconcile(&mut self, wanted: Vec<TopicPartition>) {
        let leaving: Vec<TopicPartition> =
            self.owned.keys().filter(|place| !wanted.contains(place)).copied().collect();
        for place in leaving {
            self.commit(place).await;
            self.owned.remove(&place);
        }
        for place in wanted {
            self.owned.entry(place).or_insert(None);
        }
    }

    /// Reads on in all that it has, and commits.
    async fn read(&mut self) {
        let all: Vec<(TopicPartition, Option<i64>)> =
            self.owned.iter().map(|(place, position)| (*place, *position)).collect();
        for (place, position) in all {
            match position {
                Some(from) => self.poll(place, from).await,
                None => {
                    let position = self.committed(place).await;
                    self.owned.insert(place, position);
                    self.assignment += 1;
                }
            }
            if self.client.dice.permille(300) {
                self.commit(place).await;
            }
        }
    }

    async fn poll(&mut self, place: TopicPartition, from: i64) {
        let assignment = Some(self.assignment);
        let ask = Ask { from, isolation: Isolation::Committed, assignment, wait_ms: 50 };
        match fetch(&mut self.client, &self.topic, place, ask).await {
            Fetched::Read(reading) => {
                self.owned.insert(place, Some(reading.next));
            }
            Fetched::OutOfRange => {
                let start = list_offsets(&mut self.client, &self.topic, place, OffsetSpec::Earliest).await;
                if start.is_some() {
                    self.assignment += 1;
                    self.owned.insert(place, start);
                }
            }
            Fetched::Gone | Fetched::Failed => {}
        }
    }

    /// The group's offset; where there is none, the log's start.
    async fn committed(&mut self, place: TopicPartition) -> Option<i64> {
        let by = self.membership();
        match fetch_offset(&mut self.client, OFFSET_FETCH, &by, &self.topic, place).await {
            Some(Some(offset)) => Some(offset),
            Some(None) => list_offsets(&mut self.client, &self.topic, place, OffsetSpec::Earliest).await,
            None => {
                self.due = now();
                None
            }
        }
    }

    fn membership(&self) -> Membership {
        Membership { group: self.group.clone(), member: self.id.clone(), generation: self.epoch }
    }

    /// How far it came, if that is known.
    async fn commit(&mut self, place: TopicPartition) {
        let Some(offset) = self.owned.get(&place).copied().flatten() else { return };
        let by = self.membership();
        let refusals = [UNKNOWN_MEMBER_ID, FENCED_MEMBER_EPOCH, STALE_MEMBER_EPOCH];
        let commit = OffsetOf { topic: &self.topic, place, offset };
        match commit_offset(&mut self.client, OFFSET_COMMIT, &by, commit, &refusals).await {
            Some(0) => {}
            Some(code) if refusals.contains(&code) => self.due = now(),
            _ => self.client.leave_coordinators(),
        }
    }

    /// Commits what it has, mostly, and goes.
    async fn leave(&mut self) {
        let places: Vec<TopicPartition> = self.owned.keys().copied().collect();
        if self.client.dice.permille(700) {
            for place in places {
                self.commit(place).await;
            }
        }
        self.owned.clear();
        let request = ConsumerGroupHeartbeatRequest::default()
            .with_group_id(text(&self.group).into())
            .with_member_id(text(&self.id))
            .with_member_epoch(LEAVE);
        let call = self.client.begins(Call::Leave { group: self.group.clone(), member: self.id.clone() });
        for _ in 0..LEAVE_ATTEMPTS_MAX {
            let answer =
                self.client.ask_coordinator(COORDINATOR_OF_GROUPS, &self.group, HEARTBEAT, &request).await;
            match answer {
                // Not known: as the attempt before had it.
                Ok(answer) if matches!(answer.error_code, 0 | UNKNOWN_MEMBER_ID) => {
                    return self.client.ends(call, Outcome::Ok(Answer::Done));
                }
                _ => {
                    self.client.leave_coordinators();
                    self.client.pause(20..200).await;
                }
            }
        }
        self.client.ends(call, Outcome::Unknown);
    }
}

fn by_topic(places: &BTreeSet<TopicPartition>) -> Vec<TopicPartitions> {
    let mut topics: BTreeMap<TopicId, Vec<i32>> = BTreeMap::new();
    for place in places {
        topics.entry(place.topic).or_default().push(place.partition);
    }
    let of = |(topic, partitions): (TopicId, Vec<i32>)| {
        TopicPartitions::default().with_topic_id(Uuid::from_u128(topic.0)).with_partitions(partitions)
    };
    topics.into_iter().map(of).collect()
}

fn assigned(answer: &ConsumerGroupHeartbeatResponse) -> Vec<TopicPartition> {
    let topics = answer.assignment.iter().flat_map(|assignment| &assignment.topic_partitions);
    let places = topics.flat_map(|topic| {
        let id = TopicId(topic.topic_id.as_u128());
        topic.partitions.iter().map(move |partition| TopicPartition { topic: id, partition: *partition })
    });
    places.collect()
}
