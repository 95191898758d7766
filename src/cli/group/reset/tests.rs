use super::*;

#[test]
fn a_group_goes_where_it_is_told_within_the_log() {
    let place = |committed: Option<i64>, at_time: Option<i64>| Place {
        log: Offset(10)..Offset(100),
        committed: committed.map(Offset),
        at_time: at_time.map(Offset),
    };
    for (target, place, expected) in [
        (Target::Earliest, place(None, None), Some(10)),
        (Target::Latest, place(Some(5), None), Some(100)),
        (Target::Offset(Offset(50)), place(None, None), Some(50)),
        (Target::Offset(Offset(7)), place(None, None), Some(10)),
        (Target::Offset(Offset(101)), place(None, None), Some(100)),
        (Target::Time(Timestamp(1)), place(None, Some(33)), Some(33)),
        (Target::Time(Timestamp(1)), place(None, Some(-1)), Some(100)),
        (Target::Shift(-5), place(Some(50), None), Some(45)),
        (Target::Shift(-50), place(Some(50), None), Some(10)),
        (Target::Shift(i64::MAX), place(Some(50), None), Some(100)),
        (Target::Shift(1), place(None, None), None),
    ] {
        assert_eq!(place.moved(target), expected.map(Offset), "{target:?} {place:?}");
    }
}

#[test]
fn a_time_is_a_date_or_milliseconds() {
    for (text, expected) in [
        ("1500", Some(1500)),
        ("@1500", Some(1500)),
        ("1970-01-01T00:00:01Z", Some(1000)),
        ("-1", None),
        ("yesterday", None),
    ] {
        assert_eq!(parse_time(text).ok(), expected.map(Timestamp), "{text}");
    }
}
