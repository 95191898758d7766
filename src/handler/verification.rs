//! May a producer begin a transaction in a partition? The coordinator of its transactional id knows, and says
//! which of the id's transactions it is (KIP-890).

use super::context::Context;
use super::txn_error::{Fenced, code};
use crate::txn::{FirstBatch, Place, Producer, TransactionVersion};
use crate::types::{ProducerEpoch, ProducerId, TopicPartition, TransactionOrdinal};
use crate::wire::ErrorCode;
use std::time::Duration;
use tokio::time::{Instant, timeout};

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

/// A coordinator that moves is at its new place within this time, as a rule.
const MOVE_TIME_MAX: Duration = Duration::from_secs(3);
/// Between two questions while it moves.
const MOVE_PAUSE: Duration = Duration::from_millis(50);

/// Asks the coordinator, wherever it is. While it moves it is asked again for a moment: a batch that waits costs less than
/// one that its producer sends again.
pub(super) async fn verify(context: &Context, wanted: &Wanted<'_>) -> Result<TransactionOrdinal, ErrorCode> {
    let until = Instant::now() + MOVE_TIME_MAX;
    let mut views = context.leadership.changes();
    loop {
        match ask(context, wanted).await {
            Err(code) if moves(code) && Instant::now() < until => {
                // A new view, or the new coordinator's beginning in the same one.
                let _elapsed = timeout(MOVE_PAUSE, views.changed()).await;
            }
            answer => return answer,
        }
    }
}

/// Whether another answer may follow in a moment.
fn moves(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::NotCoordinator | ErrorCode::CoordinatorNotAvailable | ErrorCode::CoordinatorLoadInProgress
    )
}

async fn ask(context: &Context, wanted: &Wanted<'_>) -> Result<TransactionOrdinal, ErrorCode> {
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
