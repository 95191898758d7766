//! The assignors as functions.

use super::fixture::*;
use crate::group::consumer::*;
use crate::types::TopicId;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// Who: id, instance id, topics, old target.
type Row = (&'static str, Option<&'static str>, &'static [u128], &'static [(u128, &'static [i32])]);

fn set(partitions: &[(u128, &[i32])]) -> PartitionSet {
    partitions
        .iter()
        .flat_map(|(number, list)| list.iter().map(|&partition| tp(*number, partition)))
        .collect()
}

fn check(
    assignor: Assignor,
    what: &str,
    sizes: &[(u128, i32)],
    rows: &[Row],
    expected: &[&[(u128, &[i32])]],
) {
    let topics: BTreeMap<TopicId, i32> = sizes.iter().map(|&(number, size)| (topic(number), size)).collect();
    let ids: Vec<_> =
        rows.iter().map(|row| (MemberId::new(row.0), row.1.map(GroupInstanceId::new))).collect();
    let subscribed: Vec<BTreeSet<TopicId>> =
        rows.iter().map(|row| row.2.iter().map(|&number| topic(number)).collect()).collect();
    let old: Vec<PartitionSet> = rows.iter().map(|row| set(row.3)).collect();
    let member = |index: usize| AssignorMember {
        member_id: &ids[index].0,
        instance_id: ids[index].1.as_ref(),
        subscribed: &subscribed[index],
        target: &old[index],
    };
    let members: Vec<_> = (0..rows.len()).map(member).collect();
    let expected: Vec<PartitionSet> = expected.iter().map(|partitions| set(partitions)).collect();
    assert_eq!(assignor.assign(&members, &topics), expected, "{what}");
}

#[test]
fn range_cuts_every_topic_alike() {
    let range = |what, sizes: &[(u128, i32)], rows: &[Row], expected: &[&[(u128, &[i32])]]| {
        check(Assignor::Range, what, sizes, rows, expected);
    };
    range("nobody", &[(1, 3)], &[], &[]);
    range(
        "two topics alike",
        &[(1, 3), (2, 3)],
        &[("m", None, &[1, 2], &[]), ("n", None, &[1, 2], &[])],
        &[&[(1, &[0, 1]), (2, &[0, 1])], &[(1, &[2]), (2, &[2])]],
    );
    range(
        "more members than partitions",
        &[(1, 1)],
        &[("m", None, &[1], &[]), ("n", None, &[1], &[])],
        &[&[(1, &[0])], &[]],
    );
    range(
        "static members first",
        &[(1, 3)],
        &[("a", None, &[1], &[]), ("b", Some("z"), &[1], &[]), ("c", Some("y"), &[1], &[])],
        &[&[(1, &[2])], &[(1, &[1])], &[(1, &[0])]],
    );
    range(
        "subscriptions that differ",
        &[(1, 3), (2, 2)],
        &[("m", None, &[1], &[]), ("n", None, &[1, 2], &[]), ("o", None, &[2], &[])],
        &[&[(1, &[0, 1])], &[(1, &[2]), (2, &[0])], &[(2, &[1])]],
    );
}

#[test]
fn uniform_balances_and_keeps() {
    let uniform = |what, sizes: &[(u128, i32)], rows: &[Row], expected: &[&[(u128, &[i32])]]| {
        check(Assignor::Uniform, what, sizes, rows, expected);
    };
    uniform("nobody", &[(1, 3)], &[], &[]);
    uniform(
        "one more than it divides",
        &[(1, 3)],
        &[("m", None, &[1], &[]), ("n", None, &[1], &[])],
        &[&[(1, &[0, 2])], &[(1, &[1])]],
    );
    uniform(
        "what is balanced stays",
        &[(1, 3)],
        &[("m", None, &[1], &[(1, &[1])]), ("n", None, &[1], &[(1, &[0, 2])])],
        &[&[(1, &[1])], &[(1, &[0, 2])]],
    );
    uniform(
        "a new member gets what the others have too much of",
        &[(1, 4)],
        &[("m", None, &[1], &[(1, &[0, 1, 2, 3])]), ("n", None, &[1], &[])],
        &[&[(1, &[0, 1])], &[(1, &[2, 3])]],
    );
    uniform(
        "new partitions go to the emptiest",
        &[(1, 4)],
        &[("m", None, &[1], &[(1, &[0, 1])]), ("n", None, &[1], &[(1, &[2])])],
        &[&[(1, &[0, 1])], &[(1, &[2, 3])]],
    );
    uniform(
        "deleted topics and partitions are forgotten",
        &[(1, 2)],
        &[("m", None, &[1], &[(1, &[0, 5]), (9, &[0])])],
        &[&[(1, &[0, 1])]],
    );
    uniform(
        "only subscribers",
        &[(1, 2), (2, 2)],
        &[("m", None, &[1], &[]), ("n", None, &[1, 2], &[])],
        &[&[(1, &[0, 1])], &[(2, &[0, 1])]],
    );
    uniform(
        "a topic moves to where it is wanted alone",
        &[(1, 4)],
        &[("m", None, &[1], &[(1, &[0, 1, 2, 3])]), ("n", None, &[1, 2], &[])],
        &[&[(1, &[0, 1])], &[(1, &[2, 3])]],
    );
}

#[derive(Clone, Debug)]
struct World {
    sizes: Vec<i32>,
    subscriptions: Vec<BTreeSet<usize>>,
    assignor: Assignor,
}

fn world() -> impl Strategy<Value = World> {
    let sizes = proptest::collection::vec(0..12i32, 1..6);
    sizes.prop_flat_map(|sizes| {
        let subscription = proptest::collection::btree_set(0..sizes.len(), 0..=sizes.len());
        let alike = proptest::bool::ANY;
        let subscriptions = proptest::collection::vec(subscription, 1..9);
        let assignor = prop_oneof![Just(Assignor::Uniform), Just(Assignor::Range)];
        (subscriptions, alike, assignor).prop_map(move |(mut subscriptions, alike, assignor)| {
            if alike {
                let first = subscriptions[0].clone();
                subscriptions.fill(first);
            }
            World { sizes: sizes.clone(), subscriptions, assignor }
        })
    })
}

fn run(world: &World, old: &[PartitionSet]) -> Vec<PartitionSet> {
    let topics = world.sizes.iter().enumerate().map(|(n, &size)| (topic(n as u128), size)).collect();
    let ids: Vec<MemberId> =
        (0..world.subscriptions.len()).map(|n| MemberId::new(&format!("m{n}"))).collect();
    let subscribed: Vec<BTreeSet<TopicId>> =
        world.subscriptions.iter().map(|wanted| wanted.iter().map(|&n| topic(n as u128)).collect()).collect();
    let none = PartitionSet::new();
    let members: Vec<_> = (0..ids.len())
        .map(|n| AssignorMember {
            member_id: &ids[n],
            instance_id: None,
            subscribed: &subscribed[n],
            target: old.get(n).unwrap_or(&none),
        })
        .collect();
    world.assignor.assign(&members, &topics)
}

fn alike(world: &World) -> bool {
    world.subscriptions.iter().all(|subscription| *subscription == world.subscriptions[0])
}

proptest! {
    #[test]
    fn every_partition_goes_to_exactly_one_of_its_subscribers(first in world(), second in world()) {
        let old = run(&first, &[]);
        for (world, targets) in [(&first, old.clone()), (&second, run(&second, &old))] {
            let mut seen = PartitionSet::new();
            for (target, subscription) in targets.iter().zip(&world.subscriptions) {
                for which in target {
                    let number = which.topic_id.0.as_u128() as usize;
                    prop_assert!(subscription.contains(&number) && which.partition.0 < world.sizes[number]);
                    prop_assert!(seen.insert(*which));
                }
            }
            let wanted: BTreeSet<usize> = world.subscriptions.iter().flatten().copied().collect();
            prop_assert_eq!(seen.len() as i32, wanted.iter().map(|&n| world.sizes[n]).sum::<i32>());
            if world.assignor == Assignor::Uniform && alike(world) {
                let counts: Vec<usize> = targets.iter().map(BTreeSet::len).collect();
                prop_assert!(counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 1);
            }
            prop_assert_eq!(run(world, &targets), targets, "what is done stays done");
        }
    }

    #[test]
    fn uniform_moves_as_little_as_balance_allows(world in world(), joins in 0..3usize, leaves in 0..3usize) {
        let before = World { assignor: Assignor::Uniform, ..world };
        prop_assume!(alike(&before) && leaves < before.subscriptions.len());
        let old = run(&before, &[]);
        let mut after = before.clone();
        after.subscriptions.drain(..leaves);
        after.subscriptions.extend(std::iter::repeat_n(before.subscriptions[0].clone(), joins));
        let old = &old[leaves..];
        let targets = run(&after, old);
        let partitions: usize = targets.iter().map(BTreeSet::len).sum();
        let (each, more) = (partitions / targets.len(), partitions % targets.len());
        // Best: the fullest `more` members keep one more than the others.
        let mut had: Vec<usize> = old.iter().map(BTreeSet::len).collect();
        had.sort_unstable_by(|a, b| b.cmp(a));
        let best: usize = had.iter().enumerate().map(|(n, &had)| had.min(each + usize::from(n < more))).sum();
        let kept: usize = targets.iter().zip(old).map(|(new, old)| new.intersection(old).count()).sum();
        prop_assert_eq!(kept, best);
    }
}

/// The bound is generous: it must hold on a busy machine, in a debug build too.
#[test]
fn a_thousand_members_and_ten_thousand_partitions_take_a_moment() {
    for assignor in [Assignor::Uniform, Assignor::Range] {
        for differ in [false, true] {
            let subscription =
                |n: usize| (0..100).filter(|t| !differ || !(t + n).is_multiple_of(3)).collect();
            let mut world = World {
                sizes: vec![100; 100],
                subscriptions: (0..1000).map(subscription).collect(),
                assignor,
            };
            let begin = std::time::Instant::now();
            let targets = run(&world, &[]);
            let first = begin.elapsed();
            world.subscriptions.truncate(999);
            let targets = run(&world, &targets);
            let counts: Vec<usize> = targets.iter().map(BTreeSet::len).collect();
            let took = begin.elapsed();
            println!(
                "{assignor:?} differ={differ}: {first:?} + {:?}, {}..={}",
                took - first,
                counts.iter().min().unwrap(),
                counts.iter().max().unwrap()
            );
            assert_eq!(counts.iter().sum::<usize>(), 10_000);
            assert!(took < std::time::Duration::from_secs(10), "{took:?}");
        }
    }
}
