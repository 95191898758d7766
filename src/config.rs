//! The settings of a broker as checked values: from flags, `CENOTE_*` variables and a TOML file, in that order.
//!
//! What is written anywhere is text first (`settings`), and becomes a value in one place each (`parse`).
//! A [`Config`] that exists is a legal one.

mod etcd;
mod listeners;
mod mesh;
mod parse;
mod settings;
mod variables;

pub use etcd::{EtcdConfig, EtcdTls, Login, MetadataConfig, Secret};
pub use mesh::{MeshFiles, MeshSettings, MeshTrust};
pub use parse::{Complaint, duration, size};
pub use settings::{ConfigError, Effective, Flags, SETTINGS, Setting, Source, Sources, resolve};
pub use variables::{UnknownVariable, unknown_variables};

use crate::types::BrokerId;
use std::path::PathBuf;
use std::time::Duration;
use url::Url;

/// Everything `cenote serve` can be told.
#[derive(Clone, Debug)]
pub struct Config {
    /// Kafka's node id of this broker.
    pub broker_id: BrokerId,
    /// Where it runs: Kafka's rack.
    pub zone: Option<String>,
    /// Its share of what is led among other brokers, as a proportion: 1 to 100.
    pub weight: u8,
    /// How it is reached and known among other brokers; none where it has its metadata to itself.
    pub mesh: Option<MeshSettings>,
    /// Where local state lies: embedded metadata, the default store, the certificate made for development.
    pub data: PathBuf,
    /// Where objects go: `file:///…`, `s3://…`, `gs://…`, `az://…` or `memory:`.
    pub store: Url,
    /// Where metadata goes.
    pub metadata: MetadataConfig,
    /// Where Kafka is spoken.
    pub listeners: Vec<Listener>,
    /// Where health and metrics are served.
    pub http: Option<std::net::SocketAddr>,
    /// The journal's pace.
    pub journal: JournalConfig,
    /// When what is old leaves the journal.
    pub archive: ArchiveConfig,
    /// The cache's limits.
    pub cache: CacheConfig,
    /// What new topics get.
    pub topics: TopicDefaults,
    /// What holds for all groups.
    pub groups: GroupDefaults,
    /// Limits that hold before any authentication.
    pub limits: LimitsConfig,
    /// The certificate for TLS and QUIC; none: one is made for development below `data/tls`.
    pub tls: Option<TlsFiles>,
    /// What is logged, as a filter by crate and room such as `warn,cenote=info,cenote::net=debug`.
    pub log: String,
}

/// A certificate and its key, both PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The chain, our own certificate first.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

/// One door.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Kafka's listener name, such as `PLAINTEXT`.
    pub name: String,
    /// How bytes travel.
    pub transport: Transport,
    /// Host name or address to bind.
    pub host: String,
    /// Port to bind; 0 lets the system choose.
    pub port: u16,
    /// What clients of this listener are told, if not what is bound.
    pub advertised: Option<(String, u16)>,
}

/// How bytes travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Plain TCP.
    Tcp,
    /// TLS over TCP.
    Tls,
    /// QUIC: one Kafka connection a bidirectional stream.
    Quic,
}

/// When a journal object is cut, and how many may be on their way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JournalConfig {
    /// How long the oldest batch waits for company; zero: until the previous PUT is on its way.
    pub flush_interval: Duration,
    /// Size at which an object is cut at once, in bytes.
    pub flush_bytes: usize,
    /// PUTs in flight.
    pub puts_in_flight: usize,
}

/// When a partition's records leave the journal for a segment; topics may say otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArchiveConfig {
    /// Batches of this size, in bytes.
    pub bytes: u64,
    /// How long a record waits where its segment is worth its PUTs.
    pub age: Duration,
    /// How long a record waits anywhere.
    pub age_max: Duration,
    /// How often what was archived is looked after.
    pub pace: ArchivePace,
}

/// How often what was archived is looked after, and how much comes together before it is worth it. Nobody has to set that; a
/// simulation has it come often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArchivePace {
    /// Objects that nobody refers to are deleted after this time: longer than any read.
    pub grace: Duration,
    /// Between two looks for records that are too old or too many. Apache Kafka does it every five minutes.
    pub retention_every: Duration,
    /// Between two looks for partitions to be compacted.
    pub compaction_every: Duration,
    /// Between two looks for journal objects to be merged.
    pub journal_merge_every: Duration,
    /// Journal objects that are worth merging.
    pub journal_merge_objects: usize,
    /// Segments of a level that make one of the next, at least 2.
    pub merge_fan_in: usize,
}

impl Default for ArchivePace {
    fn default() -> ArchivePace {
        ArchivePace {
            grace: Duration::from_secs(60),
            retention_every: Duration::from_secs(10),
            compaction_every: Duration::from_secs(10),
            journal_merge_every: Duration::from_secs(5),
            journal_merge_objects: 500,
            merge_fan_in: 8,
        }
    }
}

/// Limits of the cache, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheConfig {
    /// Held in memory.
    pub memory_bytes: usize,
    /// Held on the local disk below `data/cache`; zero: no disk cache.
    pub disk_bytes: usize,
}

/// What a topic gets that does not say otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TopicDefaults {
    /// Partitions of a topic that is created without a number.
    pub num_partitions: i32,
    /// Whether Metadata and Produce create unknown topics.
    pub auto_create: bool,
}

/// What holds for all groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupDefaults {
    /// How long the first member of an empty group waits for others: Kafka's `group.initial.rebalance.delay.ms`.
    pub initial_rebalance_delay: Duration,
    /// How long committed offsets outlive their group's members: Kafka's `offsets.retention.minutes`.
    pub offsets_retention: Duration,
}

/// Limits that hold before any authentication.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitsConfig {
    /// Largest frame, in bytes (Kafka's `socket.request.max.bytes`).
    pub frame_bytes_max: usize,
    /// Memory of all requests together, in bytes.
    pub request_memory_bytes: usize,
    /// Connections at once, over all listeners.
    pub connections_max: usize,
    /// Requests of one connection that wait for their answers at once.
    pub requests_in_flight_max: usize,
}

#[cfg(test)]
mod tests;
