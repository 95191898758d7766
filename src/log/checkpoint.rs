//! The producers as they stand at the archived offset: what a restart begins with, before it replays the journal.
//!
//! ```text
//!        archived offset            last stable offset        log end
//!   ─────────┼──────────────────────────────┼────────────────────┼──
//!     checkpoint        rows, kept until they are archived
//!                 [ sealed │ sealed │ sealed │ open ]
//! ```
//!
//! A partition's lock is what its producers wait for. So under it a row is added, and a view is taken, which shares the
//! sealed chunks and the table; whoever wants to know the producers at an offset replays the rows without the lock.
//!
//! A waiting row takes 48 bytes. How many may wait is not decided here: see `archive::cut`.

use super::producer_state::{Accepted, BatchIdentity, ProducerTable};
use super::transaction::Marker;
use crate::journal::{CommitTicket, RowIndex, RowTransaction};
use crate::segment::manifest::ProducerSnapshot;
use crate::types::{Offset, ProducerEpoch, ProducerId, Timestamp, TransactionOrdinal, Verdict, ViewNumber};
use std::collections::VecDeque;
use std::sync::Arc;

/// Producers at an offset, and the rows of producers from there on.
#[derive(Debug, Default)]
pub(super) struct Checkpoint {
    producers: Arc<ProducerTable>,
    /// Full chunks; the first may have lost what was archived.
    sealed: VecDeque<Arc<[WaitingRow]>>,
    /// The youngest rows, fewer than a chunk has.
    open: Vec<WaitingRow>,
}

/// What a row does to its producer.
#[derive(Clone, Debug)]
pub(super) struct WaitingRow {
    base_offset: Offset,
    max_timestamp: Timestamp,
    producer_id: ProducerId,
    /// The transaction of a batch, or that a marker ends; nothing says what of a plain one.
    ordinal: TransactionOrdinal,
    content: Content,
    producer_epoch: ProducerEpoch,
}

#[derive(Clone, Copy, Debug)]
enum Content {
    Plain { base_sequence: i32, record_count: i32 },
    Transactional { base_sequence: i32, record_count: i32 },
    Marker { verdict: Verdict, coordinator_view: ViewNumber },
}

/// A checkpoint on its way to an offset.
#[derive(Clone, Debug)]
pub struct CheckpointView {
    producers: Arc<ProducerTable>,
    offset: Offset,
    sealed: Vec<Arc<[WaitingRow]>>,
    open: Vec<WaitingRow>,
}

/// What a checkpoint has let go of. To be dropped without the partition's lock, as it may be much.
#[derive(Debug)]
pub(super) struct Passed {
    _producers: Arc<ProducerTable>,
    _rows: Vec<Arc<[WaitingRow]>>,
}

/// Rows of a chunk: 24 KiB, that are copied at most under the lock.
const CHUNK_ROWS: usize = 512;

impl Checkpoint {
    /// Begins with what a manifest has.
    pub fn restore(producers: &[ProducerSnapshot]) -> Checkpoint {
        Checkpoint { producers: Arc::new(ProducerTable::restore(producers)), ..Checkpoint::default() }
    }

    /// A row that was appended, if it is a producer's. Rows come in the order of their offsets.
    pub fn push(&mut self, row: Option<WaitingRow>) {
        let Some(row) = row else { return };
        self.open.push(row);
        if self.open.len() == CHUNK_ROWS {
            self.sealed.push_back(Arc::from(std::mem::take(&mut self.open)));
        }
    }

    /// All that is needed to tell the producers at `offset`, below which everything is committed.
    pub fn view_at(&self, offset: Offset) -> CheckpointView {
        let begun = self.sealed.partition_point(|chunk| begins_before(chunk, offset));
        let open = self.open.partition_point(|row| row.end() <= offset);
        CheckpointView {
            producers: Arc::clone(&self.producers),
            offset,
            sealed: self.sealed.iter().take(begun).map(Arc::clone).collect(),
            open: self.open[..open].to_vec(),
        }
    }

    /// Everything below `offset` is archived, with these producers.
    pub fn on_archived(&mut self, offset: Offset, producers: Arc<ProducerTable>) -> Passed {
        let begun = self.sealed.partition_point(|chunk| begins_before(chunk, offset));
        let rows: Vec<_> = self.sealed.drain(..begun).collect();
        if let Some(last) = rows.last() {
            let left = &last[last.partition_point(|row| row.end() <= offset)..];
            if !left.is_empty() {
                self.sealed.push_front(Arc::from(left));
            }
        }
        self.open.drain(..self.open.partition_point(|row| row.end() <= offset));
        self.open.shrink_to(self.open.len() * 2);
        Passed { _producers: std::mem::replace(&mut self.producers, producers), _rows: rows }
    }

    /// How many rows wait.
    pub fn rows(&self) -> usize {
        // Only the first chunk may be shorter than the others.
        let others = self.sealed.len().saturating_sub(1) * CHUNK_ROWS;
        self.sealed.front().map_or(0, |first| first.len()) + others + self.open.len()
    }

    /// How many of them end at or before `offset`.
    pub fn rows_before(&self, offset: Offset) -> usize {
        let begun = self.sealed.partition_point(|chunk| begins_before(chunk, offset));
        let in_open = self.open.partition_point(|row| row.end() <= offset);
        let Some(last) = begun.checked_sub(1).and_then(|last| self.sealed.get(last)) else { return in_open };
        let after = last.len() - last.partition_point(|row| row.end() <= offset);
        let first = self.sealed.front().map_or(0, |first| first.len());
        first + (begun - 1) * CHUNK_ROWS - after + in_open
    }
}

fn begins_before(chunk: &[WaitingRow], offset: Offset) -> bool {
    chunk.first().is_some_and(|first| first.end() <= offset)
}

impl CheckpointView {
    /// The producers there. Nothing changes: what is made of them may not become the partition's.
    #[must_use]
    pub fn producers(&self, now: Timestamp) -> Vec<ProducerSnapshot> {
        let mut producers = ProducerTable::clone(&self.producers);
        let rows = self.sealed.iter().flat_map(|chunk| chunk.iter()).chain(&self.open);
        for row in rows.take_while(|row| row.end() <= self.offset) {
            row.replay(&mut producers, now);
        }
        producers.snapshot(now)
    }
}

impl WaitingRow {
    /// What of a row is kept; nothing, if it is no producer's.
    pub fn of(row: &RowIndex) -> Option<WaitingRow> {
        if row.producer_id.0 < 0 {
            return None;
        }
        let base_sequence = row.base_sequence;
        let record_count = i32::try_from(row.offsets.end - row.offsets.start).expect("a batch counts in i32");
        let (ordinal, content) = match row.transaction {
            RowTransaction::None => {
                (TransactionOrdinal::NONE, Content::Plain { base_sequence, record_count })
            }
            RowTransaction::Batch { ordinal } => {
                (ordinal, Content::Transactional { base_sequence, record_count })
            }
            RowTransaction::Marker { ordinal, verdict, coordinator_view } => {
                (ordinal, Content::Marker { verdict, coordinator_view })
            }
        };
        Some(WaitingRow {
            base_offset: row.offsets.start,
            max_timestamp: row.max_timestamp,
            producer_id: row.producer_id,
            ordinal,
            content,
            producer_epoch: row.producer_epoch,
        })
    }

    fn end(&self) -> Offset {
        match self.content {
            Content::Plain { record_count, .. } | Content::Transactional { record_count, .. } => {
                self.base_offset + i64::from(record_count)
            }
            Content::Marker { .. } => self.base_offset + 1,
        }
    }

    fn replay(&self, producers: &mut ProducerTable, now: Timestamp) {
        let WaitingRow { producer_id, producer_epoch, ordinal, .. } = *self;
        let (ordinal, base_sequence, record_count) = match self.content {
            Content::Plain { base_sequence, record_count } => (None, base_sequence, record_count),
            Content::Transactional { base_sequence, record_count } => {
                (Some(ordinal), base_sequence, record_count)
            }
            Content::Marker { verdict, coordinator_view } => {
                let marker = Marker { producer_id, producer_epoch, verdict, coordinator_view, ordinal };
                producers.record_marker(&marker, CommitTicket::committed(), now);
                return;
            }
        };
        producers.record(Accepted {
            identity: BatchIdentity { producer_id, producer_epoch, base_sequence, record_count },
            ordinal,
            offsets: self.base_offset..self.end(),
            max_timestamp: self.max_timestamp,
            ticket: CommitTicket::committed(),
            now,
        });
    }
}

const _: () = assert!(size_of::<WaitingRow>() == 48, "two million of them take 96 MB");
