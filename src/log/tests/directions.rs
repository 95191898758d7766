//! Directions come as they went, and nothing else is taken for them.

use crate::journal::{ObjectName, ObjectNumber};
use crate::log::{
    AbortedTransaction, Direction, DirectionsWanted, Ends, IndexEntry, IsolationLevel, PartitionWanted,
    ReadPlan, SegmentRef, decode_directions, encode_directions,
};
use crate::remote::REQUEST_BYTES_MAX;
use crate::segment::manifest::Segment;
use crate::store::paths;
use crate::types::{
    LeaderEpoch, MergeNumber, Offset, PartitionIndex, ProducerId, SessionId, Timestamp, TopicId, TopicName,
    TopicPartition, ViewNumber,
};
use crate::wire::ErrorCode;
use bytes::Bytes;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use std::ops::Range;
use std::time::Duration;
use uuid::Uuid;

fn topic() -> TopicName {
    TopicName::parse("flights").expect("legal")
}

fn named(_: TopicId) -> Option<TopicName> {
    Some(topic())
}

fn any_wanted() -> impl Strategy<Value = PartitionWanted> {
    (any::<u128>(), any::<i32>(), 0..i64::MAX / 4, any::<i32>(), any::<i32>()).prop_map(
        |(id, index, from, bytes_max, leader_epoch)| PartitionWanted {
            topic_partition: TopicPartition {
                topic_id: TopicId(Uuid::from_u128(id)),
                partition: PartitionIndex(index),
            },
            from: Offset(from),
            bytes_max,
            leader_epoch,
        },
    )
}

fn any_object() -> impl Strategy<Value = ObjectName> {
    let number = prop_oneof![
        any::<u64>().prop_map(ObjectNumber::Flushed),
        (0..i32::MAX, any::<u32>()).prop_map(|(view, attempt)| ObjectNumber::Merged(MergeNumber {
            view: ViewNumber(view),
            attempt
        })),
    ];
    (any::<u128>(), number)
        .prop_map(|(session, number)| ObjectName { session: SessionId(Uuid::from_u128(session)), number })
}

/// Spans that follow each other from `start`, each so many records long.
fn spans(start: Offset, made: Vec<(ObjectName, i64, Range<u64>, i32, i64)>) -> Vec<IndexEntry> {
    let mut next = start;
    let span = |(object, records, byte_range, epoch, timestamp)| {
        let offsets = next..next + records;
        next = offsets.end;
        let (leader_epoch, max_timestamp) = (LeaderEpoch(epoch), Timestamp(timestamp));
        IndexEntry { object, offsets, byte_range, leader_epoch, max_timestamp }
    };
    made.into_iter().map(span).collect()
}

fn any_spans(start: Offset) -> impl Strategy<Value = Vec<IndexEntry>> {
    let range = (0..1_u64 << 40, 1..1_u64 << 31).prop_map(|(start, length)| start..start + length);
    vec((any_object(), 1..1000_i64, range, any::<i32>(), any::<i64>()), 0..5)
        .prop_map(move |made| spans(start, made))
}

fn any_segment(of: TopicPartition) -> impl Strategy<Value = SegmentRef> {
    (0..1_i64 << 40, 1..1000_i64, any::<(u32, u32, u128, u8)>(), 1..1_u64 << 40, 0..i32::MAX).prop_map(
        move |(start, records, (time, crc32c, unique, level), bytes, epoch)| {
            let segment = Segment {
                offsets: Offset(start)..Offset(start + records),
                min_timestamp: Timestamp(time.into()),
                max_timestamp: Timestamp(i64::from(time) + 1),
                max_timestamp_offset: Offset(start + records - 1),
                rows: 1,
                tombstones: 1,
                raw_bytes: bytes,
                file_bytes: bytes,
                crc32c,
                unique: Uuid::from_u128(unique),
                leader_epoch: LeaderEpoch(epoch),
                level,
            };
            let path = paths::segment(&topic(), of, &segment.name());
            SegmentRef { topic_partition: of, path, segment }
        },
    )
}

fn any_plan(wanted: PartitionWanted) -> impl Strategy<Value = ReadPlan> {
    let archived_to = prop_oneof![Just(Offset::ZERO), Just(wanted.from + 7)];
    let segments = vec(any_segment(wanted.topic_partition), 0..3);
    let aborted = any::<(i64, i64)>().prop_map(|(producer, first)| AbortedTransaction {
        producer_id: ProducerId(producer),
        first_offset: Offset(first),
    });
    (archived_to, segments, vec(aborted, 0..4), any::<i64>()).prop_flat_map(
        move |(archived_to, segments, aborted, end)| {
            let from = wanted.from;
            any_spans(from.max(archived_to)).prop_map(move |spans| {
                let raw_bytes: u64 = segments.iter().map(|of| of.segment.raw_bytes).sum();
                let bytes = raw_bytes + spans.iter().map(IndexEntry::size).sum::<u64>();
                let (segments, aborted) = (segments.clone(), aborted.clone());
                ReadPlan { from, end: Offset(end), segments, spans, archived_to, bytes, aborted }
            })
        },
    )
}

fn any_direction() -> impl Strategy<Value = (PartitionWanted, Direction)> {
    let ends = option::of(any::<(i64, i64, i64)>()).prop_map(|ends| {
        ends.map(|(start, high, stable)| Ends {
            log_start_offset: Offset(start),
            high_watermark: Offset(high),
            last_stable_offset: Offset(stable),
        })
    });
    let codes = [ErrorCode::NotLeaderOrFollower, ErrorCode::OffsetOutOfRange, ErrorCode::FencedLeaderEpoch];
    let refused = prop::sample::select(codes.to_vec()).prop_map(Direction::Refused);
    (any_wanted(), ends).prop_flat_map(move |(wanted, ends)| {
        let read = any_plan(wanted.clone()).prop_map(move |plan| Direction::Read { plan, ends });
        (Just(wanted), prop_oneof![4 => read, 1 => refused.clone(), 1 => Just(Direction::AskLeader)])
    })
}

proptest! {
    #[test]
    fn a_request_comes_as_it_went(
        committed in any::<bool>(), bytes_min in any::<u64>(), bytes_max in any::<u64>(), wait in any::<u32>(),
        partitions in vec(any_wanted(), 0..6), cut in any::<prop::sample::Index>(),
    ) {
        let isolation = if committed { IsolationLevel::ReadCommitted } else { IsolationLevel::ReadUncommitted };
        let wait = Duration::from_millis(wait.into());
        let request = DirectionsWanted { isolation, bytes_min, bytes_max, wait, partitions };
        let bytes = request.encode();
        prop_assert_eq!(DirectionsWanted::decode(bytes.clone()), Ok(request));
        prop_assert!(DirectionsWanted::decode(bytes.slice(..cut.index(bytes.len()))).is_err());
        prop_assert!(DirectionsWanted::decode([&bytes[..], b"x"].concat().into()).is_err());
    }

    #[test]
    fn an_answer_comes_as_it_went(said in vec(any_direction(), 0..6), cut in any::<prop::sample::Index>()) {
        let (asked, directions): (Vec<_>, Vec<_>) = said.into_iter().unzip();
        let bytes = encode_directions(&directions);
        prop_assert_eq!(decode_directions(bytes.clone(), &asked, named), Ok(directions));
        prop_assert!(decode_directions(bytes.slice(..cut.index(bytes.len())), &asked, named).is_err());
        let more = [&asked[..], &asked[..]].concat();
        prop_assert!(asked.is_empty() || decode_directions(bytes, &more, named).is_err());
    }

    /// One byte of an answer is another, or all are: it is refused or read, and what is read fits together.
    #[test]
    fn other_bytes_do_no_harm(
        said in vec(any_direction(), 1..4), place in any::<prop::sample::Index>(), byte in any::<u8>(),
        noise in vec(any::<u8>(), 0..300),
    ) {
        let (asked, directions): (Vec<_>, Vec<_>) = said.into_iter().unzip();
        let mut bytes = encode_directions(&directions).to_vec();
        let place = place.index(bytes.len());
        bytes[place] = byte;
        for bytes in [Bytes::from(bytes), [&[1, 0, 0, 1][..], &noise].concat().into(), noise.into()] {
            let _request = DirectionsWanted::decode(bytes.clone());
            let asked = if bytes.get(3) == Some(&1) { &asked[..1] } else { &asked[..] };
            let Ok(read) = decode_directions(bytes, asked, named) else { continue };
            for (direction, asked) in read.iter().zip(asked) {
                let Direction::Read { plan, .. } = direction else { continue };
                prop_assert_eq!(plan.from, asked.from);
                prop_assert!(plan.spans.iter().all(|span| !span.offsets.is_empty() && span.size() > 0));
                prop_assert!(plan.spans.windows(2).all(|pair| pair[0].offsets.end == pair[1].offsets.start));
            }
        }
    }
}

/// What has no room is left out, but not what stands before everything else: the reader would never get on.
#[test]
fn an_answer_is_no_longer_than_it_may_be() {
    let wanted = PartitionWanted {
        topic_partition: TopicPartition {
            topic_id: TopicId(Uuid::from_u128(1)),
            partition: PartitionIndex(0),
        },
        from: Offset(5),
        bytes_max: 1,
        leader_epoch: -1,
    };
    let ends = Ends { log_start_offset: Offset(0), high_watermark: Offset(9), last_stable_offset: Offset(9) };
    let object = ObjectName { session: SessionId(Uuid::from_u128(7)), number: ObjectNumber::Flushed(1) };
    let long = |count: usize| {
        let spans = spans(Offset(5), vec![(object, 1, 0..100, 1, 1); count]);
        let plan = ReadPlan { from: Offset(5), end: Offset(9), spans, ..ReadPlan::default() };
        Direction::Read { plan, ends: Some(ends) }
    };
    let (half, nothing) = (long(5_000), long(0));
    let said = [half.clone(), half.clone(), nothing.clone(), long(100)];
    let asked = vec![wanted.clone(); said.len()];
    let bytes = encode_directions(&said);
    assert!(bytes.len() < REQUEST_BYTES_MAX);
    let read = decode_directions(bytes, &asked, named).expect("its own bytes");
    let is_there =
        |direction: &Direction| matches!(direction, Direction::Read { plan, .. } if !plan.spans.is_empty());
    assert_eq!(read.iter().map(is_there).collect::<Vec<_>>(), [true, false, false, true]);
    assert_eq!(read[1], nothing);
    let read =
        decode_directions(encode_directions(&[long(10_000), long(1)]), &asked[..2], named).expect("read");
    assert!(read[0] == Direction::AskLeader && is_there(&read[1]));
}
