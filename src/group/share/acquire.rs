//! A member gets records: first those that others gave back, then new ones from the log.

use super::partition::{SharePartition, Unsaved};
use super::records::{Record, RecordState};
use crate::group::MemberId;
use crate::types::{Moment, Offset};
use std::ops::Range;

/// What was read of the log for a fetch. Lists ascend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogRead<'a> {
    /// From the offset that was asked for to where the read ended. Offsets in it that no batch has hold no record.
    pub offsets: Range<Offset>,
    /// The batches with data; neither those of control records nor those that the isolation level hides.
    pub batches: &'a [Range<Offset>],
    /// Offsets inside of batches that hold no record, as far as the reader knows.
    pub holes: &'a [Range<Offset>],
}

/// How much a member gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AcquireLimit {
    /// How many records.
    pub records_max: usize,
    /// How exact that is.
    pub mode: AcquireMode,
}

/// Kafka's share acquire modes (KIP-1206).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AcquireMode {
    /// A batch that is begun is given whole, so that members get more than they asked for rather than parts.
    #[default]
    BatchOptimized,
    /// Never more than was asked for.
    RecordLimit,
}

/// Records that a member has now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acquired {
    /// Which.
    pub offsets: Range<Offset>,
    /// How often they were delivered, with this time.
    pub delivery_count: i16,
}

impl SharePartition {
    /// Gives the member what it may have of what was read, until the limit. May give nothing and still move
    /// `next_fetch_offset`, where the log has no records: then the caller reads on.
    pub fn acquire(
        &mut self,
        now: Moment,
        member_id: &MemberId,
        read: &LogRead<'_>,
        limit: AcquireLimit,
    ) -> Vec<Acquired> {
        self.on_time(now);
        let state =
            RecordState::Acquired { member_id: member_id.clone(), deadline: now + self.config.lock_duration };
        let mut taking = Taking {
            state,
            left: i64::try_from(limit.records_max).unwrap_or(i64::MAX),
            mode: limit.mode,
            acquired: Vec::new(),
        };
        self.take_batches(read, &mut taking);
        self.records.advance();
        taking.acquired
    }

    fn take_batches(&mut self, read: &LogRead<'_>, taking: &mut Taking) {
        let mut from = read.offsets.start;
        for batch in read.batches {
            if taking.left <= 0 {
                return;
            }
            let batch = batch.start.max(from)..batch.end.min(read.offsets.end);
            if batch.start >= batch.end {
                continue;
            }
            self.archive(&(from..batch.start));
            if !self.take_batch(&batch, read.holes, taking) {
                return;
            }
            from = batch.end;
        }
        self.archive(&(from..read.offsets.end));
    }

    /// Takes the records of one batch; whether it came to its end.
    fn take_batch(&mut self, batch: &Range<Offset>, holes: &[Range<Offset>], taking: &mut Taking) -> bool {
        let mut from = batch.start;
        for hole in holes {
            let hole = hole.start.max(from)..hole.end.min(batch.end);
            if hole.start >= hole.end {
                continue;
            }
            if !self.take(&(from..hole.start), taking) {
                return false;
            }
            self.archive(&hole);
            from = hole.end;
        }
        self.take(&(from..batch.end), taking)
    }

    /// Takes neighbouring records; whether it came to their end.
    fn take(&mut self, records: &Range<Offset>, taking: &mut Taking) -> bool {
        self.take_known(records, taking) && self.take_new(records, taking)
    }

    fn take_known(&mut self, records: &Range<Offset>, taking: &mut Taking) -> bool {
        let available = self.records.within(records).filter(|(_, record)| record.is_available());
        let available: Vec<(Range<Offset>, i16)> =
            available.map(|(offsets, record)| (offsets, record.delivery_count)).collect();
        for (offsets, delivery_count) in available {
            let until = offsets.start + taking.share_of(offsets.end - offsets.start);
            let delivery_count = delivery_count.saturating_add(1);
            let record = Record { state: taking.state.clone(), delivery_count };
            if self.records.change(&(offsets.start..until), |_| Some(record.clone())) {
                self.mark(Unsaved::Counts);
            }
            taking.got(offsets.start..until, delivery_count);
            if until < offsets.end {
                return false;
            }
        }
        true
    }

    fn take_new(&mut self, records: &Range<Offset>, taking: &mut Taking) -> bool {
        let end = self.records.end();
        if records.end <= end {
            return true;
        }
        if records.start > end {
            return false; // It is not known what there is before them.
        }
        let until = end + taking.share_of(records.end - end).min(self.room());
        if end < until {
            self.records.push(until, Record { state: taking.state.clone(), delivery_count: 1 });
            self.mark(Unsaved::Counts);
            taking.got(end..until, 1);
        }
        until == records.end
    }

    /// There are no records: nobody need wait for them. What a member has stays with it, it will find out.
    fn archive(&mut self, hole: &Range<Offset>) {
        let archived = |record: &Record| record.is_available().then(|| record.now(RecordState::Archived));
        let mut changed = self.records.change(hole, archived);
        if hole.start <= self.records.end() && self.records.end() < hole.end {
            self.records.push(hole.end, Record::ARCHIVED);
            changed = true;
        }
        if changed {
            self.mark(Unsaved::Counts);
        }
    }
}

/// An acquisition under way.
struct Taking {
    state: RecordState,
    left: i64,
    mode: AcquireMode,
    acquired: Vec<Acquired>,
}

impl Taking {
    /// How many of so many records of one batch may be taken.
    fn share_of(&self, records: i64) -> i64 {
        match self.mode {
            AcquireMode::BatchOptimized => records,
            AcquireMode::RecordLimit => records.min(self.left),
        }
    }

    fn got(&mut self, offsets: Range<Offset>, delivery_count: i16) {
        if offsets.start >= offsets.end {
            return;
        }
        self.left -= offsets.end - offsets.start;
        match self.acquired.last_mut() {
            Some(last) if last.offsets.end == offsets.start && last.delivery_count == delivery_count => {
                last.offsets.end = offsets.end;
            }
            _ => self.acquired.push(Acquired { offsets, delivery_count }),
        }
    }
}
