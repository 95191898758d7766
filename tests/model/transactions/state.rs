//! What the world of transactions is made of: the stored value, coordinators, places, clients, and what is on
//! its way.

use crate::list::List;

pub const INSTANCES: usize = 2;
pub const TRANSACTIONS: usize = 2;
pub const PLACES: usize = 2;
pub const COORDINATORS: usize = 2;
pub const ORDINALS: usize = 4;
pub const ROWS: usize = 8;
pub const MARKERS: usize = 14;
pub const LATE: usize = 2;

pub type InstanceId = u8;
/// A partition, or the offsets of a group: both take writes of a transaction and its marker.
pub type PlaceId = u8;
pub type CoordinatorId = u8;
pub type ProducerEpoch = u8;
/// Counts the transactions of one transactional id, from one.
pub type Ordinal = u8;
/// A bit per place.
pub type Places = u8;

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct State {
    /// The value of the transactional id in the metadata store.
    pub stored: Stored,
    /// The coordinator whose standing is good; its number is its coordinator view.
    pub standing: CoordinatorId,
    pub cores: [Option<Core>; COORDINATORS],
    /// Writes whose sender has given up waiting; they may still be executed, or never.
    pub late: List<LateWrite, LATE>,
    /// Markers that were sent: each may arrive at any time, any number of times, in any order, or never.
    pub markers: List<Marker, MARKERS>,
    pub places: [Place; PLACES],
    pub clients: [Client; INSTANCES],
    pub left: Budget,
    /// Ghost: the verdict that was stored first for each ordinal.
    pub verdicts: [Option<Verdict>; ORDINALS],
    /// Ghost: a promise that was broken by the last step.
    pub violation: Option<&'static str>,
}

// ---- the coordinator of the transactional id

/// One value. Every change makes it greater, so to compare values is to compare revisions.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Stored {
    pub producer_epoch: ProducerEpoch,
    pub stage: Stage,
    pub ordinal: Ordinal,
    pub places: Places,
    /// The last bump ended a transaction, by its client's EndTxn or for its age, not for a successor: an
    /// EndTxn of version 2 with the epoch before it and the same verdict is told the epoch (again).
    pub end_may_retry: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum Stage {
    #[default]
    Empty,
    Ongoing,
    Prepare(Verdict),
    Complete(Verdict),
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum Verdict {
    #[default]
    Commit,
    Abort,
}

/// What a coordinator holds in memory; dropped when a write fails or its outcome is unknown.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Core {
    pub value: Stored,
    /// Places that answered the marker of `value.ordinal`.
    pub marked: Places,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct LateWrite {
    pub by: CoordinatorId,
    pub expected: Stored,
    pub new: Stored,
}

// ---- partitions and group offsets

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Marker {
    pub place: PlaceId,
    pub ordinal: Ordinal,
    pub verdict: Verdict,
    pub producer_epoch: ProducerEpoch,
    pub coordinator_view: CoordinatorId,
}

/// A partition with its present leader. What it knows of the producer follows from `log` alone.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Place {
    pub log: List<Row, ROWS>,
    pub producer: ProducerState,
    /// Answers of the coordinator to the leader: the ordinal under which a batch may be appended (0 is none).
    pub verified: [[Ordinal; TRANSACTIONS]; INSTANCES],
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct ProducerState {
    pub producer_epoch: ProducerEpoch,
    /// The ordinal of the open transaction; 0 is none.
    pub open: Ordinal,
    /// The offset of its first batch.
    pub open_from: u8,
    /// The ordinal of the last marker that was written.
    pub ended: Ordinal,
    pub coordinator_view: CoordinatorId,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Row {
    Batch { from: Source, ordinal: Ordinal, producer_epoch: ProducerEpoch },
    Marker(Marker),
}

impl Default for Row {
    fn default() -> Self {
        Row::Marker(Marker::default())
    }
}

// ---- clients

/// A transaction as its client counts it: the instance of the producer, and the how-manieth of its life.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Source {
    pub instance: InstanceId,
    pub number: u8,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Client {
    pub life: Life,
    /// Its present transaction.
    pub number: u8,
    pub transactions: [ClientTransaction; TRANSACTIONS],
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Life {
    #[default]
    Off,
    /// Waits for the answer to InitProducerId.
    Starting,
    Running,
    /// Fenced, or nothing more to do. What it sent may still arrive.
    Gone,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct ClientTransaction {
    pub producer_epoch: ProducerEpoch,
    /// AddPartitionsToTxn was answered (version 1).
    pub added: Places,
    pub acked: Places,
    /// Nothing but what was acknowledged was ever sent, so nothing else arrives late.
    pub settled: bool,
    pub commit_sent: bool,
    pub abort_sent: bool,
    /// The verdict whose answer it waits for.
    pub asked: Option<Verdict>,
    pub outcome: Option<Verdict>,
    /// The epoch that came with the outcome.
    pub next_epoch: ProducerEpoch,
}

/// How much may still go wrong.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Budget {
    pub late_writes: u8,
    pub crashes: u8,
    pub coordinator_changes: u8,
    pub leader_changes: u8,
    pub other_verdicts: u8,
    /// Executions of InitProducerId whose answer reaches nobody.
    pub stray_inits: u8,
}

impl Client {
    pub fn transaction(&mut self) -> &mut ClientTransaction {
        &mut self.transactions[self.number as usize]
    }

    /// Whether the client has begun its transaction of that number.
    pub fn has_begun(&self, number: u8) -> bool {
        number <= self.number && self.transactions[number as usize].producer_epoch > 0
    }
}

impl Place {
    pub fn last_stable_offset(&self) -> u8 {
        if self.producer.open > 0 { self.producer.open_from } else { self.log.len() as u8 }
    }

    pub fn holds(&self, source: Source) -> bool {
        self.log.iter().any(|row| matches!(row, Row::Batch { from, .. } if *from == source))
    }

    /// What readers learn of each batch: the first marker after it.
    pub fn decided(&self) -> impl Iterator<Item = (usize, Source, Ordinal, Option<Verdict>)> + '_ {
        self.log.iter().enumerate().filter_map(|(offset, row)| match row {
            Row::Batch { from, ordinal, .. } => Some((offset, *from, *ordinal, self.verdict_after(offset))),
            Row::Marker(_) => None,
        })
    }

    fn verdict_after(&self, offset: usize) -> Option<Verdict> {
        self.log[offset..].iter().find_map(|row| match row {
            Row::Marker(marker) => Some(marker.verdict),
            Row::Batch { .. } => None,
        })
    }
}
