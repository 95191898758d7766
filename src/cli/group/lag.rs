//! How far a group has read, partition by partition: pure.

use crate::client::{CommittedOffset, GroupDescription, GroupMember, OffsetsByPartition};
use crate::types::{Offset, PartitionIndex};
use std::collections::BTreeMap;

/// One partition that a group has committed or reads.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct PartitionLag<'a> {
    pub(super) topic: &'a str,
    pub(super) partition: PartitionIndex,
    pub(super) committed: Option<&'a CommittedOffset>,
    /// Unknown where the topic is gone or its leader is away.
    pub(super) end: Option<Offset>,
    /// Who reads it.
    pub(super) member: Option<&'a GroupMember>,
}

impl PartitionLag<'_> {
    /// Records between what was committed and the end. A log that was emptied behind the group gives no less than 0.
    pub(super) fn lag(&self) -> Option<i64> {
        let (committed, end) = (self.committed?, self.end?);
        Some((end - committed.offset).max(0))
    }
}

/// One partition that a share group has begun to read, or is about to.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct SharePartition<'a> {
    pub(super) topic: &'a str,
    pub(super) partition: PartitionIndex,
    /// Where it starts; unknown until it is read.
    pub(super) start: Option<Offset>,
    /// Unknown where the topic is gone or its leader is away.
    pub(super) end: Option<Offset>,
    /// How many members read it.
    pub(super) members: usize,
}

impl SharePartition<'_> {
    /// Records between the start and the end: as many or fewer are still to be done, as records behind the start may
    /// have been acknowledged already.
    pub(super) fn lag_max(&self) -> Option<i64> {
        Some((self.end? - self.start?).max(0))
    }
}

/// What a group has committed.
pub(super) type Committed = BTreeMap<(String, PartitionIndex), CommittedOffset>;

/// All partitions that were committed or are assigned, in order.
pub(super) fn partitions<'a>(
    group: &'a GroupDescription,
    committed: &'a Committed,
    ends: &OffsetsByPartition,
) -> Vec<PartitionLag<'a>> {
    let mut found: BTreeMap<(&str, PartitionIndex), PartitionLag<'a>> = BTreeMap::new();
    let end = |topic: &str, partition| ends.get(&(topic.to_owned(), partition)).copied();
    for ((topic, partition), offset) in committed {
        let lag = PartitionLag {
            topic,
            partition: *partition,
            committed: Some(offset),
            end: end(topic, *partition),
            member: None,
        };
        found.insert((topic, *partition), lag);
    }
    for member in &group.members {
        let assigned = member.assigned.iter();
        for (topic, partition) in assigned.flat_map(|(topic, of)| of.iter().map(move |index| (topic, index)))
        {
            let lag = found.entry((topic, *partition)).or_insert_with(|| PartitionLag {
                topic,
                partition: *partition,
                committed: None,
                end: end(topic, *partition),
                member: None,
            });
            lag.member = Some(member);
        }
    }
    found.into_values().collect()
}

/// All partitions that a share group has begun to read or is assigned, in order.
pub(super) fn share_partitions<'a>(
    group: &'a GroupDescription,
    starts: &'a OffsetsByPartition,
    ends: &OffsetsByPartition,
) -> Vec<SharePartition<'a>> {
    let mut readers: BTreeMap<(&str, PartitionIndex), usize> =
        starts.keys().map(|(topic, partition)| ((topic.as_str(), *partition), 0)).collect();
    for (topic, partitions) in group.members.iter().flat_map(|member| &member.assigned) {
        for partition in partitions {
            *readers.entry((topic, *partition)).or_default() += 1;
        }
    }
    let partitions = readers.into_iter().map(|((topic, partition), members)| {
        let place = (topic.to_owned(), partition);
        let (start, end) = (starts.get(&place).copied(), ends.get(&place).copied());
        SharePartition { topic, partition, start, end, members }
    });
    partitions.collect()
}

/// The lag of all partitions; unknown where nothing was committed, or not in all partitions that members read.
pub(super) fn total(
    group: &GroupDescription,
    committed: &Committed,
    ends: &OffsetsByPartition,
) -> Option<i64> {
    let assigned = group.members.iter().flat_map(|member| &member.assigned);
    let mut assigned = assigned.flat_map(|(topic, of)| of.iter().map(|index| (topic.clone(), *index)));
    if committed.is_empty() || !assigned.all(|place| committed.contains_key(&place)) {
        return None;
    }
    let lags = committed.iter().filter_map(|(place, committed)| {
        let end = ends.get(place)?;
        Some((*end - committed.offset).max(0))
    });
    Some(lags.sum())
}

#[cfg(test)]
mod tests;
