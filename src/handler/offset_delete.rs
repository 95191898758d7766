//! OffsetDelete, version 0: committed offsets of topics that nobody in the group reads are forgotten (KIP-496).

use super::context::Context;
use super::group_error::{code, code_of, group_to_join};
use crate::group::{DeleteOffsets, GroupError};
use crate::types::PartitionIndex;
use crate::wire::ErrorCode;
use crate::wire::messages::offset_delete_response::{
    OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
};
use crate::wire::messages::{OffsetDeleteRequest, OffsetDeleteResponse};

/// Answers the request, partition by partition.
pub async fn handle(context: &Context, request: OffsetDeleteRequest) -> OffsetDeleteResponse {
    let mut partitions = Vec::new();
    let mut known = Vec::with_capacity(request.topics.len());
    for wanted in &request.topics {
        let topic = context.topic_by_name(&wanted.name).await;
        let of_topic = wanted.partitions.iter().map(|partition| {
            let index = PartitionIndex(partition.partition_index);
            let topic = topic.as_ref().map_err(|code| *code)?;
            if !topic.has(index) {
                return Err(ErrorCode::UnknownTopicOrPartition);
            }
            partitions.push((topic.name.clone(), topic.id, index));
            Ok(())
        });
        known.push(of_topic.collect::<Vec<_>>());
    }
    let deleted = match delete(context, &request.group_id, partitions).await {
        Ok(deleted) => deleted,
        Err(error) => return OffsetDeleteResponse::default().with_error_code(code(&error).code()),
    };
    let mut deleted = deleted.into_iter();
    let topics = request.topics.into_iter().zip(known).map(|(topic, known)| {
        let partitions = topic.partitions.iter().zip(known).map(|(partition, known)| {
            let error_code = match known {
                Ok(()) => code_of(&deleted.next().unwrap_or(Ok(()))),
                Err(code) => code.code(),
            };
            OffsetDeleteResponsePartition::default()
                .with_partition_index(partition.partition_index)
                .with_error_code(error_code)
        });
        let partitions = partitions.collect();
        OffsetDeleteResponseTopic::default().with_name(topic.name.clone()).with_partitions(partitions)
    });
    OffsetDeleteResponse::default().with_topics(topics.collect())
}

async fn delete(
    context: &Context,
    group: &str,
    partitions: Vec<(crate::types::TopicName, crate::types::TopicId, PartitionIndex)>,
) -> Result<Vec<Result<(), GroupError>>, GroupError> {
    context.groups.call(&group_to_join(group)?, DeleteOffsets { partitions }).await
}
