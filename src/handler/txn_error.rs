//! A transactional id's refusals as Kafka's error codes.

use crate::txn::{Producer, TxnError};
use crate::types::{ProducerEpoch, ProducerId};
use crate::wire::{ErrorCode, messages};

/// Whether a client knows PRODUCER_FENCED, or its predecessor only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fenced {
    /// PRODUCER_FENCED.
    Known,
    /// INVALID_PRODUCER_EPOCH.
    Unknown,
}

impl Fenced {
    /// Known from that version of an API on.
    pub fn since(first: i16, api_version: i16) -> Fenced {
        if api_version >= first { Fenced::Known } else { Fenced::Unknown }
    }
}

/// The code that Apache Kafka answers in the same case.
pub fn code(error: TxnError, fenced: Fenced) -> ErrorCode {
    match error {
        TxnError::InvalidProducerIdMapping => ErrorCode::InvalidProducerIdMapping,
        TxnError::ProducerFenced => match fenced {
            Fenced::Known => ErrorCode::ProducerFenced,
            Fenced::Unknown => ErrorCode::InvalidProducerEpoch,
        },
        TxnError::InvalidTxnState => ErrorCode::InvalidTxnState,
        TxnError::ConcurrentTransactions => ErrorCode::ConcurrentTransactions,
        TxnError::InvalidTransactionTimeout => ErrorCode::InvalidTransactionTimeout,
        TxnError::InvalidRequest => ErrorCode::InvalidRequest,
        TxnError::InvalidRegularExpression => ErrorCode::InvalidRegularExpression,
        TxnError::TransactionalIdNotFound => ErrorCode::TransactionalIdNotFound,
        TxnError::CoordinatorNotAvailable => ErrorCode::CoordinatorNotAvailable,
        TxnError::CoordinatorLoadInProgress => ErrorCode::CoordinatorLoadInProgress,
        TxnError::NotCoordinator => ErrorCode::NotCoordinator,
    }
}

/// A producer as a request names it.
pub fn producer(id: messages::ProducerId, epoch: i16) -> Producer {
    Producer { id: ProducerId(id.0), epoch: ProducerEpoch(epoch) }
}
