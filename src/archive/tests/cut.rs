//! When a partition is archived.

use super::super::cut::{ArchiveCut, CutSettings, JournalPressure, PutShare, Unarchived, decide, to_relieve};
use crate::config::{ArchiveConfig, ArchivePace};
use crate::topic::{Cleanup, TopicSettings};
use crate::types::Moment;
use proptest::prelude::*;
use std::time::Duration;

const SETTINGS: CutSettings =
    CutSettings { bytes: 1_000, age: Duration::from_secs(600), age_max: Duration::from_secs(86_400) };

fn at(seconds: u64) -> Moment {
    Moment(Duration::from_secs(seconds))
}

#[test]
fn a_partition_is_cut_at_a_size_or_at_an_age_that_it_paid_for() {
    let paid = PutShare::OF_A_SEGMENT;
    let unpaid = PutShare::of(1, 1) + PutShare::of(999, 1_000);
    use JournalPressure::{High, Low};
    for (bytes, oldest, paid, pressure, now, expected) in [
        (0, None, paid, High, 10_000, ArchiveCut::Nothing),
        (999, Some(100), paid, Low, 200, ArchiveCut::At(at(700))),
        (999, Some(100), paid, Low, 700, ArchiveCut::Now),
        (1_000, Some(100), unpaid, Low, 100, ArchiveCut::Now),
        (999, Some(100), unpaid, Low, 700, ArchiveCut::At(at(86_500))),
        (999, Some(100), unpaid, Low, 86_500, ArchiveCut::Now),
        (999, Some(100), unpaid, High, 200, ArchiveCut::At(at(700))),
        (999, Some(100), unpaid, High, 700, ArchiveCut::Now),
        // Offsets without bytes of their own, such as a lone marker, wait like any others.
        (0, Some(100), unpaid, Low, 86_499, ArchiveCut::At(at(86_500))),
    ] {
        let unarchived = Unarchived { bytes, oldest: oldest.map(at), paid };
        assert_eq!(decide(&SETTINGS, at(now), unarchived, pressure), expected, "{unarchived:?} at {now}");
    }
}

#[test]
fn an_age_above_the_highest_is_waited_for_all_the_same() {
    let settings = CutSettings { age: Duration::from_secs(100_000), ..SETTINGS };
    let unarchived = Unarchived { bytes: 1, oldest: Some(at(0)), paid: PutShare::default() };
    assert_eq!(decide(&settings, at(90_000), unarchived, JournalPressure::Low), ArchiveCut::At(at(100_000)));
}

#[test]
fn what_is_to_be_compacted_waits_no_longer_than_its_lag_whether_it_has_paid_or_not() {
    let broker = ArchiveConfig {
        bytes: SETTINGS.bytes,
        age: SETTINGS.age,
        age_max: SETTINGS.age_max,
        pace: ArchivePace::default(),
    };
    let ages = |compact, max_compaction_lag_ms, pressure| {
        let cleanup_policy = Cleanup { delete: false, compact };
        let topic = TopicSettings { cleanup_policy, max_compaction_lag_ms, ..TopicSettings::default() };
        let settings = CutSettings::of(&broker, &topic, pressure);
        assert_eq!(settings.bytes, SETTINGS.bytes);
        (settings.age.as_secs(), settings.age_max.as_secs())
    };
    use JournalPressure::{High, Low};
    assert_eq!(ages(false, 5_000, Low), (600, 86_400));
    assert_eq!(ages(true, i64::MAX, Low), (600, 86_400));
    assert_eq!(ages(true, 3_600_000, Low), (600, 3_600));
    assert_eq!(ages(true, 5_000, Low), (5, 5));
    assert_eq!(ages(true, 3_600_000, High), (60, 3_600));
}

#[test]
fn shares_of_an_object_come_to_one_put_at_most() {
    assert_eq!(PutShare::of(10, 10) + PutShare::of(10, 10), PutShare::OF_A_SEGMENT);
    assert_eq!(PutShare::of(20, 10), PutShare::of(10, 10));
    assert_eq!(PutShare::of(0, 0), PutShare::default());
    assert!(PutShare::of(u64::MAX, u64::MAX) + PutShare::of(0, 1) == PutShare::of(1, 1));
}

/// Minutes until the first segment of one of `partitions`, each of which has as much as any other in each of the
/// four objects a second.
fn minutes_until_cut(partitions: u64) -> u64 {
    let mut unarchived = Unarchived { bytes: 0, oldest: Some(at(0)), paid: PutShare::default() };
    for second in 1.. {
        for _ in 0..4 {
            unarchived.paid = unarchived.paid + PutShare::of(100, 100 * partitions);
        }
        if decide(&SETTINGS, at(second), unarchived, JournalPressure::Low) == ArchiveCut::Now {
            return second / 60;
        }
    }
    unreachable!("the highest age ends it")
}

#[test]
fn small_partitions_wait_the_longer_the_more_they_are() {
    let waits = [1, 1_000, 2_000, 10_000, 1_000_000].map(minutes_until_cut);
    assert_eq!(waits, [10, 10, 16, 83, 1_440]);
}

proptest! {
    /// Whatever the load: segments that were cut for their age cost no more PUTs than the journal.
    #[test]
    fn segments_cost_no_more_puts_than_the_journal(
        objects in prop::collection::vec(prop::collection::vec(0..1_000_u64, 6), 1..400),
    ) {
        let mut partitions = [Unarchived { bytes: 0, oldest: None, paid: PutShare::default() }; 6];
        let settings = CutSettings { bytes: u64::MAX, age_max: Duration::MAX, ..SETTINGS };
        let mut segment_puts = 0;
        for (number, object) in objects.iter().enumerate() {
            // Each object comes so late that everything is old enough.
            let now = at(1_000 * (number as u64 + 1));
            let object_bytes = object.iter().sum();
            for (partition, &bytes) in partitions.iter_mut().zip(object) {
                partition.oldest = partition.oldest.or((bytes > 0).then_some(now));
                partition.bytes += bytes;
                partition.paid = partition.paid + PutShare::of(bytes, object_bytes);
                if decide(&settings, now, *partition, JournalPressure::Low) == ArchiveCut::Now {
                    segment_puts += 2;
                    *partition = Unarchived { bytes: 0, oldest: None, paid: PutShare::default() };
                }
            }
            prop_assert!(segment_puts <= number + 1, "{segment_puts} after {} objects", number + 1);
        }
    }
}

/// Cuts where 1,000 rows may wait: what is archivable of each partition, what is held besides, and who is cut.
fn check_relief(archivable: &[u64], held: u64, expected: &[usize]) {
    let waiting = archivable.iter().sum::<u64>() + held;
    let partitions = archivable.iter().copied().enumerate();
    assert_eq!(to_relieve(1_000, waiting, partitions), expected, "{archivable:?} and {held} held");
}

#[test]
fn where_too_many_rows_wait_those_go_that_have_the_most() {
    check_relief(&[], 0, &[]);
    check_relief(&[400, 600], 0, &[]);
    check_relief(&[400, 601], 0, &[1]);
    check_relief(&[100, 150, 100, 200, 300, 151], 0, &[4]);
    check_relief(&[300, 300, 300, 300], 0, &[0, 1]);
    check_relief(&[5_000], 0, &[0]);
    // Partitions with nothing to archive are no partitions to cut.
    check_relief(&[0, 10, 0], 5_000, &[]);
    let many = [2; 600];
    check_relief(&many, 0, &(0..225).collect::<Vec<_>>());
}

#[test]
fn what_is_held_does_not_have_others_cut_again_and_again() {
    check_relief(&[10, 20], 990, &[]);
    check_relief(&[100, 149], 990, &[]);
    check_relief(&[100, 150], 990, &[1]);
    check_relief(&[100, 150, 60], 700, &[1, 0, 2]);
    check_relief(&[100, 150], 1_000_000, &[1]);
    check_relief(&[249], 1_000_000, &[]);
}

/// Whatever is held, and however the load is spread: so many segments at most for so many rows that came.
#[test]
fn relief_writes_no_flood_of_segments() {
    for held in [0, 700, 999, 5_000] {
        let (mut partitions, mut cuts, mut came) = ([0_u64; 100], 0, 0);
        for round in 0..10_000_usize {
            partitions[round * 7 % 100] += 1;
            came += 1;
            let waiting = partitions.iter().sum::<u64>() + held;
            for cut in to_relieve(1_000, waiting, partitions.into_iter().enumerate()) {
                partitions[cut] = 0;
                cuts += 1;
            }
        }
        assert!(cuts * 250 <= came * 100, "{cuts} cuts for {came} rows while {held} are held");
        assert!(partitions.iter().sum::<u64>() + held <= 1_000.max(held + 250));
    }
}

/// One partition that is busy, many that are not, and more rows held than may wait: those with a row or two are left alone
/// for as long as the busy one has what makes room.
#[test]
fn relief_does_not_cut_what_is_quiet_because_of_what_is_held() {
    let (mut partitions, mut cuts, mut came) = ([0_u64; 100], 0, 0_u64);
    for round in 0..10_000_usize {
        partitions[if round % 10 == 0 { 1 + round / 10 % 99 } else { 0 }] += 1;
        came += 1;
        let waiting = partitions.iter().sum::<u64>() + 5_000;
        for cut in to_relieve(1_000, waiting, partitions.into_iter().enumerate()) {
            partitions[cut] = 0;
            cuts += 1;
        }
    }
    assert!(cuts * 20 <= came, "{cuts} cuts for {came} rows");
    assert!(partitions.iter().sum::<u64>() <= 250);
}
