//! Reads of many spans of an object at once, as partitions lie side by side in it: for those who copy what it has, and for those
//! who serve many partitions from it.
//!
//! Who copies reads past the cache, so that what readers may want next stays there. Who serves fills it.

use super::index::IndexEntry;
use super::reader::{READ_TIMEOUT, ReadError, Reader, cause_of, key_of, verify};
use crate::cache::CacheKey;
use crate::journal::{ObjectIndex, ObjectName, decode_index};
use bytes::Bytes;
use futures_util::future::join_all;
use std::ops::Range;

/// Spans closer than this are read as one range.
const GAP_BYTES_MAX: u64 = 64 * 1024;
/// A range is at most so large, if a span is not larger.
const RANGE_BYTES_MAX: u64 = 8 * 1024 * 1024;

impl Reader {
    /// The index of an object, whose first batch lies behind `index_bytes`.
    pub async fn object_index(&self, object: ObjectName, index_bytes: u64) -> Result<ObjectIndex, ReadError> {
        let key = CacheKey::new(object.session, object.as_u64(), &(0..index_bytes));
        let (store, path) = (self.store.clone(), object.path());
        let load =
            move || async move { store.get_range(&path, 0..index_bytes).await.map_err(ReadError::from) };
        let bytes = self.cache.get_or_load(key, load).await.map_err(|error| cause_of(&error))?;
        if let Ok(index) = decode_index(object, &bytes) {
            return Ok(index);
        }
        // A cache may mistake one entry for another.
        let bytes = self.store.get_range(&object.path(), 0..index_bytes).await?;
        decode_index(object, &bytes)
            .map_err(|error| ReadError::Damaged(format!("{}: {error}", object.path())))
    }

    /// Copies spans of one object, which are in the order of their places there. The copies share no memory with
    /// anything else, and every batch in them matches its CRC.
    pub async fn copy_spans(&self, spans: &[&IndexEntry]) -> Result<Vec<Bytes>, ReadError> {
        let mut copies = Vec::with_capacity(spans.len());
        let mut left = spans;
        while let Some(run) = self.next_run(left) {
            left = &left[run.len()..];
            let range = run[0].byte_range.start..run[run.len() - 1].byte_range.end;
            let bytes = match run {
                [one] => self.span(one).await?,
                _ => self.store_range(run[0].object, range.clone()).await?,
            };
            for span in run {
                copies.push(copy(span, &bytes, range.start)?);
            }
        }
        Ok(copies)
    }

    /// Brings what is not in the cache of these spans into it, neighbours by one read of the store. What cannot be read is told
    /// to who reads it.
    pub async fn gather(&self, spans: impl Iterator<Item = &IndexEntry>) {
        let mut missing: Vec<&IndexEntry> =
            spans.filter(|span| !self.cache.may_hold(&key_of(span))).collect();
        missing.sort_by_key(|span| (span.object, span.byte_range.start));
        let mut left = missing.as_slice();
        let mut runs = Vec::new();
        while let Some(run) = self.next_run(left) {
            left = &left[run.len()..];
            // One alone is as well read by who wants it.
            if let [first, others @ ..] = run
                && !others.is_empty()
            {
                let (first, others) = ((*first).clone(), others.iter().copied().cloned().collect());
                runs.push(self.read_run(first, others));
            }
        }
        let _read = tokio::time::timeout(READ_TIMEOUT, join_all(runs)).await;
    }

    /// Reads a run once, however many want it meanwhile: who wants its first span waits for all.
    async fn read_run(&self, first: IndexEntry, others: Vec<IndexEntry>) {
        let (reader, key) = (self.clone(), key_of(&first));
        let load = move || async move {
            let range = first.byte_range.start..others.last().map_or(0, |last| last.byte_range.end);
            let bytes = reader.store_range(first.object, range.clone()).await?;
            for other in &others {
                reader.cache.insert_read(key_of(other), copy(other, &bytes, range.start)?);
            }
            copy(&first, &bytes, range.start)
        };
        let _read: Result<Bytes, foyer::Error> = self.cache.get_or_load::<_, _, ReadError>(key, load).await;
    }

    /// The first of these spans, and those behind it that are read with it.
    fn next_run<'a, 'b>(&self, spans: &'a [&'b IndexEntry]) -> Option<&'a [&'b IndexEntry]> {
        let first = spans.first()?;
        if self.cache.holds(&key_of(first)) {
            return Some(&spans[..1]);
        }
        let belongs = |pair: &[&IndexEntry]| {
            let is_near = pair[0].object == pair[1].object
                && pair[1].byte_range.start <= pair[0].byte_range.end.saturating_add(GAP_BYTES_MAX);
            let is_small = pair[1].byte_range.end.saturating_sub(first.byte_range.start) <= RANGE_BYTES_MAX;
            is_near && is_small && !self.cache.holds(&key_of(pair[1]))
        };
        let more = spans.windows(2).take_while(|pair| belongs(pair)).count();
        Some(&spans[..=more])
    }

    async fn store_range(&self, object: ObjectName, range: Range<u64>) -> Result<Bytes, ReadError> {
        let _permit = self.store_reads.acquire().await.expect("the semaphore is never closed");
        Ok(self.store.get_range(&object.path(), range).await?)
    }
}

/// The bytes of a span, of which `bytes` has the object's from `start` on.
fn copy(span: &IndexEntry, bytes: &[u8], start: u64) -> Result<Bytes, ReadError> {
    let damaged = |why: &str| ReadError::Damaged(format!("{}: {why}", span.object.path()));
    let range = (span.byte_range.start - start) as usize..(span.byte_range.end - start) as usize;
    let bytes = bytes.get(range).ok_or_else(|| damaged("it is cut short"))?;
    verify(span, bytes).map_err(damaged)?;
    Ok(Bytes::copy_from_slice(bytes))
}
