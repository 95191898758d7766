//! Who reads what, as Kafka's range assignor has it: pure.
//!
//! Each topic by itself: its subscribers in order, each with a run of neighbouring partitions; the first ones
//! have one more when it does not come out even. So partition 0 of all topics goes to the same member.

use crate::client::embedded::AssignedPartitions;
use crate::types::PartitionIndex;
use std::collections::BTreeMap;

/// A member that takes part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Subscriber {
    pub(super) member_id: String,
    pub(super) group_instance_id: Option<String>,
    pub(super) topics: Vec<String>,
}

/// The assignment of every member, by its id. Topics without a known number of partitions are left out.
pub(super) fn assign(
    mut subscribers: Vec<Subscriber>,
    sizes: &BTreeMap<String, usize>,
) -> BTreeMap<String, AssignedPartitions> {
    // Static members come first, in the order of their names: theirs stay the same when they restart.
    subscribers.sort_by_cached_key(|one| {
        (one.group_instance_id.is_none(), one.group_instance_id.clone(), one.member_id.clone())
    });
    let nothing = subscribers.iter().map(|one| (one.member_id.clone(), AssignedPartitions::new()));
    let mut assigned: BTreeMap<_, _> = nothing.collect();
    for (topic, size) in sizes {
        let readers: Vec<_> = subscribers.iter().filter(|one| one.topics.contains(topic)).collect();
        let mut next = 0;
        for (place, reader) in readers.iter().enumerate() {
            let share = size / readers.len() + usize::from(place < size % readers.len());
            let partitions: Vec<_> = (next..next + share).map(partition).collect();
            next += share;
            if !partitions.is_empty() {
                assigned.entry(reader.member_id.clone()).or_default().insert(topic.clone(), partitions);
            }
        }
    }
    assigned
}

fn partition(index: usize) -> PartitionIndex {
    PartitionIndex(i32::try_from(index).expect("the broker counts partitions in 32 bits"))
}

#[cfg(test)]
mod tests;
