//! Who may commit and fetch offsets of a group.

use super::group::ConsumerGroup;
use super::member::Member;
use crate::group::{GroupError, GroupInstanceId, MemberId};
use crate::types::TopicPartition;
use std::cmp::Ordering;

/// How a commit comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitKind {
    /// By OffsetCommit of that version: members of this protocol need 9.
    OffsetCommit {
        /// The request's version.
        api_version: i16,
    },
    /// By TxnOffsetCommit.
    Transactional,
}

impl ConsumerGroup {
    /// Whether that member at that epoch may commit offsets of those partitions. A member may be behind by an answer:
    /// then it may commit what it held at its epoch and holds still (KIP-1251).
    pub fn check_offset_commit(
        &self,
        kind: CommitKind,
        member_id: &MemberId,
        member_epoch: i32,
        instance_id: Option<&GroupInstanceId>,
        partitions: &[TopicPartition],
    ) -> Result<(), GroupError> {
        if member_epoch < 0 && self.members.is_empty() {
            return Ok(());
        }
        let anonymous = member_epoch == -1 && member_id.is_empty() && instance_id.is_none();
        if kind == CommitKind::Transactional && anonymous {
            return Ok(());
        }
        let member = self.members.get(member_id);
        let member = member.ok_or(GroupError::UnknownMemberId)?;
        let too_old = matches!(kind, CommitKind::OffsetCommit { api_version: ..COMMIT_VERSION_MIN });
        if too_old && member.profile.classic.is_none() {
            return Err(GroupError::UnsupportedVersion);
        }
        match member_epoch.cmp(&member.holding.member_epoch) {
            Ordering::Equal => Ok(()),
            Ordering::Less if held_then(member, member_epoch, partitions) => Ok(()),
            Ordering::Less | Ordering::Greater => Err(not_at_epoch(member, member_epoch)),
        }
    }

    /// Whether that member at that epoch may fetch offsets, of those partitions or, with none named, of all. Tools come
    /// without a member id. A member may be behind by an answer here too: clients do not repeat a fetch that was
    /// refused for its epoch, and of what the member held at that epoch and holds still nobody else has committed since.
    pub fn check_offset_fetch(
        &self,
        member_id: Option<&MemberId>,
        member_epoch: i32,
        partitions: Option<&[TopicPartition]>,
    ) -> Result<(), GroupError> {
        let Some(member_id) = member_id.filter(|id| !(id.is_empty() && member_epoch < 0)) else {
            return Ok(());
        };
        let member = self.members.get(member_id);
        let member = member.ok_or(GroupError::UnknownMemberId)?;
        match member_epoch.cmp(&member.holding.member_epoch) {
            Ordering::Equal => Ok(()),
            Ordering::Less if partitions.is_some_and(|them| held_then(member, member_epoch, them)) => Ok(()),
            Ordering::Less | Ordering::Greater => Err(not_at_epoch(member, member_epoch)),
        }
    }
}

/// Whether the member held those partitions at an epoch that is past, and holds them still.
fn held_then(member: &Member, epoch: i32, partitions: &[TopicPartition]) -> bool {
    let holding = &member.holding;
    let held = |which: &TopicPartition| {
        let since = holding.assigned.get(which).or_else(|| holding.revoking.get(which));
        since.is_some_and(|since| *since <= epoch)
    };
    epoch > 0 && partitions.iter().all(held)
}

/// Classic members know their epoch as a generation.
fn not_at_epoch(member: &Member, got: i32) -> GroupError {
    let expected = member.holding.member_epoch;
    match member.profile.classic {
        None => GroupError::StaleMemberEpoch { expected, got },
        Some(_) => GroupError::IllegalGeneration,
    }
}

const COMMIT_VERSION_MIN: i16 = 9;
