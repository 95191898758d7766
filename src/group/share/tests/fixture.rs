//! Groups, partitions and requests for the tables.

use crate::group::consumer::{PartitionSet, TopicSize, TopicsImage};
use crate::group::share::*;
use crate::group::{GroupId, MemberId};
use crate::types::{Moment, Offset, PartitionIndex, TopicId, TopicName, TopicPartition};
use std::ops::Range;
use std::time::Duration;
use uuid::Uuid;

pub(super) fn at(millis: u64) -> Moment {
    Moment(Duration::from_millis(millis))
}

pub(super) fn id(text: &str) -> MemberId {
    MemberId::new(text)
}

pub(super) fn offsets(range: Range<i64>) -> Range<Offset> {
    Offset(range.start)..Offset(range.end)
}

pub(super) fn name(text: &str) -> TopicName {
    TopicName::parse(text).unwrap()
}

/// The id of the topic with that number.
pub(super) fn topic(number: u128) -> TopicId {
    TopicId(Uuid::from_u128(number))
}

pub(super) fn tp(number: u128, partition: i32) -> TopicPartition {
    TopicPartition { topic_id: topic(number), partition: PartitionIndex(partition) }
}

/// Partitions of topic 1.
pub(super) fn ones(partitions: &[i32]) -> PartitionSet {
    partitions.iter().map(|&partition| tp(1, partition)).collect()
}

pub(super) fn topics(sizes: &[(&str, u128, i32)]) -> TopicsImage {
    let size = |&(text, number, partitions): &(&str, u128, i32)| {
        (name(text), TopicSize { topic_id: topic(number), partitions })
    };
    sizes.iter().map(size).collect()
}

/// A heartbeat that says nothing.
pub(super) fn beat(member_id: &str, member_epoch: i32) -> ShareHeartbeatRequest {
    ShareHeartbeatRequest {
        member_id: id(member_id),
        member_epoch,
        rack_id: None,
        subscribed_topic_names: None,
        client_id: "client".to_owned(),
        client_host: "/127.0.0.1".to_owned(),
    }
}

pub(super) fn join(member_id: &str, names: &[&str]) -> ShareHeartbeatRequest {
    let names = names.iter().map(|text| name(text)).collect();
    ShareHeartbeatRequest { subscribed_topic_names: Some(names), ..beat(member_id, SHARE_JOIN_EPOCH) }
}

pub(super) fn key(group: &str, member: &str) -> ShareSessionKey {
    (GroupId::new(group), id(member))
}

pub(super) fn client(group: &str, member: &str, connection_id: u64) -> ShareClient {
    ShareClient { key: key(group, member), connection_id }
}

/// Locks of a second, three attempts, and room for many records.
pub(super) fn config() -> SharePartitionConfig {
    SharePartitionConfig {
        lock_duration: Duration::from_secs(1),
        delivery_count_limit: 3,
        records_max: 1_000,
    }
}

/// A share partition from 0 on that is stored.
pub(super) fn partition() -> SharePartition {
    let mut partition = SharePartition::new(Offset(0), config());
    partition.take_unsaved();
    partition
}

pub(super) const ALL: AcquireLimit =
    AcquireLimit { records_max: 1_000_000, mode: AcquireMode::BatchOptimized };

pub(super) fn at_most(records_max: usize, mode: AcquireMode) -> AcquireLimit {
    AcquireLimit { records_max, mode }
}

/// Acquires of a log whose batches are these, without holes, up to the end of the last.
pub(super) fn acquire(
    partition: &mut SharePartition,
    millis: u64,
    member: &str,
    batches: &[Range<i64>],
    limit: AcquireLimit,
) -> Vec<(Range<i64>, i16)> {
    let batches: Vec<Range<Offset>> = batches.iter().cloned().map(offsets).collect();
    partition.on_time(at(millis));
    let from = partition.next_fetch_offset();
    let end = batches.last().map_or(from, |last| last.end);
    let read = LogRead { offsets: from..end.max(from), batches: &batches, holes: &[] };
    plain(partition.acquire(at(millis), &id(member), &read, limit))
}

pub(super) fn plain(acquired: Vec<Acquired>) -> Vec<(Range<i64>, i16)> {
    let plain =
        |acquired: Acquired| (acquired.offsets.start.0..acquired.offsets.end.0, acquired.delivery_count);
    acquired.into_iter().map(plain).collect()
}

/// An acknowledgement of that range with one type.
pub(super) fn ack(range: Range<i64>, acknowledge_type: i8) -> Acknowledgement {
    Acknowledgement::parse(range.start, range.end - 1, &[acknowledge_type]).unwrap()
}

/// The states as text: `0..5 a 1` for acquired by member a for the first time; `.`, `+` and `x` for available,
/// acknowledged and archived.
pub(super) fn states(partition: &SharePartition) -> Vec<String> {
    let text = |state: &RecordState| match state {
        RecordState::Available => ".".to_owned(),
        RecordState::Acquired { member_id, .. } => member_id.to_string(),
        RecordState::Acknowledged => "+".to_owned(),
        RecordState::Archived => "x".to_owned(),
    };
    partition
        .states()
        .map(|(offsets, state, count)| format!("{}..{} {} {count}", offsets.start, offsets.end, text(state)))
        .collect()
}
