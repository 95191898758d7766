//! The archiver's task by itself, on metadata that may lose answers: a swap was made, and nobody has said so.

use super::super::{Archive, ArchiveStart, load};
use super::held::HeldPuts;
use crate::background::Background;
use crate::cache::Cache;
use crate::clock::Clock;
use crate::config::{ArchiveConfig, ArchivePace, CacheConfig, JournalConfig};
use crate::journal::{BrokerSession, Joining, Journal, JournalStart};
use crate::leadership::Leadership;
use crate::limits::{MemoryBudget, Purpose};
use crate::log::{BatchIdentity, BrokerLog, Incoming, Partition, Reader};
use crate::meta::MetadataStore;
use crate::meta::faults::FaultyStore;
use crate::metrics::Metrics;
use crate::store::{ObjectStore, paths};
use crate::topic::{Catalog, NewTopic};
use crate::types::{
    BrokerId, LeaderEpoch, Offset, PartitionIndex, ProducerEpoch, ProducerId, SessionId, Timestamp,
    TopicName, TopicPartition, ViewNumber,
};
use crate::wire::batch::{BatchBuilder, BatchHeader, Codec, NO_PRODUCER};
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::task::JoinError;
use uuid::Uuid;

/// Rows of producers that may wait.
const WAITING_ROWS_MAX: u64 = 20;
const NOW: Timestamp = Timestamp(0);
const DAY: Duration = Duration::from_secs(86_400);
/// The swap's, and those of every attempt to rewrite the standing after it.
const ANSWERS_OF_A_SWAP: usize = 5;

struct World {
    metadata: Arc<FaultyStore>,
    metrics: Arc<Metrics>,
    store: ObjectStore,
    journal: Journal,
    log: Arc<BrokerLog>,
    partition: Arc<Partition>,
    archive: Archive,
    /// Ends if the archiver fails.
    fault: Pin<Box<dyn Future<Output = JoinError> + Send>>,
}

impl World {
    /// One partition, and its archiver. Records wait for `age` where they have paid for their segment.
    async fn new(age: Duration) -> World {
        World::on(ObjectStore::in_memory(), age).await
    }

    /// One partition, on a store that puts no segment before it is let through.
    async fn with_held_segments() -> (World, Arc<HeldPuts>) {
        let held = HeldPuts::of(".parquet");
        let backend: Arc<dyn object_store::ObjectStore> = Arc::<HeldPuts>::clone(&held);
        (World::on(ObjectStore::with_backend(backend, "held:"), DAY).await, held)
    }

    async fn on(store: ObjectStore, age: Duration) -> World {
        let faulty = Arc::new(FaultyStore::new(1_000_000));
        let metadata: Arc<dyn MetadataStore> = Arc::<FaultyStore>::clone(&faulty);
        let session_id = SessionId(Uuid::from_u128(1));
        let joining = Joining::new(session_id, BrokerId(1), NOW);
        let session = BrokerSession::join(&metadata, &store, joining).await.expect("joins");
        let (standing, leader_epoch) = (session.standing().clone(), LeaderEpoch(session.view().0));
        let metrics = Arc::new(Metrics::new());
        let cache = CacheConfig { memory_bytes: 1 << 20, disk_bytes: 0 };
        let cache = Cache::open(cache, Path::new("unused"), Arc::clone(&metrics)).await.expect("in memory");
        let clock = Clock::Manual(Arc::default());
        let catalog = Catalog::load(Arc::clone(&metadata), standing.clone(), clock.clone()).await;
        let catalog = Arc::new(catalog.expect("loads"));
        let name = TopicName::parse("a").expect("legal");
        let new = NewTopic { name, partitions: 1, overrides: BTreeMap::new() };
        let topic = catalog.create(new).await.expect("created");
        let log = Arc::new(BrokerLog::new(leader_epoch, cache.clone()));
        log.ensure(topic.id, topic.partitions);
        let whole = TopicPartition { topic_id: topic.id, partition: PartitionIndex(0) };
        let partition = log.partition(whole).expect("there");
        let committed = Arc::clone(&log);
        let config = JournalConfig { flush_interval: Duration::ZERO, flush_bytes: 250, puts_in_flight: 1 };
        let start = JournalStart { session, store: store.clone(), config, metrics: Arc::clone(&metrics) };
        let (journal, run) = Journal::start(start, Box::new(move |object| committed.on_committed(&object)));
        tokio::spawn(run);
        let loaded = load(metadata.as_ref(), &store, &catalog).await.expect("loads");
        let of_world = Arc::clone(&metrics);
        let (archive, fault) = Archive::start(ArchiveStart {
            config: ArchiveConfig { bytes: 1 << 20, age, age_max: DAY, pace: ArchivePace::default() },
            session: session_id,
            leader_epoch,
            standing,
            clock,
            store: store.clone(),
            log: Arc::clone(&log),
            reader: Reader::new(cache, store.clone()),
            catalog,
            background: Background::start("test", 1),
            loaded,
            metrics,
            leadership: Leadership::alone(session_id, ViewNumber(leader_epoch.0)),
            waiting_rows_max: WAITING_ROWS_MAX,
        });
        let fault = Box::pin(fault);
        World { metadata: faulty, metrics: of_world, store, journal, log, partition, archive, fault }
    }

    async fn append(&self) {
        self.append_as(None).await;
    }

    /// Batches of one producer, each with one record.
    async fn append_idempotent(&self, sequences: Range<i32>) {
        for base_sequence in sequences {
            let (producer_id, producer_epoch) = (ProducerId(7), ProducerEpoch(0));
            let identity = BatchIdentity { producer_id, producer_epoch, base_sequence, record_count: 1 };
            self.append_as(Some(identity)).await;
        }
    }

    async fn append_as(&self, identity: Option<BatchIdentity>) {
        let mut builder = BatchBuilder::new();
        builder.append(NOW, None, Some(b"value"), &[]);
        let batch = builder.finish(Codec::None, NO_PRODUCER);
        let attributes = BatchHeader::decode(&batch).expect("just built").attributes;
        let incoming = Incoming { batch, record_count: 1, max_timestamp: NOW, identity, attributes };
        let permit = Arc::new(MemoryBudget::new(1 << 20).try_reserve(1, Purpose::Other).expect("free"));
        let appended = self.partition.append(&self.journal, incoming, &permit, NOW).expect("taken");
        let mut ticket = appended.ticket;
        ticket.settled().await;
    }

    async fn flush_unanswered(&self) {
        self.metadata.answers_to_lose.store(ANSWERS_OF_A_SWAP, Ordering::SeqCst);
        self.flush().await.expect_err("nobody answers");
        assert_eq!(self.metadata.answers_to_lose.load(Ordering::SeqCst), 0);
    }

    async fn flush(&self) -> Result<(), crate::archive::ArchiveError> {
        self.archive.flush(vec![self.partition.topic_partition()]).await
    }

    /// Archives all there is; while its segment is on its way, the records before `before` are deleted.
    async fn delete_records_while_a_segment_is_put(&self, before: Offset, held: &HeldPuts) {
        let deleting = async {
            held.begun().await;
            let moved = self.archive.delete_records(self.partition.topic_partition(), before).await;
            held.let_through();
            moved
        };
        let (flushed, moved) = tokio::join!(self.flush(), deleting);
        flushed.expect("archived");
        assert_eq!(moved.expect("moved"), before);
    }

    async fn archived_after(&self, seconds: u64) -> i64 {
        let wait = Duration::from_secs(seconds);
        let _elapsed = tokio::time::timeout(wait, std::future::pending::<()>()).await;
        self.partition.archive_state().archived_offset().get()
    }

    async fn segments(&self) -> usize {
        self.store.list_sorted(Some(&paths::segments_prefix()), 100).await.expect("in memory").len()
    }
}

#[tokio::test(start_paused = true)]
async fn a_partition_is_archived_on_after_a_swap_without_an_answer() {
    let world = World::new(DAY).await;
    world.append().await;
    world.flush_unanswered().await;
    let state = world.partition.archive_state();
    assert_eq!((state.archived_offset(), world.segments().await), (Offset(0), 1), "nobody knows yet");
    world.append().await;
    world.flush().await.expect("archived");
    let archived = world.partition.archived().expect("there");
    assert_eq!(archived.manifest.archived_offset(), Offset(2));
    assert_eq!(archived.manifest.totals().rows, 2);
    assert_eq!(world.segments().await, 2, "no segment was written in vain");
    assert_eq!(world.log.needs().totals().0, 0, "the journal is needed no more");
}

#[tokio::test(start_paused = true)]
async fn a_log_start_is_moved_after_a_swap_without_an_answer() {
    let world = World::new(DAY).await;
    world.append().await;
    world.append().await;
    world.flush_unanswered().await;
    let whole = world.partition.topic_partition();
    assert_eq!(world.archive.delete_records(whole, Offset(1)).await.expect("moved"), Offset(1));
    let manifest = world.partition.archived().expect("there").manifest;
    assert_eq!((manifest.log_start_offset(), manifest.archived_offset()), (Offset(1), Offset(2)));
    world.flush().await.expect("nothing is left to do");
}

#[tokio::test(start_paused = true)]
async fn a_log_start_moves_while_the_store_takes_its_time_over_a_segment() {
    let (world, held) = World::with_held_segments().await;
    for _ in 0..3 {
        world.append().await;
    }
    world.delete_records_while_a_segment_is_put(Offset(2), &held).await;
    let manifest = world.partition.archived().expect("there").manifest;
    assert_eq!((manifest.log_start_offset(), manifest.archived_offset()), (Offset(2), Offset(3)));
    assert_eq!((manifest.totals().rows, world.segments().await), (3, 1), "it was begun before");
}

#[tokio::test(start_paused = true)]
async fn a_segment_whose_rows_were_all_deleted_while_it_was_put_goes() {
    let (world, held) = World::with_held_segments().await;
    world.append().await;
    world.append().await;
    world.delete_records_while_a_segment_is_put(Offset(2), &held).await;
    let manifest = world.partition.archived().expect("there").manifest;
    assert_eq!((manifest.archived_offset(), manifest.totals().rows), (Offset(2), 0));
    assert_eq!(world.archived_after(120).await, 2);
    assert_eq!(world.segments().await, 0, "nothing refers to it");
}

#[tokio::test(start_paused = true)]
async fn what_has_not_paid_waits_and_goes_soon_after_it_has() {
    let world = World::new(Duration::from_secs(2)).await;
    world.append().await;
    assert_eq!(world.archived_after(100).await, 0, "an object is one PUT, a segment two");
    world.append().await;
    assert_eq!(world.archived_after(1).await, 2, "twice the bytes are looked at at once");
    world.append().await;
    assert_eq!(world.archived_after(86_300).await, 2);
    assert_eq!(world.archived_after(200).await, 3, "after a day it goes whatever it has paid");
}

#[tokio::test(start_paused = true)]
async fn a_partition_with_too_many_rows_of_producers_is_archived_before_its_time() {
    let world = World::new(DAY).await;
    let rows = || (world.partition.waiting_rows().all, world.metrics.archive.waiting_rows.get());
    world.append_idempotent(0..20).await;
    assert_eq!(world.archived_after(2).await, 0, "as many as may wait");
    assert_eq!(rows(), (20, 20));
    world.append_idempotent(20..21).await;
    // The last one may not have been committed yet when the archiver looked.
    let archived = world.archived_after(2).await;
    assert!(archived >= 20, "{archived}");
    assert_eq!(rows(), (21 - archived as u64, 21 - archived));
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_the_archiver_learns_that_it_failed() {
    let mut world = World::new(DAY).await;
    world.archive.panic().await;
    let error = world.fault.as_mut().await;
    assert!(error.is_panic(), "{error}");
    world.flush().await.expect_err("nobody archives any more");
}

#[tokio::test(start_paused = true)]
async fn an_archiver_that_is_closed_has_not_failed() {
    let mut world = World::new(DAY).await;
    world.archive.close();
    let wait = tokio::time::timeout(Duration::from_secs(60), world.fault.as_mut()).await;
    assert!(wait.is_err(), "{wait:?}");
}
