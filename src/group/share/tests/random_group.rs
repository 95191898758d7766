//! Random heartbeats and times.

use super::fixture::*;
use crate::group::share::*;
use crate::types::{PartitionIndex, TopicPartition};
use proptest::prelude::*;
use std::collections::BTreeMap;

const NAMES: [&str; 3] = ["a", "b", "c"];
const MEMBERS: [&str; 5] = ["k", "l", "m", "n", "o"];

#[derive(Clone, Debug)]
enum Step {
    Join(usize, Vec<usize>),
    Beat(usize),
    Subscribe(usize, Vec<usize>),
    Strange(usize, i32),
    Leave(usize),
    Wait(u64),
    Topics(Vec<i32>),
    Restore,
}

fn step() -> impl Strategy<Value = Step> {
    let names = || prop::collection::vec(0usize..3, 1..4);
    prop_oneof![
        4 => (0usize..5, names()).prop_map(|(member, names)| Step::Join(member, names)),
        6 => (0usize..5).prop_map(Step::Beat),
        2 => (0usize..5, names()).prop_map(|(member, names)| Step::Subscribe(member, names)),
        1 => (0usize..5, -3i32..9).prop_map(|(member, epoch)| Step::Strange(member, epoch)),
        1 => (0usize..5).prop_map(Step::Leave),
        2 => (0u64..30_000).prop_map(Step::Wait),
        1 => prop::collection::vec(-1i32..6, 3).prop_map(Step::Topics),
        1 => Just(Step::Restore),
    ]
}

fn chosen(names: &[usize]) -> Vec<&'static str> {
    names.iter().map(|&name| NAMES[name]).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    #[test]
    fn everything_has_somebody_once_everybody_was_heard(steps in prop::collection::vec(step(), 1..50)) {
        let mut image = topics(&[("a", 1, 3), ("b", 2, 1)]);
        let config = ShareGroupConfig { members_max: 4, ..ShareGroupConfig::default() };
        let mut group = ShareGroup::new(config.clone());
        let mut epochs: BTreeMap<usize, i32> = BTreeMap::new();
        let mut now = 0;
        let mut last_epoch = 0;
        for step in steps {
            let mut request = None;
            match step {
                Step::Join(member, names) => request = Some((member, join(MEMBERS[member], &chosen(&names)))),
                Step::Beat(member) => {
                    request = epochs.get(&member).map(|&epoch| (member, beat(MEMBERS[member], epoch)));
                }
                Step::Subscribe(member, names) => {
                    let mut anew = join(MEMBERS[member], &chosen(&names));
                    if let Some(&epoch) = epochs.get(&member) {
                        anew.member_epoch = epoch;
                        request = Some((member, anew));
                    }
                }
                Step::Strange(member, epoch) => {
                    let before = group.stored();
                    group.take_dirty();
                    match group.heartbeat(at(now), &beat(MEMBERS[member], epoch), &image) {
                        Err(_) => prop_assert!(group.stored() == before && !group.take_dirty()),
                        Ok(_) if epoch == SHARE_LEAVE_EPOCH => drop(epochs.remove(&member)),
                        Ok(answer) => drop(epochs.insert(member, answer.member_epoch)),
                    }
                }
                Step::Leave(member) => {
                    let left = group.heartbeat(at(now), &beat(MEMBERS[member], SHARE_LEAVE_EPOCH), &image);
                    prop_assert_eq!(left.is_ok(), epochs.remove(&member).is_some());
                }
                Step::Wait(millis) => {
                    now += millis;
                    for gone in group.on_time(at(now)) {
                        epochs.retain(|member, _| MEMBERS[*member] != gone.as_str());
                    }
                    prop_assert!(group.next_deadline().is_none_or(|deadline| deadline > at(now)));
                }
                Step::Topics(sizes) => {
                    let sizes: Vec<(&str, u128, i32)> = sizes
                        .iter()
                        .enumerate()
                        .filter(|(_, size)| **size >= 0)
                        .map(|(number, &size)| (NAMES[number], number as u128 + 1, size))
                        .collect();
                    image = topics(&sizes);
                    group.on_topics_changed(&image);
                }
                Step::Restore => {
                    let text = serde_json::to_string(&group.stored()).unwrap();
                    let stored = serde_json::from_str(&text).unwrap();
                    let restored = ShareGroup::restore(&stored, config.clone(), at(now)).unwrap();
                    prop_assert_eq!(restored.describe(), group.describe());
                    prop_assert_eq!(restored.stored(), group.stored());
                    group = restored;
                }
            }
            if let Some((member, request)) = request {
                let known = epochs.contains_key(&member);
                match group.heartbeat(at(now), &request, &image) {
                    Ok(answer) => {
                        prop_assert!(answer.member_epoch > 0);
                        epochs.insert(member, answer.member_epoch);
                    }
                    Err(_) => prop_assert!(!known && epochs.len() >= 4),
                }
            }
            prop_assert!(group.group_epoch() >= last_epoch);
            last_epoch = group.group_epoch();
            prop_assert_eq!(group.describe().members.len(), epochs.len());
        }
        group.on_topics_changed(&image);
        for (member, epoch) in epochs {
            group.heartbeat(at(now), &beat(MEMBERS[member], epoch), &image).unwrap();
        }
        let members = group.describe().members;
        for (name, size) in &image {
            for partition in (0..size.partitions).map(PartitionIndex) {
                let which = TopicPartition { topic_id: size.topic_id, partition };
                let wanted = members.iter().any(|member| member.subscribed_topic_names.contains(name));
                prop_assert_eq!(members.iter().any(|member| member.assignment.contains(&which)), wanted);
            }
        }
    }
}
