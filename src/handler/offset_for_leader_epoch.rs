//! OffsetForLeaderEpoch, versions 2 to 4: where an epoch's records end (KIP-320).
//!
//! Nothing is ever truncated here, so the answer is never "unknown": a client that is told so starts over.

use super::context::Context;
use crate::types::LeaderEpoch;
use crate::wire::ErrorCode;
use crate::wire::messages::offset_for_leader_epoch_request::OffsetForLeaderPartition;
use crate::wire::messages::offset_for_leader_epoch_response::{EpochEndOffset, OffsetForLeaderTopicResult};
use crate::wire::messages::{OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse};

/// Answers the request.
pub async fn handle(context: &Context, request: OffsetForLeaderEpochRequest) -> OffsetForLeaderEpochResponse {
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for wanted in &topic.partitions {
            let response = EpochEndOffset::default().with_partition(wanted.partition);
            partitions.push(match end_of_epoch(context, &topic.topic, wanted).await {
                Ok((epoch, end)) => response.with_leader_epoch(epoch.0).with_end_offset(end),
                Err(code) => response.with_error_code(code.code()).with_leader_epoch(-1).with_end_offset(-1),
            });
        }
        topics
            .push(OffsetForLeaderTopicResult::default().with_topic(topic.topic).with_partitions(partitions));
    }
    OffsetForLeaderEpochResponse::default().with_topics(topics)
}

async fn end_of_epoch(
    context: &Context,
    topic: &str,
    wanted: &OffsetForLeaderPartition,
) -> Result<(LeaderEpoch, i64), ErrorCode> {
    let topic = context.topic_by_name(topic).await?;
    let partition = context.partition(&topic, wanted.partition)?;
    context.check_leader_epoch(&partition, wanted.current_leader_epoch)?;
    context.confirm_ends(&partition).await?;
    let (epoch, end) = partition.end_of_epoch(LeaderEpoch(wanted.leader_epoch));
    Ok((epoch, end.get()))
}
