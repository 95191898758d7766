//! Assembly of a broker from its rooms: the stores are opened and checked, a session joins and takes over what it leads, and
//! a handler answers from it. When the session is sealed, another one begins.

mod company;
mod mesh;
mod session;

pub use mesh::Neighbours;

use crate::archive;
use crate::cache::{Cache, CacheError};
use crate::clock::{self, Clock};
use crate::config::{Config, MetadataConfig};
use crate::group::GroupSettingsError;
use crate::handler::{AdvertisedListener, Handler, SharedAddresses};
use crate::journal::{JournalEnd, RecoveryError, SessionError};
use crate::log::LogError;
use crate::mesh::{MeshBindError, MeshIdentityError};
use crate::meta::keys::{DecodeKeyError, cluster, journals};
use crate::meta::{
    self, Compare, CountedStore, EmbeddedStore, EtcdStore, MetadataError, MetadataStore, Transaction, Write,
};
use crate::metrics::Metrics;
use crate::ops::Readiness;
use crate::segment::manifest::POINTERS;
use crate::store::{self, ClaimError, ClusterHistory, ObjectStore, ProbeError};
use crate::topic::CatalogError;
use crate::types::ClusterId;
use crate::views::{PastSuspicion, TakeOverError};
use company::Outsider;
use session::Session;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior, interval};
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
    /// Other brokers; none where the metadata is this process's own.
    neighbours: Option<Neighbours>,
    /// What a session that was sealed leaves to the next.
    past: PastSuspicion,
    /// As told to clients in all sessions.
    shared_addresses: Arc<SharedAddresses>,
    stopping: CancellationToken,
}

/// What a foundation stands on, each thing open.
#[derive(Debug)]
pub struct Grounds {
    /// Settings.
    pub config: Arc<Config>,
    /// What clients are told of where this broker is.
    pub listeners: Vec<AdvertisedListener>,
    /// Figures.
    pub metrics: Arc<Metrics>,
    /// Wall-clock time.
    pub clock: Clock,
    /// Other brokers, if there may be any.
    pub neighbours: Option<Neighbours>,
    /// The metadata store.
    pub metadata: Arc<dyn MetadataStore>,
    /// The object store.
    pub store: ObjectStore,
    /// The cache.
    pub cache: Cache,
}

/// A broker that serves.
#[derive(Debug)]
pub struct Broker {
    foundation: Foundation,
    handler: Arc<Handler>,
    session: Session,
}

/// How long a start in a cluster bears with a metadata store that gives no answer, and the pause between attempts.
const START_PATIENCE: Duration = Duration::from_secs(30);
const START_PAUSE: Duration = Duration::from_millis(500);
/// A stop waits this long for others to take over.
const HAND_OVER_MAX: Duration = Duration::from_secs(5);
/// And this long for the stores.
const DRAIN_MAX: Duration = Duration::from_secs(8);
/// And this long for the cache's disk.
const CACHE_CLOSE_MAX: Duration = Duration::from_secs(1);

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
    /// What this session leads cannot be taken over.
    #[error(transparent)]
    TakeOver(#[from] Arc<TakeOverError>),
    /// Other brokers cannot be listened for.
    #[error(transparent)]
    Mesh(#[from] MeshBindError),
    /// This broker has no identity that others would believe.
    #[error(transparent)]
    Identity(#[from] MeshIdentityError),
    /// Where other brokers reach this one is not known.
    #[error(
        "--mesh-advertised: is not given, and no address of this machine leads to the metadata store: {0}"
    )]
    NoAddress(#[source] std::io::Error),
    /// The view names a placement that this release does not know.
    #[error("{0}; this release is too old for the cluster")]
    Outdated(String),
}

impl Foundation {
    /// Opens the stores of `config`, and sees that they belong together.
    pub async fn open(
        config: Arc<Config>,
        listeners: Vec<AdvertisedListener>,
        metrics: Arc<Metrics>,
        clock: Clock,
        neighbours: Option<Neighbours>,
    ) -> Result<Foundation, StartError> {
        let metadata = open_metadata(&config, &metrics).await?;
        let store = ObjectStore::open(&config.store)?;
        let cache = Cache::open(config.cache, &config.data.join("cache"), Arc::clone(&metrics)).await?;
        let grounds = Grounds { config, listeners, metrics, clock, neighbours, metadata, store, cache };
        Foundation::upon(grounds).await
    }

    /// Sees that stores which are open do what they must, and belong together.
    pub async fn upon(grounds: Grounds) -> Result<Foundation, StartError> {
        let Grounds { config, listeners, metrics, clock, neighbours, metadata, store, cache } = grounds;
        let metadata: Arc<dyn MetadataStore> = Arc::new(CountedStore::new(metadata, Arc::clone(&metrics)));
        let store = store.counted(Arc::clone(&metrics));
        store.probe().await?;
        let cluster_id = patiently(neighbours.is_some(), || claim(metadata.as_ref(), &store)).await?;
        Ok(Foundation {
            config,
            clock,
            metrics,
            metadata,
            store,
            cache,
            cluster_id,
            listeners,
            neighbours,
            past: PastSuspicion::default(),
            shared_addresses: Arc::default(),
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

/// Begins again where the metadata store gave no answer, which in a cluster comes of any failure of one of its members.
async fn patiently<T, F>(is_of_several: bool, begin: impl Fn() -> F) -> Result<T, StartError>
where
    F: Future<Output = Result<T, StartError>>,
{
    let give_up = Instant::now() + START_PATIENCE;
    let mut pace = interval(START_PAUSE);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        pace.tick().await;
        match begin().await {
            Err(error) if is_of_several && error.may_pass() && Instant::now() < give_up => {
                tracing::warn!(%error, "the start is tried again");
            }
            begun => return begun,
        }
    }
}

impl StartError {
    fn may_pass(&self) -> bool {
        let metadata = match self {
            StartError::Metadata(error) | StartError::Session(SessionError::Metadata(error)) => error,
            StartError::Session(SessionError::Contended(_)) => return true,
            _ => return false,
        };
        !matches!(metadata, MetadataError::Refused(_))
    }
}

impl Broker {
    /// Begins the first session.
    pub async fn start(foundation: Foundation) -> Result<Broker, StartError> {
        let is_of_several = foundation.neighbours.is_some();
        let (session, context) = patiently(is_of_several, || session::begin(&foundation, None)).await?;
        let handler = Arc::new(Handler::new(context));
        if let Some(neighbours) = &foundation.neighbours {
            neighbours.open(Arc::clone(&handler), &foundation);
        }
        Ok(Broker { foundation, handler, session })
    }

    /// What answers requests, through all sessions of this process.
    #[must_use]
    pub fn handler(&self) -> Arc<Handler> {
        Arc::clone(&self.handler)
    }

    /// Serves until a session cannot begin. A sealed session is followed by another; what it had taken in and
    /// not committed is answered as not stored. In a cluster another session is tried again and again. `readiness` says so while
    /// no other broker can be reached.
    pub async fn run(&mut self, readiness: &Readiness) -> StartError {
        let mut pause = Pause::default();
        loop {
            let began = Instant::now();
            match self.session.ended().await {
                JournalEnd::Sealed => {
                    tracing::error!("this session was sealed by another broker, a new one begins");
                }
                JournalEnd::Failed => tracing::error!("the journal failed, a new session begins"),
                JournalEnd::Drained => tracing::error!("the journal ended, a new session begins"),
            }
            pause.after(began.elapsed(), &self.foundation.stopping).await;
            loop {
                let before = Outsider { leadership: self.session.leadership(), readiness };
                match session::begin(&self.foundation, Some(before)).await {
                    Ok((session, context)) => {
                        readiness.set_ready();
                        self.session = session;
                        self.handler.replace(context);
                        break;
                    }
                    Err(error) if self.foundation.neighbours.is_some() => {
                        tracing::error!(%error, "no session could begin, it is tried again");
                        pause.after(Duration::ZERO, &self.foundation.stopping).await;
                    }
                    Err(error) => return error,
                }
            }
        }
    }

    /// Leads nothing any more, so that no partition waits for this process to end. Bounded; to be called while connections
    /// are still served.
    pub async fn hand_over(&self) {
        if tokio::time::timeout(HAND_OVER_MAX, self.session.leave()).await.is_err() {
            tracing::warn!("not all was handed over in time; others take it over all the same");
        }
    }

    /// Takes nothing more in, commits what was taken in, and closes the stores.
    pub async fn close(self) {
        self.foundation.stopping.cancel();
        if let Some(neighbours) = &self.foundation.neighbours {
            neighbours.close();
        }
        self.session.close(DRAIN_MAX).await;
        if tokio::time::timeout(CACHE_CLOSE_MAX, self.foundation.cache.close()).await.is_err() {
            tracing::warn!("the cache was not closed in time; it will be colder");
        }
    }
}

/// The pause before a session that follows another: none after one that lasted, and longer with each that did not.
#[derive(Debug, Default)]
struct Pause {
    next: Duration,
}

impl Pause {
    const LASTED: Duration = Duration::from_secs(10);
    const FIRST: Duration = Duration::from_millis(100);
    const LONGEST: Duration = Duration::from_secs(5);

    /// Waits, unless the process is stopping.
    async fn after(&mut self, lasted: Duration, stopping: &CancellationToken) {
        if lasted >= Pause::LASTED {
            self.next = Duration::ZERO;
            return;
        }
        let _elapsed = tokio::time::timeout(self.next, stopping.cancelled()).await;
        self.next = (self.next * 2).clamp(Pause::FIRST, Pause::LONGEST);
    }
}

#[cfg(test)]
mod tests;
