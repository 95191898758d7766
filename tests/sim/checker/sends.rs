//! Records in the log against what their producers were told: each acknowledged one is there, each one once, and in order.
//!
//! A record that was acknowledged at an offset is missed by whoever reads past that offset (`reads`); here is what such a
//! look cannot find: partitions at which nobody looked in the end, logs that end too early, and repeats of batches whose
//! place was forgotten.

use super::history::{Answer, Fact, Isolation, Producer, RecordNumber, TopicId, TopicPartition};
use super::seen::{Seen, Send};
use super::{Anomaly, Found, Moment, compaction, ends};
use std::collections::BTreeMap;

pub fn check(seen: &Seen<'_>, found: &mut Found) {
    check_counts(seen, found);
    for send in &seen.sends {
        if let Some((Answer::Sent { .. }, end)) = send.operation.answer() {
            check_acknowledged(seen, send, end.moment, found);
        }
    }
    check_order(seen, found);
    check_sequences(seen, found);
    check_moments(seen, found);
}

/// Where a record stands, and the event that first told it: partition, offset, moment.
type Place = (i32, i64, Moment);

/// No record stands at more offsets of a topic than it was sent.
fn check_counts(seen: &Seen<'_>, found: &mut Found) {
    let mut stands: BTreeMap<(TopicId, RecordNumber), Vec<Place>> = BTreeMap::new();
    for (place, log) in &seen.logs {
        for (&number, offsets) in &log.offsets {
            let known = stands.entry((place.topic, number)).or_default();
            known.extend(offsets.iter().map(|&offset| (place.partition, offset, log.stands[&offset].at)));
        }
    }
    for ((topic, number), stands) in stands {
        let taken = seen.sends_of(number).filter(|(send, _)| !send.operation.is_refused()).count();
        // What stands though all of its sends were refused has a name of its own.
        if stands.len() > taken.max(1) {
            let places =
                stands.iter().map(|(partition, offset, _)| format!("{offset} of {topic}/{partition}"));
            let places: Vec<String> = places.collect();
            let events = stands.iter().map(|&(_, _, at)| at);
            let what = format!("record {number}, sent {taken} times: {places:?}");
            found.add(Anomaly::Duplicated, events, what);
        }
    }
}

fn check_acknowledged(seen: &Seen<'_>, send: &Send<'_>, end: Moment, found: &mut Found) {
    let place = send.batch.place;
    if seen.may_be_gone(place.topic, Moment::MAX) {
        return;
    }
    let is_open = send.batch.transaction.is_some_and(|number| seen.transactions[&number].must_be_aborted());
    let Some(read) = seen.final_read(place, Isolation::Uncommitted) else {
        return found.add(Anomaly::Unread, [end], format!("nobody read {place} in the end"));
    };
    for (index, sent) in (0..).zip(&send.batch.records) {
        let is_past = match seen.offset_of(send) {
            Some((offset, _)) => offset + index >= read.reading.next,
            None => {
                let log = seen.logs.get(&place);
                let is_there = log.is_some_and(|log| log.offsets.contains_key(&sent.number));
                // It may have been read by nobody, and be gone.
                let may_be_gone =
                    is_open || read.from > 0 || compaction::is_on(seen, place.topic, read.ended);
                !is_there && !may_be_gone
            }
        };
        if is_past {
            found.add(Anomaly::Lost, [end, read.ended], format!("record {} of {place}", sent.number));
        }
    }
}

/// What one session of a producer sent to one partition stands in the order in which it was sent, without a batch missing
/// between two that are there.
fn check_order(seen: &Seen<'_>, found: &mut Found) {
    let mut sessions: BTreeMap<(Producer, TopicPartition), Vec<&Send<'_>>> = BTreeMap::new();
    for send in &seen.sends {
        if let Some(producer) = send.batch.producer {
            sessions.entry((producer, send.batch.place)).or_default().push(send);
        }
    }
    for ((producer, place), sends) in sessions {
        let Some(log) = seen.logs.get(&place) else { continue };
        let mut newest: Option<(i64, Moment)> = None;
        // A batch that is nowhere, and its sequences.
        let mut missing: Option<(i64, &Send<'_>)> = None;
        let mut known: Option<i64> = None;
        for send in sends {
            let numbers = send.batch.records.iter().map(|sent| sent.number);
            let stands = numbers.filter_map(|number| log.offsets.get(&number)?.first().copied());
            let stands: Vec<i64> = stands.collect();
            for &offset in &stands {
                let at = log.stands[&offset].at;
                if let Some((before, told)) = newest.filter(|&(before, _)| offset <= before) {
                    let what = format!("{producer} in {place}: {offset} was sent after {before}");
                    found.add(Anomaly::Reordered, [told, at, send.operation.called], what);
                }
                newest = newest.max(Some((offset, at)));
            }
            let Some(sequence) = send.batch.base_sequence.map(i64::from) else { continue };
            let count = i64::try_from(send.batch.records.len()).expect("few records");
            if stands.is_empty() {
                let follows = known.is_some_and(|known| sequence >= known);
                let is_gap = follows && !may_vanish(seen, send);
                missing = if is_gap { missing.or(Some((sequence, send))) } else { missing };
                continue;
            }
            // A sequence that was refused is given to the next batch.
            if let Some((lost, gap)) = missing.filter(|&(lost, _)| lost < sequence) {
                let what = format!("{producer} in {place}: sequence {lost} is missing before {sequence}");
                found.add(Anomaly::SequenceSkipped, [gap.operation.called, send.operation.called], what);
            }
            missing = None;
            known = Some(sequence + count);
        }
    }
}

/// Whoever sends the batch after the last one that was acknowledged is known, and its batch is the next, or a repeat. One of
/// whom nothing was acknowledged may have begun with a later batch, as in Apache Kafka: the first may have been refused.
fn check_sequences(seen: &Seen<'_>, found: &mut Found) {
    for &(moment, fact) in &seen.facts {
        let Fact::SequenceDenied { place, producer, base_sequence } = fact else { continue };
        let of_session = seen.sends.iter().filter(|send| {
            send.batch.producer == Some(*producer)
                && send.batch.place == *place
                && send.operation.called < moment
        });
        let mut acknowledged = None;
        let mut is_next = true;
        for send in of_session {
            let told = send.operation.done().filter(|told| *told < moment);
            let is_before = send.batch.base_sequence.is_some_and(|sequence| sequence < *base_sequence);
            is_next &= is_before == told.is_some();
            acknowledged = acknowledged.max(told);
        }
        let Some(told) = acknowledged.filter(|_| is_next) else { continue };
        if !seen.may_be_gone(place.topic, moment) {
            let what = format!("{producer} in {place}: {base_sequence} is the next sequence");
            found.add(Anomaly::SequenceForgotten, [told, moment], what);
        }
    }
}

/// Whether a batch may have been there without anybody having seen it.
fn may_vanish(seen: &Seen<'_>, send: &Send<'_>) -> bool {
    let place = send.batch.place;
    let read = seen.final_read(place, Isolation::Uncommitted);
    send.batch.transaction.is_some()
        || compaction::is_on(seen, place.topic, Moment::MAX)
        || read.is_none_or(|read| read.from > 0)
}

/// A send that began when an end was known gets an offset at that end or above it.
fn check_moments(seen: &Seen<'_>, found: &mut Found) {
    let known = ends::known_highs(seen);
    for send in &seen.sends {
        let Some((offset, end)) = seen.offset_of(send) else { continue };
        let place = send.batch.place;
        let told = known.get(&place).and_then(|known| known.before(send.operation.called));
        if let Some(told) = told.filter(|told| offset < told.value) {
            let what = format!("{place}: {offset} was given when {} was known", told.value);
            found.add(Anomaly::SentBelowEnd, [told.at, send.operation.called, end], what);
        }
    }
}
