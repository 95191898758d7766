//! May a producer begin a transaction in a partition? The coordinator of its transactional id knows, and says
//! which of the id's transactions it is (KIP-890).

use super::context::Context;
use super::txn_error::{Fenced, code};
use crate::txn::{FirstBatch, Place, Producer, TransactionVersion};
use crate::types::{ProducerEpoch, ProducerId, TopicPartition, TransactionOrdinal};
use crate::wire::ErrorCode;

/// How often the coordinator is asked for one batch: each time another transaction would have had to end in between.
pub(super) const ATTEMPTS_MAX: usize = 5;

/// Who wants to begin where.
#[derive(Clone, Debug)]
pub(super) struct Wanted<'a> {
    /// As the request has it.
    pub transactional_id: Option<&'a str>,
    pub producer_id: ProducerId,
    pub producer_epoch: ProducerEpoch,
    pub topic_partition: TopicPartition,
    pub on_first_batch: OnFirstBatch,
}

/// What the first batch that a leader sees of a transaction means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OnFirstBatch {
    /// The client has added the partition itself: only look.
    Verify,
    /// The batch adds the partition to the transaction.
    Add,
}

impl OnFirstBatch {
    /// By the version of the Produce request that the batch came in.
    pub fn of(api_version: i16) -> OnFirstBatch {
        if api_version >= 12 { OnFirstBatch::Add } else { OnFirstBatch::Verify }
    }
}

/// Asks the coordinator, wherever it is.
pub(super) async fn verify(context: &Context, wanted: &Wanted<'_>) -> Result<TransactionOrdinal, ErrorCode> {
    let Some(transactional_id) = wanted.transactional_id.filter(|id| !id.is_empty()) else {
        return Err(ErrorCode::InvalidTxnState);
    };
    let first_batch = FirstBatch {
        producer: Producer { id: wanted.producer_id, epoch: wanted.producer_epoch },
        place: Place::Partition(wanted.topic_partition),
        transaction_version: match wanted.on_first_batch {
            OnFirstBatch::Verify => TransactionVersion::One,
            OnFirstBatch::Add => TransactionVersion::Two,
        },
    };
    let asked = context.transactions.first_batch(transactional_id, first_batch).await;
    asked.map_err(|error| code(error, Fenced::Unknown))
}
