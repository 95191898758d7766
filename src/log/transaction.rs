//! What a partition is told of transactions: answers of their coordinators, and markers.

use crate::journal::CommitTicket;
use crate::types::{ProducerEpoch, ProducerId, TransactionOrdinal, Verdict, ViewNumber};

/// What to ask the coordinator, as the partition stood when it was asked: under which ordinal may this
/// producer begin a transaction here?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question {
    /// How many producers the partition had forgotten. An answer that is older than such a loss is not trusted
    /// for a producer that is unknown: what was forgotten may be that the transaction has ended.
    pub(super) forgotten: u64,
}

impl Question {
    /// What the coordinator said.
    #[must_use]
    pub fn answered(self, ordinal: TransactionOrdinal) -> Verified {
        Verified { ordinal, question: self }
    }
}

/// The coordinator's word that a transaction is open and has this partition in it. It may have ended since, so
/// the partition looks again in the step that appends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified {
    pub(super) ordinal: TransactionOrdinal,
    pub(super) question: Question,
}

/// The end of a transaction, from its coordinator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Marker {
    /// Whose transaction.
    pub producer_id: ProducerId,
    /// The producer's epoch from here on.
    pub producer_epoch: ProducerEpoch,
    /// How it ends.
    pub verdict: Verdict,
    /// The view of the coordinator that sends it.
    pub coordinator_view: ViewNumber,
    /// Which of the producer's transactions.
    pub ordinal: TransactionOrdinal,
}

/// A marker is in the log, or on its way there. Its sender is answered when the ticket says that it is committed.
#[derive(Clone, Debug)]
pub enum MarkerTaken {
    /// It was written now.
    Written {
        /// Says when it is durable.
        ticket: CommitTicket,
    },
    /// It was written before: nothing was to do.
    AlreadyDone {
        /// Says when that one is durable.
        ticket: CommitTicket,
    },
}

/// Why a marker was not taken. Nothing of it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MarkerError {
    /// The producer has a later epoch here.
    #[error("producer epoch {} of the marker is older than {}", got.0, current.0)]
    FencedEpoch {
        /// The latest seen here.
        current: ProducerEpoch,
        /// What came.
        got: ProducerEpoch,
    },
    /// A later coordinator has ended a transaction of this producer here.
    #[error("the marker comes from view {} of the coordinator, {} was seen", got.0, current.0)]
    StaleCoordinator {
        /// The latest seen here.
        current: ViewNumber,
        /// What came.
        got: ViewNumber,
    },
    /// It ends another transaction than the one that is open here, or one before the last that ended.
    #[error("the marker ends transaction {got}; open is {open}, ended {ended}")]
    WrongOrdinal {
        /// Open here, [`TransactionOrdinal::NONE`] if none is.
        open: TransactionOrdinal,
        /// The last that ended here.
        ended: TransactionOrdinal,
        /// What came.
        got: TransactionOrdinal,
    },
    /// This session no longer leads the partition.
    #[error("this broker does not lead the partition")]
    NotLeading,
}
