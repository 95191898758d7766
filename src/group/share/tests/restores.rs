//! What another broker goes on with.

use super::fixture::*;
use crate::group::share::*;
use crate::types::Offset;

#[test]
fn what_members_have_is_restored_as_available_with_its_count() {
    let mut partition = partition();
    acquire(&mut partition, 0, "a", &[0..10], ALL);
    partition.acknowledge(at(0), &id("a"), &[ack(0..2, 1), ack(3..4, 1), ack(5..6, 3)]).unwrap();
    let restored = SharePartition::restore(&partition.stored(), config()).unwrap();
    assert_eq!(states(&restored), ["2..3 . 1", "3..4 + 1", "4..5 . 1", "5..6 x 1", "6..10 . 1"]);
    assert_eq!(restored.stored(), partition.stored());
    assert_eq!(restored.next_fetch_offset(), Offset(2));
}

#[test]
fn the_stored_form_stays() {
    let mut partition = SharePartition::new(Offset(10), config());
    acquire(&mut partition, 0, "a", &[10..20], ALL);
    partition.acknowledge(at(0), &id("a"), &[ack(12..13, 1), ack(15..20, 3)]).unwrap();
    let json = r#"{"version":1,"state_epoch":0,"start_offset":10,"batches":[[0,2,0,1],[2,1,2,1],[3,2,0,1],[5,5,4,1]]}"#;
    assert_eq!(serde_json::to_string(&partition.stored()).unwrap(), json);
    let read: StoredSharePartition = serde_json::from_str(json).unwrap();
    assert_eq!(SharePartition::restore(&read, config()).unwrap().stored(), partition.stored());
}

#[test]
fn a_stored_partition_that_makes_no_sense_is_refused() {
    for json in [
        r#"{"version":2,"state_epoch":0,"start_offset":0,"batches":[]}"#,
        r#"{"version":1,"state_epoch":0,"start_offset":-1,"batches":[]}"#,
        r#"{"version":1,"state_epoch":0,"start_offset":0,"batches":[[0,0,0,0]]}"#,
        r#"{"version":1,"state_epoch":0,"start_offset":0,"batches":[[0,-5,0,0]]}"#,
        r#"{"version":1,"state_epoch":0,"start_offset":0,"batches":[[1,5,0,0]]}"#,
        r#"{"version":1,"state_epoch":0,"start_offset":0,"batches":[[0,5,1,0]]}"#,
        r#"{"version":1,"state_epoch":0,"start_offset":0,"batches":[[0,5,0,-1]]}"#,
        r#"{"version":1,"state_epoch":0,"start_offset":9,"batches":[[0,9223372036854775807,0,0]]}"#,
    ] {
        let stored: StoredSharePartition = serde_json::from_str(json).unwrap();
        assert!(SharePartition::restore(&stored, config()).is_err(), "{json}");
    }
}

/// A record that this broker died with is tried once more, even if it was the last attempt: it was not its fault.
#[test]
fn the_last_attempt_is_repeated_after_a_restart() {
    let mut partition =
        SharePartition::new(Offset(0), SharePartitionConfig { delivery_count_limit: 1, ..config() });
    acquire(&mut partition, 0, "a", &[0..5], ALL);
    let config = SharePartitionConfig { delivery_count_limit: 1, ..config() };
    let mut restored = SharePartition::restore(&partition.stored(), config).unwrap();
    assert_eq!(acquire(&mut restored, 0, "a", &[0..5], ALL), [(0..5, 2)]);
    restored.on_time(at(5_000));
    assert_eq!(restored.start_offset(), Offset(5));
}

/// However members acknowledge, what is stored fits the metadata store.
#[test]
fn the_stored_form_is_bounded() {
    let records_max = 10_000;
    let mut partition = SharePartition::new(Offset(0), SharePartitionConfig { records_max, ..config() });
    let mut first = 0;
    while partition.deliverable_now(Offset(i64::MAX)) {
        let taken = acquire(&mut partition, 0, "a", &[first..first + 10_000], ALL);
        for (range, _) in taken {
            let types: Vec<i8> = range.clone().map(|offset| if offset % 2 == 0 { 1 } else { 3 }).collect();
            let skip = usize::from(range.start == 0);
            let first = range.start + i64::from(range.start == 0);
            let each = Acknowledgement::parse(first, range.end - 1, &types[skip..]).unwrap();
            partition.acknowledge(at(0), &id("a"), &[each]).unwrap();
            // The first record stays with its member, so that all the others are kept.
        }
        first = partition.end_offset().0;
    }
    let json = serde_json::to_string(&partition.stored()).unwrap();
    assert!(json.len() < 512 << 10, "{} bytes", json.len());
}

#[test]
fn a_group_goes_on_where_it_was() {
    let image = topics(&[("a", 1, 4), ("b", 2, 2)]);
    let mut group = ShareGroup::new(ShareGroupConfig::default());
    group.heartbeat(at(0), &join("m", &["a"]), &image).unwrap();
    group.heartbeat(at(0), &join("n", &["a", "b"]), &image).unwrap();
    let text = serde_json::to_string(&group.stored()).unwrap();
    let stored: StoredShareGroup = serde_json::from_str(&text).unwrap();
    let mut restored = ShareGroup::restore(&stored, ShareGroupConfig::default(), at(90_000)).unwrap();
    assert_eq!(restored.describe(), group.describe());
    assert_eq!(restored.stored(), group.stored());
    assert_eq!(restored.next_deadline(), Some(at(135_000)));
    restored.on_topics_changed(&image);
    assert!(!restored.take_dirty());
    for (member, epoch) in [("m", 1), ("n", 2)] {
        let request = beat(member, epoch);
        let expected = group.heartbeat(at(1), &request, &image).unwrap();
        assert_eq!(restored.heartbeat(at(90_001), &request, &image).unwrap(), expected);
    }
}
