//! One record batch in a journal object, and where it lies.

use crate::hashing::HashSet;
use crate::store::{ObjectPath, paths};
use crate::types::{
    LeaderEpoch, MergeNumber, Offset, ProducerEpoch, ProducerId, SessionId, Timestamp, TopicPartition,
    TransactionOrdinal, Verdict, ViewNumber,
};
use bytes::Bytes;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// The name of an object that a flush has cut: those of a session are numbered from 1, without a gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectId {
    /// The session that cut it.
    pub session: SessionId,
    /// Its number there.
    pub seq: u64,
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.session, self.seq)
    }
}

/// The name of any object of a journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectName {
    /// Whose journal it is of.
    pub session: SessionId,
    /// Which one there.
    pub number: ObjectNumber,
}

/// What tells the objects of a journal apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ObjectNumber {
    /// A flush has cut it.
    Flushed(u64),
    /// It has what was still needed of others.
    Merged(MergeNumber),
}

/// A PUT, in the unit in which shares of one are counted.
pub const PUT_MILLIONTHS: u64 = 1_000_000;

impl From<ObjectId> for ObjectName {
    fn from(id: ObjectId) -> ObjectName {
        ObjectName { session: id.session, number: ObjectNumber::Flushed(id.seq) }
    }
}

impl ObjectName {
    /// A merged object.
    #[must_use]
    pub fn merged(session: SessionId, number: MergeNumber) -> ObjectName {
        ObjectName { session, number: ObjectNumber::Merged(number) }
    }

    /// Where it lies.
    #[must_use]
    pub fn path(&self) -> ObjectPath {
        match self.number {
            ObjectNumber::Flushed(seq) => paths::journal_object(self.session, seq),
            ObjectNumber::Merged(number) => paths::merged_object(self.session, number),
        }
    }

    /// One number for each object of a session: flushes never come to those above 2⁶³.
    #[must_use]
    pub fn as_u64(&self) -> u64 {
        match self.number {
            ObjectNumber::Flushed(seq) => seq,
            ObjectNumber::Merged(MergeNumber { view, attempt }) => {
                MERGED_FROM | u64::from(view.0.unsigned_abs()) << 32 | u64::from(attempt)
            }
        }
    }
}

const MERGED_FROM: u64 = 1 << 63;

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.session, self.number)
    }
}

impl fmt::Display for ObjectNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ObjectNumber::Flushed(seq) => seq.fmt(f),
            ObjectNumber::Merged(number) => write!(f, "merged-{number}"),
        }
    }
}

/// What the index columns of a journal object say of one record batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowIndex {
    /// The partition that the batch belongs to.
    pub topic_partition: TopicPartition,
    /// Its offsets.
    pub offsets: Range<Offset>,
    /// The epoch that its header carries.
    pub leader_epoch: LeaderEpoch,
    /// The latest of its records' timestamps.
    pub max_timestamp: Timestamp,
    /// Its producer, -1 without idempotence.
    pub producer_id: ProducerId,
    /// The producer's epoch.
    pub producer_epoch: ProducerEpoch,
    /// The sequence number of its first record.
    pub base_sequence: i32,
    /// The attributes of its header (KIP-98): codec, timestamp type, transactional, control.
    pub attributes: i16,
    /// Its part in a transaction, which the batch itself does not tell in full.
    pub transaction: RowTransaction,
}

/// What a batch is to a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowTransaction {
    /// It belongs to none.
    None,
    /// Records of one.
    Batch {
        /// Which of its producer's.
        ordinal: TransactionOrdinal,
    },
    /// The end of one.
    Marker {
        /// Which of its producer's.
        ordinal: TransactionOrdinal,
        /// How it ended.
        verdict: Verdict,
        /// The view of the coordinator that sent the marker.
        coordinator_view: ViewNumber,
    },
}

/// A record batch on its way into a journal object.
#[derive(Clone, Debug)]
pub struct Row {
    /// What is known of it.
    pub index: RowIndex,
    /// The batch as the client sent it; base offset and leader epoch are stamped when the object is encoded.
    pub batch: Bytes,
}

/// A run of one partition's batches in one object: the unit of the index and of the cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// The partition.
    pub topic_partition: TopicPartition,
    /// The offsets of all its batches; they follow each other without a gap.
    pub offsets: Range<Offset>,
    /// The epoch of all its batches.
    pub leader_epoch: LeaderEpoch,
    /// The latest timestamp in it.
    pub max_timestamp: Timestamp,
    /// Where it lies in the object.
    pub byte_range: Range<u64>,
}

/// A span ends when the next batch would take it past this size, so that a miss in the cache reads a
/// useful amount and no more.
const SPAN_BYTES_MAX: u64 = 1024 * 1024;

/// Gathers rows, which come in the order of the object, into spans.
pub(super) fn spans<'a>(rows: impl Iterator<Item = (&'a RowIndex, Range<u64>)>) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    for (row, byte_range) in rows {
        match spans.last_mut() {
            Some(span) if continues(span, row, &byte_range) => {
                span.offsets.end = row.offsets.end;
                span.byte_range.end = byte_range.end;
                span.max_timestamp = span.max_timestamp.max(row.max_timestamp);
            }
            _ => spans.push(Span {
                topic_partition: row.topic_partition,
                offsets: row.offsets.clone(),
                leader_epoch: row.leader_epoch,
                max_timestamp: row.max_timestamp,
                byte_range,
            }),
        }
    }
    spans
}

fn continues(span: &Span, row: &RowIndex, byte_range: &Range<u64>) -> bool {
    span.topic_partition == row.topic_partition
        && span.offsets.end == row.offsets.start
        && span.leader_epoch == row.leader_epoch
        && byte_range.end - span.byte_range.start <= SPAN_BYTES_MAX
}

/// Whose rows are wanted of an object.
#[derive(Clone, Debug)]
pub enum Partitions {
    /// Those of all.
    All,
    /// Of these; rows of others may come, too.
    These(Arc<HashSet<TopicPartition>>),
}

impl Partitions {
    /// Whether they are wanted of this one.
    #[must_use]
    pub fn have(&self, topic_partition: TopicPartition) -> bool {
        match self {
            Partitions::All => true,
            Partitions::These(these) => these.contains(&topic_partition),
        }
    }
}
