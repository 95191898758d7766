//! A segment's file in the object store: opened against what the manifest says of it, and read by chunks. Consumers'
//! fetches (`segments.rs`), merges, compaction and fsck all read through it.
//!
//! Never: it keeps nothing in a cache and sets no limit to those who read at once; whoever reads does.

use super::archived::SegmentRef;
use super::reader::ReadError;
use crate::segment::{
    ChunkId, DamagedSegment, FetchedRanges, LoadError, ReadAt, SegmentFooter, SegmentReader,
};
use crate::store::{ObjectPath, ObjectStore, StoreError};
use bytes::Bytes;
use std::ops::Range;
use std::sync::Arc;

/// A segment that was opened. Clones share the footer.
#[derive(Clone, Debug)]
pub struct SegmentFile {
    reader: SegmentReader<StoredSegment>,
}

/// Why a segment cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SegmentFileError {
    /// Its bytes do not come.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// They are not those that the manifest refers to.
    #[error("{path}: {fault}")]
    Damaged {
        /// Where it lies.
        path: ObjectPath,
        /// What is wrong with it.
        fault: DamagedSegment,
    },
}

impl SegmentFile {
    /// Reads the footer of the file that `wanted` names, and sees that it is what the manifest says.
    pub async fn open(store: &ObjectStore, wanted: &SegmentRef) -> Result<SegmentFile, SegmentFileError> {
        let source = StoredSegment { store: store.clone(), wanted: wanted.clone() };
        let reader = SegmentReader::open(source).await.map_err(|error| wanted.failed(error))?;
        let verified = reader.footer().verify_is(wanted.topic_partition, &wanted.segment);
        verified.map_err(|fault| wanted.failed(fault.into()))?;
        Ok(SegmentFile { reader })
    }

    /// The same file with the footer that an earlier [`SegmentFile::open`] read.
    #[must_use]
    pub fn with_footer(store: &ObjectStore, wanted: &SegmentRef, footer: Arc<SegmentFooter>) -> SegmentFile {
        let source = StoredSegment { store: store.clone(), wanted: wanted.clone() };
        SegmentFile { reader: SegmentReader::with_footer(source, footer) }
    }

    /// What the manifest says of it.
    #[must_use]
    pub fn wanted(&self) -> &SegmentRef {
        &self.reader.source().wanted
    }

    /// Where its chunks lie.
    #[must_use]
    pub fn footer(&self) -> &Arc<SegmentFooter> {
        self.reader.footer()
    }

    /// Reads the bytes of a run of chunks; decode them with the footer.
    pub async fn fetch(&self, chunks: Range<ChunkId>) -> Result<FetchedRanges, SegmentFileError> {
        self.reader.fetch(chunks).await.map_err(|error| self.wanted().failed(error))
    }

    /// The error for bytes of this file that do not decode.
    #[must_use]
    pub fn damaged(&self, fault: DamagedSegment) -> SegmentFileError {
        self.wanted().failed(fault.into())
    }
}

impl SegmentRef {
    fn failed(&self, error: LoadError<StoreError>) -> SegmentFileError {
        match error {
            LoadError::Read(error) => SegmentFileError::Store(error),
            LoadError::Damaged(fault) => SegmentFileError::Damaged { path: self.path.clone(), fault },
        }
    }
}

impl From<SegmentFileError> for ReadError {
    fn from(error: SegmentFileError) -> ReadError {
        match error {
            SegmentFileError::Store(StoreError::Unavailable { .. }) => {
                ReadError::Unavailable(error.to_string())
            }
            SegmentFileError::Store(StoreError::Missing { .. }) => ReadError::Missing(error.to_string()),
            SegmentFileError::Store(StoreError::Refused { .. }) | SegmentFileError::Damaged { .. } => {
                ReadError::Damaged(error.to_string())
            }
        }
    }
}

/// A segment's bytes, as the decoder asks for them.
#[derive(Clone, Debug)]
struct StoredSegment {
    store: ObjectStore,
    wanted: SegmentRef,
}

impl ReadAt for StoredSegment {
    type Error = StoreError;

    fn size(&self) -> u64 {
        self.wanted.segment.file_bytes
    }

    fn read(&self, range: Range<u64>) -> impl Future<Output = Result<Bytes, StoreError>> + Send {
        self.store.get_range(&self.wanted.path, range)
    }
}
