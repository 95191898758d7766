//! A broker in memory without sockets, and how tests talk to it.

use super::super::{
    Admitted, AdvertisedListener, ClusterInfo, ConnectionInfo, Context, FetchSessions, Handle, Handler,
    MissingListeners, Streams,
};
use crate::archive::cut::WAITING_ROWS_MAX;
use crate::archive::{self, Archive, ArchiveStart};
use crate::background::Background;
use crate::cache::Cache;
use crate::clock::Clock;
use crate::config::{CacheConfig, Config, Flags, resolve};
use crate::group::delivery::{DeliveryStart, ShareDelivery};
use crate::group::{GroupCoordinator, GroupSettingsCatalog, GroupsConfig, GroupsStart};
use crate::journal::{
    BrokerSession, EndedJournal, Joining, Journal, JournalStart, Partitions, ended_journals, recover,
};
use crate::leadership::{Leadership, NoCluster};
use crate::limits::{MemoryBudget, Purpose};
use crate::log::{BrokerLog, ProducerIds, Reader};
use crate::mesh::ClientSecurity;
use crate::meta::{EmbeddedStore, MetadataStore};
use crate::metrics::Metrics;
use crate::peers::{Peers, PrivateApi, PrivateServices};
use crate::remote::RemoteBrokers;
use crate::store::ObjectStore;
use crate::topic::{Catalog, NewTopic, Topic};
use crate::txn::{TransactionConfig, TxnCoordinator, TxnsStart};
use crate::types::{BrokerId, ClusterId, LeaderEpoch, SessionId, Timestamp, TopicName};
use crate::wire::batch::{BatchBuilder, Codec, NO_PRODUCER};
use crate::wire::{
    Decodable, ErrorCode, HeaderVersion, Request, RequestHeader, ResponseFrame, StrBytes, decode_frame,
    encode_request, messages,
};
use bytes::{Buf, Bytes};
use futures_util::TryStreamExt;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// What time it is.
pub const NOW: Timestamp = Timestamp(1_700_000_000_000);
const CORRELATION_ID: i32 = 77;

/// A broker on stores that others may join as well.
pub struct World {
    pub metadata: Arc<dyn MetadataStore>,
    pub store: ObjectStore,
    pub context: Arc<Context>,
    wall: Arc<AtomicI64>,
    sessions: u128,
    pub handler: Arc<Handler>,
    pub connection: ConnectionInfo,
}

impl World {
    pub async fn new() -> World {
        World::with(|_| ()).await
    }

    /// A broker with other settings.
    pub async fn with(change: impl FnOnce(&mut Config)) -> World {
        let metadata: Arc<dyn MetadataStore> = Arc::new(EmbeddedStore::in_memory());
        let store = ObjectStore::in_memory();
        let joined = join(&metadata, &store, BrokerId(1), 1).await;
        let place = Place::alone(&joined.0);
        let wall = Arc::new(AtomicI64::new(NOW.get()));
        let clock = Clock::Manual(Arc::clone(&wall));
        let context = context(&metadata, &store, joined, clock, Arc::new(config(change)), place).await;
        World { metadata, store, wall, sessions: 1, ..World::of(context) }
    }

    /// A broker that is no more than what it answers from.
    pub fn of(context: Arc<Context>) -> World {
        let client = ([127, 0, 0, 1], 5000).into();
        let connection = ConnectionInfo::of_client(1, "PLAINTEXT".to_owned(), client, ClientSecurity::Plain);
        let handler = Arc::new(Handler::new(Arc::clone(&context)));
        let (metadata, store) = (Arc::new(EmbeddedStore::in_memory()), ObjectStore::in_memory());
        World { metadata, store, context, wall: Arc::default(), sessions: 1, handler, connection }
    }

    /// Lets the wall clock go on. What waits does not notice.
    pub fn advance(&self, time: Duration) {
        self.wall.fetch_add(i64::try_from(time.as_millis()).expect("a short while"), Ordering::Relaxed);
    }

    /// Another session joins on the same stores, which seals this one.
    pub async fn seal(&self) -> Vec<EndedJournal> {
        join(&self.metadata, &self.store, BrokerId(1), self.sessions + 1).await.1
    }

    /// Another session takes over, and answers from now on. The one before lives on, without knowing.
    pub async fn take_over(&mut self) {
        self.sessions += 1;
        let joined = join(&self.metadata, &self.store, BrokerId(1), self.sessions).await;
        let config = Arc::clone(&self.context.config);
        let clock = Clock::Manual(Arc::clone(&self.wall));
        let place = Place::alone(&joined.0);
        self.context = context(&self.metadata, &self.store, joined, clock, config, place).await;
        self.handler.replace(Arc::clone(&self.context));
    }

    /// The connection by which everything was asked ends.
    pub fn disconnect(&self) {
        self.handler.on_disconnect(&self.connection);
    }

    pub async fn create(&self, name: &str, partitions: i32) -> Arc<Topic> {
        let name = TopicName::parse(name).expect("legal");
        let new = NewTopic { name, partitions, overrides: BTreeMap::new() };
        let topic = self.context.catalog.create(new).await.expect("created");
        self.context.opened(&topic).await;
        topic
    }

    /// Hands the bytes of one request in, without the length before them.
    pub async fn admit_frame(&self, frame: Bytes) -> Admitted {
        let permit = MemoryBudget::new(1 << 20).reserve(frame.len(), Purpose::Other).await;
        let request = decode_frame(frame).expect("a legal header");
        self.handler.admit(&self.connection, request, permit).await
    }

    pub async fn admit<Q: Request>(&self, version: i16, request: &Q) -> Admitted {
        self.admit_frame(frame_of(version, request)).await
    }

    /// Asks, and reads the answer to its end.
    pub async fn ask<Q: Request>(&self, version: i16, request: &Q) -> Q::Response {
        decode(answered(self.admit(version, request).await).await, version)
    }
}

/// A request's bytes without the length before them.
pub fn frame_of<Q: Request>(version: i16, request: &Q) -> Bytes {
    frame_of_client("test", version, request)
}

/// The same of a client with this id.
pub fn frame_of_client<Q: Request>(client_id: &str, version: i16, request: &Q) -> Bytes {
    let client_id = Some(client_id.to_owned());
    let header =
        RequestHeader { api_key: Q::KEY, api_version: version, correlation_id: CORRELATION_ID, client_id };
    encode_request(&header, request).expect("the version has the fields that are set").slice(4..)
}

/// The bytes of an answer, now or later.
pub async fn answered(admitted: Admitted) -> Bytes {
    let frame = match admitted {
        Admitted::Answer(frame) => frame,
        Admitted::Waiting(frame) => frame.await,
        Admitted::Silent => panic!("no answer was given"),
        Admitted::Close => panic!("the connection was closed"),
    };
    joined(&frame)
}

fn joined(frame: &ResponseFrame) -> Bytes {
    let mut bytes = Bytes::from(frame.chunks.concat());
    let length = bytes.get_i32();
    assert_eq!(usize::try_from(length), Ok(bytes.len()), "the length tells what follows it");
    bytes
}

/// Reads an answer in its version; nothing may be left over.
pub fn decode<R: Decodable + HeaderVersion>(mut bytes: Bytes, version: i16) -> R {
    let header = messages::ResponseHeader::decode(&mut bytes, R::header_version(version)).expect("a header");
    assert_eq!(header.correlation_id, CORRELATION_ID);
    let response = R::decode(&mut bytes, version).expect("an answer of that version");
    assert!(bytes.is_empty(), "{} bytes are left of an answer of version {version}", bytes.len());
    response
}

/// A broker's settings in these tests.
pub fn config(change: impl FnOnce(&mut Config)) -> Config {
    let mut config = resolve(&Flags::default(), &|_| None).expect("the defaults are legal").0;
    config.journal.flush_interval = Duration::ZERO;
    change(&mut config);
    config
}

/// Which broker of a cluster one is.
pub struct Place {
    pub broker_id: BrokerId,
    pub leadership: Leadership,
    pub peers: Peers,
}

impl Place {
    /// The only one.
    fn alone(session: &BrokerSession) -> Place {
        let leadership = Leadership::alone(session.id(), session.view());
        Place { broker_id: BrokerId(1), peers: Peers::none(leadership.clone()), leadership }
    }
}

/// Where clients reach a broker: 9092 for the first.
pub fn port_of(broker_id: BrokerId) -> u16 {
    u16::try_from(9091 + broker_id.0).expect("a few brokers")
}

pub async fn join(
    metadata: &Arc<dyn MetadataStore>,
    store: &ObjectStore,
    broker_id: BrokerId,
    number: u128,
) -> (BrokerSession, Vec<EndedJournal>) {
    let session_id = SessionId(Uuid::from_u128(number));
    let joining = Joining::new(session_id, broker_id, NOW);
    let session = BrokerSession::join(metadata, store, joining).await.expect("joins");
    (session, ended_journals(metadata.as_ref()).await)
}

/// What the room `views` does for topics that come to be.
async fn open_new_partitions(catalog: Arc<Catalog>, log: Arc<BrokerLog>, leadership: Leadership) {
    let mut changes = catalog.changes();
    loop {
        for topic in catalog.all() {
            log.ensure(topic.id, topic.partitions);
        }
        leadership.on_served();
        if changes.changed().await.is_err() {
            return;
        }
    }
}

pub async fn context(
    metadata: &Arc<dyn MetadataStore>,
    store: &ObjectStore,
    (session, ended): (BrokerSession, Vec<EndedJournal>),
    clock: Clock,
    config: Arc<Config>,
    Place { broker_id, leadership, peers }: Place,
) -> Arc<Context> {
    let metrics = Arc::new(Metrics::new());
    let cache = CacheConfig { memory_bytes: 1 << 20, disk_bytes: 0 };
    let cache = Cache::open(cache, Path::new("unused"), Arc::clone(&metrics)).await.expect("in memory");
    let (standing, view) = (session.standing().clone(), session.view());
    let catalog = Catalog::load(Arc::clone(metadata), standing.clone(), clock.clone()).await.expect("loads");
    let log = Arc::new(BrokerLog::new(LeaderEpoch(view.0), cache.clone()));
    catalog.all().iter().for_each(|topic| log.ensure(topic.id, topic.partitions));
    let loaded = archive::load(metadata.as_ref(), store, &catalog).await.expect("loads");
    for manifest in &loaded.manifests {
        log.recover_archived(manifest.topic_partition, manifest.archived_log());
    }
    let objects = recover(store, &ended, Partitions::All).try_collect::<Vec<_>>().await.expect("all there");
    let session_id = session.id();
    let remote: Arc<dyn RemoteBrokers> = Arc::new(peers.clone());
    log.recover(&objects, clock.now()).expect("without contradictions");
    let committed = Arc::clone(&log);
    let start =
        JournalStart { session, store: store.clone(), config: config.journal, metrics: Arc::clone(&metrics) };
    let (journal, run) = Journal::start(start, Box::new(move |object| committed.on_committed(&object)));
    tokio::spawn(run);
    let listener = AdvertisedListener {
        name: "PLAINTEXT".to_owned(),
        host: "here".to_owned(),
        port: port_of(broker_id),
        security: "PLAINTEXT",
    };
    let catalog = Arc::new(catalog);
    tokio::spawn(open_new_partitions(Arc::clone(&catalog), Arc::clone(&log), leadership.clone()));
    let group_settings = Arc::new(GroupSettingsCatalog::load(standing.clone()).await.expect("loads"));
    let mut groups = GroupsConfig { offset_metadata_bytes_max: 100, ..GroupsConfig::default() };
    groups.classic.initial_rebalance_delay = Duration::ZERO;
    let reader = Reader::new(cache, store.clone());
    let fetch_memory = MemoryBudget::new(1 << 20);
    let delivery = ShareDelivery::start(DeliveryStart {
        standing: standing.clone(),
        leadership: leadership.clone(),
        remote: Arc::clone(&remote),
        settings: Arc::clone(&group_settings),
        clock: clock.clone(),
        log: Arc::clone(&log),
        reader: reader.clone(),
        memory: fetch_memory.clone(),
    });
    let groups = GroupCoordinator::start(GroupsStart {
        config: groups,
        standing: standing.clone(),
        leadership: leadership.clone(),
        remote: Arc::clone(&remote),
        clock: clock.clone(),
        catalog: Arc::clone(&catalog),
        delivery,
    });
    let producer_ids = Arc::new(ProducerIds::new(Arc::clone(metadata), standing.clone()));
    let transactions = TxnCoordinator::start(TxnsStart {
        config: TransactionConfig::default(),
        standing: standing.clone(),
        leadership: leadership.clone(),
        remote,
        clock: clock.clone(),
        producer_ids: Arc::clone(&producer_ids),
        log: Arc::clone(&log),
        journal: journal.clone(),
        catalog: Arc::clone(&catalog),
        groups: groups.clone(),
    });
    let (archive, _fault) = Archive::start(ArchiveStart {
        config: config.archive,
        session: session_id,
        leader_epoch: LeaderEpoch(view.0),
        standing: standing.clone(),
        clock: clock.clone(),
        store: store.clone(),
        log: Arc::clone(&log),
        reader: reader.clone(),
        catalog: Arc::clone(&catalog),
        background: Background::start("archive", 1),
        loaded,
        metrics: Arc::clone(&metrics),
        leadership: leadership.clone(),
        waiting_rows_max: WAITING_ROWS_MAX,
    });
    let private = PrivateServices::default().with(PrivateApi::Coordinators, Arc::new(transactions.clone()));
    Arc::new(Context {
        catalog,
        archive,
        leadership,
        control: Arc::new(NoCluster),
        missing_listeners: MissingListeners::default(),
        shared_addresses: Arc::default(),
        transactions,
        groups,
        group_settings,
        cluster: ClusterInfo {
            cluster_id: ClusterId(Uuid::from_u128(5)),
            broker_id,
            listeners: vec![listener],
        },
        peers,
        streams: Streams::default(),
        private,
        clock,
        log,
        reader,
        journal,
        producer_ids,
        standing,
        fetch_sessions: FetchSessions::default(),
        fetch_memory,
        metrics,
        stopping: CancellationToken::new(),
        config,
    })
}

pub fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

pub fn topic_name(name: &str) -> messages::TopicName {
    messages::TopicName(text(name))
}

/// A batch of that many records, from now.
pub fn records(count: usize) -> Bytes {
    let mut builder = BatchBuilder::new();
    for _ in 0..count {
        builder.append(NOW, None, Some(b"value"), &[]);
    }
    builder.finish(Codec::None, NO_PRODUCER)
}

/// An answer's code by its name, so that a failed test can be read.
pub fn code(code: i16) -> Option<ErrorCode> {
    ErrorCode::try_from_code(code)
}
