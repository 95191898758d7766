//! What a partition knows of its idempotent producers: enough to recognise a repeated batch, and to refuse
//! one that comes too early or from a fenced producer (KIP-98, `ProducerStateManager` in Apache Kafka); and
//! which transaction they have open here, and which ended last.
//!
//! A transaction is told from the next by its ordinal, as both may carry one epoch. A producer with an open
//! transaction is never forgotten.

use super::append::AppendError;
use super::transaction::{Marker, MarkerError, Question, Verified};
use crate::hashing::HashMap;
use crate::journal::{CommitTicket, RowTransaction};
use crate::segment::manifest::{BatchSnapshot, OpenTransactionSnapshot, ProducerSnapshot};
use crate::types::{Offset, ProducerEpoch, ProducerId, Timestamp, TransactionOrdinal, ViewNumber};
use std::collections::VecDeque;
use std::ops::Range;

/// A producer may have this many batches in flight, so this many are remembered.
const BATCHES_REMEMBERED: usize = 5;
/// Kafka's `producer.id.expiration.ms`.
const EXPIRATION_MS: i64 = 24 * 60 * 60 * 1000;
/// Producers of one partition that are remembered at once; past it the longest silent is forgotten. Those with
/// an open transaction come on top: their coordinators bound them.
const PRODUCERS_MAX: usize = 50_000;

/// Who sent a batch, and its place in what they sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchIdentity {
    /// The producer.
    pub producer_id: ProducerId,
    /// Its epoch.
    pub producer_epoch: ProducerEpoch,
    /// The sequence number of the first record.
    pub base_sequence: i32,
    /// How many records, at least one.
    pub record_count: i32,
}

impl BatchIdentity {
    fn last_sequence(self) -> i32 {
        add_sequence(self.base_sequence, self.record_count - 1)
    }
}

/// Sequence numbers go from 0 to `i32::MAX` and begin again at 0.
fn add_sequence(sequence: i32, records: i32) -> i32 {
    let sum = i64::from(sequence) + i64::from(records);
    let wrapped = sum % (i64::from(i32::MAX) + 1);
    i32::try_from(wrapped).expect("a remainder of 2^31 fits")
}

/// What a batch says of itself, and what the coordinator has said of it.
#[derive(Clone, Copy, Debug)]
pub(super) enum BatchKind {
    Plain,
    Transactional(Option<Verified>),
}

/// Whether a batch is new.
#[derive(Clone, Debug)]
pub(super) enum Admission {
    /// It may be appended, to this transaction if to one.
    New { ordinal: Option<TransactionOrdinal> },
    /// It is in the log, or on its way there, at these offsets.
    Repeated { offsets: Range<Offset>, ticket: CommitTicket },
}

/// Whether a marker is new.
#[derive(Clone, Debug)]
pub(super) enum MarkerAdmission {
    New,
    Repeated { ticket: CommitTicket },
}

/// Why a batch is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SequenceError {
    /// A batch before it is missing.
    #[error("sequence {got} is out of order, {expected} was expected")]
    OutOfOrder {
        /// What would follow.
        expected: i32,
        /// What came.
        got: i32,
    },
    /// A newer instance of the producer has written here.
    #[error("producer epoch {got} is older than {current}")]
    Fenced {
        /// The newest seen here.
        current: i16,
        /// What came.
        got: i16,
    },
    /// An idempotent batch without a sequence.
    #[error("sequence {0} is not a sequence number")]
    Invalid(i32),
}

/// The producers of one partition.
#[derive(Clone, Debug, Default)]
pub(super) struct ProducerTable {
    producers: HashMap<ProducerId, Producer>,
    /// How many were forgotten.
    forgotten: u64,
}

#[derive(Clone, Debug)]
struct Producer {
    epoch: ProducerEpoch,
    /// The latest of this epoch, oldest first; none where a marker alone came.
    batches: VecDeque<RememberedBatch>,
    last_timestamp: Timestamp,
    seen_at: Timestamp,
    open: Option<OpenTransaction>,
    ended: EndedTransaction,
}

#[derive(Clone, Copy, Debug)]
struct OpenTransaction {
    ordinal: TransactionOrdinal,
    first_offset: Offset,
}

/// What the last marker said.
#[derive(Clone, Debug)]
struct EndedTransaction {
    ordinal: TransactionOrdinal,
    coordinator_view: ViewNumber,
    ticket: CommitTicket,
}

#[derive(Clone, Debug)]
struct RememberedBatch {
    base_sequence: i32,
    last_sequence: i32,
    offsets: Range<Offset>,
    ticket: CommitTicket,
}

/// A batch that was taken.
#[derive(Clone, Debug)]
pub(super) struct Accepted {
    pub identity: BatchIdentity,
    /// The transaction that it belongs to.
    pub ordinal: Option<TransactionOrdinal>,
    pub offsets: Range<Offset>,
    pub max_timestamp: Timestamp,
    pub ticket: CommitTicket,
    /// The broker's clock, which decides when a silent producer is forgotten.
    pub now: Timestamp,
}

/// A producer as DescribeProducers shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ActiveProducer {
    /// Its id.
    pub producer_id: ProducerId,
    /// Its epoch.
    pub producer_epoch: ProducerEpoch,
    /// The sequence number of its last record, -1 if a marker came after it.
    pub last_sequence: i32,
    /// The timestamp of its last batch.
    pub last_timestamp: Timestamp,
    /// The view of the coordinator that sent its last marker, -1 if none came.
    pub coordinator_view: ViewNumber,
    /// Where its open transaction began.
    pub open_from: Option<Offset>,
}

impl ProducerTable {
    /// Whether the batch follows, repeats, or must be refused. Nothing changes.
    pub fn admit(&self, batch: BatchIdentity, kind: BatchKind) -> Result<Admission, AppendError> {
        if batch.base_sequence < 0 {
            return Err(SequenceError::Invalid(batch.base_sequence).into());
        }
        let known = self.producers.get(&batch.producer_id);
        if let Some(known) = known {
            known.check_epoch(batch.producer_epoch)?;
            if let Some(repeated) = known.find(batch) {
                let RememberedBatch { offsets, ticket, .. } = repeated.clone();
                return Ok(Admission::Repeated { offsets, ticket });
            }
        }
        match kind {
            BatchKind::Plain => admit_plain(batch, known),
            BatchKind::Transactional(verified) => self.admit_transactional(batch, known, verified),
        }
    }

    fn admit_transactional(
        &self,
        batch: BatchIdentity,
        known: Option<&Producer>,
        verified: Option<Verified>,
    ) -> Result<Admission, AppendError> {
        let open = known.and_then(|known| known.open);
        let ended = known.map_or(TransactionOrdinal::NONE, |known| known.ended.ordinal);
        if open.is_some() && known.is_some_and(|known| batch.producer_epoch > known.epoch) {
            return Err(AppendError::ConcurrentTransaction);
        }
        // Where nothing is known nothing was: what is open or has ended is remembered. A later beginning means
        // that a batch before it was refused.
        expect_sequence(batch, known.map_or(0, |known| known.next_sequence(batch.producer_epoch)))?;
        let question = Question { forgotten: self.forgotten };
        let ask = Err(AppendError::NeedsVerification(question));
        match (open, verified) {
            (None, None) => ask,
            (Some(open), None) => Ok(Admission::New { ordinal: Some(open.ordinal) }),
            (Some(open), Some(verified)) if open.ordinal != verified.ordinal => ask,
            (_, Some(verified)) if verified.ordinal <= ended => ask,
            (_, Some(verified)) if known.is_none() && verified.question != question => ask,
            (_, Some(verified)) => Ok(Admission::New { ordinal: Some(verified.ordinal) }),
        }
    }

    /// Whether anything is known of a producer.
    pub fn knows(&self, producer_id: ProducerId) -> bool {
        self.producers.contains_key(&producer_id)
    }

    /// Remembers a batch that has its offsets; the first of them if a transaction begins with it.
    pub fn record(&mut self, batch: Accepted) -> Option<Offset> {
        let Accepted { identity, ordinal, offsets, max_timestamp, ticket, now } = batch;
        let producer = self.producer(identity.producer_id, identity.producer_epoch, now);
        if producer.batches.len() == BATCHES_REMEMBERED {
            producer.batches.pop_front();
        }
        let first_offset = offsets.start;
        let (base_sequence, last_sequence) = (identity.base_sequence, identity.last_sequence());
        producer.batches.push_back(RememberedBatch { base_sequence, last_sequence, offsets, ticket });
        producer.last_timestamp = max_timestamp;
        match (producer.open, ordinal) {
            (None, Some(ordinal)) => {
                producer.open = Some(OpenTransaction { ordinal, first_offset });
                Some(first_offset)
            }
            _ => None,
        }
    }

    /// Whether the marker ends what is open, or keeps out what is late; repeats; or must be refused.
    pub fn admit_marker(&self, marker: &Marker) -> Result<MarkerAdmission, MarkerError> {
        let wrong_ordinal = |open, ended| MarkerError::WrongOrdinal { open, ended, got: marker.ordinal };
        let Some(known) = self.producers.get(&marker.producer_id) else {
            let none = TransactionOrdinal::NONE;
            return if marker.ordinal > none {
                Ok(MarkerAdmission::New)
            } else {
                Err(wrong_ordinal(none, none))
            };
        };
        let ended = &known.ended;
        if marker.coordinator_view < ended.coordinator_view {
            let (current, got) = (ended.coordinator_view, marker.coordinator_view);
            return Err(MarkerError::StaleCoordinator { current, got });
        }
        if marker.producer_epoch < known.epoch {
            return Err(MarkerError::FencedEpoch { current: known.epoch, got: marker.producer_epoch });
        }
        match known.open {
            Some(open) if open.ordinal == marker.ordinal => Ok(MarkerAdmission::New),
            Some(open) => Err(wrong_ordinal(open.ordinal, ended.ordinal)),
            None if marker.ordinal > ended.ordinal => Ok(MarkerAdmission::New),
            None if marker.ordinal == ended.ordinal && marker.ordinal > TransactionOrdinal::NONE => {
                Ok(MarkerAdmission::Repeated { ticket: ended.ticket.clone() })
            }
            None => Err(wrong_ordinal(TransactionOrdinal::NONE, ended.ordinal)),
        }
    }

    /// Remembers a marker that has its offset; where the transaction began that it ended, if one was open.
    pub fn record_marker(&mut self, marker: &Marker, ticket: CommitTicket, now: Timestamp) -> Option<Offset> {
        let Marker { producer_id, producer_epoch, coordinator_view, ordinal, .. } = *marker;
        let producer = self.producer(producer_id, producer_epoch, now);
        producer.last_timestamp = now;
        producer.ended = EndedTransaction { ordinal, coordinator_view, ticket };
        producer.open.take().map(|open| open.first_offset)
    }

    /// Whether a committed row stands where a leader would have put it.
    pub fn may_follow(&self, producer_id: ProducerId, transaction: RowTransaction) -> bool {
        let known = self.producers.get(&producer_id);
        let open = known.and_then(|known| known.open);
        match transaction {
            RowTransaction::None => open.is_none(),
            RowTransaction::Batch { ordinal } | RowTransaction::Marker { ordinal, .. } => match open {
                Some(open) => open.ordinal == ordinal,
                None => known.is_none_or(|known| ordinal > known.ended.ordinal),
            },
        }
    }

    /// The producer under this epoch: a new one begins without batches.
    fn producer(&mut self, id: ProducerId, epoch: ProducerEpoch, now: Timestamp) -> &mut Producer {
        if self.producers.len() >= PRODUCERS_MAX && !self.producers.contains_key(&id) {
            self.make_room(now);
        }
        let producer = self.producers.entry(id).or_insert_with(|| Producer::new(epoch));
        if producer.epoch != epoch {
            producer.epoch = epoch;
            producer.batches.clear();
        }
        producer.seen_at = now;
        producer
    }

    fn make_room(&mut self, now: Timestamp) {
        let before = self.producers.len();
        self.producers.retain(|_, producer| producer.is_alive(now));
        if self.producers.len() >= PRODUCERS_MAX {
            let closed = self.producers.iter().filter(|(_, producer)| producer.open.is_none());
            let oldest = closed.min_by_key(|(_, producer)| producer.seen_at).map(|(id, _)| *id);
            oldest.and_then(|id| self.producers.remove(&id));
        }
        self.forgotten += (before - self.producers.len()) as u64;
    }

    pub fn active(&self, now: Timestamp) -> Vec<ActiveProducer> {
        let alive = self.producers.iter().filter(|(_, producer)| producer.is_alive(now));
        let mut active: Vec<_> = alive
            .map(|(id, producer)| ActiveProducer {
                producer_id: *id,
                producer_epoch: producer.epoch,
                last_sequence: producer.batches.back().map_or(-1, |batch| batch.last_sequence),
                last_timestamp: producer.last_timestamp,
                coordinator_view: producer.ended.coordinator_view,
                open_from: producer.open.map(|open| open.first_offset),
            })
            .collect();
        active.sort_by_key(|producer| producer.producer_id);
        active
    }
}

impl ProducerTable {
    /// The producers that are still remembered, in the order of their ids.
    pub fn snapshot(&self, now: Timestamp) -> Vec<ProducerSnapshot> {
        let alive = self.producers.iter().filter(|(_, producer)| producer.is_alive(now));
        let mut producers: Vec<_> = alive.map(|(id, producer)| producer.snapshot(*id)).collect();
        producers.sort_by_key(|producer| producer.producer_id);
        producers
    }

    /// As a snapshot has it; all of it is committed.
    pub fn restore(producers: &[ProducerSnapshot]) -> ProducerTable {
        let producers = producers.iter().map(|snapshot| (snapshot.producer_id, Producer::restore(snapshot)));
        ProducerTable { producers: producers.collect(), forgotten: 0 }
    }
}

fn admit_plain(batch: BatchIdentity, known: Option<&Producer>) -> Result<Admission, AppendError> {
    // As in Apache Kafka, a producer not known here may begin with any number: its state may have expired.
    if let Some(known) = known {
        expect_sequence(batch, known.next_sequence(batch.producer_epoch))?;
        if known.open.is_some() {
            return Err(AppendError::OutsideTransaction);
        }
    }
    Ok(Admission::New { ordinal: None })
}

fn expect_sequence(batch: BatchIdentity, expected: i32) -> Result<(), SequenceError> {
    let got = batch.base_sequence;
    if got == expected { Ok(()) } else { Err(SequenceError::OutOfOrder { expected, got }) }
}

impl Producer {
    fn new(epoch: ProducerEpoch) -> Producer {
        Producer {
            epoch,
            batches: VecDeque::new(),
            last_timestamp: Timestamp::NONE,
            seen_at: Timestamp::NONE,
            open: None,
            ended: EndedTransaction {
                ordinal: TransactionOrdinal::NONE,
                coordinator_view: ViewNumber(-1),
                ticket: CommitTicket::committed(),
            },
        }
    }

    fn snapshot(&self, producer_id: ProducerId) -> ProducerSnapshot {
        let batches = self.batches.iter().map(|batch| BatchSnapshot {
            base_sequence: batch.base_sequence,
            last_sequence: batch.last_sequence,
            offsets: batch.offsets.clone(),
        });
        let open = self.open.map(|OpenTransaction { ordinal, first_offset }| OpenTransactionSnapshot {
            ordinal,
            first_offset,
        });
        ProducerSnapshot {
            producer_id,
            producer_epoch: self.epoch,
            batches: batches.collect(),
            last_timestamp: self.last_timestamp,
            seen_at: self.seen_at,
            open,
            ended: self.ended.ordinal,
            coordinator_view: self.ended.coordinator_view,
        }
    }

    fn restore(snapshot: &ProducerSnapshot) -> Producer {
        let batches = snapshot.batches.iter().map(|batch| RememberedBatch {
            base_sequence: batch.base_sequence,
            last_sequence: batch.last_sequence,
            offsets: batch.offsets.clone(),
            ticket: CommitTicket::committed(),
        });
        let open = snapshot.open.map(|OpenTransactionSnapshot { ordinal, first_offset }| OpenTransaction {
            ordinal,
            first_offset,
        });
        Producer {
            epoch: snapshot.producer_epoch,
            batches: batches.collect(),
            last_timestamp: snapshot.last_timestamp,
            seen_at: snapshot.seen_at,
            open,
            ended: EndedTransaction {
                ordinal: snapshot.ended,
                coordinator_view: snapshot.coordinator_view,
                ticket: CommitTicket::committed(),
            },
        }
    }

    /// Whether it is remembered for what it did of late, or has something open.
    fn is_alive(&self, now: Timestamp) -> bool {
        self.open.is_some() || now.0 - self.seen_at.0 < EXPIRATION_MS
    }

    fn check_epoch(&self, got: ProducerEpoch) -> Result<(), SequenceError> {
        if got < self.epoch {
            Err(SequenceError::Fenced { current: self.epoch.0, got: got.0 })
        } else {
            Ok(())
        }
    }

    fn find(&self, batch: BatchIdentity) -> Option<&RememberedBatch> {
        if batch.producer_epoch != self.epoch {
            return None;
        }
        let last_sequence = batch.last_sequence();
        let same = |known: &&RememberedBatch| {
            known.base_sequence == batch.base_sequence && known.last_sequence == last_sequence
        };
        self.batches.iter().find(same)
    }

    /// What follows under `epoch`, which is not before the known one.
    fn next_sequence(&self, epoch: ProducerEpoch) -> i32 {
        let last = self.batches.back().filter(|_| epoch == self.epoch);
        last.map_or(0, |batch| add_sequence(batch.last_sequence, 1))
    }
}
