//! Where the records of a fetch lie, as a partition's leader tells it to a broker of another zone. That one reads them by itself,
//! from its cache or from the object store, so that they do not go from zone to zone.
//!
//! ```text
//! request   u8 isolation (0 all, 1 committed), u64 bytes at least, u64 bytes at most, u32 milliseconds to wait,
//!           u16 partitions, each: 16 topic id, i32 partition, i64 offset, i32 bytes at most, i32 leader epoch (-1: none)
//! answer    u16 partitions in the order of the request, each:
//!             u8 0  refused: i16 Kafka's code
//!             u8 1  to be fetched from the leader
//!             u8 2  ends not known: plan
//!             u8 3  ends: i64 log start, i64 high watermark, i64 last stable offset; plan
//! plan      i64 end, i64 archived to, u8 segments, u16 spans, u32 aborted transactions; then these:
//! segment   i64 start, i64 end, i64 earliest, i64 latest timestamp, i64 offset of the latest, u64 rows, u64 tombstones,
//!           u64 raw bytes, u64 file bytes, u32 CRC-32C, 16 unique, i32 leader epoch, u8 level
//! span      16 session, u8 0: u64 number | u8 1: i32 view, u32 attempt (a merged object),
//!           i64 start, i64 end, u64 first byte, u64 first byte after, i32 leader epoch, i64 latest timestamp
//! aborted   i64 producer id, i64 first offset
//! ```
//!
//! The leader alone decides what is committed and who sees it. What it names is checked twice: here that it fits together, and
//! by the reader that the bytes are those (`reader.rs`). Never: it reads nothing.

use super::archived::SegmentRef;
use super::index::IndexEntry;
use super::partition::Ends;
use super::read_plan::{IsolationLevel, ReadPlan};
use super::stability::AbortedTransaction;
use crate::journal::{ObjectName, ObjectNumber};
use crate::remote::{Answered, Fields, Malformed, VERSION};
use crate::segment::manifest::Segment;
use crate::store::paths;
use crate::types::{
    LeaderEpoch, MergeNumber, Offset, PartitionIndex, ProducerId, SessionId, Timestamp, TopicId, TopicName,
    TopicPartition, ViewNumber,
};
use crate::wire::ErrorCode;
use bytes::{BufMut, Bytes};
use std::ops::Range;
use std::time::Duration;

/// Partitions of one request at most.
pub const PARTITIONS_MAX: usize = 4096;
/// Plans of one answer at most, in bytes. With what is said of each partition besides it is less than
/// [`crate::remote::REQUEST_BYTES_MAX`].
const PLANS_BYTES_MAX: usize = 512 * 1024;
/// A span at most, in bytes: no batch is larger.
const SPAN_BYTES_MAX: u64 = 1 << 31;
/// The records of a segment at most, in bytes: far above what is written, and far from what a sum of some could not hold.
const SEGMENT_BYTES_MAX: u64 = 1 << 50;

const REFUSED: u8 = 0;
const ASK_LEADER: u8 = 1;
const ENDS_UNKNOWN: u8 = 2;
const ENDS_KNOWN: u8 = 3;
const FLUSHED: u8 = 0;
const MERGED: u8 = 1;

/// What a broker wants to read of partitions that one other leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectionsWanted {
    /// Who reads.
    pub isolation: IsolationLevel,
    /// So much is waited for.
    pub bytes_min: u64,
    /// Of all partitions together.
    pub bytes_max: u64,
    /// How long.
    pub wait: Duration,
    /// At most [`PARTITIONS_MAX`].
    pub partitions: Vec<PartitionWanted>,
}

/// What of one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionWanted {
    /// Which.
    pub topic_partition: TopicPartition,
    /// From where on.
    pub from: Offset,
    /// At most this many bytes, as Kafka's field has it.
    pub bytes_max: i32,
    /// The epoch that the client knows, -1 for none.
    pub leader_epoch: i32,
}

/// What the leader says of one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The client is told so.
    Refused(ErrorCode),
    /// There is too much to say.
    AskLeader,
    /// Where to read, and the ends, if they are known.
    Read {
        /// Where.
        plan: ReadPlan,
        /// Confirmed after the request came.
        ends: Option<Ends>,
    },
}

impl DirectionsWanted {
    /// The request's bytes.
    ///
    /// # Panics
    /// With more than [`PARTITIONS_MAX`] partitions.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut to = vec![VERSION];
        to.put_u8(match self.isolation {
            IsolationLevel::ReadUncommitted => 0,
            IsolationLevel::ReadCommitted => 1,
        });
        to.put_u64(self.bytes_min);
        to.put_u64(self.bytes_max);
        to.put_u32(u32::try_from(self.wait.as_millis()).unwrap_or(u32::MAX));
        to.put_u16(count(self.partitions.len()));
        for wanted in &self.partitions {
            to.put_u128(wanted.topic_partition.topic_id.0.as_u128());
            to.put_i32(wanted.topic_partition.partition.0);
            to.put_i64(wanted.from.get());
            to.put_i32(wanted.bytes_max);
            to.put_i32(wanted.leader_epoch);
        }
        to.into()
    }

    /// Reads a request.
    pub fn decode(request: Bytes) -> Result<DirectionsWanted, Malformed> {
        let mut from = Fields::new(request)?;
        let isolation = match from.u8()? {
            0 => IsolationLevel::ReadUncommitted,
            1 => IsolationLevel::ReadCommitted,
            _ => return Err(Malformed),
        };
        let (bytes_min, bytes_max) = (from.u64()?, from.u64()?);
        let wait = Duration::from_millis(from.u32()?.into());
        let partitions = (0..counted(&mut from)?).map(|_| {
            let (topic_id, partition) = (TopicId(from.uuid()?), PartitionIndex(from.i32()?));
            let topic_partition = TopicPartition { topic_id, partition };
            let (start, bytes_max) = (Offset(from.i64()?), from.i32()?);
            Ok(PartitionWanted { topic_partition, from: start, bytes_max, leader_epoch: from.i32()? })
        });
        let partitions = partitions.collect::<Result<_, _>>()?;
        from.end()?;
        Ok(DirectionsWanted { isolation, bytes_min, bytes_max, wait, partitions })
    }
}

/// An answer's bytes. What has no room in it is left for the next request; what alone has none is fetched from the leader.
///
/// # Panics
/// With more than [`PARTITIONS_MAX`] partitions.
#[must_use]
pub fn encode_directions(directions: &[Direction]) -> Bytes {
    let mut to = Answered::Understood.answer();
    to.put_u16(count(directions.len()));
    let mut left = PLANS_BYTES_MAX;
    for direction in directions {
        let start = to.len();
        put_direction(&mut to, direction);
        let length = to.len() - start;
        if length <= left {
            left -= length;
            continue;
        }
        to.truncate(start);
        put_direction(&mut to, &without_room(direction, left == PLANS_BYTES_MAX));
    }
    to.into()
}

/// Reads the answer to `asked`, about topics of these names. A plan that does not fit together is as good as none.
pub fn decode_directions(
    answer: Bytes,
    asked: &[PartitionWanted],
    name_of: impl Fn(TopicId) -> Option<TopicName>,
) -> Result<Vec<Direction>, Malformed> {
    let mut from = Answered::fields(answer).map_err(|_| Malformed)?;
    if counted(&mut from)? != asked.len() {
        return Err(Malformed);
    }
    let mut directions = Vec::with_capacity(asked.len());
    for wanted in asked {
        directions.push(match from.u8()? {
            REFUSED => {
                let code = ErrorCode::try_from_code(from.i16()?);
                Direction::Refused(code.unwrap_or(ErrorCode::UnknownServerError))
            }
            ASK_LEADER => Direction::AskLeader,
            ENDS_UNKNOWN => Direction::Read { ends: None, plan: plan(&mut from, wanted, &name_of)? },
            ENDS_KNOWN => {
                let ends = Ends {
                    log_start_offset: Offset(from.i64()?),
                    high_watermark: Offset(from.i64()?),
                    last_stable_offset: Offset(from.i64()?),
                };
                Direction::Read { ends: Some(ends), plan: plan(&mut from, wanted, &name_of)? }
            }
            _ => return Err(Malformed),
        });
    }
    from.end()?;
    Ok(directions)
}

/// What is said instead of what is too long.
fn without_room(direction: &Direction, is_first: bool) -> Direction {
    match direction {
        Direction::Read { plan, ends } if !is_first => {
            let mut plan = plan.clone();
            plan.hold_back();
            Direction::Read { plan, ends: *ends }
        }
        Direction::Read { .. } | Direction::AskLeader => Direction::AskLeader,
        Direction::Refused(code) => Direction::Refused(*code),
    }
}

fn put_direction(to: &mut Vec<u8>, direction: &Direction) {
    match direction {
        Direction::Refused(code) => {
            to.put_u8(REFUSED);
            to.put_i16(code.code());
        }
        Direction::AskLeader => to.put_u8(ASK_LEADER),
        Direction::Read { plan, ends: None } => {
            to.put_u8(ENDS_UNKNOWN);
            put_plan(to, plan);
        }
        Direction::Read { plan, ends: Some(ends) } => {
            to.put_u8(ENDS_KNOWN);
            to.put_i64(ends.log_start_offset.get());
            to.put_i64(ends.high_watermark.get());
            to.put_i64(ends.last_stable_offset.get());
            put_plan(to, plan);
        }
    }
}

fn put_plan(to: &mut Vec<u8>, plan: &ReadPlan) {
    to.put_i64(plan.end.get());
    to.put_i64(plan.archived_to.get());
    to.put_u8(u8::try_from(plan.segments.len()).expect("a plan has a few segments"));
    to.put_u16(u16::try_from(plan.spans.len()).expect("a plan has a few hundred spans"));
    to.put_u32(u32::try_from(plan.aborted.len()).expect("a transaction has a batch of more than a byte"));
    plan.segments.iter().for_each(|wanted| put_segment(to, &wanted.segment));
    plan.spans.iter().for_each(|span| put_span(to, span));
    for aborted in &plan.aborted {
        to.put_i64(aborted.producer_id.0);
        to.put_i64(aborted.first_offset.get());
    }
}

fn put_segment(to: &mut Vec<u8>, segment: &Segment) {
    to.put_i64(segment.offsets.start.get());
    to.put_i64(segment.offsets.end.get());
    to.put_i64(segment.min_timestamp.get());
    to.put_i64(segment.max_timestamp.get());
    to.put_i64(segment.max_timestamp_offset.get());
    to.put_u64(segment.rows);
    to.put_u64(segment.tombstones);
    to.put_u64(segment.raw_bytes);
    to.put_u64(segment.file_bytes);
    to.put_u32(segment.crc32c);
    to.put_u128(segment.unique.as_u128());
    to.put_i32(segment.leader_epoch.0);
    to.put_u8(segment.level);
}

fn put_span(to: &mut Vec<u8>, span: &IndexEntry) {
    to.put_u128(span.object.session.0.as_u128());
    match span.object.number {
        ObjectNumber::Flushed(seq) => {
            to.put_u8(FLUSHED);
            to.put_u64(seq);
        }
        ObjectNumber::Merged(MergeNumber { view, attempt }) => {
            to.put_u8(MERGED);
            to.put_i32(view.0);
            to.put_u32(attempt);
        }
    }
    to.put_i64(span.offsets.start.get());
    to.put_i64(span.offsets.end.get());
    to.put_u64(span.byte_range.start);
    to.put_u64(span.byte_range.end);
    to.put_i32(span.leader_epoch.0);
    to.put_i64(span.max_timestamp.get());
}

fn plan(
    from: &mut Fields,
    wanted: &PartitionWanted,
    name_of: impl Fn(TopicId) -> Option<TopicName>,
) -> Result<ReadPlan, Malformed> {
    let (end, archived_to) = (Offset(from.i64()?), Offset(from.i64()?));
    let (segments, spans, aborted) = (from.u8()?, from.u16()?, from.u32()?);
    let segments = (0..segments).map(|_| segment_ref(from, wanted.topic_partition, &name_of));
    let segments = segments.collect::<Result<Vec<_>, _>>()?;
    let spans = (0..spans).map(|_| span(from)).collect::<Result<Vec<_>, _>>()?;
    let aborted = (0..aborted).map(|_| {
        let producer_id = ProducerId(from.i64()?);
        Ok(AbortedTransaction { producer_id, first_offset: Offset(from.i64()?) })
    });
    let aborted = aborted.collect::<Result<Vec<_>, _>>()?;
    let in_journal = wanted.from.max(archived_to);
    let begins = spans.first().is_none_or(|first| first.offsets.contains(&in_journal));
    let follow = spans.windows(2).all(|pair| pair[0].offsets.end == pair[1].offsets.start);
    if !begins || !follow {
        return Err(Malformed);
    }
    let raw_bytes: u64 = segments.iter().map(|of| of.segment.raw_bytes).sum();
    let bytes = raw_bytes + spans.iter().map(IndexEntry::size).sum::<u64>();
    Ok(ReadPlan { from: wanted.from, end, segments, spans, archived_to, bytes, aborted })
}

fn segment_ref(
    from: &mut Fields,
    topic_partition: TopicPartition,
    name_of: impl Fn(TopicId) -> Option<TopicName>,
) -> Result<SegmentRef, Malformed> {
    let segment = Segment {
        offsets: Offset(from.i64()?)..Offset(from.i64()?),
        min_timestamp: Timestamp(from.i64()?),
        max_timestamp: Timestamp(from.i64()?),
        max_timestamp_offset: Offset(from.i64()?),
        rows: from.u64()?,
        tombstones: from.u64()?,
        raw_bytes: from.u64()?,
        file_bytes: from.u64()?,
        crc32c: from.u32()?,
        unique: from.uuid()?,
        leader_epoch: LeaderEpoch(from.i32()?),
        level: from.u8()?,
    };
    if segment.raw_bytes > SEGMENT_BYTES_MAX || segment.fault().is_some() {
        return Err(Malformed);
    }
    let name = name_of(topic_partition.topic_id).ok_or(Malformed)?;
    let path = paths::segment(&name, topic_partition, &segment.name());
    Ok(SegmentRef { topic_partition, path, segment })
}

fn span(from: &mut Fields) -> Result<IndexEntry, Malformed> {
    let session = SessionId(from.uuid()?);
    let object = match from.u8()? {
        FLUSHED => ObjectName { session, number: ObjectNumber::Flushed(from.u64()?) },
        MERGED => {
            let view = ViewNumber(from.i32()?);
            ObjectName::merged(session, MergeNumber { view, attempt: from.u32()? })
        }
        _ => return Err(Malformed),
    };
    let offsets = Offset(from.i64()?)..Offset(from.i64()?);
    let byte_range: Range<u64> = from.u64()?..from.u64()?;
    let has_bytes = !byte_range.is_empty() && byte_range.end - byte_range.start <= SPAN_BYTES_MAX;
    if offsets.start < Offset::ZERO || offsets.is_empty() || !has_bytes {
        return Err(Malformed);
    }
    let (leader_epoch, max_timestamp) = (LeaderEpoch(from.i32()?), Timestamp(from.i64()?));
    Ok(IndexEntry { object, offsets, byte_range, leader_epoch, max_timestamp })
}

fn count(partitions: usize) -> u16 {
    assert!(partitions <= PARTITIONS_MAX, "{partitions} partitions in one request");
    u16::try_from(partitions).expect("checked just now")
}

fn counted(from: &mut Fields) -> Result<usize, Malformed> {
    let count = usize::from(from.u16()?);
    if count <= PARTITIONS_MAX { Ok(count) } else { Err(Malformed) }
}
