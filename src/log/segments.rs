//! Reads segments: their footers are kept in memory, and the chunks that were decoded in the cache.
//!
//! A chunk is read together with the next ones, which a reader that goes on will ask for. Decoding is work for a
//! processor, so it has threads of its own, few enough that those who read at the tail do not feel it.

use super::archived::SegmentRef;
use super::reader::ReadError;
use super::segment_file::SegmentFile;
use super::time_lookup::FoundOffset;
use crate::cache::{Cache, CacheKey};
use crate::segment::{Chunk, ChunkCodec, ChunkId, DamagedSegment, FetchedRanges, SegmentFooter};
use crate::store::ObjectStore;
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
        let file = self.file(wanted).await?;
        let Some(chunk) = file.footer().chunk_of(from) else { return Ok(None) };
        let read = self.chunk(&file, chunk).await?;
        Ok(Some(read))
    }

    /// The first record at or after `from` that is not before `timestamp`.
    pub async fn first_at_or_after(
        &self,
        wanted: &SegmentRef,
        timestamp: Timestamp,
        from: Offset,
    ) -> Result<Option<FoundOffset>, ReadError> {
        let file = self.file(wanted).await?;
        let mut from = from;
        while let Some(chunk) = file.footer().chunk_at_or_after(timestamp, from) {
            let fetched = self.fetch(&file, chunk..ChunkId(chunk.0 + 1)).await?;
            let found = self
                .decode(&file, move |footer| {
                    let rows = footer.decode_rows(chunk, &fetched)?;
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
    async fn chunk(&self, file: &SegmentFile, chunk: ChunkId) -> Result<SegmentRead, ReadError> {
        let path = &file.wanted().path;
        let damaged = || ReadError::Damaged(format!("{path}: there is no chunk {}", chunk.0));
        let offsets = file.footer().chunk_offsets(chunk).ok_or_else(damaged)?;
        let (loader, wanted) = (self.clone(), file.clone());
        let load = move || async move { loader.load(&wanted, chunk).await };
        let batches = self.cache.get_or_load(key_of(file, chunk, &offsets), load).await;
        let batches = batches.map_err(|error| super::reader::cause_of(&error))?;
        // A cache may mistake one entry for another: it never says so, hence a look at what came.
        let is_it = BatchHeader::decode(&batches).is_ok_and(|header| header.base_offset == offsets.start);
        let batches = if is_it { batches } else { self.load(file, chunk).await? };
        Ok(SegmentRead { batches, end: offsets.end })
    }

    async fn load(&self, file: &SegmentFile, chunk: ChunkId) -> Result<Bytes, ReadError> {
        let end = ChunkId((chunk.0 + CHUNKS_AT_ONCE).min(file.footer().chunks().end.0));
        let fetched = Arc::new(self.fetch(file, chunk..end).await?);
        let batches = self.decode_batches(file, chunk, &fetched).await?;
        if chunk.0 + 1 < end.0 {
            let (ahead, file) = (self.clone(), file.clone());
            tokio::spawn(async move { ahead.decode_ahead(&file, chunk.0 + 1..end.0, fetched).await });
        }
        Ok(batches)
    }

    /// Decodes what was read with a chunk, for the reader to find it in the cache.
    async fn decode_ahead(&self, file: &SegmentFile, chunks: Range<u32>, fetched: Arc<FetchedRanges>) {
        for chunk in chunks.map(ChunkId) {
            let Some(offsets) = file.footer().chunk_offsets(chunk) else { return };
            let key = key_of(file, chunk, &offsets);
            if self.cache.holds(&key) {
                continue;
            }
            // Whoever asks for a chunk that could not be decoded will be told why.
            let Ok(batches) = self.decode_batches(file, chunk, &fetched).await else { return };
            self.cache.insert(key, batches);
        }
    }

    async fn fetch(&self, file: &SegmentFile, chunks: Range<ChunkId>) -> Result<FetchedRanges, ReadError> {
        let _permit = self.reads.acquire().await.expect("the semaphore is never closed");
        Ok(file.fetch(chunks).await?)
    }

    /// The file with its footer, which is read once.
    async fn file(&self, wanted: &SegmentRef) -> Result<SegmentFile, ReadError> {
        let unique = wanted.segment.unique;
        if let Some(footer) = self.footers.get(&unique) {
            return Ok(SegmentFile::with_footer(&self.store, wanted, Arc::clone(footer.value())));
        }
        let _permit = self.reads.acquire().await.expect("the semaphore is never closed");
        let file = SegmentFile::open(&self.store, wanted).await?;
        self.footers.insert(unique, Arc::clone(file.footer()));
        Ok(file)
    }

    async fn decode_batches(
        &self,
        file: &SegmentFile,
        chunk: ChunkId,
        fetched: &Arc<FetchedRanges>,
    ) -> Result<Bytes, ReadError> {
        let fetched = Arc::clone(fetched);
        self.decode(file, move |footer| footer.decode_chunk(chunk, &fetched, CODEC).map(joined)).await
    }

    /// Work for a processor, on a thread where it may take its time.
    async fn decode<T: Send + 'static>(
        &self,
        file: &SegmentFile,
        work: impl FnOnce(&SegmentFooter) -> Result<T, DamagedSegment> + Send + 'static,
    ) -> Result<T, ReadError> {
        let _permit = self.decoding.acquire().await.expect("the semaphore is never closed");
        let footer = Arc::clone(file.footer());
        let decoded = tokio::task::spawn_blocking(move || work(&footer)).await;
        let decoded = decoded.map_err(|error| ReadError::Unavailable(error.to_string()))?;
        Ok(decoded.map_err(|fault| file.damaged(fault))?)
    }
}

fn joined(chunk: Chunk) -> Bytes {
    match chunk.batches.as_slice() {
        [one] => one.clone(),
        batches => Bytes::from(batches.concat()),
    }
}

/// Chunks have keys like spans: an id that is never given twice, a number, and a range.
fn key_of(file: &SegmentFile, chunk: ChunkId, offsets: &Range<Offset>) -> CacheKey {
    let position = |offset: Offset| u64::try_from(offset.get()).unwrap_or(0);
    CacheKey {
        session: SessionId(file.wanted().segment.unique),
        seq: u64::from(chunk.0),
        start: position(offsets.start),
        end: position(offsets.end),
    }
}
