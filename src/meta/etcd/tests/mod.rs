//! The store against real etcd servers, which the tests start, kill, pause and cut off.

mod contract;
mod faults;
mod kept;
mod proxy;
mod secured;

#[path = "../../../../tests/it/support/ports.rs"]
mod ports;
#[path = "../../../../tests/it/support/etcd.rs"]
#[allow(dead_code, reason = "some of it is for the black-box tests")]
mod server;
#[path = "../../../../tests/it/support/skip.rs"]
mod skip;

use super::history::Pace;
use super::{EtcdStore, MetadataError};
use crate::config::EtcdConfig;
use crate::metrics::Metrics;
use server::Etcd;
use std::time::Duration;

fn config(members: &str) -> EtcdConfig {
    let members = members.split(',').map(str::to_owned).collect();
    EtcdConfig { members, prefix: "/test/".to_owned(), login: None, tls: None }
}

async fn open(members: &str) -> EtcdStore {
    try_open(&config(members)).await.expect("etcd answers")
}

async fn try_open(config: &EtcdConfig) -> Result<EtcdStore, MetadataError> {
    EtcdStore::open(config, &Metrics::new().metadata).await
}

/// A store that looks after etcd's history all the time.
async fn open_busy(members: &str) -> EtcdStore {
    let pace = Pace { status: Duration::from_millis(50), compaction: 4 };
    EtcdStore::with_pace(&config(members), &Metrics::new().metadata, pace).await.expect("etcd answers")
}
