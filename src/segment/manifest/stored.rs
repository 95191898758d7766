//! The lines of manifest objects, as JSON has them.
//!
//! | line | fields |
//! | --- | --- |
//! | `head` | `format`, `v`, `kind` (`root`, `segments`, `producers`), `topic_id`, `partition`, `lines` after it |
//! | `root` | `log_start`, `archived`: offsets; `epochs`: \[epoch, start]; `clean_passes`: \[up to, at ms] |
//! | `producers` | of a root: the object that has them, if they are not in the root |
//! | `part` | of a root: `object`, `offsets` \[first, end), `segments`, `rows`, `file_bytes` of it |
//! | `segment` | `offsets` \[first, end), `timestamps` \[earliest, latest], `latest_at`: offset, `rows`, … |
//! | `producer` | `id`, `epoch`, `batches`: \[base sequence, last sequence, first offset, end], … |
//!
//! Ids are 32 hex digits, checksums 8, times milliseconds since 1970. A root has, in this order, the line `root`,
//! `producers` or any number of `producer`, `part`s, `segment`s. A part has `segment`s or `producer`s alone.

use super::chunks::Chunk;
use super::frame::{FORMAT, Kind, ObjectRef, VERSION};
use super::lookup::Manifest;
use super::segment_entry::Segment;
use super::state::{BatchSnapshot, CleanPass, EpochStart, OpenTransactionSnapshot, ProducerSnapshot};
use crate::types::{
    LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp, TopicPartition, TransactionOrdinal, ViewNumber,
};
use serde::{Deserialize, Serialize};
use std::ops::Range;
use uuid::Uuid;

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Line {
    Head(Head),
    Root(StoredState),
    Producers(StoredRef),
    Part(StoredPart),
    Segment(StoredSegment),
    Producer(StoredProducer),
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Head {
    format: String,
    v: u32,
    kind: StoredKind,
    #[serde(with = "hex_id")]
    topic_id: Uuid,
    partition: i32,
    lines: usize,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StoredKind {
    Root,
    Segments,
    Producers,
}

impl Head {
    pub fn new(topic_partition: TopicPartition, kind: Kind, lines: usize) -> Head {
        let kind = match kind {
            Kind::Root => StoredKind::Root,
            Kind::Segments => StoredKind::Segments,
            Kind::Producers => StoredKind::Producers,
        };
        let (topic_id, partition) = (topic_partition.topic_id.0, topic_partition.partition.0);
        Head { format: FORMAT.to_owned(), v: VERSION, kind, topic_id, partition, lines }
    }

    pub fn version(&self) -> u32 {
        self.v
    }

    /// What the object is, and its number of lines, if it is one of this partition's.
    pub fn check(&self, topic_partition: TopicPartition) -> Result<(Kind, usize), &'static str> {
        let is_of =
            (self.topic_id, self.partition) == (topic_partition.topic_id.0, topic_partition.partition.0);
        match () {
            () if self.format != FORMAT => Err("it is of another format"),
            () if !is_of => Err("it is of another partition"),
            () => Ok((self.kind(), self.lines)),
        }
    }

    fn kind(&self) -> Kind {
        match self.kind {
            StoredKind::Root => Kind::Root,
            StoredKind::Segments => Kind::Segments,
            StoredKind::Producers => Kind::Producers,
        }
    }
}

/// What a root says beside lists.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct StoredState {
    pub log_start: i64,
    pub archived: i64,
    epochs: Vec<(i32, i64)>,
    clean_passes: Vec<(i64, i64)>,
}

impl StoredState {
    pub fn of(manifest: &Manifest) -> StoredState {
        let epochs = manifest.leader_epochs().iter();
        let passes = manifest.clean_passes().iter();
        StoredState {
            log_start: manifest.log_start_offset().0,
            archived: manifest.archived_offset().0,
            epochs: epochs.map(|epoch| (epoch.leader_epoch.0, epoch.start.0)).collect(),
            clean_passes: passes.map(|pass| (pass.up_to.0, pass.at.0)).collect(),
        }
    }

    pub fn leader_epochs(&self) -> Vec<EpochStart> {
        let epochs = self.epochs.iter();
        epochs
            .map(|&(epoch, start)| EpochStart { leader_epoch: LeaderEpoch(epoch), start: Offset(start) })
            .collect()
    }

    pub fn clean_passes(&self) -> Vec<CleanPass> {
        let passes = self.clean_passes.iter();
        passes.map(|&(up_to, at)| CleanPass { up_to: Offset(up_to), at: Timestamp(at) }).collect()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StoredRef {
    #[serde(with = "hex_id")]
    id: Uuid,
    bytes: u64,
    #[serde(with = "hex_crc")]
    crc32c: u32,
}

impl From<ObjectRef> for StoredRef {
    fn from(object: ObjectRef) -> StoredRef {
        let ObjectRef { id, bytes, crc32c } = object;
        StoredRef { id, bytes, crc32c }
    }
}

impl From<StoredRef> for ObjectRef {
    fn from(stored: StoredRef) -> ObjectRef {
        let StoredRef { id, bytes, crc32c } = stored;
        ObjectRef { id, bytes, crc32c }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StoredPart {
    pub object: StoredRef,
    offsets: (i64, i64),
    segments: u64,
    rows: u64,
    file_bytes: u64,
}

impl StoredPart {
    pub fn new(object: ObjectRef, chunk: &Chunk) -> StoredPart {
        let totals = chunk.totals();
        StoredPart {
            object: object.into(),
            offsets: stored_range(&chunk.offsets()),
            segments: totals.segments,
            rows: totals.rows,
            file_bytes: totals.file_bytes,
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct StoredSegment {
    offsets: (i64, i64),
    timestamps: (i64, i64),
    latest_at: i64,
    rows: u64,
    tombstones: u64,
    raw_bytes: u64,
    file_bytes: u64,
    #[serde(with = "hex_crc")]
    crc32c: u32,
    #[serde(with = "hex_id")]
    unique: Uuid,
    epoch: i32,
    level: u8,
}

impl From<&Segment> for StoredSegment {
    fn from(segment: &Segment) -> StoredSegment {
        StoredSegment {
            offsets: stored_range(&segment.offsets),
            timestamps: (segment.min_timestamp.0, segment.max_timestamp.0),
            latest_at: segment.max_timestamp_offset.0,
            rows: segment.rows,
            tombstones: segment.tombstones,
            raw_bytes: segment.raw_bytes,
            file_bytes: segment.file_bytes,
            crc32c: segment.crc32c,
            unique: segment.unique,
            epoch: segment.leader_epoch.0,
            level: segment.level,
        }
    }
}

impl From<StoredSegment> for Segment {
    fn from(stored: StoredSegment) -> Segment {
        Segment {
            offsets: range(stored.offsets),
            min_timestamp: Timestamp(stored.timestamps.0),
            max_timestamp: Timestamp(stored.timestamps.1),
            max_timestamp_offset: Offset(stored.latest_at),
            rows: stored.rows,
            tombstones: stored.tombstones,
            raw_bytes: stored.raw_bytes,
            file_bytes: stored.file_bytes,
            crc32c: stored.crc32c,
            unique: stored.unique,
            leader_epoch: LeaderEpoch(stored.epoch),
            level: stored.level,
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct StoredProducer {
    id: i64,
    epoch: i16,
    batches: Vec<(i32, i32, i64, i64)>,
    last_timestamp: i64,
    seen_at: i64,
    /// Ordinal and first offset.
    open: Option<(i64, i64)>,
    ended: i64,
    coordinator_view: i32,
}

impl From<&ProducerSnapshot> for StoredProducer {
    fn from(producer: &ProducerSnapshot) -> StoredProducer {
        let batch = |batch: &BatchSnapshot| {
            let (start, end) = stored_range(&batch.offsets);
            (batch.base_sequence, batch.last_sequence, start, end)
        };
        StoredProducer {
            id: producer.producer_id.0,
            epoch: producer.producer_epoch.0,
            batches: producer.batches.iter().map(batch).collect(),
            last_timestamp: producer.last_timestamp.0,
            seen_at: producer.seen_at.0,
            open: producer.open.map(|open| (open.ordinal.0, open.first_offset.0)),
            ended: producer.ended.0,
            coordinator_view: producer.coordinator_view.0,
        }
    }
}

impl From<StoredProducer> for ProducerSnapshot {
    fn from(stored: StoredProducer) -> ProducerSnapshot {
        let batch = |(base_sequence, last_sequence, start, end)| BatchSnapshot {
            base_sequence,
            last_sequence,
            offsets: range((start, end)),
        };
        let open = |(ordinal, first_offset)| OpenTransactionSnapshot {
            ordinal: TransactionOrdinal(ordinal),
            first_offset: Offset(first_offset),
        };
        ProducerSnapshot {
            producer_id: ProducerId(stored.id),
            producer_epoch: ProducerEpoch(stored.epoch),
            batches: stored.batches.into_iter().map(batch).collect(),
            last_timestamp: Timestamp(stored.last_timestamp),
            seen_at: Timestamp(stored.seen_at),
            open: stored.open.map(open),
            ended: TransactionOrdinal(stored.ended),
            coordinator_view: ViewNumber(stored.coordinator_view),
        }
    }
}

fn stored_range(offsets: &Range<Offset>) -> (i64, i64) {
    (offsets.start.0, offsets.end.0)
}

fn range((start, end): (i64, i64)) -> Range<Offset> {
    Offset(start)..Offset(end)
}

mod hex_id {
    use serde::{Deserialize, Deserializer, Serializer, de};
    use uuid::Uuid;

    pub fn serialize<S: Serializer>(id: &Uuid, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&id.simple())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Uuid, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        Uuid::parse_str(&text).map_err(de::Error::custom)
    }
}

mod hex_crc {
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub fn serialize<S: Serializer>(crc32c: &u32, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{crc32c:08x}"))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        u32::from_str_radix(&text, 16).map_err(de::Error::custom)
    }
}
