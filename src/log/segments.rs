//! Reads segments: their footers are kept in memory, and the chunks that were decoded in the cache.
//!
//! A chunk is read together with the next ones, which a reader that goes on will ask for. Decoding is work for a
//! processor, so it has threads of its own, few enough that those who read at the tail do not feel it.

use super::archived::SegmentRef;
use super::reader::ReadError;
use super::time_lookup::FoundOffset;
use crate::cache::{Cache, CacheKey};
use crate::segment::{Chunk, ChunkCodec, ChunkId, FetchedRanges, LoadError, ReadAt, SegmentFooter};
use crate::store::{ObjectPath, ObjectStore, StoreError};
use crate::types::{Offset, SessionId, Timestamp};
use crate::wire::batch::BatchHeader;
use bytes::Bytes;
use std::ops::Range;
use std::sync::Arc;
use tokio::sync::Semaphore;
use uuid::Uuid;

/// Reads segments. Clones share what is cached and the limits.
#[derive(Clone)]
pub(super) struct Segments {
    cache: Cache,
    store: ObjectStore,
    footers: foyer::Cache<Uuid, Arc<SegmentFooter>>,
    /// Reads of the store at once.
    reads: Arc<Semaphore>,
    /// Chunks that are decoded at once.
    decoding: Arc<Semaphore>,
}

/// What readers get of a segment.
#[derive(Clone, Debug)]
pub(super) struct SegmentRead {
    /// Whole batches.
    pub batches: Bytes,
    /// Where the last of them ends.
    pub end: Offset,
}

/// Memory for footers, in bytes.
const FOOTER_BYTES: usize = 64 * 1024 * 1024;
const READS_MAX: usize = 16;
/// Chunks that are read together.
const CHUNKS_AT_ONCE: u32 = 4;
/// Ranges of a file closer than this are read as one.
const GAP_BYTES_MAX: u64 = 64 * 1024;
/// Batches go out in the codec that they came in.
const CODEC: ChunkCodec = ChunkCodec::AsProduced;

impl std::fmt::Debug for Segments {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Segments").field("store", &self.store).finish_non_exhaustive()
    }
}

impl Segments {
    pub fn new(cache: Cache, store: ObjectStore) -> Segments {
        let weigh = |_: &Uuid, footer: &Arc<SegmentFooter>| footer.memory();
        let footers = foyer::CacheBuilder::new(FOOTER_BYTES).with_shards(1).with_weighter(weigh).build();
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        Segments {
            cache,
            store,
            footers,
            reads: Arc::new(Semaphore::new(READS_MAX)),
            decoding: Arc::new(Semaphore::new(threads.div_ceil(2))),
        }
    }

    /// The chunk that answers a reader at `from`; nothing, if the segment has no row from there on.
    pub async fn read(&self, wanted: &SegmentRef, from: Offset) -> Result<Option<SegmentRead>, ReadError> {
        let footer = self.footer(wanted).await?;
        let Some(chunk) = footer.chunk_of(from) else { return Ok(None) };
        let read = self.chunk(wanted, &footer, chunk).await?;
        Ok(Some(read))
    }

    /// The first record at or after `from` that is not before `timestamp`.
    pub async fn first_at_or_after(
        &self,
        wanted: &SegmentRef,
        timestamp: Timestamp,
        from: Offset,
    ) -> Result<Option<FoundOffset>, ReadError> {
        let footer = self.footer(wanted).await?;
        let mut from = from;
        while let Some(chunk) = footer.chunk_at_or_after(timestamp, from) {
            let fetched = self.fetch(wanted, &footer, chunk..ChunkId(chunk.0 + 1)).await?;
            let decoding = Arc::clone(&footer);
            let found = self
                .decode(move || {
                    let rows = decoding.decode_rows(chunk, &fetched)?;
                    let found = rows.first_at_or_after(timestamp, from).map(|row| FoundOffset {
                        offset: row.offset,
                        timestamp: row.timestamp,
                        leader_epoch: row.leader_epoch,
                    });
                    Ok((found, rows.offsets().end))
                })
                .await?;
            match found {
                (Some(found), _) => return Ok(Some(found)),
                (None, end) => from = end,
            }
        }
        Ok(None)
    }

    /// The chunk from the cache, or from the store, and then those behind it too.
    async fn chunk(
        &self,
        wanted: &SegmentRef,
        footer: &Arc<SegmentFooter>,
        chunk: ChunkId,
    ) -> Result<SegmentRead, ReadError> {
        let damaged = || ReadError::Damaged(format!("{}: there is no chunk {}", wanted.path, chunk.0));
        let offsets = footer.chunk_offsets(chunk).ok_or_else(damaged)?;
        let (loader, load_wanted, load_footer) = (self.clone(), wanted.clone(), Arc::clone(footer));
        let key = key_of(wanted, chunk, &offsets);
        let load = move || async move { loader.load(&load_wanted, &load_footer, chunk).await };
        let batches =
            self.cache.get_or_load(key, load).await.map_err(|error| super::reader::cause_of(&error))?;
        // A cache may mistake one entry for another: it never says so, hence a look at what came.
        let is_it = BatchHeader::decode(&batches).is_ok_and(|header| header.base_offset == offsets.start);
        let batches = if is_it { batches } else { self.load(wanted, footer, chunk).await? };
        Ok(SegmentRead { batches, end: offsets.end })
    }

    async fn load(
        &self,
        wanted: &SegmentRef,
        footer: &Arc<SegmentFooter>,
        chunk: ChunkId,
    ) -> Result<Bytes, ReadError> {
        let end = ChunkId((chunk.0 + CHUNKS_AT_ONCE).min(footer.chunks().end.0));
        let fetched = Arc::new(self.fetch(wanted, footer, chunk..end).await?);
        let (decoding, ranges) = (Arc::clone(footer), Arc::clone(&fetched));
        let batches = self.decode(move || decoding.decode_chunk(chunk, &ranges, CODEC).map(joined)).await?;
        if chunk.0 + 1 < end.0 {
            let (ahead, wanted, footer) = (self.clone(), wanted.clone(), Arc::clone(footer));
            tokio::spawn(
                async move { ahead.decode_ahead(&wanted, &footer, chunk.0 + 1..end.0, fetched).await },
            );
        }
        Ok(batches)
    }

    /// Decodes what was read with a chunk, for the reader to find it in the cache.
    async fn decode_ahead(
        &self,
        wanted: &SegmentRef,
        footer: &Arc<SegmentFooter>,
        chunks: Range<u32>,
        fetched: Arc<FetchedRanges>,
    ) {
        for chunk in chunks.map(ChunkId) {
            let Some(offsets) = footer.chunk_offsets(chunk) else { return };
            let key = key_of(wanted, chunk, &offsets);
            if self.cache.holds(&key) {
                continue;
            }
            let (decoding, ranges) = (Arc::clone(footer), Arc::clone(&fetched));
            let decoded = self.decode(move || decoding.decode_chunk(chunk, &ranges, CODEC).map(joined)).await;
            // Whoever asks for a chunk that could not be decoded will be told why.
            let Ok(batches) = decoded else { return };
            self.cache.insert(key, batches);
        }
    }

    async fn fetch(
        &self,
        wanted: &SegmentRef,
        footer: &SegmentFooter,
        chunks: Range<ChunkId>,
    ) -> Result<FetchedRanges, ReadError> {
        let _permit = self.reads.acquire().await.expect("the semaphore is never closed");
        let ranges = footer.chunk_ranges(chunks, GAP_BYTES_MAX);
        let reads = ranges.into_iter().map(async |range| {
            let bytes = self.store.get_range(&wanted.path, range.clone()).await?;
            Ok::<_, StoreError>((range, bytes))
        });
        let mut fetched = FetchedRanges::default();
        for (range, bytes) in futures_util::future::try_join_all(reads).await.map_err(of_store)? {
            fetched.push(range, bytes);
        }
        Ok(fetched)
    }

    async fn footer(&self, wanted: &SegmentRef) -> Result<Arc<SegmentFooter>, ReadError> {
        let unique = wanted.segment.unique;
        if let Some(footer) = self.footers.get(&unique) {
            return Ok(Arc::clone(footer.value()));
        }
        let _permit = self.reads.acquire().await.expect("the semaphore is never closed");
        let source = Source { store: &self.store, path: &wanted.path, bytes: wanted.segment.file_bytes };
        let footer = SegmentFooter::load(&source).await.map_err(|error| match error {
            LoadError::Read(error) => of_store(error),
            LoadError::Damaged(error) => ReadError::Damaged(format!("{}: {error}", wanted.path)),
        })?;
        let is_it =
            footer.topic_partition() == wanted.topic_partition && footer.offsets() == wanted.segment.offsets;
        if !is_it {
            return Err(ReadError::Damaged(format!("{}: it is another segment", wanted.path)));
        }
        let footer = Arc::new(footer);
        self.footers.insert(unique, Arc::clone(&footer));
        Ok(footer)
    }

    /// Work for a processor, on a thread where it may take its time.
    async fn decode<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, crate::segment::DamagedSegment> + Send + 'static,
    ) -> Result<T, ReadError> {
        let _permit = self.decoding.acquire().await.expect("the semaphore is never closed");
        let decoded = tokio::task::spawn_blocking(work).await;
        let decoded = decoded.map_err(|error| ReadError::Unavailable(error.to_string()))?;
        decoded.map_err(|error| ReadError::Damaged(error.to_string()))
    }
}

fn joined(chunk: Chunk) -> Bytes {
    match chunk.batches.as_slice() {
        [one] => one.clone(),
        batches => Bytes::from(batches.concat()),
    }
}

/// Chunks have keys like spans: an id that is never given twice, a number, and a range.
fn key_of(wanted: &SegmentRef, chunk: ChunkId, offsets: &Range<Offset>) -> CacheKey {
    let position = |offset: Offset| u64::try_from(offset.get()).unwrap_or(0);
    CacheKey {
        session: SessionId(wanted.segment.unique),
        seq: u64::from(chunk.0),
        start: position(offsets.start),
        end: position(offsets.end),
    }
}

fn of_store(error: StoreError) -> ReadError {
    match error {
        StoreError::Unavailable { .. } => ReadError::Unavailable(error.to_string()),
        StoreError::Missing { .. } | StoreError::Refused { .. } => ReadError::Damaged(error.to_string()),
    }
}

struct Source<'a> {
    store: &'a ObjectStore,
    path: &'a ObjectPath,
    bytes: u64,
}

impl ReadAt for Source<'_> {
    type Error = StoreError;

    fn size(&self) -> u64 {
        self.bytes
    }

    fn read(&self, range: Range<u64>) -> impl Future<Output = Result<Bytes, StoreError>> + Send {
        self.store.get_range(self.path, range)
    }
}
