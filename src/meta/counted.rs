//! A metadata store whose operations are counted.

use super::{
    Entry, Fullness, Lease, Listing, MetadataError, MetadataStore, Revision, Transaction, TransactionAnswer,
    Watch,
};
use crate::metrics::Metrics;
use futures_util::future::BoxFuture;
use std::sync::Arc;
use std::time::Duration;

/// Passes everything on, and counts it.
#[derive(Debug)]
pub struct CountedStore {
    store: Arc<dyn MetadataStore>,
    metrics: Arc<Metrics>,
}

impl CountedStore {
    /// Counts what is asked of `store`.
    #[must_use]
    pub fn new(store: Arc<dyn MetadataStore>, metrics: Arc<Metrics>) -> CountedStore {
        CountedStore { store, metrics }
    }
}

impl MetadataStore for CountedStore {
    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Entry>, MetadataError>> {
        self.metrics.metadata.reads.inc();
        self.store.get(key)
    }

    fn list<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<Listing, MetadataError>> {
        self.metrics.metadata.lists.inc();
        self.store.list(prefix)
    }

    fn transact(&self, transaction: Transaction) -> BoxFuture<'_, Result<TransactionAnswer, MetadataError>> {
        self.metrics.metadata.transactions.inc();
        self.metrics.metadata.writes.inc_by(transaction.writes.len() as u64);
        self.store.transact(transaction)
    }

    fn watch(&self, prefix: &str, after: Revision) -> Watch {
        self.store.watch(prefix, after)
    }

    fn lease(&self, ttl: Duration) -> BoxFuture<'_, Result<Lease, MetadataError>> {
        self.store.lease(ttl)
    }

    fn fullness(&self) -> Option<Fullness> {
        self.store.fullness()
    }

    fn sole_writer(&self) -> bool {
        self.store.sole_writer()
    }
}
