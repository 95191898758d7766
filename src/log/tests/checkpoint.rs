//! The producers at the archived offset, against a table that is told of every row as it comes.

use super::super::checkpoint::{Checkpoint, WaitingRow};
use super::super::producer_state::ProducerTable;
use super::partition::partition;
use crate::journal::{RowIndex, RowTransaction};
use crate::segment::manifest::ProducerSnapshot;
use crate::types::{
    LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp, TransactionOrdinal, Verdict, ViewNumber,
};
use std::sync::Arc;

const NOW: Timestamp = Timestamp(1_000);

/// Row by row: a plain producer, one with transactions, and batches without a producer. Every row has two records, but
/// markers.
fn rows(count: i64) -> Vec<RowIndex> {
    let mut next = 0;
    let row = |number: i64| {
        let ordinal = TransactionOrdinal(number / 8 + 1);
        let (producer, transaction) = match number % 4 {
            0 => (1, RowTransaction::None),
            1 => (2, RowTransaction::Batch { ordinal }),
            2 => (-1, RowTransaction::None),
            _ if number % 8 == 3 => (1, RowTransaction::None),
            _ => {
                let (verdict, coordinator_view) = (Verdict::Commit, ViewNumber(3));
                (2, RowTransaction::Marker { ordinal, verdict, coordinator_view })
            }
        };
        let is_marker = matches!(transaction, RowTransaction::Marker { .. });
        let start = next;
        next += if is_marker { 1 } else { 2 };
        RowIndex {
            topic_partition: partition(0),
            offsets: Offset(start)..Offset(next),
            leader_epoch: LeaderEpoch(1),
            max_timestamp: Timestamp(number),
            producer_id: ProducerId(producer),
            producer_epoch: ProducerEpoch(0),
            base_sequence: if is_marker { -1 } else { number as i32 * 2 },
            attributes: 0,
            transaction,
        }
    };
    (0..count).map(row).collect()
}

fn at(checkpoint: &Checkpoint, offset: Offset) -> Vec<ProducerSnapshot> {
    checkpoint.view_at(offset).producers(NOW)
}

#[test]
fn whatever_is_archived_in_between_the_producers_are_the_same() {
    let rows = rows(3_000);
    let mut whole = Checkpoint::default();
    rows.iter().for_each(|row| whole.push(WaitingRow::of(row)));
    let mut archived = Checkpoint::default();
    let (mut pushed, mut archived_offset) = (0, Offset::ZERO);
    for step in [1, 3, 510, 511, 512, 513, 515, 1_024, 1_100, 2_047, 2_999, 3_000_usize] {
        for row in &rows[pushed..(step + 700).min(rows.len())] {
            archived.push(WaitingRow::of(row));
        }
        pushed = (step + 700).min(rows.len());
        let offset = rows[step - 1].offsets.end;
        let producers = at(&archived, offset);
        assert_eq!(producers, at(&whole, offset), "up to {offset}");
        let waits = |from: Offset, to: Offset| {
            let wait =
                |row: &&RowIndex| row.producer_id.0 >= 0 && row.offsets.end > from && row.offsets.end <= to;
            rows[..pushed].iter().filter(wait).count()
        };
        assert_eq!(archived.rows(), waits(archived_offset, Offset(i64::MAX)));
        assert_eq!(archived.rows_before(offset), waits(archived_offset, offset));
        let before = archived.view_at(offset);
        drop(archived.on_archived(offset, Arc::new(ProducerTable::restore(&producers))));
        archived_offset = offset;
        assert_eq!(archived.rows(), waits(offset, Offset(i64::MAX)), "the rest waits");
        assert_eq!(archived.rows_before(offset), 0);
        assert_eq!(before.producers(NOW), producers, "a view that was taken before is as it was");
    }
    assert_eq!(archived.rows(), 0);
}
