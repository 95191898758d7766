//! Which brokers there are, who leads what, and one connection to each broker.
//!
//! Addresses are the advertised ones, reached as the bootstrap was: a `quic://` bootstrap asks a QUIC listener,
//! whose answer names QUIC addresses.

use super::transport::Dialer;
use super::{ClientError, Connection, Endpoint, TlsTrust};
use crate::types::{BrokerId, PartitionIndex};
use crate::wire::messages::metadata_request::MetadataRequestTopic;
use crate::wire::messages::metadata_response::MetadataResponseTopic;
use crate::wire::messages::{MetadataRequest, MetadataResponse, TopicName};
use crate::wire::{ErrorCode, StrBytes};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex as AsyncMutex;
use tokio::time::Instant;
use uuid::Uuid;

/// What a broker is to do about a topic that is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum IfMissing {
    Refuse,
    Create,
}

/// How long the creation of a topic may take.
const CREATION_PATIENCE: Duration = Duration::from_secs(2);
const CREATION_PAUSE: Duration = Duration::from_millis(100);

/// How to reach a cluster.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// Brokers to ask first, tried in order.
    pub bootstrap: Vec<Endpoint>,
    /// Whose certificates are accepted.
    pub trust: TlsTrust,
    /// The name in the brokers' logs.
    pub client_id: String,
    /// How long a connection may take to be ready.
    pub connect_timeout: Duration,
    /// How long an answer may take.
    pub request_timeout: Duration,
}

/// A cluster as a client sees it. Clones share their connections.
#[derive(Clone)]
pub struct Cluster {
    inner: Arc<Inner>,
}

struct Inner {
    config: ClientConfig,
    dialer: Dialer,
    bootstrap: Slot,
    slots: Mutex<HashMap<BrokerId, Arc<Slot>>>,
    addresses: Mutex<HashMap<BrokerId, Endpoint>>,
}

/// The place of one broker's connection: one task at a time opens it.
type Slot = AsyncMutex<Option<Connection>>;

/// Where a broker is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerAddress {
    /// Its node id.
    pub broker_id: BrokerId,
    /// Where it listens.
    pub endpoint: Endpoint,
}

/// A topic as Metadata describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicInfo {
    /// Its name.
    pub name: String,
    /// Its id, nil from brokers that have none.
    pub topic_id: Uuid,
    /// Whether it is the cluster's own.
    pub is_internal: bool,
    /// In order of their index.
    pub partitions: Vec<PartitionInfo>,
}

/// A partition as Metadata describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionInfo {
    /// Its number.
    pub index: PartitionIndex,
    /// Who leads it, if anyone does.
    pub leader: Option<BrokerId>,
    /// The leader's epoch, -1 when unknown.
    pub leader_epoch: i32,
    /// Who holds copies of it.
    pub replicas: Vec<BrokerId>,
}

impl ClientConfig {
    /// Usual timeouts, one address, the system's authorities.
    #[must_use]
    pub fn new(bootstrap: Endpoint) -> ClientConfig {
        ClientConfig {
            bootstrap: vec![bootstrap],
            trust: TlsTrust::System,
            client_id: "cenote".to_owned(),
            connect_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(30),
        }
    }
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster").field("bootstrap", &self.inner.config.bootstrap).finish_non_exhaustive()
    }
}

impl Cluster {
    /// Connects to the first bootstrap address that answers, and learns the brokers.
    pub async fn connect(config: ClientConfig) -> Result<Cluster, ClientError> {
        let cluster = Cluster {
            inner: Arc::new(Inner {
                dialer: Dialer::new(config.trust.clone()),
                config,
                bootstrap: Slot::default(),
                slots: Mutex::default(),
                addresses: Mutex::default(),
            }),
        };
        cluster.metadata(Some(Vec::new()), IfMissing::Refuse).await?;
        Ok(cluster)
    }

    /// How it was reached.
    #[must_use]
    pub fn config(&self) -> &ClientConfig {
        &self.inner.config
    }

    /// The brokers that the last answer named, in order of their ids.
    #[must_use]
    pub fn brokers(&self) -> Vec<BrokerAddress> {
        let addresses = self.inner.addresses.lock();
        let mut brokers: Vec<_> = addresses
            .iter()
            .map(|(broker_id, endpoint)| BrokerAddress { broker_id: *broker_id, endpoint: endpoint.clone() })
            .collect();
        brokers.sort_by_key(|broker| broker.broker_id);
        brokers
    }

    /// A connection to some broker: the bootstrap's, or any known one when that is gone.
    pub async fn any(&self) -> Result<Connection, ClientError> {
        let mut last = None;
        let known = self.brokers().into_iter().map(|broker| broker.endpoint);
        for endpoint in self.inner.config.bootstrap.iter().cloned().chain(known) {
            match self.open(&self.inner.bootstrap, &endpoint).await {
                Ok(connection) => return Ok(connection),
                Err(error) => last = Some(last.unwrap_or(error)),
            }
        }
        Err(last.expect("a configuration has a bootstrap address"))
    }

    /// The connection to a broker, opened when there is none that works.
    pub async fn broker(&self, broker_id: BrokerId) -> Result<Connection, ClientError> {
        let endpoint = self.inner.addresses.lock().get(&broker_id).cloned();
        let Some(endpoint) = endpoint else {
            let reason = "the cluster names no such broker".to_owned();
            return Err(ClientError::Connect { endpoint: format!("broker {}", broker_id.0), reason });
        };
        let slot = Arc::clone(self.inner.slots.lock().entry(broker_id).or_default());
        self.open(&slot, &endpoint).await
    }

    async fn open(&self, slot: &Slot, endpoint: &Endpoint) -> Result<Connection, ClientError> {
        let mut slot = slot.lock().await;
        if let Some(connection) = slot.as_ref().filter(|connection| !connection.is_closed()) {
            return Ok(connection.clone());
        }
        let connection = Connection::open(&self.inner.dialer, endpoint, &self.inner.config).await?;
        *slot = Some(connection.clone());
        Ok(connection)
    }

    /// Asks anew who the brokers are.
    pub async fn refresh(&self) -> Result<(), ClientError> {
        self.metadata(Some(Vec::new()), IfMissing::Refuse).await.map(drop)
    }

    /// All topics, in order of their names.
    pub async fn topics(&self) -> Result<Vec<TopicInfo>, ClientError> {
        let answer = self.metadata(None, IfMissing::Refuse).await?;
        let mut topics: Vec<_> =
            answer.topics.iter().filter(|topic| topic.error_code == 0).map(topic_info).collect();
        topics.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(topics)
    }

    /// One topic as it is now. Does not create it.
    pub async fn topic(&self, name: &str) -> Result<TopicInfo, ClientError> {
        self.look_up(name, IfMissing::Refuse).await
    }

    /// The same, for who is about to write to it: brokers that allow it create the topic.
    pub async fn topic_to_write(&self, name: &str) -> Result<TopicInfo, ClientError> {
        let give_up = Instant::now() + CREATION_PATIENCE;
        loop {
            match self.look_up(name, IfMissing::Create).await {
                // Apache Kafka answers so while it creates it.
                Err(ClientError::Refused { code: ErrorCode::LeaderNotAvailable, .. })
                | Err(ClientError::UnknownTopic { .. })
                    if Instant::now() < give_up =>
                {
                    tokio::time::sleep(CREATION_PAUSE).await;
                }
                outcome => return outcome,
            }
        }
    }

    async fn look_up(&self, name: &str, if_missing: IfMissing) -> Result<TopicInfo, ClientError> {
        let wanted = TopicName(StrBytes::from_string(name.to_owned()));
        let answer = self.metadata(Some(vec![wanted]), if_missing).await?;
        let Some(topic) = answer.topics.first() else {
            return Err(ClientError::UnknownTopic { topic: name.to_owned() });
        };
        match topic.error_code {
            3 => return Err(ClientError::UnknownTopic { topic: name.to_owned() }),
            17 => return Err(ClientError::IllegalTopicName { topic: name.to_owned() }),
            _ => {}
        }
        ClientError::check(topic.error_code, None, || format!("metadata of topic {name:?}"))?;
        Ok(topic_info(topic))
    }

    async fn metadata(
        &self,
        topics: Option<Vec<TopicName>>,
        if_missing: IfMissing,
    ) -> Result<MetadataResponse, ClientError> {
        let topics = topics.map(|names| {
            names.into_iter().map(|name| MetadataRequestTopic::default().with_name(Some(name))).collect()
        });
        let request = MetadataRequest::default()
            .with_topics(topics)
            .with_allow_auto_topic_creation(if_missing == IfMissing::Create);
        let answer = self.any().await?.call(&request).await?;
        let scheme = self.inner.config.bootstrap.first().map(|endpoint| endpoint.scheme);
        let scheme = scheme.expect("a configuration has a bootstrap address");
        let brokers = answer.brokers.iter().filter_map(|broker| {
            let port = u16::try_from(broker.port).ok()?;
            Some((BrokerId(broker.node_id.0), Endpoint { scheme, host: broker.host.to_string(), port }))
        });
        *self.inner.addresses.lock() = brokers.collect();
        Ok(answer)
    }
}

fn topic_info(topic: &MetadataResponseTopic) -> TopicInfo {
    let mut partitions: Vec<_> = topic
        .partitions
        .iter()
        .map(|partition| PartitionInfo {
            index: PartitionIndex(partition.partition_index),
            leader: Some(BrokerId(partition.leader_id.0)).filter(|leader| leader.0 >= 0),
            leader_epoch: partition.leader_epoch,
            replicas: partition.replica_nodes.iter().map(|replica| BrokerId(replica.0)).collect(),
        })
        .collect();
    partitions.sort_by_key(|partition| partition.index);
    let name = topic.name.as_ref().map(|name| name.to_string()).unwrap_or_default();
    TopicInfo { name, topic_id: topic.topic_id, is_internal: topic.is_internal, partitions }
}
