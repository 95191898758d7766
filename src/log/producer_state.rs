//! What a partition knows of its idempotent producers: enough to recognise a repeated batch, and to refuse
//! one that comes too early or from a fenced producer (KIP-98, `ProducerStateManager` in Apache Kafka).

use crate::journal::CommitTicket;
use crate::types::{Offset, ProducerEpoch, ProducerId, Timestamp};
use std::collections::{HashMap, VecDeque};
use std::ops::Range;

/// A producer may have this many batches in flight, so this many are remembered.
const BATCHES_REMEMBERED: usize = 5;
/// Kafka's `producer.id.expiration.ms`.
const EXPIRATION_MS: i64 = 24 * 60 * 60 * 1000;
/// Producers of one partition that are remembered at once; past it the longest silent is forgotten.
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

/// Whether a batch is new.
#[derive(Clone, Debug)]
pub(super) enum Admission {
    New,
    /// It is in the log, or on its way there, at these offsets.
    Repeated {
        offsets: Range<Offset>,
        ticket: CommitTicket,
    },
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
#[derive(Debug, Default)]
pub(super) struct ProducerTable {
    producers: HashMap<ProducerId, Producer>,
}

#[derive(Debug)]
struct Producer {
    epoch: ProducerEpoch,
    /// The latest, oldest first; never empty.
    batches: VecDeque<RememberedBatch>,
    last_timestamp: Timestamp,
    seen_at: Timestamp,
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
    /// The sequence number of its last record.
    pub last_sequence: i32,
    /// The timestamp of its last batch.
    pub last_timestamp: Timestamp,
}

impl ProducerTable {
    /// Whether the batch follows, repeats, or must be refused. Nothing changes.
    pub fn admit(&self, batch: BatchIdentity) -> Result<Admission, SequenceError> {
        if batch.base_sequence < 0 {
            return Err(SequenceError::Invalid(batch.base_sequence));
        }
        // As in Apache Kafka, a producer not known here may begin with any number: its state may have expired.
        let Some(known) = self.producers.get(&batch.producer_id) else { return Ok(Admission::New) };
        if batch.producer_epoch < known.epoch {
            return Err(SequenceError::Fenced { current: known.epoch.0, got: batch.producer_epoch.0 });
        }
        if batch.producer_epoch > known.epoch {
            return expect_sequence(batch, 0);
        }
        if let Some(repeated) = known.find(batch) {
            return Ok(Admission::Repeated {
                offsets: repeated.offsets.clone(),
                ticket: repeated.ticket.clone(),
            });
        }
        expect_sequence(batch, add_sequence(known.last_sequence(), 1))
    }

    /// Remembers a batch that has its offsets.
    pub fn record(&mut self, batch: Accepted) {
        let Accepted { identity, offsets, max_timestamp, ticket, now } = batch;
        if self.producers.len() >= PRODUCERS_MAX && !self.producers.contains_key(&identity.producer_id) {
            self.make_room(now);
        }
        let epoch = identity.producer_epoch;
        let producer = self.producers.entry(identity.producer_id).or_insert_with(|| Producer::new(epoch));
        if producer.epoch != epoch {
            *producer = Producer::new(epoch);
        }
        if producer.batches.len() == BATCHES_REMEMBERED {
            producer.batches.pop_front();
        }
        let (base_sequence, last_sequence) = (identity.base_sequence, identity.last_sequence());
        producer.batches.push_back(RememberedBatch { base_sequence, last_sequence, offsets, ticket });
        producer.last_timestamp = max_timestamp;
        producer.seen_at = now;
    }

    fn make_room(&mut self, now: Timestamp) {
        self.producers.retain(|_, producer| now.0 - producer.seen_at.0 < EXPIRATION_MS);
        if self.producers.len() >= PRODUCERS_MAX {
            let oldest =
                self.producers.iter().min_by_key(|(_, producer)| producer.seen_at).map(|(id, _)| *id);
            oldest.and_then(|id| self.producers.remove(&id));
        }
    }

    pub fn active(&self, now: Timestamp) -> Vec<ActiveProducer> {
        let alive = self.producers.iter().filter(|(_, producer)| now.0 - producer.seen_at.0 < EXPIRATION_MS);
        let mut active: Vec<_> = alive
            .map(|(id, producer)| ActiveProducer {
                producer_id: *id,
                producer_epoch: producer.epoch,
                last_sequence: producer.last_sequence(),
                last_timestamp: producer.last_timestamp,
            })
            .collect();
        active.sort_by_key(|producer| producer.producer_id);
        active
    }
}

fn expect_sequence(batch: BatchIdentity, expected: i32) -> Result<Admission, SequenceError> {
    let got = batch.base_sequence;
    if got == expected { Ok(Admission::New) } else { Err(SequenceError::OutOfOrder { expected, got }) }
}

impl Producer {
    fn new(epoch: ProducerEpoch) -> Producer {
        Producer {
            epoch,
            batches: VecDeque::new(),
            last_timestamp: Timestamp::NONE,
            seen_at: Timestamp::NONE,
        }
    }

    fn find(&self, batch: BatchIdentity) -> Option<&RememberedBatch> {
        let last_sequence = batch.last_sequence();
        let same = |known: &&RememberedBatch| {
            known.base_sequence == batch.base_sequence && known.last_sequence == last_sequence
        };
        self.batches.iter().find(same)
    }

    fn last_sequence(&self) -> i32 {
        self.batches.back().expect("a producer is known by its batches").last_sequence
    }
}
