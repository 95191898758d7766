//! Up to where old records go.

use super::super::retention::{Piece, Retained, RetentionSettings, new_log_start};
use super::segment;
use crate::topic::TopicSettings;
use crate::types::{Offset, Timestamp};
use proptest::prelude::*;
use std::collections::BTreeMap;

const NO_LIMIT: RetentionSettings = RetentionSettings { age_ms: None, bytes: None };

/// Pieces of ten offsets: their latest timestamps and their sizes.
fn pieces(pieces: &[(i64, u64)]) -> Vec<Piece> {
    let piece = |(number, &(at, bytes)): (usize, &(i64, u64))| Piece {
        end: Offset(10 * (number as i64 + 1)),
        max_timestamp: Timestamp(at),
        bytes,
    };
    pieces.iter().enumerate().map(piece).collect()
}

fn log(pieces: &[Piece], last_stable_offset: i64) -> Retained {
    let bytes = pieces.iter().map(|piece| piece.bytes).sum();
    Retained { log_start_offset: Offset::ZERO, last_stable_offset: Offset(last_stable_offset), bytes }
}

fn start(settings: &RetentionSettings, now: i64, stable: i64, given: &[(i64, u64)]) -> Option<i64> {
    let given = pieces(given);
    let log = log(&given, stable);
    new_log_start(settings, Timestamp(now), log, given).map(|offset| offset.0)
}

#[test]
fn what_is_older_than_the_age_goes_up_to_the_first_that_is_not() {
    let settings = RetentionSettings { age_ms: Some(100), ..NO_LIMIT };
    let given = [(10, 1), (20, 1), (15, 1), (40, 1)];
    for (now, expected) in [
        (110, None),
        (111, Some(10)),
        (116, Some(10)),
        (121, Some(30)),
        (140, Some(30)),
        (141, Some(40)),
        (i64::MAX, Some(40)),
        (0, None),
    ] {
        assert_eq!(start(&settings, now, 40, &given), expected, "at {now}");
    }
    assert_eq!(start(&RetentionSettings { age_ms: Some(0), ..NO_LIMIT }, 16, 40, &given), Some(10));
}

#[test]
fn a_timestamp_of_the_future_keeps_what_is_behind_it() {
    let settings = RetentionSettings { age_ms: Some(100), ..NO_LIMIT };
    assert_eq!(start(&settings, 1_000, 40, &[(10, 1), (9_000, 1), (10, 1), (10, 1)]), Some(10));
}

#[test]
fn what_has_no_timestamp_goes_with_what_comes_after_it() {
    let settings = RetentionSettings { age_ms: Some(100), ..NO_LIMIT };
    assert_eq!(start(&settings, 1_000, 40, &[(-1, 1), (10, 1), (-1, 1), (-1, 1)]), Some(20));
    assert_eq!(start(&settings, 1_000, 40, &[(-1, 1), (-1, 1), (950, 1), (-1, 1)]), None);
}

#[test]
fn what_is_over_the_size_goes_and_the_limit_is_kept() {
    let given = [(0, 10), (0, 20), (0, 30), (0, 40)];
    for (bytes, expected) in [
        (100, None),
        (1_000, None),
        (99, None),
        (90, Some(10)),
        (71, Some(10)),
        (70, Some(20)),
        (40, Some(30)),
        (39, Some(30)),
        (0, Some(40)),
    ] {
        let settings = RetentionSettings { bytes: Some(bytes), ..NO_LIMIT };
        assert_eq!(start(&settings, 0, 40, &given), expected, "{bytes} bytes");
    }
}

#[test]
fn pieces_without_bytes_stay_where_the_size_is_below_its_limit() {
    let settings = |bytes| RetentionSettings { bytes: Some(bytes), ..NO_LIMIT };
    assert_eq!(start(&settings(1), 0, 40, &[(0, 0), (0, 0)]), None);
    assert_eq!(start(&settings(10), 0, 40, &[(0, 0), (0, 10)]), Some(10));
}

#[test]
fn the_stricter_rule_holds() {
    let given = [(0, 10), (50, 20), (100, 30), (150, 40)];
    let settings = |age_ms, bytes| RetentionSettings { age_ms: Some(age_ms), bytes: Some(bytes) };
    assert_eq!(start(&settings(60, 40), 150, 40, &given), Some(30), "by size");
    assert_eq!(start(&settings(10, 90), 150, 40, &given), Some(30), "by age");
    assert_eq!(start(&settings(60, 90), 150, 40, &given), Some(20));
}

#[test]
fn nothing_goes_that_is_not_stable_and_nothing_without_a_limit() {
    let given = [(0, 10), (0, 10), (0, 10)];
    let settings = RetentionSettings { age_ms: Some(1), bytes: Some(0) };
    for (stable, expected) in [(0, None), (9, None), (10, Some(10)), (29, Some(20)), (30, Some(30))] {
        assert_eq!(start(&settings, 1_000, stable, &given), expected);
    }
    assert_eq!(start(&NO_LIMIT, i64::MAX, 30, &given), None);
    assert_eq!(start(&settings, 1_000, 30, &[]), None);
}

#[test]
fn a_log_start_inside_a_piece_does_not_go_back() {
    let given = pieces(&[(0, 10), (900, 10)]);
    let settings = RetentionSettings { age_ms: Some(500), ..NO_LIMIT };
    let at = |start| {
        let log = Retained { log_start_offset: Offset(start), ..log(&given, 20) };
        new_log_start(&settings, Timestamp(1_000), log, given.iter().copied())
    };
    assert_eq!(at(7), Some(Offset(10)));
    assert_eq!(at(10), None);
}

#[test]
fn limits_are_those_of_the_topic_if_its_policy_is_to_delete() {
    let settings = |overrides: &[(&str, &str)]| {
        let overrides = overrides.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let topic = TopicSettings::parse(&overrides.collect::<BTreeMap<_, _>>()).expect("legal settings");
        let RetentionSettings { age_ms, bytes } = RetentionSettings::of(&topic);
        (age_ms, bytes)
    };
    assert_eq!(settings(&[]), (Some(604_800_000), None));
    assert_eq!(settings(&[("retention.ms", "-1"), ("retention.bytes", "5")]), (None, Some(5)));
    assert_eq!(settings(&[("retention.ms", "0"), ("retention.bytes", "-7")]), (Some(0), None));
    assert_eq!(settings(&[("cleanup.policy", "compact"), ("retention.bytes", "5")]), (None, None));
    assert_eq!(settings(&[("cleanup.policy", "compact,delete"), ("retention.ms", "9")]), (Some(9), None));
}

#[test]
fn a_segment_is_a_piece_of_its_files_size() {
    let piece = Piece::from(&segment(20, 30));
    assert_eq!(piece, Piece { end: Offset(30), max_timestamp: Timestamp(29), bytes: 10 });
}

proptest! {
    #[test]
    fn retention_keeps_to_its_limits(
        given in prop::collection::vec((-1..500_i64, 0..50_u64), 0..30),
        age_ms in prop::option::of(0..600_i64),
        bytes in prop::option::of(0..800_u64),
        now in 0..1_000_i64,
        stable in 0..320_i64,
        first in 0..320_i64,
    ) {
        let given = pieces(&given);
        let given: Vec<_> = given.into_iter().filter(|piece| piece.end.0 > first).collect();
        let log = Retained { log_start_offset: Offset(first), ..log(&given, stable) };
        let settings = RetentionSettings { age_ms, bytes };
        let new = new_log_start(&settings, Timestamp(now), log, given.iter().copied());
        let end = new.unwrap_or(Offset(first));
        prop_assert!(new.is_none() || (end > Offset(first) && end <= Offset(stable)), "to {end}");
        let (gone, kept): (Vec<Piece>, Vec<Piece>) = given.iter().partition(|piece| piece.end <= end);
        let kept_bytes: u64 = kept.iter().map(|piece| piece.bytes).sum();
        let is_old = |piece: &Piece| age_ms.is_some_and(|age_ms| now - piece.max_timestamp.0 > age_ms);
        // What goes is over the size, or all of it is too old.
        let by_size = bytes.is_some_and(|bytes| kept_bytes >= bytes);
        prop_assert!(by_size || gone.iter().all(|piece| piece.max_timestamp.0 < 0 || is_old(piece)));
        // What could go has gone.
        if let Some(next) = kept.first().filter(|next| next.end <= Offset(stable)) {
            // An earlier piece, which is not too old, may have gone by size and ended the look for old ones.
            let is_held_back = gone.iter().any(|piece| piece.max_timestamp.0 >= 0 && !is_old(piece));
            prop_assert!(next.max_timestamp.0 < 0 || !is_old(next) || is_held_back);
            prop_assert!(bytes.is_none_or(|bytes| kept_bytes < bytes + next.bytes));
        }
    }
}
