//! The uniform assignor: balance first, then as few moves as possible.
//!
//! Where all members subscribe to the same topics, members differ by one partition at most and nothing moves that
//! balance does not ask for. Where subscriptions differ, partitions of a topic move from its fullest to its emptiest
//! subscriber as long as these differ by two or more.

use super::assignor::AssignorMember;
use super::partitions::PartitionSet;
use crate::types::{PartitionIndex, TopicId, TopicPartition};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

pub(super) fn assign(members: &[AssignorMember<'_>], topics: &BTreeMap<TopicId, i32>) -> Vec<PartitionSet> {
    let Some(first) = members.first() else { return Vec::new() };
    if members.iter().all(|member| {
        std::ptr::eq(member.subscribed, first.subscribed) || member.subscribed == first.subscribed
    }) {
        assign_alike(members, topics)
    } else {
        Balance::new(members, topics).run()
    }
}

/// Everybody subscribes to the same topics.
fn assign_alike(members: &[AssignorMember<'_>], topics: &BTreeMap<TopicId, i32>) -> Vec<PartitionSet> {
    let topics: BTreeMap<TopicId, i32> = topics
        .iter()
        .filter(|(id, _)| members[0].subscribed.contains(id))
        .map(|(id, size)| (*id, *size))
        .collect();
    let (mut targets, mut free) = keep(members, &topics);
    let partitions: usize = topics.values().map(|&size| size.max(0) as usize).sum();
    let (each, mut one_more) = (partitions / members.len(), partitions % members.len());
    for target in &mut targets {
        let quota = if target.len() > each && one_more > 0 {
            one_more -= 1;
            each + 1
        } else {
            each
        };
        while target.len() > quota {
            free.extend(target.pop_last());
        }
    }
    let mut free = free.into_iter();
    for target in &mut targets {
        let missing = each.saturating_sub(target.len());
        target.extend(free.by_ref().take(missing));
    }
    let short = targets.iter_mut().filter(|target| target.len() == each);
    for (target, partition) in short.zip(free) {
        target.insert(partition);
    }
    targets
}

/// What each member may keep of its old target, and what nobody has.
fn keep(
    members: &[AssignorMember<'_>],
    topics: &BTreeMap<TopicId, i32>,
) -> (Vec<PartitionSet>, PartitionSet) {
    let mut free: PartitionSet = topics
        .iter()
        .flat_map(|(&topic_id, &size)| {
            (0..size).map(move |number| TopicPartition { topic_id, partition: PartitionIndex(number) })
        })
        .collect();
    let keep_of = |member: &AssignorMember<'_>| -> PartitionSet {
        let old = member.target.iter().filter(|which| member.subscribed.contains(&which.topic_id));
        old.filter(|which| free.remove(which)).copied().collect()
    };
    let kept = members.iter().map(keep_of).collect();
    (kept, free)
}

/// Subscriptions that differ.
struct Balance {
    targets: Vec<PartitionSet>,
    free: PartitionSet,
    subscribers: BTreeMap<TopicId, Vec<usize>>,
}

impl Balance {
    fn new(members: &[AssignorMember<'_>], topics: &BTreeMap<TopicId, i32>) -> Balance {
        let (targets, free) = keep(members, topics);
        let mut subscribers: BTreeMap<TopicId, Vec<usize>> =
            topics.keys().map(|&id| (id, Vec::new())).collect();
        for (index, member) in members.iter().enumerate() {
            for id in member.subscribed {
                if let Some(subscribers) = subscribers.get_mut(id) {
                    subscribers.push(index);
                }
            }
        }
        Balance { targets, free, subscribers }
    }

    fn run(mut self) -> Vec<PartitionSet> {
        self.fill();
        for _ in 0..PASSES_MAX {
            let topics: Vec<TopicId> = self.subscribers.keys().copied().collect();
            let moved: usize = topics.into_iter().map(|topic_id| self.level(topic_id)).sum();
            if moved == 0 {
                break;
            }
        }
        self.targets
    }

    /// Gives every free partition to its emptiest subscriber; topics with few subscribers first, they have no choice.
    fn fill(&mut self) {
        let mut order: Vec<TopicId> = self.subscribers.keys().copied().collect();
        order.sort_by_key(|topic_id| self.subscribers[topic_id].len());
        for topic_id in order {
            let free: Vec<TopicPartition> = self.free.range(all_of(topic_id)).copied().collect();
            if free.is_empty() {
                continue;
            }
            let subscribers = self.subscribers[&topic_id].iter();
            let mut emptiest: BinaryHeap<Reverse<(usize, usize)>> =
                subscribers.map(|&index| Reverse((self.targets[index].len(), index))).collect();
            for partition in free {
                let Some(Reverse((count, index))) = emptiest.pop() else { break };
                self.targets[index].insert(partition);
                emptiest.push(Reverse((count + 1, index)));
            }
        }
    }

    /// Moves partitions of one topic from full to empty subscribers; how many.
    fn level(&mut self, topic_id: TopicId) -> usize {
        let counts = self.subscribers[&topic_id].iter().map(|&index| (self.targets[index].len(), index));
        let mut emptiest: BTreeSet<(usize, usize)> = counts.collect();
        let holds = |index: &usize| self.targets[*index].range(all_of(topic_id)).next().is_some();
        let mut fullest: BTreeSet<(usize, usize)> =
            emptiest.iter().filter(|(_, index)| holds(index)).copied().collect();
        let mut moved = 0;
        while let (Some(&from), Some(&to)) = (fullest.last(), emptiest.first()) {
            if from.0 < to.0 + 2 {
                break;
            }
            fullest.remove(&from);
            let Some(partition) = self.targets[from.1].range(all_of(topic_id)).next_back().copied() else {
                continue;
            };
            self.targets[from.1].remove(&partition);
            self.targets[to.1].insert(partition);
            emptiest.remove(&from);
            emptiest.remove(&to);
            fullest.remove(&to);
            for changed in [(from.0 - 1, from.1), (to.0 + 1, to.1)] {
                emptiest.insert(changed);
                fullest.insert(changed);
            }
            moved += 1;
        }
        moved
    }
}

fn all_of(topic_id: TopicId) -> std::ops::RangeInclusive<TopicPartition> {
    let at = |number| TopicPartition { topic_id, partition: PartitionIndex(number) };
    at(0)..=at(i32::MAX)
}

/// Each pass that moves something makes the counts more even, so passes end by themselves; this bounds the time.
const PASSES_MAX: usize = 32;
