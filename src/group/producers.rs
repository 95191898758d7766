//! Transactional producers as the offsets of a group know them: which transaction of theirs ended last, so that what
//! comes late changes nothing. The same rules as for a partition (`tests/model/transactions.rs`).
//!
//! ```text
//! {"v":1,"producers":{"4000":{"epoch":7,"ended":12,"view":3,"at":1700000000000}}}
//! ```

use super::stored::VERSION;
use crate::types::{ProducerEpoch, ProducerId, Timestamp, TransactionOrdinal, Verdict, ViewNumber};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The end of a transaction, from its coordinator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndOffsets {
    /// The producer.
    pub producer_id: ProducerId,
    /// Its epoch from here on.
    pub producer_epoch: ProducerEpoch,
    /// Which of its transactions.
    pub ordinal: TransactionOrdinal,
    /// How it ended.
    pub verdict: Verdict,
    /// The view of the coordinator that says so.
    pub coordinator_view: ViewNumber,
}

/// Why offsets, or the end of a transaction, are not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ProducerFault {
    /// A later epoch of the producer is known.
    Fenced,
    /// The transaction before it has not ended here yet.
    Concurrent,
    /// The transaction has ended here: its coordinator is to be asked again.
    Ended,
    /// A later coordinator has spoken, or of another transaction than the one that is open.
    Stale,
}

/// What is to be done about the end of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EndAdmission {
    New,
    Repeated,
}

/// The producers of one group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Producers {
    known: BTreeMap<i64, Known>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Known {
    epoch: i16,
    ended: i64,
    view: i32,
    at: i64,
}

#[derive(Serialize, Deserialize)]
pub(super) struct StoredProducers {
    v: u32,
    producers: BTreeMap<i64, Known>,
}

/// Producers that one group remembers; past it the one that ended longest ago is forgotten.
const PRODUCERS_MAX: usize = 2_000;

impl Producers {
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// Whether offsets of that transaction may be kept. `open` is the producer's transaction that is pending.
    pub fn check_offsets(
        &self,
        producer_id: ProducerId,
        epoch: ProducerEpoch,
        ordinal: TransactionOrdinal,
        open: Option<TransactionOrdinal>,
    ) -> Result<(), ProducerFault> {
        let known = self.known.get(&producer_id.0);
        if known.is_some_and(|known| epoch.0 < known.epoch) {
            return Err(ProducerFault::Fenced);
        }
        if open.is_some_and(|open| open != ordinal) {
            return Err(ProducerFault::Concurrent);
        }
        if known.is_some_and(|known| ordinal.0 <= known.ended) {
            return Err(ProducerFault::Ended);
        }
        Ok(())
    }

    /// Whether that end is new, was told before, or is not to be believed.
    pub fn check_end(
        &self,
        end: &EndOffsets,
        open: Option<TransactionOrdinal>,
    ) -> Result<EndAdmission, ProducerFault> {
        let known = self.known.get(&end.producer_id.0);
        if known.is_some_and(|known| end.coordinator_view.0 < known.view) {
            return Err(ProducerFault::Stale);
        }
        if known.is_some_and(|known| end.producer_epoch.0 < known.epoch) {
            return Err(ProducerFault::Fenced);
        }
        let ended = known.map_or(0, |known| known.ended);
        match open {
            Some(open) if open == end.ordinal => Ok(EndAdmission::New),
            None if end.ordinal.0 > ended => Ok(EndAdmission::New),
            None if end.ordinal.0 == ended => Ok(EndAdmission::Repeated),
            _ => Err(ProducerFault::Stale),
        }
    }

    /// Remembers a transaction that has ended.
    pub fn record(&mut self, end: &EndOffsets, now: Timestamp) {
        if self.known.len() >= PRODUCERS_MAX && !self.known.contains_key(&end.producer_id.0) {
            let oldest = self.known.iter().min_by_key(|(_, known)| known.at).map(|(id, _)| *id);
            oldest.and_then(|id| self.known.remove(&id));
        }
        let known = Known {
            epoch: end.producer_epoch.0,
            ended: end.ordinal.0,
            view: end.coordinator_view.0,
            at: now.0,
        };
        self.known.insert(end.producer_id.0, known);
    }
}

impl From<&Producers> for StoredProducers {
    fn from(producers: &Producers) -> StoredProducers {
        StoredProducers { v: VERSION, producers: producers.known.clone() }
    }
}

impl From<StoredProducers> for Producers {
    fn from(stored: StoredProducers) -> Producers {
        Producers { known: stored.producers }
    }
}

#[cfg(test)]
mod tests;
