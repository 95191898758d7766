//! DeleteTopics, versions 1 to 6: by name, and from version 6 by id.

use super::catalog_error;
use super::context::Context;
use crate::topic::Topic;
use crate::types::TopicId;
use crate::wire::messages::delete_topics_request::DeleteTopicState;
use crate::wire::messages::delete_topics_response::DeletableTopicResult;
use crate::wire::messages::{DeleteTopicsRequest, DeleteTopicsResponse, TopicName};
use crate::wire::{ErrorCode, StrBytes};
use std::sync::Arc;

/// Answers the request, topic by topic.
pub async fn handle(context: &Context, request: DeleteTopicsRequest) -> DeleteTopicsResponse {
    let by_name =
        request.topic_names.into_iter().map(|name| DeleteTopicState::default().with_name(Some(name)));
    let mut responses = Vec::new();
    for wanted in request.topics.into_iter().chain(by_name) {
        let result = DeletableTopicResult::default();
        responses.push(match delete(context, &wanted).await {
            Ok(topic) => {
                let name = TopicName(StrBytes::from_string(topic.name.to_string()));
                result.with_name(Some(name)).with_topic_id(topic.id.0)
            }
            Err((code, message)) => result
                .with_name(wanted.name)
                .with_topic_id(wanted.topic_id)
                .with_error_code(code.code())
                .with_error_message(message.map(StrBytes::from_string)),
        });
    }
    DeleteTopicsResponse::default().with_responses(responses)
}

async fn delete(
    context: &Context,
    wanted: &DeleteTopicState,
) -> Result<Arc<Topic>, (ErrorCode, Option<String>)> {
    let found = match &wanted.name {
        Some(name) => context.topic_by_name(name).await,
        None => context.topic_by_id(TopicId(wanted.topic_id)).await,
    };
    let topic = found.map_err(|code| (code, None))?;
    let deleted = context.catalog.delete(topic.id).await;
    let deleted = deleted.map_err(|error| (catalog_error::code(&error), Some(error.to_string())))?;
    context.log.remove(deleted.id);
    Ok(deleted)
}
