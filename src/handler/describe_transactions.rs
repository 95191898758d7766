//! DescribeTransactions, version 0 (KIP-664).

use super::context::Context;
use super::group_error::text;
use super::txn_error::{Fenced, code};
use crate::txn::{Describe, Place, TransactionView};
use crate::types::TopicId;
use crate::wire::StrBytes;
use crate::wire::messages::describe_transactions_response::{TopicData, TransactionState};
use crate::wire::messages::{
    DescribeTransactionsRequest, DescribeTransactionsResponse, ProducerId, TopicName,
};

/// Answers the request, transactional id by transactional id.
pub async fn handle(context: &Context, request: DescribeTransactionsRequest) -> DescribeTransactionsResponse {
    let mut states = Vec::with_capacity(request.transactional_ids.len());
    for transactional_id in request.transactional_ids {
        let described = context.transactions.call(&transactional_id, Describe).await;
        let state = TransactionState::default().with_transactional_id(transactional_id);
        states.push(match described {
            Ok(view) => found(context, state, &view),
            Err(error) => state
                .with_error_code(code(error, Fenced::Known).code())
                .with_producer_id(ProducerId(-1))
                .with_producer_epoch(-1)
                .with_transaction_start_time_ms(-1),
        });
    }
    DescribeTransactionsResponse::default().with_transaction_states(states)
}

fn found(context: &Context, state: TransactionState, view: &TransactionView) -> TransactionState {
    state
        .with_transaction_state(StrBytes::from_static_str(view.state.name()))
        .with_transaction_timeout_ms(i32::try_from(view.timeout_ms).unwrap_or(i32::MAX))
        .with_transaction_start_time_ms(view.started_at.map_or(-1, |at| at.0))
        .with_producer_id(ProducerId(view.producer.id.0))
        .with_producer_epoch(view.producer.epoch.0)
        .with_topics(topics(context, &view.places))
}

/// Partitions by topic; a topic that is gone is left out.
fn topics(context: &Context, places: &[Place]) -> Vec<TopicData> {
    let mut topics: Vec<(TopicId, TopicData)> = Vec::new();
    for place in places {
        let Place::Partition(partition) = place else { continue };
        let (topic_id, index) = (partition.topic_id, partition.partition.0);
        match topics.last_mut().filter(|(last, _)| *last == topic_id) {
            Some((_, topic)) => topic.partitions.push(index),
            None => {
                let Some(known) = context.catalog.by_id(topic_id) else { continue };
                let topic = TopicData::default().with_topic(TopicName(text(&known.name)));
                topics.push((topic_id, topic.with_partitions(vec![index])));
            }
        }
    }
    topics.into_iter().map(|(_, topic)| topic).collect()
}
