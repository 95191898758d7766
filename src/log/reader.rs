//! Reads what a plan says: from the cache, or by a ranged GET that fills it.
//!
//! What comes from the store is checked before anything sees it: the batches follow each other from the first
//! offset of the span to its last, carry its epoch, end where it ends, and match their CRCs. Bytes go out as
//! they are.

use super::index::IndexEntry;
use super::partition::Partition;
use super::read_plan::{IsolationLevel, ReadPlan};
use super::segments::{SegmentRead, Segments};
use super::stability::AbortedTransaction;
use crate::cache::{Cache, CacheKey};
use crate::segment::gap_batch;
use crate::store::{ObjectStore, StoreError};
use crate::types::{LeaderEpoch, Offset};
use crate::wire::batch::BatchHeader;
use bytes::Bytes;
use futures_util::future::join_all;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::Instant;

/// Reads spans. Clones share the cache and the limit on reads of the store.
#[derive(Clone, Debug)]
pub struct Reader {
    pub(super) cache: Cache,
    pub(super) store: ObjectStore,
    /// Reads of the store at once: what is far behind must not starve what is at the tail.
    pub(super) store_reads: Arc<Semaphore>,
    read_aheads: Arc<Semaphore>,
    pub(super) segments: Segments,
    /// When it was last said that bytes are gone or damaged.
    told: Arc<Mutex<Option<Instant>>>,
}

/// Whole batches, in the order of their offsets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PartitionRead {
    /// The bytes, as they came in.
    pub batches: Vec<Bytes>,
    /// How many.
    pub bytes: u64,
    /// Where the last of them ends.
    pub end: Offset,
    /// Where the span begins in which the reader will go on.
    pub next_span: Offset,
    /// The transactions that a reader of committed records leaves out of them. Segments have nothing of aborted ones.
    pub aborted: Vec<AbortedTransaction>,
}

/// How much was taken of a chunk.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Taken {
    Whole,
    Part,
}

impl PartitionRead {
    /// Adds what `limit` has room for of a chunk, from the batch on that has the offset where this ends.
    fn take_chunk(&mut self, chunk: SegmentRead, limit: ReadLimit) -> Result<Taken, ReadError> {
        let skipped = position_of(&chunk.batches, self.end)?;
        let rest = chunk.batches.slice(skipped..);
        let bounds = Bounds {
            end: chunk.end,
            bytes_max: limit.bytes_max.saturating_sub(self.bytes),
            must_take_one: self.bytes == 0 && limit.first_batch == FirstBatch::WhateverItsSize,
        };
        let (taken, end) = whole_batches(&rest, chunk.end, &bounds)?;
        if taken > 0 {
            self.bytes += taken as u64;
            (self.end, self.next_span) = (end, end);
            self.batches.push(rest.slice(..taken));
        }
        Ok(if taken < rest.len() { Taken::Part } else { Taken::Whole })
    }
}

/// Why bytes that the index names cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The store did not answer in time; it may later.
    #[error("the object store does not answer: {0}")]
    Unavailable(String),
    /// An object is not there. It may have been replaced since it was named; if it is still named, someone must look.
    #[error("committed bytes are missing: {0}")]
    Missing(String),
    /// The store has other bytes than were committed: someone must look.
    #[error("committed bytes are damaged: {0}")]
    Damaged(String),
}

impl From<StoreError> for ReadError {
    fn from(error: StoreError) -> ReadError {
        match error {
            StoreError::Unavailable { .. } => ReadError::Unavailable(error.to_string()),
            StoreError::Missing { .. } => ReadError::Missing(error.to_string()),
            StoreError::Refused { .. } => ReadError::Damaged(error.to_string()),
        }
    }
}

/// A reader of segments gets chunks until they have this many bytes: those of small records would be an answer each.
const CHUNKS_BYTES: u64 = 1024 * 1024;
const STORE_READS_MAX: usize = 32;
/// Readers for whom the next spans are read while they take in the last ones.
const READ_AHEADS_MAX: usize = 16;
const READ_AHEAD_BYTES: u64 = 1024 * 1024;
/// A reader waits this long for one span, and for all that it reads of segments; clients ask again. Far less than what is
/// replaced is kept for.
pub(super) const READ_TIMEOUT: Duration = Duration::from_secs(15);
const TELL_EVERY: Duration = Duration::from_secs(1);

impl Reader {
    /// Where what is read lies.
    #[must_use]
    pub fn store(&self) -> &ObjectStore {
        &self.store
    }

    /// A reader of `store` through `cache`.
    #[must_use]
    pub fn new(cache: Cache, store: ObjectStore) -> Reader {
        Reader {
            segments: Segments::new(cache.clone(), store.clone()),
            cache,
            store,
            store_reads: Arc::new(Semaphore::new(STORE_READS_MAX)),
            read_aheads: Arc::new(Semaphore::new(READ_AHEADS_MAX)),
            told: Arc::default(),
        }
    }

    /// The cache it reads through.
    #[must_use]
    pub fn cache(&self) -> &Cache {
        &self.cache
    }

    /// As [`Reader::read`], of this partition. If an object is not there that the plan names, what it had may lie elsewhere
    /// since: then the partition is asked once more. None: the log does not have the plan's first offset any more.
    pub async fn read_or_plan_again(
        &self,
        partition: &Partition,
        isolation: IsolationLevel,
        plan: &ReadPlan,
        limit: ReadLimit,
    ) -> Result<Option<PartitionRead>, ReadError> {
        match self.read(plan, limit).await {
            Err(ReadError::Missing(why)) => tracing::debug!(why, "a read is planned again"),
            read => return read.inspect_err(|error| self.tell(error)).map(Some),
        }
        // Within what the first plan has memory for.
        let limit = ReadLimit { bytes_max: limit.bytes_max.min(plan.bytes), ..limit };
        let Ok(mut again) = partition.read_plan(plan.from, isolation, limit.bytes_max) else {
            return Ok(None);
        };
        again.trim(limit);
        self.read(&again, limit).await.inspect_err(|error| self.tell(error)).map(Some)
    }

    /// Says that someone must look, once a second at most: those who want to read it come again and again.
    fn tell(&self, error: &ReadError) {
        if matches!(error, ReadError::Unavailable(_)) {
            return;
        }
        let now = Instant::now();
        let mut told = self.told.lock();
        if told.is_none_or(|told| now.duration_since(told) >= TELL_EVERY) {
            *told = Some(now);
            tracing::error!(%error, "a read failed, and will again: stop the broker and run cenote fsck");
        }
    }

    /// The batches of the plan, from the one that holds its first offset up to its end, within `limit`.
    pub async fn read(&self, plan: &ReadPlan, limit: ReadLimit) -> Result<PartitionRead, ReadError> {
        if limit.bytes_max == 0 && limit.first_batch == FirstBatch::WithinLimit {
            return Ok(PartitionRead { end: plan.from, next_span: plan.from, ..PartitionRead::default() });
        }
        if plan.from < plan.archived_to {
            let reading = tokio::time::timeout(READ_TIMEOUT, self.read_segments(plan, limit));
            if let Some(read) = reading.await.unwrap_or_else(|_elapsed| Err(too_late()))? {
                return Ok(read);
            }
        }
        self.read_spans(plan, limit).await
    }

    /// Chunks of the first segment that has a row from `plan.from` on, of which maybe nothing fits; or a batch
    /// without records that leads behind all of them, if nothing follows in the journal. None: no segment has a row, so
    /// the reader goes on in the journal.
    async fn read_segments(
        &self,
        plan: &ReadPlan,
        limit: ReadLimit,
    ) -> Result<Option<PartitionRead>, ReadError> {
        for wanted in &plan.segments {
            let Some(found) = self.segments.read(wanted, plan.from).await? else { continue };
            let mut read = PartitionRead { end: plan.from, next_span: plan.from, ..PartitionRead::default() };
            let mut taken = read.take_chunk(found, limit)?;
            while taken == Taken::Whole && read.bytes < limit.bytes_max.min(CHUNKS_BYTES) {
                taken = match self.segments.read(wanted, read.end).await {
                    Ok(Some(next)) => read.take_chunk(next, limit)?,
                    // What comes before it is good, and the reader will ask for the rest.
                    Ok(None) | Err(_) => break,
                };
            }
            return Ok(Some(read));
        }
        if !plan.spans.is_empty() {
            return Ok(None);
        }
        let epoch = plan.segments.last().map_or(LeaderEpoch(0), |last| last.segment.leader_epoch);
        let batch = gap_batch(&(plan.from..plan.archived_to), epoch);
        let (bytes, end) = (batch.len() as u64, plan.archived_to);
        Ok(Some(PartitionRead {
            batches: vec![batch],
            bytes,
            end,
            next_span: end,
            ..PartitionRead::default()
        }))
    }

    async fn read_spans(&self, plan: &ReadPlan, limit: ReadLimit) -> Result<PartitionRead, ReadError> {
        let spans = join_all(plan.spans.iter().map(|span| self.span(span))).await;
        let mut read = PartitionRead { end: plan.from, ..PartitionRead::default() };
        // A span may begin below: what it has there is archived, without what was aborted, and segments have no row of it.
        let from = plan.from.max(plan.archived_to);
        for (entry, span) in plan.spans.iter().zip(spans) {
            let span = match span {
                // What comes before it is good, and the reader will ask for the rest.
                Err(_) if read.bytes > 0 => break,
                span => span?,
            };
            let skipped = if entry.offsets.start < from { position_of(&span, from)? } else { 0 };
            let rest = span.slice(skipped..);
            let bounds = Bounds {
                end: plan.end,
                bytes_max: limit.bytes_max.saturating_sub(read.bytes),
                must_take_one: read.bytes == 0 && limit.first_batch == FirstBatch::WhateverItsSize,
            };
            let (taken, end) = whole_batches(&rest, entry.offsets.end, &bounds)?;
            if taken > 0 {
                read.bytes += taken as u64;
                read.end = end;
                read.batches.push(rest.slice(..taken));
            }
            if taken < rest.len() {
                read.next_span = entry.offsets.start;
                break;
            }
            read.next_span = entry.offsets.end;
        }
        let concerned = plan.aborted.iter().filter(|aborted| aborted.first_offset < read.end);
        read.aborted = concerned.copied().collect();
        Ok(read)
    }

    /// Brings the spans that a reader will ask for next into the cache, beside its answer. Readers at the tail
    /// find theirs there already, and nothing is done.
    pub fn read_ahead(&self, partition: &Partition, from: Offset) {
        let plan = partition.read_plan(from, IsolationLevel::ReadUncommitted, READ_AHEAD_BYTES);
        let Ok(plan) = plan else { return };
        let is_missing = |entry: &IndexEntry| !self.cache.holds(&key_of(entry));
        let missing: Vec<IndexEntry> = plan.spans.into_iter().filter(is_missing).collect();
        if missing.is_empty() {
            return;
        }
        let Ok(permit) = Arc::clone(&self.read_aheads).try_acquire_owned() else { return };
        let reader = self.clone();
        tokio::spawn(async move {
            // Whoever asks for a span that could not be read will be told why.
            let _read = join_all(missing.iter().map(|span| reader.span(span))).await;
            drop(permit);
        });
    }

    /// All bytes of one span.
    pub async fn span(&self, entry: &IndexEntry) -> Result<Bytes, ReadError> {
        let key = key_of(entry);
        let (reader, wanted) = (self.clone(), entry.clone());
        let load = move || async move { reader.load(&wanted).await };
        let loading = self.cache.get_or_load(key, load);
        let span = match tokio::time::timeout(READ_TIMEOUT, loading).await {
            Ok(Ok(span)) => span,
            Ok(Err(error)) => return Err(cause_of(&error)),
            Err(_elapsed) => return Err(too_late()),
        };
        // A cache may mistake one entry for another: it never says so, hence a look at what came.
        let is_it = span.len() as u64 == entry.size()
            && BatchHeader::decode(&span).is_ok_and(|header| header.base_offset == entry.offsets.start);
        if is_it { Ok(span) } else { self.load(entry).await }
    }

    async fn load(&self, entry: &IndexEntry) -> Result<Bytes, ReadError> {
        let _permit = self.store_reads.acquire().await.expect("the semaphore is never closed");
        let path = entry.object.path();
        let bytes = self.store.get_range(&path, entry.byte_range.clone()).await?;
        if let Err(why) = verify(entry, &bytes) {
            tracing::error!(object = %entry.object, range = ?entry.byte_range, why, "committed bytes are damaged");
            return Err(ReadError::Damaged(format!("{path}: {why}")));
        }
        Ok(bytes)
    }
}

fn too_late() -> ReadError {
    ReadError::Unavailable(format!("no answer within {READ_TIMEOUT:?}"))
}

pub(super) fn key_of(entry: &IndexEntry) -> CacheKey {
    CacheKey::new(entry.object.session, entry.object.as_u64(), &entry.byte_range)
}

/// How much to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadLimit {
    /// At most this many bytes.
    pub bytes_max: u64,
    /// What of a first batch that is larger.
    pub first_batch: FirstBatch,
}

/// Whether the first batch may be larger than the limit, so that a reader always gets on (KIP-74).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirstBatch {
    /// It is read in any case.
    WhateverItsSize,
    /// Nothing is read then.
    WithinLimit,
}

pub(super) fn cause_of(error: &foyer::Error) -> ReadError {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(read_error) = error.downcast_ref::<ReadError>() {
            return read_error.clone();
        }
        cause = error.source();
    }
    ReadError::Unavailable(error.to_string())
}

/// Checks the bytes of a span against what the index says of it.
pub(super) fn verify(entry: &IndexEntry, bytes: &[u8]) -> Result<(), &'static str> {
    let (mut position, mut next) = (0, entry.offsets.start);
    while position < bytes.len() {
        let header = BatchHeader::decode(&bytes[position..]).map_err(|_| "a batch header cannot be read")?;
        let end = position + header.total_bytes();
        let batch = bytes.get(position..end).ok_or("a batch is cut short")?;
        if header.base_offset != next || header.partition_leader_epoch != entry.leader_epoch {
            return Err("a batch has another offset or epoch than was committed");
        }
        if !header.crc_matches(batch) {
            return Err("a batch does not match its CRC");
        }
        next = header.offsets().end;
        position = end;
    }
    if next == entry.offsets.end { Ok(()) } else { Err("batches are missing") }
}

/// Where the batch that holds `offset` begins.
fn position_of(span: &[u8], offset: Offset) -> Result<usize, ReadError> {
    let mut position = 0;
    while position < span.len() {
        let header = header_at(span, position)?;
        if header.offsets().end > offset {
            break;
        }
        position += header.total_bytes();
    }
    Ok(position)
}

/// Which batches of a span are wanted.
struct Bounds {
    /// None from this offset on.
    end: Offset,
    bytes_max: u64,
    must_take_one: bool,
}

/// The bytes of the whole batches at the beginning of `span` that are within the bounds, and where the last of
/// them ends. `span_end` is where the span ends.
fn whole_batches(span: &[u8], span_end: Offset, bounds: &Bounds) -> Result<(usize, Offset), ReadError> {
    if span.len() as u64 <= bounds.bytes_max && span_end <= bounds.end {
        return Ok((span.len(), span_end));
    }
    let (mut taken, mut taken_end) = (0, Offset::ZERO);
    while taken < span.len() {
        let header = header_at(span, taken)?;
        let end = taken + header.total_bytes();
        let fits = end as u64 <= bounds.bytes_max || (taken == 0 && bounds.must_take_one);
        if !fits || header.base_offset >= bounds.end {
            break;
        }
        (taken, taken_end) = (end, header.offsets().end);
    }
    Ok((taken, taken_end))
}

pub(super) fn header_at(span: &[u8], position: usize) -> Result<BatchHeader, ReadError> {
    let damaged = |why: &str| ReadError::Damaged(why.to_owned());
    let header =
        BatchHeader::decode(&span[position..]).map_err(|_| damaged("a batch header cannot be read"))?;
    if position + header.total_bytes() > span.len() {
        return Err(damaged("a batch is cut short"));
    }
    Ok(header)
}
