//! Which bytes answer a fetch: a decision about the index, without I/O.

use super::index::IndexEntry;
use crate::types::Offset;
use std::ops::Range;

/// The spans to read, in order. The first holds the wanted offset.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadPlan {
    /// Where the reader wants to begin.
    pub from: Offset,
    /// What to read.
    pub spans: Vec<IndexEntry>,
    /// An upper bound of what they hold from `from` on, in bytes.
    pub bytes: u64,
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

/// Takes spans from `entries` until they hold `bytes_max`, and at least one.
pub(super) fn plan(from: Offset, entries: &[IndexEntry], bytes_max: u64) -> ReadPlan {
    let mut plan = ReadPlan { from, ..ReadPlan::default() };
    for entry in entries {
        if plan.bytes >= bytes_max && !plan.spans.is_empty() {
            break;
        }
        plan.bytes += entry.len();
        plan.spans.push(entry.clone());
    }
    plan
}
