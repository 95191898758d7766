//! A heartbeat's request and answer, and what makes a request invalid by itself.

use super::assignor::Assignor;
use super::partitions::PartitionSet;
use crate::group::{GroupError, GroupInstanceId, MemberId};
use crate::types::TopicName;
use std::collections::BTreeSet;
use std::time::Duration;

/// The epoch by which a member joins.
pub const JOIN_EPOCH: i32 = 0;
/// The epoch by which a member leaves.
pub const LEAVE_EPOCH: i32 = -1;
/// The epoch by which a static member goes and means to come back.
pub const STATIC_LEAVE_EPOCH: i32 = -2;

/// What a ConsumerGroupHeartbeat says. What is `None` has not changed since the member said it last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeartbeatRequest {
    /// From the client; for version 0, which may join without one, from the broker.
    pub member_id: MemberId,
    /// The epoch it is at, or one of the three that join and leave.
    pub member_epoch: i32,
    /// Its name over restarts.
    pub instance_id: Option<GroupInstanceId>,
    /// Where it runs.
    pub rack_id: Option<String>,
    /// How long it may take to give up partitions.
    pub rebalance_timeout: Option<Duration>,
    /// The topics it wants, by name.
    pub subscribed_topic_names: Option<BTreeSet<TopicName>>,
    /// The topics it wants, by RE2 expression; the empty one means none.
    pub subscribed_topic_regex: Option<String>,
    /// The assignor it would like.
    pub server_assignor: Option<String>,
    /// The partitions it owns.
    pub owned: Option<PartitionSet>,
    /// The name the client gave itself.
    pub client_id: String,
    /// Where it connects from.
    pub client_host: String,
}

/// What a member is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeartbeatAnswer {
    /// Its id.
    pub member_id: MemberId,
    /// Its epoch from now on.
    pub member_epoch: i32,
    /// When the next heartbeat is due.
    pub heartbeat_interval: Duration,
    /// All that it shall own from now on; `None` if that is what it was told before.
    pub assignment: Option<PartitionSet>,
}

impl HeartbeatRequest {
    /// Whether the request makes sense, whatever group it is for.
    pub(super) fn check(&self) -> Result<(), GroupError> {
        let invalid = |reason| Err(GroupError::InvalidRequest(reason));
        if self.member_id.is_empty() {
            return invalid("the member id is empty");
        }
        if self.instance_id.as_ref().is_some_and(GroupInstanceId::is_empty) {
            return invalid("the group instance id is empty");
        }
        if self.rack_id.as_deref() == Some("") {
            return invalid("the rack id is empty");
        }
        if self.texts().any(|text| text.len() > TEXT_BYTES_MAX) {
            return invalid("a text of the request is too long");
        }
        match self.member_epoch {
            JOIN_EPOCH => self.check_join()?,
            STATIC_LEAVE_EPOCH if self.instance_id.is_none() => {
                return invalid("only a member with a group instance id leaves for a while");
            }
            ..STATIC_LEAVE_EPOCH => return invalid("there is no such member epoch"),
            _ => {}
        }
        self.assignor().map(|_| ())
    }

    fn check_join(&self) -> Result<(), GroupError> {
        let invalid = |reason| Err(GroupError::InvalidRequest(reason));
        if self.rebalance_timeout.is_none() {
            return invalid("a member joins with a rebalance timeout");
        }
        if !self.owned.as_ref().is_some_and(PartitionSet::is_empty) {
            return invalid("a member that joins says that it owns no partitions");
        }
        // An empty list is legal: a client may go by a pattern of its own that no topic matches yet.
        if self.subscribed_topic_names.is_none() && self.subscribed_topic_regex.is_none() {
            return invalid("a member joins with topic names or a topic regex");
        }
        Ok(())
    }

    fn texts(&self) -> impl Iterator<Item = &str> {
        [self.member_id.as_str(), &self.client_id, &self.client_host]
            .into_iter()
            .chain(self.instance_id.as_ref().map(GroupInstanceId::as_str))
            .chain(self.rack_id.as_deref())
    }

    /// The assignor it asks for, if it does.
    pub(super) fn assignor(&self) -> Result<Option<Assignor>, GroupError> {
        let parse = |name: &str| {
            Assignor::parse(name).ok_or_else(|| GroupError::UnsupportedAssignor(name.to_owned()))
        };
        self.server_assignor.as_deref().map(parse).transpose()
    }

    /// Whether it says everything, as clients do when they join and after an error: they may have missed an answer.
    pub(super) fn is_full(&self) -> bool {
        let subscribes = self.subscribed_topic_names.is_some() || self.subscribed_topic_regex.is_some();
        self.member_epoch == JOIN_EPOCH
            || (self.rebalance_timeout.is_some() && subscribes && self.owned.is_some())
    }
}

const TEXT_BYTES_MAX: usize = 1024;
