use super::{Aborted, Log, Position, StartAt, first};
use crate::types::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp};
use crate::wire::batch::{BatchBuilder, BatchHeader, Codec, NO_PRODUCER, stamp};
use crate::wire::messages::fetch_response::AbortedTransaction;
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

/// From 10 to 20, of which 18 and 19 are of an open transaction.
fn log(at_time: Option<i64>) -> Log {
    Log { offsets: Offset(10)..Offset(20), readable_end: Offset(18), at_time: at_time.map(Offset) }
}

fn take(next: i64, stop: i64, batches: &[Bytes]) -> (Vec<i64>, i64) {
    let mut position = Position { next: Offset(next), stop: Offset(stop) };
    let taken = position.take(batches.concat().into(), Aborted::new(None)).expect("they are batches");
    (taken.iter().map(|taken| taken.header.base_offset.get()).collect(), position.next.get())
}

#[test]
fn a_start_is_within_the_log_or_an_error() {
    for (start, expected) in [
        (StartAt::Earliest, Ok(10)),
        (StartAt::Latest, Ok(18)),
        (StartAt::Offset(Offset(10)), Ok(10)),
        (StartAt::Offset(Offset(20)), Ok(20)),
        (StartAt::Offset(Offset(9)), Err(9)),
        (StartAt::Offset(Offset(21)), Err(21)),
        (StartAt::FromEnd(3), Ok(15)),
        (StartAt::FromEnd(30), Ok(10)),
    ] {
        let got = first(start, &log(None)).map(Offset::get).map_err(Offset::get);
        assert_eq!(got, expected, "{start:?}");
    }
}

#[test]
fn a_time_after_the_last_record_starts_at_the_end() {
    assert_eq!(first(StartAt::Time(Timestamp(5)), &log(Some(12))), Ok(Offset(12)));
    assert_eq!(first(StartAt::Time(Timestamp(5)), &log(Some(-1))), Ok(Offset(18)));
}

#[test]
fn batches_of_aborted_transactions_are_told_up_to_their_markers() {
    const DATA: i16 = 1 << 4;
    const MARKER: i16 = 1 << 4 | 1 << 5;
    let listed = |producer_id: i64, first_offset| {
        AbortedTransaction::default().with_producer_id(producer_id.into()).with_first_offset(first_offset)
    };
    let mut aborted = Aborted::new(Some(vec![listed(1, 40), listed(2, 3), listed(1, 0)]));
    for (base_offset, producer_id, attributes, expected) in [
        (10, 1, DATA, true),
        (11, 2, DATA, true),
        (12, 3, DATA, false),
        (13, 1, 0, false),
        (14, 1, MARKER, false),
        (15, 1, DATA, false),
        (16, 2, DATA, true),
        (17, 1, MARKER, false),
        (40, 1, DATA, true),
        (41, 2, MARKER, false),
        (42, 2, DATA, false),
        (43, 1, DATA, true),
    ] {
        let header = BatchHeader {
            producer_id: ProducerId(producer_id),
            producer_epoch: ProducerEpoch(0),
            attributes,
            ..BatchHeader::decode(&batch(base_offset, 1)).expect("a batch")
        };
        assert_eq!(aborted.has(&header), expected, "at {base_offset}");
    }
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
