//! Cenote: a broker that speaks Kafka and keeps its log on object storage.
//!
//! The rooms, in reading order. A room uses only rooms above it; `tests/it/tidy.rs` checks the arrows.

pub mod types;

pub mod clock;
pub mod hashing;
pub mod planted;

pub mod background;
pub mod config;
mod disk;
pub mod limits;
pub mod metrics;

pub mod wire;

pub mod mesh;

pub mod meta;

pub mod cluster;
pub mod leadership;
pub mod mailboxes;
pub mod remote;

pub mod store;

pub mod cache;
pub mod journal;

pub mod settings;
pub mod topic;

pub mod segment;

pub mod log;

pub mod archive;

pub mod views;

pub mod group;

pub mod txn;

pub mod peers;

pub mod handler;

pub mod net;
pub mod ops;

pub mod client;

pub mod broker;

pub mod cli;

#[cfg(any(test, fuzzing))]
pub mod fuzzing;
