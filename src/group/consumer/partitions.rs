//! Sets of partitions, and their short form in text: `0-3,7`.

use crate::types::{PartitionIndex, TopicId, TopicPartition};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// Some partitions of some topics.
pub type PartitionSet = BTreeSet<TopicPartition>;

/// The partitions by topic, as Kafka's messages have them.
pub fn by_topic<'a>(
    partitions: impl IntoIterator<Item = &'a TopicPartition>,
) -> BTreeMap<TopicId, Vec<PartitionIndex>> {
    let mut topics: BTreeMap<TopicId, Vec<PartitionIndex>> = BTreeMap::new();
    for which in partitions {
        topics.entry(which.topic_id).or_default().push(which.partition);
    }
    topics
}

/// Ascending partition numbers as ranges, both ends included: `0-3,7`.
pub(in crate::group) fn encode_ranges(ascending: &[i32]) -> String {
    let mut text = String::new();
    let mut rest = ascending;
    while let Some(&first) = rest.first() {
        let run = rest.iter().zip(first..).take_while(|(have, expected)| *have == expected).count();
        let last = rest[run - 1];
        let comma = if text.is_empty() { "" } else { "," };
        let written = match run {
            1 => write!(text, "{comma}{first}"),
            _ => write!(text, "{comma}{first}-{last}"),
        };
        written.expect("a string takes whatever is written to it");
        rest = &rest[run..];
    }
    text
}

/// What `encode_ranges` wrote; nothing for other text, or for more than `PARTITIONS_MAX` numbers.
pub(in crate::group) fn decode_ranges(text: &str) -> Option<Vec<i32>> {
    let mut numbers = Vec::new();
    for range in text.split(',').filter(|range| !range.is_empty()) {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (i32, i32) = (first.parse().ok()?, last.parse().ok()?);
        if first < 0
            || last < first
            || (last - first) as usize >= PARTITIONS_MAX - numbers.len().min(PARTITIONS_MAX)
        {
            return None;
        }
        numbers.extend(first..=last);
    }
    Some(numbers)
}

const PARTITIONS_MAX: usize = 1_000_000;
