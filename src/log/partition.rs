//! One partition of the log: the owner of its offsets, its producers, and the index of what is committed.

use super::index::{IndexEntry, PartitionIndex};
use super::producer_state::{
    Accepted, ActiveProducer, Admission, BatchIdentity, ProducerTable, SequenceError,
};
use super::read_plan::{OutOfRange, ReadPlan, plan};
use super::waiters::{Waiter, Waiters};
use crate::journal::{AppendRow, CommitTicket, Journal, JournalClosed, ObjectId, Row, RowIndex, Span};
use crate::limits::MemoryPermit;
use crate::types::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp, TopicPartition};
use bytes::Bytes;
use parking_lot::Mutex;
use std::sync::Arc;

/// A partition that this broker leads.
#[derive(Debug)]
pub struct Partition {
    topic_partition: TopicPartition,
    /// The epoch that this session's batches carry.
    leader_epoch: LeaderEpoch,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    log_start_offset: Offset,
    /// First offset not yet committed, hence not visible.
    high_watermark: Offset,
    /// First offset not given yet.
    log_end_offset: Offset,
    index: PartitionIndex,
    producers: ProducerTable,
    waiters: Waiters,
    /// Closed for good: the topic is gone.
    closed: bool,
}

/// A validated batch that wants its offsets.
#[derive(Clone, Debug)]
pub struct Incoming {
    /// The batch as sent.
    pub batch: Bytes,
    /// How many offsets it takes.
    pub record_count: i32,
    /// The latest of its timestamps.
    pub max_timestamp: Timestamp,
    /// Its producer and sequence, if it has them.
    pub identity: Option<BatchIdentity>,
    /// The attributes of its header.
    pub attributes: i16,
}

/// A batch that is in the log, or on its way there.
#[derive(Clone, Debug)]
pub struct Appended {
    /// The offset of its first record.
    pub base_offset: Offset,
    /// First readable offset of the partition, for the answer.
    pub log_start_offset: Offset,
    /// Says when it is durable.
    pub ticket: CommitTicket,
}

/// Why a batch was not taken. Nothing of it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// The producer's sequence forbids it.
    #[error(transparent)]
    Sequence(#[from] SequenceError),
    /// This session no longer leads the partition.
    #[error("this broker does not lead the partition")]
    NotLeading,
}

impl From<JournalClosed> for AppendError {
    fn from(_: JournalClosed) -> AppendError {
        AppendError::NotLeading
    }
}

/// The ends of a partition's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    /// First readable.
    pub log_start_offset: Offset,
    /// First not visible.
    pub high_watermark: Offset,
    /// First that `read_committed` does not show.
    pub last_stable_offset: Offset,
}

impl Partition {
    /// An empty partition, led under `leader_epoch`.
    #[must_use]
    pub fn new(topic_partition: TopicPartition, leader_epoch: LeaderEpoch) -> Partition {
        let state = State {
            log_start_offset: Offset::ZERO,
            high_watermark: Offset::ZERO,
            log_end_offset: Offset::ZERO,
            index: PartitionIndex::default(),
            producers: ProducerTable::default(),
            waiters: Waiters::default(),
            closed: false,
        };
        Partition { topic_partition, leader_epoch, state: Mutex::new(state) }
    }

    /// Which partition it is.
    #[must_use]
    pub fn topic_partition(&self) -> TopicPartition {
        self.topic_partition
    }

    /// The first epoch under which this session serves it.
    #[must_use]
    pub fn leader_epoch(&self) -> LeaderEpoch {
        self.leader_epoch
    }

    /// Gives a batch its offsets and queues it in the journal; or recognises one that was taken before.
    pub fn append(
        &self,
        journal: &Journal,
        incoming: Incoming,
        permit: &Arc<MemoryPermit>,
        now: Timestamp,
    ) -> Result<Appended, AppendError> {
        let mut state = self.state.lock();
        if state.closed {
            return Err(AppendError::NotLeading);
        }
        let log_start_offset = state.log_start_offset;
        if let Some(identity) = incoming.identity
            && let Admission::Repeated { offsets, ticket } = state.producers.admit(identity)?
        {
            return Ok(Appended { base_offset: offsets.start, log_start_offset, ticket });
        }
        let base_offset = state.log_end_offset;
        let offsets = base_offset..base_offset + i64::from(incoming.record_count);
        let row = self.row(&incoming, offsets.start, offsets.end);
        let ticket = journal.append(AppendRow { row, permit: Arc::clone(permit) })?;
        state.log_end_offset = offsets.end;
        if let Some(identity) = incoming.identity {
            let (max_timestamp, ticket) = (incoming.max_timestamp, ticket.clone());
            state.producers.record(Accepted { identity, offsets, max_timestamp, ticket, now });
        }
        Ok(Appended { base_offset, log_start_offset, ticket })
    }

    fn row(&self, incoming: &Incoming, start: Offset, end: Offset) -> Row {
        let none = (ProducerId(-1), ProducerEpoch(-1), -1);
        let (producer_id, producer_epoch, base_sequence) =
            incoming.identity.map_or(none, |id| (id.producer_id, id.producer_epoch, id.base_sequence));
        let index = RowIndex {
            topic_partition: self.topic_partition,
            offsets: start..end,
            leader_epoch: self.leader_epoch,
            max_timestamp: incoming.max_timestamp,
            producer_id,
            producer_epoch,
            base_sequence,
            attributes: incoming.attributes,
        };
        Row { index, batch: incoming.batch.clone() }
    }

    /// Makes committed batches visible and wakes who waits for them.
    pub(super) fn on_committed(&self, object: ObjectId, span: &Span) {
        let mut state = self.state.lock();
        assert_eq!(
            state.high_watermark, span.offsets.start,
            "spans are committed in the order of their offsets"
        );
        assert!(span.offsets.end <= state.log_end_offset, "what is committed was appended");
        state.index.push(IndexEntry::new(object, span));
        state.high_watermark = span.offsets.end;
        state.waiters.wake();
    }

    /// Takes over a row that an earlier session committed. Rows come in the order of their offsets.
    pub(super) fn on_recovered_row(&self, row: &RowIndex, now: Timestamp) {
        let mut state = self.state.lock();
        if row.producer_id.0 >= 0 {
            let record_count =
                i32::try_from(row.offsets.end - row.offsets.start).expect("a batch counts in i32");
            let identity = BatchIdentity {
                producer_id: row.producer_id,
                producer_epoch: row.producer_epoch,
                base_sequence: row.base_sequence,
                record_count,
            };
            let (offsets, max_timestamp) = (row.offsets.clone(), row.max_timestamp);
            let ticket = CommitTicket::committed();
            state.producers.record(Accepted { identity, offsets, max_timestamp, ticket, now });
        }
    }

    /// Takes over a span that an earlier session committed.
    pub(super) fn on_recovered_span(&self, object: ObjectId, span: &Span) {
        let mut state = self.state.lock();
        state.index.push(IndexEntry::new(object, span));
        state.log_end_offset = span.offsets.end;
        state.high_watermark = span.offsets.end;
    }

    /// The ends as this session knows them. Whoever tells a client confirms the session's standing first.
    #[must_use]
    pub fn ends(&self) -> Ends {
        let state = self.state.lock();
        Ends {
            log_start_offset: state.log_start_offset,
            high_watermark: state.high_watermark,
            last_stable_offset: state.high_watermark,
        }
    }

    /// What to read for a fetch from `from`; empty at the end of the log.
    pub fn read_plan(&self, from: Offset, bytes_max: u64) -> Result<ReadPlan, OutOfRange> {
        let state = self.state.lock();
        let offsets = state.log_start_offset..state.high_watermark;
        if from < offsets.start || from > offsets.end {
            return Err(OutOfRange { wanted: from, offsets });
        }
        Ok(plan(from, state.index.from(from), bytes_max))
    }

    /// Wakes `waiter` at the next commit.
    pub fn register(&self, waiter: &Waiter) {
        self.state.lock().waiters.register(waiter);
    }

    /// Where the records of epochs up to `epoch` end, and the latest of those epochs that has records
    /// (OffsetForLeaderEpoch). Nothing is ever truncated, so there is always an answer.
    #[must_use]
    pub fn end_of_epoch(&self, epoch: LeaderEpoch) -> (LeaderEpoch, Offset) {
        let state = self.state.lock();
        let mut latest = None;
        for (started, start) in state.index.epoch_starts() {
            if started > epoch {
                return (latest.unwrap_or(epoch), start);
            }
            latest = Some(started);
        }
        (latest.unwrap_or(epoch), state.high_watermark)
    }

    /// The epoch of the batch at or before `offset`, for answers that carry one.
    #[must_use]
    pub fn epoch_at(&self, offset: Offset) -> Option<LeaderEpoch> {
        let state = self.state.lock();
        let last = state.index.entries().last().map(|entry| entry.leader_epoch);
        state.index.from(offset).first().map(|entry| entry.leader_epoch).or(last)
    }

    /// Its idempotent producers, in the order of their ids.
    #[must_use]
    pub fn active_producers(&self, now: Timestamp) -> Vec<ActiveProducer> {
        self.state.lock().producers.active(now)
    }

    /// Bytes of its committed batches.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.state.lock().index.bytes()
    }

    /// The spans whose records may have timestamps at or after `target`, in the order of their offsets.
    pub(super) fn spans_from_timestamp(&self, target: Timestamp) -> Vec<IndexEntry> {
        let state = self.state.lock();
        let entries = state.index.entries().iter();
        entries.filter(|entry| entry.max_timestamp >= target).take(SPANS_PER_LOOKUP_MAX).cloned().collect()
    }

    /// The first span with the latest timestamp.
    pub(super) fn span_of_max_timestamp(&self) -> Option<IndexEntry> {
        let state = self.state.lock();
        // `max_by_key` would return the last of equals.
        let entries = state.index.entries().iter().rev();
        entries.max_by_key(|entry| entry.max_timestamp).cloned()
    }

    /// The topic is gone: nothing is taken in any more, and whoever waits is woken to find out.
    pub(super) fn close(&self) {
        let mut state = self.state.lock();
        state.closed = true;
        state.waiters.wake();
    }
}

/// One is enough unless its records are below the log start.
const SPANS_PER_LOOKUP_MAX: usize = 2;
