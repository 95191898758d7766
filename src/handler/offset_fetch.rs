//! OffsetFetch, versions 1 to 9: where groups went on reading; from version 8 on several groups at once.

use super::context::Context;
use super::group_error::{code, group, member, text};
use crate::group::{FetchOffsets, FetchedOffset, FetchedOffsets, GroupError};
use crate::types::{PartitionIndex, TopicId};
use crate::wire::messages::offset_fetch_request::OffsetFetchRequestGroup;
use crate::wire::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions,
    OffsetFetchResponseTopic, OffsetFetchResponseTopics,
};
use crate::wire::messages::{OffsetFetchRequest, OffsetFetchResponse, TopicName};
use crate::wire::{ErrorCode, StrBytes};

/// From here on a request names several groups.
const MANY_GROUPS_VERSION: i16 = 8;
/// A partition without a committed offset.
const NONE: i64 = -1;

/// One topic of an answer.
struct FetchedTopic {
    name: TopicName,
    partitions: Vec<(i32, Result<FetchedOffset, ErrorCode>)>,
}

/// Answers the request, group by group.
pub async fn handle(context: &Context, request: OffsetFetchRequest, api_version: i16) -> OffsetFetchResponse {
    let response = OffsetFetchResponse::default();
    if api_version >= MANY_GROUPS_VERSION {
        let mut groups = Vec::with_capacity(request.groups.len());
        for of_group in request.groups {
            let group_id = of_group.group_id.clone();
            let answer = OffsetFetchResponseGroup::default().with_group_id(group_id);
            groups.push(match fetch(context, of_group, request.require_stable).await {
                Ok(topics) => answer.with_topics(topics.into_iter().map(topic_of_many).collect()),
                Err(error) => answer.with_error_code(code(&error).code()),
            });
        }
        return response.with_groups(groups);
    }
    let wanted = only_group(&request);
    match fetch(context, wanted.clone(), request.require_stable).await {
        Ok(topics) => response.with_topics(topics.into_iter().map(topic_of_one).collect()),
        Err(error) => refuse_all(response, wanted, code(&error), api_version),
    }
}

/// The request of an older version in the form of the newer ones.
fn only_group(request: &OffsetFetchRequest) -> OffsetFetchRequestGroup {
    let topics = request.topics.as_ref().map(|topics| {
        let topics = topics.iter().map(|topic| {
            crate::wire::messages::offset_fetch_request::OffsetFetchRequestTopics::default()
                .with_name(topic.name.clone())
                .with_partition_indexes(topic.partition_indexes.clone())
        });
        topics.collect()
    });
    OffsetFetchRequestGroup::default()
        .with_group_id(request.group_id.clone())
        .with_member_epoch(-1)
        .with_topics(topics)
}

/// Version 1 has no place for an error but the partitions.
fn refuse_all(
    response: OffsetFetchResponse,
    wanted: OffsetFetchRequestGroup,
    code: ErrorCode,
    api_version: i16,
) -> OffsetFetchResponse {
    if api_version >= 2 {
        return response.with_error_code(code.code());
    }
    let topics = wanted.topics.unwrap_or_default().into_iter().map(|topic| {
        let partitions = topic.partition_indexes.into_iter().map(|index| (index, Err(code))).collect();
        topic_of_one(FetchedTopic { name: topic.name, partitions })
    });
    response.with_topics(topics.collect())
}

async fn fetch(
    context: &Context,
    wanted: OffsetFetchRequestGroup,
    require_stable: bool,
) -> Result<Vec<FetchedTopic>, GroupError> {
    let group_id = group(&wanted.group_id)?;
    let mut asked = Vec::new();
    let mut topics = Vec::new();
    for topic in wanted.topics.iter().flatten() {
        let topic_id = match context.topic_for_coordinator(&topic.name).await {
            Ok(known) => Some(known.id),
            // Of a topic that is gone nothing is committed.
            Err(ErrorCode::UnknownTopicOrPartition) => None,
            // Nobody knows whether it is: who was told "nothing" would begin anew.
            Err(_) => return Err(GroupError::CoordinatorLoadInProgress),
        };
        let partitions = topic.partition_indexes.iter();
        if let Some(topic_id) = topic_id {
            asked.extend(partitions.clone().map(|index| (topic_id, PartitionIndex(*index))));
        }
        topics.push((topic.name.clone(), topic_id, topic.partition_indexes.clone()));
    }
    let request = FetchOffsets {
        member_id: wanted.member_id.as_deref().map(member),
        member_epoch: wanted.member_epoch,
        wanted: wanted.topics.is_some().then_some(asked),
        require_stable,
    };
    let fetched = context.groups.call(&group_id, request).await?;
    if wanted.topics.is_none() {
        return by_topic(context, fetched).await;
    }
    let mut fetched = fetched.into_iter().map(|(_, _, offset)| offset);
    let answer = |(name, topic_id, indexes): (TopicName, Option<TopicId>, Vec<i32>)| {
        let mut next = || match topic_id {
            Some(_) => fetched.next().unwrap_or(FetchedOffset::None),
            None => FetchedOffset::None,
        };
        let partitions = indexes.into_iter().map(|index| (index, Ok(next()))).collect();
        FetchedTopic { name, partitions }
    };
    Ok(topics.into_iter().map(answer).collect())
}

/// All that is committed; topics that are gone are left out.
async fn by_topic(context: &Context, fetched: FetchedOffsets) -> Result<Vec<FetchedTopic>, GroupError> {
    let mut topics: Vec<(TopicId, Option<FetchedTopic>)> = Vec::new();
    for (topic_id, partition, offset) in fetched {
        if topics.last().is_none_or(|(last, _)| *last != topic_id) {
            let topic = match context.topic_by_id(topic_id).await {
                Ok(known) => {
                    Some(FetchedTopic { name: TopicName(text(&known.name)), partitions: Vec::new() })
                }
                Err(ErrorCode::UnknownTopicId) => None,
                Err(_) => return Err(GroupError::CoordinatorLoadInProgress),
            };
            topics.push((topic_id, topic));
        }
        if let Some((_, Some(topic))) = topics.last_mut() {
            topic.partitions.push((partition.0, Ok(offset)));
        }
    }
    Ok(topics.into_iter().filter_map(|(_, topic)| topic).collect())
}

/// Offset, leader epoch, metadata, error.
fn fields(fetched: Result<FetchedOffset, ErrorCode>) -> (i64, i32, StrBytes, i16) {
    match fetched {
        Ok(FetchedOffset::Committed(committed)) => {
            (committed.offset.0, committed.leader_epoch, text(committed.metadata), 0)
        }
        Ok(FetchedOffset::None) => (NONE, -1, StrBytes::default(), 0),
        Ok(FetchedOffset::Unstable) => {
            (NONE, -1, StrBytes::default(), ErrorCode::UnstableOffsetCommit.code())
        }
        Err(code) => (NONE, -1, StrBytes::default(), code.code()),
    }
}

fn topic_of_one(topic: FetchedTopic) -> OffsetFetchResponseTopic {
    let partitions = topic.partitions.into_iter().map(|(index, fetched)| {
        let (offset, leader_epoch, metadata, error_code) = fields(fetched);
        OffsetFetchResponsePartition::default()
            .with_partition_index(index)
            .with_committed_offset(offset)
            .with_committed_leader_epoch(leader_epoch)
            .with_metadata(Some(metadata))
            .with_error_code(error_code)
    });
    OffsetFetchResponseTopic::default().with_name(topic.name).with_partitions(partitions.collect())
}

fn topic_of_many(topic: FetchedTopic) -> OffsetFetchResponseTopics {
    let partitions = topic.partitions.into_iter().map(|(index, fetched)| {
        let (offset, leader_epoch, metadata, error_code) = fields(fetched);
        OffsetFetchResponsePartitions::default()
            .with_partition_index(index)
            .with_committed_offset(offset)
            .with_committed_leader_epoch(leader_epoch)
            .with_metadata(Some(metadata))
            .with_error_code(error_code)
    });
    OffsetFetchResponseTopics::default().with_name(topic.name).with_partitions(partitions.collect())
}
