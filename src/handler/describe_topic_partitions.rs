//! DescribeTopicPartitions, version 0: topics in pages (KIP-966).

use super::brokers::Brokers;
use super::context::Context;
use super::{ConnectionInfo, authorized};
use crate::topic::Topic;
use crate::types::{PartitionIndex, TopicName, TopicPartition};
use crate::wire::messages::describe_topic_partitions_response::{
    Cursor, DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic,
};
use crate::wire::messages::{
    self, BrokerId, DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse,
};
use crate::wire::{ErrorCode, StrBytes};
use std::collections::BTreeSet;

const NOBODY: BrokerId = BrokerId(-1);
/// Kafka's `max.request.partition.size.limit`.
const PARTITIONS_MAX: i32 = 2000;

/// Answers the request: topics in the order of their names, from the cursor on, until a page is full.
pub async fn handle(
    context: &Context,
    request: DescribeTopicPartitionsRequest,
    client_id: Option<&str>,
    connection: &ConnectionInfo,
) -> DescribeTopicPartitionsResponse {
    let brokers = Brokers::of(context, connection).for_client(client_id);
    let mut left = request.response_partition_limit.clamp(1, PARTITIONS_MAX);
    let from = request.cursor.map(|cursor| (cursor.topic_name.to_string(), cursor.partition_index.max(0)));
    let mut response = DescribeTopicPartitionsResponse::default();
    for name in names(context, &request.topics, from.as_ref().map(|(name, _)| name)) {
        if left <= 0 {
            return response.with_next_cursor(Some(cursor(&name, 0)));
        }
        let first = match &from {
            Some((cursor, partition)) if *cursor == name => *partition,
            _ => 0,
        };
        let topic = match find(context, &name).await {
            Ok(topic) => topic,
            Err(code) => {
                response.topics.push(refuse(&name, code));
                continue;
            }
        };
        // A cursor may be of a topic of the same name that had more.
        let first = first.min(topic.partitions);
        let end = topic.partitions.min(first.saturating_add(left));
        response.topics.push(describe(&brokers, &topic, first..end));
        left -= end - first;
        if end < topic.partitions {
            return response.with_next_cursor(Some(cursor(&name, end)));
        }
    }
    response
}

/// What is asked for, sorted and from the cursor on; nothing asked for is everything.
fn names(
    context: &Context,
    wanted: &[messages::describe_topic_partitions_request::TopicRequest],
    from: Option<&String>,
) -> Vec<String> {
    let names: BTreeSet<String> = if wanted.is_empty() {
        context.catalog.all().iter().map(|topic| topic.name.to_string()).collect()
    } else {
        wanted.iter().map(|topic| topic.name.to_string()).collect()
    };
    names.into_iter().filter(|name| from.is_none_or(|from| name >= from)).collect()
}

async fn find(context: &Context, name: &str) -> Result<std::sync::Arc<Topic>, ErrorCode> {
    TopicName::parse(name).map_err(|_| ErrorCode::InvalidTopicException)?;
    context.topic_by_name(name).await
}

fn wire_name(name: &str) -> messages::TopicName {
    messages::TopicName(StrBytes::from_string(name.to_owned()))
}

fn cursor(name: &str, partition: i32) -> Cursor {
    Cursor::default().with_topic_name(wire_name(name)).with_partition_index(partition)
}

fn refuse(name: &str, code: ErrorCode) -> DescribeTopicPartitionsResponseTopic {
    DescribeTopicPartitionsResponseTopic::default()
        .with_error_code(code.code())
        .with_name(Some(wire_name(name)))
        .with_topic_authorized_operations(authorized::NOT_ASKED)
}

fn describe(
    brokers: &Brokers,
    topic: &Topic,
    range: std::ops::Range<i32>,
) -> DescribeTopicPartitionsResponseTopic {
    let partition = |index| {
        let partition = TopicPartition { topic_id: topic.id, partition: PartitionIndex(index) };
        let answer = DescribeTopicPartitionsResponsePartition::default()
            .with_partition_index(index)
            .with_leader_epoch(brokers.leader_epoch())
            .with_eligible_leader_replicas(Some(Vec::new()))
            .with_last_known_elr(Some(Vec::new()));
        match brokers.leader(partition).map(|leader| BrokerId(leader.0)) {
            Some(leader) => {
                let replicas: Vec<_> = brokers.replicas(partition).iter().map(|id| BrokerId(id.0)).collect();
                answer.with_leader_id(leader).with_isr_nodes(replicas.clone()).with_replica_nodes(replicas)
            }
            None => answer.with_error_code(ErrorCode::LeaderNotAvailable.code()).with_leader_id(NOBODY),
        }
    };
    DescribeTopicPartitionsResponseTopic::default()
        .with_name(Some(wire_name(topic.name.as_str())))
        .with_topic_id(topic.id.0)
        .with_partitions(range.map(partition).collect())
        .with_topic_authorized_operations(authorized::on_topic(true))
}
