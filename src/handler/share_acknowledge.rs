//! ShareAcknowledge, version 1: a member of a share group says what became of the records that it has (KIP-932).

use super::ConnectionInfo;
use super::context::Context;
use super::group_error::text;
use super::share_session::{
    Acknowledged, Named, acknowledge, by_partition, client, fault_code, of_acknowledge, place, release,
};
use crate::types::TopicPartition;
use crate::wire::ErrorCode;
use crate::wire::messages::share_acknowledge_response::{PartitionData, ShareAcknowledgeTopicResponse};
use crate::wire::messages::{ShareAcknowledgeRequest, ShareAcknowledgeResponse};

/// Answers the request.
pub async fn handle(
    context: &Context,
    request: ShareAcknowledgeRequest,
    connection: &ConnectionInfo,
) -> ShareAcknowledgeResponse {
    match answer(context, request, connection).await {
        Ok(acknowledged) => respond(acknowledged),
        Err((code, message)) => ShareAcknowledgeResponse::default()
            .with_error_code(code.code())
            .with_error_message(Some(text(message))),
    }
}

async fn answer(
    context: &Context,
    request: ShareAcknowledgeRequest,
    connection: &ConnectionInfo,
) -> Result<Acknowledged, (ErrorCode, String)> {
    let client = client(request.group_id.as_ref(), request.member_id.as_ref(), connection)?;
    let closes = context.groups.delivery().on_acknowledge(&client, request.share_session_epoch);
    let closes = closes.map_err(|fault| (fault_code(fault), fault.to_string()))?;
    let acknowledged = acknowledge(context, &client, named(&request)).await;
    if let Some(partitions) = closes {
        release(context, &client, partitions).await;
    }
    Ok(acknowledged)
}

fn named(request: &ShareAcknowledgeRequest) -> Named {
    by_partition(request.topics.iter().flat_map(|topic| {
        topic.partitions.iter().map(|partition| {
            let batches = partition.acknowledgement_batches.iter().map(of_acknowledge);
            (place(topic.topic_id, partition.partition_index), batches.collect())
        })
    }))
}

fn respond(acknowledged: Acknowledged) -> ShareAcknowledgeResponse {
    let mut responses: Vec<ShareAcknowledgeTopicResponse> = Vec::new();
    for (TopicPartition { topic_id, partition }, outcome) in acknowledged {
        let data = PartitionData::default().with_partition_index(partition.0);
        let data = match outcome {
            Ok(()) => data,
            Err((code, message)) => data.with_error_code(code.code()).with_error_message(Some(text(message))),
        };
        match responses.last_mut().filter(|topic| topic.topic_id == topic_id.0) {
            Some(topic) => topic.partitions.push(data),
            None => responses.push(
                ShareAcknowledgeTopicResponse::default()
                    .with_topic_id(topic_id.0)
                    .with_partitions(vec![data]),
            ),
        }
    }
    ShareAcknowledgeResponse::default().with_responses(responses)
}
