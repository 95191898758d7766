//! ConsumerGroupHeartbeat, versions 0 and 1: a member of the consumer protocol joins, lives, moves and leaves (KIP-848).

use super::ConnectionInfo;
use super::context::Context;
use super::group_error::{code, group_to_join, instance, member, text};
use crate::clock;
use crate::group::GroupError;
use crate::group::consumer::{self, HeartbeatAnswer, PartitionSet};
use crate::types::{PartitionIndex, TopicId, TopicName, TopicPartition};
use crate::wire::messages::consumer_group_heartbeat_request::TopicPartitions as Owned;
use crate::wire::messages::consumer_group_heartbeat_response::{Assignment, TopicPartitions};
use crate::wire::messages::{self, ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse};
use std::collections::BTreeSet;
use std::time::Duration;
use uuid::Uuid;

/// Answers the request.
pub async fn handle(
    context: &Context,
    request: ConsumerGroupHeartbeatRequest,
    api_version: i16,
    client_id: Option<String>,
    connection: &ConnectionInfo,
) -> ConsumerGroupHeartbeatResponse {
    let response = ConsumerGroupHeartbeatResponse::default();
    match heartbeat(context, request, api_version, client_id, connection).await {
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
    request: ConsumerGroupHeartbeatRequest,
    api_version: i16,
    client_id: Option<String>,
    connection: &ConnectionInfo,
) -> Result<HeartbeatAnswer, GroupError> {
    let group_id = group_to_join(&request.group_id)?;
    // Version 0 may join without an id and is given one.
    let fresh =
        api_version == 0 && request.member_id.is_empty() && request.member_epoch == consumer::JOIN_EPOCH;
    let member_id = if fresh { member(&clock::random_id().to_string()) } else { member(&request.member_id) };
    let rebalance_timeout = u64::try_from(request.rebalance_timeout_ms).ok().map(Duration::from_millis);
    let heartbeat = consumer::HeartbeatRequest {
        member_id,
        member_epoch: request.member_epoch,
        instance_id: instance(request.instance_id.as_ref()),
        rack_id: request.rack_id.map(|id| id.to_string()),
        rebalance_timeout,
        subscribed_topic_names: request.subscribed_topic_names.map(topic_names).transpose()?,
        subscribed_topic_regex: request.subscribed_topic_regex.map(|regex| regex.to_string()),
        server_assignor: request.server_assignor.map(|name| name.to_string()),
        owned: request.topic_partitions.map(|owned| owned_set(&owned)),
        client_id: client_id.unwrap_or_default(),
        client_host: connection.host(),
    };
    context.groups.call(&group_id, heartbeat).await
}

/// The topics that a member subscribes to.
pub fn topic_names(names: Vec<messages::TopicName>) -> Result<BTreeSet<TopicName>, GroupError> {
    let parsed = names.iter().map(|name| TopicName::parse(name));
    parsed.collect::<Result<_, _>>().map_err(|_| GroupError::InvalidRequest("a topic name is not legal"))
}

fn owned_set(owned: &[Owned]) -> PartitionSet {
    let partitions = owned.iter().flat_map(|of_topic| {
        let topic_id = TopicId(of_topic.topic_id);
        let of = move |index: &i32| TopicPartition { topic_id, partition: PartitionIndex(*index) };
        of_topic.partitions.iter().map(of)
    });
    partitions.collect()
}

fn assignment(partitions: &PartitionSet) -> Assignment {
    let topics = by_topic(partitions).into_iter().map(|(topic_id, indexes)| {
        TopicPartitions::default().with_topic_id(topic_id).with_partitions(indexes)
    });
    Assignment::default().with_topic_partitions(topics.collect())
}

/// Partitions by topic, each topic once, as answers have them.
pub fn by_topic(partitions: &PartitionSet) -> Vec<(Uuid, Vec<i32>)> {
    let mut topics: Vec<(Uuid, Vec<i32>)> = Vec::new();
    for which in partitions {
        let (topic_id, index) = (which.topic_id.0, which.partition.0);
        match topics.last_mut().filter(|(last, _)| *last == topic_id) {
            Some((_, indexes)) => indexes.push(index),
            None => topics.push((topic_id, vec![index])),
        }
    }
    topics
}
