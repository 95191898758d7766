//! Which segments are merged, and what that costs over a long history.

use super::super::merge::{MergeSettings, choose};
use super::{manifest, segment, starts};
use crate::config::ArchivePace;
use crate::segment::manifest::{Archived, Manifest, Segment};
use crate::types::Offset;
use proptest::prelude::*;
use uuid::Uuid;

const SETTINGS: MergeSettings = MergeSettings { target_bytes: 1_000, fan_in: 3 };

/// Neighbours of these sizes and levels.
fn segments(given: &[(i64, u8)]) -> Vec<Segment> {
    let mut start = 0;
    let next = |&(bytes, level): &(i64, u8)| {
        let segment = Segment { level, ..segment(start, start + bytes) };
        start += bytes;
        segment
    };
    given.iter().map(next).collect()
}

fn chosen(given: &[(i64, u8)], boundary: i64, runs_max: usize) -> Vec<(Vec<i64>, u8)> {
    let runs = choose(&SETTINGS, &segments(given), Offset(boundary), runs_max);
    runs.iter().map(|run| (starts(&run.segments), run.level)).collect()
}

#[test]
fn as_many_small_neighbours_of_a_level_as_the_fan_in_are_merged() {
    assert_eq!(chosen(&[(10, 0), (10, 0)], 0, 9), []);
    assert_eq!(chosen(&[(10, 0), (10, 0), (10, 0), (10, 0)], 0, 9), [(vec![0, 10, 20], 1)]);
    assert_eq!(chosen(&[(10, 1), (10, 0), (10, 0), (10, 1), (10, 0)], 0, 9), []);
    assert_eq!(chosen(&[(10, 1), (10, 1), (10, 1), (10, 0)], 0, 9), [(vec![0, 10, 20], 2)]);
}

#[test]
fn what_comes_to_the_target_is_merged_earlier() {
    assert_eq!(chosen(&[(499, 0), (499, 0)], 0, 9), []);
    let large = MergeSettings { fan_in: 8, ..SETTINGS };
    let given = segments(&[(499, 0), (499, 0), (2, 0), (1, 0)]);
    let runs = choose(&large, &given, Offset::ZERO, 9);
    assert_eq!(runs.iter().map(|run| starts(&run.segments)).collect::<Vec<_>>(), [[0, 499, 998]]);
}

#[test]
fn large_segments_are_left_alone_and_part_the_small_ones() {
    assert_eq!(chosen(&[(500, 0), (500, 0), (500, 0)], 0, 9), []);
    assert_eq!(chosen(&[(10, 0), (10, 0), (500, 0), (10, 0)], 0, 9), []);
}

#[test]
fn a_run_does_not_cross_the_boundary() {
    let given = [(10, 0); 6];
    assert_eq!(chosen(&given, 20, 9), [(vec![20, 30, 40], 1)]);
    assert_eq!(chosen(&given, 25, 9), [(vec![20, 30, 40], 1)]);
    assert_eq!(chosen(&given, 30, 9), [(vec![0, 10, 20], 1), (vec![30, 40, 50], 1)]);
}

#[test]
fn no_more_runs_are_chosen_than_wanted() {
    assert_eq!(chosen(&[(10, 0); 9], 0, 2).len(), 2);
    assert_eq!(chosen(&[(10, 0); 9], 0, 0).len(), 0);
}

/// What a history has cost.
struct Costs {
    archived_bytes: u64,
    merged_bytes: u64,
    manifest: Manifest,
}

/// Archives segments of these sizes and merges after each whatever there is to merge.
fn play(settings: &MergeSettings, sizes: impl IntoIterator<Item = u64>) -> Costs {
    let mut costs = Costs { archived_bytes: 0, merged_bytes: 0, manifest: manifest(Vec::new()) };
    let mut ids = 0;
    for bytes in sizes {
        costs.archived_bytes += bytes;
        let start = costs.manifest.archived_offset().0;
        ids += 1;
        let new = Segment { raw_bytes: bytes, unique: Uuid::from_u128(ids), ..segment(start, start + 10) };
        let (archived_offset, segments) = (new.offsets.end, vec![new]);
        let archived =
            Archived { segments, archived_offset, leader_epochs: Vec::new(), producers: Vec::new() };
        costs.manifest = costs.manifest.append_segments(archived).expect("legal").manifest;
        while let Some(run) = choose(settings, costs.manifest.segments(), Offset::ZERO, 1).pop() {
            ids += 1;
            let (first, last) = (&run.segments[0], &run.segments[run.segments.len() - 1]);
            let (first, last) = (first.offsets.start.0, last.offsets.end.0);
            let raw_bytes = run.segments.iter().map(|segment| segment.raw_bytes).sum();
            assert!(raw_bytes < settings.target_bytes * 3 / 2, "a merge needs bounded memory");
            costs.merged_bytes += raw_bytes;
            let merged =
                Segment { raw_bytes, level: run.level, unique: Uuid::from_u128(ids), ..segment(first, last) };
            costs.manifest = costs.manifest.replace(&run.segments, vec![merged]).expect("legal").manifest;
        }
    }
    costs
}

/// How often a record may be rewritten where no segment is smaller than `bytes_min`.
fn rewrites_max(settings: &MergeSettings, bytes_min: u64) -> u64 {
    let mut levels = 1;
    let mut bytes = bytes_min * settings.fan_in as u64;
    while bytes < settings.target_bytes / 2 {
        bytes *= settings.fan_in as u64;
        levels += 1;
    }
    levels
}

#[test]
fn a_long_history_is_rewritten_a_few_times() {
    let settings = MergeSettings { target_bytes: 64 << 20, fan_in: ArchivePace::default().merge_fan_in };
    for (what, bytes, count) in [
        ("64 MiB, cut by size", 64_u64 << 20, 1_000_u64),
        ("6 MiB, ten minutes of 10 kB/s", 6 << 20, 5_000),
        ("1 MiB", 1 << 20, 5_000),
        ("64 KiB", 64 << 10, 10_000),
        ("1 KiB, a topic that asked for fresh Parquet", 1 << 10, 20_000),
    ] {
        let sizes = (0..count).map(|number| bytes - bytes / 8 + number * 7_919 % (bytes / 4));
        let costs = play(&settings, sizes);
        let amplification = costs.merged_bytes as f64 / costs.archived_bytes as f64;
        let left = costs.manifest.totals().segments;
        println!("{what}: rewritten {amplification:.2} times, {count} segments became {left}");
        assert!(amplification <= rewrites_max(&settings, bytes - bytes / 8) as f64);
        assert!(amplification > 0.0 || bytes > settings.target_bytes / 2);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn amplification_and_leftovers_are_bounded(
        sizes in prop::collection::vec(prop_oneof![4 => 16..64_u64, 2 => 64..700_u64, 1 => 700..1_500_u64], 1..400),
        fan_in in 2..9_usize,
    ) {
        let settings = MergeSettings { target_bytes: 1_000, fan_in };
        let count = sizes.len();
        let costs = play(&settings, sizes);
        let levels = rewrites_max(&settings, 16);
        prop_assert!(costs.merged_bytes <= costs.archived_bytes * levels, "{} levels", levels);
        // Between two large segments fewer than the fan-in remain of each level.
        let small = |segment: &&Segment| segment.raw_bytes < 500;
        let left: Vec<_> = costs.manifest.segments().cloned().collect();
        for stretch in left.split(|segment| segment.raw_bytes >= 500) {
            prop_assert!(stretch.len() <= (fan_in - 1) * (levels as usize + 1), "{} remain", stretch.len());
        }
        prop_assert!(left.iter().filter(small).count() <= count);
    }
}
