//! The range assignor: each topic is cut into as many pieces as it has subscribers, in one order of the members for
//! all topics. So topics with the same number of partitions and the same subscribers are cut alike, and a join of two
//! such topics finds both sides at one member. Static members come first, by their instance ids: those stay.

use super::assignor::AssignorMember;
use super::partitions::PartitionSet;
use crate::types::{PartitionIndex, TopicId, TopicPartition};
use std::collections::BTreeMap;

pub(super) fn assign(members: &[AssignorMember<'_>], topics: &BTreeMap<TopicId, i32>) -> Vec<PartitionSet> {
    let mut order: Vec<usize> = (0..members.len()).collect();
    order.sort_by_key(|&index| {
        let member = &members[index];
        (member.instance_id.is_none(), member.instance_id, member.member_id)
    });
    let mut targets = vec![PartitionSet::new(); members.len()];
    for (&topic_id, &partitions) in topics {
        let subscribers = order.iter().filter(|&&index| members[index].subscribed.contains(&topic_id));
        let subscribers: Vec<usize> = subscribers.copied().collect();
        for (place, &index) in subscribers.iter().enumerate() {
            let from = first_of(place, subscribers.len(), partitions);
            let until = first_of(place + 1, subscribers.len(), partitions);
            let piece =
                (from..until).map(|number| TopicPartition { topic_id, partition: PartitionIndex(number) });
            targets[index].extend(piece);
        }
    }
    targets
}

/// Where the piece of subscriber number `place` begins: the first ones get one more where it does not divide.
fn first_of(place: usize, subscribers: usize, partitions: i32) -> i32 {
    let (place, subscribers) = (place as i64, subscribers as i64);
    let (each, left_over) = (i64::from(partitions) / subscribers, i64::from(partitions) % subscribers);
    (place * each + place.min(left_over)) as i32
}
