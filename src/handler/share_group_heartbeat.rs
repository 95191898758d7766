//! ShareGroupHeartbeat, version 1: a member of a share group joins, lives and leaves (KIP-932).

use super::ConnectionInfo;
use super::consumer_group_heartbeat::{by_topic, topic_names};
use super::context::Context;
use super::group_error::{code, group_to_join, member, text};
use crate::group::consumer::PartitionSet;
use crate::group::share::{SHARE_JOIN_EPOCH, ShareHeartbeatAnswer, ShareHeartbeatRequest};
use crate::group::{DescribeShare, GroupError};
use crate::wire::messages::share_group_heartbeat_response::{Assignment, TopicPartitions};
use crate::wire::messages::{ShareGroupHeartbeatRequest, ShareGroupHeartbeatResponse};

/// Answers the request.
pub async fn handle(
    context: &Context,
    request: ShareGroupHeartbeatRequest,
    client_id: Option<String>,
    connection: &ConnectionInfo,
) -> ShareGroupHeartbeatResponse {
    let response = ShareGroupHeartbeatResponse::default();
    match heartbeat(context, request, client_id, connection).await {
        Ok(answer) => response
            .with_member_id(Some(text(answer.member_id)))
            .with_member_epoch(answer.member_epoch)
            .with_heartbeat_interval_ms(
                i32::try_from(answer.heartbeat_interval.as_millis()).unwrap_or(i32::MAX),
            )
            .with_assignment(answer.assignment.as_ref().map(assignment)),
        Err(error) => response.with_error_code(code(&error).code()).with_error_message(Some(text(error))),
    }
}

async fn heartbeat(
    context: &Context,
    request: ShareGroupHeartbeatRequest,
    client_id: Option<String>,
    connection: &ConnectionInfo,
) -> Result<ShareHeartbeatAnswer, GroupError> {
    let group_id = group_to_join(&request.group_id)?;
    if request.member_epoch == SHARE_JOIN_EPOCH
        && context.groups.call(&group_id, DescribeShare).await?.is_none()
    {
        // A group of that name may have been deleted, and its broker have died before its states were.
        let cleared = context.groups.delivery().delete_group(&group_id).await;
        cleared.map_err(|_| GroupError::CoordinatorNotAvailable)?;
    }
    let heartbeat = ShareHeartbeatRequest {
        member_id: member(&request.member_id),
        member_epoch: request.member_epoch,
        rack_id: request.rack_id.map(|id| id.to_string()),
        subscribed_topic_names: request.subscribed_topic_names.map(topic_names).transpose()?,
        client_id: client_id.unwrap_or_default(),
        client_host: connection.host(),
    };
    context.groups.call(&group_id, heartbeat).await
}

fn assignment(partitions: &PartitionSet) -> Assignment {
    let topics = by_topic(partitions).into_iter().map(|(topic_id, indexes)| {
        TopicPartitions::default().with_topic_id(topic_id).with_partitions(indexes)
    });
    Assignment::default().with_topic_partitions(topics.collect())
}
