//! Where a transaction writes: partitions, and the offsets of groups.

use crate::types::{PartitionIndex, TopicId, TopicPartition};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

/// Places of a transaction at most.
pub(super) const PLACES_MAX: usize = 100_000;
/// Bytes at most that the places take where they are stored; with what is stored beside them it stays below 1 MiB.
pub(super) const PLACES_COST_MAX: usize = (1 << 20) - (8 << 10);
/// What a topic costs without its partitions: 32 digits, two names, and what JSON sets around them.
const TOPIC_COST: usize = 80;

/// A place that a transaction writes to, and that gets its marker.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// A partition.
    Partition(TopicPartition),
    /// The offsets of the group of that name.
    Group(Arc<str>),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Partition(partition) => partition.fmt(f),
            Place::Group(group) => write!(f, "offsets of {group}"),
        }
    }
}

/// A transaction may not have that many places, or names that long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a transaction has at most 100,000 places, which fit what may be stored")]
pub(super) struct PlacesTooMany;

/// A set of places that knows its size.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Places {
    topics: BTreeMap<TopicId, BTreeSet<PartitionIndex>>,
    groups: BTreeSet<Arc<str>>,
    count: usize,
    cost: usize,
}

impl Places {
    /// Adds all of `places`, or none if they are too many. Tells whether any was new.
    pub fn add(&mut self, places: Vec<Place>) -> Result<bool, PlacesTooMany> {
        let mut added = Vec::new();
        for place in places {
            if self.insert(&place) {
                added.push(place);
            }
            if self.count > PLACES_MAX || self.cost > PLACES_COST_MAX {
                added.iter().for_each(|place| self.remove(place));
                return Err(PlacesTooMany);
            }
        }
        Ok(!added.is_empty())
    }

    pub fn contains(&self, place: &Place) -> bool {
        match place {
            Place::Partition(TopicPartition { topic_id, partition }) => {
                self.topics.get(topic_id).is_some_and(|partitions| partitions.contains(partition))
            }
            Place::Group(group) => self.groups.contains(group),
        }
    }

    pub fn remove(&mut self, place: &Place) {
        if !self.contains(place) {
            return;
        }
        self.count -= 1;
        match place {
            Place::Partition(TopicPartition { topic_id, partition }) => {
                self.cost -= partition_cost(*partition);
                let partitions = self.topics.entry(*topic_id).or_default();
                partitions.remove(partition);
                if partitions.is_empty() {
                    self.topics.remove(topic_id);
                    self.cost -= TOPIC_COST;
                }
            }
            Place::Group(group) => {
                self.cost -= group_cost(group);
                self.groups.remove(group);
            }
        }
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub fn topics(&self) -> impl Iterator<Item = (&TopicId, &BTreeSet<PartitionIndex>)> {
        self.topics.iter()
    }

    pub fn groups(&self) -> impl Iterator<Item = &Arc<str>> {
        self.groups.iter()
    }

    pub fn to_vec(&self) -> Vec<Place> {
        let of_topic = |(topic_id, partitions): (&TopicId, &BTreeSet<PartitionIndex>)| {
            let topic_id = *topic_id;
            let place = move |&partition| Place::Partition(TopicPartition { topic_id, partition });
            partitions.iter().map(place).collect::<Vec<_>>()
        };
        let groups = self.groups.iter().cloned().map(Place::Group);
        self.topics.iter().flat_map(of_topic).chain(groups).collect()
    }

    fn insert(&mut self, place: &Place) -> bool {
        if self.contains(place) {
            return false;
        }
        self.count += 1;
        match place {
            Place::Partition(TopicPartition { topic_id, partition }) => {
                let partitions = self.topics.entry(*topic_id).or_default();
                self.cost += if partitions.is_empty() { TOPIC_COST } else { 0 };
                self.cost += partition_cost(*partition);
                partitions.insert(*partition)
            }
            Place::Group(group) => {
                self.cost += group_cost(group);
                self.groups.insert(group.clone())
            }
        }
    }
}

/// Its digits and a comma.
fn partition_cost(partition: PartitionIndex) -> usize {
    let digits = partition.0.unsigned_abs().checked_ilog10().map_or(1, |log| log as usize + 1);
    digits + 1 + usize::from(partition.0 < 0)
}

/// Its letters in JSON, two quotes and a comma.
fn group_cost(group: &str) -> usize {
    let letter = |byte: u8| if byte < 0x20 { 6 } else { 1 + usize::from(byte == b'"' || byte == b'\\') };
    group.bytes().map(letter).sum::<usize>() + 3
}
