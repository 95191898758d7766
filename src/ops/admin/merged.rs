//! Answers of several brokers put together: each has said what it knows of what it leads.

use super::answers::{ArchivePage, TopicArchive};
use super::archives::PartitionsPart;
use std::collections::BTreeMap;

/// Two parts as one, of at most `limit` entries. Each part has all of its partitions up to its `next`.
pub(super) fn partitions(one: PartitionsPart, other: PartitionsPart, limit: usize) -> PartitionsPart {
    let known_to = [one.next, other.next].into_iter().flatten().min();
    let mut all = one.partitions;
    all.extend(other.partitions);
    all.sort_by_key(|partition| partition.partition);
    let mut merged = PartitionsPart { partitions: Vec::with_capacity(all.len()), next: known_to };
    let mut left = limit;
    for mut partition in all {
        let number = partition.partition;
        if known_to.is_some_and(|(known_to, _)| number > known_to) {
            break;
        }
        if left == 0 {
            let from = partition.segments.first().map_or(0, |first| first.base_offset);
            merged.next = Some((number, from));
            break;
        }
        if let Some(first_left_out) = partition.segments.get(left) {
            merged.next = Some((number, first_left_out.base_offset));
            partition.segments.truncate(left);
            merged.partitions.push(partition);
            break;
        }
        left -= partition.segments.len().max(1);
        merged.partitions.push(partition);
    }
    merged
}

/// Two pages as one of at most `limit` topics: what they say of one topic is added.
pub(super) fn pages(one: ArchivePage, other: ArchivePage, limit: usize) -> ArchivePage {
    let known_to = [one.next, other.next].into_iter().flatten().min();
    let mut by_name: BTreeMap<String, TopicArchive> = BTreeMap::new();
    for topic in one.topics.into_iter().chain(other.topics) {
        if known_to.as_ref().is_some_and(|known_to| topic.topic >= *known_to) {
            continue;
        }
        match by_name.get_mut(&topic.topic) {
            Some(sum) => sum.add(topic),
            None => _ = by_name.insert(topic.topic.clone(), topic),
        }
    }
    let cut = by_name.keys().nth(limit).cloned();
    let next = cut.clone().or(known_to);
    let missing = one.missing.into_iter().chain(other.missing).collect();
    let topics = by_name.into_values().take(limit).collect();
    ArchivePage { topics, next, missing }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::admin::answers::{PartitionAnswer, SegmentAnswer};

    fn partition(number: i32, segments: std::ops::Range<i64>) -> PartitionAnswer {
        let segment =
            |base| SegmentAnswer { base_offset: base * 10, end_offset: base * 10 + 10, ..Default::default() };
        PartitionAnswer { partition: number, segments: segments.map(segment).collect(), ..Default::default() }
    }

    /// Numbers of partitions with how many segments, and where the next page begins.
    type Shown = (Vec<(i32, usize)>, Option<(i32, i64)>);

    fn shown(part: &PartitionsPart) -> Shown {
        let partitions = part.partitions.iter().map(|part| (part.partition, part.segments.len()));
        (partitions.collect(), part.next)
    }

    #[test]
    fn partitions_come_in_their_order_and_not_beyond_what_is_known() {
        let part = |partitions: Vec<PartitionAnswer>, next| PartitionsPart { partitions, next };
        let whole = |one, other| shown(&partitions(one, other, 100));
        let one = || part(vec![partition(0, 0..2), partition(3, 0..1)], None);
        assert_eq!(
            whole(one(), part(vec![partition(1, 0..0), partition(2, 0..3)], None)),
            (vec![(0, 2), (1, 0), (2, 3), (3, 1)], None)
        );
        // The other goes on in partition 2.
        assert_eq!(
            whole(one(), part(vec![partition(2, 0..3)], Some((2, 30)))),
            (vec![(0, 2), (2, 3)], Some((2, 30)))
        );
        assert_eq!(whole(one(), part(vec![], Some((1, 0)))), (vec![(0, 2)], Some((1, 0))));
    }

    #[test]
    fn a_page_of_partitions_has_its_limit() {
        let parts = || {
            let one = PartitionsPart { partitions: vec![partition(0, 0..2), partition(2, 0..2)], next: None };
            let other = PartitionsPart { partitions: vec![partition(1, 0..0)], next: None };
            (one, other)
        };
        let limited = |limit| {
            let (one, other) = parts();
            shown(&partitions(one, other, limit))
        };
        assert_eq!(limited(1), (vec![(0, 1)], Some((0, 10))));
        assert_eq!(limited(2), (vec![(0, 2)], Some((1, 0))));
        assert_eq!(limited(3), (vec![(0, 2), (1, 0)], Some((2, 0))));
        assert_eq!(limited(4), (vec![(0, 2), (1, 0), (2, 1)], Some((2, 10))));
        assert_eq!(limited(5), (vec![(0, 2), (1, 0), (2, 2)], None));
    }

    #[test]
    fn what_brokers_say_of_a_topic_is_added() {
        let topic = |name: &str, rows| TopicArchive { topic: name.into(), rows, ..TopicArchive::default() };
        let page = |topics, next: Option<&str>, missing: &[&str]| ArchivePage {
            topics,
            next: next.map(str::to_owned),
            missing: missing.iter().map(ToString::to_string).collect(),
        };
        let all = |limit| {
            let one = page(vec![topic("a", 1), topic("b", 2), topic("d", 3)], None, &["broker 7"]);
            let other = page(vec![topic("a", 10), topic("c", 20)], Some("d"), &[]);
            let merged = pages(one, other, limit);
            let rows = merged.topics.into_iter().map(|topic| (topic.topic, topic.rows));
            (rows.collect::<Vec<_>>(), merged.next, merged.missing)
        };
        let (rows, next, missing) = all(10);
        assert_eq!(rows, [("a".into(), 11), ("b".into(), 2), ("c".into(), 20)]);
        assert_eq!((next.as_deref(), missing), (Some("d"), vec!["broker 7".to_owned()]));
        let (rows, next, _) = all(2);
        assert_eq!((rows.len(), next.as_deref()), (2, Some("c")));
    }
}
