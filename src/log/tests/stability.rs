//! The last stable offset and the list of what was aborted.

use super::super::producer_state::{Accepted, BatchKind, ProducerTable};
use super::super::stability::{AbortedTransaction, Ended, Stability};
use super::super::{AppendError, BatchIdentity, Marker};
use crate::journal::CommitTicket;
use crate::types::{Offset, ProducerEpoch, ProducerId, Timestamp, TransactionOrdinal, Verdict, ViewNumber};
use proptest::prelude::*;

/// Transactions by first offset and marker, in the order of their markers. All were aborted; producers are
/// numbered by their place.
fn after(transactions: &[(i64, i64)]) -> Stability {
    let mut stability = Stability::default();
    let mut events: Vec<(i64, Option<usize>)> = Vec::new();
    for (number, (first, marker)) in transactions.iter().enumerate() {
        events.push((*first, None));
        events.push((*marker, Some(number)));
    }
    events.sort_unstable();
    for (offset, ends) in events {
        match ends {
            None => stability.on_begun(Offset(offset)),
            Some(number) => stability.on_ended(Ended {
                producer_id: ProducerId(number as i64),
                first_offset: Offset(transactions[number].0),
                marker: Offset(offset),
                verdict: Verdict::Abort,
            }),
        }
        stability.on_committed(Offset(offset + 1), Offset::ZERO);
    }
    stability
}

fn aborted(stability: &Stability, from: i64, to: i64) -> Vec<i64> {
    let found = stability.aborted_in(Offset(from)..Offset(to));
    found.iter().map(|AbortedTransaction { producer_id, .. }| producer_id.0).collect()
}

#[test]
fn a_transaction_concerns_a_reader_from_its_first_offset_to_its_marker() {
    let stability = after(&[(0, 3), (2, 7), (10, 12)]);
    let table = [
        ((0, 1), vec![0]),
        ((0, 2), vec![0]),
        ((0, 3), vec![0, 1]),
        ((3, 4), vec![0, 1]),
        ((4, 10), vec![1]),
        ((8, 10), vec![]),
        ((7, 11), vec![1, 2]),
        ((12, 13), vec![2]),
        ((13, 20), vec![]),
        ((5, 5), vec![]),
    ];
    for ((from, to), expected) in table {
        assert_eq!(aborted(&stability, from, to), expected, "{from}..{to}");
    }
}

#[test]
fn a_marker_counts_once_it_is_committed_itself() {
    let mut stability = Stability::default();
    let (first_offset, marker) = (Offset(0), Offset(3));
    stability.on_begun(first_offset);
    stability.on_ended(Ended { producer_id: ProducerId(0), first_offset, marker, verdict: Verdict::Abort });
    for (high_watermark, stable, known) in [(2, 0, vec![]), (3, 0, vec![]), (4, 4, vec![0])] {
        stability.on_committed(Offset(high_watermark), Offset::ZERO);
        assert_eq!(stability.last_stable_offset(Offset(high_watermark)), Offset(stable));
        assert_eq!(aborted(&stability, 0, 10), known, "committed to {high_watermark}");
    }
}

#[test]
fn what_lies_below_the_log_start_is_dropped() {
    let mut stability = after(&[(0, 3), (2, 7), (10, 12)]);
    stability.on_committed(Offset(13), Offset(7));
    assert_eq!(aborted(&stability, 0, 13), [1, 2]);
    stability.on_committed(Offset(13), Offset(8));
    assert_eq!(aborted(&stability, 0, 13), [2]);
}

proptest! {
    #[test]
    fn the_list_is_exact(
        seeds in prop::collection::vec((0_i64..60, 1_i64..20), 0..12),
        from in 0_i64..90,
        length in 0_i64..30,
    ) {
        // Every offset is used once: first offsets are even, markers odd.
        let mut transactions: Vec<(i64, i64)> = Vec::new();
        for (first, length) in seeds {
            let (first, marker) = (first * 2, (first + length) * 2 + 1);
            if transactions.iter().all(|known| known.0 != first && known.1 != marker) {
                transactions.push((first, marker));
            }
        }
        transactions.sort_by_key(|(_, marker)| *marker);
        let to = from + length;
        let overlaps = |(first, marker): &(i64, i64)| *marker >= from && *first < to && from < to;
        let numbered = transactions.iter().enumerate();
        let expected: Vec<i64> =
            numbered.filter(|(_, known)| overlaps(known)).map(|(number, _)| number as i64).collect();
        prop_assert_eq!(aborted(&after(&transactions), from, to), expected);
    }
}

fn batch(producer_id: i64, base_sequence: i32) -> BatchIdentity {
    let producer_epoch = ProducerEpoch(0);
    BatchIdentity { producer_id: ProducerId(producer_id), producer_epoch, base_sequence, record_count: 1 }
}

fn accepted(producer_id: i64, ordinal: Option<i64>) -> Accepted {
    Accepted {
        identity: batch(producer_id, 0),
        ordinal: ordinal.map(TransactionOrdinal),
        offsets: Offset(producer_id)..Offset(producer_id + 1),
        max_timestamp: Timestamp(0),
        ticket: CommitTicket::committed(),
        now: Timestamp(producer_id),
    }
}

#[test]
fn of_too_many_producers_those_with_an_open_transaction_are_kept() {
    let mut table = ProducerTable::default();
    table.record(accepted(0, Some(1)));
    let marker = Marker {
        producer_id: ProducerId(1),
        producer_epoch: ProducerEpoch(0),
        verdict: Verdict::Commit,
        coordinator_view: ViewNumber(1),
        ordinal: TransactionOrdinal(1),
    };
    table.record_marker(&marker, CommitTicket::committed(), Timestamp(1));
    let ask = |table: &ProducerTable, producer_id| match table
        .admit(batch(producer_id, 0), BatchKind::Transactional(None))
    {
        Err(AppendError::NeedsVerification(question)) => question,
        other => panic!("{other:?}"),
    };
    let before = ask(&table, 1);
    for producer in 2..50_001 {
        table.record(accepted(producer, None));
    }
    let shown = table.active(Timestamp(0));
    assert_eq!(shown.len(), 50_000);
    assert_eq!((shown[0].producer_id, shown[1].producer_id), (ProducerId(0), ProducerId(2)));
    // That its transaction has ended is forgotten, so an answer from before is not trusted.
    let verified = before.answered(TransactionOrdinal(1));
    let answer = table.admit(batch(1, 0), BatchKind::Transactional(Some(verified)));
    assert!(matches!(answer, Err(AppendError::NeedsVerification(_))), "{answer:?}");
    let verified = ask(&table, 1).answered(TransactionOrdinal(2));
    assert!(table.admit(batch(1, 0), BatchKind::Transactional(Some(verified))).is_ok());
}
