//! DeleteShareGroupOffsets, version 0: a share group without members forgets what it did with topics (KIP-932).

use super::alter_share_group_offsets::empty_group;
use super::context::Context;
use super::group_error::{code, text};
use super::share_session::change_code;
use crate::group::GroupId;
use crate::group::delivery::ShareKey;
use crate::types::TopicId;
use crate::wire::ErrorCode;
use crate::wire::messages::delete_share_group_offsets_response::DeleteShareGroupOffsetsResponseTopic as DeletedTopic;
use crate::wire::messages::{DeleteShareGroupOffsetsRequest, DeleteShareGroupOffsetsResponse, TopicName};

/// Answers the request, topic by topic.
pub async fn handle(
    context: &Context,
    request: DeleteShareGroupOffsetsRequest,
) -> DeleteShareGroupOffsetsResponse {
    let response = DeleteShareGroupOffsetsResponse::default();
    let group_id = match empty_group(context, &request.group_id).await {
        Ok(group_id) => group_id,
        Err(error) => {
            return response.with_error_code(code(&error).code()).with_error_message(Some(text(error)));
        }
    };
    let mut topics = Vec::with_capacity(request.topics.len());
    for wanted in request.topics {
        topics.push(delete_topic(context, &group_id, wanted.topic_name).await);
    }
    response.with_responses(topics)
}

async fn delete_topic(context: &Context, group_id: &GroupId, name: TopicName) -> DeletedTopic {
    let topic = context.topic_by_name(&name).await;
    let outcome = match &topic {
        Ok(topic) => delete(context, group_id, topic.id).await,
        Err(code) => Err(*code),
    };
    let deleted = DeletedTopic::default()
        .with_topic_name(name)
        .with_topic_id(topic.map_or_else(|_| uuid::Uuid::nil(), |topic| topic.id.0));
    match outcome {
        Ok(()) => deleted,
        Err(code) => deleted.with_error_code(code.code()).with_error_message(Some(text(code))),
    }
}

async fn delete(context: &Context, group_id: &GroupId, topic_id: TopicId) -> Result<(), ErrorCode> {
    let delivery = context.groups.delivery();
    let stored = delivery.stored(group_id).await.map_err(|error| change_code(&error))?;
    let of_topic: Vec<_> = stored.into_keys().filter(|partition| partition.topic_id == topic_id).collect();
    if of_topic.is_empty() {
        // As in Apache Kafka: there is nothing to delete.
        return Err(ErrorCode::UnknownTopicOrPartition);
    }
    for partition in of_topic {
        let key = ShareKey { group_id: group_id.clone(), partition };
        delivery.delete(&key).await.map_err(|error| change_code(&error))?;
    }
    Ok(())
}
