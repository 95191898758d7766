//! Who gets which records.

use super::fixture::*;
use crate::group::share::*;
use crate::types::Offset;

#[test]
fn new_records_are_given_by_whole_batches_unless_the_limit_is_exact() {
    let batches = [0..10, 10..20, 20..30];
    for (records_max, mode, expected) in [
        (1, AcquireMode::BatchOptimized, 0..10),
        (10, AcquireMode::BatchOptimized, 0..10),
        (11, AcquireMode::BatchOptimized, 0..20),
        (1_000, AcquireMode::BatchOptimized, 0..30),
        (1, AcquireMode::RecordLimit, 0..1),
        (11, AcquireMode::RecordLimit, 0..11),
        (1_000, AcquireMode::RecordLimit, 0..30),
    ] {
        let mut partition = partition();
        let acquired = acquire(&mut partition, 0, "a", &batches, at_most(records_max, mode));
        assert_eq!(acquired, [(expected.clone(), 1)], "{records_max} {mode:?}");
        assert_eq!(partition.next_fetch_offset(), Offset(expected.end));
        assert_eq!(partition.take_unsaved(), Unsaved::Counts);
    }
    let mut partition = partition();
    assert_eq!(acquire(&mut partition, 0, "a", &batches, at_most(0, AcquireMode::BatchOptimized)), []);
    assert_eq!(partition.take_unsaved(), Unsaved::Nothing);
}

#[test]
fn nobody_gets_what_another_has() {
    let mut partition = partition();
    assert_eq!(acquire(&mut partition, 0, "a", &[0..5], ALL), [(0..5, 1)]);
    let read = LogRead { offsets: offsets(0..10), batches: &[offsets(0..10)], holes: &[] };
    assert_eq!(plain(partition.acquire(at(0), &id("b"), &read, ALL)), [(5..10, 1)]);
    assert_eq!(plain(partition.acquire(at(0), &id("b"), &read, ALL)), []);
    assert_eq!(states(&partition), ["0..5 a 1", "5..10 b 1"]);
}

#[test]
fn what_was_given_back_comes_first_with_its_count() {
    let mut partition = partition();
    acquire(&mut partition, 0, "a", &[0..10], ALL);
    partition.acknowledge(at(0), &id("a"), &[ack(3..5, 2), ack(7..8, 2)]).unwrap();
    assert_eq!(partition.next_fetch_offset(), Offset(3));
    assert_eq!(acquire(&mut partition, 0, "b", &[0..10, 10..12], ALL), [(3..5, 2), (7..8, 2), (10..12, 1)]);
    assert_eq!(
        states(&partition),
        ["0..3 a 1", "3..5 b 2", "5..7 a 1", "7..8 b 2", "8..10 a 1", "10..12 b 1"]
    );
}

#[test]
fn a_lock_runs_out_and_the_last_attempt_archives() {
    let mut partition = partition();
    for attempt in 1..=3i16 {
        let now = u64::from(attempt.unsigned_abs()) * 1_000;
        assert_eq!(acquire(&mut partition, now, "a", &[0..5], ALL), [(0..5, attempt)]);
        assert_eq!(partition.next_deadline(), Some(at(now + 1_000)));
        partition.on_time(at(now + 999));
        assert_eq!(states(&partition), [format!("0..5 a {attempt}")]);
    }
    partition.take_unsaved();
    partition.on_time(at(4_000));
    assert_eq!(states(&partition), [""; 0]);
    assert_eq!((partition.start_offset(), partition.end_offset()), (Offset(5), Offset(5)));
    assert_eq!(partition.take_unsaved(), Unsaved::Counts);
    assert_eq!(partition.next_deadline(), None);
}

#[test]
fn a_session_closed_in_order_does_not_count_and_a_lost_member_does() {
    for (attempt, expected) in [(Attempt::DoesNotCount, ". 0"), (Attempt::Counts, ". 1")] {
        let mut partition = partition();
        acquire(&mut partition, 0, "a", &[0..5], ALL);
        acquire(&mut partition, 0, "b", &[5..9], ALL);
        assert!(partition.release_all(&id("a"), attempt));
        assert!(!partition.release_all(&id("a"), attempt));
        assert_eq!(states(&partition), [format!("0..5 {expected}"), "5..9 b 1".to_owned()]);
    }
}

#[test]
fn a_lost_member_archives_what_it_had_for_the_last_time() {
    let mut partition = partition();
    for attempt in [1, 2, 3] {
        assert_eq!(acquire(&mut partition, 0, "a", &[0..5], ALL), [(0..5, attempt)]);
        partition.release_all(&id("a"), Attempt::Counts);
    }
    assert_eq!(partition.start_offset(), Offset(5));
}

#[test]
fn offsets_without_records_are_archived() {
    let mut partition = partition();
    // 0..2 and 6..8 are gone from the log, 3 and 9 are holes in batches, 12..20 are markers.
    let batches = [offsets(2..6), offsets(8..12)];
    let holes = [offsets(3..4), offsets(9..10)];
    let read = LogRead { offsets: offsets(0..20), batches: &batches, holes: &holes };
    let acquired = plain(partition.acquire(at(0), &id("a"), &read, ALL));
    assert_eq!(acquired, [(2..3, 1), (4..6, 1), (8..9, 1), (10..12, 1)]);
    assert_eq!(partition.start_offset(), Offset(2));
    assert_eq!(partition.next_fetch_offset(), Offset(20));
    assert_eq!(partition.describe().archived, 1 + 2 + 1 + 8);
    partition
        .acknowledge(at(0), &id("a"), &[ack(2..3, 1), ack(4..6, 1), ack(8..9, 1), ack(10..12, 1)])
        .unwrap();
    assert_eq!(partition.start_offset(), Offset(20));
}

#[test]
fn available_records_that_were_compacted_are_archived() {
    let mut partition = partition();
    acquire(&mut partition, 0, "a", &[0..10], ALL);
    partition.release_all(&id("a"), Attempt::Counts);
    let read = LogRead { offsets: offsets(0..10), batches: &[offsets(4..10)], holes: &[offsets(5..6)] };
    assert_eq!(plain(partition.acquire(at(0), &id("b"), &read, ALL)), [(4..5, 2), (6..10, 2)]);
    assert_eq!(partition.start_offset(), Offset(4));
}

#[test]
fn a_read_of_markers_alone_gives_nothing_and_moves_on() {
    let mut partition = partition();
    let read = LogRead { offsets: offsets(0..7), batches: &[], holes: &[] };
    assert_eq!(plain(partition.acquire(at(0), &id("a"), &read, ALL)), []);
    assert_eq!((partition.start_offset(), partition.next_fetch_offset()), (Offset(7), Offset(7)));
    assert_eq!(partition.take_unsaved(), Unsaved::Counts);
}

#[test]
fn a_read_that_begins_too_late_gives_nothing() {
    let mut partition = partition();
    let read = LogRead { offsets: offsets(5..10), batches: &[offsets(5..10)], holes: &[] };
    assert_eq!(plain(partition.acquire(at(0), &id("a"), &read, ALL)), []);
    assert_eq!(partition.next_fetch_offset(), Offset(0));
}

#[test]
fn a_batch_read_from_its_middle_is_given_from_there() {
    let mut partition = SharePartition::new(Offset(4), config());
    let read = LogRead { offsets: offsets(4..10), batches: &[offsets(0..10)], holes: &[] };
    assert_eq!(plain(partition.acquire(at(0), &id("a"), &read, ALL)), [(4..10, 1)]);
}

#[test]
fn unfinished_records_are_bounded() {
    let mut partition = SharePartition::new(Offset(0), SharePartitionConfig { records_max: 12, ..config() });
    assert_eq!(acquire(&mut partition, 0, "a", &[0..10, 10..20], ALL), [(0..12, 1)]);
    assert!(!partition.deliverable_now(Offset(20)));
    assert_eq!(acquire(&mut partition, 0, "b", &[0..10, 10..20], ALL), []);
    partition.acknowledge(at(0), &id("a"), &[ack(5..8, 1)]).unwrap();
    assert!(partition.deliverable_now(Offset(20)));
    assert!(!partition.deliverable_now(Offset(12)));
    assert_eq!(acquire(&mut partition, 0, "b", &[10..20], ALL), [(12..15, 1)]);
    partition.release_all(&id("a"), Attempt::Counts);
    assert!(partition.deliverable_now(Offset(15)));
    assert_eq!(acquire(&mut partition, 0, "b", &[0..10, 10..20], ALL), [(0..5, 2), (8..12, 2)]);
}

#[test]
fn the_log_start_takes_records_from_whoever_has_them() {
    for (log_start, start, end, expected) in [
        (0, 0, 10, vec!["0..5 a 1", "5..10 b 1"]),
        (3, 3, 10, vec!["3..5 a 1", "5..10 b 1"]),
        (5, 5, 10, vec!["5..10 b 1"]),
        (10, 10, 10, vec![]),
        (15, 15, 15, vec![]),
    ] {
        let mut partition = partition();
        acquire(&mut partition, 0, "a", &[0..5], ALL);
        acquire(&mut partition, 0, "b", &[5..10], ALL);
        partition.on_log_start(Offset(log_start));
        assert_eq!(states(&partition), expected, "{log_start}");
        assert_eq!((partition.start_offset(), partition.end_offset()), (Offset(start), Offset(end)));
    }
}

#[test]
fn an_operator_moves_the_start_either_way() {
    let mut partition = partition();
    acquire(&mut partition, 0, "a", &[0..10], ALL);
    partition.acknowledge(at(0), &id("a"), &[ack(0..5, 1)]).unwrap();
    for start in [2, 20] {
        partition.alter(Offset(start));
        assert_eq!(partition.next_fetch_offset(), Offset(start));
        assert_eq!(states(&partition), [""; 0]);
        assert_eq!(partition.take_unsaved(), Unsaved::Outcomes);
    }
    assert_eq!(partition.state_epoch(), 2);
}

#[test]
fn lag_counts_what_is_not_finished() {
    let mut partition = partition();
    acquire(&mut partition, 0, "a", &[0..10], ALL);
    partition.acknowledge(at(0), &id("a"), &[ack(0..2, 1), ack(5..8, 1)]).unwrap();
    assert_eq!(partition.lag(Offset(20)), 15);
    assert_eq!(partition.stored().lag(Offset(20)), 15);
    assert_eq!(partition.stored().start_offset(), Offset(2));
}
