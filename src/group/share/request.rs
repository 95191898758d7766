//! A share group heartbeat's request and answer, and what makes a request invalid by itself.

use crate::group::consumer::PartitionSet;
use crate::group::{GroupError, MemberId};
use crate::types::TopicName;
use std::collections::BTreeSet;
use std::time::Duration;

/// The epoch by which a member joins.
pub const SHARE_JOIN_EPOCH: i32 = 0;
/// The epoch by which a member leaves.
pub const SHARE_LEAVE_EPOCH: i32 = -1;

/// What a ShareGroupHeartbeat says. What is `None` has not changed since the member said it last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShareHeartbeatRequest {
    /// From the client.
    pub member_id: MemberId,
    /// The epoch it is at, or one of the two that join and leave.
    pub member_epoch: i32,
    /// Where it runs.
    pub rack_id: Option<String>,
    /// The topics it wants.
    pub subscribed_topic_names: Option<BTreeSet<TopicName>>,
    /// The name the client gave itself.
    pub client_id: String,
    /// Where it connects from.
    pub client_host: String,
}

/// What a member is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShareHeartbeatAnswer {
    /// Its id.
    pub member_id: MemberId,
    /// Its epoch from now on.
    pub member_epoch: i32,
    /// When the next heartbeat is due.
    pub heartbeat_interval: Duration,
    /// All that it shall fetch from now on; `None` if that is what it was told before.
    pub assignment: Option<PartitionSet>,
}

impl ShareHeartbeatRequest {
    /// Whether the request makes sense, whatever group it is for.
    pub(super) fn check(&self) -> Result<(), GroupError> {
        let invalid = |reason| Err(GroupError::InvalidRequest(reason));
        if self.member_id.is_empty() {
            return invalid("the member id is empty");
        }
        if self.rack_id.as_deref() == Some("") {
            return invalid("the rack id is empty");
        }
        let texts = [self.member_id.as_str(), &self.client_id, &self.client_host];
        if texts.into_iter().chain(self.rack_id.as_deref()).any(|text| text.len() > TEXT_BYTES_MAX) {
            return invalid("a text of the request is too long");
        }
        let names = self.subscribed_topic_names.as_ref();
        if self.member_epoch < SHARE_LEAVE_EPOCH {
            return invalid("there is no such member epoch");
        }
        if self.member_epoch == SHARE_JOIN_EPOCH && names.is_none_or(BTreeSet::is_empty) {
            return invalid("a member joins with topic names");
        }
        Ok(())
    }
}

const TEXT_BYTES_MAX: usize = 1024;
