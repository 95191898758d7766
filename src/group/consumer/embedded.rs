//! What consumers of the classic protocol put into the opaque bytes of JoinGroup and SyncGroup: Kafka's "consumer"
//! embedded protocol, versions 0 to 3, as far as a broker needs it.
//!
//! ```text
//! subscription: version i16, topics [string], user data bytes, 1+: owned [(topic string, [partition i32])],
//!               2+: generation i32, 3+: rack nullable string
//! assignment:   version i16, assigned [(topic string, [partition i32])], user data bytes
//! ```

use bytes::{Buf, BufMut, Bytes, BytesMut};
use std::collections::{BTreeMap, BTreeSet};

/// A protocol of a classic member, which is an assignor's name for consumers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassicProtocol {
    /// The assignor's name.
    pub name: String,
    /// The encoded subscription.
    pub metadata: Bytes,
}

/// Partitions by topic name.
pub type NamedPartitions = BTreeMap<String, BTreeSet<i32>>;

/// A classic consumer's subscription.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EmbeddedSubscription {
    /// The version it was written with: the assignment is written with the same.
    pub version: i16,
    /// The topics.
    pub topics: BTreeSet<String>,
    /// What the member owns while it joins.
    pub owned: NamedPartitions,
    /// Where it runs.
    pub rack_id: Option<String>,
}

/// Reads a subscription; nothing if it is none. Versions yet to come are read as the newest known.
#[must_use]
pub fn decode_subscription(metadata: &Bytes) -> Option<EmbeddedSubscription> {
    let mut from = metadata.clone();
    let version = take_version(&mut from)?;
    let mut read = EmbeddedSubscription { version, ..EmbeddedSubscription::default() };
    for _ in 0..take_count(&mut from, 2)? {
        read.topics.insert(take_string(&mut from)??);
    }
    skip_bytes(&mut from)?;
    if version >= 1 {
        read.owned = take_partitions(&mut from)?;
    }
    if version >= 2 {
        take_i32(&mut from)?;
    }
    if version >= 3 {
        read.rack_id = take_string(&mut from)?;
    }
    Some(read)
}

/// Reads an assignment; nothing if it is none. No bytes at all are an empty one.
#[must_use]
pub fn decode_assignment(assignment: &Bytes) -> Option<NamedPartitions> {
    let mut from = assignment.clone();
    if from.is_empty() {
        return Some(NamedPartitions::new());
    }
    take_version(&mut from)?;
    take_partitions(&mut from)
}

/// Writes an assignment.
#[must_use]
pub fn encode_assignment(version: i16, assigned: &NamedPartitions) -> Bytes {
    let mut to = BytesMut::new();
    to.put_i16(version);
    to.put_i32(i32::try_from(assigned.len()).expect("a group has few topics"));
    for (topic, partitions) in assigned {
        to.put_i16(i16::try_from(topic.len()).expect("a topic name is short"));
        to.put_slice(topic.as_bytes());
        to.put_i32(i32::try_from(partitions.len()).expect("a topic has few partitions"));
        for partition in partitions {
            to.put_i32(*partition);
        }
    }
    to.put_i32(-1); // no user data
    to.freeze()
}

fn take_version(from: &mut Bytes) -> Option<i16> {
    let version = from.try_get_i16().ok()?;
    (version >= 0).then_some(version.min(NEWEST))
}

fn take_partitions(from: &mut Bytes) -> Option<NamedPartitions> {
    let mut partitions = NamedPartitions::new();
    for _ in 0..take_count(from, 6)? {
        let topic = take_string(from)??;
        let of_topic: &mut BTreeSet<i32> = partitions.entry(topic).or_default();
        for _ in 0..take_count(from, 4)? {
            of_topic.insert(take_i32(from)?);
        }
    }
    Some(partitions)
}

/// A count of things of at least `bytes_min` each: never more than there can be.
fn take_count(from: &mut Bytes, bytes_min: usize) -> Option<usize> {
    let count = usize::try_from(take_i32(from)?).ok()?;
    (count <= from.remaining() / bytes_min).then_some(count)
}

fn take_i32(from: &mut Bytes) -> Option<i32> {
    from.try_get_i32().ok()
}

/// `Some(None)` is a null string.
fn take_string(from: &mut Bytes) -> Option<Option<String>> {
    let length = from.try_get_i16().ok()?;
    let Ok(length) = usize::try_from(length) else { return Some(None) };
    if length > from.remaining() {
        return None;
    }
    String::from_utf8(from.split_to(length).to_vec()).ok().map(Some)
}

fn skip_bytes(from: &mut Bytes) -> Option<()> {
    let length = usize::try_from(take_i32(from)?).unwrap_or(0);
    (length <= from.remaining()).then(|| from.advance(length))
}

const NEWEST: i16 = 3;
