//! The cache of a simulation: a map without threads or a clock. Who comes first loads, and the others wait for it, as with foyer.

use super::CacheKey;
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

type Loading = Shared<BoxFuture<'static, Result<Bytes, Arc<anyhow::Error>>>>;

/// The newest entries. Clones are the same.
#[derive(Clone)]
pub(super) struct PlainCache {
    shared: Arc<Mutex<Entries>>,
}

struct Entries {
    max: usize,
    newest_last: VecDeque<(CacheKey, Bytes)>,
    loading: Vec<(CacheKey, Loading)>,
}

/// What was told to all who waited.
#[derive(Debug)]
struct LoadFailed(Arc<anyhow::Error>);

impl fmt::Display for LoadFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#}", self.0)
    }
}

impl std::error::Error for LoadFailed {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some((*self.0).as_ref())
    }
}

impl PlainCache {
    pub(super) fn new(max: usize) -> PlainCache {
        let entries = Entries { max, newest_last: VecDeque::new(), loading: Vec::new() };
        PlainCache { shared: Arc::new(Mutex::new(entries)) }
    }

    pub(super) fn insert(&self, key: CacheKey, bytes: Bytes) {
        let mut entries = self.shared.lock();
        entries.newest_last.retain(|(known, _)| *known != key);
        entries.newest_last.push_back((key, bytes));
        while entries.newest_last.len() > entries.max {
            entries.newest_last.pop_front();
        }
    }

    pub(super) fn get(&self, key: &CacheKey) -> Option<Bytes> {
        let entries = self.shared.lock();
        entries.newest_last.iter().find(|(known, _)| known == key).map(|(_, bytes)| bytes.clone())
    }

    /// Loads by `load`, on a task of its own, unless somebody does already.
    pub(super) async fn load(
        &self,
        key: CacheKey,
        load: impl Future<Output = anyhow::Result<Bytes>> + Send + 'static,
    ) -> Result<Bytes, foyer::Error> {
        let loading = {
            let mut entries = self.shared.lock();
            let known = entries.loading.iter().find(|(known, _)| *known == key);
            match known.map(|(_, loading)| loading.clone()) {
                Some(loading) => loading,
                None => {
                    let loading = self.clone().run(key, load).boxed().shared();
                    entries.loading.push((key, loading.clone()));
                    tokio::spawn(loading.clone());
                    loading
                }
            }
        };
        let failed = |error| {
            foyer::Error::new(foyer::ErrorKind::External, "load failed").with_source(LoadFailed(error))
        };
        loading.await.map_err(failed)
    }

    async fn run(
        self,
        key: CacheKey,
        load: impl Future<Output = anyhow::Result<Bytes>>,
    ) -> Result<Bytes, Arc<anyhow::Error>> {
        let loaded = load.await.map_err(Arc::new);
        self.shared.lock().loading.retain(|(known, _)| *known != key);
        if let Ok(bytes) = &loaded {
            self.insert(key, bytes.clone());
        }
        loaded
    }
}
