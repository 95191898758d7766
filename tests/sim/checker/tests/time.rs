//! Retention and compaction.

use super::super::super::history::*;
use super::story::*;
use super::{Anomaly, Moment, twins};

const DELETE: TopicSettings = TopicSettings { delete: true, ..KEEP };
const COMPACT: TopicSettings = TopicSettings { compact: true, delete_retention_ms: 60_000, ..KEEP };

/// Two records, and a log that starts above the first when it is asked.
fn moved(story: &mut Story) -> [Moment; 2] {
    let earliest = Call::ListOffsets { place: PLACE, spec: OffsetSpec::Earliest };
    let moments = story.done(2, earliest, Answer::Offset(1));
    let mut reading = story.reading(&[(1, 11)], 2);
    reading.ends.start = Some(1);
    story.final_readings(PLACE, reading.clone(), reading);
    moments
}

#[test]
fn a_log_start_that_nobody_asked_for_is_caught() {
    twins(Anomaly::StartTooFar, |story| {
        story.topic("topic", TOPIC, KEEP);
        story.sent(1, PLACE, 0, &[10, 11]);
        if !story.is_spoiled() {
            // It may yet be done.
            let request = story.call(0, Call::DeleteRecords { place: PLACE, before: 1 });
            story.end(request, Outcome::Unknown);
        }
        moved(story).to_vec()
    });
}

#[test]
fn a_record_that_is_not_old_enough_stays() {
    twins(Anomaly::StartTooFar, |story| {
        story.topic("topic", TOPIC, TopicSettings { retention_ms: Some(20_000), ..DELETE });
        story.sent(1, PLACE, 0, &[10, 11]);
        story.read(2, PLACE, 0, &[(0, 10), (1, 11)], 2);
        story.now += story.pick(20, 19) * SECOND;
        moved(story).to_vec()
    });
}

#[test]
fn as_much_as_the_limit_stays() {
    twins(Anomaly::StartTooFar, |story| {
        let retention_bytes = Some(story.pick(100, 101));
        story.topic("topic", TOPIC, TopicSettings { retention_bytes, ..DELETE });
        story.sent(1, PLACE, 0, &[10, 11]);
        moved(story).to_vec()
    });
}

#[test]
fn what_is_old_goes_after_what_was_too_much() {
    twins(Anomaly::StartTooFar, |story| {
        let retention_bytes = Some(story.pick(100, 101));
        story.topic("topic", TOPIC, TopicSettings { retention_bytes, retention_ms: Some(20_000), ..DELETE });
        story.sent(1, PLACE, 0, &[10]);
        let old = Sent { timestamp: Some(900_000), ..sent(11) };
        let request = story.send_records(1, PLACE, vec![old], How::default());
        story.ok(request, Answer::Sent { offset: Some(1), start: None });
        story.read(2, PLACE, 0, &[(0, 10), (1, 11)], 2);
        let earliest = Call::ListOffsets { place: PLACE, spec: OffsetSpec::Earliest };
        let moments = story.done(2, earliest, Answer::Offset(2));
        let mut reading = story.reading(&[], 2);
        reading.ends.start = Some(2);
        story.final_readings(PLACE, reading.clone(), reading);
        moments.to_vec()
    });
}

fn keyed(number: u64, key: u64, tombstone: bool) -> Vec<Sent> {
    vec![Sent { key: Some(key), tombstone, ..sent(number) }]
}

fn sent_keyed(story: &mut Story, offset: i64, record: Vec<Sent>) -> [Moment; 2] {
    let request = story.send_records(1, PLACE, record, How::default());
    let called = story.last();
    [called, story.ok(request, Answer::Sent { offset: Some(offset), start: None })]
}

#[test]
fn the_last_value_of_a_key_stays() {
    twins(Anomaly::CompactedTooMuch, |story| {
        story.topic("topic", TOPIC, COMPACT);
        let [_, first] = sent_keyed(story, 0, keyed(10, 1, false));
        sent_keyed(story, 1, keyed(11, story.pick(1, 2), false));
        let [read, _] = story.finals(PLACE, &[(1, 11)], 2);
        vec![first, read]
    });
}

#[test]
fn what_replaces_a_value_must_be_committed() {
    twins(Anomaly::CompactedTooMuch, |story| {
        story.topic("topic", TOPIC, COMPACT);
        let [_, first] = sent_keyed(story, 0, keyed(10, 1, false));
        let request = story.send_records(1, PLACE, keyed(11, 1, false), within(1));
        story.ok(request, Answer::Sent { offset: Some(1), start: None });
        let verdict = story.pick(Verdict::Commit, Verdict::Abort);
        story.done(1, Call::EndTransaction { transaction: 1, verdict }, Answer::Done);
        let shown = story.pick(vec![(1, 11)], vec![]);
        let [read, _] = story.finals(PLACE, &shown, 3);
        vec![first, read]
    });
}

#[test]
fn a_tombstone_stays_for_its_time() {
    twins(Anomaly::CompactedTooMuch, |story| {
        story.topic("topic", TOPIC, COMPACT);
        sent_keyed(story, 0, keyed(10, 1, false));
        let [_, told] = sent_keyed(story, 1, keyed(11, 1, true));
        sent_keyed(story, 2, keyed(12, 2, false));
        story.now += story.pick(60, 59) * SECOND;
        let [read, _] = story.finals(PLACE, &[(2, 12)], 3);
        vec![told, read]
    });
}

#[test]
fn what_was_compacted_does_not_come_back() {
    twins(Anomaly::Reappeared, |story| {
        story.topic("topic", TOPIC, COMPACT);
        sent_keyed(story, 0, keyed(10, 1, false));
        sent_keyed(story, 1, keyed(11, 1, false));
        let [_, gone] = story.read(2, PLACE, 0, &[(1, 11)], 2);
        let shown = story.pick(vec![(1, 11)], vec![(0, 10), (1, 11)]);
        let [called, ended] = story.read(3, PLACE, 0, &shown, 2);
        story.finals(PLACE, &[(1, 11)], 2);
        vec![gone, called, ended]
    });
}
