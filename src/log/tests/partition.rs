//! Offsets, repeats, visibility, recovery.

use super::super::{
    AppendError, Appended, BatchIdentity, BrokerLog, Incoming, IsolationLevel, LogError, Partition, Reader,
    Waiter,
};
use crate::cache::Cache;
use crate::config::{CacheConfig, JournalConfig};
use crate::journal::{
    BrokerSession, Joining, Journal, JournalStart, ObjectId, Outcome, PUT_MILLIONTHS, RecoveredObject, Row,
    RowIndex, RowTransaction, decode_index, encode,
};
use crate::limits::{MemoryBudget, Purpose};
use crate::meta::{EmbeddedStore, MetadataStore};
use crate::metrics::Metrics;
use crate::store::ObjectStore;
use crate::types::{
    BrokerId, LeaderEpoch, Offset, PartitionIndex, ProducerEpoch, ProducerId, SessionId, Timestamp, TopicId,
    TopicPartition, TransactionOrdinal, Verdict, ViewNumber,
};
use crate::wire::batch::{BatchBuilder, Codec, NO_PRODUCER};
use bytes::Bytes;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

const ALL: IsolationLevel = IsolationLevel::ReadUncommitted;
pub(super) const TOPIC: TopicId = TopicId(Uuid::from_u128(9));

/// A broker's log on a journal in memory.
pub(super) struct World {
    pub(super) log: Arc<BrokerLog>,
    pub(super) journal: Journal,
    store: ObjectStore,
}

impl World {
    pub(super) async fn new(flush_interval: Duration) -> World {
        let metadata: Arc<dyn MetadataStore> = Arc::new(EmbeddedStore::in_memory());
        let store = ObjectStore::in_memory();
        let metrics = Arc::new(Metrics::new());
        let joining = Joining::new(SessionId(Uuid::from_u128(1)), BrokerId(1), Timestamp(0));
        let session = BrokerSession::join(&metadata, &store, joining).await.expect("joins");
        let log = Arc::new(BrokerLog::new(LeaderEpoch(1), cache().await));
        log.ensure(TOPIC, 2);
        let config = JournalConfig { flush_interval, flush_bytes: 1 << 20, puts_in_flight: 4 };
        let committed = Arc::clone(&log);
        let sink = Box::new(move |object| committed.on_committed(&object));
        let (journal, run) =
            Journal::start(JournalStart { session, store: store.clone(), config, metrics }, sink);
        tokio::spawn(run);
        World { log, journal, store }
    }

    pub(super) fn partition(&self) -> Arc<Partition> {
        self.log.partition(partition(0)).expect("ensured")
    }

    pub(super) async fn reader(&self) -> Reader {
        Reader::new(cache().await, self.store.clone())
    }

    async fn append(&self, incoming: Incoming) -> Result<Appended, AppendError> {
        let permit = Arc::new(MemoryBudget::new(1 << 20).reserve(1, Purpose::Other).await);
        self.partition().append(&self.journal, incoming, &permit, Timestamp(0))
    }
}

pub(super) async fn cache() -> Cache {
    let config = CacheConfig { memory_bytes: 1 << 20, disk_bytes: 0 };
    Cache::open(config, Path::new("unused"), Arc::new(Metrics::new())).await.expect("in memory")
}

pub(super) fn partition(index: i32) -> TopicPartition {
    TopicPartition { topic_id: TOPIC, partition: PartitionIndex(index) }
}

pub(super) fn bytes(records: usize) -> Bytes {
    let mut builder = BatchBuilder::new();
    for _ in 0..records {
        builder.append(Timestamp(0), None, Some(b"value"), &[]);
    }
    builder.finish(Codec::None, NO_PRODUCER)
}

pub(super) fn plain(records: usize) -> Incoming {
    Incoming {
        batch: bytes(records),
        record_count: records as i32,
        max_timestamp: Timestamp(0),
        identity: None,
        attributes: 0,
    }
}

fn idempotent(base_sequence: i32) -> Incoming {
    let identity = BatchIdentity {
        producer_id: ProducerId(4),
        producer_epoch: ProducerEpoch(0),
        base_sequence,
        record_count: 1,
    };
    Incoming { identity: Some(identity), ..plain(1) }
}

#[tokio::test]
async fn nothing_is_visible_before_it_is_committed() {
    let world = World::new(Duration::from_secs(3600)).await;
    let appended = world.append(plain(3)).await.expect("taken");
    assert_eq!(appended.base_offset, Offset(0));
    assert_eq!(world.partition().ends().high_watermark, Offset(0));
    assert!(world.partition().read_plan(Offset(0), ALL, 1000).expect("the end may be read").spans.is_empty());
    assert!(world.partition().read_plan(Offset(1), ALL, 1000).is_err());
    world.journal.close();
    let mut ticket = appended.ticket;
    assert_eq!(ticket.settled().await, Outcome::Committed);
    assert_eq!(world.partition().ends().high_watermark, Offset(3));
}

#[tokio::test]
async fn a_repeated_batch_gets_its_first_offset_and_waits_for_the_same_flush() {
    let world = World::new(Duration::from_secs(3600)).await;
    world.append(plain(2)).await.expect("taken");
    let first = world.append(idempotent(0)).await.expect("taken");
    let again = world.append(idempotent(0)).await.expect("recognised");
    assert_eq!((first.base_offset, again.base_offset), (Offset(2), Offset(2)));
    assert_eq!(again.ticket.outcome(), Outcome::Pending);
    world.journal.close();
    let mut ticket = again.ticket;
    assert_eq!(ticket.settled().await, Outcome::Committed);
    assert_eq!(world.partition().ends().high_watermark, Offset(3));
}

/// Its producer has two requests under way: the first is refused, by the leader before for one, and the second comes here.
/// Taken, it would have librdkafka tell its application that the first is stored, without an offset.
#[tokio::test(start_paused = true)]
async fn no_second_batch_is_taken_of_a_producer_whose_first_is_not_known() {
    let world = World::new(Duration::ZERO).await;
    let permit = Arc::new(MemoryBudget::new(1 << 20).reserve(1, Purpose::Other).await);
    let append = |incoming| world.partition().append(&world.journal, incoming, &permit, Timestamp(0));
    let refused = || append(idempotent(1)).map(|appended| appended.base_offset);
    assert_eq!(refused(), Err(AppendError::NotItsBeginning { got: 1 }));
    // In their order both are taken, and what is repeated has its offset.
    for (sequence, offset) in [(0, 0), (1, 1), (0, 0)] {
        let appended = append(idempotent(sequence)).expect("in order");
        assert_eq!(appended.base_offset, Offset(offset));
    }
    // Of who keeps coming any beginning is believed in the end, as in Apache Kafka.
    let mut late = idempotent(17);
    late.identity = late.identity.map(|of| BatchIdentity { producer_id: ProducerId(5), ..of });
    let refused = append(late.clone()).map(|appended| appended.base_offset);
    assert_eq!(refused, Err(AppendError::NotItsBeginning { got: 17 }));
    tokio::time::advance(Duration::from_secs(10)).await;
    append(late).expect("its state may have expired");
}

/// What librdkafka concludes without an offset is so: a batch is taken only if those before it were, whatever their producer
/// was told.
#[tokio::test]
async fn a_batch_whose_answer_was_given_up_is_in_the_log_before_the_next() {
    let world = World::new(Duration::from_secs(3600)).await;
    let first = world.append(idempotent(0)).await.expect("taken");
    // Nothing was told of it when the client's time was over.
    assert_eq!(first.ticket.outcome(), Outcome::Pending);
    let refused = world.append(idempotent(2)).await.map(|appended| appended.base_offset);
    assert!(matches!(refused, Err(AppendError::Sequence(_))), "{refused:?}");
    let second = world.append(idempotent(1)).await.expect("follows");
    let again = world.append(idempotent(0)).await.expect("recognised");
    world.journal.close();
    for (mut appended, offset) in [(second, 1), (first, 0), (again, 0)] {
        assert_eq!(
            (appended.ticket.settled().await, appended.base_offset),
            (Outcome::Committed, Offset(offset))
        );
    }
}

#[tokio::test]
async fn a_waiter_is_woken_by_the_commit() {
    let world = World::new(Duration::ZERO).await;
    let waiter = Waiter::default();
    world.partition().register(&waiter);
    world.append(plain(1)).await.expect("taken");
    waiter.woken().await;
    assert_eq!(world.partition().ends().high_watermark, Offset(1));
}

#[tokio::test]
async fn a_deleted_topic_takes_nothing_in_and_wakes_who_waits() {
    let world = World::new(Duration::ZERO).await;
    let (partition, waiter) = (world.partition(), Waiter::default());
    partition.register(&waiter);
    world.log.remove(TOPIC);
    waiter.woken().await;
    let permit = Arc::new(MemoryBudget::new(1 << 20).reserve(1, Purpose::Other).await);
    let refused = partition.append(&world.journal, plain(1), &permit, Timestamp(0));
    assert_eq!(refused.err(), Some(AppendError::NotLeading));
}

/// Objects as recovery finds them: each with one batch of two records at the given offset and epoch.
fn recovered(batches: &[(i64, i32)]) -> Vec<RecoveredObject> {
    let object = |(seq, (base, epoch)): (usize, &(i64, i32))| {
        let id = ObjectId { session: SessionId(Uuid::from_u128(1)), seq: seq as u64 + 1 };
        let index = RowIndex {
            topic_partition: partition(0),
            offsets: Offset(*base)..Offset(base + 2),
            leader_epoch: LeaderEpoch(*epoch),
            max_timestamp: Timestamp(base * 100),
            producer_id: ProducerId(4),
            producer_epoch: ProducerEpoch(0),
            base_sequence: *base as i32,
            attributes: 0,
            transaction: RowTransaction::None,
        };
        let encoded = encode(id, vec![Row { index, batch: bytes(2) }]);
        let (bytes, index) =
            (encoded.bytes.len() as u64, decode_index(id, &encoded.bytes).expect("just encoded"));
        RecoveredObject { name: id.into(), index, bytes, puts: PUT_MILLIONTHS, is_told: false }
    };
    batches.iter().enumerate().map(object).collect()
}

async fn recover(batches: &[(i64, i32)]) -> Result<Arc<Partition>, LogError> {
    let log = BrokerLog::new(LeaderEpoch(9), cache().await);
    log.ensure(TOPIC, 1);
    log.recover(&recovered(batches), Timestamp(0))?;
    Ok(log.partition(partition(0)).expect("ensured"))
}

#[tokio::test]
async fn recovery_finds_ends_epochs_and_producers() {
    let partition = recover(&[(0, 1), (4, 3), (2, 1)]).await.expect("without a gap");
    assert_eq!(partition.ends().high_watermark, Offset(6));
    let [producer] = partition.active_producers(Timestamp(0)).try_into().expect("one producer");
    assert_eq!(producer.last_sequence, 5);
    // (asked for, answered): where the records of an epoch end; never unknown.
    let table = [(0, (0, 0)), (1, (1, 4)), (2, (1, 4)), (3, (3, 6)), (9, (3, 6))];
    for (asked, (epoch, end)) in table {
        let answer = partition.end_of_epoch(LeaderEpoch(asked));
        assert_eq!(answer, (LeaderEpoch(epoch), Offset(end)), "epoch {asked}");
    }
}

#[tokio::test]
async fn a_hole_or_two_batches_at_one_offset_stop_the_partition() {
    let hole = recover(&[(0, 1), (4, 1)]).await.expect_err("offsets 2 and 3 are missing");
    assert_eq!(hole, LogError::Hole { partition: partition(0), from: Offset(2), to: Offset(4) });
    let overlap = recover(&[(0, 1), (0, 2)]).await.expect_err("twice");
    assert_eq!(overlap, LogError::Overlap { partition: partition(0), offset: Offset(0) });
}

#[tokio::test]
async fn rows_that_come_early_wait_for_those_before_them_and_are_judged_like_any_others() {
    let hole = |from, to| LogError::Hole { partition: partition(0), from: Offset(from), to: Offset(to) };
    let overlap = |offset| LogError::Overlap { partition: partition(0), offset: Offset(offset) };
    let table: [(&[i64], Result<i64, LogError>); 8] = [
        (&[8, 6, 4, 2, 0], Ok(10)),
        (&[4, 0, 8, 2, 6], Ok(10)),
        (&[4, 2], Err(hole(0, 2))),
        (&[0, 8, 4, 6], Err(hole(2, 4))),
        (&[0, 4, 4, 2], Err(overlap(4))),
        (&[0, 4, 2, 4], Err(overlap(4))),
        (&[0, 3, 4, 2], Err(overlap(3))),
        (&[0, 3, 1], Err(overlap(1))),
    ];
    for (bases, expected) in table {
        let batches: Vec<_> = bases.iter().map(|base| (*base, 1)).collect();
        let recovered = recover(&batches).await;
        let found = recovered.as_ref().map(|partition| partition.ends().high_watermark.get());
        assert_eq!(found.map_err(Clone::clone), expected, "{bases:?}");
        if let Ok(partition) = recovered {
            let [producer] = partition.active_producers(Timestamp(0)).try_into().expect("one producer");
            assert_eq!(producer.last_sequence, 9, "{bases:?}");
        }
    }
}

#[tokio::test]
async fn a_row_of_a_transaction_that_cannot_be_open_there_stops_the_partition() {
    let batch = |ordinal| RowTransaction::Batch { ordinal: TransactionOrdinal(ordinal) };
    let marker = |ordinal| RowTransaction::Marker {
        ordinal: TransactionOrdinal(ordinal),
        verdict: Verdict::Abort,
        coordinator_view: ViewNumber(1),
    };
    // Rows of one producer, and which of them is the first that no leader would have written.
    let table = [
        (vec![batch(1), batch(1), marker(1), marker(3), batch(4)], None),
        (vec![batch(1), batch(2)], Some(1)),
        (vec![batch(1), marker(2)], Some(1)),
        (vec![batch(2), marker(2), batch(2)], Some(2)),
        (vec![marker(2), marker(2)], Some(1)),
        (vec![batch(1), RowTransaction::None], Some(1)),
    ];
    for (rows, wrong) in table {
        let batches: Vec<_> = (0..rows.len() as i64).map(|row| (row * 2, 1)).collect();
        let mut objects = recovered(&batches);
        for (object, transaction) in objects.iter_mut().zip(&rows) {
            object.index.rows[0].transaction = *transaction;
        }
        let log = BrokerLog::new(LeaderEpoch(9), cache().await);
        log.ensure(TOPIC, 1);
        let wrong = wrong
            .map(|row: i64| LogError::WrongTransaction { partition: partition(0), offset: Offset(row * 2) });
        assert_eq!(log.recover(&objects, Timestamp(0)).err(), wrong, "{rows:?}");
    }
}

#[tokio::test]
async fn a_read_is_planned_from_the_span_that_holds_the_offset() {
    let partition = recover(&[(0, 1), (2, 1), (4, 1)]).await.expect("without a gap");
    let starts = |from, bytes_max| {
        let plan = partition.read_plan(Offset(from), ALL, bytes_max).expect("in range");
        plan.spans.iter().map(|span| span.offsets.start.0).collect::<Vec<_>>()
    };
    assert_eq!(starts(3, 1_000_000), [2, 4]);
    assert_eq!(starts(0, 1), [0]);
    assert!(starts(6, 1000).is_empty());
    assert!(partition.read_plan(Offset(7), ALL, 1000).is_err());
    assert!(partition.read_plan(Offset(-1), ALL, 1000).is_err());
}
