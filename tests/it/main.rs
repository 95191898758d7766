//! All integration tests, one binary. Most drive the real `cenote` binary from outside, with real clients or
//! with frames made by hand; each test states one promise in its name.

mod archive_crash;
mod archive_tables;
mod bounds;
mod cli;
mod cli_archive;
mod cli_cluster;
mod cli_groups;
mod cli_share_groups;
mod cluster;
mod cluster_drills;
mod cluster_exactly_once;
mod cluster_zones;
mod compaction;
mod crash;
mod etcd;
mod exactly_once;
mod fetch_rules;
mod groups;
mod idempotence;
mod list_offsets;
mod produce_consume;
mod produce_rules;
mod quic;
mod retention;
mod s3;
mod s3_archive;
mod settings;
mod slow_store;
mod store_contract;
mod support;
mod tidy;
mod topics;
mod transactions;
