//! What can go wrong with archives.

use crate::background::NotDone;
use crate::journal::RecoveryError;
use crate::log::{ReadError, SegmentFileError};
use crate::meta::keys::DecodeKeyError;
use crate::meta::{MetadataError, SettleError};
use crate::segment::WriteError;
use crate::segment::manifest::{DecodeError, EditError, UnreadablePointer};
use crate::store::{ObjectPath, StoreError};
use crate::types::Offset;
use crate::wire::batch::HeaderError;

/// Why a partition's archive did not change, or why that is not known.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The batches cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// They are not what the log holds.
    #[error("committed batches are damaged: {0}")]
    Batch(#[from] HeaderError),
    /// No segment can be made of them.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// A segment is not what the manifest says.
    #[error("{path}: {why}")]
    Damaged {
        /// Where it lies.
        path: ObjectPath,
        /// What is wrong with it.
        why: String,
    },
    /// The object store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It is not known whether the manifest has become the partition's.
    #[error(transparent)]
    Settle(#[from] SettleError),
    /// The manifest cannot take the change.
    #[error(transparent)]
    Edit(#[from] EditError),
    /// The manifest has to be read again and cannot be.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// An ended journal cannot be read.
    #[error(transparent)]
    Journal(#[from] RecoveryError),
    /// Another broker has changed what was to be written.
    #[error("another broker has changed what was to be written")]
    Changed,
    /// Work on segments took too long.
    #[error("segments were not rewritten in time")]
    TimedOut,
    /// Too many wait for partitions to be archived.
    #[error("too many wait for partitions to be archived")]
    Busy,
    /// Another who waits for the same was told why.
    #[error("a partition could not be archived: the broker's log says why")]
    Failed,
    /// There is no such partition here.
    #[error("there is no such partition")]
    UnknownPartition,
    /// The offset is not in the log.
    #[error("offset {0} is outside the log")]
    OutOfRange(Offset),
    /// Decoding or encoding panicked.
    #[error(transparent)]
    NotDone(#[from] NotDone),
    /// The session has ended.
    #[error("the session has ended")]
    Closed,
}

impl From<SegmentFileError> for ArchiveError {
    fn from(error: SegmentFileError) -> ArchiveError {
        match error {
            SegmentFileError::Store(error) => ArchiveError::Store(error),
            SegmentFileError::Damaged { path, fault } => {
                ArchiveError::Damaged { path, why: fault.to_string() }
            }
        }
    }
}

/// Why the manifests cannot be read. Serving a shorter log would be worse than not starting.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The metadata store does not answer.
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    /// A value of the metadata cannot be read.
    #[error(transparent)]
    Unreadable(#[from] DecodeKeyError),
    /// A pointer cannot be read.
    #[error(transparent)]
    Pointer(#[from] UnreadablePointer),
    /// A manifest's object does not come, or is not there.
    #[error("a manifest cannot be read: {0}")]
    Store(#[from] StoreError),
    /// It is not what was written.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// A key that names no partition or no session, where all do.
    #[error("{0} is no key that Cenote writes")]
    UnknownKey(String),
    /// Whether a topic exists cannot be said now.
    #[error("{0}")]
    Topics(String),
}
