//! A small Kafka client over TCP, TLS and QUIC: what the command line uses, and Rust programs may.
//!
//! ```no_run
//! use cenote::client::{ClientConfig, Cluster, NewRecord, Producer, ProducerConfig};
//!
//! # async fn run() -> Result<(), cenote::client::ClientError> {
//! let config = ClientConfig::new("quic://127.0.0.1:9093".parse().expect("a legal address"));
//! let cluster = Cluster::connect(config).await?;
//! let producer = Producer::start(&cluster, ProducerConfig::default()).await?;
//! let delivery = producer.send(&NewRecord::of_value("flights", b"SEA to JFK")).await?;
//! println!("stored at offset {}", delivery.wait().await?.offset);
//! producer.close().await
//! # }
//! ```
//!
//! A [`Cluster`] knows who leads what and holds one [`Connection`] per broker; a [`Producer`], a [`Consumer`],
//! a [`GroupConsumer`] and an [`Admin`] share it. What this room never does: print, run transactions.

mod admin;
mod cluster;
mod connection;
mod consumer;
mod coordinator;
mod embedded;
mod endpoint;
mod error;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod group_consumer;
mod groups;
mod producer;
mod tls;
mod transactions;
mod transport;
mod versions;

pub use admin::{Admin, ConfigChange, ConfigEntry, NewTopic};
pub use cluster::{BrokerAddress, ClientConfig, Cluster, PartitionInfo, TopicInfo};
pub use connection::{Answer, Connection};
pub use consumer::{
    Assignment, Consumer, ConsumerConfig, Fetched, FetchedRecords, Isolation, StartAt, StopAt,
};
pub use endpoint::{Endpoint, EndpointError, Scheme};
pub use error::ClientError;
pub use group_consumer::{GroupConsumer, GroupConsumerConfig, GroupEvent, OffsetCommitOutcome};
pub use groups::{
    CommittedOffset, GroupDescription, GroupListing, GroupMember, GroupType, OffsetsByPartition,
};
pub use producer::{
    Acks, Delivered, Delivery, NewRecord, Producer, ProducerConfig, murmur2, partition_of_key,
};
pub use tls::{Fingerprint, FingerprintError, TlsTrust};
pub use transactions::{AbortOutcome, TransactionDescription, TransactionListing};
