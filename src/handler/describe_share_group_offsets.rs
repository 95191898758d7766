//! DescribeShareGroupOffsets, version 0: where share groups start in each partition (KIP-932).

use super::context::Context;
use super::group_error::{code, group, text};
use super::share_group_describe::describe;
use crate::group::GroupError;
use crate::group::share::StoredSharePartition;
use crate::types::{PartitionIndex, TopicPartition};
use crate::wire::ErrorCode;
use crate::wire::messages::describe_share_group_offsets_request::{
    DescribeShareGroupOffsetsRequestGroup as Group, DescribeShareGroupOffsetsRequestTopic as Topic,
};
use crate::wire::messages::describe_share_group_offsets_response::{
    DescribeShareGroupOffsetsResponseGroup as DescribedGroup,
    DescribeShareGroupOffsetsResponsePartition as DescribedPartition,
    DescribeShareGroupOffsetsResponseTopic as DescribedTopic,
};
use crate::wire::messages::{DescribeShareGroupOffsetsRequest, DescribeShareGroupOffsetsResponse, TopicName};
use std::collections::BTreeMap;

/// Where a group starts that has not fetched yet.
const NOT_STARTED: i64 = -1;

/// What is stored of a group, by partition.
type Stored = BTreeMap<TopicPartition, StoredSharePartition>;

/// Answers the request, group by group.
pub async fn handle(
    context: &Context,
    request: DescribeShareGroupOffsetsRequest,
) -> DescribeShareGroupOffsetsResponse {
    let mut groups = Vec::with_capacity(request.groups.len());
    for wanted in request.groups {
        let described = DescribedGroup::default().with_group_id(wanted.group_id.clone());
        groups.push(match stored(context, &wanted).await {
            Ok(stored) => described.with_topics(topics(context, &wanted, &stored)),
            Err(error) => {
                described.with_error_code(code(&error).code()).with_error_message(Some(text(error)))
            }
        });
    }
    DescribeShareGroupOffsetsResponse::default().with_groups(groups)
}

async fn stored(context: &Context, wanted: &Group) -> Result<Stored, GroupError> {
    describe(context, &wanted.group_id).await?;
    let stored = context.groups.delivery().stored(&group(&wanted.group_id)?).await;
    stored.map_err(|_| GroupError::CoordinatorNotAvailable)
}

fn topics(context: &Context, wanted: &Group, stored: &Stored) -> Vec<DescribedTopic> {
    match &wanted.topics {
        Some(topics) => topics.iter().map(|topic| topic_asked_for(context, topic, stored)).collect(),
        None => all_topics(context, stored),
    }
}

fn topic_asked_for(context: &Context, wanted: &Topic, stored: &Stored) -> DescribedTopic {
    let described = DescribedTopic::default().with_topic_name(wanted.topic_name.clone());
    let Some(topic) = context.catalog.by_name(&wanted.topic_name) else {
        let unknown = |index: &i32| {
            DescribedPartition::default()
                .with_partition_index(*index)
                .with_error_code(ErrorCode::UnknownTopicOrPartition.code())
                .with_error_message(Some(text(ErrorCode::UnknownTopicOrPartition)))
        };
        return described.with_partitions(wanted.partitions.iter().map(unknown).collect());
    };
    let partitions = wanted.partitions.iter().map(|index| {
        let place = TopicPartition { topic_id: topic.id, partition: PartitionIndex(*index) };
        partition(place.partition, stored.get(&place))
    });
    described.with_topic_id(topic.id.0).with_partitions(partitions.collect())
}

/// A topic that was deleted is left out.
fn all_topics(context: &Context, stored: &Stored) -> Vec<DescribedTopic> {
    let mut topics: Vec<DescribedTopic> = Vec::new();
    for (place, stored) in stored {
        let Some(topic) = context.catalog.by_id(place.topic_id) else { continue };
        let described = partition(place.partition, Some(stored));
        match topics.last_mut().filter(|last| last.topic_id == topic.id.0) {
            Some(last) => last.partitions.push(described),
            None => topics.push(
                DescribedTopic::default()
                    .with_topic_name(TopicName(text(&topic.name)))
                    .with_topic_id(topic.id.0)
                    .with_partitions(vec![described]),
            ),
        }
    }
    topics
}

fn partition(index: PartitionIndex, stored: Option<&StoredSharePartition>) -> DescribedPartition {
    let start = stored.map_or(NOT_STARTED, |stored| stored.start_offset().get());
    DescribedPartition::default().with_partition_index(index.0).with_start_offset(start)
}
