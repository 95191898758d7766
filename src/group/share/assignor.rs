//! The simple assignor: every partition has somebody, nobody is idle, and little moves.
//!
//! Where all members subscribe to the same topics, each partition has as many members as it takes for everybody to
//! have one, and members differ by one partition at most. Where subscriptions differ, each partition has one member,
//! and only who would have nothing shares one.

use crate::group::consumer::PartitionSet;
use crate::types::{PartitionIndex, TopicId, TopicPartition};
use std::collections::{BTreeMap, BTreeSet};

/// The assignor's name in Kafka.
pub(super) const NAME: &str = "simple";

/// A member as the assignor sees it.
#[derive(Clone, Copy, Debug)]
pub(super) struct AssignorMember<'a> {
    /// What it subscribes to, of topics that exist.
    pub(super) subscribed: &'a BTreeSet<TopicId>,
    /// What was meant for it so far.
    pub(super) target: &'a PartitionSet,
}

/// What each of `members` shall fetch, in their order. `topics` has the number of partitions of every topic that is
/// subscribed to.
pub(super) fn assign(members: &[AssignorMember<'_>], topics: &BTreeMap<TopicId, i32>) -> Vec<PartitionSet> {
    let mut balance = Balance::new(members, topics);
    for _ in 0..PASSES_MAX {
        let (shed, filled, leveled) = (balance.shed(), balance.fill(), balance.level());
        if !shed && !filled && !leveled {
            break;
        }
    }
    balance.employ();
    balance.targets
}

struct Balance {
    targets: Vec<PartitionSet>,
    /// Who has each partition.
    holders: BTreeMap<TopicPartition, Vec<usize>>,
    subscribers: BTreeMap<TopicId, Vec<usize>>,
    /// How many members each partition shall have.
    sharing: usize,
    alike: bool,
}

impl Balance {
    fn new(members: &[AssignorMember<'_>], topics: &BTreeMap<TopicId, i32>) -> Balance {
        let alike = members.windows(2).all(|pair| pair[0].subscribed == pair[1].subscribed);
        let mut holders: BTreeMap<TopicPartition, Vec<usize>> = topics
            .iter()
            .flat_map(|(&topic_id, &size)| {
                (0..size).map(move |number| TopicPartition { topic_id, partition: PartitionIndex(number) })
            })
            .map(|which| (which, Vec::new()))
            .collect();
        let mut subscribers: BTreeMap<TopicId, Vec<usize>> = BTreeMap::new();
        let mut targets = vec![PartitionSet::new(); members.len()];
        for (index, member) in members.iter().enumerate() {
            for topic_id in member.subscribed {
                subscribers.entry(*topic_id).or_default().push(index);
            }
            for which in member.target.iter().filter(|which| member.subscribed.contains(&which.topic_id)) {
                if let Some(holders) = holders.get_mut(which) {
                    holders.push(index);
                    targets[index].insert(*which);
                }
            }
        }
        holders.retain(|which, _| subscribers.contains_key(&which.topic_id));
        let sharing = if alike { members.len().div_ceil(holders.len().max(1)).max(1) } else { 1 };
        Balance { targets, holders, subscribers, sharing, alike }
    }

    /// Takes from the fullest holders of partitions that have too many; the only partition of somebody only if all
    /// are alike, who then gets another. Whether there was any.
    fn shed(&mut self) -> bool {
        let mut shed = false;
        for (which, holders) in &mut self.holders {
            while holders.len() > self.sharing {
                let fullest = (0..holders.len()).max_by_key(|&place| self.targets[holders[place]].len());
                let Some(place) = fullest else { break };
                if !self.alike && self.targets[holders[place]].len() < 2 {
                    break;
                }
                let index = holders.swap_remove(place);
                self.targets[index].remove(which);
                shed = true;
            }
        }
        shed
    }

    /// Gives partitions that have too few to their emptiest subscribers. Whether there was any.
    fn fill(&mut self) -> bool {
        let mut filled = false;
        for (which, holders) in &mut self.holders {
            let Some(subscribers) = self.subscribers.get(&which.topic_id) else { continue };
            while holders.len() < self.sharing {
                let others = subscribers.iter().copied().filter(|index| !holders.contains(index));
                let Some(index) = others.min_by_key(|&index| self.targets[index].len()) else { break };
                holders.push(index);
                self.targets[index].insert(*which);
                filled = true;
            }
        }
        filled
    }

    /// Moves partitions from full holders to empty subscribers, as long as these differ by two or more. Whether there
    /// was any.
    fn level(&mut self) -> bool {
        for pass in 0..PASSES_MAX {
            let partitions: Vec<TopicPartition> = self.holders.keys().copied().collect();
            let moved = partitions.into_iter().filter(|which| self.level_one(*which)).count();
            if moved == 0 {
                return pass > 0;
            }
        }
        true
    }

    fn level_one(&mut self, which: TopicPartition) -> bool {
        let (Some(holders), Some(subscribers)) =
            (self.holders.get_mut(&which), self.subscribers.get(&which.topic_id))
        else {
            return false;
        };
        let fullest = (0..holders.len()).max_by_key(|&place| self.targets[holders[place]].len());
        let others = subscribers.iter().copied().filter(|index| !holders.contains(index));
        let emptiest = others.min_by_key(|&index| self.targets[index].len());
        let (Some(place), Some(to)) = (fullest, emptiest) else { return false };
        let from = holders[place];
        if self.targets[from].len() < self.targets[to].len() + 2 {
            return false;
        }
        holders[place] = to;
        self.targets[from].remove(&which);
        self.targets[to].insert(which);
        true
    }

    /// Gives whoever has nothing the partition that the fewest have.
    fn employ(&mut self) {
        for index in 0..self.targets.len() {
            if !self.targets[index].is_empty() {
                continue;
            }
            let subscribed = |which: &TopicPartition| {
                self.subscribers.get(&which.topic_id).is_some_and(|those| those.contains(&index))
            };
            let open = self.holders.iter_mut().filter(|(which, _)| subscribed(which));
            if let Some((which, holders)) = open.min_by_key(|(_, holders)| holders.len()) {
                holders.push(index);
                self.targets[index].insert(*which);
            }
        }
    }
}

/// Each pass makes the counts more even or the sharing less, so passes end by themselves; this bounds the time.
const PASSES_MAX: usize = 64;
