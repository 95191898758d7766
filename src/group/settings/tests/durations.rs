//! Durations as Java's own parser takes them.

use crate::group::settings::duration::parse;
use std::time::Duration;

const MAX: u64 = i64::MAX.unsigned_abs();

#[test]
fn durations_are_read_as_java_reads_them() {
    for (text, seconds, nanos) in [
        ("PT0S", 0, 0),
        ("P0D", 0, 0),
        ("PT20.345S", 20, 345_000_000),
        ("PT15M", 900, 0),
        ("PT10H", 36_000, 0),
        ("P2D", 172_800, 0),
        ("P2DT3H4M", 183_840, 0),
        ("p1dt1h1m1.5s", 90_061, 500_000_000),
        ("+PT5S", 5, 0),
        ("PT+5S", 5, 0),
        ("-PT-5S", 5, 0),
        ("PT1H-30M", 1_800, 0),
        ("P1DT-1H", 82_800, 0),
        ("PT0.000000001S", 0, 1),
        ("PT1,5S", 1, 500_000_000),
        ("PT1.S", 1, 0),
        ("PT1M-0.5S", 59, 500_000_000),
        ("PT9223372036854775807S", MAX, 0),
    ] {
        assert_eq!(parse(text), Some(Duration::new(seconds, nanos)), "{text}");
    }
}

#[test]
fn what_is_no_duration_or_a_negative_one_is_refused() {
    for text in [
        "",
        "P",
        "PT",
        "-",
        "5",
        "5S",
        "T5S",
        "P5S",
        "P1H",
        "PT1D",
        "P1DT",
        "PT1M1H",
        "PT1S1S",
        "P1W",
        "P1Y",
        "PT.5S",
        "PT5.5M",
        "PT1.0000000001S",
        "PT1.-5S",
        "PT 5S",
        " PT5S",
        "PT5S ",
        "PT--5S",
        "-PT5S",
        "PT-5S",
        "P-1D",
        "PT-0.5S",
        "PT1.5.5S",
        "PT9223372036854775808S",
        "P9223372036854775807D",
        "PT5Ss",
        "PT٣S",
    ] {
        assert_eq!(parse(text), None, "{text:?}");
    }
}
