//! One transactional id: its state, what is added to a transaction, and its markers.

use super::TxnError;
use super::places::{PLACES_COST_MAX, Place, Places};
use super::request::{AddPlacesRequest, Markers, Producer, TransactionVersion};
use crate::types::{Moment, ProducerEpoch, ProducerId, Timestamp};
use crate::types::{TransactionOrdinal, Verdict};
use std::time::Duration;

/// The last epoch that a client is given, as in Apache Kafka. Who has it goes on with another producer id.
pub(super) fn epoch_last() -> ProducerEpoch {
    #[cfg(feature = "simulation")]
    if let Some(epoch) = crate::clock::simulated::epoch_last() {
        return ProducerEpoch(epoch);
    }
    ProducerEpoch(i16::MAX - 1)
}
/// An epoch that only fences: markers carry it when the last one is used up.
pub(super) const EPOCH_FENCE: ProducerEpoch = ProducerEpoch(i16::MAX);
pub(super) const EPOCH_FIRST: ProducerEpoch = ProducerEpoch(0);

/// What the coordinators of a cluster agree on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransactionConfig {
    /// The longest time-out that a client may ask for, in milliseconds (`transaction.max.timeout.ms`).
    pub timeout_ms_max: u32,
}

impl Default for TransactionConfig {
    fn default() -> TransactionConfig {
        TransactionConfig { timeout_ms_max: 15 * 60 * 1000 }
    }
}

/// Where the last transaction of a transactional id is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Stage {
    /// The present instance has begun none.
    Empty,
    /// It takes places.
    Ongoing,
    /// It is decided; markers are being written.
    Prepare(Verdict),
    /// Each place has its marker.
    Complete(Verdict),
}

/// Why there is a new identity, and so who may ask again with the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RetryOf {
    /// EndTxn of version 2, or the time-out: EndTxn of version 2 may ask again (`end_may_retry` of the rules), or
    /// InitProducerId (KIP-360). Both are told the present identity.
    End,
    /// InitProducerId of who went on after an error: it may ask again, and is told the present identity.
    Init,
    /// The same, but its open transaction had to be aborted first: it is to ask again, and gets a later epoch.
    Abort,
}

/// The identity before the present one. Only the instance that has it may be given the present one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Retry {
    pub of: RetryOf,
    pub previous: Producer,
}

/// The state of one transactional id. See the room's page for how it is driven.
#[derive(Clone, Debug)]
pub struct Transaction {
    pub(super) config: TransactionConfig,
    /// Whose id and epoch the markers carry; `None` before the first InitProducerId.
    pub(super) producer: Option<Producer>,
    /// While a transaction is ended whose epoch was the last: the id that its client goes on with, at epoch 0.
    pub(super) next_producer_id: Option<ProducerId>,
    pub(super) stage: Stage,
    pub(super) ordinal: TransactionOrdinal,
    pub(super) places: Places,
    pub(super) retry: Option<Retry>,
    pub(super) timeout_ms: u32,
    pub(super) started_at: Option<Timestamp>,
    pub(super) last_update: Timestamp,
    pub(super) transaction_version: Option<TransactionVersion>,
    // From here on in memory only.
    /// Places whose marker is not known to be written.
    pub(super) missing: Places,
    pub(super) deadline: Option<Moment>,
    pub(super) changes: Changes,
}

/// Which changes have been stored. Counts them, since more may come while a store is under way.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Changes {
    made: u64,
    taken: u64,
    stored: u64,
    /// The change that decided the transaction.
    prepared: u64,
}

impl Transaction {
    /// A transactional id of which nothing is known yet.
    #[must_use]
    pub fn new(config: TransactionConfig) -> Transaction {
        Transaction {
            config,
            producer: None,
            next_producer_id: None,
            stage: Stage::Empty,
            ordinal: TransactionOrdinal(0),
            places: Places::default(),
            retry: None,
            timeout_ms: 0,
            started_at: None,
            last_update: Timestamp::NONE,
            transaction_version: None,
            missing: Places::default(),
            deadline: None,
            changes: Changes::default(),
        }
    }

    /// Whether InitProducerId or EndTxn may need a producer id that was never given. Ask before each of them; an id
    /// that is brought in vain is not lost, if the owner keeps it for the next time.
    #[must_use]
    pub fn needs_producer_id(&self) -> bool {
        self.identity().is_none_or(|identity| identity.epoch >= epoch_last())
    }

    /// AddPartitionsToTxn and AddOffsetsToTxn of a client, and a leader's question about the first batch of version 2.
    /// Answers the transaction that the places belong to, and begins it if there is none. `wall` is when, for tools.
    ///
    /// Refuses with `InvalidProducerIdMapping`, `ProducerFenced`, `ConcurrentTransactions`, or `InvalidRequest` if the
    /// places would be too many.
    pub fn on_add_places(
        &mut self,
        request: AddPlacesRequest,
        now: Moment,
        wall: Timestamp,
    ) -> Result<TransactionOrdinal, TxnError> {
        self.check_producer(request.producer)?;
        match self.stage {
            Stage::Prepare(_) => return Err(TxnError::ConcurrentTransactions),
            Stage::Ongoing => {
                if self.places.add(request.places).map_err(|_| TxnError::InvalidRequest)? {
                    self.mark(wall);
                }
            }
            Stage::Empty | Stage::Complete(_) => {
                let mut places = Places::default();
                places.add(request.places).map_err(|_| TxnError::InvalidRequest)?;
                self.places = places;
                self.begin(request.transaction_version, now, wall);
            }
        }
        Ok(self.ordinal)
    }

    /// A leader's question about the first batch of version 1: which transaction does it belong to?
    ///
    /// Refuses with `InvalidProducerIdMapping`, `ProducerFenced`, or `InvalidTxnState` if the place was not added.
    pub fn on_verify(&self, producer: Producer, place: &Place) -> Result<TransactionOrdinal, TxnError> {
        self.check_producer(producer)?;
        match self.stage {
            Stage::Ongoing if self.places.contains(place) => Ok(self.ordinal),
            _ => Err(TxnError::InvalidTxnState),
        }
    }

    /// The markers to send now; `None` if no transaction is known to be decided, or each place has its marker.
    #[must_use]
    pub fn markers_to_send(&self) -> Option<Markers> {
        let Stage::Prepare(verdict) = self.stage else { return None };
        if !self.changes.is_decision_stored() || self.missing.is_empty() {
            return None;
        }
        self.producer.map(|producer| Markers {
            producer_id: producer.id,
            producer_epoch: producer.epoch,
            verdict,
            ordinal: self.ordinal,
            places: self.missing.to_vec(),
        })
    }

    /// A place has the marker of that transaction, or is gone for good with its topic.
    pub fn on_marker_written(&mut self, place: &Place, ordinal: TransactionOrdinal, wall: Timestamp) {
        let is_ending = matches!(self.stage, Stage::Prepare(_)) && self.changes.is_decision_stored();
        if is_ending && ordinal == self.ordinal {
            self.missing.remove(place);
            self.complete_if_written(wall);
        }
    }

    /// What [`Transaction::take_dirty`] told of last is stored. A transaction without places is complete by that, so ask
    /// whether there is more to store.
    pub fn on_stored(&mut self, wall: Timestamp) {
        self.changes.stored = self.changes.taken;
        self.complete_if_written(wall);
    }

    /// Whether what [`Transaction::stored`] gives must be stored before any answer is sent.
    pub fn take_dirty(&mut self) -> bool {
        let is_dirty = self.changes.made > self.changes.taken;
        self.changes.taken = self.changes.made;
        is_dirty
    }

    /// Whether the last transaction is decided and not ended everywhere: none can begin until it is.
    #[must_use]
    pub fn is_being_ended(&self) -> bool {
        matches!(self.stage, Stage::Prepare(_))
    }

    /// When [`Transaction::on_time`] is due.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Moment> {
        self.deadline
    }

    /// Aborts a transaction whose client is too slow.
    pub fn on_time(&mut self, now: Moment, wall: Timestamp) {
        if self.deadline.is_some_and(|deadline| deadline <= now) {
            self.abort(RetryOf::End, wall);
        }
    }

    /// Aborts the transaction for an operator, as if its time were over.
    ///
    /// Refuses with `TransactionalIdNotFound`, `ConcurrentTransactions`, or `InvalidTxnState` if nothing is open.
    pub fn on_force_abort(&mut self, wall: Timestamp) -> Result<(), TxnError> {
        match self.stage {
            _ if self.producer.is_none() => Err(TxnError::TransactionalIdNotFound),
            Stage::Ongoing => {
                self.abort(RetryOf::End, wall);
                Ok(())
            }
            Stage::Prepare(_) => Err(TxnError::ConcurrentTransactions),
            Stage::Empty | Stage::Complete(_) => Err(TxnError::InvalidTxnState),
        }
    }

    /// Whether nothing has happened for so long that the transactional id may be forgotten
    /// (`transactional.id.expiration.ms`). Never while a transaction is open or being ended.
    #[must_use]
    pub fn is_expired(&self, wall: Timestamp, retention: Duration) -> bool {
        let at_rest = matches!(self.stage, Stage::Empty | Stage::Complete(_));
        let retention_ms = i64::try_from(retention.as_millis()).unwrap_or(i64::MAX);
        at_rest && wall.0.saturating_sub(self.last_update.0) >= retention_ms
    }

    /// Who the client is to be from now on. Not the producer of the markers, if they carry the last epoch.
    pub(super) fn identity(&self) -> Option<Producer> {
        let next = self.next_producer_id.map(|id| Producer { id, epoch: EPOCH_FIRST });
        next.or(self.producer)
    }

    /// Whether that is who the client should be.
    pub(super) fn check_producer(&self, producer: Producer) -> Result<(), TxnError> {
        let identity = self.identity();
        if identity == Some(producer) && producer.epoch < EPOCH_FENCE {
            return Ok(());
        }
        let previous = self.retry.map(|retry| retry.previous);
        let known = [identity, self.producer, previous];
        if known.into_iter().flatten().any(|known| known.id == producer.id) {
            Err(TxnError::ProducerFenced)
        } else {
            Err(TxnError::InvalidProducerIdMapping)
        }
    }

    /// Decides to abort, and fences: the epoch grows in both versions. No other epoch than the next is given meanwhile.
    pub(super) fn abort(&mut self, of: RetryOf, wall: Timestamp) {
        self.bump_epoch(of);
        self.decide(Verdict::Abort, wall);
    }

    /// Gives the markers the next epoch. The owner of the epoch before may ask for it, as `of` has it.
    pub(super) fn bump_epoch(&mut self, of: RetryOf) {
        if let Some(producer) = &mut self.producer {
            self.retry = Some(Retry { of, previous: *producer });
            producer.epoch = ProducerEpoch(producer.epoch.0.saturating_add(1));
        }
    }

    pub(super) fn decide(&mut self, verdict: Verdict, wall: Timestamp) {
        self.stage = Stage::Prepare(verdict);
        self.missing = self.places.clone();
        self.deadline = None;
        self.mark(wall);
        self.changes.prepared = self.changes.made;
    }

    pub(super) fn complete(&mut self, verdict: Verdict) {
        self.stage = Stage::Complete(verdict);
        self.places = Places::default();
        self.missing = Places::default();
        if let Some(id) = self.next_producer_id.take() {
            self.producer = Some(Producer { id, epoch: EPOCH_FIRST });
        }
        self.changes.made += 1;
    }

    pub(super) fn mark(&mut self, wall: Timestamp) {
        self.last_update = wall;
        self.changes.made += 1;
    }

    /// The deadline of a transaction that begins, or is gone on with, now.
    pub(super) fn start_timer(&mut self, now: Moment) {
        self.deadline = Some(now + Duration::from_millis(self.timeout_ms.into()));
    }

    fn begin(&mut self, transaction_version: TransactionVersion, now: Moment, wall: Timestamp) {
        self.stage = Stage::Ongoing;
        self.ordinal = TransactionOrdinal(self.ordinal.0 + 1);
        self.retry = None;
        self.started_at = Some(wall);
        self.transaction_version = Some(transaction_version);
        self.start_timer(now);
        self.mark(wall);
    }

    fn complete_if_written(&mut self, wall: Timestamp) {
        let Stage::Prepare(verdict) = self.stage else { return };
        if self.changes.is_decision_stored() && self.missing.is_empty() {
            self.last_update = wall;
            self.complete(verdict);
        }
    }
}

impl Changes {
    fn is_decision_stored(self) -> bool {
        self.stored >= self.prepared
    }
}

/// Bytes of a stored value at most, as the metadata store has it.
pub(super) const STORED_BYTES_MAX: usize = 1 << 20;
const _: () = assert!(PLACES_COST_MAX + (4 << 10) < STORED_BYTES_MAX);
