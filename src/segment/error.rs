//! What can go wrong with a segment.

use crate::types::Offset;
use crate::wire::batch::ReadError;
use parquet::errors::ParquetError;
use std::ops::Range;

/// Why a segment cannot be written. After an error the writer has taken in part of what it was given: drop it.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// A batch that cannot be read.
    #[error(transparent)]
    Batch(#[from] ReadError),
    /// A marker, which segments leave behind as a gap.
    #[error("the batch at offset {0} is a control batch")]
    ControlBatch(Offset),
    /// A record that does not come after the one before it.
    #[error("offset {got} comes after offset {last}")]
    NotAscending {
        /// Of the record before.
        last: Offset,
        /// Its own.
        got: Offset,
    },
    /// A record too large for a page.
    #[error("the record at offset {offset} has {bytes} bytes")]
    RecordTooLarge {
        /// Its offset.
        offset: Offset,
        /// Of its key, value and headers.
        bytes: usize,
    },
    /// Rows that the segment does not cover.
    #[error("rows {rows:?} are not within {offsets:?}")]
    OutsideOffsets {
        /// From the first to behind the last.
        rows: Range<Offset>,
        /// What the segment was to cover.
        offsets: Range<Offset>,
    },
    /// Not one row: there is nothing to write a file for.
    #[error("a segment without rows")]
    NoRows,
    /// The Parquet library refuses.
    #[error("cannot encode: {0}")]
    Encode(#[from] ParquetError),
}

/// Bytes that are not the segment that was written: an alarm, as no reader can be answered from them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the segment is damaged: {why}")]
pub struct DamagedSegment {
    why: String,
}

impl DamagedSegment {
    pub(super) fn new(why: impl std::fmt::Display) -> DamagedSegment {
        DamagedSegment { why: why.to_string() }
    }
}

impl From<ParquetError> for DamagedSegment {
    fn from(error: ParquetError) -> DamagedSegment {
        DamagedSegment::new(error)
    }
}

/// Why a segment, or a part of it, could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError<E> {
    /// The bytes did not come.
    #[error("cannot read the segment")]
    Read(#[source] E),
    /// They came and are wrong.
    #[error(transparent)]
    Damaged(#[from] DamagedSegment),
}
