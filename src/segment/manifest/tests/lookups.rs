//! What is found for an offset and for a time.

use super::*;

#[test]
fn an_offset_finds_its_segment_or_the_next() {
    let manifest = manifest(&[(5, 10), (10, 20), (25, 30)]);
    for (offset, found) in [
        (0, Some(5)),
        (5, Some(5)),
        (9, Some(5)),
        (10, Some(10)),
        (19, Some(10)),
        (20, Some(25)),
        (24, Some(25)),
        (29, Some(25)),
        (30, None),
    ] {
        let segment = manifest.segment_at(Offset(offset)).map(|segment| segment.offsets.start.0);
        assert_eq!(segment, found, "offset {offset}");
    }
    let rest: Vec<_> = manifest.segments_from(Offset(12)).map(|segment| segment.offsets.start.0).collect();
    assert_eq!(rest, [10, 25]);
    assert!(Manifest::new(topic_partition(), Offset::ZERO).segment_at(Offset(0)).is_none());
}

#[test]
fn a_time_finds_the_segments_that_reach_it() {
    let late = Segment { max_timestamp: Timestamp(5_000), ..segment(10, 20) };
    let segments = vec![segment(0, 10), late, segment(20, 30)];
    let empty = Manifest::new(topic_partition(), Offset::ZERO);
    let manifest = empty.append_segments(archived(segments, 30)).expect("legal").manifest;
    let from = |target| -> Vec<_> {
        let found = manifest.segments_from_timestamp(Timestamp(target));
        found.map(|segment| segment.offsets.start.0).collect()
    };
    assert_eq!(from(0), [0, 10, 20]);
    assert_eq!(from(1_009), [0, 10, 20]);
    assert_eq!(from(1_010), [10, 20]);
    assert_eq!(from(1_030), [10]);
    assert_eq!(from(5_001), [0_i64; 0]);
    assert_eq!(manifest.segment_of_max_timestamp().map(|segment| segment.offsets.start), Some(Offset(10)));
}

#[test]
fn of_equal_times_the_first_segment_is_the_latest() {
    let at = |start, end| Segment { max_timestamp: Timestamp(9_000), ..segment(start, end) };
    let empty = Manifest::new(topic_partition(), Offset::ZERO);
    let segments = vec![segment(0, 1), at(1, 2), at(2, 3)];
    let manifest = empty.append_segments(archived(segments, 3)).expect("legal").manifest;
    assert_eq!(manifest.segment_of_max_timestamp().map(|segment| segment.offsets.start), Some(Offset(1)));
}

#[test]
fn sums_are_those_of_the_segments() {
    let sums = manifest(&[(0, 10), (10, 20), (25, 30)]).totals();
    let expected = Totals { segments: 3, rows: 25, tombstones: 0, raw_bytes: 2_500, file_bytes: 2_250 };
    assert_eq!(sums, expected);
    assert_eq!(manifest(&[(0, 10), (10, 20)]).drop_before(Offset(10)).manifest.totals().rows, 10);
}
