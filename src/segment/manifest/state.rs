//! What the manifest keeps of a partition's past besides its segments.

use crate::types::{
    LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp, TransactionOrdinal, ViewNumber,
};
use std::ops::Range;

/// Where the batches of a leader epoch begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochStart {
    /// The epoch.
    pub leader_epoch: LeaderEpoch,
    /// The offset of its first batch.
    pub start: Offset,
}

/// A finished pass of log compaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CleanPass {
    /// Below it, no record has a later one of its key that is also below it.
    pub up_to: Offset,
    /// When the pass was finished: tombstones that it was the first to see may go `delete.retention.ms` later.
    pub at: Timestamp,
}

/// An idempotent producer as it stood when the archived offset was the end of the log: what the rows from there
/// on are judged by after a restart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProducerSnapshot {
    /// The producer.
    pub producer_id: ProducerId,
    /// Its epoch.
    pub producer_epoch: ProducerEpoch,
    /// Its latest batches under that epoch, oldest first, at most [`ProducerSnapshot::BATCHES_MAX`].
    pub batches: Vec<BatchSnapshot>,
    /// The latest timestamp of its last batch.
    pub last_timestamp: Timestamp,
    /// When it was last heard of, by the broker's clock.
    pub seen_at: Timestamp,
    /// Its transaction whose marker lies at or above the archived offset. There may be one although nothing above
    /// the last stable offset is archived: a marker may come later than where another transaction begins.
    pub open: Option<OpenTransactionSnapshot>,
    /// Its transaction that ended last here, zero for none.
    pub ended: TransactionOrdinal,
    /// The view of the coordinator that ended it, -1 for none.
    pub coordinator_view: ViewNumber,
}

impl ProducerSnapshot {
    /// Batches of a producer that are remembered.
    pub const BATCHES_MAX: usize = 5;
}

/// A batch by which a repetition is recognised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchSnapshot {
    /// The sequence number of its first record.
    pub base_sequence: i32,
    /// The sequence number of its last record.
    pub last_sequence: i32,
    /// Its offsets.
    pub offsets: Range<Offset>,
}

/// A transaction without its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenTransactionSnapshot {
    /// Which of its producer's.
    pub ordinal: TransactionOrdinal,
    /// The offset of its first batch.
    pub first_offset: Offset,
}

/// Epochs that are kept. For those that were dropped the answer is the start of the first that is kept: as nothing
/// is ever truncated, that misleads nobody.
pub(super) const EPOCHS_MAX: usize = 10_000;
/// Clean passes that are kept apart.
pub(super) const PASSES_MAX: usize = 100;
/// Producers of a snapshot. The log remembers fewer, apart from those with open transactions.
pub(super) const PRODUCERS_MAX: usize = 500_000;

/// What is wrong with the epochs, if anything.
pub(super) fn epochs_fault(epochs: &[EpochStart], archived_offset: Offset) -> Option<&'static str> {
    let follow =
        |pair: &[EpochStart]| pair[0].leader_epoch < pair[1].leader_epoch && pair[0].start < pair[1].start;
    match () {
        () if epochs.len() > EPOCHS_MAX => Some("there are too many leader epochs"),
        () if !epochs.windows(2).all(follow) => Some("leader epochs do not follow each other"),
        () if epochs.last().is_some_and(|last| last.start >= archived_offset) => {
            Some("a leader epoch begins beyond what is archived")
        }
        () => None,
    }
}

/// What is wrong with the clean passes, if anything.
pub(super) fn passes_fault(passes: &[CleanPass], archived_offset: Offset) -> Option<&'static str> {
    let follow = |pair: &[CleanPass]| pair[0].up_to < pair[1].up_to && pair[0].at <= pair[1].at;
    match () {
        () if passes.len() > PASSES_MAX => Some("there are too many clean passes"),
        () if !passes.windows(2).all(follow) => Some("clean passes do not follow each other"),
        () if passes.last().is_some_and(|last| last.up_to > archived_offset) => {
            Some("a clean pass went beyond what is archived")
        }
        () => None,
    }
}

/// What is wrong with the producers, if anything.
pub(super) fn producers_fault(
    producers: &[ProducerSnapshot],
    archived_offset: Offset,
) -> Option<&'static str> {
    let in_order = |pair: &[ProducerSnapshot]| pair[0].producer_id < pair[1].producer_id;
    match () {
        () if producers.len() > PRODUCERS_MAX => Some("there are too many producers"),
        () if !producers.windows(2).all(in_order) => Some("producers are not in the order of their ids"),
        () => producers.iter().find_map(|producer| producer_fault(producer, archived_offset)),
    }
}

fn producer_fault(producer: &ProducerSnapshot, archived_offset: Offset) -> Option<&'static str> {
    let batches = &producer.batches;
    let legal = |batch: &BatchSnapshot| {
        let Range { start, end } = batch.offsets;
        Offset::ZERO <= start && start < end && batch.base_sequence >= 0 && batch.last_sequence >= 0
    };
    let follow = |pair: &[BatchSnapshot]| pair[0].offsets.end <= pair[1].offsets.start;
    let last = batches.last().is_some_and(|batch| batch.offsets.end > archived_offset);
    let open = producer.open.is_some_and(|open| open.first_offset >= archived_offset);
    match () {
        () if batches.len() > ProducerSnapshot::BATCHES_MAX => Some("a producer has too many batches"),
        () if !batches.iter().all(legal) => Some("a producer's batch makes no sense"),
        () if !batches.windows(2).all(follow) => Some("a producer's batches do not follow each other"),
        () if last || open => Some("a producer has written beyond what is archived"),
        () => None,
    }
}
