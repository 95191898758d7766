//! A coordinator on a metadata store in memory, and members of both protocols that talk to it.

use crate::cache::Cache;
use crate::clock::Clock;
use crate::cluster::{Stand, Standings};
use crate::config::CacheConfig;
use crate::group::call::{
    CommitKind, CommitOffsets, DescribeConsumer, FetchOffsets, FetchedOffset, Summarize,
};
use crate::group::classic::{
    Assignment, CommitIdentity, HeartbeatRequest, JoinRefused, JoinRequest, Joined, Protocol, SyncRequest,
};
use crate::group::consumer::{self, ConsumerGroupView, HeartbeatAnswer, PartitionSet, encode_assignment};
use crate::group::delivery::{DeliveryStart, ShareDelivery};
use crate::group::{
    ClassicDescription, CommittedOffset, Describe, GroupCoordinator, GroupError, GroupId,
    GroupSettingsCatalog, GroupSummary, GroupsConfig, GroupsStart, MemberId,
};
use crate::journal::{BrokerSession, Joining};
use crate::leadership::Leadership;
use crate::limits::MemoryBudget;
use crate::log::{BrokerLog, Reader};
use crate::meta::keys::sessions::{self, Session};
use crate::meta::keys::view::View;
use crate::meta::{Compare, EmbeddedStore, Entry, MetadataStore, Revision, Standing, Transaction, Write};
use crate::metrics::Metrics;
use crate::remote::{NoOtherBrokers, RemoteBrokers};
use crate::store::ObjectStore;
use crate::topic::{Catalog, NewTopic};
use crate::types::{
    BrokerId, LeaderEpoch, Offset, PartitionIndex, SessionId, Timestamp, TopicId, TopicName, ViewNumber,
};
use bytes::{BufMut, Bytes, BytesMut};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use uuid::Uuid;

/// How long offsets outlive their group here.
pub const RETENTION: Duration = Duration::from_secs(3600);

pub struct World {
    pub metadata: Arc<dyn MetadataStore>,
    store: ObjectStore,
    millis: Arc<AtomicI64>,
    pub session: Started,
    pub settings: Arc<GroupSettingsCatalog>,
    pub groups: GroupCoordinator,
    sessions: u128,
}

/// One session, with what it answers from.
pub struct Started {
    pub id: SessionId,
    pub standing: Standing,
    pub leadership: Leadership,
    /// The view that it joined with.
    pub joined: (Arc<View>, Revision),
    catalog: Arc<Catalog>,
    settings: Arc<GroupSettingsCatalog>,
    groups: GroupCoordinator,
}

/// Who joins on which stores.
struct Joins<'a> {
    metadata: &'a Arc<dyn MetadataStore>,
    store: &'a ObjectStore,
    millis: &'a Arc<AtomicI64>,
    session: u128,
    broker: i32,
    remote: Arc<dyn RemoteBrokers>,
}

impl World {
    pub async fn new() -> World {
        World::on(Arc::new(EmbeddedStore::in_memory())).await
    }

    pub async fn on(metadata: Arc<dyn MetadataStore>) -> World {
        World::linked(metadata, Arc::new(NoOtherBrokers)).await
    }

    /// A broker that may ask others.
    pub async fn linked(metadata: Arc<dyn MetadataStore>, remote: Arc<dyn RemoteBrokers>) -> World {
        let (store, millis) = (ObjectStore::in_memory(), Arc::new(AtomicI64::new(1_000_000)));
        World::join_as_broker(metadata, store, millis, 1, remote).await
    }

    /// Another broker on the same stores.
    pub async fn beside(&self, broker: i32, remote: Arc<dyn RemoteBrokers>) -> World {
        let (store, millis) = (self.store.clone(), Arc::clone(&self.millis));
        World::join_as_broker(Arc::clone(&self.metadata), store, millis, broker, remote).await
    }

    async fn join_as_broker(
        metadata: Arc<dyn MetadataStore>,
        store: ObjectStore,
        millis: Arc<AtomicI64>,
        broker: i32,
        remote: Arc<dyn RemoteBrokers>,
    ) -> World {
        let sessions = 100 * broker.unsigned_abs() as u128;
        let (on, objects, clock) = (&metadata, &store, &millis);
        let joins = Joins { metadata: on, store: objects, millis: clock, session: sessions, broker, remote };
        let session = start(joins).await;
        let (settings, groups) = (Arc::clone(&session.settings), session.groups.clone());
        World { metadata, store, millis, session, settings, groups, sessions }
    }

    /// Another coordinator takes over on the same store.
    pub async fn restart(&mut self) {
        self.groups.close();
        self.sessions += 1;
        let World { metadata, store, millis, .. } = self;
        let remote = Arc::new(NoOtherBrokers);
        let joins = Joins { metadata, store, millis, session: self.sessions, broker: 1, remote };
        let session = start(joins).await;
        (self.settings, self.groups) = (Arc::clone(&session.settings), session.groups.clone());
        self.session = session;
    }

    /// Has the session know who stands now.
    pub async fn learn_standings(&self) {
        self.session.leadership.on_standings(standings(&self.metadata).await);
    }

    /// Has the session acknowledge a view, as its journal does.
    pub async fn acknowledge(&self, view: ViewNumber) {
        let key = self.session.standing.key().to_owned();
        let entry = self.metadata.get(&key).await.expect("in memory").expect("it stands");
        let about = Session { acked_view: view, ..Session::decode(&entry).expect("its own") };
        let rewrite = Transaction {
            compares: vec![Compare::Unchanged(key.clone(), entry.mod_revision)],
            writes: vec![Write::Put(key, about.encode())],
            ..Transaction::default()
        };
        let answer = self.metadata.transact(rewrite).await.expect("in memory");
        assert!(answer.applied);
        self.session.standing.on_rewritten(answer.revision);
    }

    /// Has the session sealed by somebody else.
    pub async fn seal(&self) {
        let writes = vec![Write::Delete(self.session.standing.key().to_owned())];
        let seal = Transaction { writes, ..Transaction::default() };
        self.metadata.transact(seal).await.expect("in memory");
    }

    /// The wall clock moves.
    pub fn advance_clock(&self, by: Duration) {
        let millis = i64::try_from(by.as_millis()).expect("a short time");
        self.millis.fetch_add(millis, Ordering::Relaxed);
    }

    pub async fn create(&self, name: &str, partitions: i32) -> TopicId {
        let name = TopicName::parse(name).expect("legal");
        let new = NewTopic { name, partitions, overrides: BTreeMap::new() };
        self.session.catalog.create(new).await.expect("created").id
    }

    /// Transactions that were applied to the store so far.
    pub async fn transactions(&self) -> u64 {
        self.metadata.list("groups/").await.expect("in memory").revision.0
    }

    pub async fn stored_keys(&self, prefix: &str) -> usize {
        self.metadata.list(prefix).await.expect("in memory").entries.len()
    }

    pub async fn join(&self, group: &str, request: JoinRequest) -> Result<Joined, JoinRefused> {
        let answer = self.groups.call(&GroupId::new(group), request).await;
        answer.unwrap_or_else(|error| Err(JoinRefused { error, member_id: MemberId::default() }))
    }

    /// Joins as a classic consumer of a topic `a` that owns those partitions of it.
    pub async fn join_as(&self, group: &str, member_id: &MemberId, owned: &[i32]) -> Joined {
        self.join(group, join_request(member_id, owned)).await.expect("it may join")
    }

    /// Asks for its partitions of topic `a`; brings everybody's if it is the leader.
    pub async fn sync(
        &self,
        group: &str,
        joined: &Joined,
        assigned: &[(&MemberId, &[i32])],
    ) -> Result<Vec<i32>, GroupError> {
        let assignments = assigned.iter().map(|(member_id, partitions)| Assignment {
            member_id: (*member_id).clone(),
            assignment: encode_assignment(1, &named(partitions)),
        });
        let request = SyncRequest {
            member_id: joined.member_id.clone(),
            group_instance_id: None,
            generation_id: joined.generation_id,
            protocol_type: Some("consumer".to_owned()),
            protocol_name: Some("cooperative-sticky".to_owned()),
            assignments: assignments.collect(),
        };
        let synced = self.groups.call(&GroupId::new(group), request).await?;
        let mut assigned = consumer::decode_assignment(&synced.assignment).expect("an assignment");
        Ok(assigned.remove("a").unwrap_or_default().into_iter().collect())
    }

    /// A classic group of one member that has all these partitions of topic `a`.
    pub async fn classic_member(&self, group: &str, partitions: &[i32]) -> Joined {
        let joined = self.join_as(group, &MemberId::default(), &[]).await;
        let synced = self.sync(group, &joined, &[(&joined.member_id, partitions)]).await;
        assert_eq!(synced.as_deref(), Ok(partitions));
        joined
    }

    pub async fn heartbeat(&self, group: &str, joined: &Joined) -> Result<(), GroupError> {
        let request = HeartbeatRequest {
            member_id: joined.member_id.clone(),
            group_instance_id: None,
            generation_id: joined.generation_id,
        };
        self.groups.call(&GroupId::new(group), request).await
    }

    /// A heartbeat of a member of the consumer protocol that reads topic `a`.
    pub async fn beat(
        &self,
        group: &str,
        member_id: &str,
        member_epoch: i32,
    ) -> Result<HeartbeatAnswer, GroupError> {
        self.groups.call(&GroupId::new(group), beat(member_id, member_epoch)).await
    }

    pub async fn commit(
        &self,
        group: &str,
        by: Option<&Joined>,
        topic_id: TopicId,
        offset: i64,
    ) -> Result<(), GroupError> {
        let committed = CommittedOffset {
            offset: Offset(offset),
            leader_epoch: 3,
            metadata: "note".to_owned(),
            committed_at: Timestamp(self.millis.load(Ordering::Relaxed)),
        };
        let request = CommitOffsets {
            by: CommitIdentity {
                member_id: by.map(|joined| joined.member_id.clone()).unwrap_or_default(),
                group_instance_id: None,
                generation_id: by.map_or(-1, |joined| joined.generation_id),
            },
            kind: CommitKind::Plain { api_version: 9 },
            offsets: vec![(topic_id, PartitionIndex(0), committed)],
        };
        self.groups.call(&GroupId::new(group), request).await
    }

    /// What is committed for partition 0 of the topic.
    pub async fn committed(&self, group: &str, topic_id: TopicId) -> Option<i64> {
        self.try_committed(group, topic_id).await.expect("fetched")
    }

    pub async fn try_committed(&self, group: &str, topic_id: TopicId) -> Result<Option<i64>, GroupError> {
        let request = FetchOffsets {
            member_id: None,
            member_epoch: -1,
            wanted: Some(vec![(topic_id, PartitionIndex(0))]),
            require_stable: true,
        };
        let fetched = self.groups.call(&GroupId::new(group), request).await?;
        match &fetched[0].2 {
            FetchedOffset::Committed(committed) => Ok(Some(committed.offset.0)),
            FetchedOffset::None => Ok(None),
            FetchedOffset::Unstable => panic!("no transaction is open"),
        }
    }

    pub async fn describe(&self, group: &str) -> Option<ClassicDescription> {
        self.groups.call(&GroupId::new(group), Describe).await.expect("described")
    }

    pub async fn describe_consumer(&self, group: &str) -> Option<ConsumerGroupView> {
        self.groups.call(&GroupId::new(group), DescribeConsumer).await.expect("described")
    }

    pub async fn summary(&self, group: &str) -> Option<GroupSummary> {
        self.groups.call(&GroupId::new(group), Summarize).await.expect("summarized")
    }
}

/// Who stands.
async fn standings(metadata: &Arc<dyn MetadataStore>) -> Arc<Standings> {
    let listing = metadata.list(sessions::PREFIX).await.expect("in memory");
    let stand = |entry: &Entry| {
        let Session { broker_id, acked_view, .. } = Session::decode(entry).expect("a session");
        (sessions::session_of(&entry.key).expect("a session"), Stand { broker_id, acked_view })
    };
    Arc::new(Standings { as_of: listing.revision, sessions: listing.entries.iter().map(stand).collect() })
}

async fn start(joins: Joins<'_>) -> Started {
    let Joins { metadata, store, millis, session, broker, remote } = joins;
    let clock = Clock::Manual(Arc::clone(millis));
    let joining = Joining::new(SessionId(Uuid::from_u128(session)), BrokerId(broker), clock.now());
    let session = BrokerSession::join(metadata, store, joining).await.expect("joins");
    let (id, standing, joined) = (session.id(), session.standing().clone(), session.joined());
    let leadership = Leadership::new(&joined.0, joined.1, id).expect("a placement of this release");
    leadership.on_standings(standings(metadata).await);
    let catalog = Catalog::load(Arc::clone(metadata), standing.clone(), clock.clone()).await.expect("loads");
    let catalog = Arc::new(catalog);
    let settings = Arc::new(GroupSettingsCatalog::load(standing.clone()).await.expect("loads"));
    let mut config = GroupsConfig {
        offsets_retention: RETENTION,
        offset_metadata_bytes_max: 100,
        ..GroupsConfig::default()
    };
    config.classic.initial_rebalance_delay = Duration::ZERO;
    config.consumer.assignment_delay = Duration::ZERO;
    let cache = CacheConfig { memory_bytes: 1 << 20, disk_bytes: 0 };
    let cache = Cache::open(cache, Path::new("unused"), Arc::new(Metrics::new())).await.expect("in memory");
    let delivery = ShareDelivery::start(DeliveryStart {
        standing: standing.clone(),
        leadership: leadership.clone(),
        remote: Arc::clone(&remote),
        settings: Arc::clone(&settings),
        clock: clock.clone(),
        log: Arc::new(BrokerLog::new(LeaderEpoch(1), cache.clone())),
        reader: Reader::new(cache, store.clone()),
        memory: MemoryBudget::new(1 << 20),
    });
    let groups = GroupCoordinator::start(GroupsStart {
        config,
        standing: standing.clone(),
        leadership: leadership.clone(),
        remote,
        clock,
        catalog: Arc::clone(&catalog),
        delivery,
    });
    Started { id, standing, leadership, joined, catalog, settings, groups }
}

/// A join of a classic consumer of topic `a`.
pub fn join_request(member_id: &MemberId, owned: &[i32]) -> JoinRequest {
    JoinRequest {
        member_id: member_id.clone(),
        group_instance_id: None,
        client_id: "client".to_owned(),
        client_host: "/127.0.0.1".to_owned(),
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 30_000,
        protocol_type: "consumer".to_owned(),
        protocols: vec![Protocol { name: "cooperative-sticky".to_owned(), metadata: subscription(owned) }],
        member_id_required: false,
        skip_assignment: false,
        fresh_id: Uuid::new_v4(),
    }
}

/// A heartbeat that says everything when it joins, and that it lives otherwise.
pub fn beat(member_id: &str, member_epoch: i32) -> consumer::HeartbeatRequest {
    let joins = member_epoch == consumer::JOIN_EPOCH;
    let topic = TopicName::parse("a").expect("legal");
    consumer::HeartbeatRequest {
        member_id: MemberId::new(member_id),
        member_epoch,
        instance_id: None,
        rack_id: None,
        rebalance_timeout: joins.then_some(Duration::from_secs(30)),
        subscribed_topic_names: joins.then(|| BTreeSet::from([topic])),
        subscribed_topic_regex: None,
        server_assignor: None,
        owned: joins.then(PartitionSet::new),
        client_id: "client".to_owned(),
        client_host: "/127.0.0.1".to_owned(),
    }
}

fn named(partitions: &[i32]) -> BTreeMap<String, BTreeSet<i32>> {
    BTreeMap::from([("a".to_owned(), partitions.iter().copied().collect())])
}

/// A subscription of version 1 to topic `a`, as clients write it.
fn subscription(owned: &[i32]) -> Bytes {
    let mut to = BytesMut::new();
    to.put_i16(1);
    to.put_i32(1);
    to.put_slice(b"\0\x01a");
    to.put_i32(-1);
    to.put_i32(1);
    to.put_slice(b"\0\x01a");
    to.put_i32(i32::try_from(owned.len()).expect("few"));
    owned.iter().for_each(|partition| to.put_i32(*partition));
    to.freeze()
}
