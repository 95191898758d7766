//! Reads segments: their footers are kept in memory, and the chunks that were decoded in the cache.
//!
//! ```text
//! chunks │ 0 1 2 3 │ 4 5 6 7 │ 8 …      asked for 0: 0 to 3 are read with one GET and decoded, 0 first
//!          ▲ ▲                          asked for 1: this reader goes on, so the next group is begun
//! ```
//!
//! Chunks are read in groups, and each is decoded once, however many ask for it meanwhile. Decoding is work for a
//! processor, so it is done in the background: those who produce, and those who read at the tail, do not feel it.
//!
//! Memory: a limited number of groups is on its way at once, for all readers together, each with a permit. Whoever waits
//! for a chunk that somebody else loads may hold permits meanwhile, so a load must never wait for one: it is begun with it.

use super::archived::SegmentRef;
use super::reader::ReadError;
use super::segment_file::SegmentFile;
use super::time_lookup::FoundOffset;
use crate::background::{Background, Turn};
use crate::cache::{Cache, CacheKey};
use crate::segment::{ChunkCodec, ChunkId, ChunkRows, DamagedSegment, FetchedRanges, Row, SegmentFooter};
use crate::store::ObjectStore;
use crate::types::{Offset, SessionId, Timestamp};
use crate::wire::batch::BatchHeader;
use bytes::Bytes;
use futures_util::future::join_all;
use std::cmp::Reverse;
use std::ops::Range;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use uuid::Uuid;

/// Reads segments. Clones share what is cached and the limits.
#[derive(Clone)]
pub(super) struct Segments {
    cache: Cache,
    store: ObjectStore,
    footers: foyer::Cache<Uuid, Arc<SegmentFooter>>,
    /// Groups of chunks that are read or decoded at once.
    groups: Arc<Semaphore>,
    /// Decodes chunks.
    decoding: Background,
}

/// The bytes of a group, and its place among those that are on their way.
struct Fetched {
    ranges: FetchedRanges,
    _permit: OwnedSemaphorePermit,
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
const GROUPS_MAX: usize = 16;
/// Groups that readers who only probably go on leave to those who wait.
const GROUPS_SPARED: usize = 4;
/// What the records of a group have about, in bytes.
const GROUP_BYTES: u64 = 6 * 1024 * 1024;
const GROUP_CHUNKS_MAX: u64 = 32;
/// Batches go out in the codec that they came in.
const CODEC: ChunkCodec = ChunkCodec::AsProduced;

impl std::fmt::Debug for Segments {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Segments").field("store", &self.store).finish_non_exhaustive()
    }
}

impl Segments {
    pub fn new(cache: Cache, store: ObjectStore) -> Segments {
        Segments::with_groups(cache, store, Arc::new(Semaphore::new(GROUPS_MAX)))
    }

    /// With a permit of `groups` for each group of chunks that is on its way.
    pub fn with_groups(cache: Cache, store: ObjectStore, groups: Arc<Semaphore>) -> Segments {
        let weigh = |_: &Uuid, footer: &Arc<SegmentFooter>| footer.memory();
        let footers = foyer::CacheBuilder::new(FOOTER_BYTES).with_shards(1).with_weighter(weigh).build();
        let decoding = Background::start("decode", Background::share_of_processors());
        Segments { cache, store, footers, groups, decoding }
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
            let look = move |rows: &ChunkRows| {
                (rows.first_at_or_after(timestamp, from).as_ref().map(FoundOffset::from), rows.offsets().end)
            };
            match self.look_into(&file, chunk, look).await? {
                (Some(found), _) => return Ok(Some(found)),
                (None, end) => from = end,
            }
        }
        Ok(None)
    }

    /// The first record from `from` on that has the latest timestamp of these.
    pub async fn latest_from(
        &self,
        wanted: &SegmentRef,
        from: Offset,
    ) -> Result<Option<FoundOffset>, ReadError> {
        let file = self.file(wanted).await?;
        let Some(first) = file.footer().chunk_of(from) else { return Ok(None) };
        let mut latest: Option<FoundOffset> = None;
        for chunk in (first.0..file.footer().chunks().end.0).map(ChunkId) {
            let look = move |rows: &ChunkRows| {
                let rows = rows.iter().filter(|row| row.offset >= from);
                // The first of equals, which `max_by_key` alone would not return.
                rows.min_by_key(|row| (Reverse(row.timestamp), row.offset)).as_ref().map(FoundOffset::from)
            };
            latest = match (latest, self.look_into(&file, chunk, look).await?) {
                (Some(before), Some(found)) if found.timestamp > before.timestamp => Some(found),
                (before, found) => before.or(found),
            };
        }
        Ok(latest)
    }

    /// What `look` sees in the rows of one chunk, which are not kept.
    async fn look_into<T: Send + 'static>(
        &self,
        file: &SegmentFile,
        chunk: ChunkId,
        look: impl FnOnce(&ChunkRows) -> T + Send + 'static,
    ) -> Result<T, ReadError> {
        let permit = self.permit().await;
        let fetched = file.fetch(chunk..ChunkId(chunk.0 + 1)).await?;
        let work = move |footer: &SegmentFooter| {
            let _permit = permit;
            Ok(look(&footer.decode_rows(chunk, &fetched)?))
        };
        self.decode(self.decoding.turn().await, file, work).await
    }

    /// The chunk from the cache, or from the store, and then those behind it too.
    async fn chunk(&self, file: &SegmentFile, chunk: ChunkId) -> Result<SegmentRead, ReadError> {
        let path = &file.wanted().path;
        let damaged = || ReadError::Damaged(format!("{path}: there is no chunk {}", chunk.0));
        let offsets = file.footer().chunk_offsets(chunk).ok_or_else(damaged)?;
        let key = key_of(file, chunk, &offsets);
        let batches = match self.cache.get(&key) {
            Some(batches) => batches,
            None => {
                let permit = self.permit().await;
                let (loader, wanted) = (self.clone(), file.clone());
                let load = move || async move { loader.load(&wanted, chunk, permit).await };
                let loaded = self.cache.get_or_load(key, load).await;
                loaded.map_err(|error| super::reader::cause_of(&error))?
            }
        };
        // A cache may mistake one entry for another: it never says so, hence a look at what came.
        let is_it = BatchHeader::decode(&batches).is_ok_and(|header| header.base_offset == offsets.start);
        let batches = if is_it { batches } else { self.load(file, chunk, self.permit().await).await? };
        self.read_ahead(file, chunk);
        Ok(SegmentRead { batches, end: offsets.end })
    }

    /// Reads the rest of the chunk's group with it. Those behind it are decoded for readers who find them in the cache.
    async fn load(
        &self,
        file: &SegmentFile,
        chunk: ChunkId,
        permit: OwnedSemaphorePermit,
    ) -> Result<Bytes, ReadError> {
        let end = ChunkId(group_of(file, chunk).end);
        let fetched = Arc::new(Fetched { ranges: file.fetch(chunk..end).await?, _permit: permit });
        let turn = self.decoding.turn().await;
        let (ahead, behind, rest) = (self.clone(), file.clone(), Arc::clone(&fetched));
        tokio::spawn(async move { ahead.decode_ahead(&behind, chunk.0 + 1..end.0, rest).await });
        self.decode_batches(turn, file, chunk, fetched).await
    }

    /// Decodes what was read with a chunk. Who asks for one meanwhile waits for it.
    async fn decode_ahead(&self, file: &SegmentFile, chunks: Range<u32>, fetched: Arc<Fetched>) {
        let decoding = chunks.map(ChunkId).filter_map(|chunk| {
            let key = key_of(file, chunk, &file.footer().chunk_offsets(chunk)?);
            let (decoder, file, fetched) = (self.clone(), file.clone(), Arc::clone(&fetched));
            let decode = move || async move {
                let turn = decoder.decoding.turn().await;
                decoder.decode_batches(turn, &file, chunk, fetched).await
            };
            (!self.cache.holds(&key)).then(|| self.cache.get_or_load(key, decode))
        });
        // Whoever asks for a chunk that could not be decoded is told why.
        join_all(decoding).await;
    }

    /// Begins the next group, if the reader of this chunk seems to go on, and if there is room.
    fn read_ahead(&self, file: &SegmentFile, chunk: ChunkId) {
        let group = group_of(file, chunk);
        let is_second = chunk.0 == (group.start + 1).min(group.end - 1);
        let next = ChunkId(group.end);
        let Some(offsets) = file.footer().chunk_offsets(next).filter(|_| is_second) else { return };
        let key = key_of(file, next, &offsets);
        if self.groups.available_permits() <= GROUPS_SPARED || self.cache.holds(&key) {
            return;
        }
        let Ok(permit) = Arc::clone(&self.groups).try_acquire_owned() else { return };
        let (loader, file) = (self.clone(), file.clone());
        tokio::spawn(async move {
            let cache = loader.cache.clone();
            let load = move || async move { loader.load(&file, next, permit).await };
            // Whoever asks for it is told why it could not be read.
            let _read = cache.get_or_load(key, load).await;
        });
    }

    /// The file with its footer, which is read once.
    async fn file(&self, wanted: &SegmentRef) -> Result<SegmentFile, ReadError> {
        let unique = wanted.segment.unique;
        if let Some(footer) = self.footers.get(&unique) {
            return Ok(SegmentFile::with_footer(&self.store, wanted, Arc::clone(footer.value())));
        }
        let _permit = self.permit().await;
        let file = SegmentFile::open(&self.store, wanted).await?;
        self.footers.insert(unique, Arc::clone(file.footer()));
        Ok(file)
    }

    /// Room for a group.
    async fn permit(&self) -> OwnedSemaphorePermit {
        Arc::clone(&self.groups).acquire_owned().await.expect("the semaphore is never closed")
    }

    async fn decode_batches(
        &self,
        turn: Turn,
        file: &SegmentFile,
        chunk: ChunkId,
        fetched: Arc<Fetched>,
    ) -> Result<Bytes, ReadError> {
        let decode = move |footer: &SegmentFooter| footer.decode_chunk(chunk, &fetched.ranges, CODEC);
        Ok(self.decode(turn, file, decode).await?.batches)
    }

    /// Work for a processor, in its turn.
    async fn decode<T: Send + 'static>(
        &self,
        turn: Turn,
        file: &SegmentFile,
        work: impl FnOnce(&SegmentFooter) -> Result<T, DamagedSegment> + Send + 'static,
    ) -> Result<T, ReadError> {
        let footer = Arc::clone(file.footer());
        let decoded = turn.run(move || work(&footer)).await;
        let decoded = decoded.map_err(|error| ReadError::Unavailable(error.to_string()))?;
        Ok(decoded.map_err(|fault| file.damaged(fault))?)
    }
}

impl From<&Row<'_>> for FoundOffset {
    fn from(row: &Row<'_>) -> FoundOffset {
        FoundOffset { offset: row.offset, timestamp: row.timestamp, leader_epoch: row.leader_epoch }
    }
}

/// The chunks of the group that a chunk is in.
fn group_of(file: &SegmentFile, chunk: ChunkId) -> Range<u32> {
    let chunks = file.footer().chunks();
    let count = u64::from(chunks.end.0).max(1);
    let bytes_each = (file.wanted().segment.raw_bytes / count).max(1);
    let size = u32::try_from((GROUP_BYTES / bytes_each).clamp(1, GROUP_CHUNKS_MAX)).expect("clamped");
    let start = chunk.0 - chunk.0 % size;
    start..start.saturating_add(size).min(chunks.end.0)
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
