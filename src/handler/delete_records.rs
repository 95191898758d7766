//! DeleteRecords, versions 0 to 2: the log of a partition begins at a later offset from now on (KIP-107).

use super::context::Context;
use crate::archive::ArchiveError;
use crate::types::{Offset, PartitionIndex, TopicPartition};
use crate::wire::ErrorCode;
use crate::wire::messages::delete_records_request::DeleteRecordsPartition;
use crate::wire::messages::delete_records_response::{
    DeleteRecordsPartitionResult, DeleteRecordsTopicResult,
};
use crate::wire::messages::{DeleteRecordsRequest, DeleteRecordsResponse};
use std::time::Duration;
use tokio::time::Instant;

/// Up to the high watermark.
const ALL: i64 = -1;
/// Where nothing was deleted.
const NO_WATERMARK: i64 = -1;

/// The archiver, which does it, may be at other work: it is waited for as long as the client says, within these.
const PATIENCE_MIN: Duration = Duration::from_secs(1);
const PATIENCE_MAX: Duration = Duration::from_secs(60);

/// Answers the request, partition by partition.
pub async fn handle(context: &Context, request: DeleteRecordsRequest) -> DeleteRecordsResponse {
    let patience = Duration::from_millis(request.timeout_ms.max(0).unsigned_abs().into());
    let deadline = Instant::now() + patience.clamp(PATIENCE_MIN, PATIENCE_MAX);
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for wanted in &topic.partitions {
            let result = DeleteRecordsPartitionResult::default().with_partition_index(wanted.partition_index);
            let deleted = tokio::time::timeout_at(deadline, delete(context, &topic.name, wanted)).await;
            // It may be done yet.
            partitions.push(match deleted.unwrap_or(Err(ErrorCode::RequestTimedOut)) {
                Ok(log_start_offset) => result.with_low_watermark(log_start_offset.get()),
                Err(code) => result.with_low_watermark(NO_WATERMARK).with_error_code(code.code()),
            });
        }
        topics.push(DeleteRecordsTopicResult::default().with_name(topic.name).with_partitions(partitions));
    }
    DeleteRecordsResponse::default().with_topics(topics)
}

async fn delete(context: &Context, name: &str, wanted: &DeleteRecordsPartition) -> Result<Offset, ErrorCode> {
    let topic = context.topic_by_name(name).await?;
    let partition = context.partition(&topic, wanted.partition_index)?;
    if topic.settings.cleanup_policy.compact && !topic.settings.cleanup_policy.delete {
        return Err(ErrorCode::PolicyViolation);
    }
    let offset = match wanted.offset {
        ALL => partition.ends().high_watermark,
        offset => Offset(offset),
    };
    let topic_partition =
        TopicPartition { topic_id: topic.id, partition: PartitionIndex(wanted.partition_index) };
    context.archive.delete_records(topic_partition, offset).await.map_err(|error| {
        tracing::warn!(topic = name, partition = wanted.partition_index, %error, "records were not deleted");
        match error {
            ArchiveError::OutOfRange(_) => ErrorCode::OffsetOutOfRange,
            ArchiveError::UnknownPartition => ErrorCode::UnknownTopicOrPartition,
            ArchiveError::Closed | ArchiveError::Changed => ErrorCode::NotLeaderOrFollower,
            _ => ErrorCode::KafkaStorageError,
        }
    })
}
