//! Reads topics as a member of a consumer group, by the classic protocol with the range assignor: beside Java's
//! and librdkafka's consumers.
//!
//! One task keeps the membership and beats; this side reads what is assigned, beginning at what the group has
//! committed. Nothing is committed by itself: the caller says what is done ([`GroupConsumer::mark`]) and when to
//! commit. When the group rebalances, [`GroupEvent::Revoking`] is the last chance to commit: the next call of
//! [`GroupConsumer::next`] gives the partitions up.

mod membership;
mod range;

use super::consumer::{Position, find_positions};
use super::coordinator::{Coordinator, patiently};
use super::embedded::AssignedPartitions;
use super::groups::{Pending, commit, committed_offsets, offset_commit};
use super::{Assignment, ClientError, Cluster, Consumer, ConsumerConfig, Fetched, OffsetsByPartition};
use super::{StartAt, StopAt};
use crate::types::{Offset, PartitionIndex};
use crate::wire::{ErrorCode, StrBytes};
use membership::{MemberEvent, Membership};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

/// Which group, and how to be in it.
#[derive(Clone, Debug)]
pub struct GroupConsumerConfig {
    /// The group.
    pub group_id: String,
    /// What to read.
    pub topics: Vec<String>,
    /// A name of one's own makes a static member (KIP-345), which keeps its partitions over a restart.
    pub group_instance_id: Option<String>,
    /// Where partitions begin of which the group has committed nothing that is still in the log.
    pub start: StartAt,
    /// How long the group waits for a sign of life.
    pub session_timeout: Duration,
    /// How often a sign of life is given: a rebalance is noticed within this time.
    pub heartbeat_interval: Duration,
    /// How long the group waits for the members to commit and join again.
    pub rebalance_timeout: Duration,
    /// How to read.
    pub consumer: ConsumerConfig,
}

impl GroupConsumerConfig {
    /// Usual timeouts, from the first record on.
    #[must_use]
    pub fn new(group_id: &str, topics: &[String]) -> GroupConsumerConfig {
        GroupConsumerConfig {
            group_id: group_id.to_owned(),
            topics: topics.to_vec(),
            group_instance_id: None,
            start: StartAt::Earliest,
            session_timeout: Duration::from_secs(45),
            heartbeat_interval: Duration::from_secs(1),
            rebalance_timeout: Duration::from_secs(60),
            consumer: ConsumerConfig::default(),
        }
    }
}

/// What comes next.
#[derive(Debug)]
pub enum GroupEvent {
    /// These partitions are read from now on.
    Assigned(Vec<(String, PartitionIndex)>),
    /// One batch of one partition.
    Records(Fetched),
    /// The group rebalances: what is done is to be committed before the next call, which gives the partitions up.
    Revoking,
    /// The group took the partitions away: what was not committed is read again, here or by another member.
    Lost,
    /// With [`StopAt::End`]: all partitions that were assigned are at their ends.
    End,
}

/// Whether a commit counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OffsetCommitOutcome {
    /// All that was marked is committed.
    Committed,
    /// The group has gone on without us: nothing is committed, and what was marked is forgotten.
    Fenced,
}

/// Who commits.
#[derive(Clone, Debug, PartialEq, Eq)]
struct MemberIdentity {
    member_id: StrBytes,
    generation_id: i32,
}

/// A member of a consumer group.
#[derive(Debug)]
pub struct GroupConsumer {
    cluster: Cluster,
    config: GroupConsumerConfig,
    coordinator: Arc<Coordinator>,
    events: mpsc::Receiver<MemberEvent>,
    released: watch::Sender<Option<i32>>,
    leaving: CancellationToken,
    membership: AbortOnDropHandle<Result<(), ClientError>>,
    member: Option<MemberIdentity>,
    is_revoking: bool,
    starting: Option<Starting>,
    reading: Option<Consumer>,
    marked: OffsetsByPartition,
}

type Starting = AbortOnDropHandle<Result<Consumer, ClientError>>;

/// What the membership may tell ahead of being listened to.
const EVENTS_WAITING_MAX: usize = 4;

impl GroupConsumer {
    /// Begins to join the group. The topics must exist.
    pub async fn join(cluster: &Cluster, config: GroupConsumerConfig) -> Result<GroupConsumer, ClientError> {
        for topic in &config.topics {
            cluster.topic(topic).await?;
        }
        let own = Cluster::connect(cluster.config().clone()).await?;
        let (sender, events) = mpsc::channel(EVENTS_WAITING_MAX);
        let (released, released_by_reader) = watch::channel(None);
        let membership = Membership {
            coordinator: Coordinator::new(&own, &config.group_id),
            config: config.clone(),
            events: sender,
            released: released_by_reader,
            member_id: StrBytes::default(),
            assigned_sizes: None,
            is_joining: false,
        };
        let leaving = CancellationToken::new();
        let membership = AbortOnDropHandle::new(tokio::spawn(membership.run(leaving.clone())));
        Ok(GroupConsumer {
            cluster: cluster.clone(),
            coordinator: Arc::new(Coordinator::new(cluster, &config.group_id)),
            config,
            events,
            released,
            leaving,
            membership,
            member: None,
            is_revoking: false,
            starting: None,
            reading: None,
            marked: OffsetsByPartition::new(),
        })
    }

    /// What comes next. Safe to be cancelled.
    pub async fn next(&mut self) -> Result<GroupEvent, ClientError> {
        if std::mem::take(&mut self.is_revoking) {
            self.give_up();
        }
        loop {
            let event = tokio::select! {
                biased;
                event = self.events.recv() => self.on_event(event.ok_or(ClientError::ConsumerClosed)?)?,
                batch = read(&mut self.starting, &mut self.reading) => self.on_batch(batch?),
            };
            if let Some(event) = event {
                return Ok(event);
            }
        }
    }

    /// Notes that all records of a partition before `next` are done: the next commit says so.
    pub fn mark(&mut self, topic: &str, partition: PartitionIndex, next: Offset) {
        self.marked.insert((topic.to_owned(), partition), next);
    }

    /// Commits what was marked.
    pub async fn commit(&mut self) -> Result<OffsetCommitOutcome, ClientError> {
        if self.marked.is_empty() {
            return Ok(OffsetCommitOutcome::Committed);
        }
        let Some(member) = &self.member else {
            self.marked.clear();
            return Ok(OffsetCommitOutcome::Fenced);
        };
        let request = offset_commit(&self.config.group_id, &self.marked)
            .with_generation_id_or_member_epoch(member.generation_id)
            .with_member_id(member.member_id.clone())
            .with_group_instance_id(self.config.group_instance_id.as_deref().map(super::admin::text));
        match commit(&self.coordinator, &request).await {
            Ok(()) => {
                self.marked.clear();
                Ok(OffsetCommitOutcome::Committed)
            }
            Err(ClientError::Refused { code, .. }) if is_fenced(code) => {
                self.marked.clear();
                Ok(OffsetCommitOutcome::Fenced)
            }
            Err(error) => Err(error),
        }
    }

    /// Leaves the group, so that the others need not wait for the session's end. Commits nothing.
    pub async fn close(mut self) -> Result<(), ClientError> {
        self.stop_reading();
        self.leaving.cancel();
        self.events.close();
        self.membership.await.unwrap_or(Ok(()))
    }

    fn on_event(&mut self, event: MemberEvent) -> Result<Option<GroupEvent>, ClientError> {
        self.stop_reading();
        Ok(Some(match event {
            MemberEvent::Joined { member, assigned } => {
                self.marked.clear();
                self.member = Some(member);
                let listed = assigned
                    .iter()
                    .flat_map(|(topic, of)| of.iter().map(|partition| (topic.clone(), *partition)))
                    .collect();
                let (cluster, coordinator) = (self.cluster.clone(), Arc::clone(&self.coordinator));
                let starting = start(cluster, coordinator, assigned, self.config.clone());
                self.starting = Some(AbortOnDropHandle::new(tokio::spawn(starting)));
                GroupEvent::Assigned(listed)
            }
            MemberEvent::Rebalancing => {
                self.is_revoking = true;
                GroupEvent::Revoking
            }
            MemberEvent::Lost => {
                self.marked.clear();
                self.member = None;
                GroupEvent::Lost
            }
            MemberEvent::Failed(error) => return Err(error),
        }))
    }

    /// Without an end to stop at, a member that has nothing to read waits for its share.
    fn on_batch(&mut self, batch: Option<Fetched>) -> Option<GroupEvent> {
        match batch {
            Some(batch) => Some(GroupEvent::Records(batch)),
            None => {
                self.reading = None;
                (self.config.consumer.stop == StopAt::End).then_some(GroupEvent::End)
            }
        }
    }

    fn give_up(&mut self) {
        self.marked.clear();
        if let Some(member) = self.member.take() {
            self.released.send_replace(Some(member.generation_id));
        }
    }

    fn stop_reading(&mut self) {
        self.starting = None;
        self.reading = None;
    }
}

/// The next batch once reading has started; nothing ever while nothing is assigned.
async fn read(
    starting: &mut Option<Starting>,
    reading: &mut Option<Consumer>,
) -> Result<Option<Fetched>, ClientError> {
    if let Some(task) = starting {
        let started = task.await;
        *starting = None;
        *reading = Some(started.unwrap_or(Err(ClientError::ConsumerClosed))?);
    }
    match reading {
        Some(reading) => reading.next().await,
        None => std::future::pending().await,
    }
}

/// Finds where the group goes on, and begins to read there.
async fn start(
    cluster: Cluster,
    coordinator: Arc<Coordinator>,
    assigned: AssignedPartitions,
    config: GroupConsumerConfig,
) -> Result<Consumer, ClientError> {
    let committed = patiently(|| committed_offsets(&coordinator, Pending::Refused)).await?;
    let mut positions: HashMap<(Arc<str>, PartitionIndex), Position> = HashMap::new();
    for (topic, partitions) in assigned.into_iter().filter(|(_, partitions)| !partitions.is_empty()) {
        let name: Arc<str> = topic.as_str().into();
        let of_topic = committed
            .iter()
            .filter(|((committed, _), _)| *committed == topic)
            .map(|((_, partition), committed)| (*partition, committed.offset))
            .collect();
        let assignment = Assignment { topic, partitions, start: config.start };
        let found = patiently(|| find_positions(&cluster, &assignment, config.consumer, &of_topic)).await?;
        positions.extend(
            found.into_iter().map(|(partition, position)| ((Arc::clone(&name), partition), position)),
        );
    }
    Ok(Consumer::start_at(&cluster, positions, config.consumer))
}

fn is_fenced(code: ErrorCode) -> bool {
    matches!(code, ErrorCode::UnknownMemberId | ErrorCode::IllegalGeneration | ErrorCode::RebalanceInProgress)
}
