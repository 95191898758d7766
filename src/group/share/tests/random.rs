//! Random requests and times against a model that knows every record by itself.

use super::fixture::*;
use crate::group::share::*;
use crate::types::Offset;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

const LIMIT: i16 = 3;
const LOCK_MS: u64 = 1_000;
const MEMBERS: [&str; 3] = ["a", "b", "c"];

#[derive(Clone, Debug)]
enum Step {
    Acquire {
        member: usize,
        batches: usize,
        records_max: usize,
        exact: bool,
    },
    /// Of the `nth` run in the window, shifted a little, by whoever has it or by that member.
    Acknowledge {
        member: Option<usize>,
        nth: usize,
        shift: i64,
        records: i64,
        types: Vec<i8>,
    },
    Release {
        member: usize,
        counts: bool,
    },
    Wait(u64),
    LogStart(i64),
    Alter(i64),
    Restore,
}

fn step() -> impl Strategy<Value = Step> {
    let ack_type = prop_oneof![3 => Just(1i8), 3 => Just(2), 1 => Just(3), 1 => Just(0), 1 => Just(4)];
    prop_oneof![
        6 => (0usize..3, 1usize..5, 0usize..20, any::<bool>()).prop_map(|(member, batches, records_max, exact)| {
            Step::Acquire { member, batches, records_max, exact }
        }),
        6 => (
            prop::option::weighted(0.3, 0usize..3),
            0usize..8,
            -1i64..4,
            1i64..8,
            prop::collection::vec(ack_type, 1..4),
        )
            .prop_map(|(member, nth, shift, records, types)| Step::Acknowledge {
                member, nth, shift, records, types
            }),
        1 => (0usize..3, any::<bool>()).prop_map(|(member, counts)| Step::Release { member, counts }),
        3 => (0u64..700).prop_map(Step::Wait),
        1 => (0i64..12).prop_map(Step::LogStart),
        1 => (0i64..60).prop_map(Step::Alter),
        1 => Just(Step::Restore),
    ]
}

/// A log: batches with what of them is records, and gaps between them.
#[derive(Clone, Debug)]
struct Log {
    batches: Vec<Range<i64>>,
    records: Vec<bool>,
}

fn log() -> impl Strategy<Value = Log> {
    let batch =
        (prop::bool::weighted(0.15), 1i64..4, prop::collection::vec(prop::bool::weighted(0.85), 1..10));
    prop::collection::vec(batch, 3..14).prop_map(|parts| {
        let mut log = Log { batches: Vec::new(), records: Vec::new() };
        for (gap, gap_records, records) in parts {
            if gap {
                log.records.resize(log.records.len() + gap_records as usize, false);
            }
            let start = log.records.len() as i64;
            log.records.extend(records);
            log.batches.push(start..log.records.len() as i64);
        }
        log
    })
}

impl Log {
    fn end(&self) -> i64 {
        self.records.len() as i64
    }

    fn has(&self, offset: i64) -> bool {
        self.records.get(offset as usize).copied().unwrap_or(false)
    }

    fn holes(&self) -> Vec<Range<Offset>> {
        let inside = |offset: i64| self.batches.iter().any(|batch| batch.contains(&offset));
        (0..self.end())
            .filter(|&offset| inside(offset) && !self.has(offset))
            .map(|offset| offsets(offset..offset + 1))
            .collect()
    }
}

/// One record of the model.
#[derive(Clone, Debug, PartialEq)]
struct Known {
    state: RecordState,
    count: i16,
}

struct World {
    log: Log,
    now: u64,
    log_start: i64,
    config: SharePartitionConfig,
    core: SharePartition,
    /// Everything from the start to the end.
    model: BTreeMap<i64, Known>,
    start: i64,
    end: i64,
}

impl World {
    fn new(log: Log, records_max: usize) -> World {
        let config = SharePartitionConfig {
            lock_duration: Duration::from_millis(LOCK_MS),
            delivery_count_limit: LIMIT,
            records_max,
        };
        let core = SharePartition::new(Offset(0), config.clone());
        World { log, now: 0, log_start: 0, config, core, model: BTreeMap::new(), start: 0, end: 0 }
    }

    fn give_back(&mut self, which: impl Fn(&Known) -> bool, counts: bool) {
        for known in self.model.values_mut().filter(|known| which(known)) {
            let used_up = counts && known.count >= LIMIT;
            known.count -= i16::from(!counts);
            known.state = if used_up { RecordState::Archived } else { RecordState::Available };
        }
        self.advance();
    }

    fn expire(&mut self) {
        let now = at(self.now);
        self.give_back(
            |known| matches!(known.state, RecordState::Acquired { deadline, .. } if deadline <= now),
            true,
        );
    }

    fn advance(&mut self) {
        while let Some(first) = self.model.first_entry() {
            if !matches!(first.get().state, RecordState::Acknowledged | RecordState::Archived) {
                break;
            }
            self.start = first.key() + 1;
            first.remove();
        }
    }

    fn acquired_by(&self, member: &str) -> RecordState {
        RecordState::Acquired { member_id: id(member), deadline: at(self.now + LOCK_MS) }
    }

    /// The core chooses how much, within its promises; the model knows what that makes of each record.
    fn acquire(&mut self, member: &str, batches: usize, limit: AcquireLimit) -> usize {
        self.expire();
        self.core.on_time(at(self.now));
        let from = self.core.next_fetch_offset().0;
        let could = self.core.deliverable_now(Offset(self.log.end()));
        let read: Vec<Range<i64>> =
            self.log.batches.iter().filter(|batch| batch.end > from).take(batches).cloned().collect();
        let to = read.last().map_or(self.log.end(), |last| last.end).max(from);
        let (parts, holes) = (read.iter().cloned().map(offsets).collect::<Vec<_>>(), self.log.holes());
        let log_read = LogRead { offsets: offsets(from..to), batches: &parts, holes: &holes };
        let acquired = plain(self.core.acquire(at(self.now), &id(member), &log_read, limit));

        let new_end = self.core.end_offset().0;
        assert!(new_end >= self.end && (new_end <= to || new_end == self.end));
        for offset in self.end..new_end {
            let state = if self.log.has(offset) { RecordState::Available } else { RecordState::Archived };
            self.model.insert(offset, Known { state, count: 0 });
        }
        self.end = new_end;
        for (range, count) in &acquired {
            for offset in range.clone() {
                assert!(self.log.has(offset), "{offset} is no record");
                let known = self.model.get_mut(&offset).expect("it is in the window");
                assert_eq!(known.state, RecordState::Available, "{offset}");
                known.count += 1;
                assert_eq!(known.count, *count);
                known.state =
                    RecordState::Acquired { member_id: id(member), deadline: at(self.now + LOCK_MS) };
            }
        }
        // A new record that nobody got would be lost from sight: it must not have been passed over.
        for (offset, known) in &self.model {
            assert!(
                known.count > 0 || !self.log.has(*offset) || known.state != RecordState::Available || {
                    // Given back uncounted.
                    self.core.states().any(|(offsets, state, count)| {
                        offsets.contains(&Offset(*offset)) && *state == RecordState::Available && count == 0
                    })
                }
            );
        }
        self.follow_holes(from, to);
        self.advance();
        self.check_amount(&acquired, &read, limit);
        let total = acquired.iter().map(|(range, _)| range.end - range.start).sum::<i64>() as usize;
        let readable = (from..to).any(|offset| self.log.has(offset));
        assert!(total > 0 || limit.records_max == 0 || !could || !readable, "there was something to get");
        total
    }

    /// Which holes of the read it came by is the core's affair: such an offset may be available or archived.
    fn follow_holes(&mut self, from: i64, to: i64) {
        for (range, state, _) in self.core.states() {
            for offset in range.start.0.max(from)..range.end.0.min(to) {
                if let Some(known) = self.model.get_mut(&offset)
                    && !self.log.has(offset)
                    && known.state == RecordState::Available
                    && *state == RecordState::Archived
                {
                    known.state = RecordState::Archived;
                }
            }
        }
    }

    fn check_amount(&self, acquired: &[(Range<i64>, i16)], read: &[Range<i64>], limit: AcquireLimit) {
        let total: i64 = acquired.iter().map(|(range, _)| range.end - range.start).sum();
        let wanted = limit.records_max as i64;
        if limit.mode == AcquireMode::RecordLimit {
            assert!(total <= wanted);
        } else if total > wanted {
            let last = acquired.last().map_or(0, |(range, _)| range.end - 1);
            let batch = read.iter().find(|batch| batch.contains(&last)).expect("it was read");
            let before: i64 =
                acquired.iter().map(|(range, _)| (range.end.min(batch.start) - range.start).max(0)).sum();
            assert!(before < wanted, "only the last batch may pass the limit");
        }
    }

    fn acknowledge(&mut self, member: &str, range: &Range<i64>, types: &[i8]) {
        self.expire();
        let acknowledgement = Acknowledgement::parse(range.start, range.end - 1, types).unwrap();
        let type_of =
            |offset: i64| if types.len() == 1 { types[0] } else { types[(offset - range.start) as usize] };
        let window = range.start.max(self.start)..range.end;
        let has = |offset: &i64| matches!(&self.model[offset].state, RecordState::Acquired { member_id, .. } if *member_id == id(member));
        let expected =
            if range.end > self.end { None } else { Some(window.clone().find(|offset| !has(offset))) };
        let answer = self.core.acknowledge(at(self.now), &id(member), &[acknowledgement]);
        match expected {
            None => assert!(matches!(answer, Err(AcknowledgeError::InvalidRequest(_)))),
            Some(Some(at)) => {
                assert!(
                    matches!(answer, Err(AcknowledgeError::InvalidRecordState { at: got }) if got.0 <= at)
                );
            }
            Some(None) => {
                assert_eq!(answer, Ok(()));
                let renewed = self.acquired_by(member);
                for offset in window {
                    let known = self.model.get_mut(&offset).unwrap();
                    known.state = match type_of(offset) {
                        1 => RecordState::Acknowledged,
                        2 if known.count < LIMIT => RecordState::Available,
                        4 => renewed.clone(),
                        _ => RecordState::Archived,
                    };
                }
                self.advance();
            }
        }
    }

    fn run(&mut self, step: &Step) {
        match step {
            Step::Acquire { member, batches, records_max, exact } => {
                let mode = if *exact { AcquireMode::RecordLimit } else { AcquireMode::BatchOptimized };
                self.acquire(MEMBERS[*member], *batches, at_most(*records_max, mode));
            }
            Step::Acknowledge { member, nth, shift, records, types } => {
                let runs: Vec<(i64, i64, Option<String>)> = self.runs();
                let (first, until, holder) = match runs.get(nth % runs.len().max(1)) {
                    Some(run) => run.clone(),
                    None => (self.end, self.end + 1, None),
                };
                let member = member.map(|member| MEMBERS[member].to_owned()).or(holder);
                let first = (first + shift).max(0);
                let until = if types.len() == 1 {
                    (first + records).min(until).max(first + 1)
                } else {
                    first + types.len() as i64
                };
                self.acknowledge(&member.unwrap_or_else(|| "a".to_owned()), &(first..until), types);
            }
            Step::Release { member, counts } => {
                let member = id(MEMBERS[*member]);
                let attempt = if *counts { Attempt::Counts } else { Attempt::DoesNotCount };
                self.core.release_all(&member, attempt);
                let held = |known: &Known| matches!(&known.state, RecordState::Acquired { member_id, .. } if *member_id == member);
                self.give_back(held, *counts);
            }
            Step::Wait(millis) => {
                self.now += millis;
                self.core.on_time(at(self.now));
                self.expire();
            }
            Step::LogStart(by) => {
                self.log_start = (self.log_start + by).min(self.log.end());
                self.core.on_log_start(Offset(self.log_start));
                self.model = self.model.split_off(&self.log_start);
                self.start = self.start.max(self.log_start);
                self.end = self.end.max(self.start);
                self.advance();
            }
            Step::Alter(start) => {
                let start = (*start).clamp(self.log_start, self.log.end());
                self.core.alter(Offset(start));
                self.model.clear();
                (self.start, self.end) = (start, start);
            }
            Step::Restore => {
                let text = serde_json::to_string(&self.core.stored()).unwrap();
                let stored = serde_json::from_str(&text).unwrap();
                self.core = SharePartition::restore(&stored, self.config.clone()).unwrap();
                for known in self.model.values_mut() {
                    if matches!(known.state, RecordState::Acquired { .. }) {
                        known.state = RecordState::Available;
                    }
                }
            }
        }
        self.check();
    }

    fn runs(&self) -> Vec<(i64, i64, Option<String>)> {
        let holder = |state: &RecordState| match state {
            RecordState::Acquired { member_id, .. } => Some(member_id.to_string()),
            _ => None,
        };
        self.core
            .states()
            .map(|(offsets, state, _)| (offsets.start.0, offsets.end.0, holder(state)))
            .collect()
    }

    fn check(&self) {
        assert_eq!((self.core.start_offset().0, self.core.end_offset().0), (self.start, self.end));
        let mut next = self.start;
        let mut unfinished = 0;
        for (range, state, count) in self.core.states() {
            assert_eq!(range.start.0, next, "no record is lost");
            assert!(range.end > range.start);
            next = range.end.0;
            for offset in range.start.0..range.end.0 {
                let expected = &self.model[&offset];
                assert_eq!((state, count), (&expected.state, expected.count), "{offset}");
                unfinished +=
                    usize::from(!matches!(state, RecordState::Acknowledged | RecordState::Archived));
            }
        }
        assert_eq!(next, self.end);
        assert!(unfinished <= self.config.records_max);
        let deadlines = self.model.values().filter_map(|known| match known.state {
            RecordState::Acquired { deadline, .. } => Some(deadline),
            _ => None,
        });
        assert_eq!(self.core.next_deadline(), deadlines.min());
        let first = self.model.iter().find(|(_, known)| known.state == RecordState::Available);
        assert_eq!(self.core.next_fetch_offset().0, first.map_or(self.end, |(offset, _)| *offset));
    }

    /// Members that accept what they get come to the end of the log.
    fn drain(&mut self) {
        for _ in 0..1_000 {
            self.run(&Step::Wait(LOCK_MS));
            let got = self.acquire("a", 2, at_most(5, AcquireMode::BatchOptimized));
            self.check();
            for (first, until, holder) in self.runs() {
                if holder.is_some() {
                    self.acknowledge("a", &(first..until), &[1]);
                }
            }
            if got == 0 && self.start == self.log.end() {
                return;
            }
        }
        panic!("it does not come to the end: {:?}", states(&self.core));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn every_record_is_in_one_state_and_comes_to_an_end(
        log in log(),
        records_max in 1usize..40,
        steps in prop::collection::vec(step(), 0..60),
    ) {
        let mut world = World::new(log, records_max);
        let mut start = 0;
        for step in &steps {
            world.run(step);
            prop_assert!(matches!(step, Step::Alter(_)) || world.start >= start, "the start goes back");
            start = world.start;
        }
        world.drain();
    }
}
