//! A segment's bytes back to rows and record batches: only the footer and the chunks that are wanted are read.
//!
//! Everything that is read is checked against a checksum in the footer before it is decoded, the footer against its
//! own. What cannot be decoded all the same is an error, never a panic and never fewer records.

mod batches;
mod footer;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod packing;
mod page_table;
mod pages;
mod ranges;
mod rows;

use super::error::{DamagedSegment, LoadError};
use crate::types::Offset;
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use std::future::Future;
use std::ops::Range;
use std::sync::Arc;

pub use batches::{ChunkCodec, gap_batch};
pub use footer::{FooterStep, SegmentFooter, TAIL_BYTES};
pub use ranges::FetchedRanges;
pub use rows::ChunkRows;

pub(super) use footer::{footer_at, indexes_range};
pub(super) use page_table::page_table;

/// Which chunk of a segment, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChunkId(pub u32);

/// A chunk as readers get it: the same bytes whatever offset was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// Record batches in order, whole and with their CRC, one behind the other. The last reaches to the end of `offsets`.
    pub batches: Bytes,
    /// What they answer: from the first record to the first record of the next chunk, or the segment's end.
    pub offsets: Range<Offset>,
}

/// Where a segment's bytes come from.
pub trait ReadAt {
    /// Why they did not come.
    type Error;

    /// Bytes of the file.
    fn size(&self) -> u64;

    /// Exactly the bytes of `range`, which lies within the file and is not empty.
    fn read(&self, range: Range<u64>) -> impl Future<Output = Result<Bytes, Self::Error>> + Send;
}

/// A file at hand.
impl ReadAt for Bytes {
    type Error = DamagedSegment;

    fn size(&self) -> u64 {
        self.len() as u64
    }

    fn read(&self, range: Range<u64>) -> impl Future<Output = Result<Bytes, DamagedSegment>> + Send {
        let within = range.start <= range.end && range.end <= self.len() as u64;
        let part = within.then(|| self.slice(range.start as usize..range.end as usize));
        std::future::ready(part.ok_or_else(|| DamagedSegment::new("it ends early")))
    }
}

/// Ranges of a file closer than this are read as one.
const GAP_BYTES_MAX: u64 = 64 * 1024;
/// Ranges of a file that are asked for at once.
const READS_AT_ONCE: usize = 16;

/// A segment opened for reading, chunk by chunk.
#[derive(Clone, Debug)]
pub struct SegmentReader<R> {
    source: R,
    footer: Arc<SegmentFooter>,
}

impl<R: ReadAt> SegmentReader<R> {
    /// Reads the footer.
    pub async fn open(source: R) -> Result<SegmentReader<R>, LoadError<R::Error>> {
        let footer = SegmentFooter::load(&source).await?;
        Ok(SegmentReader::with_footer(source, Arc::new(footer)))
    }

    /// A file whose footer was read before.
    pub fn with_footer(source: R, footer: Arc<SegmentFooter>) -> SegmentReader<R> {
        SegmentReader { source, footer }
    }

    /// Where its bytes come from.
    pub fn source(&self) -> &R {
        &self.source
    }

    /// What the file is.
    pub fn footer(&self) -> &Arc<SegmentFooter> {
        &self.footer
    }

    /// Reads the bytes of a run of chunks, with few requests.
    pub async fn fetch(&self, chunks: Range<ChunkId>) -> Result<FetchedRanges, LoadError<R::Error>> {
        let reads = self.footer.chunk_ranges(chunks, GAP_BYTES_MAX).into_iter().map(async |range| {
            let bytes = self.source.read(range.clone()).await.map_err(LoadError::Read)?;
            Ok::<_, LoadError<R::Error>>((range, bytes))
        });
        let mut reads = stream::iter(reads).buffer_unordered(READS_AT_ONCE);
        let mut fetched = FetchedRanges::default();
        while let Some((range, bytes)) = reads.try_next().await? {
            fetched.push(range, bytes);
        }
        Ok(fetched)
    }

    /// The rows of a chunk.
    pub async fn rows(&self, chunk: ChunkId) -> Result<ChunkRows, LoadError<R::Error>> {
        let fetched = self.fetch(chunk..ChunkId(chunk.0 + 1)).await?;
        Ok(self.footer.decode_rows(chunk, &fetched)?)
    }

    /// The record batches of a chunk.
    pub async fn chunk(&self, chunk: ChunkId, codec: ChunkCodec) -> Result<Chunk, LoadError<R::Error>> {
        let fetched = self.fetch(chunk..ChunkId(chunk.0 + 1)).await?;
        Ok(self.footer.decode_chunk(chunk, &fetched, codec)?)
    }
}
