//! The metadata store of a cluster: etcd, version 3.4 or later, through its gRPC API.
//!
//! ```text
//! get, list, transact ──▶ call.rs: deadline, repeat or not ──▶ connection.rs: one member at a time ──▶ etcd
//! watch ──▶ watch.rs: a task each, resumes            ▲
//! lease ──▶ lease.rs: a keeper each ──────────────────┤
//!           history.rs: compaction, size ─────────────┘       verdict.rs: what an error means
//! ```
//!
//! Every call ends within seconds. A transaction is sent again only where it is certain that it was not done; without an
//! answer it is unknown, and whoever asked compares. Reads are linearizable: they see all that was answered before.
//!
//! It compacts etcd's history as a whole, as any client may; whoever shares an etcd with others should know. It never
//! defragments, and never disarms an alarm.

mod api;
mod call;
mod connection;
mod files;
mod history;
mod lease;
#[cfg(test)]
mod tests;
mod translate;
mod verdict;
mod watch;

use super::lease::Lease;
use super::{
    Entry, Fullness, Listing, MetadataError, MetadataStore, Revision, Transaction, TransactionAnswer, Watch,
};
use crate::config::EtcdConfig;
use crate::metrics::MetadataMetrics;
use api::method;
use bytes::Bytes;
use call::{Client, Failure, Repeat};
use connection::{Connector, State};
pub use files::EtcdFileError;
use futures_util::future::BoxFuture;
use history::{History, Pace};
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// The [`MetadataStore`] of a cluster. Its tasks end when it is dropped.
#[derive(Debug)]
pub struct EtcdStore {
    client: Arc<Client>,
    fullness: Arc<Mutex<Option<Fullness>>>,
}

/// How long the first connection may take.
const OPEN_MAX: Duration = Duration::from_secs(10);
/// Entries of one page of a listing, to begin with; halved while a page is longer than gRPC takes.
const PAGE_ENTRIES: i64 = 1_024;
/// How often a listing begins again as its revision was compacted in the middle.
const LISTINGS_MAX: usize = 3;

impl EtcdStore {
    /// Connects to a member. Ends within ten seconds, and at once where etcd does not let us in.
    pub async fn open(config: &EtcdConfig, metrics: &MetadataMetrics) -> Result<EtcdStore, MetadataError> {
        EtcdStore::with_pace(config, metrics, Pace::default()).await
    }

    /// Whether the files that `config` names for TLS are of use. Connects to nobody.
    pub fn check_files(config: &EtcdConfig) -> Result<(), EtcdFileError> {
        config.tls.as_ref().map_or(Ok(()), |tls| files::read(tls).map(|_| ()))
    }

    async fn with_pace(
        config: &EtcdConfig,
        metrics: &MetadataMetrics,
        pace: Pace,
    ) -> Result<EtcdStore, MetadataError> {
        let closing = CancellationToken::new();
        let (publish, state) = tokio::sync::watch::channel(State::default());
        let (report, failed) = tokio::sync::watch::channel(0);
        let connector = Connector::new(config, publish, failed, closing.clone());
        let connector = connector.map_err(MetadataError::Refused)?;
        let client = Arc::new(Client::new(config.prefix.clone(), closing, state, report));
        let store = EtcdStore { client: Arc::clone(&client), fullness: Arc::default() };
        tokio::spawn(connector.run());
        client.first_connection(Instant::now() + OPEN_MAX).await?;
        let mut history = History::new(client, Arc::clone(&store.fullness), metrics.clone(), pace);
        history.check_version().await?;
        tokio::spawn(history.run());
        Ok(store)
    }
}

impl Drop for EtcdStore {
    fn drop(&mut self) {
        self.client.closing.cancel();
    }
}

impl Client {
    async fn range(&self, request: api::RangeRequest) -> Result<api::RangeResponse, Failure> {
        self.call(method::RANGE, request, Repeat::Freely).await
    }

    async fn get(&self, key: &str) -> Result<Option<Entry>, MetadataError> {
        let key = translate::full_key(&self.prefix, key);
        let found = self.range(api::RangeRequest { key, ..api::RangeRequest::default() }).await?;
        found.kvs.into_iter().next().map(|kv| translate::entry(&self.prefix, kv)).transpose()
    }

    /// All entries below a prefix at one revision, however many pages it takes.
    async fn list(&self, prefix: &str) -> Result<Listing, MetadataError> {
        for _ in 0..LISTINGS_MAX {
            match self.list_once(prefix).await {
                Err(Failure::Compacted) => {}
                Ok((kvs, revision)) => {
                    let entries = kvs.into_iter().map(|kv| translate::entry(&self.prefix, kv));
                    let revision = translate::revision(revision);
                    return Ok(Listing { entries: entries.collect::<Result<_, _>>()?, revision });
                }
                Err(failure) => return Err(failure.into()),
            }
        }
        Err(MetadataError::Unknown("etcd's history is compacted faster than it can be listed".to_owned()))
    }

    async fn list_once(&self, prefix: &str) -> Result<(Vec<api::KeyValue>, i64), Failure> {
        let mut key = translate::full_key(&self.prefix, prefix);
        let range_end = translate::range_end(&key);
        let (mut limit, mut revision) = (PAGE_ENTRIES, 0);
        let mut kvs = Vec::new();
        loop {
            let request =
                api::RangeRequest { key: key.clone(), range_end: range_end.clone(), limit, revision };
            let page = match self.range(request).await {
                Err(Failure::TooLong) if limit > 1 => {
                    limit /= 2;
                    continue;
                }
                page => page?,
            };
            if revision == 0 {
                let header =
                    page.header.ok_or_else(|| Failure::Unknown("an answer has no header".to_owned()))?;
                revision = header.revision;
            }
            kvs.extend(page.kvs);
            match kvs.last() {
                Some(last) if page.more => key = Bytes::from([&last.key[..], &[0]].concat()),
                _ => return Ok((kvs, revision)),
            }
        }
    }

    async fn transact(&self, transaction: &Transaction) -> Result<TransactionAnswer, MetadataError> {
        transaction.check_limits()?;
        let repeat = if transaction.writes.is_empty() { Repeat::Freely } else { Repeat::IfNotDone };
        let request = translate::request(&self.prefix, transaction);
        let response = self.call(method::TXN, request, repeat).await?;
        translate::answer(&self.prefix, transaction, response)
    }
}

impl MetadataStore for EtcdStore {
    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Entry>, MetadataError>> {
        Box::pin(self.client.get(key))
    }

    fn list<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<Listing, MetadataError>> {
        Box::pin(self.client.list(prefix))
    }

    fn transact(&self, transaction: Transaction) -> BoxFuture<'_, Result<TransactionAnswer, MetadataError>> {
        Box::pin(async move { self.client.transact(&transaction).await })
    }

    fn watch(&self, prefix: &str, after: Revision) -> Watch {
        let watching = watch::Watching::new(Arc::clone(&self.client), prefix.to_owned(), after);
        Watch::start(|events| watching.run(events))
    }

    fn lease(&self, ttl: Duration) -> BoxFuture<'_, Result<Lease, MetadataError>> {
        Box::pin(lease::grant(&self.client, ttl))
    }

    fn fullness(&self) -> Option<Fullness> {
        let told = *self.fullness.lock();
        // A write that was refused says it before the next look does.
        let takes_writes = !self.client.is_out_of_space();
        match told {
            Some(told) => Some(Fullness { takes_writes, ..told }),
            None if takes_writes => None,
            None => Some(Fullness { bytes: 0, in_use_bytes: 0, quota_bytes: None, takes_writes }),
        }
    }

    fn sole_writer(&self) -> bool {
        false
    }
}
