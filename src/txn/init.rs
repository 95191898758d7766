//! InitProducerId: an instance of a producer starts, or goes on after an error (KIP-360).

use super::TxnError;
use super::places::Places;
use super::request::{InitProducerIdRequest, Producer};
use super::transaction::{
    EPOCH_FENCE, EPOCH_FIRST, Retry, RetryOf, Stage, Transaction, TransactionConfig, epoch_last,
};
use crate::types::{ProducerEpoch, ProducerId, Timestamp};

/// Who asks to be an instance.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asker {
    /// A new instance. It fences all before it.
    Newcomer,
    /// The present instance.
    Present,
    /// The present instance, which has not heard that it was given another identity.
    Unaware,
    /// The instance whose transaction was aborted at its own request, and which comes again.
    Returning,
}

impl Transaction {
    /// Answers who the instance is from now on. An open transaction is aborted first.
    ///
    /// Refuses with `InvalidTransactionTimeout`, `ProducerFenced`, `CoordinatorNotAvailable` if a producer id is
    /// missing, or `ConcurrentTransactions` until the last transaction is ended.
    pub fn on_init_producer_id(
        &mut self,
        request: InitProducerIdRequest,
        wall: Timestamp,
    ) -> Result<Producer, TxnError> {
        let timeout_ms = self.config.check_timeout(request.timeout_ms)?;
        let asker = self.asker(request.expected)?;
        match self.stage {
            Stage::Ongoing => {
                self.abort(RetryOf::Abort, wall);
                if asker == Asker::Newcomer {
                    self.retry = None;
                }
                Err(TxnError::ConcurrentTransactions)
            }
            Stage::Prepare(_) => Err(TxnError::ConcurrentTransactions),
            Stage::Empty | Stage::Complete(_) if asker == Asker::Unaware => {
                let identity = self.give_identity(request.fresh_producer_id, wall)?;
                if self.timeout_ms != timeout_ms {
                    self.timeout_ms = timeout_ms;
                    self.mark(wall);
                }
                Ok(identity)
            }
            Stage::Empty | Stage::Complete(_) => {
                let identity = self.next_identity(request.fresh_producer_id)?;
                self.timeout_ms = timeout_ms;
                self.start_instance(identity, request.expected, wall);
                Ok(identity)
            }
        }
    }

    /// Who is present now, also if it was to have the epoch that only fences: then it gets an id of its own.
    pub(super) fn give_identity(
        &mut self,
        fresh: Option<ProducerId>,
        wall: Timestamp,
    ) -> Result<Producer, TxnError> {
        let identity = self.identity().ok_or(TxnError::InvalidProducerIdMapping)?;
        if identity.epoch < EPOCH_FENCE {
            return Ok(identity);
        }
        let identity = first_of(fresh)?;
        match self.stage {
            // The markers go on under the old id.
            Stage::Prepare(_) => self.next_producer_id = Some(identity.id),
            Stage::Empty | Stage::Ongoing | Stage::Complete(_) => self.producer = Some(identity),
        }
        self.mark(wall);
        Ok(identity)
    }

    /// Who comes after the present one; at rest only.
    pub(super) fn next_identity(&self, fresh: Option<ProducerId>) -> Result<Producer, TxnError> {
        match self.identity() {
            Some(Producer { id, epoch }) if epoch < epoch_last() => {
                Ok(Producer { id, epoch: ProducerEpoch(epoch.0.saturating_add(1)) })
            }
            _ => first_of(fresh),
        }
    }

    fn start_instance(&mut self, identity: Producer, expected: Option<Producer>, wall: Timestamp) {
        self.producer = Some(identity);
        self.stage = Stage::Empty;
        self.places = Places::default();
        self.retry = expected.map(|previous| Retry { of: RetryOf::Init, previous });
        self.started_at = None;
        self.mark(wall);
    }

    /// Who asks. Somebody who claims to be neither the present instance nor the one before is fenced, in every stage;
    /// but if nothing is known any more of the transactional id, anybody may go on.
    fn asker(&self, expected: Option<Producer>) -> Result<Asker, TxnError> {
        let Some(expected) = expected else { return Ok(Asker::Newcomer) };
        if self.producer.is_none() || self.check_producer(expected).is_ok() {
            return Ok(Asker::Present);
        }
        match self.retry {
            Some(Retry { of, previous }) if previous == expected => Ok(match of {
                RetryOf::End | RetryOf::Init => Asker::Unaware,
                RetryOf::Abort => Asker::Returning,
            }),
            _ => Err(TxnError::ProducerFenced),
        }
    }
}

impl TransactionConfig {
    fn check_timeout(&self, timeout_ms: i32) -> Result<u32, TxnError> {
        let asked = u32::try_from(timeout_ms).ok();
        asked
            .filter(|asked| (1..=self.timeout_ms_max).contains(asked))
            .ok_or(TxnError::InvalidTransactionTimeout)
    }
}

fn first_of(fresh: Option<ProducerId>) -> Result<Producer, TxnError> {
    let id = fresh.ok_or(TxnError::CoordinatorNotAvailable)?;
    Ok(Producer { id, epoch: EPOCH_FIRST })
}
