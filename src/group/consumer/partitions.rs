//! Sets of partitions, and their short form in text: `0-3,7`.

use crate::topic::{PARTITIONS_MAX, PARTITIONS_TOTAL_MAX};
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

/// Reads the ranges of one stored value, all of which together have a limit: a few bytes could say millions of numbers.
#[derive(Debug)]
pub(in crate::group) struct RangesReader {
    left: usize,
}

impl RangesReader {
    pub fn new() -> RangesReader {
        RangesReader { left: NUMBERS_MAX }
    }

    /// What `encode_ranges` wrote; nothing for other text, for numbers that no partition has, or for too many of them.
    pub fn decode(&mut self, text: &str) -> Option<Vec<i32>> {
        let mut numbers = Vec::new();
        let mut next = 0;
        for range in text.split(',').filter(|range| !range.is_empty()) {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            let (first, last): (i32, i32) = (first.parse().ok()?, last.parse().ok()?);
            if first < next || last < first || last >= PARTITIONS_MAX {
                return None;
            }
            next = last + 1;
            self.left = self.left.checked_sub((last - first) as usize + 1)?;
            numbers.extend(first..=last);
        }
        Some(numbers)
    }
}

/// Of all members of a group together: what they have, give up and shall have is each at most what there is, or one for each
/// member where they share.
const NUMBERS_MAX: usize = 5 * PARTITIONS_TOTAL_MAX;

#[cfg(test)]
mod tests {
    use super::{NUMBERS_MAX, PARTITIONS_MAX, RangesReader, encode_ranges};

    fn read(text: &str) -> Option<Vec<i32>> {
        RangesReader::new().decode(text)
    }

    #[test]
    fn ranges_are_read_back() {
        for numbers in [vec![], vec![0], vec![0, 1, 2, 7], vec![3, 5, 6, PARTITIONS_MAX - 1]] {
            assert_eq!(read(&encode_ranges(&numbers)), Some(numbers));
        }
        for text in
            ["1-0", "-1", "0-0x2", "3,2", "1-3,3", "10000", "0-10000", "0-2147483647", "0-99999999999"]
        {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn the_ranges_of_a_value_have_a_limit_together() {
        let mut reader = RangesReader::new();
        let all = format!("0-{}", PARTITIONS_MAX - 1);
        let texts = NUMBERS_MAX / PARTITIONS_MAX as usize;
        for _ in 0..texts {
            assert!(reader.decode(&all).is_some());
        }
        assert_eq!(reader.decode("0"), None, "a thousand bytes would say a hundred million numbers");
    }
}
