//! Why a transactional id refuses. Each variant is the error code of Kafka that is answered for it.

use thiserror::Error;

/// What a request of a transaction is refused with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum TxnError {
    /// The producer id is not the one of the transactional id, or the transactional id has none.
    #[error("the producer id is not the transactional id's")]
    InvalidProducerIdMapping,
    /// The epoch is not the present one: another instance has taken over, or the transaction was aborted.
    ///
    /// Clients of old know INVALID_PRODUCER_EPOCH only. It is answered instead to InitProducerId below version 4, and to
    /// AddPartitionsToTxn, AddOffsetsToTxn and EndTxn below version 2; and by the leader of a place that was told this
    /// for a batch or a TxnOffsetCommit, since those requests have no other code for it in any version.
    #[error("the producer is fenced by a later epoch")]
    ProducerFenced,
    /// There is no such transaction to verify, commit or abort.
    #[error("the transaction is not in a state for this")]
    InvalidTxnState,
    /// The last transaction is still being ended: ask again.
    #[error("the last transaction is still being ended")]
    ConcurrentTransactions,
    /// The time-out is out of the broker's bounds.
    #[error("the transaction's time-out is out of bounds")]
    InvalidTransactionTimeout,
    /// The transaction would have more places, or more bytes of them, than it may.
    #[error("the request exceeds a limit")]
    InvalidRequest,
    /// An expression over transactional ids is none, or too large.
    #[error("the expression is not a regular one, or too large")]
    InvalidRegularExpression,
    /// Nothing is known of the transactional id.
    #[error("the transactional id is not known")]
    TransactionalIdNotFound,
    /// This broker is not able to answer now, or has no fresh producer id where one is needed.
    #[error("the coordinator is not available")]
    CoordinatorNotAvailable,
    /// This broker answers for the transactional id as soon as those have let go that may have done so before.
    #[error("the coordinator takes over the transactional id")]
    CoordinatorLoadInProgress,
    /// Another broker answers for the transactional id.
    #[error("this broker is not the transaction's coordinator")]
    NotCoordinator,
}
