//! AlterShareGroupOffsets, version 0: has a share group without members start elsewhere (KIP-932).

use super::context::Context;
use super::group_error::{code, group, text};
use super::share_group_describe::describe;
use super::share_session::change_code;
use crate::group::delivery::ShareKey;
use crate::group::share::ShareGroupState;
use crate::group::{GroupError, GroupId};
use crate::topic::Topic;
use crate::types::{Offset, PartitionIndex, TopicPartition};
use crate::wire::ErrorCode;
use crate::wire::messages::alter_share_group_offsets_request::{
    AlterShareGroupOffsetsRequestPartition as Wanted, AlterShareGroupOffsetsRequestTopic as WantedTopic,
};
use crate::wire::messages::alter_share_group_offsets_response::{
    AlterShareGroupOffsetsResponsePartition as Altered, AlterShareGroupOffsetsResponseTopic as AlteredTopic,
};
use crate::wire::messages::{AlterShareGroupOffsetsRequest, AlterShareGroupOffsetsResponse};

/// Answers the request, partition by partition.
pub async fn handle(
    context: &Context,
    request: AlterShareGroupOffsetsRequest,
) -> AlterShareGroupOffsetsResponse {
    let response = AlterShareGroupOffsetsResponse::default();
    let group_id = match empty_group(context, &request.group_id).await {
        Ok(group_id) => group_id,
        Err(error) => {
            return response.with_error_code(code(&error).code()).with_error_message(Some(text(error)));
        }
    };
    let mut topics = Vec::with_capacity(request.topics.len());
    for wanted in request.topics {
        topics.push(alter_topic(context, &group_id, wanted).await);
    }
    response.with_responses(topics)
}

/// The share group of that name, if nobody is in it: members would not know of the change.
pub async fn empty_group(context: &Context, name: &str) -> Result<GroupId, GroupError> {
    match describe(context, name).await?.state {
        ShareGroupState::Empty => group(name),
        ShareGroupState::Stable => Err(GroupError::NonEmptyGroup),
    }
}

async fn alter_topic(context: &Context, group_id: &GroupId, wanted: WantedTopic) -> AlteredTopic {
    let topic = context.topic_by_name(&wanted.topic_name).await;
    let mut partitions = Vec::with_capacity(wanted.partitions.len());
    for partition in &wanted.partitions {
        let altered = Altered::default().with_partition_index(partition.partition_index);
        let outcome = match &topic {
            Ok(topic) => alter(context, group_id, topic, partition).await,
            Err(code) => Err(*code),
        };
        partitions.push(match outcome {
            Ok(()) => altered,
            Err(code) => altered.with_error_code(code.code()).with_error_message(Some(text(code))),
        });
    }
    AlteredTopic::default()
        .with_topic_name(wanted.topic_name)
        .with_topic_id(topic.map_or_else(|_| uuid::Uuid::nil(), |topic| topic.id.0))
        .with_partitions(partitions)
}

async fn alter(
    context: &Context,
    group_id: &GroupId,
    topic: &Topic,
    wanted: &Wanted,
) -> Result<(), ErrorCode> {
    if !topic.has(PartitionIndex(wanted.partition_index)) {
        return Err(ErrorCode::UnknownTopicOrPartition);
    }
    if wanted.start_offset < 0 {
        return Err(ErrorCode::InvalidRequest);
    }
    let partition = TopicPartition { topic_id: topic.id, partition: PartitionIndex(wanted.partition_index) };
    let key = ShareKey { group_id: group_id.clone(), partition };
    let altered = context.groups.delivery().alter(&key, Offset(wanted.start_offset)).await;
    altered.map_err(|error| change_code(&error))
}
