//! The records between the start and the end of a share partition, by runs of equal ones.
//!
//! ```text
//!   start                                             end
//!     │ acquired by a, 1st │ available, 2nd │ archived │
//!     10                   15               16         30
//! ```
//!
//! Invariants: the runs have no hole between them, none is empty, neighbours differ, and the first is not finished.

use crate::group::MemberId;
use crate::types::{Moment, Offset};
use std::collections::BTreeMap;
use std::ops::Range;

/// What became of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecordState {
    /// Any member may have it.
    Available,
    /// A member has it.
    Acquired {
        /// Who.
        member_id: MemberId,
        /// Until when.
        deadline: Moment,
    },
    /// A member is done with it.
    Acknowledged,
    /// Nobody gets it any more: it was rejected, was delivered as often as it may be, or is no record.
    Archived,
}

/// A record, and how often it was delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) state: RecordState,
    pub(super) delivery_count: i16,
}

/// All of them. See the file's head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Records {
    start: Offset,
    end: Offset,
    runs: BTreeMap<Offset, Run>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Run {
    end: Offset,
    record: Record,
}

impl Record {
    /// One that nobody gets.
    pub(super) const ARCHIVED: Record = Record { state: RecordState::Archived, delivery_count: 0 };

    /// The same record in another state.
    pub(super) fn now(&self, state: RecordState) -> Record {
        Record { state, delivery_count: self.delivery_count }
    }

    /// The same record after an attempt that failed.
    pub(super) fn given_back(&self, delivery_count_limit: i16) -> Record {
        let used_up = self.delivery_count >= delivery_count_limit;
        self.now(if used_up { RecordState::Archived } else { RecordState::Available })
    }

    /// The same record with more time for whoever has it.
    pub(super) fn renewed(&self, until: Moment) -> Record {
        let mut record = self.clone();
        if let RecordState::Acquired { deadline, .. } = &mut record.state {
            *deadline = until;
        }
        record
    }

    /// Whether nothing will happen to it any more.
    pub(super) fn is_finished(&self) -> bool {
        matches!(self.state, RecordState::Acknowledged | RecordState::Archived)
    }

    /// Whether anybody may have it.
    pub(super) fn is_available(&self) -> bool {
        self.state == RecordState::Available
    }

    /// Whether that member has it.
    pub(super) fn is_with(&self, member: &MemberId) -> bool {
        matches!(&self.state, RecordState::Acquired { member_id, .. } if member_id == member)
    }

    /// Until when somebody has it.
    pub(super) fn deadline(&self) -> Option<Moment> {
        match self.state {
            RecordState::Acquired { deadline, .. } => Some(deadline),
            RecordState::Available | RecordState::Acknowledged | RecordState::Archived => None,
        }
    }
}

impl Records {
    /// None, from `start` on.
    pub(super) fn starting_at(start: Offset) -> Records {
        Records { start, end: start, runs: BTreeMap::new() }
    }

    /// The first that is not finished, or the end.
    pub(super) fn start(&self) -> Offset {
        self.start
    }

    /// The first that is not known yet.
    pub(super) fn end(&self) -> Offset {
        self.end
    }

    /// How many runs there are.
    pub(super) fn runs(&self) -> usize {
        self.runs.len()
    }

    /// All runs in their order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Range<Offset>, &Record)> {
        self.runs.iter().map(|(first, run)| (*first..run.end, &run.record))
    }

    /// How many records are as `which` says.
    pub(super) fn count(&self, which: impl Fn(&Record) -> bool) -> i64 {
        self.iter().filter(|(_, record)| which(record)).map(|(offsets, _)| offsets.end - offsets.start).sum()
    }

    /// What is known of `range`, cut to it.
    pub(super) fn within(&self, range: &Range<Offset>) -> impl Iterator<Item = (Range<Offset>, &Record)> {
        let before = self.runs.range(..=range.start).next_back().map(|(first, _)| *first);
        let from = before.unwrap_or(range.start);
        let runs = self.runs.range(from..from.max(range.end));
        let range = range.clone();
        runs.map(move |(first, run)| ((*first).max(range.start)..run.end.min(range.end), &run.record))
            .filter(|(offsets, _)| offsets.start < offsets.end)
    }

    /// Puts `change` in the place of the records of `range` that it gives something for; whether it did for any.
    pub(super) fn change(
        &mut self,
        range: &Range<Offset>,
        change: impl Fn(&Record) -> Option<Record>,
    ) -> bool {
        let changed: Vec<(Range<Offset>, Record)> = self
            .within(range)
            .filter_map(|(offsets, record)| change(record).map(|record| (offsets, record)))
            .collect();
        for (offsets, record) in &changed {
            self.split(offsets.start);
            self.split(offsets.end);
            self.runs.get_mut(&offsets.start).expect("it was just split there").record = record.clone();
        }
        if let (Some((first, _)), Some((last, _))) = (changed.first(), changed.last()) {
            self.merge(first.start, last.end);
        }
        !changed.is_empty()
    }

    /// Adds records behind the last.
    pub(super) fn push(&mut self, end: Offset, record: Record) {
        if end <= self.end {
            return;
        }
        let from = self.end;
        self.runs.insert(from, Run { end, record });
        self.end = end;
        self.merge(from, end);
    }

    /// Lets go of what is finished at the front; whether the start has moved.
    pub(super) fn advance(&mut self) -> bool {
        let before = self.start;
        while let Some(first) = self.runs.first_entry().filter(|first| first.get().record.is_finished()) {
            self.start = first.remove().end;
        }
        self.start != before
    }

    /// Lets go of everything before `start`; whether there was anything.
    pub(super) fn drop_before(&mut self, start: Offset) -> bool {
        if start <= self.start {
            return false;
        }
        self.split(start);
        self.runs = self.runs.split_off(&start);
        self.start = start;
        self.end = self.end.max(start);
        true
    }

    fn split(&mut self, at: Offset) {
        let Some((first, run)) = self.runs.range_mut(..at).next_back() else { return };
        if *first < at && at < run.end {
            let behind = Run { end: run.end, record: run.record.clone() };
            run.end = at;
            self.runs.insert(at, behind);
        }
    }

    /// Makes one run of equal neighbours, between the run before `first` and the one at `last`.
    fn merge(&mut self, first: Offset, last: Offset) {
        let from = self.runs.range(..first).next_back().map_or(first, |(before, _)| *before);
        let places: Vec<Offset> = self.runs.range(from..=last).map(|(first, _)| *first).collect();
        let mut into = None;
        for place in places {
            match into {
                Some(before) if self.runs[&before].record == self.runs[&place].record => {
                    let run = self.runs.remove(&place).expect("it was just seen");
                    self.runs.get_mut(&before).expect("it was just seen").end = run.end;
                }
                _ => into = Some(place),
            }
        }
    }
}
