//! DeleteTopics, versions 1 to 6: by name, and from version 6 by id.

use super::catalog_error;
use super::context::Context;
use crate::hashing::HashMap;
use crate::topic::Topic;
use crate::types::TopicId;
use crate::wire::messages::delete_topics_request::DeleteTopicState;
use crate::wire::messages::delete_topics_response::DeletableTopicResult;
use crate::wire::messages::{DeleteTopicsRequest, DeleteTopicsResponse, TopicName};
use crate::wire::{ErrorCode, StrBytes};
use std::sync::Arc;

/// Answers the request, topic by topic. A topic that is named twice is not deleted: the client is confused.
pub async fn handle(context: &Context, request: DeleteTopicsRequest) -> DeleteTopicsResponse {
    let by_name =
        request.topic_names.into_iter().map(|name| DeleteTopicState::default().with_name(Some(name)));
    let wanted: Vec<_> = request.topics.into_iter().chain(by_name).collect();
    let key = |topic: &DeleteTopicState| (topic.name.clone(), topic.topic_id);
    let mut times: HashMap<_, usize> = HashMap::default();
    for topic in &wanted {
        *times.entry(key(topic)).or_default() += 1;
    }
    let mut responses = Vec::new();
    for wanted in wanted {
        let Some(times) = times.remove(&key(&wanted)) else { continue };
        let deleted = match check(&wanted, times) {
            Ok(()) => delete(context, &wanted).await,
            Err(message) => Err((ErrorCode::InvalidRequest, Some(message.to_owned()))),
        };
        let result = DeletableTopicResult::default();
        responses.push(match deleted {
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

/// Whether the request says clearly which topic is meant.
fn check(wanted: &DeleteTopicState, times: usize) -> Result<(), &'static str> {
    match (&wanted.name, wanted.topic_id.is_nil()) {
        (Some(_), false) => Err("You may not specify both topic name and topic id."),
        (None, true) => Err("Neither topic name nor id were specified."),
        (Some(_), true) if times > 1 => Err("Duplicate topic name."),
        (None, false) if times > 1 => Err("Duplicate topic id."),
        _ => Ok(()),
    }
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
    context.archive.on_topic_deleted(deleted.id).await;
    Ok(deleted)
}
