//! What ShareGroupDescribe and ListGroups tell of a group.

use super::assignor;
use super::group::ShareGroup;
use crate::group::MemberId;
use crate::group::consumer::PartitionSet;
use crate::types::{TopicId, TopicName};
use std::fmt;

/// Where a group is, in Kafka's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShareGroupState {
    /// Nobody is in it.
    Empty,
    /// Somebody is: targets are made at once, and nobody waits for others.
    Stable,
}

impl ShareGroupState {
    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            ShareGroupState::Empty => "Empty",
            ShareGroupState::Stable => "Stable",
        }
    }
}

impl fmt::Display for ShareGroupState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A group as tools see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShareGroupView {
    /// Where it is.
    pub state: ShareGroupState,
    /// Grows by every change.
    pub group_epoch: i32,
    /// The group epoch that the targets were made for.
    pub assignment_epoch: i32,
    /// The assignor's name.
    pub assignor: &'static str,
    /// Everybody, by member id.
    pub members: Vec<ShareMemberView>,
}

/// A member as tools see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShareMemberView {
    /// Its id.
    pub member_id: MemberId,
    /// Where it runs.
    pub rack_id: Option<String>,
    /// Its epoch.
    pub member_epoch: i32,
    /// The name the client gave itself.
    pub client_id: String,
    /// Where it connects from.
    pub client_host: String,
    /// The names it subscribes to.
    pub subscribed_topic_names: Vec<TopicName>,
    /// What it was told to fetch.
    pub assignment: PartitionSet,
}

impl ShareGroup {
    /// Where the group is.
    #[must_use]
    pub fn state(&self) -> ShareGroupState {
        if self.members.is_empty() { ShareGroupState::Empty } else { ShareGroupState::Stable }
    }

    /// The group and its members.
    #[must_use]
    pub fn describe(&self) -> ShareGroupView {
        let members = self.members.iter().map(|(member_id, member)| ShareMemberView {
            member_id: member_id.clone(),
            rack_id: member.profile.rack_id.clone(),
            member_epoch: member.member_epoch,
            client_id: member.profile.client_id.clone(),
            client_host: member.profile.client_host.clone(),
            subscribed_topic_names: member.profile.names.iter().cloned().collect(),
            assignment: member.assigned.clone(),
        });
        ShareGroupView {
            state: self.state(),
            group_epoch: self.group_epoch,
            assignment_epoch: self.group_epoch,
            assignor: assignor::NAME,
            members: members.collect(),
        }
    }

    /// The name of a topic that the group subscribes to.
    #[must_use]
    pub fn topic_name(&self, topic_id: TopicId) -> Option<&TopicName> {
        self.topics.iter().find(|(_, topic)| topic.topic_id == topic_id).map(|(name, _)| name)
    }
}
