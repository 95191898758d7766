//! What readers of committed records may see: up to where every transaction has ended, and which of those that
//! ended they have to leave out.
//!
//! ```text
//!          first offset of the earliest transaction that has no committed marker
//!                                      ▼
//! ───────── seen by read_committed ────┼──── seen by read_uncommitted ────┼── appended, not committed ──
//!                             last stable offset                   high watermark
//! ```
//!
//! A marker counts once it is committed, not when it is appended: the session may be sealed in between. So the
//! last stable offset never goes back, not even over a restart.

use crate::types::{Offset, ProducerId, Verdict};
use std::collections::{BTreeSet, VecDeque};
use std::ops::Range;

/// A transaction whose records a reader has to leave out, from `first_offset` to its marker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AbortedTransaction {
    /// Whose.
    pub producer_id: ProducerId,
    /// The offset of its first batch.
    pub first_offset: Offset,
}

/// A transaction that a marker has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ended {
    pub producer_id: ProducerId,
    pub first_offset: Offset,
    pub marker: Offset,
    pub verdict: Verdict,
}

/// The open and the aborted transactions of one partition.
#[derive(Debug, Default)]
pub(super) struct Stability {
    /// First offsets of the transactions that have no committed marker.
    unstable: BTreeSet<Offset>,
    /// Ended by markers that are not committed yet, in the order of these.
    ending: VecDeque<Ended>,
    /// In the order of their markers, which are committed.
    aborted: VecDeque<Aborted>,
}

#[derive(Clone, Copy, Debug)]
struct Aborted {
    transaction: AbortedTransaction,
    marker: Offset,
    /// Where the earliest transaction began that was open when this one ended: all that stand after it in the
    /// list begin there or later.
    rest_from: Offset,
}

impl Stability {
    /// A transaction's first batch has its offset.
    pub fn on_begun(&mut self, first_offset: Offset) {
        self.unstable.insert(first_offset);
    }

    /// A transaction's marker has its offset.
    pub fn on_ended(&mut self, ended: Ended) {
        self.ending.push_back(ended);
    }

    /// Everything below `high_watermark` is committed.
    pub fn on_committed(&mut self, high_watermark: Offset, needed_from: Offset) {
        while let Some(ended) = pop_if(&mut self.ending, |ended| ended.marker < high_watermark) {
            let was_there = self.unstable.remove(&ended.first_offset);
            assert!(was_there, "a transaction ends once, after it has begun");
            if ended.verdict == Verdict::Abort {
                let Ended { producer_id, first_offset, marker, .. } = ended;
                let still_open = self.unstable.first().copied();
                let rest_from = still_open.map_or(marker + 1, |first| first.min(marker + 1));
                let transaction = AbortedTransaction { producer_id, first_offset };
                self.aborted.push_back(Aborted { transaction, marker, rest_from });
            }
        }
        // What has no readable record any more needs no leaving out.
        while pop_if(&mut self.aborted, |aborted| aborted.marker < needed_from).is_some() {}
    }

    /// The first offset that readers of committed records do not see.
    pub fn last_stable_offset(&self, high_watermark: Offset) -> Offset {
        self.unstable.first().map_or(high_watermark, |first| high_watermark.min(*first))
    }

    /// The aborted transactions that have offsets in `range`, in the order of their markers.
    pub fn aborted_in(&self, range: Range<Offset>) -> Vec<AbortedTransaction> {
        let first = self.aborted.partition_point(|aborted| aborted.marker < range.start);
        let mut found = Vec::new();
        for aborted in self.aborted.range(first..) {
            if aborted.transaction.first_offset < range.end && range.start < range.end {
                found.push(aborted.transaction);
            }
            if aborted.rest_from >= range.end {
                break;
            }
        }
        found
    }
}

fn pop_if<T>(queue: &mut VecDeque<T>, condition: impl Fn(&T) -> bool) -> Option<T> {
    if queue.front().is_some_and(condition) { queue.pop_front() } else { None }
}
