//! Where things lie in the bucket.
//!
//! ```text
//! cluster.json                                  whose bucket this is (claim.rs)
//! journal/<session>/<number, 20 digits>.arrow   journal objects
//! journal/<session>/merged-<view>-<attempt>.arrow
//! indexes/<session>/<number of the last, 20 digits>.bin   what 64 journal objects hold
//!                                               what of many of them was still needed, in one
//! topics/<topic>-<topic id>/partition=<p>/<base>-<last>-<epoch>-<unique>.parquet
//!                                               segments; base and last offset have 20 digits
//! manifests/<topic id>/<p>/root-<unique>.jsonl.zst
//! manifests/<topic id>/<p>/part-<unique>.jsonl.zst
//!                                               lists of segments
//! probe/<random>                                for a moment, at start (probe.rs)
//! ```
//!
//! A topic's id always takes the last 32 characters of its level, so that no name can be mistaken for another's,
//! whatever it ends in. The name before it is there for people. It is cut to 222 characters, as file systems take
//! 255 in a level and Kafka allows 249 in a name: who needs the topic goes by the id.

use super::ObjectPath;
use crate::types::{
    LeaderEpoch, MergeNumber, Offset, PartitionIndex, SessionId, TopicId, TopicName, TopicPartition,
};
use std::ops::Range;
use uuid::Uuid;

const JOURNAL: &str = "journal";
const INDEXES: &str = "indexes";
const INDEX_SUFFIX: &str = ".bin";
const JOURNAL_SUFFIX: &str = ".arrow";
const MERGED: &str = "merged-";
const TOPICS: &str = "topics";
const PARTITION: &str = "partition=";
const SEGMENT_SUFFIX: &str = ".parquet";
const MANIFESTS: &str = "manifests";
const MANIFEST_SUFFIX: &str = ".jsonl.zst";

/// Characters of a topic's name in a path: 255 that a file system takes, less the id and the `-` before it.
const NAME_CHARS_MAX: usize = 222;

/// All journals.
#[must_use]
pub fn journals_prefix() -> ObjectPath {
    legal(JOURNAL)
}

/// All objects of one session's journal.
#[must_use]
pub fn journal_prefix(session: SessionId) -> ObjectPath {
    legal(&format!("{JOURNAL}/{session}"))
}

/// A journal's object number `seq`. Its digits are padded, so that the order of names is that of numbers.
#[must_use]
pub fn journal_object(session: SessionId, seq: u64) -> ObjectPath {
    legal(&format!("{JOURNAL}/{session}/{seq:020}{JOURNAL_SUFFIX}"))
}

/// The session and the number of a journal object; nothing if it is not exactly a name that we make.
#[must_use]
pub fn parse_journal_object(path: &ObjectPath) -> Option<(SessionId, u64)> {
    let (session, name) = path.as_str().strip_prefix(JOURNAL)?.strip_prefix('/')?.split_once('/')?;
    let (session, seq) = (session.parse().ok()?, name.strip_suffix(JOURNAL_SUFFIX)?.parse().ok()?);
    (journal_object(session, seq) == *path).then_some((session, seq))
}

/// The object that merge `number` has made of a session's journal objects.
#[must_use]
pub fn merged_object(session: SessionId, number: MergeNumber) -> ObjectPath {
    legal(&format!("{JOURNAL}/{session}/{MERGED}{number}{JOURNAL_SUFFIX}"))
}

/// The session and the number of a merged journal object; nothing if it is not exactly a name that we make.
#[must_use]
pub fn parse_merged_object(path: &ObjectPath) -> Option<(SessionId, MergeNumber)> {
    let (session, name) = path.as_str().strip_prefix(JOURNAL)?.strip_prefix('/')?.split_once('/')?;
    let number = name.strip_prefix(MERGED)?.strip_suffix(JOURNAL_SUFFIX)?.parse().ok()?;
    let session = session.parse().ok()?;
    (merged_object(session, number) == *path).then_some((session, number))
}

/// The index objects of all journals.
#[must_use]
pub fn indexes_prefix() -> ObjectPath {
    legal(INDEXES)
}

/// The index objects of one session's journal.
#[must_use]
pub fn index_prefix(session: SessionId) -> ObjectPath {
    legal(&format!("{INDEXES}/{session}"))
}

/// The index object of the journal objects that end with number `last`.
#[must_use]
pub fn index_object(session: SessionId, last: u64) -> ObjectPath {
    legal(&format!("{INDEXES}/{session}/{last:020}{INDEX_SUFFIX}"))
}

/// The session of an index object, and the number of the last journal object that it tells of; nothing if it is not exactly
/// a name that we make.
#[must_use]
pub fn parse_index_object(path: &ObjectPath) -> Option<(SessionId, u64)> {
    let (session, name) = path.as_str().strip_prefix(INDEXES)?.strip_prefix('/')?.split_once('/')?;
    let (session, last) = (session.parse().ok()?, name.strip_suffix(INDEX_SUFFIX)?.parse().ok()?);
    (index_object(session, last) == *path).then_some((session, last))
}

/// What tells the segments of a partition apart.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SegmentName {
    /// The offsets that it stands for, at least one; the name has the first and the last.
    pub offsets: Range<Offset>,
    /// The epoch of the leader that wrote it.
    pub leader_epoch: LeaderEpoch,
    /// Never given to another.
    pub unique: Uuid,
}

/// An object that a manifest consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ManifestObject {
    /// What the pointer in the metadata store names.
    Root(Uuid),
    /// What a root names.
    Part(Uuid),
}

/// The segments of all topics.
#[must_use]
pub fn segments_prefix() -> ObjectPath {
    legal(TOPICS)
}

/// All segments of one topic.
#[must_use]
pub fn topic_segments_prefix(name: &TopicName, topic_id: TopicId) -> ObjectPath {
    // Names are ASCII, so that characters are bytes.
    let name = name.as_str();
    legal(&format!("{TOPICS}/{}-{topic_id}", &name[..name.len().min(NAME_CHARS_MAX)]))
}

/// A segment of a partition of the topic `name`.
#[must_use]
pub fn segment(name: &TopicName, topic_partition: TopicPartition, segment: &SegmentName) -> ObjectPath {
    let topic = topic_segments_prefix(name, topic_partition.topic_id);
    let SegmentName { offsets, leader_epoch: LeaderEpoch(epoch), unique } = segment;
    let (base, last, unique) = (offsets.start.0, offsets.end.0 - 1, unique.simple());
    let partition = topic_partition.partition;
    legal(&format!("{topic}/{PARTITION}{partition}/{base:020}-{last:020}-{epoch}-{unique}{SEGMENT_SUFFIX}"))
}

/// Which segment of which partition an object is; nothing if its path is not exactly one that we make.
#[must_use]
pub fn parse_segment(path: &ObjectPath) -> Option<(TopicPartition, SegmentName)> {
    let inside = path.as_str().strip_prefix(TOPICS)?.strip_prefix('/')?;
    let (topic, rest) = inside.split_once('/')?;
    let (partition, file) = rest.split_once('/')?;
    // Paths are ASCII, so that any position is one between characters.
    let (name, id) = topic.split_at(topic.len().checked_sub(32)?);
    let name = TopicName::parse(name.strip_suffix('-')?).ok()?;
    let partition = PartitionIndex(partition.strip_prefix(PARTITION)?.parse().ok()?);
    let topic_partition = TopicPartition { topic_id: TopicId(Uuid::parse_str(id).ok()?), partition };
    let found = parse_segment_name(file)?;
    (segment(&name, topic_partition, &found) == *path).then_some((topic_partition, found))
}

fn parse_segment_name(file: &str) -> Option<SegmentName> {
    let mut fields = file.strip_suffix(SEGMENT_SUFFIX)?.split('-');
    let (base, last) = (fields.next()?.parse().ok()?, fields.next()?.parse::<i64>().ok()?);
    let (epoch, unique) = (fields.next()?.parse().ok()?, Uuid::parse_str(fields.next()?).ok()?);
    let offsets = Offset(base)..Offset(last.checked_add(1)?);
    let is_whole = fields.next().is_none() && !offsets.is_empty();
    is_whole.then_some(SegmentName { offsets, leader_epoch: LeaderEpoch(epoch), unique })
}

/// The manifests of all partitions.
#[must_use]
pub fn manifests_prefix() -> ObjectPath {
    legal(MANIFESTS)
}

/// All manifests of one topic.
#[must_use]
pub fn topic_manifests_prefix(topic_id: TopicId) -> ObjectPath {
    legal(&format!("{MANIFESTS}/{topic_id}"))
}

/// All objects of one partition's manifests.
#[must_use]
pub fn manifest_prefix(topic_partition: TopicPartition) -> ObjectPath {
    legal(&format!("{MANIFESTS}/{}/{}", topic_partition.topic_id, topic_partition.partition))
}

/// An object of a partition's manifests.
#[must_use]
pub fn manifest_object(topic_partition: TopicPartition, object: ManifestObject) -> ObjectPath {
    let (kind, unique) = match object {
        ManifestObject::Root(unique) => ("root", unique),
        ManifestObject::Part(unique) => ("part", unique),
    };
    let prefix = manifest_prefix(topic_partition);
    legal(&format!("{prefix}/{kind}-{}{MANIFEST_SUFFIX}", unique.simple()))
}

/// Which manifest object of which partition an object is; nothing if its path is not exactly one that we make.
#[must_use]
pub fn parse_manifest_object(path: &ObjectPath) -> Option<(TopicPartition, ManifestObject)> {
    let inside = path.as_str().strip_prefix(MANIFESTS)?.strip_prefix('/')?;
    let (id, rest) = inside.split_once('/')?;
    let (partition, file) = rest.split_once('/')?;
    let partition = PartitionIndex(partition.parse().ok()?);
    let topic_partition = TopicPartition { topic_id: TopicId(Uuid::parse_str(id).ok()?), partition };
    let (kind, unique) = file.strip_suffix(MANIFEST_SUFFIX)?.split_once('-')?;
    let unique = Uuid::parse_str(unique).ok()?;
    let object = match kind {
        "root" => ManifestObject::Root(unique),
        "part" => ManifestObject::Part(unique),
        _ => return None,
    };
    (manifest_object(topic_partition, object) == *path).then_some((topic_partition, object))
}

/// The cluster's mark.
#[must_use]
pub fn cluster_marker() -> ObjectPath {
    legal("cluster.json")
}

pub(super) fn legal(text: &str) -> ObjectPath {
    ObjectPath::parse(text).expect("made of legal characters only")
}

/// Whether a path is that of a segment, of a manifest's object, or of a journal's.
#[must_use]
pub fn is_ours(path: &ObjectPath) -> bool {
    parse_segment(path).is_some()
        || parse_manifest_object(path).is_some()
        || parse_journal_object(path).is_some()
        || parse_merged_object(path).is_some()
        || parse_index_object(path).is_some()
}
