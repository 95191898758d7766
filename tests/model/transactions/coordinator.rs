//! What a coordinator answers to each request in each state: pure, of the stored value alone.

use super::bugs::Bug;
use super::state::*;
use super::{TransactionVersion, World};

/// An answer at once, or a value to store first.
pub enum Decision<A> {
    Now(A),
    Store(Stored, A),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Answer {
    /// AddPartitionsToTxn and its kin: the partition belongs to the transaction of that ordinal.
    Added(Ordinal),
    /// EndTxn and InitProducerId: the epoch to go on with.
    Epoch(ProducerEpoch),
    /// Try again: the last transaction is being ended.
    Concurrent,
    Fenced,
    InvalidState,
}

use Answer::*;
use Decision::*;

impl World {
    /// AddPartitionsToTxn of a client (version 1), or a leader that asks for a batch it was sent (version 2).
    pub fn on_add(&self, value: Stored, epoch: ProducerEpoch, place: PlaceId) -> Decision<Answer> {
        let bit = 1 << place;
        match value.stage {
            _ if epoch != value.producer_epoch => Now(Fenced),
            Stage::Prepare(_) if !self.has(Bug::BeginWhileEnding) => Now(Concurrent),
            Stage::Ongoing if value.places & bit > 0 => Now(Added(value.ordinal)),
            Stage::Ongoing => Store(Stored { places: value.places | bit, ..value }, Added(value.ordinal)),
            _ => {
                let ordinal = value.ordinal + 1;
                let begun =
                    Stored { stage: Stage::Ongoing, ordinal, places: bit, end_may_retry: false, ..value };
                Store(begun, Added(ordinal))
            }
        }
    }

    /// A leader asks for a batch of version 1: its partition must have been added before.
    pub fn on_verify(&self, value: Stored, epoch: ProducerEpoch, place: PlaceId) -> Decision<Answer> {
        match value.stage {
            _ if epoch != value.producer_epoch => Now(Fenced),
            Stage::Ongoing if value.places & 1 << place > 0 => Now(Added(value.ordinal)),
            _ => Now(InvalidState),
        }
    }

    pub fn on_end(&self, value: Stored, epoch: ProducerEpoch, verdict: Verdict) -> Decision<Answer> {
        match self.version {
            TransactionVersion::One => self.on_end_of_version_1(value, epoch, verdict),
            TransactionVersion::Two => self.on_end_of_version_2(value, epoch, verdict),
        }
    }

    fn on_end_of_version_2(&self, value: Stored, epoch: ProducerEpoch, verdict: Verdict) -> Decision<Answer> {
        let bump = if self.has(Bug::EpochNotBumped) { 0 } else { 1 };
        let ended = |stage, places| {
            let producer_epoch = value.producer_epoch + bump;
            Store(
                Stored { producer_epoch, stage, places, end_may_retry: true, ..value },
                Epoch(producer_epoch),
            )
        };
        if epoch == value.producer_epoch {
            return match (value.stage, verdict) {
                (Stage::Ongoing, _) => ended(Stage::Prepare(verdict), value.places),
                (Stage::Prepare(_), _) => Now(Concurrent),
                // The client cannot know whether any of its batches began the transaction.
                (_, Verdict::Abort) => ended(Stage::Complete(Verdict::Abort), 0),
                (_, Verdict::Commit) => Now(InvalidState),
            };
        }
        let is_retry = epoch + 1 == value.producer_epoch && value.end_may_retry;
        match value.stage {
            Stage::Prepare(last) | Stage::Complete(last) if is_retry && last == verdict => {
                Now(Epoch(value.producer_epoch))
            }
            Stage::Prepare(_) | Stage::Complete(_) if is_retry && self.has(Bug::OtherVerdictAccepted) => {
                Now(Epoch(value.producer_epoch))
            }
            Stage::Ongoing if epoch + 1 == value.producer_epoch && self.has(Bug::LateEndApplied) => {
                ended(Stage::Prepare(verdict), value.places)
            }
            _ => Now(Fenced),
        }
    }

    fn on_end_of_version_1(&self, value: Stored, epoch: ProducerEpoch, verdict: Verdict) -> Decision<Answer> {
        match value.stage {
            _ if epoch != value.producer_epoch => Now(Fenced),
            Stage::Ongoing => Store(Stored { stage: Stage::Prepare(verdict), ..value }, Epoch(epoch)),
            Stage::Prepare(_) => Now(Concurrent),
            Stage::Complete(last) if last == verdict => Now(Epoch(epoch)),
            Stage::Complete(_) | Stage::Empty => Now(InvalidState),
        }
    }

    pub fn on_init(&self, value: Stored) -> Decision<Answer> {
        let fresh = Stored {
            producer_epoch: value.producer_epoch + 1,
            stage: Stage::Empty,
            end_may_retry: false,
            places: 0,
            ..value
        };
        match value.stage {
            Stage::Ongoing if !self.has(Bug::InitWithoutEnding) => {
                Store(Stored { end_may_retry: false, ..self.aborted(value) }, Concurrent)
            }
            Stage::Prepare(_) if !self.has(Bug::InitWithoutEnding) => Now(Concurrent),
            _ if self.has(Bug::InitKeepsVerdict) => {
                let producer_epoch = value.producer_epoch + 1;
                Store(Stored { producer_epoch, ..value }, Epoch(producer_epoch))
            }
            _ => Store(fresh, Epoch(fresh.producer_epoch)),
        }
    }

    /// The end of an open transaction whose client is too slow, or has a successor: fences in both versions.
    pub fn aborted(&self, value: Stored) -> Stored {
        let bump = if self.has(Bug::TimeoutKeepsEpoch) { 0 } else { 1 };
        let producer_epoch = value.producer_epoch + bump;
        Stored { producer_epoch, stage: Stage::Prepare(Verdict::Abort), end_may_retry: true, ..value }
    }

    pub fn is_complete(&self, core: &Core) -> bool {
        let missing = core.value.places & !core.marked;
        missing == 0 || (core.marked > 0 && self.has(Bug::CompleteTooEarly))
    }
}
