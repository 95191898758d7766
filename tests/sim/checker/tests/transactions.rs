//! Transactions, and chains of them.

use super::super::super::history::*;
use super::story::*;
use super::{Anomaly, Moment, twins};

fn end(story: &mut Story, transaction: TransactionNumber, verdict: Verdict) -> [Moment; 2] {
    story.done(1, Call::EndTransaction { transaction, verdict }, Answer::Done)
}

#[test]
fn an_aborted_record_that_a_reader_of_committed_ones_sees_is_caught() {
    twins(Anomaly::AbortedSeen, |story| {
        story.sent_how(1, PLACE, 0, &[10], within(1));
        let [_, aborted] = end(story, 1, Verdict::Abort);
        story.sent(2, PLACE, 2, &[11]);
        story.read(3, PLACE, 0, &[(0, 10), (2, 11)], 3);
        let shown = story.pick(vec![(2, 11)], vec![(0, 10), (2, 11)]);
        let [_, read] = story.read_committed(3, PLACE, 0, &shown, 3);
        let (all, committed) = (story.reading(&[(0, 10), (2, 11)], 3), story.reading(&shown, 3));
        story.final_readings(PLACE, all, committed);
        vec![aborted, read]
    });
}

#[test]
fn a_transaction_that_was_given_up_is_aborted() {
    twins(Anomaly::AbortedSeen, |story| {
        let [_, given_up] = story.sent_how(1, PLACE, 0, &[10], within(1));
        let shown = story.pick(vec![], vec![(0, 10)]);
        let (all, committed) = (story.reading(&[(0, 10)], 2), story.reading(&shown, 2));
        let [_, read] = story.final_readings(PLACE, all, committed);
        vec![given_up, read]
    });
}

#[test]
fn an_open_transaction_that_is_seen_is_caught() {
    twins(Anomaly::OpenSeen, |story| {
        story.sent_how(1, PLACE, 0, &[10], within(1));
        let mut read = 0;
        if story.is_spoiled() {
            [_, read] = story.read_committed(3, PLACE, 0, &[(0, 10)], 1);
        }
        let [called, _] = end(story, 1, Verdict::Commit);
        story.finals(PLACE, &[(0, 10)], 2);
        vec![read, called]
    });
}

#[test]
fn a_transaction_of_which_a_part_is_missing_is_caught() {
    twins(Anomaly::Torn, |story| {
        story.sent_how(1, PLACE, 0, &[10], within(1));
        story.sent_how(1, OTHER, 0, &[11], within(1));
        // Nobody knows how it ended: it may be either, but wholly.
        let request = story.call(1, Call::EndTransaction { transaction: 1, verdict: Verdict::Commit });
        story.end(request, Outcome::Unknown);
        let shown = story.pick(vec![], vec![(0, 10)]);
        let (all, committed) = (story.reading(&[(0, 10)], 2), story.reading(&shown, 2));
        let [_, seen] = story.final_readings(PLACE, all, committed);
        let (all, committed) = (story.reading(&[(0, 11)], 2), story.reading(&[], 2));
        let [_, missed] = story.final_readings(OTHER, all, committed);
        vec![seen, missed]
    });
}

#[test]
fn a_committed_transaction_that_is_not_seen_is_caught() {
    twins(Anomaly::Torn, |story| {
        story.sent_how(1, PLACE, 0, &[10], within(1));
        let [_, committed] = end(story, 1, Verdict::Commit);
        let shown = story.pick(vec![(0, 10)], vec![]);
        let [_, read] = story.read_committed(3, PLACE, 0, &shown, 2);
        let (all, last) = (story.reading(&[(0, 10)], 2), story.reading(&shown, 2));
        story.final_readings(PLACE, all, last);
        vec![committed, read]
    });
}

#[test]
fn a_committed_transaction_that_no_reader_gets_to_is_caught() {
    twins(Anomaly::Torn, |story| {
        let [_, sent] = story.sent_how(1, PLACE, 0, &[10], within(1));
        let [_, committed] = end(story, 1, Verdict::Commit);
        let all = story.reading(&[(0, 10)], 2);
        let mut last = all.clone();
        if story.is_spoiled() {
            last = Reading { next: 0, ends: Ends { stable: Some(0), ..all.ends }, ..Reading::default() };
        }
        // What readers of all get to plays no part.
        let all = Reading { ends: Ends { stable: None, ..all.ends }, ..all };
        let [_, read] = story.final_readings(PLACE, all, last);
        vec![sent, committed, read]
    });
}

#[test]
fn two_ends_of_one_transaction_are_caught() {
    twins(Anomaly::TwoVerdicts, |story| {
        let [_, committed] = end(story, 1, Verdict::Commit);
        let aborted = story.pick(2, 1);
        let [_, aborted] = end(story, aborted, Verdict::Abort);
        vec![committed, aborted]
    });
}

/// A chain's input of three, and what it made of them: number of the output, and of the input.
fn chain(story: &mut Story, made: &[(u64, u64)]) -> [Moment; 4] {
    let input = PLACE;
    let output = TopicPartition { topic: OTHER_TOPIC, partition: 0 };
    story.sent(1, input, 0, &[10, 11, 12]);
    let mut offset = 0;
    let mut shown = Vec::new();
    for (transaction, &(number, source)) in (1..).zip(made) {
        let made = vec![Sent { source: Some(source), ..sent(number) }];
        let request = story.send_records(2, output, made, within(transaction));
        story.ok(request, Answer::Sent { offset: Some(offset), start: None });
        end(story, transaction, Verdict::Commit);
        shown.push((offset, number));
        offset += 2;
    }
    let [_, input_read] = story.finals(input, &[(0, 10), (1, 11), (2, 12)], 3);
    let [first, output_read] = story.finals(output, &shown, offset);
    let chain = Fact::Chain { group: "chain".to_owned(), input: input.topic, output: output.topic };
    [story.fact(0, chain), input_read, output_read, first]
}

#[test]
fn an_input_of_which_nothing_was_made_is_caught() {
    twins(Anomaly::ChainLost, |story| {
        let made = story.pick(vec![(20, 10), (21, 11), (22, 12)], vec![(20, 10), (22, 12)]);
        let [told, input, _, _] = chain(story, &made);
        vec![told, input]
    });
}

#[test]
fn an_input_of_which_two_were_made_is_caught() {
    twins(Anomaly::ChainDoubled, |story| {
        let once = vec![(20, 10), (21, 11), (22, 12)];
        let twice = vec![(20, 10), (21, 11), (23, 11), (22, 12)];
        let made = story.pick(once, twice);
        let [told, _, output, _] = chain(story, &made);
        vec![told, output]
    });
}

#[test]
fn outputs_in_another_order_are_caught() {
    twins(Anomaly::ChainReordered, |story| {
        let once = vec![(20, 10), (21, 11), (22, 12)];
        let crossed = vec![(21, 11), (20, 10), (22, 12)];
        let made = story.pick(once, crossed);
        let [_, input, output, _] = chain(story, &made);
        vec![input, output]
    });
}
