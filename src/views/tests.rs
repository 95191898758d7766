//! Views between sessions that share two stores: partitions come and go with all that was acknowledged, whoever joins,
//! leaves, or is sealed.

use super::{PastSuspicion, Views, ViewsEnd, ViewsStart};
use crate::archive::{Archive, ArchiveStart, LoadedManifests};
use crate::background::Background;
use crate::cache::Cache;
use crate::clock::Clock;
use crate::config::{ArchiveConfig, ArchivePace, CacheConfig, JournalConfig};
use crate::journal::{BrokerSession, Joining, Journal, JournalStart, Outcome};
use crate::leadership::{ClusterControl, Leadership};
use crate::limits::{MemoryBudget, Purpose};
use crate::log::{BatchIdentity, BrokerLog, Incoming, Reader};
use crate::meta::MetadataStore;
use crate::meta::faults::FaultyStore;
use crate::metrics::Metrics;
use crate::store::ObjectStore;
use crate::topic::{Catalog, NewTopic};
use crate::types::{
    BrokerId, LeaderEpoch, Offset, ProducerEpoch, ProducerId, SessionId, Timestamp, TopicName, TopicPartition,
};
use crate::wire::batch::{BatchBuilder, BatchHeader, Codec, NO_PRODUCER};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use uuid::Uuid;

const NOW: Timestamp = Timestamp(0);
const PARTITIONS: i32 = 32;
/// Longer than anything here takes: a test that hangs fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// Two stores that sessions share.
struct World {
    metadata: Arc<dyn MetadataStore>,
    store: ObjectStore,
}

/// One session, with the rooms that views touch.
struct Node {
    log: Arc<BrokerLog>,
    journal: Journal,
    catalog: Arc<Catalog>,
    leadership: Leadership,
    views: Views,
    ended: JoinHandle<ViewsEnd>,
    _sightings: watch::Sender<super::watching::Sightings>,
}

impl World {
    fn new() -> World {
        World { metadata: Arc::new(FaultyStore::new(1_000_000)), store: ObjectStore::in_memory() }
    }

    async fn join(&self, broker: i32) -> Node {
        let session_id = SessionId(Uuid::new_v4());
        let joining = Joining::new(session_id, BrokerId(broker), NOW);
        let member = joining.member();
        let session = BrokerSession::join(&self.metadata, &self.store, joining).await.expect("joins");
        let (standing, joined, met) = (session.standing().clone(), session.joined(), session.met());
        let leadership = Leadership::new(&joined.0, joined.1, session_id).expect("known");
        let metrics = Arc::new(Metrics::new());
        let cache = CacheConfig { memory_bytes: 1 << 20, disk_bytes: 0 };
        let cache = Cache::open(cache, Path::new("unused"), Arc::clone(&metrics)).await.expect("in memory");
        let clock = Clock::Manual(Arc::default());
        let catalog = Catalog::load(Arc::clone(&self.metadata), standing.clone(), clock.clone()).await;
        let catalog = Arc::new(catalog.expect("loads"));
        let log = Arc::new(BrokerLog::new(LeaderEpoch(joined.0.number.0), cache.clone()));
        let committed = Arc::clone(&log);
        let config = JournalConfig { flush_interval: Duration::ZERO, flush_bytes: 4096, puts_in_flight: 2 };
        let start =
            JournalStart { session, store: self.store.clone(), config, metrics: Arc::clone(&metrics) };
        let (journal, run) = Journal::start(start, Box::new(move |object| committed.on_committed(&object)));
        tokio::spawn(run);
        let day = Duration::from_secs(86_400);
        let (archive, _fault) = Archive::start(ArchiveStart {
            config: ArchiveConfig { bytes: 1 << 20, age: day, age_max: day, pace: ArchivePace::default() },
            session: session_id,
            leader_epoch: LeaderEpoch(joined.0.number.0),
            standing: standing.clone(),
            clock: clock.clone(),
            store: self.store.clone(),
            log: Arc::clone(&log),
            reader: Reader::new(cache, self.store.clone()),
            catalog: Arc::clone(&catalog),
            background: Background::start("test", 1),
            loaded: LoadedManifests::default(),
            leadership: leadership.clone(),
            metrics,
            waiting_rows_max: 1_000,
        });
        let (sightings, seen) = watch::channel(Arc::default());
        let (views, run) = Views::start(ViewsStart {
            member,
            joined,
            met,
            metadata: Arc::clone(&self.metadata),
            store: self.store.clone(),
            standing,
            journal: journal.clone(),
            log: Arc::clone(&log),
            archive,
            catalog: Arc::clone(&catalog),
            leadership: leadership.clone(),
            sightings: seen,
            clock,
            past: PastSuspicion::default(),
        });
        let ended = tokio::spawn(run);
        Node { log, journal, catalog, leadership, views, ended, _sightings: sightings }
    }
}

impl Node {
    async fn create_topic(&self) -> Vec<TopicPartition> {
        let name = TopicName::parse("a").expect("legal");
        let new = NewTopic { name, partitions: PARTITIONS, overrides: BTreeMap::new() };
        self.catalog.create(new).await.expect("created").topic_partitions().collect()
    }

    fn leads(&self, partitions: &[TopicPartition]) -> Vec<TopicPartition> {
        partitions.iter().copied().filter(|led| self.log.partition(*led).is_some()).collect()
    }

    /// Appends one record of a producer that counts, and waits for its fate.
    async fn append(&self, partition: TopicPartition, sequence: i32) -> Option<Offset> {
        let mut builder = BatchBuilder::new();
        builder.append(NOW, None, Some(b"value"), &[]);
        let batch = builder.finish(Codec::None, NO_PRODUCER);
        let attributes = BatchHeader::decode(&batch).expect("just built").attributes;
        let identity = BatchIdentity {
            producer_id: ProducerId(1),
            producer_epoch: ProducerEpoch(0),
            base_sequence: sequence,
            record_count: 1,
        };
        let incoming =
            Incoming { batch, record_count: 1, max_timestamp: NOW, identity: Some(identity), attributes };
        let permit = Arc::new(MemoryBudget::new(1 << 20).try_reserve(1, Purpose::Other).expect("free"));
        let led = self.log.partition(partition)?;
        let mut appended = led.append(&self.journal, incoming, &permit, NOW).ok()?;
        (appended.ticket.settled().await == Outcome::Committed).then_some(appended.base_offset)
    }
}

/// Waits until `nodes` serve all of `partitions`, each of them one; gives how many each has.
async fn served(nodes: &[&Node], partitions: &[TopicPartition]) -> Vec<usize> {
    served_so(nodes, partitions, |_| true).await
}

/// The same, where each of them has to lead something: before the one that joins does, the others lead all.
async fn shared(nodes: &[&Node], partitions: &[TopicPartition]) -> Vec<usize> {
    served_so(nodes, partitions, |led| led.iter().all(|led| *led > 0)).await
}

async fn served_so(
    nodes: &[&Node],
    partitions: &[TopicPartition],
    is_so: impl Fn(&[usize]) -> bool,
) -> Vec<usize> {
    let mut changes: Vec<_> = nodes.iter().map(|node| node.leadership.changes()).collect();
    let all = async {
        loop {
            let led: Vec<usize> = nodes.iter().map(|node| node.leads(partitions).len()).collect();
            assert!(led.iter().sum::<usize>() <= partitions.len(), "two lead one partition");
            if led.iter().sum::<usize>() == partitions.len() && is_so(&led) {
                return led;
            }
            let news = changes.iter_mut().map(|changes| Box::pin(changes.changed()));
            let _ = futures_util::future::select_all(news).await;
        }
    };
    tokio::time::timeout(PATIENCE, all).await.expect("all is served in time")
}

/// Appends the next record to each partition, where it is led.
async fn append_all(nodes: &[&Node], partitions: &[TopicPartition], sequence: i32) {
    for partition in partitions {
        let leader = nodes.iter().find(|node| node.log.partition(*partition).is_some()).expect("led");
        assert_eq!(leader.append(*partition, sequence).await, Some(Offset(i64::from(sequence))));
    }
}

#[tokio::test]
async fn one_broker_serves_all_and_new_topics_at_once() {
    let world = World::new();
    let node = world.join(1).await;
    node.views.settled().await.expect("nothing to take over");
    let partitions = node.create_topic().await;
    assert_eq!(served(&[&node], &partitions).await, [PARTITIONS as usize]);
    append_all(&[&node], &partitions, 0).await;
}

#[tokio::test]
async fn a_broker_that_joins_takes_its_share_with_all_that_was_acknowledged() {
    let world = World::new();
    let first = world.join(1).await;
    let partitions = first.create_topic().await;
    served(&[&first], &partitions).await;
    for sequence in 0..3 {
        append_all(&[&first], &partitions, sequence).await;
    }
    let before: Vec<_> = partitions.iter().map(|led| first.log.partition(*led).expect("led")).collect();
    let second = world.join(2).await;
    shared(&[&first, &second], &partitions).await;
    // What stays goes on as it is, what moves is closed.
    for (partition, was) in partitions.iter().zip(before) {
        match first.log.partition(*partition) {
            Some(is) => assert!(Arc::ptr_eq(&is, &was) && is.term().is_open()),
            None => assert!(!was.term().is_open()),
        }
    }
    // A repeat is recognised by whoever leads now, and the next record follows.
    for partition in &partitions {
        let leader = if second.log.partition(*partition).is_some() { &second } else { &first };
        assert_eq!(leader.append(*partition, 2).await, Some(Offset(2)), "stored once");
    }
    append_all(&[&first, &second], &partitions, 3).await;
}

#[tokio::test]
async fn a_broker_that_leaves_hands_all_over() {
    let world = World::new();
    let (first, second) = (world.join(1).await, world.join(2).await);
    let partitions = first.create_topic().await;
    shared(&[&first, &second], &partitions).await;
    append_all(&[&first, &second], &partitions, 0).await;
    first.views.control().leave().await;
    let second_alone = async {
        let mut changes = second.leadership.changes();
        while second.leads(&partitions).len() < partitions.len() {
            changes.changed().await.expect("open");
        }
    };
    tokio::time::timeout(PATIENCE, second_alone).await.expect("handed over");
    assert!(first.leads(&partitions).is_empty());
    append_all(&[&second], &partitions, 1).await;
}

#[tokio::test]
async fn a_sealed_session_can_change_nothing_and_another_takes_over() {
    let world = World::new();
    let (first, second) = (world.join(1).await, world.join(2).await);
    let partitions = first.create_topic().await;
    shared(&[&first, &second], &partitions).await;
    append_all(&[&first, &second], &partitions, 0).await;
    let of_first = first.leads(&partitions);
    second.views.control().seal(BrokerId(1)).await.expect("sealed");
    for partition in &of_first {
        assert_eq!(first.append(*partition, 1).await, None, "nothing of a sealed session is committed");
    }
    assert!(matches!(first.ended.await.expect("no panic"), ViewsEnd::Sealed));
    let taken = async {
        let mut changes = second.leadership.changes();
        while second.leads(&partitions).len() < partitions.len() {
            changes.changed().await.expect("open");
        }
    };
    tokio::time::timeout(PATIENCE, taken).await.expect("taken over");
    append_all(&[&second], &partitions, 1).await;
}

#[tokio::test]
async fn a_drained_broker_leads_nothing_until_it_may_again() {
    let world = World::new();
    let (first, second) = (world.join(1).await, world.join(2).await);
    let partitions = first.create_topic().await;
    shared(&[&first, &second], &partitions).await;
    second.views.control().drain(BrokerId(1)).await.expect("ordered");
    let all_at_second = async {
        let mut changes = second.leadership.changes();
        while second.leads(&partitions).len() < partitions.len() {
            changes.changed().await.expect("open");
        }
    };
    tokio::time::timeout(PATIENCE, all_at_second).await.expect("handed over");
    second.views.control().drain(BrokerId(2)).await.expect_err("nobody would lead");
    first.views.control().undrain(BrokerId(1)).await.expect("ordered");
    let back = async {
        let mut changes = first.leadership.changes();
        while first.leads(&partitions).is_empty() {
            changes.changed().await.expect("open");
        }
    };
    tokio::time::timeout(PATIENCE, back).await.expect("it leads again");
}
