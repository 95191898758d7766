//! High watermark, last stable offset and log start: no answer names one below what was told, or acknowledged, before its
//! question was asked, whichever broker is asked; and no answer contradicts itself.

use super::history::*;
use super::known::{Known, Later, Told};
use super::operations::Operation;
use super::seen::{Read, ReadKind, Seen};
use super::{Anomaly, Found, Moment};
use std::collections::BTreeMap;

/// What an answer tells of a partition's ends.
struct Ending {
    called: Moment,
    ended: Moment,
    /// What it says they are.
    named: Ends,
    /// What they are at least.
    least: Ends,
}

/// Kafka's code for an offset that a partition does not have.
const OFFSET_OUT_OF_RANGE: i16 = 1;

/// The largest log start and what later askers were told, for all partitions.
pub struct Starts {
    all: BTreeMap<TopicPartition, Vec<Ending>>,
}

pub fn check(seen: &Seen<'_>, found: &mut Found) {
    let all = endings(seen);
    for (&place, endings) in &all {
        let judge = Judge {
            place,
            acknowledged: acknowledged(seen, place),
            high: known(endings, |ends| ends.high),
            stable: known(endings, |ends| ends.stable),
            start: known(endings, |ends| ends.start),
            later_start: later(endings),
        };
        endings.iter().for_each(|ending| judge.check_named(ending, found));
        let reads = seen.reads.get(&place).into_iter().flatten();
        reads.filter(|read| read.kind == ReadKind::Fetch).for_each(|read| judge.check_read(read, found));
        seen.operations.iter().for_each(|operation| judge.check_range(operation, found));
    }
}

/// The high watermarks that were known of each partition.
pub fn known_highs(seen: &Seen<'_>) -> BTreeMap<TopicPartition, Known> {
    let all = endings(seen);
    all.into_iter().map(|(place, endings)| (place, known(&endings, |ends| ends.high))).collect()
}

/// A log start that was told.
pub struct StartTold {
    pub called: Moment,
    pub ended: Moment,
    pub start: i64,
    /// No high watermark was above this then.
    pub high: i64,
}

/// The log starts that were told of each partition, from the first on.
pub fn starts_told(seen: &Seen<'_>) -> BTreeMap<TopicPartition, Vec<StartTold>> {
    let mut all = BTreeMap::new();
    for (place, endings) in endings(seen) {
        let highs = endings.iter().filter_map(|ending| Some((ending.called, ending.named.high?)));
        let later = Later::of(highs);
        let largest = known(&endings, |ends| ends.high).largest().map_or(0, |told| told.value);
        let told = endings.iter().filter_map(|ending| {
            let high = later.after(ending.ended).or(ending.named.high).unwrap_or(largest);
            let start = ending.named.start?;
            Some(StartTold { called: ending.called, ended: ending.ended, start, high })
        });
        let mut told: Vec<StartTold> = told.collect();
        told.sort_by_key(|told| told.ended);
        all.insert(place, told);
    }
    all
}

impl Starts {
    pub fn of(seen: &Seen<'_>) -> Starts {
        Starts { all: endings(seen) }
    }

    /// The smallest log start that was told to who asked after a moment.
    pub fn later(&self, place: TopicPartition) -> Later {
        self.all.get(&place).map_or_else(Later::default, |endings| later(endings))
    }

    /// Nothing says that the log ever started above this.
    pub fn largest(&self, place: TopicPartition) -> i64 {
        let endings = self.all.get(&place).map_or(&[][..], Vec::as_slice);
        known(endings, |ends| ends.start).largest().map_or(0, |told| told.value)
    }
}

/// All answers that tell of ends, by partition.
fn endings(seen: &Seen<'_>) -> BTreeMap<TopicPartition, Vec<Ending>> {
    let mut all: BTreeMap<TopicPartition, Vec<Ending>> = BTreeMap::new();
    for operation in seen.operations {
        let Some((answer, end)) = operation.answer() else { continue };
        let Some((place, named, least)) = told(operation.call, answer) else { continue };
        // By its name another topic may have been meant.
        if !seen.may_be_gone(place.topic, end.moment) {
            let ending = Ending { called: operation.called, ended: end.moment, named, least };
            all.entry(place).or_default().push(ending);
        }
    }
    for (&place, reads) in &seen.reads {
        all.entry(place).or_default().extend(reads.iter().map(of_read));
    }
    all
}

/// What the answers of other operations than reads tell.
fn told(call: &Call, answer: &Answer) -> Option<(TopicPartition, Ends, Ends)> {
    let none = Ends::default();
    match (call, answer) {
        (Call::Send(batch), Answer::Sent { offset, start }) => {
            let count = i64::try_from(batch.records.len()).expect("few records");
            let high = offset.map(|offset| offset + count);
            Some((batch.place, Ends { start: *start, ..none }, Ends { high, ..none }))
        }
        (Call::ListOffsets { place, spec }, Answer::Offset(offset)) => {
            let named = match spec {
                OffsetSpec::Earliest => Ends { start: Some(*offset), ..none },
                OffsetSpec::Latest(Isolation::Uncommitted) => Ends { high: Some(*offset), ..none },
                OffsetSpec::Latest(Isolation::Committed) => Ends { stable: Some(*offset), ..none },
            };
            Some((*place, named, none))
        }
        (Call::DeleteRecords { place, .. }, Answer::Start(start)) => {
            Some((*place, Ends { start: Some(*start), ..none }, Ends { high: Some(*start), ..none }))
        }
        _ => None,
    }
}

fn of_read(read: &Read<'_>) -> Ending {
    let reached = (read.reading.next > read.from).then_some(read.reading.next);
    let stable = reached.filter(|_| read.isolation == Isolation::Committed);
    Ending {
        called: read.called,
        ended: read.ended,
        named: read.reading.ends,
        least: Ends { start: None, stable, high: reached },
    }
}

fn known(endings: &[Ending], which: fn(&Ends) -> Option<i64>) -> Known {
    Known::of(endings.iter().filter_map(|ending| {
        let value = which(&ending.named).max(which(&ending.least))?;
        Some(Told { at: ending.ended, value })
    }))
}

fn later(endings: &[Ending]) -> Later {
    Later::of(endings.iter().filter_map(|ending| Some((ending.called, ending.named.start?))))
}

fn acknowledged(seen: &Seen<'_>, place: TopicPartition) -> Known {
    let sends = seen.sends.iter().filter(|send| send.batch.place == place);
    Known::of(sends.filter_map(|send| {
        let (offset, at) = seen.offset_of(send)?;
        let count = i64::try_from(send.batch.records.len()).expect("few records");
        Some(Told { at, value: offset + count })
    }))
}

/// What is known of one partition, and when it was.
struct Judge {
    place: TopicPartition,
    acknowledged: Known,
    high: Known,
    stable: Known,
    start: Known,
    later_start: Later,
}

impl Judge {
    fn check_named(&self, ending: &Ending, found: &mut Found) {
        let Ends { start, stable, high } = ending.named;
        let ordered = [start, stable, high].into_iter().flatten().collect::<Vec<i64>>();
        let beyond = |least: Option<i64>, named: Option<i64>| {
            least.zip(named).is_some_and(|(least, named)| least > named)
        };
        if !ordered.is_sorted() || beyond(ending.least.high, high) || beyond(ending.least.stable, stable) {
            let what = format!("{}: {} and shown up to {}", self.place, ending.named, ending.least);
            found.add(Anomaly::EndsContradict, [ending.called, ending.ended], what);
        }
        let hidden = high.and_then(|high| self.beyond(&self.acknowledged, ending, high));
        if let Some(told) = hidden {
            self.add(Anomaly::Unseen, "high watermark", told, ending, found);
        }
        // An end is never below another that must be below it.
        let all = [&self.start, &self.stable, &self.high];
        let named = [
            (Anomaly::StartWentBack, "log start", start),
            (Anomaly::StableWentBack, "last stable offset", stable),
            (Anomaly::HighWentBack, "high watermark", high),
        ];
        for (index, (anomaly, what, end)) in named.into_iter().enumerate() {
            let Some(end) = end else { continue };
            let is_told = anomaly == Anomaly::HighWentBack && hidden.is_some();
            let mut known = all[..=index].iter().rev();
            let before = known.find_map(|known| self.beyond(known, ending, end));
            if let Some(told) = before.filter(|_| !is_told) {
                self.add(anomaly, what, told, ending, found);
            }
        }
    }

    fn beyond(&self, known: &Known, ending: &Ending, end: i64) -> Option<Told> {
        known.before(ending.called).filter(|told| told.value > end)
    }

    fn add(&self, anomaly: Anomaly, what: &str, told: Told, ending: &Ending, found: &mut Found) {
        let what = format!("{}: {what}, was {}, {}", self.place, told.value, ending.named);
        found.add(anomaly, [told.at, ending.called, ending.ended], what);
    }

    /// A reader who got nothing had nothing to get.
    fn check_read(&self, read: &Read<'_>, found: &mut Found) {
        let place = self.place;
        if let Some(told) = self.start.before(read.called).filter(|told| read.from < told.value) {
            let what = format!("{place}: read from {}, the log starts at {}", read.from, told.value);
            found.add(Anomaly::BelowStart, [told.at, read.called, read.ended], what);
        }
        let got_nothing = read.reading.next == read.from;
        // Who asks for several partitions may find the answer full.
        let is_end = read.partitions == 1 || read.reading.ends.high.is_none();
        if !got_nothing || !is_end {
            return;
        }
        let readable = match read.isolation {
            Isolation::Uncommitted => &self.high,
            Isolation::Committed => &self.stable,
        };
        if let Some(told) = readable.before(read.called).filter(|told| told.value > read.from) {
            let what = format!("{place}: nothing from {}, there is up to {}", read.from, told.value);
            found.add(Anomaly::Unseen, [told.at, read.called, read.ended], what);
        }
    }

    /// Only what is above the end or below the start is out of range.
    fn check_range(&self, operation: &Operation<'_>, found: &mut Found) {
        let Call::Fetch(Fetch { place, from, .. }) = operation.call else { return };
        let Some(end) = operation.end else { return };
        if *place != self.place || *end.outcome != Outcome::Refused(OFFSET_OUT_OF_RANGE) {
            return;
        }
        let Some(high) = self.high.before(operation.called).filter(|told| *from <= told.value) else {
            return;
        };
        let started_above = self.start.largest().is_some_and(|told| told.value > *from);
        let starts_below = self.later_start.after(end.moment).is_some_and(|start| start <= *from);
        if !started_above || starts_below {
            let what = format!("{place}: {from} is said to be out of range, there is up to {}", high.value);
            found.add(Anomaly::FalselyOutOfRange, [high.at, operation.called, end.moment], what);
        }
    }
}
