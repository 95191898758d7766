//! What readers went past, and the ends that they were told.

use super::super::super::history::*;
use super::story::*;
use super::{Anomaly, Moment, twins};

#[test]
fn a_record_that_a_reader_goes_past_is_caught() {
    twins(Anomaly::Skipped, |story| {
        story.sent(1, PLACE, 0, &[10]);
        let [_, told] = story.sent(1, PLACE, 1, &[11]);
        let shown = story.pick(vec![(0, 10), (1, 11)], vec![(0, 10)]);
        let [called, ended] = story.read(2, PLACE, 0, &shown, 2);
        story.finals(PLACE, &[(0, 10), (1, 11)], 2);
        vec![told, called, ended]
    });
}

#[test]
fn an_offset_at_which_nobody_ever_saw_anything_is_caught() {
    twins(Anomaly::Hole, |story| {
        // The first batch may be the transaction's, of which nobody knows what became.
        let how = story.pick(within(1), by(5, 0));
        let request = story.send(1, PLACE, &[10], how);
        story.end(request, Outcome::Unknown);
        story.sent(2, PLACE, 1, &[11]);
        let [read, _] = story.finals(PLACE, &[(1, 11)], 2);
        vec![read]
    });
}

#[test]
fn a_marker_stands_where_its_transaction_was_added_and_nowhere_else() {
    twins(Anomaly::Hole, |story| {
        let place = story.pick(PLACE, OTHER);
        story.done(1, Call::AddPartition { transaction: 1, place }, Answer::Done);
        story.done(1, Call::EndTransaction { transaction: 1, verdict: Verdict::Abort }, Answer::Done);
        story.sent(2, PLACE, 1, &[11]);
        let [read, _] = story.finals(PLACE, &[(1, 11)], 2);
        vec![read]
    });
}

#[test]
fn records_of_an_answer_in_another_order_are_caught() {
    twins(Anomaly::Disordered, |story| {
        story.sent(1, PLACE, 0, &[10, 11]);
        let shown = story.pick(vec![(0, 10), (1, 11)], vec![(1, 11), (0, 10)]);
        let moments = story.read(2, PLACE, 0, &shown, 2);
        story.finals(PLACE, &[(0, 10), (1, 11)], 2);
        moments.to_vec()
    });
}

#[test]
fn a_poll_that_begins_elsewhere_is_caught() {
    for spoiled in [0, 2] {
        twins(Anomaly::PollMoved, |story| {
            story.sent(1, PLACE, 0, &[10]);
            let poll = |from| {
                let isolation = Isolation::Uncommitted;
                Call::Fetch(Fetch { place: PLACE, from, isolation, partitions: 1, assignment: Some(4) })
            };
            let reading = story.reading(&[(0, 10)], 1);
            let [_, ended] = story.done(2, poll(0), Answer::Fetched(reading));
            story.sent(1, PLACE, 1, &[11]);
            story.sent(1, PLACE, 2, &[12]);
            let from = story.pick(1, spoiled);
            let all = [(0, 10), (1, 11), (2, 12)];
            let from_there: Vec<(i64, u64)> = all.into_iter().filter(|&(offset, _)| offset >= from).collect();
            let reading = story.reading(&from_there, 3);
            let [called, _] = story.done(2, poll(from), Answer::Fetched(reading));
            story.finals(PLACE, &all, 3);
            vec![ended, called]
        });
    }
}

#[test]
fn a_high_watermark_that_goes_back_is_caught() {
    twins(Anomaly::HighWentBack, |story| {
        let request = story.send(1, PLACE, &[10], How::default());
        let [_, told] = story.read(2, PLACE, 0, &[(0, 10)], 1);
        let latest = Call::ListOffsets { place: PLACE, spec: OffsetSpec::Latest(Isolation::Uncommitted) };
        let end = story.pick(1, 0);
        let [called, ended] = story.done(3, latest, Answer::Offset(end));
        story.ok(request, Answer::Sent { offset: Some(0), start: None });
        story.finals(PLACE, &[(0, 10)], 1);
        vec![told, called, ended]
    });
}

#[test]
fn an_end_that_was_asked_for_before_may_be_smaller() {
    twins(Anomaly::HighWentBack, |story| {
        let latest = Call::ListOffsets { place: PLACE, spec: OffsetSpec::Latest(Isolation::Uncommitted) };
        let write = story.send(1, PLACE, &[10], How::default());
        let early = story.call(3, latest.clone());
        let [_, told] = story.read(2, PLACE, 0, &[(0, 10)], 1);
        let request = story.pick(early, early + 2);
        if story.is_spoiled() {
            story.call(3, latest);
        }
        let called = story.last();
        let ended = story.ok(request, Answer::Offset(0));
        story.ok(write, Answer::Sent { offset: Some(0), start: None });
        story.finals(PLACE, &[(0, 10)], 1);
        vec![told, called, ended]
    });
}

#[test]
fn a_last_stable_offset_that_goes_back_is_caught() {
    twins(Anomaly::StableWentBack, |story| {
        story.sent(1, PLACE, 0, &[10]);
        story.sent(1, PLACE, 1, &[11]);
        let all = [(0, 10), (1, 11)];
        let [_, told] = story.read_committed(2, PLACE, 0, &all, 2);
        let mut reading = story.reading(&[(0, 10)], 2);
        let stable = story.pick(2, 1);
        reading.ends.stable = Some(stable);
        reading.next = 1;
        let [called, ended] = story.done(3, fetch(PLACE, 0, Isolation::Committed), Answer::Fetched(reading));
        story.finals(PLACE, &all, 2);
        vec![told, called, ended]
    });
}

#[test]
fn a_log_start_that_goes_back_is_caught() {
    twins(Anomaly::StartWentBack, |story| {
        story.sent(1, PLACE, 0, &[10, 11]);
        let delete = Call::DeleteRecords { place: PLACE, before: 1 };
        let [_, told] = story.done(0, delete, Answer::Start(1));
        let mut reading = story.reading(&[(1, 11)], 2);
        reading.ends.start = Some(story.pick(1, 0));
        let [called, ended] =
            story.done(2, fetch(PLACE, 1, Isolation::Uncommitted), Answer::Fetched(reading));
        let mut reading = story.reading(&[(1, 11)], 2);
        reading.ends.start = Some(1);
        story.final_readings(PLACE, reading.clone(), reading);
        vec![told, called, ended]
    });
}

#[test]
fn an_answer_that_contradicts_itself_is_caught() {
    twins(Anomaly::EndsContradict, |story| {
        story.sent(1, PLACE, 0, &[10]);
        let mut reading = story.reading(&[(0, 10)], 1);
        reading.ends.stable = Some(story.pick(1, 2));
        let moments = story.done(2, fetch(PLACE, 0, Isolation::Uncommitted), Answer::Fetched(reading));
        let mut reading = story.reading(&[(0, 10)], 1);
        reading.ends = Ends::default();
        story.final_readings(PLACE, reading.clone(), reading);
        moments.to_vec()
    });
}

#[test]
fn an_acknowledged_record_that_a_later_fetch_does_not_show_is_caught() {
    twins(Anomaly::Unseen, |story| {
        story.sent(1, PLACE, 0, &[10]);
        let [_, told] = story.sent(1, PLACE, 1, &[11]);
        let shown = story.pick(vec![(1, 11)], vec![]);
        let end = story.pick(2, 1);
        let [called, ended] = story.read(2, PLACE, 1, &shown, end);
        story.finals(PLACE, &[(0, 10), (1, 11)], 2);
        vec![told, called, ended]
    });
}

#[test]
fn who_asks_for_one_partition_gets_what_there_is() {
    twins(Anomaly::Unseen, |story| {
        let [_, told] = story.sent(1, PLACE, 0, &[10]);
        // It is full with what another partition has, or empty for no reason.
        let mut reading = story.reading(&[], 1);
        reading.next = 0;
        let partitions = story.pick(2, 1);
        let isolation = Isolation::Uncommitted;
        let call = Call::Fetch(Fetch { place: PLACE, from: 0, isolation, partitions, assignment: None });
        let [called, ended] = story.done(2, call, Answer::Fetched(reading));
        story.finals(PLACE, &[(0, 10)], 1);
        vec![told, called, ended]
    });
}

#[test]
fn an_offset_that_is_there_is_not_out_of_range() {
    twins(Anomaly::FalselyOutOfRange, |story| {
        let [_, told] = story.sent(1, PLACE, 0, &[10]);
        let from = story.pick(5, 0);
        let request = story.call(2, fetch(PLACE, from, Isolation::Uncommitted));
        let called = story.last();
        let ended = story.end(request, Outcome::Refused(1));
        story.finals(PLACE, &[(0, 10)], 1);
        vec![told, called, ended]
    });
}

/// Ten records of which some are deleted, and a reader of what is left.
fn deleted(story: &mut Story, from: i64) -> [Moment; 3] {
    let numbers: Vec<u64> = (10..20).collect();
    story.sent(1, PLACE, 0, &numbers);
    let [_, told] = story.done(0, Call::DeleteRecords { place: PLACE, before: 5 }, Answer::Start(5));
    let left = |from: i64| (from..10).zip(10 + from.unsigned_abs()..).collect::<Vec<(i64, u64)>>();
    let mut reading = story.reading(&left(from), 10);
    reading.ends.start = None;
    let [called, ended] = story.done(2, fetch(PLACE, from, Isolation::Uncommitted), Answer::Fetched(reading));
    let mut reading = story.reading(&left(5), 10);
    reading.ends.start = Some(5);
    story.final_readings(PLACE, reading.clone(), reading);
    [told, called, ended]
}

#[test]
fn what_is_below_the_log_start_is_not_read() {
    twins(Anomaly::BelowStart, |story| {
        let from = story.pick(5, 4);
        deleted(story, from).to_vec()
    });
}
