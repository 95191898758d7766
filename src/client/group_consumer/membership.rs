//! The task that is a member of a classic group: joins, syncs, beats, joins again, leaves.
//!
//! ```text
//! join ── sync ── Joined ── heartbeats ──┬─ the group rebalances: Rebalancing, wait for the release, join
//!                                        └─ the group forgot us:  Lost, join
//! ```
//!
//! It has connections of its own: a JoinGroup waits for the others, and what follows it on a connection would wait
//! as well.

use super::range::{self, Subscriber};
use super::{GroupConsumerConfig, MemberIdentity};
use crate::client::admin::text;
use crate::client::coordinator::{Coordinator, RETRY_PAUSE, patiently};
use crate::client::embedded::{
    AssignedPartitions, decode_assignment, decode_subscription, encode_assignment, encode_subscription,
};
use crate::client::{ClientError, Cluster};
use crate::wire::messages::join_group_request::JoinGroupRequestProtocol;
use crate::wire::messages::leave_group_request::MemberIdentity as Leaver;
use crate::wire::messages::sync_group_request::SyncGroupRequestAssignment;
use crate::wire::messages::{
    GroupId, HeartbeatRequest, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest, SyncGroupRequest,
};
use crate::wire::{ErrorCode, StrBytes};
use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// What the reader is told.
#[derive(Debug)]
pub(super) enum MemberEvent {
    /// These partitions are ours.
    Joined { member: MemberIdentity, assigned: AssignedPartitions },
    /// They are ours until they are released.
    Rebalancing,
    /// They are not ours any more.
    Lost,
    /// There is no way on.
    Failed(ClientError),
}

pub(super) struct Membership {
    pub(super) coordinator: Coordinator,
    pub(super) config: GroupConsumerConfig,
    pub(super) events: mpsc::Sender<MemberEvent>,
    /// The generation whose partitions the reader has given up.
    pub(super) released: watch::Receiver<Option<i32>>,
    pub(super) member_id: StrBytes,
    /// The sizes of the topics that this member, as the group's leader, has assigned.
    pub(super) assigned_sizes: Option<BTreeMap<String, usize>>,
    pub(super) is_joining: bool,
}

/// What a heartbeat says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Beat {
    Alive,
    Rebalancing,
    Lost,
}

const PROTOCOL_TYPE: &str = "consumer";
const ASSIGNOR: &str = "range";
/// How often the leader looks whether its topics have grown.
const SIZES_INTERVAL: Duration = Duration::from_secs(10);
/// A JoinGroup is answered when the rebalance is over, which may take a little longer than agreed.
const JOIN_GRACE: Duration = Duration::from_secs(5);
/// How long a consumer that is being closed tries to tell.
const LEAVE_MAX: Duration = Duration::from_secs(5);

impl Membership {
    /// Stays in the group until it is to leave.
    pub(super) async fn run(mut self, leaving: CancellationToken) -> Result<(), ClientError> {
        tokio::select! {
            biased;
            () = leaving.cancelled() => {}
            ended = self.stay() => {
                let Err(error) = ended;
                let _nobody_reads = self.events.send(MemberEvent::Failed(error)).await;
            }
        }
        self.leave().await
    }

    async fn stay(&mut self) -> Result<Infallible, ClientError> {
        loop {
            let (member, assigned) = self.join().await?;
            let generation_id = member.generation_id;
            self.tell(MemberEvent::Joined { member, assigned }).await;
            let mut beat = self.until_not_alive(generation_id).await?;
            if beat == Beat::Rebalancing {
                self.tell(MemberEvent::Rebalancing).await;
                beat = self.until_released(generation_id).await?;
            }
            if beat == Beat::Lost {
                self.tell(MemberEvent::Lost).await;
            }
        }
    }

    /// Waits when the reader does not listen; it is gone when this task is about to end.
    async fn tell(&self, event: MemberEvent) {
        let _nobody_reads = self.events.send(event).await;
    }

    async fn join(&mut self) -> Result<(MemberIdentity, AssignedPartitions), ClientError> {
        loop {
            self.is_joining = true;
            let request = self.join_request();
            let wait = self.config.rebalance_timeout + JOIN_GRACE;
            let answer = self.coordinator.call(&request, wait, |answer| answer.error_code).await?;
            match ErrorCode::try_from_code(answer.error_code) {
                None => {}
                Some(ErrorCode::MemberIdRequired) => {
                    self.member_id = answer.member_id;
                    continue;
                }
                Some(code) => {
                    self.join_anew(code)?;
                    tokio::time::sleep(RETRY_PAUSE).await;
                    continue;
                }
            }
            self.member_id = answer.member_id.clone();
            let generation_id = answer.generation_id;
            let assignments = self.assign(&answer).await?;
            let request = self.sync_request(generation_id, assignments);
            let wait = self.config.rebalance_timeout + JOIN_GRACE;
            let answer = self.coordinator.call(&request, wait, |answer| answer.error_code).await?;
            if let Some(code) = ErrorCode::try_from_code(answer.error_code) {
                self.join_anew(code)?;
                continue;
            }
            self.is_joining = false;
            let assigned = decode_assignment(&answer.assignment).ok_or_else(|| ClientError::Unreadable {
                endpoint: format!("the leader of group {:?}", self.config.group_id),
                reason: "the assignment is none".to_owned(),
            })?;
            let member = MemberIdentity { member_id: self.member_id.clone(), generation_id };
            return Ok((member, assigned));
        }
    }

    /// An error, unless it passes when we join anew.
    fn join_anew(&mut self, code: ErrorCode) -> Result<(), ClientError> {
        match code {
            ErrorCode::UnknownMemberId => self.member_id = StrBytes::default(),
            ErrorCode::RebalanceInProgress | ErrorCode::IllegalGeneration => {}
            code => return Err(self.refused(code)),
        }
        Ok(())
    }

    /// The assignments of all members if this one leads the group.
    async fn assign(
        &mut self,
        answer: &JoinGroupResponse,
    ) -> Result<Vec<SyncGroupRequestAssignment>, ClientError> {
        self.assigned_sizes = None;
        if answer.leader != self.member_id || answer.skip_assignment {
            return Ok(Vec::new());
        }
        let subscribers: Vec<_> = answer
            .members
            .iter()
            .map(|member| Subscriber {
                member_id: member.member_id.to_string(),
                group_instance_id: member.group_instance_id.as_ref().map(ToString::to_string),
                // A member whose subscription cannot be read takes part, and gets nothing.
                topics: decode_subscription(&member.metadata).unwrap_or_default(),
            })
            .collect();
        let topics: BTreeSet<_> = subscribers.iter().flat_map(|one| one.topics.iter().cloned()).collect();
        let sizes = patiently(|| sizes(self.coordinator.cluster(), &topics)).await?;
        let assigned = range::assign(subscribers, &sizes);
        // Topics that are not there yet are looked for, too.
        let wanted = topics.into_iter().map(|topic| (sizes.get(&topic).copied().unwrap_or(0), topic));
        self.assigned_sizes = Some(wanted.map(|(size, topic)| (topic, size)).collect());
        let of_member = |(member_id, partitions): (String, AssignedPartitions)| {
            SyncGroupRequestAssignment::default()
                .with_member_id(text(&member_id))
                .with_assignment(encode_assignment(&partitions))
        };
        Ok(assigned.into_iter().map(of_member).collect())
    }

    async fn until_not_alive(&self, generation_id: i32) -> Result<Beat, ClientError> {
        let mut look_at_sizes = Instant::now() + SIZES_INTERVAL;
        loop {
            tokio::time::sleep(self.config.heartbeat_interval).await;
            let beat = self.beat(generation_id).await?;
            if beat != Beat::Alive {
                return Ok(beat);
            }
            if Instant::now() >= look_at_sizes {
                look_at_sizes = Instant::now() + SIZES_INTERVAL;
                if self.has_grown().await {
                    return Ok(Beat::Rebalancing);
                }
            }
        }
    }

    /// Whether the topics have other sizes than those that were assigned. Who does not lead does not look.
    async fn has_grown(&self) -> bool {
        let Some(assigned) = &self.assigned_sizes else { return false };
        let topics = assigned.keys().cloned().collect();
        // What cannot be seen now is looked at again.
        let Ok(now) = sizes(self.coordinator.cluster(), &topics).await else { return false };
        assigned.iter().any(|(topic, size)| now.get(topic).copied().unwrap_or(0) != *size)
    }

    /// Beats until the reader has given up its partitions, or the group gave up waiting for that.
    async fn until_released(&mut self, generation_id: i32) -> Result<Beat, ClientError> {
        loop {
            let mut released = self.released.clone();
            tokio::select! {
                biased;
                _ = released.wait_for(|released| *released == Some(generation_id)) => {
                    return Ok(Beat::Rebalancing);
                }
                () = tokio::time::sleep(self.config.heartbeat_interval) => {}
            }
            if self.beat(generation_id).await? == Beat::Lost {
                return Ok(Beat::Lost);
            }
        }
    }

    async fn beat(&self, generation_id: i32) -> Result<Beat, ClientError> {
        let request = HeartbeatRequest::default()
            .with_group_id(self.group())
            .with_generation_id(generation_id)
            .with_member_id(self.member_id.clone())
            .with_group_instance_id(self.instance());
        let answer = self.coordinator.call(&request, Duration::ZERO, |answer| answer.error_code).await?;
        match ErrorCode::try_from_code(answer.error_code) {
            None => Ok(Beat::Alive),
            Some(ErrorCode::RebalanceInProgress) => Ok(Beat::Rebalancing),
            // The next JoinGroup finds out whether the id is still good.
            Some(ErrorCode::UnknownMemberId | ErrorCode::IllegalGeneration) => Ok(Beat::Lost),
            Some(code) => Err(self.refused(code)),
        }
    }

    /// A static member stays, so that it finds its partitions again.
    async fn leave(&self) -> Result<(), ClientError> {
        if self.member_id.is_empty() || self.config.group_instance_id.is_some() {
            return Ok(());
        }
        let leaver = Leaver::default()
            .with_member_id(self.member_id.clone())
            .with_reason(Some(text("the consumer is being closed")));
        let request = LeaveGroupRequest::default().with_group_id(self.group()).with_members(vec![leaver]);
        let old = &self.coordinator;
        let leaving = async {
            if !self.is_joining {
                return old.call(&request, Duration::ZERO, |answer| answer.error_code).await;
            }
            // Behind the JoinGroup that is under way it would have to wait for the others.
            let cluster = Cluster::connect(old.cluster().config().clone()).await?;
            let anew = Coordinator::new(&cluster, old.key());
            anew.call(&request, Duration::ZERO, |answer| answer.error_code).await
        };
        // A coordinator that is away finds out by itself, when the session ends.
        if let Ok(left) = tokio::time::timeout(LEAVE_MAX, leaving).await {
            left?;
        }
        // Whatever it says: we are not in the group any more.
        Ok(())
    }

    fn join_request(&self) -> JoinGroupRequest {
        let range = JoinGroupRequestProtocol::default()
            .with_name(StrBytes::from_static_str(ASSIGNOR))
            .with_metadata(encode_subscription(&self.config.topics));
        JoinGroupRequest::default()
            .with_group_id(self.group())
            .with_session_timeout_ms(millis(self.config.session_timeout))
            .with_rebalance_timeout_ms(millis(self.config.rebalance_timeout))
            .with_member_id(self.member_id.clone())
            .with_group_instance_id(self.instance())
            .with_protocol_type(StrBytes::from_static_str(PROTOCOL_TYPE))
            .with_protocols(vec![range])
    }

    fn sync_request(
        &self,
        generation_id: i32,
        assignments: Vec<SyncGroupRequestAssignment>,
    ) -> SyncGroupRequest {
        SyncGroupRequest::default()
            .with_group_id(self.group())
            .with_generation_id(generation_id)
            .with_member_id(self.member_id.clone())
            .with_group_instance_id(self.instance())
            .with_protocol_type(Some(StrBytes::from_static_str(PROTOCOL_TYPE)))
            .with_protocol_name(Some(StrBytes::from_static_str(ASSIGNOR)))
            .with_assignments(assignments)
    }

    fn group(&self) -> GroupId {
        GroupId(text(&self.config.group_id))
    }

    fn instance(&self) -> Option<StrBytes> {
        self.config.group_instance_id.as_deref().map(text)
    }

    fn refused(&self, code: ErrorCode) -> ClientError {
        let what = format!("member of group {:?}", self.config.group_id);
        ClientError::Refused { what, code, message: String::new() }
    }
}

/// How many partitions the topics have that exist.
async fn sizes(cluster: &Cluster, topics: &BTreeSet<String>) -> Result<BTreeMap<String, usize>, ClientError> {
    let mut sizes = BTreeMap::new();
    for topic in topics {
        match cluster.topic(topic).await {
            Ok(info) => drop(sizes.insert(topic.clone(), info.partitions.len())),
            Err(ClientError::UnknownTopic { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(sizes)
}

fn millis(time: Duration) -> i32 {
    i32::try_from(time.as_millis()).unwrap_or(i32::MAX)
}
