//! What clients see of transactions in a log.

use super::versions::{fetch, list_offsets, produce};
use super::world::{NOW, World, answered, code, decode, topic_name};
use crate::journal::Outcome;
use crate::limits::{MemoryBudget, MemoryPermit, Purpose};
use crate::log::{AppendError, BatchIdentity, Incoming, Marker, MarkerTaken, Partition};
use crate::topic::Topic;
use crate::types::{ProducerEpoch, ProducerId, Timestamp, TransactionOrdinal, Verdict, ViewNumber};
use crate::wire::ErrorCode;
use crate::wire::batch::{BatchBuilder, BatchHeader, Codec, ProducerStamp};
use crate::wire::messages::describe_producers_request::TopicRequest;
use crate::wire::messages::describe_producers_response::ProducerState;
use crate::wire::messages::fetch_response::PartitionData;
use crate::wire::messages::{DescribeProducersRequest, FetchResponse};
use bytes::Bytes;
use std::sync::Arc;

const BY_NAME: i16 = 12;
const PRODUCER: ProducerId = ProducerId(8);
const ALL: i8 = 0;
const COMMITTED: i8 = 1;
/// When the records of the transaction are from.
const LATER: Timestamp = Timestamp(NOW.0 + 1000);

/// Two records of a transaction.
fn batch() -> Bytes {
    let mut builder = BatchBuilder::new();
    for _ in 0..2 {
        builder.append(LATER, None, Some(b"value"), &[]);
    }
    let producer_epoch = ProducerEpoch(0);
    let stamp =
        ProducerStamp { producer_id: PRODUCER, producer_epoch, base_sequence: 0, transactional: true };
    builder.finish(Codec::None, stamp)
}

fn permit() -> Arc<MemoryPermit> {
    Arc::new(MemoryBudget::new(1 << 20).try_reserve(1, Purpose::Other).expect("free"))
}

/// A broker with three plain records at 0, and two of an open transaction at 3.
pub async fn world() -> (World, Arc<Topic>, Arc<Partition>) {
    let world = World::new().await;
    let topic = world.create("a", 1).await;
    let response = world.ask(BY_NAME, &produce(&topic, BY_NAME, -1)).await;
    assert_eq!(code(response.responses[0].partition_responses[0].error_code), None);
    let partition = world.context.partition(&topic, 0).expect("there");
    begin(&world, &partition).await;
    (world, topic, partition)
}

/// Two records of a transaction that stays open.
pub async fn begin(world: &World, partition: &Partition) {
    let header = BatchHeader::decode(&batch()).expect("just built");
    let identity = BatchIdentity {
        producer_id: PRODUCER,
        producer_epoch: header.producer_epoch,
        base_sequence: 0,
        record_count: 2,
    };
    let incoming = Incoming {
        batch: batch(),
        record_count: 2,
        max_timestamp: LATER,
        identity: Some(identity),
        attributes: header.attributes,
    };
    let append = |verified| {
        let (journal, incoming) = (&world.context.journal, incoming.clone());
        partition.append_in_transaction(journal, incoming, verified, &permit(), NOW)
    };
    let Err(AppendError::NeedsVerification(question)) = append(None) else { panic!("nothing is open") };
    let appended = append(Some(question.answered(TransactionOrdinal(1))));
    let mut ticket = appended.expect("the coordinator has said so").ticket;
    assert_eq!(ticket.settled().await, Outcome::Committed);
}

pub async fn end(world: &World, partition: &Partition, verdict: Verdict) {
    let marker = Marker {
        producer_id: PRODUCER,
        producer_epoch: ProducerEpoch(1),
        verdict,
        coordinator_view: ViewNumber(7),
        ordinal: TransactionOrdinal(1),
    };
    match partition.append_marker(&world.context.journal, marker, &permit(), NOW) {
        Ok(MarkerTaken::Written { mut ticket }) => assert_eq!(ticket.settled().await, Outcome::Committed),
        other => panic!("{other:?}"),
    }
}

async fn fetched(world: &World, topic: &Topic, offset: i64, isolation: i8) -> PartitionData {
    let request = fetch(topic, BY_NAME, offset).with_isolation_level(isolation);
    world.ask(BY_NAME, &request).await.responses.remove(0).partitions.remove(0)
}

/// Base offsets of the batches in an answer.
fn batches(partition: &PartitionData) -> Vec<i64> {
    let records = partition.records.clone().unwrap_or_default();
    crate::wire::batch::split(records).map(|batch| batch.expect("a batch").0.base_offset.0).collect()
}

fn aborted(partition: &PartitionData) -> Option<Vec<(i64, i64)>> {
    let aborted = partition.aborted_transactions.as_ref()?;
    Some(aborted.iter().map(|aborted| (aborted.producer_id.0, aborted.first_offset)).collect())
}

async fn listed(world: &World, topic: &Topic, timestamp: i64, isolation: i8) -> i64 {
    let request = list_offsets(topic, timestamp).with_isolation_level(isolation);
    world.ask(10, &request).await.topics[0].partitions[0].offset
}

async fn described(world: &World, topic: &Topic) -> ProducerState {
    let topic =
        TopicRequest::default().with_name(topic_name(topic.name.as_str())).with_partition_indexes(vec![0]);
    let request = DescribeProducersRequest::default().with_topics(vec![topic]);
    let mut response = world.ask(0, &request).await;
    response.topics[0].partitions[0].active_producers.remove(0)
}

#[tokio::test]
async fn readers_of_committed_records_see_nothing_of_an_open_transaction() {
    let (world, topic, _) = world().await;
    for (isolation, from, seen) in [
        (ALL, 0, vec![0, 3]),
        (ALL, 3, vec![3]),
        (COMMITTED, 0, vec![0]),
        (COMMITTED, 3, vec![]),
        (COMMITTED, 5, vec![]),
    ] {
        let partition = fetched(&world, &topic, from, isolation).await;
        assert_eq!(batches(&partition), seen, "isolation {isolation} from {from}");
        assert_eq!((partition.high_watermark, partition.last_stable_offset), (5, 3));
        assert_eq!(aborted(&partition), (isolation == COMMITTED).then(Vec::new));
    }
    let beyond = fetched(&world, &topic, 6, COMMITTED).await;
    assert_eq!(code(beyond.error_code), Some(ErrorCode::OffsetOutOfRange));
}

#[tokio::test]
async fn offsets_are_listed_up_to_where_the_reader_may_read() {
    let (world, topic, partition) = world().await;
    let (latest, max_timestamp, later) = (-1, -3, LATER.0);
    for (timestamp, isolation, offset) in [
        (latest, ALL, 5),
        (latest, COMMITTED, 3),
        (later, ALL, 3),
        (later, COMMITTED, -1),
        (max_timestamp, COMMITTED, -1),
    ] {
        assert_eq!(listed(&world, &topic, timestamp, isolation).await, offset, "{timestamp}, {isolation}");
    }
    end(&world, &partition, Verdict::Commit).await;
    assert_eq!(listed(&world, &topic, latest, COMMITTED).await, 6);
    assert_eq!(listed(&world, &topic, later, COMMITTED).await, 3);
}

#[tokio::test]
async fn a_long_poll_for_committed_records_waits_for_the_marker_and_is_told_what_was_aborted() {
    let (world, topic, partition) = world().await;
    let request = fetch(&topic, BY_NAME, 3).with_isolation_level(COMMITTED);
    let request = request.with_min_bytes(1).with_max_wait_ms(60_000);
    let waiting = tokio::spawn(answered(world.admit(BY_NAME, &request).await));
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    end(&world, &partition, Verdict::Abort).await;
    let mut response: FetchResponse = decode(waiting.await.expect("no panic"), BY_NAME);
    let answer = response.responses.remove(0).partitions.remove(0);
    assert_eq!(batches(&answer), [3, 5]);
    assert_eq!(aborted(&answer), Some(vec![(PRODUCER.0, 3)]));
    assert_eq!(answer.last_stable_offset, 6);
    // What lies before it, or is read by who reads all, comes without the list.
    assert_eq!(aborted(&fetched(&world, &topic, 6, COMMITTED).await), Some(vec![]));
    assert_eq!(aborted(&fetched(&world, &topic, 0, ALL).await), None);
}

#[tokio::test]
async fn a_committed_transaction_is_not_listed_as_aborted() {
    let (world, topic, partition) = world().await;
    end(&world, &partition, Verdict::Commit).await;
    let answer = fetched(&world, &topic, 0, COMMITTED).await;
    assert_eq!((batches(&answer), aborted(&answer)), (vec![0, 3, 5], Some(vec![])));
}

#[tokio::test]
async fn a_producer_is_described_with_its_transaction_and_its_coordinator() {
    let (world, topic, partition) = world().await;
    let open = described(&world, &topic).await;
    assert_eq!((open.current_txn_start_offset, open.coordinator_epoch, open.producer_epoch), (3, -1, 0));
    end(&world, &partition, Verdict::Commit).await;
    let ended = described(&world, &topic).await;
    assert_eq!((ended.current_txn_start_offset, ended.coordinator_epoch, ended.producer_epoch), (-1, 7, 1));
}

#[tokio::test]
async fn a_transactional_batch_that_no_coordinator_knows_of_is_refused() {
    let world = World::new().await;
    let topic = world.create("a", 1).await;
    for version in [11, 12] {
        let mut request = produce(&topic, version, -1);
        request.topic_data[0].partition_data[0].records = Some(batch());
        let response = world.ask(version, &request).await;
        let refused = code(response.responses[0].partition_responses[0].error_code);
        assert_eq!(refused, Some(ErrorCode::InvalidTxnState));
    }
}
