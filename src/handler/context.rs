//! What handlers answer from: the rooms of this broker, and how clients reach it.

use super::brokers::{MissingListeners, SharedAddresses};
use super::fetch_session::FetchSessions;
use super::forward::{Streams, route};
use crate::archive::Archive;
use crate::clock::Clock;
use crate::cluster::PlacementKey;
use crate::config::Config;
use crate::group::{GroupCoordinator, GroupSettingsCatalog};
use crate::journal::Journal;
use crate::leadership::{ClusterControl, Leader, Leadership};
use crate::limits::MemoryBudget;
use crate::log::{BrokerLog, Partition, ProducerIds, Reader};
use crate::meta::Standing;
use crate::metrics::Metrics;
use crate::peers::{Peers, PrivateServices};
use crate::topic::{Catalog, CatalogError, Topic};
use crate::txn::TxnCoordinator;
use crate::types::{BrokerId, ClusterId, PartitionIndex, TopicId, TopicPartition};
use crate::wire::ErrorCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// The rooms of this broker, as one session sees them.
#[derive(Debug)]
pub struct Context {
    /// Topics.
    pub catalog: Arc<Catalog>,
    /// Segments, and where logs begin.
    pub archive: Archive,
    /// Who and where this broker is.
    pub cluster: ClusterInfo,
    /// Who leads what.
    pub leadership: Leadership,
    /// The other brokers.
    pub peers: Peers,
    /// What of clients' requests is on its way to them, in order.
    pub streams: Streams,
    /// What other brokers may ask this one besides Kafka's requests.
    pub private: PrivateServices,
    /// Takes operators' orders to brokers of the cluster.
    pub control: Arc<dyn ClusterControl>,
    /// Of which listeners of other brokers the log has said that they are missing.
    pub missing_listeners: MissingListeners,
    /// Addresses that several brokers had.
    pub shared_addresses: Arc<SharedAddresses>,
    /// The broker's settings.
    pub config: Arc<Config>,
    /// Wall-clock time.
    pub clock: Clock,
    /// The partitions led here.
    pub log: Arc<BrokerLog>,
    /// Reads what is committed.
    pub reader: Reader,
    /// Takes batches in.
    pub journal: Journal,
    /// The session's right to write, and to name an end.
    pub standing: Standing,
    /// Ids for idempotent producers.
    pub producer_ids: Arc<ProducerIds>,
    /// Transactional producers.
    pub transactions: TxnCoordinator,
    /// Groups, and their offsets.
    pub groups: GroupCoordinator,
    /// What operators have set for groups.
    pub group_settings: Arc<GroupSettingsCatalog>,
    /// What consumers fetch.
    pub fetch_sessions: FetchSessions,
    /// Memory that answers of fetches may hold.
    pub fetch_memory: MemoryBudget,
    /// Where figures go.
    pub metrics: Arc<Metrics>,
    /// Cancelled when the broker stops: long polls end then.
    pub stopping: CancellationToken,
}

/// Who and where this broker is.
#[derive(Clone, Debug)]
pub struct ClusterInfo {
    /// The cluster.
    pub cluster_id: ClusterId,
    /// This broker.
    pub broker_id: BrokerId,
    /// What clients are told, by the listener that they came in by.
    pub listeners: Vec<AdvertisedListener>,
}

/// How clients of one listener reach this broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdvertisedListener {
    /// The listener's name.
    pub name: String,
    /// Where.
    pub host: String,
    /// Where.
    pub port: u16,
    /// How to speak there, in Kafka's words.
    pub security: &'static str,
}

impl ClusterInfo {
    /// Where clients of the listener `name` reach this broker.
    #[must_use]
    pub fn address(&self, name: &str) -> (String, i32) {
        let listener = self.listeners.iter().find(|listener| listener.name == name);
        let listener = listener.expect("a connection comes by a listener of this broker");
        (listener.host.clone(), i32::from(listener.port))
    }
}

/// A new topic's partitions are waited for so long before its creation is answered.
const OPEN_TIME_MAX: Duration = Duration::from_secs(2);

impl Context {
    /// The topic of that name, or the error that is answered for it.
    pub async fn topic_by_name(&self, name: &str) -> Result<Arc<Topic>, ErrorCode> {
        if let Some(topic) = self.catalog.by_name(name) {
            return Ok(topic);
        }
        let found = self.catalog.resolve(name).await.map_err(|error| unresolved(&error))?;
        found.ok_or(ErrorCode::UnknownTopicOrPartition)
    }

    /// As [`Context::topic_by_name`], for the answer of a coordinator. While nobody can say whether there is such a topic it says
    /// what all clients repeat; LEADER_NOT_AVAILABLE is none of what they expect of it, and some give up for good.
    pub async fn topic_for_coordinator(&self, name: &str) -> Result<Arc<Topic>, ErrorCode> {
        self.topic_by_name(name).await.map_err(|code| match code {
            ErrorCode::UnknownTopicOrPartition => code,
            _ => ErrorCode::CoordinatorLoadInProgress,
        })
    }

    /// The topic of that id, or the error that is answered for it.
    pub async fn topic_by_id(&self, topic_id: TopicId) -> Result<Arc<Topic>, ErrorCode> {
        if let Some(topic) = self.catalog.by_id(topic_id) {
            return Ok(topic);
        }
        let found = self.catalog.resolve_id(topic_id).await.map_err(|error| unresolved(&error))?;
        found.ok_or(ErrorCode::UnknownTopicId)
    }

    /// A partition of a topic that is served here. One that is led elsewhere, or here and not served yet, is refused in a
    /// way that has clients look for its leader again.
    pub fn partition(&self, topic: &Topic, index: i32) -> Result<Arc<Partition>, ErrorCode> {
        let partition = PartitionIndex(index);
        let topic_partition = TopicPartition { topic_id: topic.id, partition };
        let served = self.log.partition(topic_partition);
        if served.is_none() && (!topic.has(partition) || self.catalog.by_id(topic.id).is_none()) {
            return Err(ErrorCode::UnknownTopicOrPartition);
        }
        if let Leader::Other(_) = self.leadership.image().leader(PlacementKey::partition(topic_partition)) {
            return Err(ErrorCode::NotLeaderOrFollower);
        }
        if let Some(partition) = served {
            return Ok(partition);
        }
        // Another leads it; or this session does, and the room `views` has not opened it yet.
        Err(ErrorCode::NotLeaderOrFollower)
    }

    /// Sees that what is known of a partition's ends was so at some moment after this call began: the session stood then, and
    /// led the partition. Whatever names an end waits for this.
    pub async fn confirm_ends(&self, partition: &Partition) -> Result<(), ErrorCode> {
        self.standing.confirm().await.map_err(|_| ErrorCode::OffsetNotAvailable)?;
        // In this order: a term is closed before its view is acknowledged, and nobody else leads before that.
        if partition.term().is_open() { Ok(()) } else { Err(ErrorCode::NotLeaderOrFollower) }
    }

    /// Waits a moment until those partitions of a new topic are served that this session leads, so that whoever is told of it
    /// may use it.
    pub async fn opened(&self, topic: &Arc<Topic>) {
        let all = (0..topic.partitions).map(|index| (topic, index));
        route::hold(self, all, Instant::now() + OPEN_TIME_MAX).await;
    }

    /// Whether a client that knows of `leader_epoch` (-1: of none) may talk about this partition (KIP-320). Every view has
    /// all partitions, so clients know its number as the epoch of each, also of one that went on being led here.
    pub fn check_leader_epoch(&self, partition: &Partition, leader_epoch: i32) -> Result<(), ErrorCode> {
        match leader_epoch {
            epoch if epoch < 0 => Ok(()),
            epoch if epoch < partition.leader_epoch().0 => Err(ErrorCode::FencedLeaderEpoch),
            epoch if epoch > self.leadership.image().number().0 => Err(ErrorCode::UnknownLeaderEpoch),
            _ => Ok(()),
        }
    }
}

/// Whether there is such a topic cannot be said now: the client asks again.
fn unresolved(error: &CatalogError) -> ErrorCode {
    match error {
        // Somebody must look: it stays so.
        CatalogError::Unreadable(_) => tracing::error!(%error, "a topic cannot be looked up"),
        _ => tracing::warn!(%error, "a topic could not be looked up"),
    }
    ErrorCode::LeaderNotAvailable
}
