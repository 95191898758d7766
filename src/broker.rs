//! Assembly of a broker from its rooms: the stores are opened and checked, a session joins, the log is
//! recovered, and a handler answers from it. When the session is sealed, another one begins.

use crate::archive::cut::WAITING_ROWS_MAX;
use crate::archive::{self, Archive, ArchiveStart};
use crate::background::Background;
use crate::cache::{Cache, CacheError};
use crate::clock::{self, Clock};
use crate::config::{Config, MetadataConfig};
use crate::group::delivery::{DeliveryStart, ShareDelivery};
use crate::group::{GroupCoordinator, GroupSettingsCatalog, GroupSettingsError, GroupsConfig, GroupsStart};
use crate::handler::{AdvertisedListener, ClusterInfo, Context, FetchSessions, Handler, Streams};
use crate::journal::{
    BrokerSession, EndedJournal, Joining, Journal, JournalEnd, JournalStart, RecoveryError, SessionError,
    recover,
};
use crate::leadership::Leadership;
use crate::limits::MemoryBudget;
use crate::log::{BrokerLog, LogError, ProducerIds, Reader};
use crate::meta::keys::{DecodeKeyError, cluster, journals};
use crate::meta::{
    self, Compare, CountedStore, EmbeddedStore, EtcdStore, MetadataError, MetadataStore, Standing,
    Transaction, Write,
};
use crate::metrics::Metrics;
use crate::peers::{Peers, PrivateApi, PrivateServices};
use crate::remote::RemoteBrokers;
use crate::segment::manifest::POINTERS;
use crate::store::{self, ClaimError, ClusterHistory, ObjectStore, ProbeError};
use crate::topic::{Catalog, CatalogError};
use crate::txn::{TransactionConfig, TxnCoordinator, TxnsStart};
use crate::types::{ClusterId, LeaderEpoch, SessionId};
use futures_util::TryStreamExt;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::{JoinError, JoinHandle};
use tokio_util::sync::CancellationToken;

/// What a broker runs on, opened and checked. It outlives sessions.
#[derive(Debug)]
pub struct Foundation {
    config: Arc<Config>,
    clock: Clock,
    metrics: Arc<Metrics>,
    metadata: Arc<dyn MetadataStore>,
    store: ObjectStore,
    cache: Cache,
    cluster_id: ClusterId,
    listeners: Vec<AdvertisedListener>,
    stopping: CancellationToken,
}

/// A broker that serves.
#[derive(Debug)]
pub struct Broker {
    foundation: Foundation,
    handler: Arc<Handler>,
    session: Session,
}

/// A stop waits this long for the stores.
const DRAIN_MAX: Duration = Duration::from_secs(8);
/// And this long for the cache's disk.
const CACHE_CLOSE_MAX: Duration = Duration::from_secs(1);

/// What one session added to the foundation.
#[derive(Debug)]
struct Session {
    journal: Journal,
    groups: GroupCoordinator,
    transactions: TxnCoordinator,
    archive: Archive,
    /// Nothing once it was awaited.
    ended: Option<JoinHandle<JournalEnd>>,
}

/// Why a broker does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The embedded metadata store cannot be opened.
    #[error(transparent)]
    MetadataStore(#[from] meta::OpenError),
    /// The metadata store does not answer.
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    /// What it holds cannot be read.
    #[error(transparent)]
    Unreadable(#[from] DecodeKeyError),
    /// The object store cannot be opened.
    #[error(transparent)]
    Store(#[from] store::OpenError),
    /// The object store does not do what it must.
    #[error(transparent)]
    Probe(#[from] ProbeError),
    /// The object store is another cluster's.
    #[error(transparent)]
    Claim(#[from] ClaimError),
    /// The cache cannot be opened.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// No session could begin.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// The journal cannot be read.
    #[error(transparent)]
    Recovery(#[from] RecoveryError),
    /// The journal contradicts itself.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The topics cannot be read.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The manifests cannot be read.
    #[error(transparent)]
    Archive(#[from] archive::LoadError),
    /// The settings of groups cannot be read.
    #[error(transparent)]
    GroupSettings(#[from] GroupSettingsError),
}

impl Foundation {
    /// Opens the stores of `config`, and sees that they belong together.
    pub async fn open(
        config: Arc<Config>,
        listeners: Vec<AdvertisedListener>,
        metrics: Arc<Metrics>,
        clock: Clock,
    ) -> Result<Foundation, StartError> {
        let metadata = open_metadata(&config, &metrics).await?;
        let metadata: Arc<dyn MetadataStore> = Arc::new(CountedStore::new(metadata, Arc::clone(&metrics)));
        let store = ObjectStore::open(&config.store)?.counted(Arc::clone(&metrics));
        store.probe().await?;
        let cluster_id = claim(metadata.as_ref(), &store).await?;
        let cache = Cache::open(config.cache, &config.data.join("cache"), Arc::clone(&metrics)).await?;
        Ok(Foundation {
            config,
            clock,
            metrics,
            metadata,
            store,
            cache,
            cluster_id,
            listeners,
            stopping: CancellationToken::new(),
        })
    }
}

/// Where the metadata of `config` lies.
async fn open_metadata(config: &Config, metrics: &Metrics) -> Result<Arc<dyn MetadataStore>, StartError> {
    let metadata: Arc<dyn MetadataStore> = match &config.metadata {
        MetadataConfig::Etcd(etcd) => Arc::new(EtcdStore::open(etcd, &metrics.metadata).await?),
        MetadataConfig::Embedded if config.store.scheme() == "memory" => Arc::new(EmbeddedStore::in_memory()),
        MetadataConfig::Embedded => Arc::new(EmbeddedStore::open(&config.data.join("metadata"))?),
    };
    Ok(metadata)
}

/// Which cluster the metadata store belongs to, made at the first start; and the object store with it.
async fn claim(metadata: &dyn MetadataStore, store: &ObjectStore) -> Result<ClusterId, StartError> {
    let cluster_id = loop {
        if let Some(entry) = metadata.get(cluster::KEY).await? {
            break cluster::Cluster::decode(&entry)?.cluster_id;
        }
        let value = cluster::Cluster { cluster_id: ClusterId(clock::random_id()) };
        let transaction = Transaction {
            compares: vec![Compare::Absent(cluster::KEY.to_owned())],
            writes: vec![Write::Put(cluster::KEY.to_owned(), value.encode())],
            ..Transaction::default()
        };
        metadata.transact(transaction).await?;
    };
    let mut history = ClusterHistory::NothingCommitted;
    for entry in metadata.list(journals::PREFIX).await?.entries {
        if journals::Journal::decode(&entry)?.committed > 0 {
            history = ClusterHistory::Committed;
        }
    }
    if !metadata.list(POINTERS).await?.entries.is_empty() {
        history = ClusterHistory::Committed;
    }
    store::claim(store, cluster_id, history).await?;
    Ok(cluster_id)
}

impl Broker {
    /// Begins the first session.
    pub async fn start(foundation: Foundation) -> Result<Broker, StartError> {
        let (session, context) = begin_session(&foundation).await?;
        Ok(Broker { foundation, handler: Arc::new(Handler::new(context)), session })
    }

    /// What answers requests, through all sessions of this process.
    #[must_use]
    pub fn handler(&self) -> Arc<Handler> {
        Arc::clone(&self.handler)
    }

    /// Serves until a session cannot begin. A sealed session is followed by another; what it had taken in and
    /// not committed is answered as not stored.
    pub async fn run(&mut self) -> StartError {
        loop {
            let Some(ended) = &mut self.session.ended else { return std::future::pending().await };
            let end = ended.await;
            self.session.ended = None;
            match end {
                Ok(JournalEnd::Sealed) => {
                    tracing::error!("this session was sealed by another broker, a new one begins");
                }
                Ok(JournalEnd::Failed) => tracing::error!("the journal failed, a new session begins"),
                Ok(JournalEnd::Drained) => tracing::error!("the journal ended, a new session begins"),
                Err(error) => tracing::error!(%error, "the journal failed, a new session begins"),
            }
            match begin_session(&self.foundation).await {
                Ok((session, context)) => {
                    self.session = session;
                    self.handler.replace(context);
                }
                Err(error) => return error,
            }
        }
    }

    /// Takes nothing more in, commits what was taken in, and closes the stores.
    pub async fn close(self) {
        self.foundation.stopping.cancel();
        self.session.archive.close();
        self.session.transactions.close();
        self.session.groups.close();
        self.session.journal.close();
        if let Some(ended) = self.session.ended {
            match tokio::time::timeout(DRAIN_MAX, ended).await {
                Ok(Ok(end)) => tracing::info!(?end, "the journal is closed"),
                Ok(Err(error)) => tracing::error!(%error, "the journal was not closed cleanly"),
                Err(_elapsed) => {
                    tracing::warn!("the stores did not take what was left: it was not acknowledged");
                }
            }
        }
        if tokio::time::timeout(CACHE_CLOSE_MAX, self.foundation.cache.close()).await.is_err() {
            tracing::warn!("the cache was not closed in time; it will be colder");
        }
    }
}

/// Joins, recovers the log, and starts the journal.
async fn begin_session(foundation: &Foundation) -> Result<(Session, Arc<Context>), StartError> {
    let Foundation { config, clock, metrics, metadata, store, cache, .. } = foundation;
    let joining = Joining::new(SessionId(clock::random_id()), config.broker_id, clock.now());
    let (session, ended) = BrokerSession::join(metadata, store, joining).await?;
    tracing::info!(session = %session.id(), view = session.view().0, "the session begins");
    let standing = session.standing().clone();
    let view = session.view();
    let catalog = Catalog::load(Arc::clone(metadata), standing.clone(), clock.clone()).await?;
    let group_settings = Arc::new(GroupSettingsCatalog::load(standing.clone()).await?);
    let log = Arc::new(BrokerLog::new(LeaderEpoch(view.0), cache.clone()));
    let loaded = archive::load(metadata.as_ref(), store, &catalog).await?;
    recover_log(foundation, &log, &catalog, &loaded, &ended).await?;
    let session_id = session.id();
    let leadership = Leadership::alone(session_id, view);
    let peers = Peers::none(leadership.clone());
    let remote: Arc<dyn RemoteBrokers> = Arc::new(peers.clone());

    let committed_log = Arc::clone(&log);
    let start =
        JournalStart { session, store: store.clone(), config: config.journal, metrics: Arc::clone(metrics) };
    let (journal, run) = Journal::start(start, Box::new(move |object| committed_log.on_committed(&object)));
    let catalog = Arc::new(catalog);
    let reader = Reader::new(cache.clone(), store.clone());
    let fetch_memory = MemoryBudget::new(config.limits.request_memory_bytes);
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
    let groups = groups(foundation, &catalog, delivery, &standing, &leadership, &remote);
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
    let (archive, archive_fault) = Archive::start(ArchiveStart {
        config: config.archive,
        session: session_id,
        leader_epoch: LeaderEpoch(view.0),
        standing: standing.clone(),
        clock: clock.clone(),
        store: store.clone(),
        log: Arc::clone(&log),
        reader: reader.clone(),
        catalog: Arc::clone(&catalog),
        background: Background::start("archive", Background::share_of_processors()),
        loaded,
        metrics: Arc::clone(metrics),
        waiting_rows_max: WAITING_ROWS_MAX,
    });
    let private = PrivateServices::default().with(PrivateApi::Coordinators, Arc::new(transactions.clone()));
    let context = Context {
        catalog,
        archive: archive.clone(),
        cluster: ClusterInfo {
            cluster_id: foundation.cluster_id,
            broker_id: config.broker_id,
            view,
            listeners: foundation.listeners.clone(),
        },
        peers,
        leadership,
        streams: Streams::default(),
        private,
        config: Arc::clone(config),
        clock: clock.clone(),
        log,
        reader,
        journal: journal.clone(),
        producer_ids,
        transactions: transactions.clone(),
        standing,
        groups: groups.clone(),
        group_settings,
        fetch_sessions: FetchSessions::default(),
        fetch_memory,
        metrics: Arc::clone(metrics),
        stopping: foundation.stopping.clone(),
    };
    let (groups_of_session, transactions_of_session) = (groups.clone(), transactions.clone());
    let (archive_of_session, journal_of_session) = (archive.clone(), journal.clone());
    let ended = tokio::spawn(async move {
        let end = until_end(run, archive_fault, &journal_of_session).await;
        archive_of_session.close();
        transactions_of_session.close();
        groups_of_session.close();
        end
    });
    Ok((Session { journal, groups, transactions, archive, ended: Some(ended) }, Arc::new(context)))
}

/// How the journal ends. If the archiver fails it is closed: a session that archives nothing would fill the journal, and
/// the next one may fare better.
async fn until_end(
    run: impl Future<Output = JournalEnd>,
    archive_fault: impl Future<Output = JoinError>,
    journal: &Journal,
) -> JournalEnd {
    let mut run = pin!(run);
    tokio::select! {
        end = &mut run => return end,
        error = archive_fault => tracing::error!(%error, "the archiver failed, the session ends"),
    }
    journal.close();
    run.await
}

/// The groups of a session; their tasks end with it.
fn groups(
    foundation: &Foundation,
    catalog: &Arc<Catalog>,
    delivery: ShareDelivery,
    standing: &Standing,
    leadership: &Leadership,
    remote: &Arc<dyn RemoteBrokers>,
) -> GroupCoordinator {
    let defaults = foundation.config.groups;
    let mut config = GroupsConfig {
        offsets_retention: defaults.offsets_retention,
        offset_metadata_bytes_max: OFFSET_METADATA_BYTES_MAX,
        ..GroupsConfig::default()
    };
    config.classic.initial_rebalance_delay = defaults.initial_rebalance_delay;
    GroupCoordinator::start(GroupsStart {
        config,
        standing: standing.clone(),
        leadership: leadership.clone(),
        remote: Arc::clone(remote),
        clock: foundation.clock.clone(),
        catalog: Arc::clone(catalog),
        delivery,
    })
}

/// Kafka's `offset.metadata.max.bytes`.
const OFFSET_METADATA_BYTES_MAX: usize = 4096;

async fn recover_log(
    foundation: &Foundation,
    log: &BrokerLog,
    catalog: &Catalog,
    loaded: &archive::LoadedManifests,
    ended: &[EndedJournal],
) -> Result<(), StartError> {
    for topic in catalog.all() {
        log.ensure(topic.id, topic.partitions);
    }
    for manifest in &loaded.manifests {
        log.recover_archived(manifest.topic_partition, manifest.archived_log());
    }
    ended.iter().for_each(|ended| log.needs().on_ended(ended));
    let mut recovery = log.recovery(foundation.clock.now());
    let mut objects = recover(&foundation.store, ended);
    let mut taken = 0_u64;
    while let Some(object) = objects.try_next().await? {
        recovery.take(&object)?;
        taken += 1;
    }
    recovery.finish()?;
    tracing::info!(objects = taken, topics = catalog.all().len(), "the log is recovered");
    Ok(())
}

#[cfg(test)]
mod tests;
