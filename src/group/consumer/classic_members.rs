//! Members of the classic protocol in a group of the consumer protocol, while a group moves from one to the other.
//!
//! A classic group all of whose members are consumers is taken over as it is when the first member of the new protocol
//! comes (`upgrade`), and given back when the last one has left (`downgrade`). In between the broker assigns for all:
//! JoinGroup is a heartbeat that says everything, its generation is the member epoch; SyncGroup fetches the assignment;
//! Heartbeat says when to join again; and nobody waits for anybody, so all are answered at once.

use super::embedded::{
    ClassicProtocol, EmbeddedSubscription, NamedPartitions, decode_assignment, decode_subscription,
    encode_assignment,
};
use super::group::{ConsumerGroup, ConsumerGroupConfig};
use super::heartbeat::Admission;
use super::member::{ClassicProfile, Member, Profile};
use super::partitions::PartitionSet;
use super::reconcile::{HeldPartitions, Holding, MemberState};
use super::request::JOIN_EPOCH;
use super::subscription::{Subscription, TopicsImage};
use crate::group::{GroupError, GroupInstanceId, MemberId};
use crate::types::{Moment, PartitionIndex, TopicName, TopicPartition};
use bytes::Bytes;
use std::time::Duration;

/// Who joins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JoinAs {
    /// It came without a member id; this is the one made for it.
    New(MemberId),
    /// It came with this member id.
    Known(MemberId),
}

/// A JoinGroup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassicJoin {
    /// Who joins.
    pub join_as: JoinAs,
    /// Its name over restarts.
    pub instance_id: Option<GroupInstanceId>,
    /// The name the client gave itself.
    pub client_id: String,
    /// Where it connects from.
    pub client_host: String,
    /// How long it may be silent.
    pub session_timeout: Duration,
    /// How long it may take to join again.
    pub rebalance_timeout: Duration,
    /// Must be `consumer` here.
    pub protocol_type: String,
    /// Its assignors and subscription, best first.
    pub protocols: Vec<ClassicProtocol>,
}

/// What a JoinGroup is told. It is never the group's leader: the broker assigns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassicJoinAnswer {
    /// Its id.
    pub member_id: MemberId,
    /// Its member epoch.
    pub generation_id: i32,
    /// The first of its own protocols.
    pub protocol_name: String,
}

/// Who sends a SyncGroup, Heartbeat or LeaveGroup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassicRequest {
    /// Its id; empty for a static member that is removed by its instance id.
    pub member_id: MemberId,
    /// Its name over restarts.
    pub instance_id: Option<GroupInstanceId>,
    /// Its member epoch, as the join told it; LeaveGroup has none.
    pub generation_id: i32,
}

/// A classic group, as it goes over from one protocol to the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassicSnapshot {
    /// Its generation.
    pub generation_id: i32,
    /// The last generation or epoch that anyone may have heard of.
    pub generation_heard: i32,
    /// Its protocol type: only `consumer` goes over.
    pub protocol_type: String,
    /// Its members.
    pub members: Vec<ClassicSnapshotMember>,
}

/// A member of a classic group that goes over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassicSnapshotMember {
    /// Its id.
    pub member_id: MemberId,
    /// Its name over restarts.
    pub instance_id: Option<GroupInstanceId>,
    /// The name the client gave itself.
    pub client_id: String,
    /// Where it connects from.
    pub client_host: String,
    /// How long it may be silent.
    pub session_timeout: Duration,
    /// How long it may take to join again.
    pub rebalance_timeout: Duration,
    /// Its assignors and subscription, best first.
    pub protocols: Vec<ClassicProtocol>,
    /// Its encoded assignment.
    pub assignment: Bytes,
}

impl ConsumerGroup {
    /// A classic group taken over: epochs go on from its generation, and everybody keeps what it has. The group is
    /// refused if its members are no consumers.
    pub fn upgrade(
        snapshot: &ClassicSnapshot,
        config: ConsumerGroupConfig,
        now: Moment,
        topics: &TopicsImage,
    ) -> Result<ConsumerGroup, GroupError> {
        if snapshot.protocol_type != CONSUMER && !snapshot.members.is_empty() {
            return Err(GroupError::InconsistentGroupProtocol);
        }
        let mut group = ConsumerGroup::new(config);
        group.group_epoch = group.group_epoch.max(snapshot.generation_id);
        group.assignment_epoch = group.group_epoch;
        for classic in &snapshot.members {
            let subscription = classic.protocols.first().and_then(|best| decode_subscription(&best.metadata));
            let subscription = subscription.ok_or(GroupError::InconsistentGroupProtocol)?;
            let assignment =
                decode_assignment(&classic.assignment).ok_or(GroupError::InconsistentGroupProtocol)?;
            let mut assigned = resolve_names(&assignment, topics);
            // Assignors of clients may give a partition twice; here it is the first one's.
            assigned.retain(|which| !group.owners.contains_key(which));
            let mut member = Member::new(profile_of(classic, &subscription), now + classic.session_timeout);
            let held: HeldPartitions = assigned.iter().map(|which| (*which, group.group_epoch)).collect();
            member.holding = Holding {
                member_epoch: group.group_epoch,
                previous_member_epoch: group.group_epoch,
                assigned: held,
                ..Holding::default()
            };
            member.target = assigned;
            group.insert(&classic.member_id, member);
        }
        group.resolve(topics);
        if snapshot.generation_heard > group.group_epoch {
            group.group_epoch = snapshot.generation_heard;
            group.bump(now);
        }
        let bytes = |(id, member): (&MemberId, &Member)| {
            id.as_str().len() + member.profile.stored_bytes() + member.profile.subscription.text_bytes()
        };
        if group.members.iter().map(bytes).sum::<usize>() > group.config.members_bytes_max {
            return Err(GroupError::GroupMaxSizeReached);
        }
        Ok(group)
    }

    /// The group as a classic one, if only classic members are left. The owner lets them join again in it.
    #[must_use]
    pub fn downgrade(&self) -> Option<ClassicSnapshot> {
        let members: Option<Vec<_>> =
            self.members.iter().map(|(id, member)| self.give_back(id, member)).collect();
        let members = members.filter(|members| !members.is_empty())?;
        // The epoch they are at: who hears that it is to join again keeps what it owns, who is called outdated does not.
        let member_epochs = self.members.values().map(|member| member.holding.member_epoch);
        Some(ClassicSnapshot {
            generation_id: member_epochs.max().unwrap_or(self.group_epoch),
            generation_heard: self.group_epoch,
            protocol_type: CONSUMER.to_owned(),
            members,
        })
    }

    /// A classic member joins, or joins again.
    pub fn join_classic(
        &mut self,
        now: Moment,
        join: &ClassicJoin,
        topics: &TopicsImage,
    ) -> Result<ClassicJoinAnswer, GroupError> {
        let subscription = self.check_protocols(join)?;
        let admission = self.admit_classic(join)?;
        let member_id = join.member_id();
        let profile = join.profile(&subscription);
        self.check_profile(&admission, member_id, &profile, topics)?;

        let is_new = !matches!(admission, Admission::Known);
        if self.place(now, admission, member_id, profile) {
            self.resolve(topics);
            self.bump(now);
        }
        // A member that joins waits for its answer: targets that are due soon are made now.
        self.assignment_due = self.assignment_due.map(|due| due.min(now));
        self.assign_if_due(now);
        let owned = resolve_names(&subscription.owned, topics);
        let shown_epoch = if is_new { JOIN_EPOCH } else { self.members[member_id].holding.member_epoch };
        self.reconcile(now, member_id, Some(&owned), shown_epoch);
        let member = self.members.get_mut(member_id).expect("it was put at its place");
        member.rejoin_deadline = Some(now + join.rebalance_timeout);
        Ok(ClassicJoinAnswer {
            member_id: member_id.clone(),
            generation_id: member.holding.member_epoch,
            protocol_name: join.protocols[0].name.clone(),
        })
    }

    /// A classic member asks for its assignment.
    pub fn sync_classic(
        &mut self,
        now: Moment,
        request: &ClassicRequest,
        protocol_type: Option<&str>,
        protocol_name: Option<&str>,
    ) -> Result<Bytes, GroupError> {
        let group_epoch = self.group_epoch;
        let (member, classic) = self.classic_member(request)?;
        let best = classic.protocols.first().ok_or(GroupError::InconsistentGroupProtocol)?;
        if protocol_type.is_some_and(|text| text != CONSUMER)
            || protocol_name.is_some_and(|name| name != best.name)
        {
            return Err(GroupError::InconsistentGroupProtocol);
        }
        if group_epoch > member.holding.member_epoch
            && member.holding.state != MemberState::UnrevokedPartitions
        {
            return Err(GroupError::RebalanceInProgress);
        }
        let version = decode_subscription(&best.metadata).map_or(0, |subscription| subscription.version);
        let assignment = encode_assignment(version, &self.named(member.holding.assigned.keys()));
        self.touch(now, request, None);
        Ok(assignment)
    }

    /// A classic member lives. `RebalanceInProgress` tells it to join again: it is behind, or has to give something up,
    /// or what it waited for is free. That answer counts as a heartbeat, too.
    pub fn heartbeat_classic(&mut self, now: Moment, request: &ClassicRequest) -> Result<(), GroupError> {
        let (member, _) = self.classic_member(request)?;
        let holding = &member.holding;
        let waits = || {
            let missing = member.target.iter().filter(|which| !holding.assigned.contains_key(which));
            missing.into_iter().any(|which| self.owners.contains_key(which))
        };
        let joins_again = holding.member_epoch < self.group_epoch
            || match holding.state {
                MemberState::Stable => false,
                MemberState::UnrevokedPartitions => true,
                MemberState::UnreleasedPartitions => !waits(),
            };
        let rejoin_deadline = member.rejoin_deadline.unwrap_or(now + member.profile.rebalance_timeout);
        let rejoin_deadline = if joins_again { Some(rejoin_deadline) } else { member.rejoin_deadline };
        self.touch(now, request, rejoin_deadline);
        if joins_again { Err(GroupError::RebalanceInProgress) } else { Ok(()) }
    }

    /// Classic members leave; an answer for each.
    pub fn leave_classic(&mut self, now: Moment, requests: &[ClassicRequest]) -> Vec<Result<(), GroupError>> {
        let mut gone: Vec<MemberId> = Vec::new();
        let answers = requests.iter().map(|request| {
            let member_id = self.leaver(request)?;
            if gone.contains(&member_id) {
                return Err(GroupError::UnknownMemberId);
            }
            gone.push(member_id);
            Ok(())
        });
        let answers = answers.collect();
        if !gone.is_empty() {
            self.remove_all(now, &gone);
        }
        answers
    }

    fn leaver(&self, request: &ClassicRequest) -> Result<MemberId, GroupError> {
        let by_instance =
            request.instance_id.as_ref().and_then(|instance_id| self.instances.get(instance_id));
        let member_id = match by_instance {
            Some(holder) if request.member_id.is_empty() => holder.clone(),
            _ => request.member_id.clone(),
        };
        self.classic_of(&member_id, request.instance_id.as_ref()).map(|_| member_id)
    }

    /// The member that sent it, if it is a classic one at that generation.
    fn classic_member(&self, request: &ClassicRequest) -> Result<(&Member, &ClassicProfile), GroupError> {
        let (member, classic) = self.classic_of(&request.member_id, request.instance_id.as_ref())?;
        let expected = member.holding.member_epoch;
        if request.generation_id != expected {
            return Err(GroupError::IllegalGeneration);
        }
        Ok((member, classic))
    }

    fn classic_of(
        &self,
        member_id: &MemberId,
        instance_id: Option<&GroupInstanceId>,
    ) -> Result<(&Member, &ClassicProfile), GroupError> {
        if let Some(instance_id) = instance_id {
            match self.instances.get(instance_id) {
                None => return Err(GroupError::UnknownMemberId),
                Some(holder) if holder != member_id => {
                    return Err(GroupError::FencedInstanceId);
                }
                Some(_) => {}
            }
        }
        let member = self.members.get(member_id).ok_or(GroupError::UnknownMemberId)?;
        let classic = member.profile.classic.as_ref().ok_or(GroupError::UnknownMemberId)?;
        Ok((member, classic))
    }

    /// The member was heard of.
    fn touch(&mut self, now: Moment, request: &ClassicRequest, rejoin_deadline: Option<Moment>) {
        if let Some(member) = self.members.get_mut(&request.member_id) {
            member.session_deadline = now + member.profile.session_timeout(&self.config);
            member.rejoin_deadline = rejoin_deadline;
        }
    }

    /// Whether it is a consumer and has a protocol that every classic member here has.
    fn check_protocols(&self, join: &ClassicJoin) -> Result<EmbeddedSubscription, GroupError> {
        let inconsistent = GroupError::InconsistentGroupProtocol;
        let others = self.members.iter().filter(|(id, _)| *id != join.member_id());
        let mut others = others.filter_map(|(_, member)| member.profile.classic.as_ref()).peekable();
        let has =
            |classic: &ClassicProfile, name: &str| classic.protocols.iter().any(|known| known.name == name);
        let mut common: Vec<&str> = join.protocols.iter().map(|protocol| protocol.name.as_str()).collect();
        for classic in others.by_ref() {
            common.retain(|name| has(classic, name));
        }
        if join.protocol_type != CONSUMER || common.is_empty() {
            return Err(inconsistent);
        }
        let subscription = join.protocols.first().and_then(|best| decode_subscription(&best.metadata));
        subscription.ok_or(inconsistent)
    }

    fn admit_classic(&self, join: &ClassicJoin) -> Result<Admission, GroupError> {
        let member_id = join.member_id();
        let full = GroupError::GroupMaxSizeReached;
        let room =
            || if self.members.len() < self.config.members_max { Ok(Admission::New) } else { Err(full) };
        let Some(instance_id) = &join.instance_id else {
            return if self.members.contains_key(member_id) { Ok(Admission::Known) } else { room() };
        };
        match (&join.join_as, self.instances.get(instance_id)) {
            (_, Some(holder)) if holder == member_id => Ok(Admission::Known),
            (JoinAs::New(id), _) if self.members.contains_key(id) => {
                Err(GroupError::InvalidRequest("the member id is in use"))
            }
            (JoinAs::New(_), Some(holder)) => Ok(Admission::Replaces(holder.clone())),
            (JoinAs::New(_), None) => room(),
            (JoinAs::Known(_), Some(_)) => Err(GroupError::FencedInstanceId),
            (JoinAs::Known(_), None) => Err(GroupError::UnknownMemberId),
        }
    }

    fn give_back(&self, member_id: &MemberId, member: &Member) -> Option<ClassicSnapshotMember> {
        let classic = member.profile.classic.as_ref()?;
        let best = classic.protocols.first()?;
        let version = decode_subscription(&best.metadata)?.version;
        Some(ClassicSnapshotMember {
            member_id: member_id.clone(),
            instance_id: member.profile.instance_id.clone(),
            client_id: member.profile.client_id.clone(),
            client_host: member.profile.client_host.clone(),
            session_timeout: classic.session_timeout,
            rebalance_timeout: member.profile.rebalance_timeout,
            protocols: classic.protocols.clone(),
            assignment: encode_assignment(version, &self.named(member.holding.assigned.keys())),
        })
    }

    /// Partitions by the names of their topics; of topics that are gone nobody needs to hear.
    fn named<'a>(&self, partitions: impl Iterator<Item = &'a TopicPartition>) -> NamedPartitions {
        let mut named = NamedPartitions::new();
        for which in partitions {
            if let Some(topic) = self.topics.get(&which.topic_id) {
                named.entry(topic.name.to_string()).or_default().insert(which.partition.0);
            }
        }
        named
    }
}

impl ClassicJoin {
    /// Its id, whoever made it.
    #[must_use]
    pub fn member_id(&self) -> &MemberId {
        match &self.join_as {
            JoinAs::New(member_id) | JoinAs::Known(member_id) => member_id,
        }
    }

    fn profile(&self, subscription: &EmbeddedSubscription) -> Profile {
        Profile {
            instance_id: self.instance_id.clone(),
            rack_id: subscription.rack_id.clone(),
            client_id: self.client_id.clone(),
            client_host: self.client_host.clone(),
            rebalance_timeout: self.rebalance_timeout,
            assignor: None,
            subscription: by_name(subscription),
            classic: Some(ClassicProfile {
                session_timeout: self.session_timeout,
                protocols: self.protocols.clone(),
            }),
        }
    }
}

fn profile_of(classic: &ClassicSnapshotMember, subscription: &EmbeddedSubscription) -> Profile {
    let join = ClassicJoin {
        join_as: JoinAs::Known(classic.member_id.clone()),
        instance_id: classic.instance_id.clone(),
        client_id: classic.client_id.clone(),
        client_host: classic.client_host.clone(),
        session_timeout: classic.session_timeout,
        rebalance_timeout: classic.rebalance_timeout,
        protocol_type: CONSUMER.to_owned(),
        protocols: classic.protocols.clone(),
    };
    join.profile(subscription)
}

/// Names that no topic can have are left out: there will never be such a topic.
fn by_name(subscription: &EmbeddedSubscription) -> Subscription {
    let names = subscription.topics.iter().filter_map(|name| TopicName::parse(name).ok()).collect();
    Subscription { names, regex: None }
}

fn resolve_names(partitions: &NamedPartitions, topics: &TopicsImage) -> PartitionSet {
    let of_topic = |(name, numbers): (&String, &std::collections::BTreeSet<i32>)| {
        let topic_id =
            TopicName::parse(name).ok().and_then(|name| topics.get(&name)).map(|topic| topic.topic_id);
        let numbers: Vec<i32> = numbers.iter().copied().collect();
        topic_id.into_iter().flat_map(move |topic_id| {
            let numbers = numbers.clone();
            numbers
                .into_iter()
                .map(move |number| TopicPartition { topic_id, partition: PartitionIndex(number) })
        })
    };
    partitions.iter().flat_map(of_topic).collect()
}

const CONSUMER: &str = "consumer";
