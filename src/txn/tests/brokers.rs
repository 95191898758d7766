//! Brokers on shared stores, with the rooms that transactions touch, and a link between them that can be cut.

use super::*;
use crate::archive::{Archive, ArchiveStart, LoadedManifests};
use crate::background::Background;
use crate::cache::Cache;
use crate::clock::Clock;
use crate::cluster::PlacementKey;
use crate::config::{ArchiveConfig, ArchivePace, CacheConfig, JournalConfig};
use crate::group::classic::CommitIdentity;
use crate::group::delivery::{DeliveryStart, ShareDelivery};
use crate::group::{
    CommitKind, CommitOffsets, CommittedOffset, FetchOffsets, FetchedOffset, GroupCoordinator, GroupId,
    GroupSettingsCatalog, GroupsConfig, GroupsStart, MemberId,
};
use crate::journal::{BrokerSession, Joining, Journal, JournalStart, Outcome};
use crate::leadership::{Leader, Leadership};
use crate::limits::{MemoryBudget, Purpose};
use crate::log::{AppendError, BatchIdentity, BrokerLog, Incoming, ProducerIds, Reader};
use crate::meta::MetadataStore;
use crate::meta::faults::FaultyStore;
use crate::metrics::Metrics;
use crate::remote::{NoAnswer, RemoteBrokers};
use crate::store::ObjectStore;
use crate::topic::{Catalog, NewTopic};
use crate::types::{BrokerId, LeaderEpoch, Offset, SessionId, TopicName};
use crate::views::{PastSuspicion, Views, ViewsStart};
use crate::wire::batch::{BatchBuilder, BatchHeader, Codec, ProducerStamp};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::watch;

/// Longer than anything here takes: a test that hangs fails.
const PATIENCE: Duration = Duration::from_secs(60);
pub const PARTITIONS: i32 = 16;

/// Carries requests between brokers, unless it is cut.
#[derive(Debug, Default)]
pub struct Link {
    ends: Mutex<HashMap<SessionId, TxnCoordinator>>,
    is_cut: AtomicBool,
}

impl RemoteBrokers for Link {
    fn ask(&self, to: SessionId, request: Bytes, _: Duration) -> BoxFuture<'_, Result<Bytes, NoAnswer>> {
        let end = self.ends.lock().get(&to).cloned().filter(|_| !self.is_cut.load(Ordering::SeqCst));
        Box::pin(async move {
            let end = end.ok_or_else(|| NoAnswer("cut off".to_owned()))?;
            Ok(end.serve_remote(request).await)
        })
    }
}

/// Stores that brokers share.
pub struct Cluster {
    metadata: Arc<dyn MetadataStore>,
    store: ObjectStore,
    link: Arc<Link>,
}

pub struct Broker {
    pub log: Arc<BrokerLog>,
    journal: Journal,
    catalog: Arc<Catalog>,
    pub leadership: Leadership,
    pub groups: GroupCoordinator,
    pub transactions: TxnCoordinator,
    pub views: Views,
    _sightings: Box<dyn std::any::Any + Send>,
}

impl Cluster {
    pub fn new() -> Cluster {
        let metadata = Arc::new(FaultyStore::new(10_000_000));
        Cluster { metadata, store: ObjectStore::in_memory(), link: Arc::default() }
    }

    pub fn cut(&self, is_cut: bool) {
        self.link.is_cut.store(is_cut, Ordering::SeqCst);
    }

    pub async fn join(&self, broker: i32) -> Broker {
        let (metadata, store) = (Arc::clone(&self.metadata), self.store.clone());
        let session_id = SessionId(Uuid::new_v4());
        let clock = Clock::Manual(Arc::default());
        let joining = Joining::new(session_id, BrokerId(broker), clock.now());
        let member = joining.member();
        let session = BrokerSession::join(&metadata, &store, joining).await.expect("joins");
        let (standing, joined, met) = (session.standing().clone(), session.joined(), session.met());
        let leadership = Leadership::new(&joined.0, joined.1, session_id).expect("known");
        let metrics = Arc::new(Metrics::new());
        let cache = CacheConfig { memory_bytes: 1 << 20, disk_bytes: 0 };
        let cache = Cache::open(cache, Path::new("unused"), Arc::clone(&metrics)).await.expect("in memory");
        let catalog = Catalog::load(Arc::clone(&metadata), standing.clone(), clock.clone()).await;
        let catalog = Arc::new(catalog.expect("loads"));
        let log = Arc::new(BrokerLog::new(LeaderEpoch(joined.0.number.0), cache.clone()));
        let committed = Arc::clone(&log);
        let config = JournalConfig { flush_interval: Duration::ZERO, flush_bytes: 4096, puts_in_flight: 2 };
        let start = JournalStart { session, store: store.clone(), config, metrics: Arc::clone(&metrics) };
        let (journal, run) = Journal::start(start, Box::new(move |object| committed.on_committed(&object)));
        tokio::spawn(run);
        let reader = Reader::new(cache, store.clone());
        let day = Duration::from_secs(86_400);
        let (archive, _fault) = Archive::start(ArchiveStart {
            config: ArchiveConfig { bytes: 1 << 20, age: day, age_max: day, pace: ArchivePace::default() },
            session: session_id,
            leader_epoch: LeaderEpoch(joined.0.number.0),
            standing: standing.clone(),
            clock: clock.clone(),
            store: store.clone(),
            log: Arc::clone(&log),
            reader: reader.clone(),
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
            metadata: Arc::clone(&metadata),
            store,
            standing: standing.clone(),
            journal: journal.clone(),
            log: Arc::clone(&log),
            archive,
            catalog: Arc::clone(&catalog),
            leadership: leadership.clone(),
            sightings: seen,
            clock: clock.clone(),
            past: PastSuspicion::default(),
        });
        tokio::spawn(run);
        let remote: Arc<dyn RemoteBrokers> = Arc::clone(&self.link) as _;
        let settings = GroupSettingsCatalog::load(standing.clone()).await.expect("loads");
        let delivery = ShareDelivery::start(DeliveryStart {
            standing: standing.clone(),
            leadership: leadership.clone(),
            remote: Arc::clone(&remote),
            settings: Arc::new(settings),
            clock: clock.clone(),
            log: Arc::clone(&log),
            reader,
            memory: MemoryBudget::new(1 << 20),
        });
        let groups = GroupCoordinator::start(GroupsStart {
            config: GroupsConfig { offset_metadata_bytes_max: 100, ..GroupsConfig::default() },
            standing: standing.clone(),
            leadership: leadership.clone(),
            remote: Arc::clone(&remote),
            clock: clock.clone(),
            catalog: Arc::clone(&catalog),
            delivery,
        });
        let transactions = TxnCoordinator::start(TxnsStart {
            config: TransactionConfig::default(),
            standing: standing.clone(),
            leadership: leadership.clone(),
            remote,
            clock,
            producer_ids: Arc::new(ProducerIds::new(metadata, standing)),
            log: Arc::clone(&log),
            journal: journal.clone(),
            catalog: Arc::clone(&catalog),
            groups: groups.clone(),
        });
        self.link.ends.lock().insert(session_id, transactions.clone());
        Broker {
            log,
            journal,
            catalog,
            leadership,
            groups,
            transactions,
            views,
            _sightings: Box::new(sightings),
        }
    }
}

impl Broker {
    pub async fn create_topic(&self) -> Vec<TopicPartition> {
        let name = TopicName::parse("a").expect("legal");
        let new = NewTopic { name, partitions: PARTITIONS, overrides: BTreeMap::new() };
        self.catalog.create(new).await.expect("created").topic_partitions().collect()
    }

    /// A name that this broker coordinates, of names for `key`.
    pub fn name(&self, key: impl Fn(&str) -> PlacementKey) -> String {
        let image = self.leadership.image();
        let mut names = (0..).map(|number| format!("name-{number}"));
        names.find(|name| image.leader(key(name)) == Leader::Own).expect("one of them")
    }

    /// One of these that this broker serves.
    pub fn one_of(&self, partitions: &[TopicPartition]) -> TopicPartition {
        *partitions.iter().find(|led| self.log.partition(**led).is_some()).expect("one of many")
    }

    /// A record of a transaction of version 2 to a partition that is served here; where it is.
    pub async fn produce(&self, id: &str, producer: Producer, place: TopicPartition) -> Offset {
        let partition = self.log.partition(place).expect("served here");
        let mut builder = BatchBuilder::new();
        builder.append(Timestamp(0), None, Some(b"value"), &[]);
        let stamp = ProducerStamp {
            producer_id: producer.id,
            producer_epoch: producer.epoch,
            base_sequence: 0,
            transactional: true,
        };
        let batch = builder.finish(Codec::None, stamp);
        let attributes = BatchHeader::decode(&batch).expect("just built").attributes;
        let identity = BatchIdentity {
            producer_id: producer.id,
            producer_epoch: producer.epoch,
            base_sequence: 0,
            record_count: 1,
        };
        let incoming = Incoming {
            batch,
            record_count: 1,
            max_timestamp: Timestamp(0),
            identity: Some(identity),
            attributes,
        };
        let permit = Arc::new(MemoryBudget::new(1 << 20).try_reserve(1, Purpose::Other).expect("free"));
        let mut verified = None;
        loop {
            let (came, now) = (incoming.clone(), Timestamp(0));
            match partition.append_in_transaction(&self.journal, came, verified, &permit, now) {
                Ok(mut appended) => {
                    assert_eq!(appended.ticket.settled().await, Outcome::Committed);
                    return appended.base_offset;
                }
                Err(AppendError::NeedsVerification(question)) => {
                    let ordinal = self.first_batch(id, producer, Place::Partition(place)).await;
                    verified = Some(question.answered(ordinal.expect("it may begin")));
                }
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// An offset that counts once the transaction is committed, for a group that this broker coordinates.
    pub async fn commit_offset(&self, id: &str, producer: Producer, group: &str, place: TopicPartition) {
        let asked = self.first_batch(id, producer, Place::Group(group.into())).await;
        let ordinal = asked.expect("it may begin");
        let (producer_id, producer_epoch) = (producer.id, producer.epoch);
        let committed = CommittedOffset {
            offset: Offset(5),
            leader_epoch: -1,
            metadata: String::new(),
            committed_at: Timestamp(0),
        };
        let commit = CommitOffsets {
            by: CommitIdentity { member_id: MemberId::default(), group_instance_id: None, generation_id: -1 },
            kind: CommitKind::Transactional { producer_id, producer_epoch, ordinal },
            offsets: vec![(place.topic_id, place.partition, committed)],
        };
        self.groups.call(&GroupId::new(group), commit).await.expect("taken");
    }

    /// What is committed for a partition, if a group is coordinated here and no transaction may change it.
    pub async fn committed_offset(&self, group: &str, place: TopicPartition) -> Option<i64> {
        let fetch = FetchOffsets {
            member_id: None,
            member_epoch: -1,
            wanted: Some(vec![(place.topic_id, place.partition)]),
            require_stable: true,
        };
        let fetched = self.groups.call(&GroupId::new(group), fetch).await.ok()?;
        match &fetched[0].2 {
            FetchedOffset::Committed(committed) => Some(committed.offset.0),
            FetchedOffset::None | FetchedOffset::Unstable => None,
        }
    }

    async fn first_batch(
        &self,
        id: &str,
        producer: Producer,
        place: Place,
    ) -> Result<TransactionOrdinal, TxnError> {
        let first_batch = FirstBatch { producer, place, transaction_version: Two };
        self.transactions.first_batch(id, first_batch).await
    }

    pub async fn init(&self, id: &str) -> Producer {
        let init = InitProducerId { timeout_ms: TIMEOUT_MS, expected: None };
        self.transactions.call(id, init).await.expect("an identity")
    }

    pub async fn end(&self, id: &str, producer: Producer, verdict: Verdict) -> Result<Producer, TxnError> {
        let end = EndTxn { producer, verdict, transaction_version: Two };
        self.transactions.call(id, end).await
    }

    pub async fn state(&self, id: &str) -> Option<TransactionState> {
        self.transactions.call(id, Describe).await.ok().map(|view| view.state)
    }

    /// The high watermark and the last stable offset, where the partition is served here.
    pub fn ends(&self, place: TopicPartition) -> Option<(i64, i64)> {
        let ends = self.log.partition(place)?.ends();
        Some((ends.high_watermark.0, ends.last_stable_offset.0))
    }
}

/// Waits until these brokers serve all of `partitions`.
pub async fn served(brokers: &[&Broker], partitions: &[TopicPartition]) {
    let serves = |led: &TopicPartition| brokers.iter().any(|broker| broker.log.partition(*led).is_some());
    until(async || partitions.iter().all(serves)).await;
}

/// Waits until something holds.
pub async fn until(mut holds: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !holds().await {
            let _elapsed = tokio::time::timeout(Duration::from_millis(5), std::future::pending::<()>()).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.expect("it holds in time");
}
