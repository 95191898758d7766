//! AddPartitionsToTxn, versions 0 to 5: a client adds partitions to its transaction; from version 4 on several
//! transactions at once, as brokers ask each other (KIP-890).

use super::context::Context;
use super::txn_error::{Fenced, code, producer};
use crate::txn::{AddPlaces, Place, Producer, TransactionVersion, Verify};
use crate::types::{PartitionIndex, TopicPartition};
use crate::wire::ErrorCode;
use crate::wire::messages::add_partitions_to_txn_request::{
    AddPartitionsToTxnTopic, AddPartitionsToTxnTransaction,
};
use crate::wire::messages::add_partitions_to_txn_response::{
    AddPartitionsToTxnPartitionResult, AddPartitionsToTxnResult, AddPartitionsToTxnTopicResult,
};
use crate::wire::messages::{AddPartitionsToTxnRequest, AddPartitionsToTxnResponse};

/// From here on a request names several transactions.
const MANY_VERSION: i16 = 4;

/// One partition of a request, and where it is.
type Found = Result<TopicPartition, ErrorCode>;

/// Answers the request, transaction by transaction.
pub async fn handle(
    context: &Context,
    request: AddPartitionsToTxnRequest,
    api_version: i16,
) -> AddPartitionsToTxnResponse {
    let response = AddPartitionsToTxnResponse::default();
    if api_version >= MANY_VERSION {
        let mut results = Vec::with_capacity(request.transactions.len());
        for transaction in request.transactions {
            let transactional_id = transaction.transactional_id.clone();
            let topics = of_transaction(context, transaction, Fenced::Known).await;
            let result = AddPartitionsToTxnResult::default().with_transactional_id(transactional_id);
            results.push(result.with_topic_results(topics));
        }
        return response.with_results_by_transaction(results);
    }
    let only = AddPartitionsToTxnTransaction::default()
        .with_transactional_id(request.v3_and_below_transactional_id)
        .with_producer_id(request.v3_and_below_producer_id)
        .with_producer_epoch(request.v3_and_below_producer_epoch)
        .with_topics(request.v3_and_below_topics);
    let topics = of_transaction(context, only, Fenced::since(2, api_version)).await;
    response.with_results_by_topic_v3_and_below(topics)
}

async fn of_transaction(
    context: &Context,
    transaction: AddPartitionsToTxnTransaction,
    fenced: Fenced,
) -> Vec<AddPartitionsToTxnTopicResult> {
    let producer = producer(transaction.producer_id, transaction.producer_epoch);
    let found = find(context, &transaction.topics).await;
    let transactional_id = transaction.transactional_id.as_str();
    let codes = if transaction.verify_only {
        verify(context, transactional_id, producer, &found, fenced).await
    } else {
        add(context, transactional_id, producer, &found, fenced).await
    };
    let mut codes = codes.into_iter();
    let results = transaction.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.into_iter().map(|index| {
            AddPartitionsToTxnPartitionResult::default()
                .with_partition_index(index)
                .with_partition_error_code(codes.next().flatten().map_or(0, |code| code.code()))
        });
        let partitions = partitions.collect();
        AddPartitionsToTxnTopicResult::default().with_name(topic.name).with_results_by_partition(partitions)
    });
    results.collect()
}

async fn find(context: &Context, topics: &[AddPartitionsToTxnTopic]) -> Vec<Found> {
    let mut found = Vec::new();
    for wanted in topics {
        let topic = context.topic_for_coordinator(&wanted.name).await;
        found.extend(wanted.partitions.iter().map(|index| {
            let topic = topic.as_ref().map_err(|code| *code)?;
            let partition = PartitionIndex(*index);
            let topic_partition = TopicPartition { topic_id: topic.id, partition };
            if topic.has(partition) { Ok(topic_partition) } else { Err(ErrorCode::UnknownTopicOrPartition) }
        }));
    }
    found
}

/// All are added, or none: then those that could have been are answered as not tried.
async fn add(
    context: &Context,
    transactional_id: &str,
    producer: Producer,
    found: &[Found],
    fenced: Fenced,
) -> Vec<Option<ErrorCode>> {
    if found.iter().any(Result::is_err) {
        let code = |found: &Found| Some(found.err().unwrap_or(ErrorCode::OperationNotAttempted));
        return found.iter().map(code).collect();
    }
    let places = found.iter().flatten().map(|partition| Place::Partition(*partition)).collect();
    let add = AddPlaces { producer, places, transaction_version: TransactionVersion::One };
    let added = context.transactions.call(transactional_id, add).await;
    let outcome = added.err().map(|error| code(error, fenced));
    vec![outcome; found.len()]
}

async fn verify(
    context: &Context,
    transactional_id: &str,
    producer: Producer,
    found: &[Found],
    fenced: Fenced,
) -> Vec<Option<ErrorCode>> {
    let mut codes = Vec::with_capacity(found.len());
    for found in found {
        codes.push(match found {
            Err(code) => Some(*code),
            Ok(partition) => {
                let verify = Verify { producer, place: Place::Partition(*partition) };
                let verified = context.transactions.call(transactional_id, verify).await;
                verified.err().map(|error| code(error, fenced))
            }
        });
    }
    codes
}
