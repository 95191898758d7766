//! Offsets of groups, and who owns what.

use super::super::super::history::*;
use super::story::*;
use super::{Anomaly, Moment, twins};

fn commit(epoch: i32, offset: i64, transaction: Option<TransactionNumber>) -> Call {
    let (group, member) = ("group".to_owned(), "m".to_owned());
    Call::Commit(OffsetCommit { group, member, epoch, place: PLACE, offset, transaction })
}

fn ask(story: &mut Story, offset: Option<i64>) -> [Moment; 2] {
    let call = Call::OffsetFetch { group: "group".to_owned(), place: PLACE, stable: true };
    story.done(2, call, Answer::Committed(offset))
}

fn ask_twin(story: &mut Story, clean: Option<i64>, spoiled: Option<i64>) -> [Moment; 2] {
    let offset = story.pick(clean, spoiled);
    ask(story, offset)
}

#[test]
fn a_commit_that_is_forgotten_is_caught() {
    twins(Anomaly::CommitForgotten, |story| {
        story.done(1, commit(1, 5, None), Answer::Done);
        let [_, done] = story.done(1, commit(1, 6, None), Answer::Done);
        let [called, ended] = ask_twin(story, Some(6), Some(5));
        vec![done, called, ended]
    });
    twins(Anomaly::CommitForgotten, |story| {
        let [_, done] = story.done(1, commit(1, 5, None), Answer::Done);
        let [called, ended] = ask_twin(story, Some(5), None);
        vec![done, called, ended]
    });
}

#[test]
fn an_unknown_commit_may_come_late_but_not_after_its_generation() {
    twins(Anomaly::CommitForgotten, |story| {
        let request = story.call(1, commit(1, 5, None));
        story.end(request, Outcome::Unknown);
        let epoch = story.pick(1, 2);
        let join = Call::Join { group: "group".to_owned(), member: "m".to_owned(), instance: None };
        let assigned = Answer::Assigned { member: "m".to_owned(), epoch, places: None };
        story.done(1, join, assigned);
        let [_, done] = story.done(1, commit(epoch, 6, None), Answer::Done);
        let [called, ended] = ask(story, Some(5));
        vec![done, called, ended]
    });
}

#[test]
fn an_offset_that_goes_back_for_who_asks_is_caught() {
    twins(Anomaly::CommitForgotten, |story| {
        story.done(1, commit(1, 5, None), Answer::Done);
        // Nobody was told that it is done, but somebody was told of it.
        let request = story.call(1, commit(1, 6, None));
        let first = story.pick(5, 6);
        let [_, told] = ask(story, Some(first));
        let [again, ended] = ask(story, Some(5));
        story.end(request, Outcome::Unknown);
        vec![told, again, ended, request_called(story)]
    });
}

/// The call of the second commit.
fn request_called(story: &Story) -> Moment {
    let commits = story.history.events.iter().enumerate().filter(|(_, event)| {
        matches!(&event.what, What::Call { call: Call::Commit(commit), .. } if commit.offset == 6)
    });
    commits.map(|(moment, _)| moment).next().expect("the commit")
}

#[test]
fn an_offset_that_nobody_committed_is_caught() {
    twins(Anomaly::CommitInvented, |story| {
        story.done(1, commit(1, 5, None), Answer::Done);
        let request = story.call(1, commit(1, 6, None));
        let outcome = story.pick(Outcome::Unknown, Outcome::Refused(22));
        story.end(request, outcome);
        ask(story, Some(6)).to_vec()
    });
}

#[test]
fn an_offset_of_an_aborted_transaction_is_caught() {
    twins(Anomaly::AbortedSeen, |story| {
        story.done(1, commit(-1, 5, None), Answer::Done);
        story.done(1, commit(-1, 6, Some(1)), Answer::Done);
        let verdict = story.pick(Verdict::Commit, Verdict::Abort);
        let [_, ended] = story.done(1, Call::EndTransaction { transaction: 1, verdict }, Answer::Done);
        let [_, told] = ask(story, Some(6));
        vec![ended, told]
    });
}

#[test]
fn offsets_of_transactions_follow_each_other() {
    twins(Anomaly::CommitForgotten, |story| {
        let mut done = 0;
        for transaction in [1, 2] {
            let offset = i64::try_from(transaction).expect("small");
            story.done(1, commit(-1, offset, Some(transaction)), Answer::Done);
            let end = Call::EndTransaction { transaction, verdict: Verdict::Commit };
            [_, done] = story.done(1, end, Answer::Done);
        }
        let [called, ended] = ask_twin(story, Some(2), Some(1));
        vec![done, called, ended]
    });
}

#[test]
fn a_commit_of_an_older_generation_is_caught() {
    twins(Anomaly::StaleCommit, |story| {
        let join = Call::Join { group: "group".to_owned(), member: String::new(), instance: None };
        let assigned = Answer::Assigned { member: "other".to_owned(), epoch: 2, places: None };
        let [_, known] = story.done(3, join, assigned);
        let epoch = story.pick(2, 1);
        let [called, done] = story.done(1, commit(epoch, 5, None), Answer::Done);
        vec![known, called, done]
    });
}

#[test]
fn a_commit_of_who_has_left_is_caught() {
    twins(Anomaly::StaleCommit, |story| {
        let member = story.pick("other", "m").to_owned();
        let [_, left] = story.done(1, Call::Leave { group: "group".to_owned(), member }, Answer::Done);
        let [called, done] = story.done(1, commit(1, 5, None), Answer::Done);
        vec![left, called, done]
    });
}

#[test]
fn two_owners_in_one_generation_are_caught() {
    twins(Anomaly::TwoOwners, |story| {
        let ends = [("a", PLACE), ("b", story.pick(OTHER, PLACE))].map(|(member, place)| {
            let (group, member) = ("group".to_owned(), member.to_owned());
            let assigned = Answer::Assigned { member: member.clone(), epoch: 4, places: Some(vec![place]) };
            let [_, ended] = story.done(1, Call::Join { group, member, instance: None }, assigned);
            ended
        });
        ends.to_vec()
    });
}

fn heartbeat(
    story: &mut Story,
    member: &str,
    epoch: i32,
    owned: &[TopicPartition],
    has: &[TopicPartition],
) -> Moment {
    let (group, member) = ("group".to_owned(), member.to_owned());
    let assigned = Answer::Assigned { member: member.clone(), epoch, places: Some(has.to_vec()) };
    let call = Call::Heartbeat { group, member, instance: None, owned: owned.to_vec() };
    let [_, ended] = story.done(1, call, assigned);
    ended
}

#[test]
fn a_partition_that_is_not_given_back_yet_is_not_given_on() {
    twins(Anomaly::TwoOwners, |story| {
        let first = heartbeat(story, "a", 1, &[], &[PLACE]);
        heartbeat(story, "b", 2, &[], &[]);
        heartbeat(story, "a", 1, &[PLACE], &[]);
        if !story.is_spoiled() {
            heartbeat(story, "a", 2, &[], &[]);
        }
        let second = heartbeat(story, "b", 2, &[], &[PLACE]);
        vec![first, second]
    });
}

#[test]
fn who_is_not_heard_loses_what_it_has() {
    twins(Anomaly::TwoOwners, |story| {
        let first = heartbeat(story, "a", 1, &[], &[PLACE]);
        story.now += story.pick(10, 9) * SECOND;
        let second = heartbeat(story, "b", 2, &[], &[PLACE]);
        vec![first, second]
    });
}
