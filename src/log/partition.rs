//! One partition of the log: the owner of its offsets, its producers, and the index of what is committed.

use super::archived::{ArchivedLog, SegmentRef};
use super::checkpoint::{Checkpoint, WaitingRow};
use super::index::{IndexEntry, PartitionIndex};
use super::newcomers::Newcomers;
use super::producer_state::{Accepted, ActiveProducer, BatchIdentity, ProducerTable};
use super::read_plan::{IsolationLevel, OutOfRange, ReadPlan, plan, plan_archived};
use super::stability::{AbortedTransaction, Stability};
use super::transaction::Marker;
use super::waiters::{Waiter, Waiters};
use crate::journal::{CommitTicket, RowIndex, RowTransaction};
use crate::meta::Term;
use crate::types::{LeaderEpoch, Offset, Timestamp, TopicPartition, TransactionOrdinal};
use parking_lot::{Mutex, MutexGuard};
use std::ops::Range;

/// A partition that this broker leads.
#[derive(Debug)]
pub struct Partition {
    topic_partition: TopicPartition,
    /// The epoch that this session's batches carry.
    leader_epoch: LeaderEpoch,
    /// Open while this session leads it.
    term: Term,
    state: Mutex<State>,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) log_start_offset: Offset,
    /// First offset not yet committed, hence not visible.
    pub(super) high_watermark: Offset,
    /// First offset not given yet.
    pub(super) log_end_offset: Offset,
    pub(super) index: PartitionIndex,
    /// What lies in segments; none: nothing does.
    pub(super) archived: Option<ArchivedLog>,
    pub(super) checkpoint: Checkpoint,
    pub(super) producers: ProducerTable,
    pub(super) stability: Stability,
    /// Producers that are not known, and did not begin at their beginning.
    pub(super) newcomers: Newcomers,
    waiters: Waiters,
    /// Closed for good: the topic is gone.
    closed: bool,
}

/// The ends of a partition's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    /// First readable.
    pub log_start_offset: Offset,
    /// First not visible.
    pub high_watermark: Offset,
    /// First that `read_committed` does not show; never below the log start, as in Apache Kafka, although what was deleted may
    /// have been of a transaction that is still open.
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
            archived: None,
            checkpoint: Checkpoint::default(),
            producers: ProducerTable::default(),
            stability: Stability::default(),
            newcomers: Newcomers::default(),
            waiters: Waiters::default(),
            closed: false,
        };
        Partition { topic_partition, leader_epoch, term: Term::new(), state: Mutex::new(state) }
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

    /// Under which its manifest is written: closed when this session no longer leads it.
    #[must_use]
    pub fn term(&self) -> &Term {
        &self.term
    }

    /// Its state, if it may be appended to here.
    pub(super) fn lead(&self) -> Option<MutexGuard<'_, State>> {
        let state = self.state.lock();
        if state.closed { None } else { Some(state) }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// Makes committed batches visible and wakes who waits for them. Gives the entry back if the topic is gone.
    pub(super) fn on_committed(&self, entry: IndexEntry) -> Result<(), IndexEntry> {
        let mut state = self.state.lock();
        if state.closed {
            return Err(entry);
        }
        let offsets = entry.offsets.clone();
        assert_eq!(state.high_watermark, offsets.start, "spans are committed in the order of their offsets");
        assert!(offsets.end <= state.log_end_offset, "what is committed was appended");
        state.index.push(entry);
        state.set_high_watermark(offsets.end);
        // The last stable offset moves here and nowhere else, so who waits for it is woken as well.
        state.waiters.wake();
        Ok(())
    }

    /// Takes over a row of a producer that an earlier session committed. Rows come in the order of their offsets.
    pub(super) fn on_recovered_row(&self, row: &RowIndex, now: Timestamp) -> Result<(), OutOfPlace> {
        let mut state = self.state.lock();
        if !state.producers.may_follow(row.producer_id, row.transaction) {
            return Err(OutOfPlace);
        }
        match row.transaction {
            RowTransaction::None => state.take(accepted(row, None, now)),
            RowTransaction::Batch { ordinal } => state.take(accepted(row, Some(ordinal), now)),
            RowTransaction::Marker { ordinal, verdict, coordinator_view } => {
                let (producer_id, producer_epoch) = (row.producer_id, row.producer_epoch);
                let marker = Marker { producer_id, producer_epoch, verdict, coordinator_view, ordinal };
                state.end(&marker, row.offsets.start, CommitTicket::committed(), now);
            }
        }
        state.checkpoint.push(WaitingRow::of(row));
        let readable_from = state.readable_from();
        state.stability.on_committed(row.offsets.end, readable_from);
        Ok(())
    }

    /// The first offset that no segment has.
    pub(super) fn archived_offset(&self) -> Offset {
        self.state.lock().archived_offset()
    }

    /// Takes over a span that an earlier session committed.
    pub(super) fn on_recovered_span(&self, entry: IndexEntry) {
        let mut state = self.state.lock();
        let end = entry.offsets.end;
        state.index.push(entry);
        state.log_end_offset = end;
        state.high_watermark = end;
    }

    /// The ends as this session knows them. Whoever tells a client confirms the session's standing first.
    #[must_use]
    pub fn ends(&self) -> Ends {
        let state = self.state.lock();
        Ends {
            log_start_offset: state.log_start_offset,
            high_watermark: state.high_watermark,
            last_stable_offset: state.last_stable_offset().max(state.log_start_offset),
        }
    }

    /// What to read for a fetch from `from`; empty at the end of what the isolation level shows.
    pub fn read_plan(
        &self,
        from: Offset,
        isolation: IsolationLevel,
        bytes_max: u64,
    ) -> Result<ReadPlan, OutOfRange> {
        let state = self.state.lock();
        let offsets = state.log_start_offset..state.high_watermark;
        if from < offsets.start || from > offsets.end {
            return Err(OutOfRange { wanted: from, offsets });
        }
        let end = match isolation {
            IsolationLevel::ReadUncommitted => state.high_watermark,
            IsolationLevel::ReadCommitted => state.last_stable_offset().max(from),
        };
        let mut planned = match &state.archived {
            Some(archived) if from < archived.manifest.archived_offset() => {
                let journal_from = archived.manifest.archived_offset();
                let rest =
                    || plan(journal_from..end.max(journal_from), state.index.from(journal_from), bytes_max);
                plan_archived(from, archived, rest, bytes_max)
            }
            _ => plan(from..end, state.index.from(from), bytes_max),
        };
        if isolation == IsolationLevel::ReadCommitted
            && let Some(last) = planned.spans.last()
        {
            // Of what is archived a segment has nothing that was aborted, and no marker that would end its leaving out.
            let in_journal = from.max(state.archived_offset());
            planned.aborted = state.stability.aborted_in(in_journal..last.offsets.end);
        }
        Ok(planned)
    }

    /// The aborted transactions that have records or their marker in `offsets`, which were planned for a reader
    /// of committed records: it leaves them out.
    #[must_use]
    pub fn aborted_in(&self, offsets: Range<Offset>) -> Vec<AbortedTransaction> {
        self.state.lock().stability.aborted_in(offsets)
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
        for (started, start) in state.epoch_starts() {
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
        let before = state.epoch_starts().into_iter().take_while(|(_, start)| *start <= offset);
        before.last().map(|(leader_epoch, _)| leader_epoch)
    }

    /// Its idempotent producers, in the order of their ids.
    #[must_use]
    pub fn active_producers(&self, now: Timestamp) -> Vec<ActiveProducer> {
        self.state.lock().producers.active(now)
    }

    /// Bytes of its committed batches in the journal from the log start on, and of its segments.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let state = self.state.lock();
        let archived = state.archived.as_ref().map_or(0, |archived| archived.manifest.totals().file_bytes);
        state.readable_journal_bytes() + archived
    }

    /// The spans whose records may have timestamps at or after `target`, in the order of their offsets.
    pub(super) fn spans_from_timestamp(&self, target: Timestamp) -> Vec<IndexEntry> {
        let state = self.state.lock();
        let entries = state.index.from(state.log_start_offset).iter();
        entries.filter(|entry| entry.max_timestamp >= target).take(SPANS_PER_LOOKUP_MAX).cloned().collect()
    }

    /// The segments whose records may have timestamps at or after `target`, in the order of their offsets.
    pub(super) fn segments_from_timestamp(&self, target: Timestamp) -> Vec<SegmentRef> {
        let archived = self.archived();
        let segments = archived.iter().flat_map(|archived| {
            let segments = archived.manifest.segments_from_timestamp(target).take(SPANS_PER_LOOKUP_MAX);
            segments.map(|segment| archived.refer(segment))
        });
        segments.collect()
    }

    /// Where the first record with the latest timestamp may be.
    pub(super) fn latest_pieces(&self) -> LatestPieces {
        let state = self.state.lock();
        let from = state.log_start_offset;
        let mut pieces = LatestPieces { from, ..LatestPieces::default() };
        if let Some(archived) = &state.archived {
            let segments = archived.manifest.segments_from(from);
            let (cut, whole): (Vec<_>, Vec<_>) = segments.partition(|segment| segment.offsets.start < from);
            pieces.cut_segment = cut.first().map(|segment| archived.refer(segment));
            // `max_by_key` would return the last of equals.
            let latest = whole.iter().rev().max_by_key(|segment| segment.max_timestamp);
            pieces.segment = latest.map(|segment| archived.refer(segment));
        }
        let spans = state.index.from(from);
        let cut = spans.iter().take_while(|span| span.offsets.start < from).count();
        pieces.cut_span = spans[..cut].first().cloned();
        pieces.span = spans[cut..].iter().rev().max_by_key(|span| span.max_timestamp).cloned();
        pieces
    }

    /// The topic is gone: nothing is taken in any more, and whoever waits is woken to find out.
    /// Gives the spans that nobody needs any more.
    pub(super) fn close(&self) -> Vec<IndexEntry> {
        let mut state = self.state.lock();
        state.closed = true;
        self.term.close();
        state.waiters.wake();
        state.index.drop_before(Offset(i64::MAX))
    }
}

/// What to look through for the latest timestamp: what the log start cuts, and of the rest of the segments and of the
/// journal the first that has the latest of its kind.
#[derive(Debug, Default)]
pub(super) struct LatestPieces {
    /// The log start.
    pub from: Offset,
    pub cut_segment: Option<SegmentRef>,
    pub segment: Option<SegmentRef>,
    pub cut_span: Option<IndexEntry>,
    pub span: Option<IndexEntry>,
}

/// A committed row that no leader would have written after those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OutOfPlace;

impl State {
    /// The first offset that no segment has.
    pub(super) fn archived_offset(&self) -> Offset {
        self.archived.as_ref().map_or(Offset::ZERO, |archived| archived.manifest.archived_offset())
    }

    /// Bytes of the batches that are read from the journal.
    pub(super) fn readable_journal_bytes(&self) -> u64 {
        self.index.bytes() - self.index.bytes_before(self.log_start_offset)
    }

    /// The first offset that is read from the journal.
    fn readable_from(&self) -> Offset {
        self.archived_offset().max(self.log_start_offset)
    }

    /// The epochs that have rows and where each begins, oldest first.
    pub(super) fn epoch_starts(&self) -> Vec<(LeaderEpoch, Offset)> {
        let archived = self.archived.iter().flat_map(|archived| archived.manifest.leader_epochs());
        let mut starts: Vec<_> = archived.map(|epoch| (epoch.leader_epoch, epoch.start)).collect();
        for (leader_epoch, start) in self.index.epoch_starts() {
            if starts.last().is_none_or(|(last, _)| *last < leader_epoch) {
                starts.push((leader_epoch, start));
            }
        }
        starts
    }

    /// Forgets what segments have. What lies below the log start alone stays: a restart needs its producers.
    pub(super) fn trim(&mut self) -> Vec<IndexEntry> {
        let archived_offset = self.archived_offset();
        self.index.drop_before(archived_offset)
    }

    pub(super) fn last_stable_offset(&self) -> Offset {
        self.stability.last_stable_offset(self.high_watermark)
    }

    fn set_high_watermark(&mut self, high_watermark: Offset) {
        let before = self.last_stable_offset();
        self.high_watermark = high_watermark;
        let readable_from = self.readable_from();
        self.stability.on_committed(high_watermark, readable_from);
        assert!(before <= self.last_stable_offset(), "the last stable offset never goes back");
    }
}

fn accepted(row: &RowIndex, ordinal: Option<TransactionOrdinal>, now: Timestamp) -> Accepted {
    let record_count = i32::try_from(row.offsets.end - row.offsets.start).expect("a batch counts in i32");
    let identity = BatchIdentity {
        producer_id: row.producer_id,
        producer_epoch: row.producer_epoch,
        base_sequence: row.base_sequence,
        record_count,
    };
    let (offsets, max_timestamp) = (row.offsets.clone(), row.max_timestamp);
    Accepted { identity, ordinal, offsets, max_timestamp, ticket: CommitTicket::committed(), now }
}

/// One is enough unless its records are below the log start.
const SPANS_PER_LOOKUP_MAX: usize = 2;
