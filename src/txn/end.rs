//! EndTxn: a client commits or aborts.

use super::TxnError;
use super::request::{EndTxnRequest, Producer, TransactionVersion};
use super::transaction::{Retry, RetryOf, Stage, Transaction, epoch_last};
use crate::types::Verdict;
use crate::types::{ProducerId, Timestamp};

impl Transaction {
    /// Answers who the client is from now on: in version 2 with a later epoch, or with another id when the epochs are
    /// used up. In version 1 it stays who it is.
    ///
    /// Refuses with `InvalidProducerIdMapping`, `ProducerFenced`, `ConcurrentTransactions`, `InvalidTxnState` if there is
    /// nothing to end so, or `CoordinatorNotAvailable` if a producer id is missing.
    pub fn on_end(&mut self, request: EndTxnRequest, wall: Timestamp) -> Result<Producer, TxnError> {
        match request.transaction_version {
            TransactionVersion::One => self.on_end_of_version_1(request, wall),
            TransactionVersion::Two => self.on_end_of_version_2(request, wall),
        }
    }

    fn on_end_of_version_1(&mut self, request: EndTxnRequest, wall: Timestamp) -> Result<Producer, TxnError> {
        self.check_producer(request.producer)?;
        match self.stage {
            Stage::Ongoing => {
                self.transaction_version = Some(TransactionVersion::One);
                self.decide(request.verdict, wall);
                Ok(request.producer)
            }
            Stage::Prepare(_) => Err(TxnError::ConcurrentTransactions),
            Stage::Complete(last) if last == request.verdict => Ok(request.producer),
            Stage::Complete(_) | Stage::Empty => Err(TxnError::InvalidTxnState),
        }
    }

    fn on_end_of_version_2(&mut self, request: EndTxnRequest, wall: Timestamp) -> Result<Producer, TxnError> {
        if self.is_end_again(request.producer, request.verdict) {
            return self.give_identity(request.fresh_producer_id, wall);
        }
        self.check_producer(request.producer)?;
        match (self.stage, request.verdict) {
            (Stage::Ongoing, verdict) => self.end_open(verdict, request.fresh_producer_id, wall),
            (Stage::Prepare(_), _) => Err(TxnError::ConcurrentTransactions),
            // The client cannot know whether any of its batches began the transaction.
            (Stage::Empty | Stage::Complete(_), Verdict::Abort) => {
                self.end_nothing(request.producer, request.fresh_producer_id, wall)
            }
            (Stage::Empty | Stage::Complete(_), Verdict::Commit) => Err(TxnError::InvalidTxnState),
        }
    }

    /// An EndTxn that was done already: by who was present then, and with the same verdict.
    fn is_end_again(&self, producer: Producer, verdict: Verdict) -> bool {
        let is_previous = self.retry == Some(Retry { of: RetryOf::End, previous: producer });
        match self.stage {
            Stage::Prepare(last) | Stage::Complete(last) => is_previous && last == verdict,
            Stage::Empty | Stage::Ongoing => false,
        }
    }

    fn end_open(
        &mut self,
        verdict: Verdict,
        fresh: Option<ProducerId>,
        wall: Timestamp,
    ) -> Result<Producer, TxnError> {
        let identity = self.next_identity(fresh)?;
        if self.producer.is_some_and(|producer| producer.epoch >= epoch_last()) {
            self.next_producer_id = Some(identity.id);
        }
        self.transaction_version = Some(TransactionVersion::Two);
        self.bump_epoch(RetryOf::End);
        self.decide(verdict, wall);
        Ok(identity)
    }

    fn end_nothing(
        &mut self,
        previous: Producer,
        fresh: Option<ProducerId>,
        wall: Timestamp,
    ) -> Result<Producer, TxnError> {
        let identity = self.next_identity(fresh)?;
        self.producer = Some(identity);
        self.retry = Some(Retry { of: RetryOf::End, previous });
        self.transaction_version = Some(TransactionVersion::Two);
        self.complete(Verdict::Abort);
        self.last_update = wall;
        Ok(identity)
    }
}
