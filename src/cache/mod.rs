//! Bytes of immutable objects, by (object, byte range): in memory, then on the local disk, by foyer.
//!
//! What is cached never changes, so a key is never updated and never removed: entries leave by age alone.
//! The cache may be deleted at any time; losing it costs time. Never: it decides nothing, and reads no store.

#[cfg(feature = "simulation")]
mod plain;

use crate::config::CacheConfig;
use crate::metrics::Metrics;
use crate::types::SessionId;
use bytes::{Buf, BufMut, Bytes};
use foyer::{
    BlockEngineConfig, Code, DeviceBuilder, FifoConfig, FsDeviceBuilder, HybridCache, HybridCacheBuilder,
    RecoverMode,
};
use std::io::{Read, Write};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use uuid::Uuid;

/// Which bytes: a range of one journal object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CacheKey {
    /// The session that cut the object.
    pub session: SessionId,
    /// The object's number.
    pub seq: u64,
    /// First byte.
    pub start: u64,
    /// First byte after.
    pub end: u64,
}

impl CacheKey {
    /// Bytes `byte_range` of object `seq` of `session`.
    #[must_use]
    pub fn new(session: SessionId, seq: u64, byte_range: &Range<u64>) -> CacheKey {
        CacheKey { session, seq, start: byte_range.start, end: byte_range.end }
    }
}

const KEY_BYTES: usize = 40;

impl Code for CacheKey {
    fn encode(&self, writer: &mut impl Write) -> foyer::Result<()> {
        let mut key = [0_u8; KEY_BYTES];
        let mut out = &mut key[..];
        out.put_slice(self.session.0.as_bytes());
        out.put_u64(self.seq);
        out.put_u64(self.start);
        out.put_u64(self.end);
        writer.write_all(&key).map_err(foyer::Error::io_error)
    }

    fn decode(reader: &mut impl Read) -> foyer::Result<CacheKey> {
        let mut key = [0_u8; KEY_BYTES];
        reader.read_exact(&mut key).map_err(foyer::Error::io_error)?;
        let mut rest = &key[16..];
        let session = Uuid::from_bytes(key[..16].try_into().expect("sixteen bytes"));
        Ok(CacheKey {
            session: SessionId(session),
            seq: rest.get_u64(),
            start: rest.get_u64(),
            end: rest.get_u64(),
        })
    }

    fn estimated_size(&self) -> usize {
        KEY_BYTES
    }
}

/// The cache of a broker. Clones are the same cache.
#[derive(Clone)]
pub struct Cache {
    inner: Inner,
    metrics: Arc<Metrics>,
}

#[derive(Clone)]
enum Inner {
    Foyer(HybridCache<CacheKey, Bytes>),
    /// foyer has threads and a clock of its own, which no simulation can have.
    #[cfg(feature = "simulation")]
    Plain(plain::PlainCache),
}

impl std::fmt::Debug for Cache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cache").finish_non_exhaustive()
    }
}

/// The cache could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("the cache in {directory} cannot be opened: {why}")]
pub struct CacheError {
    directory: String,
    why: String,
}

/// Entries are spread over this many locks. Each shard has its share of the memory, so there are few.
const SHARDS: usize = 4;
/// The disk is written in blocks of this size; a span with its header fits several times.
const BLOCK_BYTES: usize = 16 * 1024 * 1024;

impl Cache {
    /// Opens the cache; its disk part, if it has one, lies in `directory`.
    pub async fn open(
        config: CacheConfig,
        directory: &Path,
        metrics: Arc<Metrics>,
    ) -> Result<Cache, CacheError> {
        let failed = |why: String| CacheError { directory: directory.display().to_string(), why };
        let weigh = |_: &CacheKey, value: &Bytes| value.len() + ENTRY_BYTES;
        // First in, first out: the spans of one object share its memory, and leave together.
        let memory = HybridCacheBuilder::new()
            .with_name("spans")
            .memory(config.memory_bytes)
            .with_shards(SHARDS)
            .with_eviction_config(FifoConfig::default())
            .with_weighter(weigh);
        let inner = if config.disk_bytes == 0 {
            memory.storage().build().await
        } else {
            let device = FsDeviceBuilder::new(directory).with_capacity(config.disk_bytes);
            let device = device.build().map_err(|error| failed(error.to_string()))?;
            let engine = BlockEngineConfig::new(device).with_block_size(BLOCK_BYTES);
            memory.storage().with_engine_config(engine).with_recover_mode(RecoverMode::Quiet).build().await
        };
        let inner = inner.map_err(|error| failed(error.to_string()))?;
        Ok(Cache { inner: Inner::Foyer(inner), metrics })
    }

    /// A cache of a simulation: a map of the newest `entries_max`.
    #[cfg(feature = "simulation")]
    #[must_use]
    pub fn simulated(entries_max: usize, metrics: Arc<Metrics>) -> Cache {
        Cache { inner: Inner::Plain(plain::PlainCache::new(entries_max)), metrics }
    }

    /// Puts fresh bytes in.
    pub fn insert(&self, key: CacheKey, bytes: Bytes) {
        match &self.inner {
            Inner::Foyer(foyer) => drop(foyer.insert(key, bytes)),
            #[cfg(feature = "simulation")]
            Inner::Plain(plain) => plain.insert(key, bytes),
        }
    }

    /// Puts bytes in that were read from the store with others.
    pub fn insert_read(&self, key: CacheKey, bytes: Bytes) {
        self.metrics.cache.misses.inc();
        self.metrics.cache.store_bytes.inc_by(bytes.len() as u64);
        self.insert(key, bytes);
    }

    /// Whether the bytes are probably at hand, in memory or on the disk.
    #[must_use]
    pub fn may_hold(&self, key: &CacheKey) -> bool {
        match &self.inner {
            Inner::Foyer(foyer) => foyer.contains(key),
            #[cfg(feature = "simulation")]
            Inner::Plain(plain) => plain.get(key).is_some(),
        }
    }

    /// Whether the bytes are at hand in memory.
    #[must_use]
    pub fn holds(&self, key: &CacheKey) -> bool {
        match &self.inner {
            Inner::Foyer(foyer) => foyer.memory().contains(key),
            #[cfg(feature = "simulation")]
            Inner::Plain(plain) => plain.get(key).is_some(),
        }
    }

    /// The bytes, if they are at hand in memory.
    #[must_use]
    pub fn get(&self, key: &CacheKey) -> Option<Bytes> {
        let bytes = match &self.inner {
            Inner::Foyer(foyer) => foyer.memory().get(key)?.value().clone(),
            #[cfg(feature = "simulation")]
            Inner::Plain(plain) => plain.get(key)?,
        };
        self.metrics.cache.hits.inc();
        Some(bytes)
    }

    /// The bytes, from memory, from disk, or by `load`, which runs once for all who ask at the same time. A `load` that
    /// does not run is kept until the one that does has ended: what it holds must not be what that one waits for.
    pub async fn get_or_load<F, Fut, E>(&self, key: CacheKey, load: F) -> Result<Bytes, foyer::Error>
    where
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future<Output = Result<Bytes, E>> + Send + 'static,
        E: std::error::Error + Send + Sync + 'static,
    {
        if let Some(bytes) = self.get(&key) {
            return Ok(bytes);
        }
        let metrics = Arc::clone(&self.metrics);
        let load = || async move {
            metrics.cache.misses.inc();
            let loaded = load().await.map_err(anyhow::Error::new)?;
            metrics.cache.store_bytes.inc_by(loaded.len() as u64);
            anyhow::Ok(loaded)
        };
        match &self.inner {
            Inner::Foyer(foyer) => Ok(foyer.get_or_fetch(&key, load).await?.value().clone()),
            #[cfg(feature = "simulation")]
            Inner::Plain(plain) => plain.load(key, load()).await,
        }
    }

    /// Writes what is still on its way to the disk.
    pub async fn close(&self) {
        match &self.inner {
            Inner::Foyer(foyer) => {
                if let Err(error) = foyer.close().await {
                    tracing::warn!(%error, "the cache was not closed cleanly");
                }
            }
            #[cfg(feature = "simulation")]
            Inner::Plain(_) => {}
        }
    }
}

/// What an entry costs besides its bytes.
const ENTRY_BYTES: usize = 160;

#[cfg(test)]
mod tests;
