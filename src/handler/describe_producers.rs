//! DescribeProducers, version 0: the idempotent producers that a partition remembers, and what transactions they
//! have open there (KIP-664).

use super::context::Context;
use crate::log::ActiveProducer;
use crate::types::Offset;
use crate::wire::ErrorCode;
use crate::wire::messages::describe_producers_response::{PartitionResponse, ProducerState, TopicResponse};
use crate::wire::messages::{DescribeProducersRequest, DescribeProducersResponse, ProducerId};

/// Answers the request.
pub async fn handle(context: &Context, request: DescribeProducersRequest) -> DescribeProducersResponse {
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let mut partitions = Vec::with_capacity(topic.partition_indexes.len());
        for index in &topic.partition_indexes {
            let response = PartitionResponse::default().with_partition_index(*index);
            partitions.push(match producers(context, &topic.name, *index).await {
                Ok(producers) => response.with_active_producers(producers.into_iter().map(state).collect()),
                Err(code) => response.with_error_code(code.code()),
            });
        }
        topics.push(TopicResponse::default().with_name(topic.name).with_partitions(partitions));
    }
    DescribeProducersResponse::default().with_topics(topics)
}

async fn producers(context: &Context, topic: &str, index: i32) -> Result<Vec<ActiveProducer>, ErrorCode> {
    let topic = context.topic_by_name(topic).await?;
    let partition = context.partition(&topic, index)?;
    Ok(partition.active_producers(context.clock.now()))
}

fn state(producer: ActiveProducer) -> ProducerState {
    ProducerState::default()
        .with_producer_id(ProducerId(producer.producer_id.0))
        .with_producer_epoch(i32::from(producer.producer_epoch.0))
        .with_last_sequence(producer.last_sequence)
        .with_last_timestamp(producer.last_timestamp.get())
        .with_coordinator_epoch(producer.coordinator_view.0)
        .with_current_txn_start_offset(producer.open_from.map_or(-1, Offset::get))
}
