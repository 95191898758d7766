//! Counters, gauges and histograms of the process, in the Prometheus text format.
//!
//! One [`Metrics`] is made at start and handed around in an `Arc`. What is counted once per request is
//! registered ahead and looked up by number, so that no label is built and no lock is taken on the hot path.

mod mesh;
mod store;
mod zones;

pub use mesh::MeshMetrics;
pub use store::{ObjectKind, StoreMetrics, StoreOperation};
pub use zones::ZoneMetrics;

use crate::limits::MemoryBudget;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use std::fmt;
use std::sync::atomic::AtomicU64;

/// Everything this process counts.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    apis: Vec<ApiMetrics>,
    /// Kafka connections and QUIC connections that are open, by transport.
    pub connections: ConnectionGauges,
    /// Connections turned away because there were too many.
    pub connections_refused: Counter,
    /// Connections closed because of what they sent, or did not send.
    pub connections_failed: Counter,
    /// Panics caught in the task of a connection. Any is a bug: alarm on it.
    pub panics: Counter,
    /// Record bytes taken in by Produce.
    pub produce_bytes: Counter,
    /// Record batches taken in by Produce.
    pub produce_batches: Counter,
    /// Record bytes given out by Fetch.
    pub fetch_bytes: Counter,
    /// What the journal does.
    pub journal: JournalMetrics,
    /// What the cache does.
    pub cache: CacheMetrics,
    /// What is asked of the metadata store.
    pub metadata: MetadataMetrics,
    /// What the archiver does.
    pub archive: ArchiveMetrics,
    /// What goes between brokers.
    pub mesh: MeshMetrics,
    /// What is asked of the object store.
    pub store: StoreMetrics,
    /// What is read here for brokers of other zones.
    pub zones: ZoneMetrics,
}

/// The archiver's numbers.
#[derive(Clone, Debug)]
pub struct ArchiveMetrics {
    /// Segments archived.
    pub segments: Counter,
    /// Keys, values and headers in them, in bytes.
    pub raw_bytes: Counter,
    /// Their files, in bytes.
    pub file_bytes: Counter,
    /// Merges: neighbours that became one segment.
    pub merges: Counter,
    /// Passes of log compaction that were finished.
    pub compactions: Counter,
    /// Rows that compaction left out.
    pub compacted_rows: Counter,
    /// Keys, values and headers that merges and compaction wrote once more, in bytes. Over `raw_bytes`: how often a
    /// byte is written again.
    pub rewritten_raw_bytes: Counter,
    /// The files that they wrote, in bytes.
    pub rewritten_file_bytes: Counter,
    /// PUTs of merged journal objects that became part of a journal.
    pub journal_merges: Counter,
    /// Their bytes. Over the bytes of journal PUTs: how often a byte of the journal is written again.
    pub journal_merged_bytes: Counter,
    /// Journal objects that could go as they were merged.
    pub journal_merged_objects: Counter,
    /// Batches of idempotent producers that are remembered until they are archived.
    pub waiting_rows: Gauge,
}

/// The metadata store's numbers.
#[derive(Clone, Debug)]
pub struct MetadataMetrics {
    /// Reads of one key.
    pub reads: Counter,
    /// Listings of a prefix.
    pub lists: Counter,
    /// Transactions.
    pub transactions: Counter,
    /// The keys that they write.
    pub writes: Counter,
    /// What the store takes on disk, in bytes; 0: not known.
    pub size_bytes: Gauge,
    /// What of it is in use.
    pub size_in_use_bytes: Gauge,
    /// Where the store takes no more; 0: it does not say.
    pub quota_bytes: Gauge,
    /// 1 while the store is full and producers are refused.
    pub full: Gauge,
}

/// The numbers of one API: how many requests, how big, and how long they took.
#[derive(Clone, Debug)]
pub struct ApiMetrics {
    api_key: i16,
    /// Requests whose turn came.
    pub requests: Counter,
    /// Their frames, in bytes.
    pub request_bytes: Counter,
    /// From the frame's last byte to its answer, long polls included.
    pub seconds: Histogram,
}

/// Open connections by transport.
#[derive(Clone, Debug)]
pub struct ConnectionGauges {
    /// Plain TCP.
    pub tcp: Gauge,
    /// TLS over TCP.
    pub tls: Gauge,
    /// Bidirectional streams of QUIC connections, each a Kafka connection.
    pub quic_stream: Gauge,
    /// QUIC connections.
    pub quic: Gauge,
}

/// The journal's numbers.
#[derive(Clone, Debug)]
pub struct JournalMetrics {
    /// Journal objects stored.
    pub objects_put: Counter,
    /// Their bytes.
    pub put_bytes: Counter,
    /// PUTs that failed and were repeated.
    pub put_retries: Counter,
    /// How long a PUT took, repeats included.
    pub put_seconds: Histogram,
    /// Journal commits in the metadata store.
    pub commits: Counter,
    /// How long a commit took.
    pub commit_seconds: Histogram,
}

/// The cache's numbers.
#[derive(Clone, Debug)]
pub struct CacheMetrics {
    /// Reads answered from memory or disk.
    pub hits: Counter,
    /// Reads that went to the object store.
    pub misses: Counter,
    /// Bytes read from the object store.
    pub store_bytes: Counter,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ApiLabel {
    api: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TransportLabel {
    transport: &'static str,
}

/// The APIs with numbers of their own; others share `Other`.
const API_NAMES: [(i16, &str); 47] = [
    (0, "Produce"),
    (1, "Fetch"),
    (2, "ListOffsets"),
    (3, "Metadata"),
    (8, "OffsetCommit"),
    (9, "OffsetFetch"),
    (10, "FindCoordinator"),
    (11, "JoinGroup"),
    (12, "Heartbeat"),
    (13, "LeaveGroup"),
    (14, "SyncGroup"),
    (15, "DescribeGroups"),
    (16, "ListGroups"),
    (18, "ApiVersions"),
    (19, "CreateTopics"),
    (20, "DeleteTopics"),
    (21, "DeleteRecords"),
    (22, "InitProducerId"),
    (23, "OffsetForLeaderEpoch"),
    (24, "AddPartitionsToTxn"),
    (25, "AddOffsetsToTxn"),
    (26, "EndTxn"),
    (27, "WriteTxnMarkers"),
    (28, "TxnOffsetCommit"),
    (32, "DescribeConfigs"),
    (33, "AlterConfigs"),
    (35, "DescribeLogDirs"),
    (37, "CreatePartitions"),
    (42, "DeleteGroups"),
    (44, "IncrementalAlterConfigs"),
    (47, "OffsetDelete"),
    (60, "DescribeCluster"),
    (61, "DescribeProducers"),
    (65, "DescribeTransactions"),
    (66, "ListTransactions"),
    (68, "ConsumerGroupHeartbeat"),
    (69, "ConsumerGroupDescribe"),
    (74, "ListConfigResources"),
    (75, "DescribeTopicPartitions"),
    (76, "ShareGroupHeartbeat"),
    (77, "ShareGroupDescribe"),
    (78, "ShareFetch"),
    (79, "ShareAcknowledge"),
    (90, "DescribeShareGroupOffsets"),
    (91, "AlterShareGroupOffsets"),
    (92, "DeleteShareGroupOffsets"),
    (OTHER_API_KEY, "Other"),
];

const OTHER_API_KEY: i16 = -1;

impl Metrics {
    /// Registers everything.
    #[must_use]
    pub fn new() -> Metrics {
        let mut registry = Registry::with_prefix("cenote");
        let registry_mut = &mut registry;
        Metrics {
            apis: register_apis(registry_mut),
            connections: ConnectionGauges::register(registry_mut),
            connections_refused: counter(
                registry_mut,
                "connections_refused",
                "Connections turned away because too many were open",
            ),
            connections_failed: counter(
                registry_mut,
                "connections_failed",
                "Connections closed for what they sent or did not send",
            ),
            panics: counter(registry_mut, "panics", "Panics caught in a connection's task"),
            produce_bytes: bytes(registry_mut, "produce", "Record bytes taken in by Produce"),
            produce_batches: counter(registry_mut, "produce_batches", "Record batches taken in by Produce"),
            fetch_bytes: bytes(registry_mut, "fetch", "Record bytes given out by Fetch"),
            journal: JournalMetrics::register(registry_mut),
            cache: CacheMetrics::register(registry_mut),
            metadata: MetadataMetrics::register(registry_mut),
            archive: ArchiveMetrics::register(registry_mut),
            mesh: MeshMetrics::register(registry_mut),
            store: StoreMetrics::register(registry_mut),
            zones: ZoneMetrics::register(registry_mut),
            registry,
        }
    }

    /// Also reports how much of `budget` is free. To be called before the metrics are shared.
    pub fn watch_memory(&mut self, budget: MemoryBudget) {
        self.registry.register_collector(Box::new(BudgetCollector { budget }));
    }

    /// The numbers of the API with this key; keys without numbers of their own share one.
    #[must_use]
    pub fn api(&self, api_key: i16) -> &ApiMetrics {
        let other = self.apis.last().expect("the table ends with the shared entry");
        self.apis.iter().find(|api| api.api_key == api_key).unwrap_or(other)
    }

    /// All numbers in the OpenMetrics text format.
    pub fn encode(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        text::encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

impl Default for Metrics {
    fn default() -> Metrics {
        Metrics::new()
    }
}

fn register_apis(registry: &mut Registry) -> Vec<ApiMetrics> {
    let requests = Family::<ApiLabel, Counter>::default();
    let request_bytes = Family::<ApiLabel, Counter>::default();
    let seconds = Family::<ApiLabel, Histogram>::new_with_constructor(seconds_histogram);
    registry.register("requests", "Requests whose turn came", requests.clone());
    registry.register_with_unit("request", "Bytes of request frames", Unit::Bytes, request_bytes.clone());
    registry.register_with_unit("request", "From frame to answer", Unit::Seconds, seconds.clone());
    let of_api = |(api_key, api): (i16, &'static str)| ApiMetrics {
        api_key,
        requests: requests.get_or_create_owned(&ApiLabel { api }),
        request_bytes: request_bytes.get_or_create_owned(&ApiLabel { api }),
        seconds: seconds.get_or_create_owned(&ApiLabel { api }),
    };
    API_NAMES.into_iter().map(of_api).collect()
}

impl ConnectionGauges {
    fn register(registry: &mut Registry) -> ConnectionGauges {
        let family = Family::<TransportLabel, Gauge>::default();
        registry.register("connections", "Open connections", family.clone());
        let of = |transport| family.get_or_create_owned(&TransportLabel { transport });
        ConnectionGauges { tcp: of("tcp"), tls: of("tls"), quic_stream: of("quic_stream"), quic: of("quic") }
    }
}

impl JournalMetrics {
    fn register(registry: &mut Registry) -> JournalMetrics {
        JournalMetrics {
            objects_put: counter(registry, "journal_objects", "Journal objects stored"),
            put_bytes: bytes(registry, "journal_put", "Bytes of journal objects stored"),
            put_retries: counter(registry, "journal_put_retries", "PUTs that were repeated"),
            put_seconds: seconds(registry, "journal_put", "Time of a PUT, repeats included"),
            commits: counter(registry, "journal_commits", "Journal commits in the metadata store"),
            commit_seconds: seconds(registry, "journal_commit", "Time of a journal commit"),
        }
    }
}

impl CacheMetrics {
    fn register(registry: &mut Registry) -> CacheMetrics {
        CacheMetrics {
            hits: counter(registry, "cache_hits", "Reads answered by the cache"),
            misses: counter(registry, "cache_misses", "Reads that went to the object store"),
            store_bytes: bytes(registry, "store_read", "Bytes read from the object store"),
        }
    }
}

impl ArchiveMetrics {
    fn register(registry: &mut Registry) -> ArchiveMetrics {
        ArchiveMetrics {
            segments: counter(registry, "archive_segments", "Segments archived"),
            raw_bytes: bytes(registry, "archive_raw", "Keys, values and headers archived"),
            file_bytes: bytes(registry, "archive_file", "Files of segments archived"),
            merges: counter(registry, "archive_merges", "Times that segments became one"),
            compactions: counter(registry, "archive_compactions", "Passes of log compaction"),
            compacted_rows: counter(registry, "archive_compacted_rows", "Rows that compaction left out"),
            rewritten_raw_bytes: bytes(
                registry,
                "archive_rewritten_raw",
                "Keys, values and headers that merges and compaction wrote again",
            ),
            rewritten_file_bytes: bytes(
                registry,
                "archive_rewritten_file",
                "Files of segments that merges and compaction wrote",
            ),
            journal_merges: counter(
                registry,
                "archive_journal_merges",
                "Times that journal objects became one",
            ),
            journal_merged_bytes: bytes(registry, "archive_journal_merged", "Merged journal objects written"),
            journal_merged_objects: counter(
                registry,
                "archive_journal_merged_objects",
                "Journal objects that went as they were merged",
            ),
            waiting_rows: gauge(
                registry,
                "archive_waiting_rows",
                "Batches of idempotent producers that are remembered until they are archived",
            ),
        }
    }
}

impl MetadataMetrics {
    fn register(registry: &mut Registry) -> MetadataMetrics {
        MetadataMetrics {
            reads: counter(registry, "metadata_reads", "Keys read from the metadata store"),
            lists: counter(registry, "metadata_lists", "Prefixes listed in the metadata store"),
            transactions: counter(registry, "metadata_transactions", "Transactions of the metadata store"),
            writes: counter(registry, "metadata_writes", "Keys written in the metadata store"),
            size_bytes: gauge(registry, "metadata_size_bytes", "Bytes of the metadata store"),
            size_in_use_bytes: gauge(registry, "metadata_size_in_use_bytes", "Bytes of it that are in use"),
            quota_bytes: gauge(registry, "metadata_quota_bytes", "Bytes at which it takes no more writes"),
            full: gauge(registry, "metadata_full", "1 while it has no room, and producers are refused"),
        }
    }
}

fn gauge(registry: &mut Registry, name: &str, help: &str) -> Gauge {
    let gauge = Gauge::default();
    registry.register(name, help, gauge.clone());
    gauge
}

fn counter(registry: &mut Registry, name: &str, help: &str) -> Counter {
    let counter = Counter::<u64, AtomicU64>::default();
    registry.register(name, help, counter.clone());
    counter
}

fn bytes(registry: &mut Registry, name: &str, help: &str) -> Counter {
    let counter = Counter::<u64, AtomicU64>::default();
    registry.register_with_unit(name, help, Unit::Bytes, counter.clone());
    counter
}

fn seconds(registry: &mut Registry, name: &str, help: &str) -> Histogram {
    let histogram = seconds_histogram();
    registry.register_with_unit(name, help, Unit::Seconds, histogram.clone());
    histogram
}

/// From 0.2 milliseconds to 12 seconds, 2.5 times as long each step.
fn seconds_histogram() -> Histogram {
    Histogram::new(exponential_buckets(0.0002, 2.5, 13))
}

/// Reads the budget when somebody asks, instead of being told of every change.
#[derive(Debug)]
struct BudgetCollector {
    budget: MemoryBudget,
}

impl Collector for BudgetCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let free = i64::try_from(self.budget.free_bytes()).unwrap_or(i64::MAX);
        let gauge = ConstGauge::new(free);
        let metric = encoder.encode_descriptor(
            "request_memory_free",
            "Memory that new requests may still take",
            Some(&Unit::Bytes),
            gauge.metric_type(),
        )?;
        gauge.encode(metric)
    }
}

#[cfg(test)]
mod tests;
