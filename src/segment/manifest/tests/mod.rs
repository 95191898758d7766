//! The manifest's promises: edits keep it sound, lookups find what is there, its bytes come back or are refused.

mod edits;
mod encoding;
mod golden;
mod lookups;
mod pointer;
mod random;
mod sizes;

use super::*;
use crate::hashing::HashMap;
use crate::types::{
    LeaderEpoch, Offset, PartitionIndex, ProducerEpoch, ProducerId, Timestamp, TopicId, TopicPartition,
    TransactionOrdinal, ViewNumber,
};
use uuid::Uuid;

fn topic_partition() -> TopicPartition {
    let topic_id = TopicId(Uuid::from_u128(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef));
    TopicPartition { topic_id, partition: PartitionIndex(3) }
}

/// A segment in which no row is missing.
fn segment(start: i64, end: i64) -> Segment {
    // Multiplying spreads ids and checksums as true ones are spread.
    let unique =
        ((start as u128) << 64 | end as u128).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
    Segment {
        offsets: Offset(start)..Offset(end),
        min_timestamp: Timestamp(1_000 + start),
        max_timestamp: Timestamp(1_000 + end - 1),
        max_timestamp_offset: Offset(end - 1),
        rows: (end - start) as u64,
        tombstones: 0,
        raw_bytes: (end - start) as u64 * 100,
        file_bytes: (end - start) as u64 * 30 + 500,
        crc32c: unique as u32,
        unique: Uuid::from_u128(unique),
        leader_epoch: LeaderEpoch(2),
        level: 0,
    }
}

fn epoch(leader_epoch: i32, start: i64) -> EpochStart {
    EpochStart { leader_epoch: LeaderEpoch(leader_epoch), start: Offset(start) }
}

/// A producer that sent one batch, which ends at `end`.
fn producer(id: i64, end: i64) -> ProducerSnapshot {
    let offsets = Offset(end - 1)..Offset(end);
    ProducerSnapshot {
        producer_id: ProducerId(id),
        producer_epoch: ProducerEpoch(1),
        batches: vec![BatchSnapshot { base_sequence: 7, last_sequence: 7, offsets }],
        last_timestamp: Timestamp(1_699),
        seen_at: Timestamp(1_700),
        open: None,
        ended: TransactionOrdinal::NONE,
        coordinator_view: ViewNumber(-1),
    }
}

fn archived(segments: Vec<Segment>, up_to: i64) -> Archived {
    let archived_offset = Offset(up_to);
    Archived { segments, archived_offset, leader_epochs: Vec::new(), producers: Vec::new() }
}

/// A manifest of segments with these offsets.
fn manifest(segments: &[(i64, i64)]) -> Manifest {
    let segments: Vec<Segment> = segments.iter().map(|&(start, end)| segment(start, end)).collect();
    let up_to = segments.last().map_or(1, |last| last.offsets.end.0);
    let empty = Manifest::new(topic_partition(), Offset::ZERO);
    empty.append_segments(archived(segments, up_to)).expect("a legal append").manifest
}

fn offsets(manifest: &Manifest) -> Vec<(i64, i64)> {
    manifest.segments().map(|segment| (segment.offsets.start.0, segment.offsets.end.0)).collect()
}

fn names(segments: &[Segment]) -> Vec<(i64, i64)> {
    segments.iter().map(|segment| (segment.offsets.start.0, segment.offsets.end.0)).collect()
}

/// Two manifests say the same.
fn assert_same(left: &Manifest, right: &Manifest) {
    assert!(left.segments().eq(right.segments()), "the same segments");
    assert_eq!(left.totals(), right.totals());
    assert_eq!(left.topic_partition(), right.topic_partition());
    assert_eq!(left.log_start_offset(), right.log_start_offset());
    assert_eq!(left.archived_offset(), right.archived_offset());
    assert_eq!(left.leader_epochs(), right.leader_epochs());
    assert_eq!(left.clean_passes(), right.clean_passes());
    assert_eq!(left.producers(), right.producers());
}

/// A store of manifest objects that gives ids in order.
#[derive(Default)]
struct Objects {
    stored: HashMap<Uuid, EncodedObject>,
    ids: u128,
    /// Bytes that were put so far.
    bytes_put: u64,
}

impl Objects {
    fn save(&mut self, manifest: &Manifest, previous: Option<&EncodedLayout>) -> Encoded {
        let ids = &mut self.ids;
        let encoded = manifest.encode(previous, || {
            *ids += 1;
            Uuid::from_u128(*ids)
        });
        for object in encoded.new_parts.iter().chain([&encoded.root]) {
            self.bytes_put += object.named.bytes;
            let before = self.stored.insert(object.named.id, object.clone());
            assert!(before.is_none(), "an object is written once");
        }
        encoded
    }

    fn remove_dropped(&mut self, encoded: &Encoded) {
        for dropped in encoded.dropped_parts.iter().chain(&encoded.dropped_root) {
            self.stored.remove(&dropped.id).expect("what is dropped was there");
        }
    }

    fn open(&self, pointer: &ManifestPointer) -> Result<Opened, DecodeError> {
        let named = pointer.root.expect("there is a root");
        let root = Root::decode(topic_partition(), &named, &self.stored[&named.id].bytes)?;
        let part = |named: ObjectRef| Part::decode(topic_partition(), &named, &self.stored[&named.id].bytes);
        let parts = root.wanted().map(part).collect::<Result<_, _>>()?;
        root.open(pointer, parts)
    }
}
