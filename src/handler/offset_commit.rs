//! OffsetCommit, versions 2 to 9: where a group goes on reading.

use super::context::Context;
use super::group_error::{code, group, instance, member};
use crate::group::classic::CommitIdentity;
use crate::group::{CommitKind, CommitOffsets, CommittedOffset};
use crate::topic::Topic;
use crate::types::{Offset, PartitionIndex, Timestamp};
use crate::wire::ErrorCode;
use crate::wire::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use crate::wire::messages::offset_commit_response::{
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use crate::wire::messages::{OffsetCommitRequest, OffsetCommitResponse};

/// Answers the request; what can be committed is committed together.
pub async fn handle(
    context: &Context,
    request: OffsetCommitRequest,
    api_version: i16,
) -> OffsetCommitResponse {
    let by = CommitIdentity {
        member_id: member(&request.member_id),
        group_instance_id: instance(request.group_instance_id.as_ref()),
        generation_id: request.generation_id_or_member_epoch,
    };
    let mut offsets = Vec::new();
    let mut refusals = Vec::with_capacity(request.topics.len());
    for topic in &request.topics {
        let refused = sort_out(context, topic, &mut offsets).await;
        refusals.push(refused);
    }
    let kind = CommitKind::Plain { api_version };
    let committed = match group(&request.group_id) {
        Ok(_) if offsets.is_empty() => Ok(()),
        Ok(group_id) => context.groups.call(&group_id, CommitOffsets { by, kind, offsets }).await,
        Err(error) => Err(error),
    };
    let outcome = committed.err().map(|error| code(&error));
    let topics = request.topics.into_iter().zip(refusals).map(|(topic, refused)| {
        let partitions = topic.partitions.iter().zip(refused).map(|(partition, refused)| {
            let error = refused.or(outcome).map_or(0, |code| code.code());
            OffsetCommitResponsePartition::default()
                .with_partition_index(partition.partition_index)
                .with_error_code(error)
        });
        let partitions = partitions.collect();
        OffsetCommitResponseTopic::default().with_name(topic.name).with_partitions(partitions)
    });
    OffsetCommitResponse::default().with_topics(topics.collect())
}

/// Takes what can be committed of a topic; says of each partition why it cannot.
async fn sort_out(
    context: &Context,
    wanted: &OffsetCommitRequestTopic,
    offsets: &mut Vec<(crate::types::TopicId, PartitionIndex, CommittedOffset)>,
) -> Vec<Option<ErrorCode>> {
    let topic = match context.topic_for_coordinator(&wanted.name).await {
        Ok(topic) => topic,
        Err(code) => return wanted.partitions.iter().map(|_| Some(code)).collect(),
    };
    let now = context.clock.now();
    let metadata_max = context.groups.config().offset_metadata_bytes_max;
    let mut take = |partition: &OffsetCommitRequestPartition| {
        let index = PartitionIndex(partition.partition_index);
        check(&topic, index, partition.committed_metadata.as_deref(), metadata_max).err().or_else(|| {
            offsets.push((topic.id, index, committed(partition, now)));
            None
        })
    };
    wanted.partitions.iter().map(&mut take).collect()
}

/// Whether that offset can be committed at all.
pub fn check(
    topic: &Topic,
    index: PartitionIndex,
    metadata: Option<&str>,
    metadata_max: usize,
) -> Result<(), ErrorCode> {
    if !topic.has(index) {
        return Err(ErrorCode::UnknownTopicOrPartition);
    }
    match metadata {
        Some(text) if text.len() > metadata_max => Err(ErrorCode::OffsetMetadataTooLarge),
        _ => Ok(()),
    }
}

fn committed(partition: &OffsetCommitRequestPartition, now: Timestamp) -> CommittedOffset {
    CommittedOffset {
        offset: Offset(partition.committed_offset),
        leader_epoch: partition.committed_leader_epoch,
        metadata: partition.committed_metadata.as_ref().map(ToString::to_string).unwrap_or_default(),
        committed_at: now,
    }
}
