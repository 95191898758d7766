//! The names of segments and manifests: sorted as their offsets, read back, and nobody else's.

use crate::store::ObjectPath;
use crate::store::paths::{self, ManifestObject, SegmentName};
use crate::types::{LeaderEpoch, Offset, PartitionIndex, TopicId, TopicName, TopicPartition};
use proptest::prelude::*;
use uuid::Uuid;

const ID: TopicId = TopicId(Uuid::from_u128(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef));
const PLACE: TopicPartition = TopicPartition { topic_id: ID, partition: PartitionIndex(7) };
const UNIQUE: Uuid = Uuid::from_u128(0xfedc_ba98_7654_3210_fedc_ba98_7654_3210);

fn topic(name: &str) -> TopicName {
    TopicName::parse(name).expect("a legal name")
}

fn name(start: i64, end: i64) -> SegmentName {
    SegmentName { offsets: Offset(start)..Offset(end), leader_epoch: LeaderEpoch(12), unique: UNIQUE }
}

#[test]
fn a_segment_has_one_name() {
    let path = paths::segment(&topic("flights"), PLACE, &name(5, 900));
    assert_eq!(
        path.as_str(),
        "topics/flights-0123456789abcdef0123456789abcdef/partition=7/\
         00000000000000000005-00000000000000000899-12-fedcba9876543210fedcba9876543210.parquet"
    );
    assert_eq!(paths::parse_segment(&path), Some((PLACE, name(5, 900))));
    assert!(path.as_str().starts_with(paths::topic_segments_prefix(&topic("flights"), ID).as_str()));
    assert!(path.as_str().starts_with(paths::segments_prefix().as_str()));
}

#[test]
fn a_manifest_object_has_one_name() {
    for (object, file) in [(ManifestObject::Root(UNIQUE), "root"), (ManifestObject::Part(UNIQUE), "part")] {
        let path = paths::manifest_object(PLACE, object);
        let expected = format!(
            "manifests/0123456789abcdef0123456789abcdef/7/{file}-fedcba9876543210fedcba9876543210.jsonl.zst"
        );
        assert_eq!(path.as_str(), expected);
        assert_eq!(paths::parse_manifest_object(&path), Some((PLACE, object)));
        for prefix in
            [paths::manifests_prefix(), paths::topic_manifests_prefix(ID), paths::manifest_prefix(PLACE)]
        {
            assert!(path.as_str().starts_with(&format!("{prefix}/")), "{path} lies below {prefix}");
        }
    }
}

#[test]
fn every_legal_topic_name_makes_a_path() {
    let looks_like_an_id = "0123456789abcdef0123456789abcdef";
    let names = [
        "a",
        "...",
        "-",
        "-----",
        "a-",
        "_",
        "partition-0",
        "x.parquet",
        looks_like_an_id,
        &format!("a-{looks_like_an_id}"),
        &format!("a-{looks_like_an_id}-{looks_like_an_id}"),
        &"x".repeat(222),
        &"x".repeat(223),
        &"-.".repeat(124),
        &"x".repeat(249),
    ];
    for text in names {
        let path = paths::segment(&topic(text), PLACE, &name(0, 1));
        assert_eq!(paths::parse_segment(&path), Some((PLACE, name(0, 1))), "{text}");
        assert!(path.as_str().split('/').all(|level| level.len() <= 255), "file systems take {path}");
    }
}

#[test]
fn topics_with_names_that_begin_alike_have_levels_of_their_own() {
    let id = |number| TopicId(Uuid::from_u128(number));
    let (a, b) = ("x".repeat(249), "x".repeat(248) + "y");
    let level = |name: &str, number| paths::topic_segments_prefix(&topic(name), id(number));
    assert_ne!(level(&a, 1), level(&b, 2));
    assert_ne!(level("A", 1), level("a", 2));
    // `a` with an id, and `a-<that id>` with another.
    let longer = format!("a-{}", id(1));
    assert!(!level(&longer, 2).as_str().starts_with(&format!("{}/", level("a", 1))));
}

#[test]
fn a_name_that_we_do_not_make_is_no_segment() {
    let good = paths::segment(&topic("t"), PLACE, &name(5, 900)).to_string();
    let id = ID.to_string();
    for text in [
        good.replace("topics/", "topic/"),
        good.replace("topics/", "topics/x/"),
        good.replace("/t-", "/-"),
        good.replace("t-0123", "t0123"),
        good.replace(&id, &id.to_uppercase()),
        good.replace(&id, &id[1..]),
        good.replace("partition=7", "partition=07"),
        good.replace("partition=7", "partition=99999999999"),
        good.replace("partition=", "partition"),
        good.replace("00000000000000000005", "5"),
        good.replace("00000000000000000005", "00000000000000000900"),
        good.replace("00000000000000000005", "99999999999999999999"),
        good.replace("00000000000000000899", "09223372036854775807"),
        good.replace("-12-", "-012-"),
        good.replace("-12-", "-12-13-"),
        good.replace("-12-", "-"),
        good.replace(".parquet", ".parquet.tmp"),
        good.replace(".parquet", ""),
        format!("{good}/x"),
        format!("x/{good}"),
        "topics".to_owned(),
        format!("topics/{}", "x".repeat(10)),
    ] {
        assert_ne!(text, good);
        let path = ObjectPath::parse(&text).expect("a legal path");
        assert_eq!(paths::parse_segment(&path), None, "{text}");
    }
}

#[test]
fn a_name_that_we_do_not_make_is_no_manifest_object() {
    let good = paths::manifest_object(PLACE, ManifestObject::Root(UNIQUE)).to_string();
    for text in [
        good.replace("/7/", "/07/"),
        good.replace("/7/", "/"),
        good.replace("/7/", "/7/7/"),
        good.replace("root-", "stem-"),
        good.replace("root-", "root"),
        good.replace("root-fedc", "root-FEDC"),
        good.replace(".zst", ""),
        good.replace("manifests/", "manifest/"),
        good.replace("0123456789abcdef0123456789abcdef", "01234567-89ab-cdef-0123-456789abcdef"),
    ] {
        assert_ne!(text, good);
        let path = ObjectPath::parse(&text).expect("a legal path");
        assert_eq!(paths::parse_manifest_object(&path), None, "{text}");
    }
}

proptest! {
    #[test]
    fn the_name_of_a_segment_gives_back_what_it_was_made_of(
        text in "[a-zA-Z0-9._-]{1,249}",
        (id, unique) in any::<(u128, u128)>(),
        partition in 0..i32::MAX,
        (start, count) in (0..i64::MAX - 1).prop_flat_map(|start| (Just(start), 1..i64::MAX - start)),
        epoch in 0..i32::MAX,
    ) {
        let Ok(topic) = TopicName::parse(&text) else { return Ok(()) };
        let place = TopicPartition { topic_id: TopicId(Uuid::from_u128(id)), partition: PartitionIndex(partition) };
        let (leader_epoch, unique) = (LeaderEpoch(epoch), Uuid::from_u128(unique));
        let name = SegmentName { offsets: Offset(start)..Offset(start + count), leader_epoch, unique };
        let path = paths::segment(&topic, place, &name);
        prop_assert_eq!(paths::parse_segment(&path), Some((place, name)));
        prop_assert!(path.as_str().split('/').all(|level| level.len() <= 255));
    }

    #[test]
    fn segments_stand_in_the_order_of_their_offsets(a in 0..i64::MAX, b in 0..i64::MAX) {
        let path = |start: i64| paths::segment(&topic("t"), PLACE, &name(start, start + 1));
        prop_assert_eq!(path(a).as_str().cmp(path(b).as_str()), a.cmp(&b));
    }

    #[test]
    fn no_path_makes_a_parser_panic(text in "(topics|manifests)/[a-f0-9.-]{0,40}/(partition=)?[0-9-]{0,3}/[a-f0-9-]{0,90}(\\.parquet|\\.jsonl\\.zst)?") {
        if let Ok(path) = ObjectPath::parse(&text) {
            let _ = (paths::parse_segment(&path), paths::parse_manifest_object(&path));
        }
    }
}
