//! ListOffsets, versions 1 to 10: the ends of a partition, and offsets by time.

use super::context::Context;
use super::fetch::isolation;
use crate::hashing::HashSet;
use crate::log::{FoundOffset, IsolationLevel, Partition, ReadError, TimeQuery};
use crate::types::Timestamp;
use crate::wire::ErrorCode;
use crate::wire::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use crate::wire::messages::list_offsets_response::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse};
use crate::wire::messages::{ListOffsetsRequest, ListOffsetsResponse};

const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
/// The record with the greatest timestamp (KIP-734), from version 7.
const MAX_TIMESTAMP: i64 = -3;
/// First offset that is on the broker's own disk (KIP-405), from version 8: here the first of all.
const EARLIEST_LOCAL: i64 = -4;
/// Last offset in the remote tier (KIP-1005), from version 9: there are no tiers here, so there is none.
const LATEST_TIERED: i64 = -5;

/// What a partition's part is answered with.
type Found = Result<Option<FoundOffset>, ErrorCode>;

/// Answers the request.
pub async fn handle(context: &Context, request: ListOffsetsRequest, api_version: i16) -> ListOffsetsResponse {
    // Version 2 brought it; the others read what is there.
    let isolation = isolation(request.isolation_level);
    let twice = named_twice(&request.topics);
    let mut answers = Vec::with_capacity(request.topics.len());
    for topic in &request.topics {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for wanted in &topic.partitions {
            let found = if twice.contains(&(topic.name.as_str(), wanted.partition_index)) {
                Err(ErrorCode::InvalidRequest)
            } else {
                look_up(context, (&topic.name, wanted), isolation, api_version).await
            };
            partitions.push(answer(wanted.partition_index, found, api_version));
        }
        answers.push(partitions);
    }
    let names = request.topics.iter().map(|topic| topic.name.clone());
    let topics = names.zip(answers).map(|(name, partitions)| {
        ListOffsetsTopicResponse::default().with_name(name).with_partitions(partitions)
    });
    ListOffsetsResponse::default().with_topics(topics.collect())
}

fn named_twice(topics: &[ListOffsetsTopic]) -> HashSet<(&str, i32)> {
    let all = topics.iter().flat_map(|topic| {
        topic.partitions.iter().map(|partition| (topic.name.as_str(), partition.partition_index))
    });
    let mut seen = HashSet::default();
    all.filter(|partition| !seen.insert(*partition)).collect()
}

fn answer(partition_index: i32, found: Found, api_version: i16) -> ListOffsetsPartitionResponse {
    let response = ListOffsetsPartitionResponse::default().with_partition_index(partition_index);
    let unknown = response.clone().with_offset(-1).with_timestamp(-1).with_leader_epoch(-1);
    match found {
        Err(code) => unknown.with_error_code(code.code()),
        Ok(None) => unknown,
        Ok(Some(found)) => response
            .with_offset(found.offset.get())
            .with_timestamp(found.timestamp.get())
            // Version 4 brought it.
            .with_leader_epoch(if api_version >= 4 { found.leader_epoch.0 } else { -1 }),
    }
}

async fn look_up(
    context: &Context,
    (topic, wanted): (&str, &ListOffsetsPartition),
    isolation: IsolationLevel,
    api_version: i16,
) -> Found {
    let topic = context.topic_by_name(topic).await?;
    let partition = context.partition(&topic, wanted.partition_index)?;
    context.check_leader_epoch(&partition, wanted.current_leader_epoch)?;
    context.confirm_ends(&partition).await?;
    let end = |offset| {
        let leader_epoch = partition.epoch_at(offset).unwrap_or(partition.leader_epoch());
        Ok(Some(FoundOffset { offset, timestamp: Timestamp::NONE, leader_epoch }))
    };
    let ends = partition.ends();
    let readable_end = match isolation {
        IsolationLevel::ReadUncommitted => ends.high_watermark,
        IsolationLevel::ReadCommitted => ends.last_stable_offset,
    };
    // Who reads what is committed is not sent to where it ends or beyond.
    let find = async |query| {
        let found = find(context, &partition, query).await?;
        Ok(found.filter(|found| found.offset < readable_end))
    };
    match wanted.timestamp {
        LATEST => end(readable_end),
        EARLIEST => end(ends.log_start_offset),
        EARLIEST_LOCAL if api_version >= 8 => end(ends.log_start_offset),
        LATEST_TIERED if api_version >= 9 => Ok(None),
        MAX_TIMESTAMP if api_version >= 7 => find(TimeQuery::Latest).await,
        target if target >= 0 => find(TimeQuery::AtOrAfter(Timestamp(target))).await,
        _ => Err(ErrorCode::UnsupportedVersion),
    }
}

async fn find(context: &Context, partition: &Partition, query: TimeQuery) -> Found {
    context.reader.find(partition, query).await.map_err(|error| match error {
        ReadError::Unavailable(_) => ErrorCode::KafkaStorageError,
        ReadError::Missing(_) | ReadError::Damaged(_) => ErrorCode::CorruptMessage,
    })
}
