//! When a pass of compaction is due, over what, and what it decides about rows.

use super::super::compact::*;
use super::{manifest, segment, starts};
use crate::segment::manifest::{CleanPass, Manifest, Segment};
use crate::types::{Offset, Timestamp};

const SETTINGS: CompactionSettings = CompactionSettings {
    min_dirty_ratio: 0.5,
    min_lag_ms: 0,
    max_lag_ms: i64::MAX,
    delete_retention_ms: 1_000,
};
const HASH_KEY: HashKey = HashKey(1, 2);

fn cleaned(manifest: &Manifest, passes: &[(i64, i64)]) -> Manifest {
    passes.iter().fold(manifest.clone(), |manifest, &(up_to, at)| {
        let pass = CleanPass { up_to: Offset(up_to), at: Timestamp(at) };
        manifest.note_clean_pass(pass).expect("legal").manifest
    })
}

fn planned(
    manifest: &Manifest,
    settings: &CompactionSettings,
    now: i64,
) -> Option<(i64, i64, CompactionReason)> {
    let plan = plan(manifest, settings, Timestamp(now))?;
    Some((plan.dirty.start.0, plan.dirty.end.0, plan.reason))
}

/// Segments of 100 rows, each of a byte and a millisecond.
fn hundreds(count: i64) -> Manifest {
    manifest((0..count).map(|number| segment(number * 100, number * 100 + 100)).collect())
}

#[test]
fn a_pass_is_due_when_more_than_the_ratio_is_dirty() {
    let dirty = CompactionReason::DirtyRatio;
    let four = hundreds(4);
    assert_eq!(planned(&four, &SETTINGS, 0), Some((0, 400, dirty)));
    assert_eq!(planned(&cleaned(&four, &[(100, 0)]), &SETTINGS, 0), Some((100, 400, dirty)));
    assert_eq!(planned(&cleaned(&four, &[(200, 0)]), &SETTINGS, 0), None, "a half is not more than a half");
    assert_eq!(planned(&cleaned(&four, &[(400, 0)]), &SETTINGS, 0), None);
    let eager = CompactionSettings { min_dirty_ratio: 0.0, ..SETTINGS };
    assert_eq!(planned(&cleaned(&four, &[(300, 0)]), &eager, 0), Some((300, 400, dirty)));
    assert_eq!(planned(&cleaned(&four, &[(400, 0)]), &eager, 0), None, "nothing is dirty");
    assert_eq!(planned(&manifest(Vec::new()), &eager, 0), None);
    let never = CompactionSettings { min_dirty_ratio: 1.0, ..SETTINGS };
    assert_eq!(planned(&four, &never, 0), None);
}

#[test]
fn what_is_below_the_log_start_is_neither_dirty_nor_clean() {
    let dropped = hundreds(4).drop_before(Offset(250)).manifest;
    assert_eq!(planned(&dropped, &SETTINGS, 0), Some((250, 400, CompactionReason::DirtyRatio)));
}

#[test]
fn records_that_are_too_young_are_safe() {
    let lag = |min_lag_ms| CompactionSettings { min_lag_ms, ..SETTINGS };
    let four = hundreds(4);
    let end_at = |min_lag_ms, now| planned(&four, &lag(min_lag_ms), now).map(|(_, end, _)| end);
    // The latest of the third segment is of 299.
    assert_eq!(end_at(1_000, 1_298), Some(200));
    assert_eq!(end_at(1_000, 1_299), Some(300));
    assert_eq!(end_at(1_000, 1_399), Some(400));
    assert_eq!(end_at(1_000, 1_000), None, "all are too young");
    assert_eq!(end_at(0, -5), Some(400), "without the setting none is");
    assert_eq!(end_at(i64::MAX, 5_000), None);
}

#[test]
fn a_young_segment_holds_back_all_behind_it() {
    let young = Segment { max_timestamp: Timestamp(9_000), ..segment(100, 200) };
    let manifest = manifest(vec![segment(0, 100), young, segment(200, 300)]);
    let settings = CompactionSettings { min_lag_ms: 1_000, min_dirty_ratio: 0.1, ..SETTINGS };
    assert_eq!(planned(&manifest, &settings, 5_000), Some((0, 100, CompactionReason::DirtyRatio)));
    assert_eq!(planned(&cleaned(&manifest, &[(150, 0)]), &settings, 5_000), None);
}

#[test]
fn what_was_dirty_for_too_long_is_compacted_whatever_the_ratio() {
    let settings = CompactionSettings { max_lag_ms: 1_000, ..SETTINGS };
    let mostly_clean = cleaned(&hundreds(4), &[(300, 0)]);
    assert_eq!(planned(&mostly_clean, &settings, 1_300), None);
    assert_eq!(planned(&mostly_clean, &settings, 1_301), Some((300, 400, CompactionReason::MaxLag)));
    let untimed = Segment { min_timestamp: Timestamp(-1), max_timestamp: Timestamp(-1), ..segment(300, 400) };
    let untimed = manifest(vec![segment(0, 100), segment(100, 200), segment(200, 300), untimed]);
    assert_eq!(planned(&cleaned(&untimed, &[(300, 0)]), &settings, 99_999), None);
}

#[test]
fn tombstones_that_may_go_are_a_reason_if_they_are_many() {
    let buried = |tombstones| manifest(vec![Segment { tombstones, ..segment(0, 100) }, segment(100, 110)]);
    let reason = Some((100, 100, CompactionReason::Tombstones));
    let due = |tombstones, now| planned(&cleaned(&buried(tombstones), &[(100, 500)]), &SETTINGS, now);
    assert_eq!(due(51, 1_500), reason);
    assert_eq!(due(51, 1_499), None);
    assert_eq!(due(50, 1_500), None);
}

#[test]
fn tombstones_have_their_time_from_the_first_pass_that_saw_them() {
    let manifest = cleaned(&hundreds(4), &[(100, 500), (250, 700), (400, 900)]);
    let below = |now| tombstones_expired_below(&manifest, 1_000, Timestamp(now)).0;
    assert_eq!([1_499, 1_500, 1_699, 1_700, 1_900].map(below), [0, 100, 100, 250, 400]);
    assert_eq!(tombstones_expired_below(&manifest, i64::MAX, Timestamp(9_999)), Offset::ZERO);
}

#[test]
fn segments_are_rewritten_in_groups_of_a_size() {
    let groups = |up_to, target| -> Vec<Vec<i64>> {
        let groups = rewrite_groups(hundreds(5).segments(), Offset(up_to), target);
        groups.iter().map(|group| starts(group)).collect()
    };
    assert_eq!(groups(500, 250), [vec![0, 100], vec![200, 300], vec![400]]);
    assert_eq!(groups(201, 1_000), [vec![0, 100, 200]], "with the segment in which the pass ends");
    assert_eq!(groups(200, 1_000), [vec![0, 100]]);
    assert_eq!(groups(300, 10), [vec![0], vec![100], vec![200]]);
    assert!(groups(0, 10).is_empty());
}

fn row(offset: i64, key: &str) -> RowKey<'_> {
    RowKey { offset: Offset(offset), key: Some(key.as_bytes()), is_tombstone: false }
}

fn tombstone(offset: i64, key: &str) -> RowKey<'_> {
    RowKey { is_tombstone: true, ..row(offset, key) }
}

#[test]
fn each_row_has_its_fate() {
    let mut pass = DirtyPass::new(Offset(10)..Offset(20), 10, 1 << 20, HASH_KEY);
    let keyless = |offset| RowKey { key: None, ..row(offset, "") };
    for seen in
        [row(9, "z"), row(10, "a"), tombstone(11, "b"), row(12, "a"), keyless(13), row(14, ""), row(20, "c")]
    {
        assert_eq!(pass.observe(seen), PassProgress::More);
    }
    let survivors = pass.finish(Offset(2), Offset(15));
    assert_eq!((survivors.up_to(), survivors.keys()), (Offset(20), 3));
    for (row, fate) in [
        (row(1, "q"), Fate::BelowLogStart),
        (row(2, "q"), Fate::Kept),
        (row(2, "a"), Fate::Superseded),
        (tombstone(3, "q"), Fate::Expired),
        (tombstone(3, "a"), Fate::Superseded),
        (row(4, ""), Fate::Superseded),
        (keyless(5), Fate::Keyless),
        (row(10, "a"), Fate::Superseded),
        (tombstone(11, "b"), Fate::Kept),
        (row(12, "a"), Fate::Kept),
        (keyless(13), Fate::Keyless),
        (row(14, ""), Fate::Kept),
        (row(20, "a"), Fate::Kept),
        (keyless(21), Fate::Kept),
        (row(21, "q"), Fate::Kept),
    ] {
        assert_eq!(survivors.fate(row), fate, "{row:?}");
    }
}

#[test]
fn a_pass_ends_where_its_memory_does_and_the_next_begins_there() {
    let keys: Vec<String> = (0..100).map(|number| number.to_string()).collect();
    let mut passes = 0;
    let mut from = 0;
    while from < 100 {
        let mut pass = DirtyPass::new(Offset(from)..Offset(100), 100, 24 * 20, HASH_KEY);
        let rows = keys.iter().enumerate().map(|(offset, key)| row(offset as i64, key));
        let _ = rows.map(|row| pass.observe(row)).find(|progress| *progress == PassProgress::Full);
        let survivors = pass.finish(Offset::ZERO, Offset::ZERO);
        assert!(survivors.memory_bytes() <= 24 * 20);
        assert!(survivors.up_to().0 > from, "every pass gets further");
        from = survivors.up_to().0;
        passes += 1;
    }
    assert_eq!(passes, 7, "16 keys fit into 20 slots");
    let tiny = DirtyPass::new(Offset(0)..Offset(100), 100, 0, HASH_KEY);
    assert!(tiny.finish(Offset::ZERO, Offset::ZERO).memory_bytes() <= 48);
}

#[test]
fn memory_is_taken_for_the_rows_that_there_are() {
    let pass = DirtyPass::new(Offset(0)..Offset(100), 100, 1 << 40, HASH_KEY);
    assert!(pass.finish(Offset::ZERO, Offset::ZERO).memory_bytes() < 24 * 130);
}

#[test]
fn a_table_of_many_keys_knows_the_last_offset_of_each() {
    let mut pass = DirtyPass::new(Offset(0)..Offset(200_000), 200_000, 100_000 * 30, HASH_KEY);
    let keys: Vec<String> = (0..100_000).map(|number| format!("key {number}")).collect();
    for offset in 0..200_000 {
        let key = &keys[offset as usize * 7 % keys.len()];
        assert_eq!(pass.observe(row(offset, key)), PassProgress::More, "at {offset}");
    }
    let survivors = pass.finish(Offset::ZERO, Offset::ZERO);
    assert_eq!(survivors.keys(), 100_000);
    let kept = (0..200_000)
        .filter(|&offset| survivors.fate(row(offset, &keys[offset as usize * 7 % keys.len()])) == Fate::Kept);
    assert!(kept.eq(100_000..200_000));
}
