//! Arbitrary bytes where brokers of two zones tell each other where records lie.

use super::directions::{DirectionsWanted, PartitionWanted, decode_directions, encode_directions};
use crate::types::{Offset, PartitionIndex, TopicId, TopicName, TopicPartition};
use bytes::Bytes;
use uuid::Uuid;

pub(crate) fn wanted(bytes: &[u8]) {
    if let Ok(wanted) = DirectionsWanted::decode(Bytes::copy_from_slice(bytes)) {
        assert_eq!(DirectionsWanted::decode(wanted.encode()), Ok(wanted));
    }
}

/// Directions to three partitions.
pub(crate) fn directions(bytes: &[u8]) {
    let asked = asked();
    let read = |answer| decode_directions(answer, &asked, |_| TopicName::parse("orders").ok());
    if let Ok(directions) = read(Bytes::copy_from_slice(bytes)) {
        assert_eq!(directions.len(), asked.len());
        assert_eq!(read(encode_directions(&directions)), Ok(directions));
    }
}

/// What was asked for.
pub(super) fn asked() -> [PartitionWanted; 3] {
    [0, 1, 2].map(|partition| PartitionWanted {
        topic_partition: TopicPartition {
            topic_id: TopicId(Uuid::from_u128(7)),
            partition: PartitionIndex(partition),
        },
        from: Offset(3),
        bytes_max: 1 << 20,
        leader_epoch: -1,
    })
}

/// A request for directions, and an answer with everything that one may have.
#[cfg(test)]
pub(crate) fn seeds() -> [Bytes; 2] {
    use super::directions::Direction;
    use super::{AbortedTransaction, Ends, IndexEntry, IsolationLevel, ReadPlan, SegmentRef};
    use crate::journal::{ObjectName, ObjectNumber};
    use crate::segment::manifest::Segment;
    use crate::store::paths;
    use crate::types::{LeaderEpoch, MergeNumber, ProducerId, SessionId, Timestamp, ViewNumber};
    use crate::wire::ErrorCode;
    use std::time::Duration;

    let [wanted, ..] = asked();
    let topic_partition = wanted.topic_partition;
    let segment = Segment {
        offsets: Offset(0)..Offset(10),
        min_timestamp: Timestamp(1_000),
        max_timestamp: Timestamp(1_009),
        max_timestamp_offset: Offset(9),
        rows: 4,
        tombstones: 1,
        raw_bytes: 1_000,
        file_bytes: 800,
        crc32c: 0xa149_d212,
        unique: Uuid::from_u128(5),
        leader_epoch: LeaderEpoch(1),
        level: 2,
    };
    let orders = TopicName::parse("orders").expect("legal");
    let path = paths::segment(&orders, topic_partition, &segment.name());
    let session = SessionId(Uuid::from_u128(1));
    let span = |number, offsets, byte_range| IndexEntry {
        object: ObjectName { session, number },
        offsets,
        byte_range,
        leader_epoch: LeaderEpoch(2),
        max_timestamp: Timestamp(2_000),
    };
    let merged = MergeNumber { view: ViewNumber(2), attempt: 1 };
    let spans = vec![
        span(ObjectNumber::Merged(merged), Offset(10)..Offset(12), 300..500),
        span(ObjectNumber::Flushed(7), Offset(12)..Offset(20), 1_024..9_999),
    ];
    let plan = ReadPlan {
        from: wanted.from,
        end: Offset(20),
        segments: vec![SegmentRef { topic_partition, path, segment }],
        bytes: 1_000 + spans.iter().map(IndexEntry::size).sum::<u64>(),
        spans,
        archived_to: Offset(10),
        aborted: vec![AbortedTransaction { producer_id: ProducerId(4_000), first_offset: Offset(11) }],
    };
    let (log_start_offset, high_watermark, last_stable_offset) = (Offset(0), Offset(21), Offset(20));
    let ends = Some(Ends { log_start_offset, high_watermark, last_stable_offset });
    let refused = Direction::Refused(ErrorCode::OffsetOutOfRange);
    let answer = encode_directions(&[Direction::Read { plan, ends }, refused, Direction::AskLeader]);
    let request = DirectionsWanted {
        isolation: IsolationLevel::ReadCommitted,
        bytes_min: 1,
        bytes_max: 1 << 20,
        wait: Duration::from_millis(500),
        partitions: asked().to_vec(),
    };
    [request.encode(), answer]
}
