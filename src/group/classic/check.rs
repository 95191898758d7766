//! What others may do beside the members' protocol: commit offsets, delete the group, delete offsets.

use super::super::{GroupError, GroupInstanceId, MemberId};
use super::group::{ClassicGroup, State};
use super::subscription::CONSUMER_PROTOCOL_TYPE;
use crate::types::Moment;

/// Who commits offsets, as it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitIdentity {
    /// Its id; empty if it is no member.
    pub member_id: MemberId,
    /// Its lasting name, if it is static.
    pub group_instance_id: Option<GroupInstanceId>,
    /// The generation it is in; below 0 if it is no member.
    pub generation_id: i32,
}

impl ClassicGroup {
    /// Whether an OffsetCommit may be taken. One that is taken keeps a session alive: see
    /// [`ClassicGroup::on_offset_commit`].
    pub fn check_offset_commit(&self, by: &CommitIdentity) -> Result<(), GroupError> {
        if by.generation_id < 0 && self.state == State::Empty {
            return Ok(());
        }
        if by.is_nobody() {
            return Err(GroupError::UnknownMemberId);
        }
        self.check_commit_by_member(by)?;
        if self.state == State::Completing { Err(GroupError::RebalanceInProgress) } else { Ok(()) }
    }

    /// Whether a TxnOffsetCommit may be taken (KIP-447). Producers that name no member are fenced by their own epoch.
    pub fn check_txn_offset_commit(&self, by: &CommitIdentity) -> Result<(), GroupError> {
        if by.is_nobody() || by.generation_id < 0 && self.state == State::Empty {
            return Ok(());
        }
        self.check_commit_by_member(by)
    }

    /// An OffsetCommit of that member was taken; like a heartbeat it says that the member lives.
    pub fn on_offset_commit(&mut self, member_id: &MemberId, now: Moment) {
        let counts = matches!(self.state, State::Stable | State::Preparing { .. });
        if let Some(member) = self.members.get_mut(member_id).filter(|_| counts) {
            member.touch(now);
        }
    }

    /// Whether the group may be deleted.
    pub fn check_delete(&self) -> Result<(), GroupError> {
        if self.state == State::Empty { Ok(()) } else { Err(GroupError::NonEmptyGroup) }
    }

    /// Whether offsets of the group may be deleted at all. Of a topic that [`ClassicGroup::is_subscribed`] names, they
    /// may not (GROUP_SUBSCRIBED_TO_TOPIC).
    pub fn check_offset_delete(&self) -> Result<(), GroupError> {
        if self.state == State::Empty || self.is_of_consumers() {
            Ok(())
        } else {
            Err(GroupError::NonEmptyGroup)
        }
    }

    /// Whether a member reads that topic. Yes if the members are consumers whose subscriptions are not known.
    #[must_use]
    pub fn is_subscribed(&self, topic: &str) -> bool {
        self.subscribed.as_ref().map_or(self.is_of_consumers(), |topics| topics.contains(topic))
    }

    /// The topics that the members of the last generation read; `None` if that is not known.
    pub fn subscribed_topics(&self) -> Option<impl Iterator<Item = &str>> {
        self.subscribed.as_ref().map(|topics| topics.iter().map(String::as_str))
    }

    fn is_of_consumers(&self) -> bool {
        self.protocol_type.as_deref() == Some(CONSUMER_PROTOCOL_TYPE)
    }

    fn check_commit_by_member(&self, by: &CommitIdentity) -> Result<(), GroupError> {
        self.check_member(&by.member_id, by.group_instance_id.as_ref())?;
        if by.generation_id == self.generation_id { Ok(()) } else { Err(GroupError::IllegalGeneration) }
    }
}

impl CommitIdentity {
    fn is_nobody(&self) -> bool {
        self.generation_id < 0 && self.member_id.is_empty() && self.group_instance_id.is_none()
    }
}
