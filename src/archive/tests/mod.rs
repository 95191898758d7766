//! The decisions of archiving, as tables and against plain models.

mod archiver;
mod compact;
mod compact_random;
mod cut;
mod held;
mod journal_merge;
mod journals;
mod keeping;
mod merge;
mod merged;
mod moves;
mod retention;
mod upkeep;

use crate::segment::manifest::{Archived, Manifest, Segment};
use crate::types::{LeaderEpoch, Offset, PartitionIndex, Timestamp, TopicId, TopicPartition};
use uuid::Uuid;

fn topic_partition() -> TopicPartition {
    TopicPartition { topic_id: TopicId(Uuid::from_u128(1)), partition: PartitionIndex(0) }
}

/// A segment in which no row is missing; a byte a row, a millisecond a row.
fn segment(start: i64, end: i64) -> Segment {
    Segment {
        offsets: Offset(start)..Offset(end),
        min_timestamp: Timestamp(start),
        max_timestamp: Timestamp(end - 1),
        max_timestamp_offset: Offset(end - 1),
        rows: (end - start) as u64,
        tombstones: 0,
        raw_bytes: (end - start) as u64,
        file_bytes: (end - start) as u64,
        crc32c: 0,
        unique: Uuid::from_u128((start as u128) << 64 | end as u128),
        leader_epoch: LeaderEpoch(1),
        level: 0,
    }
}

fn manifest(segments: Vec<Segment>) -> Manifest {
    let archived_offset = segments.last().map_or(Offset(1), |last| last.offsets.end);
    let archived = Archived { segments, archived_offset, leader_epochs: Vec::new(), producers: Vec::new() };
    let empty = Manifest::new(topic_partition(), Offset::ZERO);
    empty.append_segments(archived).expect("a legal append").manifest
}

fn starts(segments: &[Segment]) -> Vec<i64> {
    segments.iter().map(|segment| segment.offsets.start.0).collect()
}
