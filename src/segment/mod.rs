//! Segments: what ages leaves the journal for one immutable Parquet file of one partition's committed records,
//! sorted by offset. The same bytes serve Kafka's fetches and SQL.
//!
//! ```text
//! batches, rows ─▶ page of columns ─▶ Parquet pages ─▶ row groups ─▶ indexes, footer          (writer)
//! tail of the file ─▶ footer ─▶ which chunk ─▶ byte ranges ─▶ rows ─▶ record batches          (reader)
//! ```
//!
//! A *chunk* is what is read, decoded, answered and cached at once: one page of every column, all of them with
//! the same rows. Chunks are fixed when the file is written, so that any offset asked for leads to the same bytes.
//!
//! Never: it opens no object and names none, knows no topic's settings, and decides nothing about what is
//! archived, merged or deleted. Bytes of a file are verified before they are decoded.

mod checksum;
mod error;
pub mod manifest;
mod reader;
mod row;
pub mod schema;
mod writer;

#[cfg(any(test, fuzzing))]
pub(crate) use reader::fuzzing;

pub use checksum::FileChecksum;
pub use error::{DamagedSegment, LoadError, WriteError};
pub use reader::{
    Chunk, ChunkCodec, ChunkId, ChunkRows, FetchedRanges, FooterStep, ReadAt, SegmentFooter, SegmentReader,
    TAIL_BYTES, gap_batch,
};
pub use row::{Row, RowHeaders};
pub use writer::{Segment, SegmentOptions, SegmentSummary, SegmentWriter, TIMESTAMP_MAX, TIMESTAMP_MIN};

#[cfg(test)]
mod tests;
