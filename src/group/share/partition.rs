//! The state of one partition in one share group: which records are in flight, and where it begins.
//!
//! ```text
//!                acquire, count + 1                    accept
//!   Available ──────────────────────▶ Acquired ──────────────────▶ Acknowledged
//!       ▲                                │ │
//!       └─ release, lock ran out ────────┘ └─ reject, gap, count at the limit ─▶ Archived
//! ```
//!
//! What is finished at the front is forgotten and the start offset moves on; only `alter` moves it back. How many
//! records may be unfinished is bounded, and so are the runs that are stored.

use super::records::{Record, RecordState, Records};
use crate::group::MemberId;
use crate::types::{Moment, Offset};
use std::ops::Range;
use std::time::Duration;

/// What an operator may set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharePartitionConfig {
    /// How long a member has a record: Kafka's `share.record.lock.duration.ms`.
    pub lock_duration: Duration,
    /// How often a record is delivered: Kafka's `share.delivery.count.limit`.
    pub delivery_count_limit: i16,
    /// How many records may be unfinished: Kafka's `share.partition.max.record.locks`.
    pub records_max: usize,
}

impl Default for SharePartitionConfig {
    fn default() -> SharePartitionConfig {
        SharePartitionConfig {
            lock_duration: Duration::from_secs(30),
            delivery_count_limit: 5,
            records_max: 2_000,
        }
    }
}

/// How much would be lost with this broker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unsaved {
    /// Nothing.
    #[default]
    Nothing,
    /// How often records were delivered, or that they were given up: without it they are delivered once more.
    Counts,
    /// What a member or an operator is about to be told is done: it is stored before that is answered.
    Outcomes,
}

/// Whether a delivery that ends without an acknowledgement counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// It may be the record's fault: the member died with it.
    Counts,
    /// The member never looked at the record: it closed its session in good order.
    DoesNotCount,
}

/// What there is in a share partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SharePartitionView {
    /// The first offset that is not finished.
    pub start_offset: Offset,
    /// The first offset not looked at yet.
    pub end_offset: Offset,
    /// How many records between the two anybody may have.
    pub available: i64,
    /// How many members have.
    pub acquired: i64,
    /// How many are done.
    pub acknowledged: i64,
    /// How many nobody gets any more.
    pub archived: i64,
}

/// The state of one partition in one share group.
#[derive(Clone, Debug)]
pub struct SharePartition {
    pub(super) config: SharePartitionConfig,
    /// Grows by every `alter`.
    pub(super) state_epoch: i32,
    pub(super) records: Records,
    pub(super) unsaved: Unsaved,
}

impl SharePartition {
    /// One that begins at `start`, where Kafka's `share.auto.offset.reset` has led. It is still to be stored, lest
    /// another broker begins elsewhere.
    #[must_use]
    pub fn new(start: Offset, config: SharePartitionConfig) -> SharePartition {
        SharePartition {
            config,
            state_epoch: 0,
            records: Records::starting_at(start),
            unsaved: Unsaved::Outcomes,
        }
    }

    /// The operator has changed something: it holds for what is acquired and given back from now on.
    pub fn configure(&mut self, config: SharePartitionConfig) {
        self.config = config;
    }

    /// Time has passed: members lose what they have had for too long.
    pub fn on_time(&mut self, now: Moment) {
        let overdue = |record: &Record| record.deadline().is_some_and(|deadline| deadline <= now);
        self.give_back(&self.all(), overdue);
    }

    /// When `on_time` wants to be called next.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Moment> {
        self.records.iter().filter_map(|(_, record)| record.deadline()).min()
    }

    /// The member is gone, or its share session ended: others may have what it had. Whether it had anything.
    pub fn release_all(&mut self, member_id: &MemberId, attempt: Attempt) -> bool {
        self.release(member_id, &self.all(), attempt)
    }

    /// Others may have what the member has of these records. Whether it had anything.
    pub fn release(&mut self, member_id: &MemberId, offsets: &Range<Offset>, attempt: Attempt) -> bool {
        let held = |record: &Record| record.is_with(member_id);
        match attempt {
            Attempt::Counts => self.give_back(offsets, held),
            Attempt::DoesNotCount => {
                let undo = |record: &Record| Record {
                    state: RecordState::Available,
                    delivery_count: record.delivery_count.saturating_sub(1).max(0),
                };
                let released = self.records.change(offsets, |record| held(record).then(|| undo(record)));
                if released {
                    self.mark(Unsaved::Counts);
                }
                released
            }
        }
    }

    /// The log begins at `log_start` now: what was before it is gone, whoever had it.
    pub fn on_log_start(&mut self, log_start: Offset) {
        if self.records.drop_before(log_start) {
            self.records.advance();
            self.mark(Unsaved::Counts);
        }
    }

    /// An operator has it begin elsewhere; whoever has records of it loses them.
    pub fn alter(&mut self, start: Offset) {
        self.state_epoch = self.state_epoch.saturating_add(1);
        self.records = Records::starting_at(start);
        self.mark(Unsaved::Outcomes);
    }

    /// From where the log is to be read for the next `acquire`.
    #[must_use]
    pub fn next_fetch_offset(&self) -> Offset {
        let available = self.records.iter().find(|(_, record)| record.is_available());
        available.map_or(self.records.end(), |(offsets, _)| offsets.start)
    }

    /// Whether a read of the log, which ends at `log_end`, could bring anything that a member may have.
    #[must_use]
    pub fn deliverable_now(&self, log_end: Offset) -> bool {
        let available = self.records.iter().any(|(_, record)| record.is_available());
        available || (self.records.end() < log_end && self.room() > 0)
    }

    /// It is not known whether what was taken as unsaved is stored: it is to be stored again.
    pub fn unsave(&mut self) {
        self.mark(Unsaved::Outcomes);
    }

    /// How many records anybody may have, and whether more may become unfinished: members that wait look again when
    /// either grows.
    #[must_use]
    pub fn openings(&self) -> (i64, bool) {
        (self.records.count(Record::is_available), self.room() > 0)
    }

    /// What is still to be stored since this was asked last.
    pub fn take_unsaved(&mut self) -> Unsaved {
        std::mem::take(&mut self.unsaved)
    }

    /// The first offset that is not finished.
    #[must_use]
    pub fn start_offset(&self) -> Offset {
        self.records.start()
    }

    /// The first offset not looked at yet.
    #[must_use]
    pub fn end_offset(&self) -> Offset {
        self.records.end()
    }

    /// Grows by every `alter`.
    #[must_use]
    pub fn state_epoch(&self) -> i32 {
        self.state_epoch
    }

    /// How many records are still to be finished (KIP-1226).
    #[must_use]
    pub fn lag(&self, high_watermark: Offset) -> i64 {
        (high_watermark - self.records.start() - self.records.count(Record::is_finished)).max(0)
    }

    /// How many records are in which state.
    #[must_use]
    pub fn describe(&self) -> SharePartitionView {
        let count = |state: &RecordState| self.records.count(|record| record.state == *state);
        SharePartitionView {
            start_offset: self.records.start(),
            end_offset: self.records.end(),
            available: count(&RecordState::Available),
            acquired: self.records.count(|record| record.deadline().is_some()),
            acknowledged: count(&RecordState::Acknowledged),
            archived: count(&RecordState::Archived),
        }
    }

    /// The state of every record between the start and the end, by runs, with how often it was delivered.
    pub fn states(&self) -> impl Iterator<Item = (Range<Offset>, &RecordState, i16)> {
        self.records.iter().map(|(offsets, record)| (offsets, &record.state, record.delivery_count))
    }

    /// How many more records may become unfinished.
    pub(super) fn room(&self) -> i64 {
        if self.records.runs() >= RUNS_MAX {
            return 0;
        }
        let unfinished = self.records.count(|record| !record.is_finished());
        (i64::try_from(self.config.records_max).unwrap_or(i64::MAX) - unfinished).max(0)
    }

    pub(super) fn all(&self) -> Range<Offset> {
        self.records.start()..self.records.end()
    }

    pub(super) fn mark(&mut self, unsaved: Unsaved) {
        self.unsaved = self.unsaved.max(unsaved);
    }

    fn give_back(&mut self, offsets: &Range<Offset>, which: impl Fn(&Record) -> bool) -> bool {
        let finished = self.records.count(Record::is_finished);
        let limit = self.config.delivery_count_limit;
        let changed = self.records.change(offsets, |record| which(record).then(|| record.given_back(limit)));
        // What was acquired is stored as available, so that only what is archived now makes a difference there.
        if changed && self.records.count(Record::is_finished) != finished {
            self.records.advance();
            self.mark(Unsaved::Counts);
        }
        changed
    }
}

/// New records wait while there are as many runs: what is stored fits its place, however members acknowledge.
const RUNS_MAX: usize = 10_000;
