//! What is asked of the task of one share partition, and how it answers.

use crate::group::MemberId;
use crate::group::share::{AcknowledgeError, Acknowledgement, AcquireLimit, Acquired, Attempt};
use crate::limits::MemoryPermit;
use crate::log::{FirstBatch, Waiter};
use crate::types::Offset;
use bytes::Bytes;
use std::ops::Range;
use tokio::sync::oneshot;

/// Where one answer goes. Dropped without an answer it says that the outcome is not known.
#[derive(Debug)]
pub(super) struct Reply<T>(pub oneshot::Sender<Result<T, DeliveryError>>);

impl<T> Reply<T> {
    pub fn send(self, answer: Result<T, DeliveryError>) {
        // Whoever asked may have gone away.
        let _gone = self.0.send(answer);
    }
}

/// A request in the mailbox of a share partition.
#[derive(Debug)]
pub(super) enum Call {
    Acquire(Acquire, Reply<Delivered>),
    Acknowledge(MemberId, Vec<Acknowledgement>, Reply<()>),
    /// Of all that the member has, or of these records.
    Release(MemberId, Option<Vec<Range<Offset>>>, Attempt),
    Alter(Offset, Reply<()>),
    Delete(Reply<()>),
}

/// A member wants records.
#[derive(Clone, Debug)]
pub struct Acquire {
    /// Who.
    pub member_id: MemberId,
    /// How many records.
    pub limit: AcquireLimit,
    /// How many bytes of batches.
    pub bytes_max: u64,
    /// Whether a first batch may be larger than that.
    pub first_batch: FirstBatch,
    /// Woken from now on when others give back what they have.
    pub waiter: Option<Waiter>,
}

/// What a member gets.
#[derive(Debug, Default)]
pub struct Delivered {
    /// The records that it has now.
    pub acquired: Vec<Acquired>,
    /// The batches with these records, in order; others may be in them.
    pub batches: Vec<Bytes>,
    /// How many bytes these are.
    pub bytes: u64,
    /// Held while they are.
    pub permit: Option<MemoryPermit>,
}

impl Delivered {
    /// How many records the member got.
    #[must_use]
    pub fn records(&self) -> usize {
        let records = self.acquired.iter().map(|acquired| acquired.offsets.end - acquired.offsets.start);
        usize::try_from(records.sum::<i64>()).unwrap_or(usize::MAX)
    }
}

/// Why nothing is delivered, or nothing is done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeliveryError {
    /// It is not known what became of the request.
    #[error("the state of the share partition is not available")]
    Unavailable,
    /// Another broker leads the partition.
    #[error("this broker does not lead the partition")]
    NotLeader,
    /// There is no such partition.
    #[error("there is no such partition")]
    UnknownPartition,
    /// There is no memory for an answer now.
    #[error("there is no memory for the records now")]
    NoMemory,
    /// The records cannot be read now.
    #[error("the records cannot be read: {0}")]
    Storage(String),
    /// The records were damaged.
    #[error("the records are damaged: {0}")]
    Damaged(String),
    /// Nothing was acknowledged.
    #[error(transparent)]
    Acknowledge(#[from] AcknowledgeError),
}
