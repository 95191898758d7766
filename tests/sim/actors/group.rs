//! Members of groups, by the classic protocol: they share the partitions of a topic, and commit how far they came.

use super::consumer::{Ask, Fetched, fetch, list_offsets};
use super::transaction::Membership;
use crate::client::{Client, Topic, text};
use crate::history::{
    Answer, Call, Isolation, OffsetCommit, OffsetSpec, Outcome, Reading, Role, TopicPartition,
};
use bytes::Bytes;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::{
    HeartbeatRequest, JoinGroupRequest, LeaveGroupRequest, OffsetCommitRequest, OffsetFetchRequest,
    SyncGroupRequest, TopicName,
};
use kafka_protocol::protocol::StrBytes;
use std::collections::BTreeMap;

const COORDINATOR_OF_GROUPS: i8 = 0;
const MEMBER_ID_REQUIRED: i16 = 79;
const UNKNOWN_MEMBER_ID: i16 = 25;
const ILLEGAL_GENERATION: i16 = 22;
const REBALANCE_IN_PROGRESS: i16 = 27;
const FENCED_INSTANCE_ID: i16 = 82;
const OFFSET_COMMIT: i16 = 8;
/// The last OffsetFetch that is the same for members and for others.
pub const OFFSET_FETCH: i16 = 8;
/// Session and rebalance timeout.
const TIMEOUT_MS: i32 = 10_000;

pub struct Member {
    pub client: Client,
    group: String,
    pub topic: Topic,
    id: String,
    /// By which it is known again when it comes back (KIP-345).
    instance: Option<String>,
    generation: i32,
    /// How far it came in what it has.
    pub positions: BTreeMap<TopicPartition, i64>,
    assignment: u64,
}

/// The topic is not there any more.
pub struct Gone;

/// A member of a group that reads a topic.
pub async fn run(mut client: Client, group: String, topic: String, role: Role) {
    client.started("member", role);
    let Some(found) = client.await_topic(&topic).await else { return client.stopped() };
    let mut member = Member::new(client, group, found);
    if member.client.dice.permille(300) {
        member.instance = Some(format!("instance-{}", member.client.id));
    }
    while !member.client.shared.is_over() {
        member.run().await;
        let Some(found) = member.client.await_topic(&topic).await else { break };
        member.topic = found;
    }
    member.client.stopped();
}

impl Member {
    pub fn new(client: Client, group: String, topic: Topic) -> Member {
        Member {
            client,
            group,
            topic,
            id: String::new(),
            instance: None,
            generation: -1,
            positions: BTreeMap::new(),
            assignment: 0,
        }
    }

    /// For a while, then it leaves or, as an instance does that comes back, is gone without a word.
    async fn run(&mut self) {
        let mut rounds = self.client.dice.between(20..200);
        while rounds > 0 && !self.client.shared.is_over() {
            if !self.join().await {
                self.client.pause(20..200).await;
                rounds -= 1;
                continue;
            }
            let is_told_calmly = self.client.shared.is_calm();
            while rounds > 0 && !self.client.shared.is_over() {
                rounds -= 1;
                if self.positions.is_empty() && is_told_calmly {
                    self.client.got_on_with(&self.group);
                }
                if !self.read().await || !self.heartbeat().await {
                    break;
                }
            }
        }
        if self.instance.is_some() || self.client.vanishes() {
            self.id.clear();
            self.client.leave_coordinators();
        } else {
            self.leave().await;
        }
    }

    /// Joins and syncs; what it has then, and how far that was read.
    pub async fn join(&mut self) -> bool {
        let call = self.client.begins(Call::Join {
            group: self.group.clone(),
            member: self.id.clone(),
            instance: self.instance.clone(),
        });
        let joined = self.join_and_sync().await;
        let Some(places) = joined else {
            self.client.ends(call, Outcome::Unknown);
            return false;
        };
        let answer = Answer::Assigned {
            member: self.id.clone(),
            epoch: self.generation,
            places: Some(places.clone()),
        };
        self.client.ends(call, Outcome::Ok(answer));
        self.positions = places.into_iter().map(|place| (place, 0)).collect();
        self.rewind().await
    }

    /// Goes on from what the group has committed.
    pub async fn rewind(&mut self) -> bool {
        self.assignment += 1;
        let places: Vec<TopicPartition> = self.positions.keys().copied().collect();
        for place in places {
            let Some(position) = self.committed(place).await else { return false };
            self.positions.insert(place, position);
        }
        true
    }

    async fn join_and_sync(&mut self) -> Option<Vec<TopicPartition>> {
        let protocol = JoinGroupRequestProtocol::default().with_name(text("sim")).with_metadata(Bytes::new());
        let request = JoinGroupRequest::default()
            .with_group_id(text(&self.group).into())
            .with_session_timeout_ms(TIMEOUT_MS)
            .with_rebalance_timeout_ms(TIMEOUT_MS)
            .with_member_id(text(&self.id))
            .with_group_instance_id(self.instance())
            .with_protocol_type(text("consumer"))
            .with_protocols(vec![protocol]);
        let answer = self.ask(7, &request).await?;
        match answer.error_code {
            0 | MEMBER_ID_REQUIRED => self.id = answer.member_id.to_string(),
            UNKNOWN_MEMBER_ID | FENCED_INSTANCE_ID => self.id.clear(),
            _ => self.client.leave_coordinators(),
        }
        if answer.error_code != 0 {
            return None;
        }
        self.generation = answer.generation_id;
        let assignments = answer.members.iter().enumerate().map(|(index, member)| {
            let mine = (0..self.topic.partitions).filter(|partition| {
                usize::try_from(*partition).expect("few") % answer.members.len() == index
            });
            let bytes: Vec<u8> = mine.map(|partition| u8::try_from(partition).expect("few")).collect();
            SyncGroupRequestAssignment::default()
                .with_member_id(member.member_id.clone())
                .with_assignment(bytes.into())
        });
        let request = SyncGroupRequest::default()
            .with_group_id(text(&self.group).into())
            .with_generation_id(self.generation)
            .with_member_id(text(&self.id))
            .with_group_instance_id(self.instance())
            .with_protocol_type(Some(text("consumer")))
            .with_protocol_name(Some(text("sim")))
            .with_assignments(assignments.collect());
        let answer = self.ask(5, &request).await?;
        if answer.error_code != 0 {
            self.on_error(answer.error_code);
            return None;
        }
        let place =
            |partition: &u8| TopicPartition { topic: self.topic.id, partition: i32::from(*partition) };
        Some(answer.assignment.iter().map(place).collect())
    }

    /// The group's offset; where there is none, the log's start.
    async fn committed(&mut self, place: TopicPartition) -> Option<i64> {
        let by = self.membership();
        match fetch_offset(&mut self.client, OFFSET_FETCH, &by, &self.topic, place).await? {
            Some(offset) => Some(offset),
            None => list_offsets(&mut self.client, &self.topic, place, OffsetSpec::Earliest).await,
        }
    }

    pub fn membership(&self) -> Membership {
        Membership { group: self.group.clone(), member: self.id.clone(), generation: self.generation }
    }

    /// Reads on in all that it has, and commits.
    async fn read(&mut self) -> bool {
        let places: Vec<TopicPartition> = self.positions.keys().copied().collect();
        for place in places {
            if self.poll(place).await.is_err() {
                return false;
            }
            if self.client.dice.permille(300) && !self.commit(place).await {
                return false;
            }
        }
        self.client.pause(1..150).await;
        true
    }

    /// Reads on in a partition that it has; none: nothing came.
    pub async fn poll(&mut self, place: TopicPartition) -> Result<Option<Reading>, Gone> {
        let from = self.positions[&place];
        let ask =
            Ask { from, isolation: Isolation::Committed, assignment: Some(self.assignment), wait_ms: 50 };
        match fetch(&mut self.client, &self.topic, place, ask).await {
            Fetched::Read(reading) => {
                self.positions.insert(place, reading.next);
                return Ok(Some(reading));
            }
            Fetched::OutOfRange => {
                let start = list_offsets(&mut self.client, &self.topic, place, OffsetSpec::Earliest).await;
                if let Some(start) = start {
                    self.assignment += 1;
                    self.positions.insert(place, start);
                }
            }
            Fetched::Gone => return Err(Gone),
            Fetched::Failed => {}
        }
        Ok(None)
    }

    async fn commit(&mut self, place: TopicPartition) -> bool {
        let (by, offset) = (self.membership(), self.positions[&place]);
        let refusals = [UNKNOWN_MEMBER_ID, ILLEGAL_GENERATION, REBALANCE_IN_PROGRESS];
        let commit = OffsetOf { topic: &self.topic, place, offset };
        let code = commit_offset(&mut self.client, OFFSET_COMMIT, &by, commit, &refusals).await;
        code.filter(|code| *code != 0).into_iter().for_each(|code| self.on_error(code));
        code == Some(0)
    }

    pub async fn heartbeat(&mut self) -> bool {
        let request = HeartbeatRequest::default()
            .with_group_id(text(&self.group).into())
            .with_generation_id(self.generation)
            .with_member_id(text(&self.id))
            .with_group_instance_id(self.instance());
        match self.ask(4, &request).await {
            Some(answer) if answer.error_code == 0 => true,
            Some(answer) => {
                self.on_error(answer.error_code);
                false
            }
            None => false,
        }
    }

    pub async fn leave(&mut self) {
        if self.id.is_empty() {
            return;
        }
        let call = self.client.begins(Call::Leave { group: self.group.clone(), member: self.id.clone() });
        let request = LeaveGroupRequest::default()
            .with_group_id(text(&self.group).into())
            .with_member_id(text(&self.id));
        let done = self.ask(2, &request).await.is_some_and(|answer| answer.error_code == 0);
        self.client.ends(call, if done { Outcome::Ok(Answer::Done) } else { Outcome::Unknown });
        self.id.clear();
    }

    fn instance(&self) -> Option<StrBytes> {
        self.instance.as_deref().map(text)
    }

    fn on_error(&mut self, code: i16) {
        match code {
            UNKNOWN_MEMBER_ID | FENCED_INSTANCE_ID => self.id.clear(),
            ILLEGAL_GENERATION | REBALANCE_IN_PROGRESS => {}
            _ => self.client.leave_coordinators(),
        }
    }

    async fn ask<R: kafka_protocol::protocol::Request>(
        &mut self,
        version: i16,
        request: &R,
    ) -> Option<R::Response> {
        self.client.ask_coordinator(COORDINATOR_OF_GROUPS, &self.group, version, request).await.ok()
    }
}

/// What a group has committed in a partition, once that is not pending any more. None: nobody says.
pub async fn fetch_offset(
    client: &mut Client,
    api_version: i16,
    by: &Membership,
    topic: &Topic,
    place: TopicPartition,
) -> Option<Option<i64>> {
    let call = client.begins(Call::OffsetFetch { group: by.group.clone(), place, stable: true });
    let wanted = OffsetFetchRequestTopics::default()
        .with_name(TopicName(text(&topic.name)))
        .with_partition_indexes(vec![place.partition]);
    let mut group = OffsetFetchRequestGroup::default()
        .with_group_id(text(&by.group).into())
        .with_topics(Some(vec![wanted]));
    // Before, nobody says who asks.
    if api_version > OFFSET_FETCH {
        group = group.with_member_id(Some(text(&by.member))).with_member_epoch(by.generation);
    }
    let request = OffsetFetchRequest::default().with_groups(vec![group]).with_require_stable(true);
    let answer = client.ask_coordinator(COORDINATOR_OF_GROUPS, &by.group, api_version, &request).await.ok();
    let part = answer.and_then(|answer| {
        let group = answer.groups.into_iter().next().filter(|group| group.error_code == 0)?;
        group.topics.into_iter().next()?.partitions.into_iter().next()
    });
    let Some(part) = part.filter(|part| part.error_code == 0) else {
        client.ends(call, Outcome::Unknown);
        client.leave_coordinators();
        return None;
    };
    let offset = (part.committed_offset >= 0).then_some(part.committed_offset);
    client.ends(call, Outcome::Ok(Answer::Committed(offset)));
    Some(offset)
}

/// How far a member came in a partition.
pub struct OffsetOf<'a> {
    pub topic: &'a Topic,
    pub place: TopicPartition,
    pub offset: i64,
}

/// Commits it. The code of the answer, which is one of `refusals` where nothing was done and nothing will be; none: no answer.
pub async fn commit_offset(
    client: &mut Client,
    api_version: i16,
    by: &Membership,
    commit: OffsetOf<'_>,
    refusals: &[i16],
) -> Option<i16> {
    let OffsetOf { topic, place, offset } = commit;
    let call = client.begins(Call::Commit(OffsetCommit {
        group: by.group.clone(),
        member: by.member.clone(),
        epoch: by.generation,
        place,
        offset,
        transaction: None,
    }));
    let partition = OffsetCommitRequestPartition::default()
        .with_partition_index(place.partition)
        .with_committed_offset(offset);
    let topic = OffsetCommitRequestTopic::default()
        .with_name(TopicName(text(&topic.name)))
        .with_partitions(vec![partition]);
    let request = OffsetCommitRequest::default()
        .with_group_id(text(&by.group).into())
        .with_generation_id_or_member_epoch(by.generation)
        .with_member_id(text(&by.member))
        .with_topics(vec![topic]);
    let answer = client.ask_coordinator(COORDINATOR_OF_GROUPS, &by.group, api_version, &request).await.ok();
    let code = answer.and_then(|answer| Some(answer.topics.first()?.partitions.first()?.error_code));
    let outcome = match code {
        Some(0) => Outcome::Ok(Answer::Done),
        Some(code) if refusals.contains(&code) => Outcome::Refused(code),
        _ => Outcome::Unknown,
    };
    client.ends(call, outcome);
    if code == Some(0) {
        client.group_got_on(&by.group);
    }
    code
}
