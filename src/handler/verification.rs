//! May a producer begin a transaction in a partition? The coordinator of its transactional id knows, and says
//! which of the id's transactions it is (KIP-890).

use super::context::Context;
use crate::types::{ProducerEpoch, ProducerId, TopicPartition, TransactionOrdinal};
use crate::wire::ErrorCode;

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

/// Asks. There are no coordinators yet, so no transaction is open anywhere.
pub(super) async fn verify(_: &Context, wanted: &Wanted<'_>) -> Result<TransactionOrdinal, ErrorCode> {
    tracing::debug!(
        transactional_id = wanted.transactional_id,
        producer_id = wanted.producer_id.0,
        producer_epoch = wanted.producer_epoch.0,
        partition = %wanted.topic_partition,
        on_first_batch = ?wanted.on_first_batch,
        "a batch wants to begin a transaction"
    );
    Err(ErrorCode::InvalidTxnState)
}
