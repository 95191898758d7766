//! A store that holds back and loses answers, for tests.

use super::{
    EmbeddedStore, Entry, Fullness, Lease, Listing, MetadataError, MetadataStore, Revision, Transaction,
    TransactionAnswer, Watch,
};
use futures_util::future::BoxFuture;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::Semaphore;

/// Gets wait for a permit each; the next answers to transactions that write may be lost after they were applied.
#[derive(Debug)]
pub(crate) struct FaultyStore {
    pub(crate) inner: EmbeddedStore,
    pub(crate) gets_allowed: Semaphore,
    pub(crate) gets_begun: AtomicUsize,
    pub(crate) gets_to_fail: AtomicUsize,
    /// Transactions that only read.
    pub(crate) reads_to_fail: AtomicUsize,
    pub(crate) answers_to_lose: AtomicUsize,
}

impl FaultyStore {
    pub(crate) fn new(gets_allowed: usize) -> FaultyStore {
        FaultyStore {
            inner: EmbeddedStore::in_memory(),
            gets_allowed: Semaphore::new(gets_allowed),
            gets_begun: AtomicUsize::new(0),
            gets_to_fail: AtomicUsize::new(0),
            reads_to_fail: AtomicUsize::new(0),
            answers_to_lose: AtomicUsize::new(0),
        }
    }
}

fn take(counter: &AtomicUsize) -> bool {
    counter.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
}

impl MetadataStore for FaultyStore {
    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Entry>, MetadataError>> {
        Box::pin(async move {
            self.gets_begun.fetch_add(1, Ordering::SeqCst);
            // Read first, answer late: the worst a linearizable read may do.
            let answer = self.inner.get(key).await;
            self.gets_allowed.acquire().await.expect("never closed").forget();
            if take(&self.gets_to_fail) {
                return Err(MetadataError::Unknown("lost".into()));
            }
            answer
        })
    }

    fn list<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<Listing, MetadataError>> {
        self.inner.list(prefix)
    }

    fn transact(&self, transaction: Transaction) -> BoxFuture<'_, Result<TransactionAnswer, MetadataError>> {
        Box::pin(async move {
            let writes = !transaction.writes.is_empty();
            if !writes && take(&self.reads_to_fail) {
                return Err(MetadataError::Unknown("lost".into()));
            }
            let answer = self.inner.transact(transaction).await;
            if writes && take(&self.answers_to_lose) {
                return Err(MetadataError::Unknown("lost".into()));
            }
            answer
        })
    }

    fn watch(&self, prefix: &str, after: Revision) -> Watch {
        self.inner.watch(prefix, after)
    }

    fn lease(&self, ttl: Duration) -> BoxFuture<'_, Result<Lease, MetadataError>> {
        self.inner.lease(ttl)
    }

    fn fullness(&self) -> Option<Fullness> {
        self.inner.fullness()
    }

    fn sole_writer(&self) -> bool {
        false
    }
}
