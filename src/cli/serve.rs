//! `cenote serve`: its settings as flags. What they mean is said here once, for `--help`.

use super::error::CliError;
use crate::config::{self, Config, ConfigError, Flags, Sources};
use clap::Args;

/// The settings of a broker, as texts; `cenote serve --help` says before them how they are written.
#[derive(Args, Clone, Debug, Default)]
pub struct ServeArgs {
    /// TOML file with settings, such as `flush-interval = "5ms"` [env: CENOTE_CONFIG]
    #[arg(long, value_name = "FILE")]
    config: Option<String>,
    /// Directory for metadata, the default store, the disk cache and the development certificate
    /// [default: ./cenote-data] [env: CENOTE_DATA]
    #[arg(long, value_name = "DIR")]
    data: Option<String>,
    /// Where objects go: file:///dir, s3://bucket/prefix, gs://bucket/prefix, az://container/prefix, memory:
    /// [default: the directory store below --data] [env: CENOTE_STORE]
    #[arg(long, value_name = "URL")]
    store: Option<String>,
    /// Where metadata goes: embedded: (below --data), etcd://h1:2379,h2:2379/prefix, or etcds://… for TLS; a password is
    /// best given in CENOTE_METADATA_PASSWORD [default: embedded:] [env: CENOTE_METADATA]
    #[arg(long, value_name = "URL")]
    metadata: Option<String>,
    /// Where Kafka is spoken: [NAME=]tcp://host:port, tls://… or quic://…; may be repeated. Names are
    /// PLAINTEXT, SSL and QUIC if not given
    /// [default: tcp://127.0.0.1:9092 quic://127.0.0.1:9093] [env: CENOTE_LISTEN, with commas]
    #[arg(long, value_name = "[NAME=]URL")]
    listen: Vec<String>,
    /// What clients of a listener are told to connect to; may be repeated
    /// [default: what is bound, or localhost if that is every address] [env: CENOTE_ADVERTISE, with commas]
    #[arg(long, value_name = "NAME=HOST:PORT")]
    advertise: Vec<String>,
    /// Address of /healthz, /readyz, /metrics, /archive and /topics/NAME/segments, or off. It asks nobody who they are:
    /// keep it on loopback [default: 127.0.0.1:9644] [env: CENOTE_HTTP]
    #[arg(long, value_name = "ADDR|off")]
    http: Option<String>,
    /// How long a batch waits for company before it is stored; 0: until the previous PUT is on its way
    /// [default: 0 for a local store, 100ms for a remote one] [env: CENOTE_FLUSH_INTERVAL]
    #[arg(long, value_name = "DURATION")]
    flush_interval: Option<String>,
    /// Size at which a journal object is stored without waiting [default: 8MiB] [env: CENOTE_FLUSH_BYTES]
    #[arg(long, value_name = "SIZE")]
    flush_bytes: Option<String>,
    /// Batches of this size become a Parquet segment; a topic's cenote.archive.bytes goes first
    /// [default: 64MiB] [env: CENOTE_ARCHIVE_BYTES]
    #[arg(long, value_name = "SIZE")]
    archive_bytes: Option<String>,
    /// How long records wait at most to become part of a Parquet segment, where they come to enough to be worth one; a
    /// topic's cenote.archive.ms goes first [default: 10m] [env: CENOTE_ARCHIVE_AGE]
    #[arg(long, value_name = "DURATION")]
    archive_age: Option<String>,
    /// PUTs under way at once, 1 to 64 [default: 2 for a local store, 4 for a remote one]
    /// [env: CENOTE_PUTS_IN_FLIGHT]
    #[arg(long, value_name = "N")]
    puts_in_flight: Option<String>,
    /// Memory of the cache [default: 512MiB] [env: CENOTE_CACHE_MEMORY]
    #[arg(long, value_name = "SIZE")]
    cache_memory: Option<String>,
    /// Disk of the cache, 64MiB at least; 0: none [default: 0 for a local store, 10GiB for a remote one]
    /// [env: CENOTE_CACHE_DISK]
    #[arg(long, value_name = "SIZE")]
    cache_disk: Option<String>,
    /// Memory of all requests together; over it the broker reads more slowly
    /// [default: 256MiB] [env: CENOTE_REQUEST_MEMORY]
    #[arg(long, value_name = "SIZE")]
    request_memory: Option<String>,
    /// Largest request [default: 100MiB, or --request-memory if less] [env: CENOTE_FRAME_BYTES_MAX]
    #[arg(long, value_name = "SIZE")]
    frame_bytes_max: Option<String>,
    /// Connections at once, over all listeners [default: 10000] [env: CENOTE_CONNECTIONS_MAX]
    #[arg(long, value_name = "N")]
    connections_max: Option<String>,
    /// Requests of one connection that wait for their answers at once
    /// [default: 64] [env: CENOTE_REQUESTS_IN_FLIGHT]
    #[arg(long, value_name = "N")]
    requests_in_flight: Option<String>,
    /// Kafka's node id of this broker; with metadata on etcd it has to be given, another one for each broker
    /// [default: 1] [env: CENOTE_BROKER_ID]
    #[arg(long, value_name = "N")]
    broker_id: Option<String>,
    /// Where this broker runs, such as an availability zone: what Kafka calls its rack [env: CENOTE_ZONE]
    #[arg(long, value_name = "NAME")]
    zone: Option<String>,
    /// Its share of the partitions, groups and transactions of a cluster, as a proportion, 1 to 100
    /// [default: 1] [env: CENOTE_WEIGHT]
    #[arg(long, value_name = "N")]
    weight: Option<String>,
    /// Where other brokers of the cluster are listened for, UDP and TCP [default: 0.0.0.0:9192 with metadata on etcd]
    /// [env: CENOTE_MESH_LISTEN]
    #[arg(long, value_name = "ADDR")]
    mesh_listen: Option<String>,
    /// What other brokers connect to [default: what is bound, or if that is every address the one by which this machine
    /// reaches etcd] [env: CENOTE_MESH_ADVERTISED]
    #[arg(long, value_name = "HOST:PORT")]
    mesh_advertised: Option<String>,
    /// The secret by which brokers of a cluster know each other, the same for all; best given in the variable, which no list
    /// of processes shows. `openssl rand -base64 32` makes one [env: CENOTE_CLUSTER_SECRET]
    #[arg(long, value_name = "SECRET")]
    cluster_secret: Option<String>,
    /// A file that has the secret [env: CENOTE_CLUSTER_SECRET_FILE]
    #[arg(long, value_name = "FILE")]
    cluster_secret_file: Option<String>,
    /// In place of a secret: who signs the certificates of brokers, PEM [env: CENOTE_MESH_CA]
    #[arg(long, value_name = "FILE")]
    mesh_ca: Option<String>,
    /// This broker's certificate among brokers, PEM, for broker-<id>.<cluster id>.cenote [env: CENOTE_MESH_CERTIFICATE]
    #[arg(long, value_name = "FILE")]
    mesh_certificate: Option<String>,
    /// Its key, PEM [env: CENOTE_MESH_KEY]
    #[arg(long, value_name = "FILE")]
    mesh_key: Option<String>,
    /// Partitions of a topic created without a number [default: 1] [env: CENOTE_PARTITIONS]
    #[arg(long, value_name = "N")]
    partitions: Option<String>,
    /// Whether producing to or asking for an unknown topic creates it
    /// [default: true] [env: CENOTE_AUTO_CREATE_TOPICS]
    #[arg(long, value_name = "true|false")]
    auto_create_topics: Option<String>,
    /// How long the first member of an empty group waits for others
    /// [default: 100ms] [env: CENOTE_GROUP_INITIAL_REBALANCE_DELAY]
    #[arg(long, value_name = "DURATION")]
    group_initial_rebalance_delay: Option<String>,
    /// How long committed offsets outlive their group's members [default: 7d] [env: CENOTE_OFFSETS_RETENTION]
    #[arg(long, value_name = "DURATION")]
    offsets_retention: Option<String>,
    /// Certificate chain for TLS and QUIC, PEM [default: made for development below --data]
    /// [env: CENOTE_TLS_CERTIFICATE]
    #[arg(long, value_name = "FILE")]
    tls_certificate: Option<String>,
    /// Its key, PEM [env: CENOTE_TLS_KEY]
    #[arg(long, value_name = "FILE")]
    tls_key: Option<String>,
    /// What is logged: off, error, warn, info, debug, trace, or a filter such as info,cenote::net=debug. Crates that
    /// Cenote uses are heard from warn on, or as named: info,foyer=info [default: info] [env: CENOTE_LOG]
    #[arg(long, value_name = "FILTER")]
    log: Option<String>,
}

impl ServeArgs {
    /// The settings as they hold, from these flags, the variables that `env` finds, and the file.
    pub fn resolve(&self, env: &dyn Fn(&str) -> Option<String>) -> Result<(Config, Sources), ConfigError> {
        config::resolve(&self.flags(), env)
    }

    fn flags(&self) -> Flags {
        let once: [(&'static str, &Option<String>); 32] = [
            ("data", &self.data),
            ("store", &self.store),
            ("metadata", &self.metadata),
            ("http", &self.http),
            ("flush-interval", &self.flush_interval),
            ("flush-bytes", &self.flush_bytes),
            ("archive-bytes", &self.archive_bytes),
            ("archive-age", &self.archive_age),
            ("puts-in-flight", &self.puts_in_flight),
            ("cache-memory", &self.cache_memory),
            ("cache-disk", &self.cache_disk),
            ("request-memory", &self.request_memory),
            ("frame-bytes-max", &self.frame_bytes_max),
            ("connections-max", &self.connections_max),
            ("requests-in-flight", &self.requests_in_flight),
            ("broker-id", &self.broker_id),
            ("zone", &self.zone),
            ("weight", &self.weight),
            ("mesh-listen", &self.mesh_listen),
            ("mesh-advertised", &self.mesh_advertised),
            ("cluster-secret", &self.cluster_secret),
            ("cluster-secret-file", &self.cluster_secret_file),
            ("mesh-ca", &self.mesh_ca),
            ("mesh-certificate", &self.mesh_certificate),
            ("mesh-key", &self.mesh_key),
            ("partitions", &self.partitions),
            ("auto-create-topics", &self.auto_create_topics),
            ("group-initial-rebalance-delay", &self.group_initial_rebalance_delay),
            ("offsets-retention", &self.offsets_retention),
            ("tls-certificate", &self.tls_certificate),
            ("tls-key", &self.tls_key),
            ("log", &self.log),
        ];
        let mut flags = Flags { config: self.config.clone(), ..Flags::default() };
        for (key, text) in once {
            flags.values.insert(key, text.iter().cloned().collect());
        }
        flags.values.insert("listen", self.listen.clone());
        flags.values.insert("advertise", self.advertise.clone());
        flags
    }
}

/// The settings as they hold, with the process's own variables; a mistake is one line.
pub(super) fn settings(args: &ServeArgs) -> Result<(Config, Sources), CliError> {
    let resolved = args.resolve(&|name| std::env::var(name).ok());
    resolved.map_err(|error| CliError::Usage(error.to_string()))
}
