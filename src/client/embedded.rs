//! What consumers of the classic protocol tell each other in the opaque bytes of JoinGroup and SyncGroup:
//! Kafka's "consumer" embedded protocol, which Java and librdkafka speak too. Pure.
//!
//! ```text
//! subscription: version i16, topics [string], user data bytes, then fields of newer versions
//! assignment:   version i16, assigned [(topic string, [partition i32])], user data bytes
//! ```
//!
//! Written in version 1 (what is owned is left empty: everything is given up before joining), read in any.

use crate::types::PartitionIndex;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use std::collections::BTreeMap;

/// Partitions by topic.
pub(super) type AssignedPartitions = BTreeMap<String, Vec<PartitionIndex>>;

/// The first version that has a list of owned partitions.
const VERSION: i16 = 1;

pub(super) fn encode_subscription(topics: &[String]) -> Bytes {
    let mut to = BytesMut::new();
    to.put_i16(VERSION);
    put_count(&mut to, topics.len());
    for topic in topics {
        put_string(&mut to, topic);
    }
    to.put_i32(-1); // no user data
    put_count(&mut to, 0); // nothing owned
    to.freeze()
}

/// The topics of a subscription; nothing if it is none.
pub(super) fn decode_subscription(metadata: &Bytes) -> Option<Vec<String>> {
    let mut from = metadata.clone();
    from.try_get_i16().ok()?;
    let topics = take_count(&mut from, 2)?;
    (0..topics).map(|_| take_string(&mut from)).collect()
}

pub(super) fn encode_assignment(assigned: &AssignedPartitions) -> Bytes {
    let mut to = BytesMut::new();
    to.put_i16(VERSION);
    put_count(&mut to, assigned.len());
    for (topic, partitions) in assigned {
        put_string(&mut to, topic);
        put_count(&mut to, partitions.len());
        partitions.iter().for_each(|partition| to.put_i32(partition.0));
    }
    to.put_i32(-1); // no user data
    to.freeze()
}

/// Reads an assignment; nothing if it is none. No bytes at all are an empty one.
pub(super) fn decode_assignment(assignment: &Bytes) -> Option<AssignedPartitions> {
    let mut from = assignment.clone();
    if from.is_empty() {
        return Some(AssignedPartitions::new());
    }
    from.try_get_i16().ok()?;
    let mut assigned = AssignedPartitions::new();
    for _ in 0..take_count(&mut from, 6)? {
        let of_topic = assigned.entry(take_string(&mut from)?).or_default();
        for _ in 0..take_count(&mut from, 4)? {
            of_topic.push(PartitionIndex(from.try_get_i32().ok()?));
        }
        of_topic.sort_unstable();
    }
    Some(assigned)
}

fn put_count(to: &mut BytesMut, count: usize) {
    to.put_i32(i32::try_from(count).expect("a group has fewer topics and partitions"));
}

/// Topic names are at most 249 bytes; a longer one names no topic, and is cut.
fn put_string(to: &mut BytesMut, text: &str) {
    let bytes = text.as_bytes();
    let length = i16::try_from(bytes.len()).unwrap_or(i16::MAX);
    to.put_i16(length);
    to.put_slice(&bytes[..bytes.len().min(usize::from(length.unsigned_abs()))]);
}

/// A count of things of at least `bytes_min` each: never more than there can be.
fn take_count(from: &mut Bytes, bytes_min: usize) -> Option<usize> {
    let count = usize::try_from(from.try_get_i32().ok()?).ok()?;
    (count <= from.remaining() / bytes_min).then_some(count)
}

fn take_string(from: &mut Bytes) -> Option<String> {
    let length = usize::try_from(from.try_get_i16().ok()?).ok()?;
    let bytes = (length <= from.remaining()).then(|| from.split_to(length))?;
    String::from_utf8(bytes.to_vec()).ok()
}

#[cfg(test)]
mod tests;
