//! Requests about one thing, sent on as they came.

use super::route::{self, Key, Route};
use super::{At, deadline, passed_on};
use crate::cluster::PlacementKey;
use crate::handler::Admitted;
use crate::types::SessionId;
use crate::wire::RequestFrame;
use crate::wire::api::ApiKey;
use crate::wire::messages::{
    AddOffsetsToTxnRequest, AddPartitionsToTxnRequest, AlterShareGroupOffsetsRequest,
    ConsumerGroupHeartbeatRequest, DeleteShareGroupOffsetsRequest, EndTxnRequest, HeartbeatRequest,
    InitProducerIdRequest, JoinGroupRequest, LeaveGroupRequest, OffsetCommitRequest, OffsetDeleteRequest,
    OffsetFetchRequest, ShareGroupHeartbeatRequest, SyncGroupRequest, TxnOffsetCommitRequest,
};

/// Sends it on if it is about something that another leads, and was answered.
pub(super) async fn admit(at: At<'_>, api_key: ApiKey, frame: &RequestFrame) -> Option<Admitted> {
    let Route::Other(session) = route::of_key(at, key_of(api_key, frame)?) else { return None };
    send(at, api_key, frame, session).await
}

/// Sends it to `session`; none if there is no answer.
pub(super) async fn send(
    at: At<'_>,
    api_key: ApiKey,
    frame: &RequestFrame,
    session: SessionId,
) -> Option<Admitted> {
    let request = frame.whole.clone();
    let answered = at.context.peers.call(session, at.client(), request, deadline(api_key)).await;
    match answered {
        Ok(answer) => Some(Admitted::Answer(passed_on(answer))),
        Err(error) => {
            tracing::debug!(?api_key, %session, %error, "a request was not answered by who should");
            None
        }
    }
}

/// What the request is about; none if nobody in particular answers such requests, or it cannot be read, which
/// its handler says.
fn key_of(api_key: ApiKey, frame: &RequestFrame) -> Option<PlacementKey> {
    macro_rules! group {
        ($request:ty) => {{ group(&frame.decode::<$request>().ok()?.group_id) }};
    }
    macro_rules! transaction {
        ($request:ty, $field:ident) => {{ transactional_id(&frame.decode::<$request>().ok()?.$field) }};
    }
    Some(match api_key {
        ApiKey::JoinGroup => group!(JoinGroupRequest),
        ApiKey::SyncGroup => group!(SyncGroupRequest),
        ApiKey::Heartbeat => group!(HeartbeatRequest),
        ApiKey::LeaveGroup => group!(LeaveGroupRequest),
        ApiKey::OffsetCommit => group!(OffsetCommitRequest),
        ApiKey::OffsetFetch => group!(OffsetFetchRequest),
        ApiKey::OffsetDelete => group!(OffsetDeleteRequest),
        ApiKey::TxnOffsetCommit => group!(TxnOffsetCommitRequest),
        ApiKey::ConsumerGroupHeartbeat => group!(ConsumerGroupHeartbeatRequest),
        ApiKey::ShareGroupHeartbeat => group!(ShareGroupHeartbeatRequest),
        ApiKey::AlterShareGroupOffsets => group!(AlterShareGroupOffsetsRequest),
        ApiKey::DeleteShareGroupOffsets => group!(DeleteShareGroupOffsetsRequest),
        ApiKey::AddOffsetsToTxn => transaction!(AddOffsetsToTxnRequest, transactional_id),
        ApiKey::EndTxn => transaction!(EndTxnRequest, transactional_id),
        ApiKey::AddPartitionsToTxn => {
            transaction!(AddPartitionsToTxnRequest, v3_and_below_transactional_id)
        }
        // Without a name any broker gives an id.
        ApiKey::InitProducerId => {
            transactional_id(&frame.decode::<InitProducerIdRequest>().ok()?.transactional_id?)
        }
        _ => return None,
    })
}

fn group(group_id: &str) -> PlacementKey {
    PlacementKey::group(group_id)
}

fn transactional_id(transactional_id: &str) -> PlacementKey {
    PlacementKey::transactional_id(transactional_id)
}

impl Key<'_> {
    /// How the placement names it; none for a partition, whose topic has to be known first.
    pub(super) fn placement(&self) -> Option<PlacementKey> {
        match self {
            Key::Group(group_id) => Some(group(group_id)),
            Key::TransactionalId(id) => Some(transactional_id(id)),
            Key::Partition(..) => None,
        }
    }
}
