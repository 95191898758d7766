//! The part of a partition's log that lies in segments.

use super::checkpoint::{Checkpoint, CheckpointView};
use super::index::IndexEntry;
use super::partition::{Partition, State};
use super::producer_state::ProducerTable;
use crate::planted::{self, Mistake};
use crate::segment::manifest::{EpochStart, Manifest, Segment};
use crate::store::{ObjectPath, paths};
use crate::types::{Offset, Timestamp, TopicName, TopicPartition};
use std::ops::Range;
use std::sync::Arc;

/// A partition's segments, as of its last manifest.
#[derive(Clone, Debug)]
pub struct ArchivedLog {
    /// The topic's name, which is in the names of its files.
    pub topic: TopicName,
    /// The segments.
    pub manifest: Arc<Manifest>,
}

/// A segment to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentRef {
    /// Whose it is.
    pub topic_partition: TopicPartition,
    /// Where it lies.
    pub path: ObjectPath,
    /// What the manifest says of it.
    pub segment: Segment,
}

/// What of a partition is committed for good, and only in the journal yet.
#[derive(Clone, Debug, Default)]
pub struct Unarchived {
    /// The first offset that no segment has.
    pub from: Offset,
    /// The last stable offset: nothing from here on may be archived.
    pub to: Offset,
    /// The bytes of their batches; those of the last span are all counted.
    pub bytes: u64,
    /// Where they lie, in order.
    pub spans: Vec<IndexEntry>,
}

/// Rows of idempotent producers that a partition keeps until they are archived.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WaitingRows {
    /// All of them.
    pub all: u64,
    /// Those below the last stable offset, which may be archived now.
    pub archivable: u64,
}

/// How far a partition is archived, at one moment.
#[derive(Clone, Debug, Default)]
pub struct ArchiveState {
    /// First readable.
    pub log_start_offset: Offset,
    /// First not visible.
    pub high_watermark: Offset,
    /// The segments, if there are any.
    pub archived: Option<ArchivedLog>,
    /// Bytes of the batches that are in the journal alone.
    pub lag_bytes: u64,
}

impl ArchiveState {
    /// The first offset that no segment has.
    #[must_use]
    pub fn archived_offset(&self) -> Offset {
        self.archived.as_ref().map_or(Offset::ZERO, |archived| archived.manifest.archived_offset())
    }

    /// Readable offsets that no segment has.
    #[must_use]
    pub fn lag_records(&self) -> u64 {
        let readable = self.archived_offset().max(self.log_start_offset);
        u64::try_from(self.high_watermark - readable).unwrap_or(0)
    }
}

impl ArchivedLog {
    /// A segment with its place.
    #[must_use]
    pub fn refer(&self, segment: &Segment) -> SegmentRef {
        let topic_partition = self.manifest.topic_partition();
        let path = paths::segment(&self.topic, topic_partition, &segment.name());
        SegmentRef { topic_partition, path, segment: segment.clone() }
    }
}

impl Partition {
    /// Takes over what was archived before this session. Nothing was recovered from the journal yet.
    pub fn on_recovered_manifest(&self, archived: ArchivedLog) {
        let mut state = self.state();
        let manifest = &archived.manifest;
        let end = manifest.archived_offset();
        state.log_start_offset = manifest.log_start_offset();
        state.log_end_offset = end;
        state.high_watermark = end;
        state.producers = ProducerTable::restore(manifest.producers());
        state.checkpoint = Checkpoint::restore(manifest.producers());
        for open in manifest.producers().iter().filter_map(|producer| producer.open) {
            state.stability.on_begun(open.first_offset);
        }
        state.archived = Some(archived);
    }

    /// How far it is archived now.
    #[must_use]
    pub fn archive_state(&self) -> ArchiveState {
        let state = self.state();
        ArchiveState {
            log_start_offset: state.log_start_offset,
            high_watermark: state.high_watermark,
            archived: state.archived.clone(),
            lag_bytes: state.readable_journal_bytes(),
        }
    }

    /// The segments, if there are any.
    #[must_use]
    pub fn archived(&self) -> Option<ArchivedLog> {
        self.state().archived.clone()
    }

    /// The offsets that may be archived now, and how many bytes of batches the journal has from there on, those that
    /// may not included. Costs nothing.
    #[must_use]
    pub fn archivable(&self) -> (Range<Offset>, u64) {
        let state = self.state();
        (state.archived_offset()..archivable_to(&state), state.index.bytes())
    }

    /// The latest timestamp and the bytes of the oldest piece of the log, a segment or a span. Costs nothing.
    #[must_use]
    pub fn oldest_piece(&self) -> Option<(Timestamp, u64)> {
        let state = self.state();
        let start = state.log_start_offset;
        let segment = state.archived.as_ref().and_then(|archived| archived.manifest.segment_at(start));
        let segment = segment.map(|segment| (segment.max_timestamp, segment.file_bytes));
        let span = state.index.from(start).first();
        segment.or(span.map(|span| (span.max_timestamp, span.size())))
    }

    /// What may be archived now, at most about `bytes_max` of it.
    #[must_use]
    pub fn unarchived(&self, bytes_max: u64) -> Unarchived {
        let state = self.state();
        let (from, stable) = (state.archived_offset(), archivable_to(&state));
        let mut unarchived = Unarchived { from, to: from, ..Unarchived::default() };
        for entry in state.index.from(from).iter().take_while(|entry| entry.offsets.start < stable) {
            if unarchived.bytes >= bytes_max && !unarchived.spans.is_empty() {
                break;
            }
            unarchived.to = entry.offsets.end.min(stable);
            unarchived.bytes += entry.size();
            unarchived.spans.push(entry.clone());
        }
        unarchived
    }

    /// The epochs of the batches from `from` on, as far as `to`, each with its first offset there.
    #[must_use]
    pub fn epochs_in(&self, from: Offset, to: Offset) -> Vec<EpochStart> {
        let state = self.state();
        let mut epochs: Vec<EpochStart> = Vec::new();
        for entry in state.index.from(from).iter().take_while(|entry| entry.offsets.start < to) {
            if epochs.last().is_none_or(|last| last.leader_epoch != entry.leader_epoch) {
                let start = entry.offsets.start.max(from);
                epochs.push(EpochStart { leader_epoch: entry.leader_epoch, start });
            }
        }
        epochs
    }

    /// What tells the producers as they stand at `offset`, which is not above the last stable offset. Taking it costs
    /// next to nothing; asking it replays rows.
    #[must_use]
    pub fn checkpoint_at(&self, offset: Offset) -> CheckpointView {
        self.state().checkpoint.view_at(offset)
    }

    /// The rows that are kept to tell the producers at the archived offset. Costs nothing.
    #[must_use]
    pub fn waiting_rows(&self) -> WaitingRows {
        let state = self.state();
        let archivable = state.checkpoint.rows_before(state.last_stable_offset());
        WaitingRows { all: state.checkpoint.rows() as u64, archivable: archivable as u64 }
    }

    /// A manifest has become the partition's. Gives the spans that nobody needs any more.
    pub fn on_archived(&self, archived: ArchivedLog) -> Vec<IndexEntry> {
        let offset = archived.manifest.archived_offset();
        let producers = || Arc::new(ProducerTable::restore(archived.manifest.producers()));
        let producers = (offset > self.archived_offset()).then(producers);
        let mut state = self.state();
        state.log_start_offset = state.log_start_offset.max(archived.manifest.log_start_offset());
        let passed = producers.map(|producers| state.checkpoint.on_archived(offset, producers));
        state.archived = Some(archived);
        let unneeded = state.trim();
        drop(state);
        drop(passed);
        unneeded
    }

    /// What retention looks at of the journal: the spans from the archived offset on.
    #[must_use]
    pub fn journal_spans(&self) -> Vec<IndexEntry> {
        self.state().index.entries().to_vec()
    }
}

/// Nothing from here on may be archived.
fn archivable_to(state: &State) -> Offset {
    if planted::is_planted(Mistake::ArchiveUnstable) {
        return state.high_watermark;
    }
    state.last_stable_offset()
}
