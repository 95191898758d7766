//! Who fetches what.

use super::fixture::*;
use crate::group::consumer::PartitionSet;
use crate::group::share::assignor::{AssignorMember, assign};
use crate::types::{PartitionIndex, TopicId, TopicPartition};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

type Subscribers = Vec<BTreeSet<TopicId>>;

fn run(
    subscribed: &Subscribers,
    targets: &[PartitionSet],
    topics: &BTreeMap<TopicId, i32>,
) -> Vec<PartitionSet> {
    let members: Vec<AssignorMember<'_>> = subscribed
        .iter()
        .zip(targets)
        .map(|(subscribed, target)| AssignorMember { subscribed, target })
        .collect();
    assign(&members, topics)
}

fn check(subscribed: &Subscribers, targets: &[PartitionSet], topics: &BTreeMap<TopicId, i32>) {
    assert_eq!(subscribed.len(), targets.len());
    let mut sharing: BTreeMap<TopicPartition, usize> = BTreeMap::new();
    for (member, target) in subscribed.iter().zip(targets) {
        for which in target {
            assert!(member.contains(&which.topic_id), "nobody gets what it does not subscribe to");
            *sharing.entry(*which).or_default() += 1;
        }
        let any = member.iter().any(|topic_id| topics.get(topic_id).is_some_and(|&size| size > 0));
        assert_eq!(target.is_empty(), !any, "nobody is idle");
    }
    for (&topic_id, &size) in topics {
        for partition in (0..size).map(PartitionIndex) {
            let wanted = subscribed.iter().any(|member| member.contains(&topic_id));
            assert_eq!(sharing.contains_key(&TopicPartition { topic_id, partition }), wanted);
        }
    }
    if subscribed.windows(2).all(|pair| pair[0] == pair[1]) && !sharing.is_empty() {
        let sizes: BTreeSet<usize> = targets.iter().map(PartitionSet::len).collect();
        assert!(sizes.last().unwrap() - sizes.first().unwrap() <= 1, "{sizes:?}");
        let each = subscribed.len().div_ceil(sharing.len());
        assert!(sharing.values().all(|&members| members == each));
    }
}

#[test]
fn members_and_partitions_of_one_topic() {
    for (members, partitions, sizes) in [
        (1, 3, vec![3]),
        (2, 3, vec![1, 2]),
        (3, 3, vec![1, 1, 1]),
        (3, 2, vec![1, 1, 2]),
        (4, 2, vec![1, 1, 1, 1]),
        (5, 1, vec![1, 1, 1, 1, 1]),
        (2, 0, vec![0, 0]),
    ] {
        let subscribed = vec![[topic(1)].into(); members];
        let topics = BTreeMap::from([(topic(1), partitions)]);
        let targets = run(&subscribed, &vec![PartitionSet::new(); members], &topics);
        check(&subscribed, &targets, &topics);
        let mut got: Vec<usize> = targets.iter().map(PartitionSet::len).collect();
        got.sort_unstable();
        assert_eq!(got, sizes, "{members} members, {partitions} partitions");
    }
}

#[test]
fn a_new_member_takes_its_part_and_no_more_moves() {
    let topics = BTreeMap::from([(topic(1), 12)]);
    let two: Subscribers = vec![[topic(1)].into(); 2];
    let before = run(&two, &[PartitionSet::new(), PartitionSet::new()], &topics);
    let three: Subscribers = vec![[topic(1)].into(); 3];
    let after = run(&three, &[before[0].clone(), before[1].clone(), PartitionSet::new()], &topics);
    assert_eq!(after[2].len(), 4);
    assert!(after[0].is_subset(&before[0]) && after[1].is_subset(&before[1]));
    let left = run(&two, &after[..2], &topics);
    assert!(left[0].is_superset(&after[0]) && left[1].is_superset(&after[1]));
}

#[test]
fn who_subscribes_to_little_shares_rather_than_idles() {
    let subscribed: Subscribers = vec![[topic(1)].into(), [topic(1)].into(), [topic(1), topic(2)].into()];
    let topics = BTreeMap::from([(topic(1), 1), (topic(2), 3)]);
    let targets = run(&subscribed, &vec![PartitionSet::new(); 3], &topics);
    check(&subscribed, &targets, &topics);
    assert_eq!(targets[0], ones(&[0]));
    assert_eq!(targets[1], ones(&[0]));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    #[test]
    fn whatever_changes(
        rounds in prop::collection::vec(
            (
                prop::collection::vec(prop::collection::btree_set(1u128..4, 0..4), 1..8),
                prop::collection::btree_map(1u128..4, 0i32..7, 0..4),
                any::<bool>(),
            ),
            1..5,
        ),
    ) {
        let mut targets: Vec<PartitionSet> = Vec::new();
        for (members, sizes, alike) in rounds {
            let topics: BTreeMap<TopicId, i32> = sizes.iter().map(|(&id, &size)| (topic(id), size)).collect();
            let exist = |ids: &BTreeSet<u128>| {
                ids.iter().filter(|id| sizes.contains_key(id)).map(|&id| topic(id)).collect::<BTreeSet<_>>()
            };
            let mut subscribed: Subscribers = members.iter().map(exist).collect();
            if alike {
                subscribed = vec![subscribed[0].clone(); subscribed.len()];
            }
            targets.resize(subscribed.len(), PartitionSet::new());
            targets = run(&subscribed, &targets, &topics);
            check(&subscribed, &targets, &topics);
            let again = run(&subscribed, &targets, &topics);
            prop_assert_eq!(&again, &targets, "nothing moves without a cause");
        }
    }
}
