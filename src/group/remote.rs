//! What share groups need of other brokers, as bytes: their coordinator and the leaders of their partitions may differ.
//!
//! ```text
//! has share member    text group, text member
//! share member gone   text group, text member
//! alter share         text group, 16 topic id, i32 partition, i64 start
//! delete share        text group, 16 topic id, i32 partition
//! answer to all       u8: 0 no, 1 yes or done, 2 not led or coordinated here, 3 not known now
//! ```
//!
//! All of them may come twice.

use super::call::HasShareMember;
use super::coordinator::{placement, refused};
use super::delivery::{DeliveryError, ShareKey};
use super::{GroupCoordinator, GroupError, GroupId, MemberId};
use crate::mailboxes::{NoTerm, term_of};
use crate::remote::{Answered, Fields, Malformed, NoAnswer, RemoteBrokers, RequestKind, put_text};
use crate::types::{Offset, PartitionIndex, SessionId, TopicId, TopicPartition};
use bytes::{BufMut, Bytes};
use std::time::Duration;

/// A request about a share group to another broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ShareRequest {
    HasMember(GroupId, MemberId),
    MemberGone(GroupId, MemberId),
    Alter(ShareKey, Offset),
    Delete(ShareKey),
}

/// What is answered to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ShareAnswer {
    No = 0,
    Yes = 1,
    NotHere = 2,
    Unavailable = 3,
}

/// A group's or a member's name is at most so long.
const NAME_BYTES_MAX: usize = 1024;
/// How long another broker has time to answer.
const ANSWER_MAX: Duration = Duration::from_secs(5);

impl ShareRequest {
    pub fn encode(&self) -> Bytes {
        let mut to = self.kind().request();
        match self {
            ShareRequest::HasMember(group_id, member_id) | ShareRequest::MemberGone(group_id, member_id) => {
                put_text(&mut to, group_id.as_str());
                put_text(&mut to, member_id.as_str());
            }
            ShareRequest::Alter(key, start) => {
                put_key(&mut to, key);
                to.put_i64(start.0);
            }
            ShareRequest::Delete(key) => put_key(&mut to, key),
        }
        to.into()
    }

    /// Nothing, if it is a request of another room.
    pub fn decode(kind: RequestKind, mut from: Fields) -> Result<Option<ShareRequest>, Malformed> {
        let request = match kind {
            RequestKind::HasShareMember => ShareRequest::HasMember(group(&mut from)?, member(&mut from)?),
            RequestKind::ShareMemberGone => ShareRequest::MemberGone(group(&mut from)?, member(&mut from)?),
            RequestKind::AlterShare => ShareRequest::Alter(key(&mut from)?, Offset(from.i64()?)),
            RequestKind::DeleteShare => ShareRequest::Delete(key(&mut from)?),
            RequestKind::FirstBatch | RequestKind::Markers => return Ok(None),
        };
        from.end()?;
        Ok(Some(request))
    }

    /// Asks that session.
    pub async fn ask(&self, remote: &dyn RemoteBrokers, to: SessionId) -> Result<ShareAnswer, NoAnswer> {
        let answer = remote.ask(to, self.encode(), ANSWER_MAX).await?;
        ShareAnswer::decode(answer)
    }

    fn kind(&self) -> RequestKind {
        match self {
            ShareRequest::HasMember(..) => RequestKind::HasShareMember,
            ShareRequest::MemberGone(..) => RequestKind::ShareMemberGone,
            ShareRequest::Alter(..) => RequestKind::AlterShare,
            ShareRequest::Delete(..) => RequestKind::DeleteShare,
        }
    }
}

impl ShareAnswer {
    pub fn encode(self) -> Bytes {
        let mut to = Answered::Understood.answer();
        to.put_u8(self as u8);
        to.into()
    }

    pub fn decode(answer: Bytes) -> Result<ShareAnswer, NoAnswer> {
        let mut from = Answered::fields(answer)?;
        let answer = match from.u8()? {
            0 => ShareAnswer::No,
            1 => ShareAnswer::Yes,
            2 => ShareAnswer::NotHere,
            _ => ShareAnswer::Unavailable,
        };
        from.end()?;
        Ok(answer)
    }

    fn of_delivery(outcome: Result<(), DeliveryError>) -> ShareAnswer {
        match outcome {
            Ok(()) => ShareAnswer::Yes,
            Err(DeliveryError::NotLeader) => ShareAnswer::NotHere,
            Err(_) => ShareAnswer::Unavailable,
        }
    }
}

impl GroupCoordinator {
    /// Whether somebody is a member of a share group, wherever that is coordinated.
    pub async fn has_share_member(
        &self,
        group_id: &GroupId,
        member_id: MemberId,
    ) -> Result<bool, GroupError> {
        if member_id.as_str().len() > NAME_BYTES_MAX || group_id.as_str().len() > NAME_BYTES_MAX {
            return Ok(false);
        }
        let coordinator = match term_of(self.leadership(), placement(group_id)).await {
            Ok(term) => return self.call_under(&term, group_id, HasShareMember(member_id)).await,
            Err(NoTerm::Elsewhere(coordinator)) => coordinator,
            Err(none) => return Err(refused(none)),
        };
        let request = ShareRequest::HasMember(group_id.clone(), member_id);
        match request.ask(self.remote(), coordinator).await {
            Ok(ShareAnswer::Yes) => Ok(true),
            Ok(ShareAnswer::No) => Ok(false),
            Ok(ShareAnswer::NotHere) => Err(GroupError::NotCoordinator),
            Ok(ShareAnswer::Unavailable) => Err(GroupError::CoordinatorNotAvailable),
            Err(error) => {
                tracing::debug!(group = %group_id, %error, "the coordinator of a share group could not be asked");
                Err(GroupError::CoordinatorNotAvailable)
            }
        }
    }

    /// Answers what another broker asks about a share group; nothing, if it is a request of another room. It is never sent
    /// on.
    pub(crate) async fn serve_remote(
        &self,
        kind: RequestKind,
        fields: Fields,
    ) -> Result<Option<Bytes>, Malformed> {
        let Some(request) = ShareRequest::decode(kind, fields)? else { return Ok(None) };
        let answer = match request {
            ShareRequest::HasMember(group_id, member_id) => {
                match self.call(&group_id, HasShareMember(member_id)).await {
                    Ok(true) => ShareAnswer::Yes,
                    Ok(false) => ShareAnswer::No,
                    Err(GroupError::NotCoordinator) => ShareAnswer::NotHere,
                    Err(_) => ShareAnswer::Unavailable,
                }
            }
            ShareRequest::MemberGone(group_id, member_id) => {
                self.delivery().on_member_gone_here(&group_id, &member_id);
                ShareAnswer::Yes
            }
            ShareRequest::Alter(key, start) => {
                ShareAnswer::of_delivery(self.delivery().alter_here(&key, start).await)
            }
            ShareRequest::Delete(key) => ShareAnswer::of_delivery(self.delivery().delete_here(&key).await),
        };
        Ok(Some(answer.encode()))
    }
}

fn put_key(to: &mut Vec<u8>, key: &ShareKey) {
    put_text(to, key.group_id.as_str());
    to.put_u128(key.partition.topic_id.0.as_u128());
    to.put_i32(key.partition.partition.0);
}

fn key(from: &mut Fields) -> Result<ShareKey, Malformed> {
    let group_id = group(from)?;
    let (topic_id, partition) = (TopicId(from.uuid()?), PartitionIndex(from.i32()?));
    Ok(ShareKey { group_id, partition: TopicPartition { topic_id, partition } })
}

fn group(from: &mut Fields) -> Result<GroupId, Malformed> {
    from.text(NAME_BYTES_MAX).map(|name| GroupId::new(&name))
}

fn member(from: &mut Fields) -> Result<MemberId, Malformed> {
    from.text(NAME_BYTES_MAX).map(|name| MemberId::new(&name))
}

#[cfg(test)]
mod tests;
