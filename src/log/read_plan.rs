//! Which bytes answer a fetch: a decision about the index, without I/O.

use super::archived::{ArchivedLog, SegmentRef};
use super::index::IndexEntry;
use super::reader::{FirstBatch, ReadLimit};
use super::stability::AbortedTransaction;
use crate::types::Offset;
use std::ops::Range;

/// What a reader sees of transactions (KIP-98).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IsolationLevel {
    /// All that is committed to the log, up to the high watermark.
    ReadUncommitted,
    /// Up to the last stable offset; the reader leaves out what was aborted.
    ReadCommitted,
}

/// The spans to read, in order. The first holds the wanted offset.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadPlan {
    /// Where the reader wants to begin.
    pub from: Offset,
    /// Batches from here on are not for this reader. It is where a batch begins, maybe within the last span.
    pub end: Offset,
    /// What to read of segments, before anything else.
    pub segments: Vec<SegmentRef>,
    /// What to read of the journal; behind segments, only if these have nothing from `from` on.
    pub spans: Vec<IndexEntry>,
    /// Below this there are no rows but those of `segments`: a reader that finds none goes on here.
    pub archived_to: Offset,
    /// An upper bound of what they hold from `from` on, in bytes.
    pub bytes: u64,
    /// The aborted transactions in the spans, for a reader of committed records. They are part of the plan, because
    /// the partition forgets them when it is archived, and this may be read after that.
    pub aborted: Vec<AbortedTransaction>,
}

impl ReadPlan {
    /// Leaves out everything, as there is no room for it now.
    pub fn hold_back(&mut self) {
        *self = ReadPlan { from: self.from, end: self.end, ..ReadPlan::default() };
    }

    /// Leaves out the spans that `limit` has no room for.
    pub fn trim(&mut self, limit: ReadLimit) {
        let must_take_one = limit.first_batch == FirstBatch::WhateverItsSize;
        let mut left = limit.bytes_max;
        let mut first = true;
        self.spans.retain(|span| {
            let keep = left > 0 || (first && must_take_one);
            left = left.saturating_sub(span.size());
            first = false;
            keep
        });
        let archived: u64 = self.segments.iter().map(|wanted| wanted.segment.raw_bytes).sum();
        let spans: u64 = self.spans.iter().map(IndexEntry::size).sum();
        self.bytes = spans + archived.min(limit.bytes_max);
    }
}

/// The wanted offset is not in the log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("offset {wanted} is outside the log, which has {} to {}", offsets.start, offsets.end)]
pub struct OutOfRange {
    /// What was asked for.
    pub wanted: Offset,
    /// What there is; its end may be asked for, and is empty.
    pub offsets: Range<Offset>,
}

/// Spans of one read: a partition of many tiny ones is read over several fetches.
const SPANS_MAX: usize = 256;

/// Segments of one read: one, and the next if the offset lies behind the last row of the first.
const SEGMENTS_MAX: usize = 3;

/// Takes the segments from the one that has `from` on; `rest` is what follows them in the journal.
pub(super) fn plan_archived(
    from: Offset,
    archived: &ArchivedLog,
    rest: impl FnOnce() -> ReadPlan,
    bytes_max: u64,
) -> ReadPlan {
    let segments: Vec<SegmentRef> = archived
        .manifest
        .segments_from(from)
        .take(SEGMENTS_MAX)
        .map(|segment| archived.refer(segment))
        .collect();
    let raw_bytes: u64 = segments.iter().map(|wanted| wanted.segment.raw_bytes).sum();
    // The segments after these are not known to the plan: what follows them is not to be skipped.
    let reaches_journal = segments
        .last()
        .is_none_or(|last| archived.manifest.segments_from(last.segment.offsets.end).next().is_none());
    let archived_to = match segments.last() {
        Some(last) if !reaches_journal => last.segment.offsets.end,
        _ => archived.manifest.archived_offset(),
    };
    // Who is far behind does not need the journal yet.
    let rest = if reaches_journal { rest() } else { ReadPlan { end: archived_to, ..ReadPlan::default() } };
    let ReadPlan { end, spans, bytes, .. } = rest;
    // Never nothing: whoever stands where no row is must be told so.
    let bytes = raw_bytes.min(bytes_max).max(1) + bytes;
    ReadPlan { from, end, segments, spans, archived_to, bytes, ..ReadPlan::default() }
}

/// Takes spans from `entries` until they hold `bytes_max` or reach the end of `offsets`, and at least one if
/// there is something to read.
pub(super) fn plan(offsets: Range<Offset>, entries: &[IndexEntry], bytes_max: u64) -> ReadPlan {
    let mut plan = ReadPlan { from: offsets.start, end: offsets.end, ..ReadPlan::default() };
    if offsets.is_empty() {
        return plan;
    }
    for entry in entries.iter().take_while(|entry| entry.offsets.start < offsets.end) {
        let full = plan.bytes >= bytes_max || plan.spans.len() >= SPANS_MAX;
        if full && !plan.spans.is_empty() {
            break;
        }
        plan.bytes += entry.size();
        plan.spans.push(entry.clone());
    }
    plan
}
