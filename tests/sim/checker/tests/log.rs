//! What stands in the log, and what was sent.

use super::super::super::history::*;
use super::story::*;
use super::{Anomaly, twins};

#[test]
fn an_offset_with_two_records_is_caught() {
    twins(Anomaly::Changed, |story| {
        let [_, first] = story.sent(1, PLACE, 0, &[10]);
        let unknown = story.send(2, PLACE, &[11], How::default());
        story.end(unknown, Outcome::Unknown);
        let shown = story.pick(vec![(0, 10)], vec![(0, 11)]);
        let [_, second] = story.read(3, PLACE, 0, &shown, 1);
        story.finals(PLACE, &[(0, 10)], 1);
        vec![first, second]
    });
}

#[test]
fn a_record_that_is_not_the_same_the_second_time_is_caught() {
    twins(Anomaly::Changed, |story| {
        story.sent_how(1, PLACE, 0, &[10], by(5, 0));
        let [_, first] = story.read(3, PLACE, 0, &[(0, 10)], 1);
        let mut reading = story.reading(&[(0, 10)], 1);
        reading.records[0].timestamp = story.pick(1_000_000, 1_000_001);
        let [_, second] = story.done(3, fetch(PLACE, 0, Isolation::Uncommitted), Answer::Fetched(reading));
        story.finals(PLACE, &[(0, 10)], 1);
        vec![first, second]
    });
}

#[test]
fn a_record_that_is_not_as_it_was_sent_is_caught() {
    twins(Anomaly::Altered, |story| {
        let [called, _] = story.sent(1, PLACE, 0, &[10]);
        let mut reading = story.reading(&[(0, 10)], 1);
        reading.records[0].headers = story.pick(0, 99);
        let [read, _] = story.final_readings(PLACE, reading.clone(), reading);
        vec![called, read]
    });
}

#[test]
fn a_record_that_nobody_sent_is_caught() {
    twins(Anomaly::NeverSent, |story| {
        let wanted = story.pick(10, 11);
        let request = story.send(1, PLACE, &[10], How::default());
        story.end(request, Outcome::Unknown);
        let [_, read] = story.read(2, PLACE, 0, &[(0, wanted)], 1);
        story.finals(PLACE, &[(0, wanted)], 1);
        vec![read]
    });
}

#[test]
fn a_record_in_another_partition_than_it_was_sent_to_is_caught() {
    twins(Anomaly::NeverSent, |story| {
        let request = story.send(1, PLACE, &[10], How::default());
        let called = story.last();
        story.end(request, Outcome::Unknown);
        let place = story.pick(PLACE, OTHER);
        let [_, read] = story.read(2, place, 0, &[(0, 10)], 1);
        story.finals(place, &[(0, 10)], 1);
        vec![called, read]
    });
}

#[test]
fn a_record_that_was_refused_is_caught() {
    twins(Anomaly::RefusedIsThere, |story| {
        let request = story.send(1, PLACE, &[10], How::default());
        let outcome = story.pick(Outcome::Unknown, Outcome::Refused(10));
        let ended = story.end(request, outcome);
        let [read, _] = story.finals(PLACE, &[(0, 10)], 1);
        vec![ended, read]
    });
}

#[test]
fn a_record_that_stands_twice_is_caught() {
    twins(Anomaly::Duplicated, |story| {
        let how = by(5, 0);
        let [_, first] = story.sent_how(1, PLACE, 0, &[10], how);
        story.sent(2, PLACE, 1, &[11]);
        let shown = story.pick(vec![(0, 10), (1, 11)], vec![(0, 10), (1, 11), (2, 10)]);
        let end = story.pick(2, 3);
        let [second, _] = story.finals(PLACE, &shown, end);
        vec![first, second]
    });
}

#[test]
fn a_plain_producer_may_have_sent_it_twice() {
    twins(Anomaly::Duplicated, |story| {
        let request = story.send(1, PLACE, &[10], How::default());
        let outcome = story.pick(Outcome::Unknown, Outcome::Refused(6));
        story.end(request, outcome);
        let [_, first] = story.sent(1, PLACE, 1, &[10]);
        let [second, _] = story.finals(PLACE, &[(0, 10), (1, 10)], 2);
        vec![first, second]
    });
}

#[test]
fn a_producer_that_is_forgotten_is_caught() {
    twins(Anomaly::SequenceForgotten, |story| {
        let how = by(5, 0);
        let [_, told] = story.sent_how(1, PLACE, 0, &[10], how);
        let request = story.send(1, PLACE, &[11], by(5, 1));
        // With a sequence left out it would be right to refuse it.
        let base_sequence = story.pick(2, 1);
        let producer = how.producer.expect("it has one");
        let refused = story.fact(1, Fact::SequenceDenied { place: PLACE, producer, base_sequence });
        story.end(request, Outcome::Unknown);
        story.finals(PLACE, &[(0, 10)], 1);
        vec![told, refused]
    });
}

#[test]
fn a_record_that_is_passed_over_in_the_end_is_lost() {
    twins(Anomaly::Lost, |story| {
        let [_, first] = story.sent(1, PLACE, 0, &[10]);
        story.sent(1, PLACE, 1, &[11]);
        let shown = story.pick(vec![(0, 10), (1, 11)], vec![(1, 11)]);
        let [read, _] = story.finals(PLACE, &shown, 2);
        vec![first, read]
    });
}

#[test]
fn a_repeat_whose_place_is_forgotten_must_be_there() {
    twins(Anomaly::Lost, |story| {
        let request = story.send(1, PLACE, &[10], by(5, 0));
        let ended = story.ok(request, Answer::Sent { offset: None, start: None });
        let shown = story.pick(vec![(0, 10)], vec![]);
        let end = story.pick(1, 0);
        let [read, _] = story.finals(PLACE, &shown, end);
        vec![ended, read]
    });
}

#[test]
fn a_partition_that_nobody_reads_in_the_end_is_caught() {
    twins(Anomaly::Unread, |story| {
        let [_, ended] = story.sent(1, PLACE, 0, &[10]);
        if !story.is_spoiled() {
            story.finals(PLACE, &[(0, 10)], 1);
        }
        vec![ended]
    });
}

#[test]
fn sends_of_one_session_in_another_order_are_caught() {
    twins(Anomaly::Reordered, |story| {
        let first = story.send(1, PLACE, &[10], by(5, 0));
        let second = story.send(1, PLACE, &[11], by(5, 1));
        let called = story.last();
        let offsets = story.pick([0, 1], [1, 0]);
        let ends = [first, second].map(|request| {
            let offset = Some(offsets[usize::from(request == second)]);
            story.ok(request, Answer::Sent { offset, start: None })
        });
        let shown = story.pick([(0, 10), (1, 11)], [(0, 11), (1, 10)]);
        story.finals(PLACE, &shown, 2);
        vec![called, ends[0], ends[1]]
    });
}

#[test]
fn a_send_below_a_known_end_is_caught() {
    twins(Anomaly::SentBelowEnd, |story| {
        // Two that overlap may land in any order; one that begins later may not land before.
        let late = story.send(2, PLACE, &[11], How::default());
        let mut called = story.last();
        if story.is_spoiled() {
            story.end(late, Outcome::Refused(6));
        }
        let [_, told] = story.sent(1, PLACE, 1, &[10]);
        let ended = if story.is_spoiled() {
            let [again, ended] = story.sent(2, PLACE, 0, &[11]);
            called = again;
            ended
        } else {
            story.ok(late, Answer::Sent { offset: Some(0), start: None })
        };
        story.finals(PLACE, &[(0, 11), (1, 10)], 2);
        vec![told, called, ended]
    });
}

#[test]
fn a_batch_that_is_missing_between_its_neighbours_is_caught() {
    twins(Anomaly::SequenceSkipped, |story| {
        story.sent_how(1, PLACE, 0, &[10], by(5, 0));
        let unknown = story.send(1, PLACE, &[11], by(5, 1));
        let called = story.last();
        story.end(unknown, Outcome::Unknown);
        let offset = story.pick(2, 1);
        let [next, _] = story.sent_how(1, PLACE, offset, &[12], by(5, 2));
        let shown = story.pick(vec![(0, 10), (1, 11), (2, 12)], vec![(0, 10), (1, 12)]);
        let end = story.pick(3, 2);
        story.finals(PLACE, &shown, end);
        vec![called, next]
    });
}

#[test]
fn a_return_without_a_call_is_caught() {
    twins(Anomaly::Malformed, |story| {
        story.sent(1, PLACE, 0, &[10]);
        let spoiled = story.is_spoiled();
        let mut events = Vec::new();
        if spoiled {
            let at = story.now;
            story.history.end(at, 1, None, 77, Outcome::Unknown);
            events.push(story.last());
        }
        story.finals(PLACE, &[(0, 10)], 1);
        events
    });
}

#[test]
fn a_record_of_the_old_topic_in_the_new_one_is_caught() {
    twins(Anomaly::OldTopic, |story| {
        story.topic("topic", TOPIC, KEEP);
        // Sent by name: one that is under way may land in either.
        let request = story.send(1, PLACE, &[10], How::default());
        let called = story.last();
        if story.is_spoiled() {
            story.ok(request, Answer::Sent { offset: Some(0), start: None });
        }
        story.done(0, Call::DeleteTopic { topic: TOPIC }, Answer::Done);
        story.topic("topic", OTHER_TOPIC, KEEP);
        if !story.is_spoiled() {
            story.ok(request, Answer::Sent { offset: Some(0), start: None });
        }
        let place = TopicPartition { topic: OTHER_TOPIC, partition: 0 };
        let [_, read] = story.read(2, place, 0, &[(0, 10)], 1);
        story.finals(place, &[(0, 10)], 1);
        vec![called, read]
    });
}

#[test]
fn a_topic_with_fewer_partitions_is_caught() {
    twins(Anomaly::PartitionsWentBack, |story| {
        story.topic("topic", TOPIC, KEEP);
        let describe = || Call::DescribeTopic { name: "topic".to_owned() };
        story.done(0, Call::CreatePartitions { topic: TOPIC, count: 5 }, Answer::Done);
        let [_, told] = story.done(1, describe(), Answer::Topic { topic: TOPIC, partitions: 5 });
        let partitions = story.pick(5, 2);
        let [called, ended] = story.done(1, describe(), Answer::Topic { topic: TOPIC, partitions });
        vec![told, called, ended]
    });
}

#[test]
fn an_id_of_two_topics_is_caught() {
    twins(Anomaly::TopicIdReused, |story| {
        let [_, first] = story.topic("one", TOPIC, KEEP);
        let topic = story.pick(OTHER_TOPIC, TOPIC);
        let answer = Answer::Topic { topic, partitions: 2 };
        let [_, second] = story.done(1, Call::DescribeTopic { name: "two".to_owned() }, answer);
        vec![first, second]
    });
}
