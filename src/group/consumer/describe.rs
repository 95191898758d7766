//! What ConsumerGroupDescribe and ListGroups tell of a group.

use super::group::ConsumerGroup;
use super::partitions::PartitionSet;
use crate::group::{GroupInstanceId, MemberId};
use crate::types::{TopicId, TopicName};
use std::fmt;

/// Where a group is, in Kafka's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConsumerGroupState {
    /// Nobody is in it.
    Empty,
    /// Targets are still to be made.
    Assigning,
    /// Members are on their way to their targets.
    Reconciling,
    /// Every member has what it shall have.
    Stable,
}

impl ConsumerGroupState {
    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            ConsumerGroupState::Empty => "Empty",
            ConsumerGroupState::Assigning => "Assigning",
            ConsumerGroupState::Reconciling => "Reconciling",
            ConsumerGroupState::Stable => "Stable",
        }
    }
}

impl fmt::Display for ConsumerGroupState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A group as tools see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerGroupView {
    /// Where it is.
    pub state: ConsumerGroupState,
    /// Grows by every change.
    pub group_epoch: i32,
    /// The group epoch that the targets were made for.
    pub assignment_epoch: i32,
    /// The assignor's name.
    pub assignor: &'static str,
    /// Everybody, by member id.
    pub members: Vec<MemberView>,
}

/// Which protocol a member speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemberProtocol {
    /// JoinGroup and SyncGroup: its group is on the way from one protocol to the other.
    Classic,
    /// ConsumerGroupHeartbeat.
    Consumer,
}

/// A member as tools see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberView {
    /// Its id.
    pub member_id: MemberId,
    /// Its name over restarts.
    pub instance_id: Option<GroupInstanceId>,
    /// Where it runs.
    pub rack_id: Option<String>,
    /// Its protocol.
    pub protocol: MemberProtocol,
    /// Its epoch.
    pub member_epoch: i32,
    /// The name the client gave itself.
    pub client_id: String,
    /// Where it connects from.
    pub client_host: String,
    /// The names it subscribes to.
    pub subscribed_topic_names: Vec<TopicName>,
    /// The expression it subscribes to.
    pub subscribed_topic_regex: Option<String>,
    /// What it was told to own.
    pub assignment: PartitionSet,
    /// What it shall own.
    pub target: PartitionSet,
}

impl ConsumerGroup {
    /// Where the group is.
    #[must_use]
    pub fn state(&self) -> ConsumerGroupState {
        let is_there = |holding: &super::reconcile::Holding| holding.is_at(self.assignment_epoch);
        if self.members.is_empty() {
            ConsumerGroupState::Empty
        } else if self.group_epoch > self.assignment_epoch {
            ConsumerGroupState::Assigning
        } else if self.members.values().all(|member| is_there(&member.holding)) {
            ConsumerGroupState::Stable
        } else {
            ConsumerGroupState::Reconciling
        }
    }

    /// The group and its members.
    #[must_use]
    pub fn describe(&self) -> ConsumerGroupView {
        let members = self.members.iter().map(|(member_id, member)| MemberView {
            member_id: member_id.clone(),
            instance_id: member.profile.instance_id.clone(),
            rack_id: member.profile.rack_id.clone(),
            protocol: member
                .profile
                .classic
                .as_ref()
                .map_or(MemberProtocol::Consumer, |_| MemberProtocol::Classic),
            member_epoch: member.holding.member_epoch,
            client_id: member.profile.client_id.clone(),
            client_host: member.profile.client_host.clone(),
            subscribed_topic_names: member.profile.subscription.names.iter().cloned().collect(),
            subscribed_topic_regex: member.profile.subscription.regex.clone(),
            assignment: member.holding.assigned.keys().copied().collect(),
            target: member.target.clone(),
        });
        ConsumerGroupView {
            state: self.state(),
            group_epoch: self.group_epoch,
            assignment_epoch: self.assignment_epoch,
            assignor: self.preferred_assignor().name(),
            members: members.collect(),
        }
    }

    /// The name of a topic that the group subscribes to.
    #[must_use]
    pub fn topic_name(&self, topic_id: TopicId) -> Option<&TopicName> {
        self.topics.get(&topic_id).map(|topic| &topic.name)
    }
}
