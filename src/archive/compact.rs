//! Log compaction (`cleanup.policy` with `compact`): when, which segments, and which rows stay.
//!
//! ```text
//! log start          cleaned up to                       archived offset
//!     ├──── clean ────────┼─────────── dirty ──┼─ too young ──┤── journal
//!                         │◀─ one pass: keys ─▶│
//!     │◀────── rows that the pass filters ────▶│
//! ```
//!
//! As in Apache Kafka's log cleaner, a pass first reads the keys of the dirty section into a table of bounded size
//! ([`DirtyPass`]; if it is full the pass ends there), then rewrites segments from the log start on and leaves out
//! every row that has a later one of its key in that table ([`Survivors`]). When all are replaced the pass is noted
//! in the manifest. A pass that was broken off is simply begun again: to leave out a row twice is to leave it out.
//!
//! The table holds 24 bytes a key: with 64 MiB, 2.2 million keys a pass, whatever the number of keys in the topic.
//!
//! Tombstones stay for `delete.retention.ms` from the end of the first pass that saw them: who read an older record of
//! the key has that time to learn of its end. Kafka keeps that moment in batches; here the manifest has one for each
//! pass, which holds however segments are merged. Rows without a key, which a topic may have from before it was
//! compacted, go with the first pass, as in Kafka.

mod offset_table;
mod pass;

pub use offset_table::HashKey;
pub use pass::{DirtyPass, Fate, PassProgress, RowKey, Survivors};

use crate::segment::manifest::{Manifest, Segment, Totals};
use crate::types::{Offset, Timestamp};
use std::ops::Range;

/// A topic's settings for compaction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CompactionSettings {
    /// `min.cleanable.dirty.ratio`
    pub min_dirty_ratio: f64,
    /// `min.compaction.lag.ms`
    pub min_lag_ms: i64,
    /// `max.compaction.lag.ms`
    pub max_lag_ms: i64,
    /// `delete.retention.ms`
    pub delete_retention_ms: i64,
}

/// What a pass should do.
#[derive(Clone, Debug, PartialEq)]
pub struct CompactionPlan {
    /// The section whose keys are read; empty if only tombstones are to go.
    pub dirty: Range<Offset>,
    /// Why.
    pub reason: CompactionReason,
    /// The dirty section's share of the bytes: where it is highest a pass is worth most.
    pub dirty_ratio: f64,
    /// At most so many keys are in the dirty section.
    pub dirty_rows: u64,
}

/// Why a pass is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompactionReason {
    /// Enough is dirty.
    DirtyRatio,
    /// Something has been dirty for too long.
    MaxLag,
    /// The clean section consists for a large part of tombstones that may go. Kafka has no such reason: there they
    /// wait until something else is written.
    Tombstones,
}

/// Whether a pass is due, and over what.
#[must_use]
pub fn plan(manifest: &Manifest, settings: &CompactionSettings, now: Timestamp) -> Option<CompactionPlan> {
    let start = manifest.cleaned_up_to().max(manifest.log_start_offset());
    let end = first_uncleanable(manifest, settings, start, now);
    let (mut clean, mut dirty, mut oldest) = (Totals::default(), Totals::default(), None);
    for segment in manifest.segments() {
        if segment.offsets.end <= start {
            clean = clean + segment.totals();
        } else if segment.offsets.end <= end {
            dirty = dirty + segment.totals();
            // Records from before 1970, or without a timestamp, are not overdue, as in Kafka.
            let written = Some(segment.min_timestamp).filter(|timestamp| timestamp.0 > 0);
            oldest = oldest.into_iter().chain(written).min();
        }
    }
    let dirty_ratio = ratio(dirty.file_bytes, clean.file_bytes.saturating_add(dirty.file_bytes));
    let plan = |dirty: Range<Offset>, dirty_rows, reason| {
        Some(CompactionPlan { dirty, reason, dirty_ratio, dirty_rows })
    };
    let overdue = now.0.saturating_sub(settings.max_lag_ms.max(0));
    if dirty_ratio > settings.min_dirty_ratio {
        plan(start..end, dirty.rows, CompactionReason::DirtyRatio)
    } else if oldest.is_some_and(|oldest| oldest.0 < overdue) {
        plan(start..end, dirty.rows, CompactionReason::MaxLag)
    } else if has_many_expired(manifest, settings, now) {
        plan(start..start, 0, CompactionReason::Tombstones)
    } else {
        None
    }
}

/// The offset below which every tombstone has had its time.
#[must_use]
pub fn tombstones_expired_below(manifest: &Manifest, delete_retention_ms: i64, now: Timestamp) -> Offset {
    let passes = manifest.clean_passes();
    let expired =
        passes.partition_point(|pass| pass.at.0.saturating_add(delete_retention_ms.max(0)) <= now.0);
    passes[..expired].last().map_or(Offset::ZERO, |pass| pass.up_to)
}

/// The segments that a pass which ends at `up_to` rewrites, in groups: each becomes one segment, or none, of at most
/// `target_bytes` before compaction, in raw bytes, or is one segment that is larger.
pub fn rewrite_groups<'a>(
    segments: impl IntoIterator<Item = &'a Segment>,
    up_to: Offset,
    target_bytes: u64,
) -> Vec<Vec<Segment>> {
    let mut groups: Vec<Vec<Segment>> = Vec::new();
    let mut bytes = 0_u64;
    for segment in segments.into_iter().take_while(|segment| segment.offsets.start < up_to) {
        bytes = bytes.saturating_add(segment.raw_bytes);
        match groups.last_mut() {
            Some(group) if bytes <= target_bytes => group.push(segment.clone()),
            _ => {
                bytes = segment.raw_bytes;
                groups.push(vec![segment.clone()]);
            }
        }
    }
    groups
}

/// Where the section ends that may be compacted: at the first segment with a record that is too young, or at the
/// archived offset, which is never above the last stable offset.
fn first_uncleanable(
    manifest: &Manifest,
    settings: &CompactionSettings,
    start: Offset,
    now: Timestamp,
) -> Offset {
    let young_from = now.0.saturating_sub(settings.min_lag_ms);
    let is_young = |segment: &&Segment| settings.min_lag_ms > 0 && segment.max_timestamp.0 > young_from;
    let young = manifest.segments_from(start).find(is_young);
    young.map_or(manifest.archived_offset(), |segment| segment.offsets.start).max(start)
}

fn has_many_expired(manifest: &Manifest, settings: &CompactionSettings, now: Timestamp) -> bool {
    let below = tombstones_expired_below(manifest, settings.delete_retention_ms, now);
    let clean = manifest.segments().take_while(|segment| segment.offsets.end <= below);
    let clean: Totals = clean.map(Segment::totals).sum();
    ratio(clean.tombstones, clean.rows) > settings.min_dirty_ratio
}

fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}
