//! Transactions as clients see them: a client that sends what it is told, in every version.

mod fenced;
mod listed;
mod offsets;
mod taken_over;
mod version_1;
mod version_2;
mod visible;

use super::world::{NOW, World, code, text, topic_name};
use crate::topic::Topic;
use crate::types;
use crate::wire::ErrorCode;
use crate::wire::api::ApiKey;
use crate::wire::batch::{BatchBuilder, Codec, ProducerStamp};
use crate::wire::messages::add_partitions_to_txn_request::{
    AddPartitionsToTxnTopic, AddPartitionsToTxnTransaction,
};
use crate::wire::messages::describe_transactions_response::TransactionState;
use crate::wire::messages::fetch_response::PartitionData;
use crate::wire::messages::produce_request::{PartitionProduceData, TopicProduceData};
use crate::wire::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use crate::wire::messages::{
    AddOffsetsToTxnRequest, AddPartitionsToTxnRequest, DescribeTransactionsRequest, EndTxnRequest,
    EndTxnResponse, GroupId, InitProducerIdRequest, InitProducerIdResponse, ListTransactionsRequest,
    ProduceRequest, ProducerId, TransactionalId, TxnOffsetCommitRequest,
};
use bytes::Bytes;
use std::time::Duration;

/// After how long the clients' transactions are aborted.
const TIMEOUT_MS: i32 = 60_000;
/// Longer than anything here takes that is not broken.
const DEADLINE: Duration = Duration::from_secs(30);

/// A new epoch for every transaction, and batches that add their partition (KIP-890).
const PRODUCE_2: i16 = 12;
const END_2: i16 = 5;
const COMMIT_OFFSETS_2: i16 = 5;
/// One epoch, and a client that adds what it writes to.
const PRODUCE_1: i16 = 11;
const END_1: i16 = 4;
const COMMIT_OFFSETS_1: i16 = 4;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Commit,
    Abort,
}

use End::{Abort, Commit};

/// A transactional producer, as it knows itself.
#[derive(Clone, Debug)]
struct Client {
    transactional_id: TransactionalId,
    producer_id: ProducerId,
    epoch: i16,
    next_sequence: i32,
}

impl Client {
    /// A new instance; the transaction of the one before is ended first.
    async fn start(world: &World, transactional_id: &str) -> Client {
        let answer = loop {
            let answer = world.ask(5, &init(transactional_id)).await;
            if code(answer.error_code) != Some(ErrorCode::ConcurrentTransactions) {
                break answer;
            }
            pause().await;
        };
        assert_eq!(code(answer.error_code), None);
        Client::of(transactional_id, &answer)
    }

    fn of(transactional_id: &str, answer: &InitProducerIdResponse) -> Client {
        Client {
            transactional_id: id(transactional_id),
            producer_id: answer.producer_id,
            epoch: answer.producer_epoch,
            next_sequence: 0,
        }
    }

    /// The same instance, as it was one epoch before.
    fn before(&self) -> Client {
        Client { epoch: self.epoch - 1, next_sequence: 0, ..self.clone() }
    }

    /// A batch of two records to partition 0; where it begins.
    async fn produce(&mut self, world: &World, topic: &Topic, version: i16) -> Result<i64, ErrorCode> {
        let produced = self.produce_to(world, topic, 0, version).await;
        if produced.is_ok() {
            self.next_sequence += 2;
        }
        produced
    }

    /// The same to any partition, of whose sequence it takes no note.
    async fn produce_to(
        &self,
        world: &World,
        topic: &Topic,
        partition: i32,
        version: i16,
    ) -> Result<i64, ErrorCode> {
        let request = self.produce_request(topic, partition, self.batch(true));
        let answer = world.ask(version, &request).await;
        let partition = &answer.responses[0].partition_responses[0];
        code(partition.error_code).map_or(Ok(partition.base_offset), Err)
    }

    fn batch(&self, transactional: bool) -> Bytes {
        let mut builder = BatchBuilder::new();
        for _ in 0..2 {
            builder.append(NOW, None, Some(b"value"), &[]);
        }
        let stamp = ProducerStamp {
            producer_id: types::ProducerId(self.producer_id.0),
            producer_epoch: types::ProducerEpoch(self.epoch),
            base_sequence: self.next_sequence,
            transactional,
        };
        builder.finish(Codec::None, stamp)
    }

    fn produce_request(&self, topic: &Topic, partition: i32, records: Bytes) -> ProduceRequest {
        let partition = PartitionProduceData::default().with_index(partition).with_records(Some(records));
        let data = TopicProduceData::default().with_name(topic_name(topic.name.as_str()));
        ProduceRequest::default()
            .with_transactional_id(Some(self.transactional_id.clone()))
            .with_acks(-1)
            .with_timeout_ms(30_000)
            .with_topic_data(vec![data.with_partition_data(vec![partition])])
    }

    /// AddPartitionsToTxn of one partition.
    async fn add(&self, world: &World, topic: &Topic, version: i16) -> Option<ErrorCode> {
        let topics = vec![wanted(topic, &[0])];
        if version >= 4 {
            let request = self.add_as_broker(topics);
            let answer = world.ask(version, &request).await;
            let result = &answer.results_by_transaction[0];
            assert_eq!((answer.error_code, &result.transactional_id), (0, &self.transactional_id));
            return code(result.topic_results[0].results_by_partition[0].partition_error_code);
        }
        let answer = world.ask(version, &self.add_as_client(topics)).await;
        code(answer.results_by_topic_v3_and_below[0].results_by_partition[0].partition_error_code)
    }

    fn add_as_client(&self, topics: Vec<AddPartitionsToTxnTopic>) -> AddPartitionsToTxnRequest {
        AddPartitionsToTxnRequest::default()
            .with_v3_and_below_transactional_id(self.transactional_id.clone())
            .with_v3_and_below_producer_id(self.producer_id)
            .with_v3_and_below_producer_epoch(self.epoch)
            .with_v3_and_below_topics(topics)
    }

    fn add_as_broker(&self, topics: Vec<AddPartitionsToTxnTopic>) -> AddPartitionsToTxnRequest {
        let transaction = AddPartitionsToTxnTransaction::default()
            .with_transactional_id(self.transactional_id.clone())
            .with_producer_id(self.producer_id)
            .with_producer_epoch(self.epoch)
            .with_topics(topics);
        AddPartitionsToTxnRequest::default().with_transactions(vec![transaction])
    }

    /// AddOffsetsToTxn.
    async fn add_offsets(&self, world: &World, group: &str, version: i16) -> Option<ErrorCode> {
        let request = AddOffsetsToTxnRequest::default()
            .with_transactional_id(self.transactional_id.clone())
            .with_producer_id(self.producer_id)
            .with_producer_epoch(self.epoch)
            .with_group_id(GroupId(text(group)));
        code(world.ask(version, &request).await.error_code)
    }

    /// TxnOffsetCommit of partition 0 by nobody who is a member.
    fn offsets(&self, group: &str, topic: &Topic, offset: i64) -> TxnOffsetCommitRequest {
        let partition = TxnOffsetCommitRequestPartition::default()
            .with_committed_offset(offset)
            .with_committed_metadata(Some(text("note")));
        let offsets = TxnOffsetCommitRequestTopic::default().with_name(topic_name(topic.name.as_str()));
        TxnOffsetCommitRequest::default()
            .with_transactional_id(self.transactional_id.clone())
            .with_group_id(GroupId(text(group)))
            .with_producer_id(self.producer_id)
            .with_producer_epoch(self.epoch)
            .with_topics(vec![offsets.with_partitions(vec![partition])])
    }

    /// EndTxn, of which nothing is remembered.
    async fn try_end(&self, world: &World, version: i16, end: End) -> EndTxnResponse {
        let request = EndTxnRequest::default()
            .with_transactional_id(self.transactional_id.clone())
            .with_producer_id(self.producer_id)
            .with_producer_epoch(self.epoch)
            .with_committed(end == Commit);
        world.ask(version, &request).await
    }

    async fn end_code(&self, world: &World, version: i16, end: End) -> Option<ErrorCode> {
        code(self.try_end(world, version, end).await.error_code)
    }

    /// EndTxn, and whatever it means for who the client is; waits until the markers are written.
    async fn end(&mut self, world: &World, version: i16, end: End) {
        let answer = self.try_end(world, version, end).await;
        assert_eq!(code(answer.error_code), None);
        if version >= END_2 {
            (self.producer_id, self.epoch) = (answer.producer_id, answer.producer_epoch);
            self.next_sequence = 0;
        }
        let state = if end == Commit { "CompleteCommit" } else { "CompleteAbort" };
        await_state(world, &self.transactional_id, state).await;
    }

    async fn state(&self, world: &World) -> String {
        described(world, &self.transactional_id).await.transaction_state.to_string()
    }
}

fn id(transactional_id: &str) -> TransactionalId {
    TransactionalId(text(transactional_id))
}

fn init(transactional_id: &str) -> InitProducerIdRequest {
    InitProducerIdRequest::default()
        .with_transactional_id(Some(id(transactional_id)))
        .with_transaction_timeout_ms(TIMEOUT_MS)
        .with_producer_id(ProducerId(-1))
        .with_producer_epoch(-1)
}

fn wanted(topic: &Topic, partitions: &[i32]) -> AddPartitionsToTxnTopic {
    let wanted = AddPartitionsToTxnTopic::default().with_name(topic_name(topic.name.as_str()));
    wanted.with_partitions(partitions.to_vec())
}

/// DescribeTransactions of one transactional id.
async fn described(world: &World, transactional_id: &TransactionalId) -> TransactionState {
    let request =
        DescribeTransactionsRequest::default().with_transactional_ids(vec![transactional_id.clone()]);
    world.ask(0, &request).await.transaction_states.remove(0)
}

/// Markers are written after the answer: waits for them.
async fn await_state(world: &World, transactional_id: &TransactionalId, state: &str) {
    let waiting = async {
        while &*described(world, transactional_id).await.transaction_state != state {
            pause().await;
        }
    };
    tokio::time::timeout(DEADLINE, waiting).await.expect("the state that was to come");
}

async fn pause() {
    pass(Duration::from_millis(5)).await;
}

/// Lets that time go by; at once, when everybody waits, where time is paused.
async fn pass(time: Duration) {
    let _elapsed = tokio::time::timeout(time, std::future::pending::<()>()).await;
}

/// All of partition 0, as a reader of committed records gets it.
async fn read_committed(world: &World, topic: &Topic) -> PartitionData {
    let request = super::versions::fetch(topic, 12, 0).with_isolation_level(1);
    world.ask(12, &request).await.responses.remove(0).partitions.remove(0)
}

/// The offsets in an answer, markers with them.
fn offsets_of(partition: &PartitionData) -> Vec<i64> {
    let records = partition.records.clone().unwrap_or_default();
    let batches = crate::wire::batch::split(records).map(|batch| batch.expect("whole batches").0);
    batches.flat_map(|header| header.offsets().start.get()..header.offsets().end.get()).collect()
}

/// Asks something sensible; gives the innermost error code.
pub async fn error_code(world: &World, topic: &Topic, api_key: ApiKey, version: i16) -> i16 {
    let name = format!("{api_key:?}-{version}");
    if api_key == ApiKey::InitProducerId {
        return of_init(world, &name, version).await;
    }
    let mut client = Client::start(world, &name).await;
    let outcome = match api_key {
        ApiKey::AddPartitionsToTxn => client.add(world, topic, version).await,
        ApiKey::AddOffsetsToTxn => client.add_offsets(world, &name, version).await,
        ApiKey::EndTxn => of_end(world, topic, &mut client, version).await,
        ApiKey::TxnOffsetCommit => of_offsets(world, topic, &client, version).await,
        ApiKey::DescribeTransactions => {
            client.produce(world, topic, PRODUCE_2).await.expect("taken");
            let described = described(world, &client.transactional_id).await;
            assert_eq!(
                (&*described.transaction_state, described.producer_id),
                ("Ongoing", client.producer_id)
            );
            code(described.error_code)
        }
        _ => {
            let answer =
                world.ask(version, &ListTransactionsRequest::default().with_duration_filter(-1)).await;
            assert!(answer.transaction_states.iter().any(|state| state.producer_id == client.producer_id));
            code(answer.error_code)
        }
    };
    if client.state(world).await == "Ongoing" {
        client.end(world, END_2, Abort).await;
    }
    outcome.map_or(0, |code| code.code())
}

async fn of_init(world: &World, name: &str, version: i16) -> i16 {
    let mut request = init(name);
    let first = world.ask(version, &request).await;
    assert!(first.error_code != 0 || (first.producer_id.0 >= 0 && first.producer_epoch == 0));
    if version >= 3 {
        (request.producer_id, request.producer_epoch) = (first.producer_id, first.producer_epoch);
    }
    let second = world.ask(version, &request).await;
    assert_eq!((second.producer_id, second.producer_epoch), (first.producer_id, 1));
    first.error_code | second.error_code
}

async fn of_end(world: &World, topic: &Topic, client: &mut Client, version: i16) -> Option<ErrorCode> {
    for end in [Commit, Abort] {
        let (produce_version, bump) = if version < END_2 { (PRODUCE_1, 0) } else { (PRODUCE_2, 1) };
        if version < END_2 {
            assert_eq!(client.add(world, topic, 3).await, None);
        }
        client.produce(world, topic, produce_version).await.expect("taken");
        let before = client.epoch;
        client.end(world, version, end).await;
        assert_eq!(client.epoch, before + bump);
    }
    None
}

async fn of_offsets(world: &World, topic: &Topic, client: &Client, version: i16) -> Option<ErrorCode> {
    let group = client.transactional_id.to_string();
    if version < COMMIT_OFFSETS_2 {
        assert_eq!(client.add_offsets(world, &group, 3).await, None);
    }
    let answer = world.ask(version, &client.offsets(&group, topic, 5)).await;
    code(answer.topics[0].partitions[0].error_code)
}
