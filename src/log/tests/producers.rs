//! The table of what follows, repeats or is refused.

use super::super::producer_state::{Accepted, Admission, BatchKind, ProducerTable};
use super::super::{AppendError, BatchIdentity, SequenceError};
use crate::journal::CommitTicket;
use crate::types::{Offset, ProducerEpoch, ProducerId, Timestamp};

fn batch(epoch: i16, base_sequence: i32, record_count: i32) -> BatchIdentity {
    BatchIdentity {
        producer_id: ProducerId(1),
        producer_epoch: ProducerEpoch(epoch),
        base_sequence,
        record_count,
    }
}

/// A table that has taken these batches, at offsets one after the other.
fn after(batches: &[BatchIdentity]) -> ProducerTable {
    let mut table = ProducerTable::default();
    let mut next = Offset::ZERO;
    for identity in batches {
        let offsets = next..next + i64::from(identity.record_count);
        next = offsets.end;
        let ticket = CommitTicket::committed();
        table.record(Accepted {
            identity: *identity,
            ordinal: None,
            offsets,
            max_timestamp: Timestamp(5),
            ticket,
            now: Timestamp(10),
        });
    }
    table
}

#[derive(Debug, PartialEq)]
enum Answer {
    New,
    RepeatOf(i64),
    Refused(SequenceError),
}

fn check(before: &[BatchIdentity], batch: BatchIdentity, expected: &Answer) {
    let answer = match after(before).admit(batch, BatchKind::Plain) {
        Ok(Admission::New { .. }) => Answer::New,
        Ok(Admission::Repeated { offsets, .. }) => Answer::RepeatOf(offsets.start.0),
        Err(AppendError::Sequence(error)) => Answer::Refused(error),
        Err(error) => panic!("{error}"),
    };
    assert_eq!(&answer, expected, "{batch:?} after {before:?}");
}

#[test]
fn a_batch_follows_repeats_or_is_refused() {
    let out_of_order = |expected, got| Answer::Refused(SequenceError::OutOfOrder { expected, got });
    let fenced = |current, got| Answer::Refused(SequenceError::Fenced { current, got });
    let first_two = [batch(0, 0, 3), batch(0, 3, 2)];
    check(&[], batch(0, 0, 1), &Answer::New);
    // Its state may have expired, so any beginning is believed, as in Apache Kafka.
    check(&[], batch(0, 17, 1), &Answer::New);
    check(&first_two, batch(0, 5, 1), &Answer::New);
    check(&first_two, batch(0, 0, 3), &Answer::RepeatOf(0));
    check(&first_two, batch(0, 3, 2), &Answer::RepeatOf(3));
    check(&first_two, batch(0, 6, 1), &out_of_order(5, 6));
    // The same first sequence with another count is no repeat of what was stored.
    check(&first_two, batch(0, 3, 1), &out_of_order(5, 3));
    check(&first_two, batch(1, 0, 1), &Answer::New);
    check(&first_two, batch(1, 5, 1), &out_of_order(0, 5));
    check(&[batch(3, 0, 1)], batch(2, 1, 1), &fenced(3, 2));
    check(&first_two, batch(0, -1, 1), &Answer::Refused(SequenceError::Invalid(-1)));
}

#[test]
fn the_last_five_batches_are_remembered() {
    let six: Vec<_> = (0..6).map(|sequence| batch(0, sequence, 1)).collect();
    check(&six, batch(0, 1, 1), &Answer::RepeatOf(1));
    check(&six, batch(0, 0, 1), &Answer::Refused(SequenceError::OutOfOrder { expected: 6, got: 0 }));
}

#[test]
fn sequences_begin_again_at_zero() {
    check(&[batch(0, i32::MAX, 1)], batch(0, 0, 1), &Answer::New);
    check(&[batch(0, i32::MAX - 1, 4)], batch(0, 2, 1), &Answer::New);
    check(&[batch(0, i32::MAX - 1, 4)], batch(0, i32::MAX - 1, 4), &Answer::RepeatOf(0));
}

#[test]
fn a_producer_is_shown_with_its_last_sequence_until_it_has_been_silent_for_a_day() {
    let table = after(&[batch(2, 0, 3), batch(2, 3, 4)]);
    let day_ms = 24 * 60 * 60 * 1000;
    let [shown] = table.active(Timestamp(10 + day_ms - 1)).try_into().expect("one producer");
    assert_eq!((shown.producer_epoch.0, shown.last_sequence, shown.last_timestamp), (2, 6, Timestamp(5)));
    assert!(table.active(Timestamp(10 + day_ms)).is_empty());
}
