use super::{Position, StartAt, first};
use crate::types::{LeaderEpoch, Offset, Timestamp};
use crate::wire::batch::{BatchBuilder, Codec, NO_PRODUCER, stamp};
use bytes::Bytes;

fn batch(base_offset: i64, records: usize) -> Bytes {
    let mut builder = BatchBuilder::new();
    for _ in 0..records {
        builder.append(Timestamp(1), None, Some(b"v"), &[]);
    }
    let mut bytes = builder.finish(Codec::None, NO_PRODUCER).to_vec();
    stamp(&mut bytes, Offset(base_offset), LeaderEpoch(0));
    bytes.into()
}

fn take(next: i64, stop: i64, batches: &[Bytes]) -> (Vec<i64>, i64) {
    let mut position = Position { next: Offset(next), stop: Offset(stop) };
    let taken = position.take(batches.concat().into()).expect("they are batches");
    (taken.iter().map(|(header, _, _)| header.base_offset.get()).collect(), position.next.get())
}

#[test]
fn a_start_is_within_the_log_or_an_error() {
    let log = Offset(10)..Offset(20);
    for (start, expected) in [
        (StartAt::Earliest, Ok(10)),
        (StartAt::Latest, Ok(20)),
        (StartAt::Offset(Offset(10)), Ok(10)),
        (StartAt::Offset(Offset(20)), Ok(20)),
        (StartAt::Offset(Offset(9)), Err(9)),
        (StartAt::Offset(Offset(21)), Err(21)),
        (StartAt::FromEnd(3), Ok(17)),
        (StartAt::FromEnd(30), Ok(10)),
    ] {
        let got = first(start, log.clone(), None).map(Offset::get).map_err(Offset::get);
        assert_eq!(got, expected, "{start:?}");
    }
}

#[test]
fn a_time_after_the_last_record_starts_at_the_end() {
    let log = Offset(10)..Offset(20);
    assert_eq!(first(StartAt::Time(Timestamp(5)), log.clone(), Some(Offset(12))), Ok(Offset(12)));
    assert_eq!(first(StartAt::Time(Timestamp(5)), log, Some(Offset(-1))), Ok(Offset(20)));
}

#[test]
fn a_batch_that_begins_before_the_wanted_offset_is_taken() {
    assert_eq!(take(5, 100, &[batch(3, 4)]), (vec![3], 7));
}

#[test]
fn a_batch_that_ends_before_the_wanted_offset_is_not() {
    assert_eq!(take(7, 100, &[batch(3, 4), batch(7, 1)]), (vec![7], 8));
}

#[test]
fn gaps_between_batches_are_skipped() {
    assert_eq!(take(0, 100, &[batch(0, 2), batch(50, 1)]), (vec![0, 50], 51));
}

#[test]
fn a_batch_that_is_cut_off_is_left_for_the_next_fetch() {
    let half = batch(2, 3).slice(..65);
    assert_eq!(take(0, 100, &[batch(0, 2), half]), (vec![0], 2));
}

#[test]
fn batches_behind_the_end_are_left_out() {
    assert_eq!(take(0, 2, &[batch(0, 2), batch(2, 2)]), (vec![0], 2));
    assert_eq!(take(0, 3, &[batch(0, 2), batch(2, 2)]), (vec![0, 2], 4));
}
