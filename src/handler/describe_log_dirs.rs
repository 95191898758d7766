//! DescribeLogDirs, versions 1 to 4: how much each partition holds. There is one log directory: the store.

use super::context::Context;
use crate::topic::Topic;
use crate::wire::StrBytes;
use crate::wire::messages::describe_log_dirs_response::{
    DescribeLogDirsPartition, DescribeLogDirsResult, DescribeLogDirsTopic,
};
use crate::wire::messages::{DescribeLogDirsRequest, DescribeLogDirsResponse, TopicName};
use std::sync::Arc;

/// The size of the store is not known.
const UNKNOWN_BYTES: i64 = -1;

/// Answers the request; no list of topics means all of them, and what is not there is left out.
pub fn handle(context: &Context, request: DescribeLogDirsRequest) -> DescribeLogDirsResponse {
    let topics: Vec<_> = match request.topics {
        None => {
            let all = context.catalog.all();
            all.iter()
                .map(|topic| describe(context, topic, &(0..topic.partitions).collect::<Vec<_>>()))
                .collect()
        }
        Some(wanted) => {
            let found = wanted.iter().filter_map(|wanted| {
                let topic: Arc<Topic> = context.catalog.by_name(&wanted.topic)?;
                Some(describe(context, &topic, &wanted.partitions))
            });
            found.collect()
        }
    };
    let result = DescribeLogDirsResult::default()
        .with_log_dir(StrBytes::from_string(context.config.store.to_string()))
        .with_topics(topics)
        .with_total_bytes(UNKNOWN_BYTES)
        .with_usable_bytes(UNKNOWN_BYTES);
    DescribeLogDirsResponse::default().with_results(vec![result])
}

fn describe(context: &Context, topic: &Topic, wanted: &[i32]) -> DescribeLogDirsTopic {
    let partitions = wanted.iter().filter_map(|index| {
        let partition = context.partition(topic, *index).ok()?;
        let bytes = i64::try_from(partition.bytes()).unwrap_or(i64::MAX);
        Some(DescribeLogDirsPartition::default().with_partition_index(*index).with_partition_size(bytes))
    });
    DescribeLogDirsTopic::default()
        .with_name(TopicName(StrBytes::from_string(topic.name.to_string())))
        .with_partitions(partitions.collect())
}
