//! What becomes of records that members speak of.

use super::fixture::*;
use crate::group::share::*;
use crate::types::Offset;

#[test]
fn each_type_has_its_outcome() {
    for (acknowledge_type, expected, unsaved) in [
        (0, "x 1", Unsaved::Outcomes),
        (1, "+ 1", Unsaved::Outcomes),
        (2, ". 1", Unsaved::Outcomes),
        (3, "x 1", Unsaved::Outcomes),
        (4, "a 1", Unsaved::Nothing),
    ] {
        let mut partition = partition();
        acquire(&mut partition, 0, "a", &[0..10], ALL);
        partition.take_unsaved();
        assert_eq!(partition.acknowledge(at(500), &id("a"), &[ack(4..6, acknowledge_type)]), Ok(()));
        let expected = vec!["0..4 a 1".to_owned(), format!("4..6 {expected}"), "6..10 a 1".to_owned()];
        assert_eq!(states(&partition), expected);
        assert_eq!(partition.take_unsaved(), unsaved);
    }
}

#[test]
fn a_renewed_lock_runs_from_now() {
    let mut partition = partition();
    acquire(&mut partition, 0, "a", &[0..10], ALL);
    partition.acknowledge(at(600), &id("a"), &[ack(4..6, 4)]).unwrap();
    partition.on_time(at(1_000));
    assert_eq!(states(&partition), ["0..4 . 1", "4..6 a 1", "6..10 . 1"]);
    assert_eq!(partition.next_deadline(), Some(at(1_600)));
}

#[test]
fn a_release_of_the_last_attempt_archives() {
    let mut partition = partition();
    for _ in 0..3 {
        acquire(&mut partition, 0, "a", &[0..4], ALL);
        partition.acknowledge(at(0), &id("a"), &[ack(0..4, 2)]).unwrap();
    }
    assert_eq!(partition.start_offset(), Offset(4));
}

#[test]
fn every_record_may_have_its_own_type() {
    let mut partition = partition();
    acquire(&mut partition, 0, "a", &[0..6], ALL);
    let each = Acknowledgement::parse(0, 5, &[1, 1, 2, 3, 0, 1]).unwrap();
    partition.acknowledge(at(0), &id("a"), &[each]).unwrap();
    assert_eq!(states(&partition), ["2..3 . 1", "3..5 x 1", "5..6 + 1"]);
    assert_eq!(partition.start_offset(), Offset(2));
}

#[test]
fn the_start_moves_over_what_is_finished_only() {
    let mut partition = partition();
    acquire(&mut partition, 0, "a", &[0..10], ALL);
    for (range, start) in [(3..5, 0), (0..2, 2), (2..3, 5), (6..10, 5), (5..6, 10)] {
        partition.acknowledge(at(0), &id("a"), &[ack(range, 1)]).unwrap();
        assert_eq!(partition.start_offset(), Offset(start));
    }
}

#[test]
fn all_or_nothing() {
    let invalid = |at| Err(AcknowledgeError::InvalidRecordState { at: Offset(at) });
    let request = |reason| Err(AcknowledgeError::InvalidRequest(reason));
    let past = "an acknowledgement is past what was acquired";
    let overlap = "acknowledgements overlap or do not ascend";
    for (millis, member, acknowledgements, expected) in [
        (0, "b", vec![ack(0..5, 1)], invalid(0)),
        (0, "a", vec![ack(0..5, 1), ack(5..6, 1)], invalid(5)),
        (0, "a", vec![ack(0..7, 1)], invalid(5)),
        (1_000, "a", vec![ack(0..5, 1)], invalid(0)),
        (999, "a", vec![ack(0..5, 1)], Ok(())),
        (0, "a", vec![ack(0..2, 1), ack(9..11, 1)], request(past)),
        (0, "a", vec![ack(0..3, 1), ack(2..4, 1)], request(overlap)),
        (0, "a", vec![ack(3..4, 1), ack(0..2, 1)], request(overlap)),
        (0, "a", vec![], Ok(())),
    ] {
        let mut partition = partition();
        acquire(&mut partition, 0, "a", &[0..5], ALL);
        acquire(&mut partition, 1, "b", &[5..10], ALL);
        let before = states(&partition);
        partition.take_unsaved();
        let answer = partition.acknowledge(at(millis), &id(member), &acknowledgements);
        assert_eq!(answer, expected, "{acknowledgements:?}");
        if answer.is_err() {
            assert_eq!(partition.take_unsaved(), Unsaved::Nothing);
            assert!(millis == 1_000 || states(&partition) == before);
        }
    }
}

#[test]
fn what_is_finished_is_not_acknowledged_twice() {
    let mut partition = partition();
    acquire(&mut partition, 0, "a", &[0..10], ALL);
    partition.acknowledge(at(0), &id("a"), &[ack(3..5, 1)]).unwrap();
    let again = partition.acknowledge(at(0), &id("a"), &[ack(3..5, 1)]);
    assert_eq!(again, Err(AcknowledgeError::InvalidRecordState { at: Offset(3) }));
}

#[test]
fn what_lies_before_the_start_is_passed_over() {
    let mut partition = partition();
    acquire(&mut partition, 0, "a", &[0..10], ALL);
    partition.on_log_start(Offset(5));
    assert_eq!(partition.acknowledge(at(0), &id("a"), &[ack(0..4, 1), ack(4..7, 1)]), Ok(()));
    assert_eq!(partition.start_offset(), Offset(7));
    let types = Acknowledgement::parse(5, 9, &[1, 1, 2, 1, 1]).unwrap();
    assert_eq!(partition.acknowledge(at(0), &id("a"), &[types]), Ok(()));
    assert_eq!(states(&partition), ["7..8 . 1", "8..10 + 1"]);
}

#[test]
fn requests_are_checked_at_the_door() {
    for (first, last, types, valid) in [
        (0, 0, vec![1], true),
        (0, 9, vec![1], true),
        (0, 2, vec![1, 2, 3], true),
        (0, 2, vec![], false),
        (0, 2, vec![1, 2], false),
        (0, 2, vec![1, 2, 3, 4], false),
        (0, 0, vec![5], false),
        (0, 0, vec![-1], false),
        (3, 2, vec![1], false),
        (-1, 2, vec![1], false),
        (0, i64::MAX, vec![1], false),
        (i64::MIN, i64::MAX - 1, vec![1], false),
    ] {
        assert_eq!(Acknowledgement::parse(first, last, &types).is_ok(), valid, "{first} {last} {types:?}");
    }
    assert!(ack(0..3, 4).renews());
}
