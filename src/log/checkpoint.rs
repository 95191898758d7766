//! The producers as they stand at the archived offset: what a restart begins with, before it replays the journal.
//!
//! ```text
//!        archived offset            last stable offset        log end
//!   ─────────┼──────────────────────────────┼────────────────────┼──
//!     checkpoint        rows, kept until they are archived
//! ```

use super::partition::accepted;
use super::producer_state::ProducerTable;
use super::transaction::Marker;
use crate::journal::{CommitTicket, RowIndex, RowTransaction};
use crate::segment::manifest::ProducerSnapshot;
use crate::types::{Offset, Timestamp};
use std::collections::VecDeque;

/// Producers at an offset, and the rows of producers from there on.
#[derive(Debug, Default)]
pub(super) struct Checkpoint {
    producers: ProducerTable,
    rows: VecDeque<RowIndex>,
}

impl Checkpoint {
    /// Begins with what a manifest has.
    pub fn restore(producers: &[ProducerSnapshot]) -> Checkpoint {
        Checkpoint { producers: ProducerTable::restore(producers), rows: VecDeque::new() }
    }

    /// A row that was appended. Rows come in the order of their offsets.
    pub fn push(&mut self, row: RowIndex) {
        if row.producer_id.0 >= 0 {
            self.rows.push_back(row);
        }
    }

    /// The producers at `offset`, below which everything is committed. Nothing changes: what is made of them may not
    /// become the partition's.
    pub fn at(&self, offset: Offset, now: Timestamp) -> Vec<ProducerSnapshot> {
        let mut producers = self.producers.clone();
        for row in self.rows.iter().take_while(|row| row.offsets.end <= offset) {
            replay(&mut producers, row, now);
        }
        producers.snapshot(now)
    }

    /// Everything below `offset` is archived, with these producers.
    pub fn on_archived(&mut self, offset: Offset, producers: &[ProducerSnapshot]) {
        self.producers = ProducerTable::restore(producers);
        let passed = self.rows.partition_point(|row| row.offsets.end <= offset);
        self.rows.drain(..passed);
    }
}

fn replay(producers: &mut ProducerTable, row: &RowIndex, now: Timestamp) {
    match row.transaction {
        RowTransaction::None => {
            producers.record(accepted(row, None, now));
        }
        RowTransaction::Batch { ordinal } => {
            producers.record(accepted(row, Some(ordinal), now));
        }
        RowTransaction::Marker { ordinal, verdict, coordinator_view } => {
            let (producer_id, producer_epoch) = (row.producer_id, row.producer_epoch);
            let marker = Marker { producer_id, producer_epoch, verdict, coordinator_view, ordinal };
            producers.record_marker(&marker, CommitTicket::committed(), now);
        }
    }
}
