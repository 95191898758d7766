//! Two brokers with their archivers: what one of them keeps of its journal for partitions that went to the other, and what
//! becomes of the journal of one that is no more.

use super::super::{Archive, ArchiveStart, LoadedManifests, load_some};
use crate::background::Background;
use crate::cache::Cache;
use crate::clock::Clock;
use crate::config::{ArchiveConfig, ArchivePace, CacheConfig, JournalConfig};
use crate::journal::{
    BrokerSession, EndedJournal, Joining, Journal, JournalStart, Partitions, index_end, read_journals,
    recover,
};
use crate::leadership::Leadership;
use crate::limits::{MemoryBudget, Purpose};
use crate::log::{BrokerLog, Incoming, Partition, Reader, Recovery};
use crate::meta::MetadataStore;
use crate::meta::faults::FaultyStore;
use crate::meta::keys::{journal_starts, journals};
use crate::metrics::Metrics;
use crate::store::{ObjectStore, paths};
use crate::topic::{Catalog, NewTopic};
use crate::types::{
    BrokerId, LeaderEpoch, PartitionIndex, SessionId, Timestamp, TopicId, TopicName, TopicPartition,
};
use crate::wire::batch::{BatchBuilder, BatchHeader, Codec, NO_PRODUCER};
use futures_util::TryStreamExt;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

const NOW: Timestamp = Timestamp(0);
const DAY: Duration = Duration::from_secs(86_400);

struct World {
    metadata: Arc<dyn MetadataStore>,
    store: ObjectStore,
    partition: TopicPartition,
    sessions: u128,
    epoch: i32,
}

struct Broker {
    session: SessionId,
    catalog: Arc<Catalog>,
    log: Arc<BrokerLog>,
    journal: Journal,
    archive: Archive,
}

impl World {
    /// One topic, and a broker that knows of it.
    async fn new() -> (World, Broker) {
        let metadata: Arc<dyn MetadataStore> = Arc::new(FaultyStore::new(100_000_000));
        let partition = TopicPartition { topic_id: TopicId(Uuid::nil()), partition: PartitionIndex(0) };
        let mut world =
            World { metadata, store: ObjectStore::in_memory(), partition, sessions: 0, epoch: 100 };
        let first = world.broker(1).await;
        let name = TopicName::parse("a").expect("legal");
        let new = NewTopic { name, partitions: 1, overrides: BTreeMap::new() };
        world.partition.topic_id = first.catalog.create(new).await.expect("created").id;
        (world, first)
    }

    /// A session of a broker, with its archiver; the one before is sealed.
    async fn broker(&mut self, broker_id: i32) -> Broker {
        self.sessions += 1;
        let session_id = SessionId(Uuid::from_u128(self.sessions));
        let joining = Joining::new(session_id, BrokerId(broker_id), NOW);
        let session = BrokerSession::join(&self.metadata, &self.store, joining).await.expect("joins");
        let (standing, view) = (session.standing().clone(), session.view());
        let metrics = Arc::new(Metrics::new());
        let cache = CacheConfig { memory_bytes: 1 << 20, disk_bytes: 0 };
        let cache = Cache::open(cache, Path::new("unused"), Arc::clone(&metrics)).await.expect("in memory");
        let clock = Clock::Manual(Arc::default());
        let catalog = Catalog::load(Arc::clone(&self.metadata), standing.clone(), clock.clone()).await;
        let catalog = Arc::new(catalog.expect("loads"));
        let log = Arc::new(BrokerLog::new(LeaderEpoch(view.0), cache.clone()));
        let committed = Arc::clone(&log);
        let config = JournalConfig { flush_interval: Duration::ZERO, flush_bytes: 250, puts_in_flight: 1 };
        let start =
            JournalStart { session, store: self.store.clone(), config, metrics: Arc::clone(&metrics) };
        let (journal, run) = Journal::start(start, Box::new(move |object| committed.on_committed(&object)));
        tokio::spawn(run);
        let (archive, _fault) = Archive::start(ArchiveStart {
            config: ArchiveConfig { bytes: 1 << 20, age: DAY, age_max: DAY, pace: ArchivePace::default() },
            session: session_id,
            leader_epoch: LeaderEpoch(view.0),
            standing,
            clock,
            store: self.store.clone(),
            log: Arc::clone(&log),
            reader: Reader::new(cache, self.store.clone()),
            catalog: Arc::clone(&catalog),
            background: Background::start("test", 1),
            loaded: LoadedManifests::default(),
            leadership: Leadership::alone(session_id, view),
            metrics,
            waiting_rows_max: 1_000,
        });
        Broker { session: session_id, catalog, log, journal, archive }
    }

    /// Has a broker take the partition over.
    async fn open(&mut self, broker: &Broker) -> Arc<Partition> {
        self.epoch += 1;
        let taken = Arc::new(Partition::new(self.partition, LeaderEpoch(self.epoch)));
        let mut recovery = Recovery::of(std::slice::from_ref(&taken), NOW);
        let loaded = load_some(self.metadata.as_ref(), &self.store, &broker.catalog, &[self.partition]).await;
        let loaded = loaded.expect("readable");
        for manifest in &loaded.manifests {
            recovery.take_manifest(manifest.topic_partition, manifest.archived_log());
        }
        let journals = read_journals(self.metadata.as_ref()).await.expect("in memory");
        let journals: Vec<EndedJournal> = journals.into_iter().map(|(journal, _)| journal).collect();
        for object in
            recover(&self.store, &journals, Partitions::All).try_collect::<Vec<_>>().await.expect("all there")
        {
            recovery.take(&object).expect("without contradictions");
        }
        recovery.finish().expect("without holes");
        broker.archive.on_gained(loaded).await.expect("it runs");
        broker.log.on_gained(Arc::clone(&taken)).expect("nothing happens meanwhile");
        taken
    }

    /// The objects below a session's journal.
    async fn objects(&self, session: SessionId) -> usize {
        let listed = self.store.list_sorted(Some(&paths::journal_prefix(session)), 1_000).await;
        listed.expect("in memory").len()
    }

    async fn has_keys(&self, session: SessionId) -> bool {
        let mut found = false;
        for key in [journals::key(session), journal_starts::key(session)] {
            found |= self.metadata.get(&key).await.expect("in memory").is_some();
        }
        found
    }
}

impl Broker {
    async fn append(&self, partition: &Partition) {
        let mut builder = BatchBuilder::new();
        builder.append(NOW, None, Some(b"value"), &[]);
        let batch = builder.finish(Codec::None, NO_PRODUCER);
        let attributes = BatchHeader::decode(&batch).expect("just built").attributes;
        let incoming = Incoming { batch, record_count: 1, max_timestamp: NOW, identity: None, attributes };
        let permit = Arc::new(MemoryBudget::new(1 << 20).try_reserve(1, Purpose::Other).expect("free"));
        let mut ticket = partition.append(&self.journal, incoming, &permit, NOW).expect("taken").ticket;
        ticket.settled().await;
    }

    async fn flush(&self, partition: TopicPartition) {
        self.archive.flush(vec![partition]).await.expect("archived");
    }

    fn spans(&self) -> u64 {
        self.log.needs().totals().0
    }
}

async fn pass(seconds: u64) {
    let _elapsed = tokio::time::timeout(Duration::from_secs(seconds), std::future::pending::<()>()).await;
}

#[tokio::test(start_paused = true)]
async fn what_went_to_another_is_kept_until_that_one_has_archived_it() {
    let (mut world, first) = World::new().await;
    let second = world.broker(2).await;
    let led = world.open(&first).await;
    for _ in 0..3 {
        first.append(&led).await;
    }
    first.log.on_lost(world.partition).expect("it was served");
    first.archive.on_lost(vec![world.partition]).await.expect("it runs");
    let taken = world.open(&second).await;
    second.append(&taken).await;
    pass(200).await;
    assert_eq!((first.spans(), second.spans()), (3, 1), "each counts what is needed of its own");
    assert_eq!(world.objects(first.session).await, 3);
    second.flush(world.partition).await;
    assert_eq!(taken.archive_state().archived_offset().get(), 4);
    pass(5).await;
    assert_eq!((first.spans(), second.spans()), (0, 0));
    pass(100).await;
    assert_eq!(world.objects(first.session).await, 0, "given up, and gone after the grace period");
    let error = first.archive.flush(vec![world.partition]).await;
    error.expect_err("it is led elsewhere");
}

#[tokio::test(start_paused = true)]
async fn the_journal_of_one_that_is_no_more_is_kept_by_another_and_forgotten_at_last() {
    let (mut world, first) = World::new().await;
    let led = world.open(&first).await;
    for _ in 0..3 {
        first.append(&led).await;
    }
    first.archive.close();
    let second = world.broker(1).await;
    // A PUT that came too late.
    let late = paths::journal_object(first.session, 9);
    world.store.put(&late, bytes::Bytes::from_static(b"late")).await.expect("put");
    pass(10).await;
    assert_eq!(second.spans(), 3, "nobody has said yet what is archived");
    let taken = world.open(&second).await;
    second.append(&taken).await;
    assert_eq!(second.spans(), 4);
    second.flush(world.partition).await;
    assert_eq!(second.spans(), 0);
    pass(100).await;
    assert_eq!(world.objects(first.session).await, 0);
    assert!(world.has_keys(first.session).await);
    pass(200).await;
    assert!(!world.has_keys(first.session).await);
}

#[tokio::test(start_paused = true)]
async fn the_last_index_object_of_an_ended_journal_tells_of_all_its_objects_whatever_was_there_before() {
    let (mut world, first) = World::new().await;
    let led = world.open(&first).await;
    for _ in 0..3 {
        first.append(&led).await;
    }
    let until = |final_seq| EndedJournal { session: first.session, start: Default::default(), final_seq };
    let read = async |world: &World, journal: EndedJournal| {
        let journals = [journal];
        let objects = recover(&world.store, &journals, Partitions::All).try_collect::<Vec<_>>().await;
        objects.expect("all there")
    };
    // As the session itself writes one when it acknowledges a view.
    let before = read(&world, until(2)).await;
    index_end(&world.store, &until(2), &before).await;
    let told: Vec<_> = read(&world, until(3)).await.iter().map(|object| object.is_told).collect();
    assert_eq!(told, [true, true, false]);
    first.archive.close();
    let _second = world.broker(1).await;
    pass(10).await;
    assert!(read(&world, until(3)).await.iter().all(|object| object.is_told));
}

#[tokio::test(start_paused = true)]
async fn a_topic_that_is_gone_needs_nothing_of_a_journal_whoever_keeps_it() {
    let (mut world, first) = World::new().await;
    let second = world.broker(2).await;
    let led = world.open(&first).await;
    first.append(&led).await;
    first.log.on_lost(world.partition).expect("it was served");
    second.catalog.delete(world.partition.topic_id).await.expect("deleted");
    pass(700).await;
    assert_eq!(first.spans(), 0);
    assert_eq!(world.objects(first.session).await, 0);
}
