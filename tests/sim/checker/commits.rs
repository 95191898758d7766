//! Offsets of groups. Whoever asks is told the offset of a commit that is not known to have been replaced before the question
//! was asked; and who was told of one is not told of an older one later. One that is unknown may come late, but not once
//! its generation is over. In a transaction an offset is committed by the transaction's end.

use super::history::*;
use super::operations::Operation;
use super::seen::Seen;
use super::{Anomaly, Found, Moment};
use std::collections::BTreeMap;

/// Which offset.
type Key<'a> = (&'a str, TopicPartition);

/// One commit that was not refused.
#[derive(Clone, Copy, Debug)]
struct Commit {
    offset: i64,
    /// It was not done before.
    called: Moment,
    /// It will not be done after, as far as is known.
    latest: Moment,
    /// Somebody was told that it is done.
    done: Option<Moment>,
    transaction: Option<TransactionNumber>,
    producer: Option<Producer>,
    /// Its transaction cannot have been committed.
    aborted: bool,
}

/// An offset that was asked for.
#[derive(Clone, Copy, Debug)]
struct Asked {
    called: Moment,
    ended: Moment,
    offset: Option<i64>,
    stable: bool,
}

/// Kept in order of a group's generations.
#[derive(Default)]
struct Generations {
    /// When a generation was first known, by generation.
    known: BTreeMap<i32, Moment>,
    /// When a member was told that it has left.
    left: BTreeMap<String, Moment>,
}

pub fn check(seen: &Seen<'_>, found: &mut Found) {
    let generations = generations(seen);
    check_stale(seen, &generations, found);
    let commits = commits(seen, &generations);
    for (key, mut asked) in asked(seen) {
        asked.sort_by_key(|asked| asked.ended);
        let commits = commits.get(&key).map_or(&[][..], Vec::as_slice);
        asked.iter().for_each(|asked| check_asked(&key, commits, asked, found));
        check_forth(&key, commits, &asked, found);
    }
}

/// The transactions of which an offset was told that nobody else had committed, and when.
pub fn of_transactions_seen(seen: &Seen<'_>) -> Vec<(TransactionNumber, Moment)> {
    let commits = commits(seen, &generations(seen));
    let mut told = Vec::new();
    for (key, asked) in asked(seen) {
        for asked in asked {
            let Some(offset) = asked.offset else { continue };
            let commits = commits.get(&key).into_iter().flatten();
            let mut same = commits.filter(|commit| commit.offset == offset && commit.called < asked.ended);
            if let (Some(&Commit { transaction: Some(number), .. }), None) = (same.next(), same.next()) {
                told.push((number, asked.ended));
            }
        }
    }
    told
}

fn check_asked(key: &Key<'_>, commits: &[Commit], asked: &Asked, found: &mut Found) {
    let (group, place) = key;
    let replaces = |later: &Commit| {
        let done = later.done.filter(|&done| done < asked.called)?;
        (asked.stable || later.transaction.is_none()).then_some(done)
    };
    let Some(offset) = asked.offset else {
        if let Some((commit, done)) = commits.iter().find_map(|commit| Some((commit, replaces(commit)?))) {
            let what = format!("{group} {place}: none, {} was committed", commit.offset);
            found.add(Anomaly::CommitForgotten, [done, asked.called, asked.ended], what);
        }
        return;
    };
    let same: Vec<&Commit> =
        commits.iter().filter(|commit| commit.offset == offset && commit.called < asked.ended).collect();
    if same.is_empty() {
        let what = format!("{group} {place}: nobody committed {offset}");
        return found.add(Anomaly::CommitInvented, [asked.called, asked.ended], what);
    }
    let replaced = |commit: &Commit| {
        let mut later = commits.iter().filter(|later| later.comes_after(commit));
        later.find_map(|later| Some((later.offset, replaces(later)?)))
    };
    // What an aborted transaction had is told of with its other parts (`transactions`).
    let same = same.iter().filter(|commit| !commit.aborted);
    let all_replaced: Option<Vec<(i64, Moment)>> = same.map(|commit| replaced(commit)).collect();
    if let Some(&(newer, done)) = all_replaced.as_ref().and_then(|replaced| replaced.first()) {
        let what = format!("{group} {place}: {offset}, {newer} was committed after it");
        found.add(Anomaly::CommitForgotten, [done, asked.called, asked.ended], what);
    }
}

/// Nobody is told of an older commit than who was answered before the question.
fn check_forth(key: &Key<'_>, commits: &[Commit], asked: &[Asked], found: &mut Found) {
    // Ends of questions, and the moment before which the commit that was told cannot have been done.
    let mut told: Vec<(Moment, Moment)> = Vec::new();
    for asked in asked {
        let same = || {
            let same = commits.iter().filter(|commit| Some(commit.offset) == asked.offset);
            same.filter(|commit| commit.called < asked.ended)
        };
        let earlier = told.partition_point(|&(ended, _)| ended < asked.called);
        let before = earlier.checked_sub(1).map(|last| told[last]);
        let latest = same().map(|commit| commit.latest).max().unwrap_or(0);
        if let Some((ended, called)) = before.filter(|&(_, called)| latest < called) {
            let what = format!("{} {}: {:?} after a later one was told", key.0, key.1, asked.offset);
            found.add(Anomaly::CommitForgotten, [ended, called, asked.called, asked.ended], what);
        }
        let called = same().map(|commit| commit.called).min().unwrap_or(0);
        let newest = told.last().map_or(0, |&(_, called)| called);
        told.push((asked.ended, called.max(newest)));
    }
}

impl Commit {
    /// Whether it was surely done after the other one, if both were done.
    fn comes_after(&self, other: &Commit) -> bool {
        // A producer's transaction is over before its next begins.
        let follows = self.producer.zip(other.producer).is_some_and(|(later, earlier)| {
            later.producer_id == earlier.producer_id && later.producer_epoch > earlier.producer_epoch
        });
        let both = self.transaction.is_some() && other.transaction.is_some();
        let latest = if both { other.done.unwrap_or(Moment::MAX) } else { other.latest };
        follows || latest < self.called
    }
}

/// A commit is not taken from a generation that is over, nor from who has left.
fn check_stale(seen: &Seen<'_>, generations: &BTreeMap<&str, Generations>, found: &mut Found) {
    for operation in seen.operations {
        let (Call::Commit(commit), Some(done)) = (operation.call, operation.done()) else { continue };
        let Some(generations) = generations.get(commit.group.as_str()) else { continue };
        let called = operation.called;
        if let Some(at) = generations.over(commit.epoch).filter(|&at| at < called) {
            let what = format!("{commit}: a later generation was known");
            found.add(Anomaly::StaleCommit, [at, called, done], what);
        }
        if let Some(&at) = generations.left.get(&commit.member).filter(|&&at| at < called) {
            found.add(Anomaly::StaleCommit, [at, called, done], format!("{commit}: it had left"));
        }
    }
}

impl Generations {
    /// When a generation was known to be over.
    fn over(&self, epoch: i32) -> Option<Moment> {
        if epoch < 0 { None } else { self.known.range(epoch + 1..).map(|(_, &at)| at).min() }
    }
}

fn generations<'a>(seen: &Seen<'a>) -> BTreeMap<&'a str, Generations> {
    let mut all: BTreeMap<&str, Generations> = BTreeMap::new();
    for operation in seen.operations {
        match (operation.call, operation.answer()) {
            (Call::Join { group, .. }, Some((Answer::Assigned { epoch, member, .. }, end))) => {
                let generations = all.entry(group).or_default();
                let known = generations.known.entry(*epoch).or_insert(end.moment);
                *known = end.moment.min(*known);
                generations.left.remove(member);
            }
            (Call::Leave { group, member }, Some((_, end))) => {
                all.entry(group).or_default().left.insert(member.clone(), end.moment);
            }
            // Under its name it came again.
            (Call::Heartbeat { group, member, .. }, Some((_, end))) => {
                let left = &mut all.entry(group).or_default().left;
                if left.get(member).is_some_and(|&at| at < end.moment) {
                    left.remove(member);
                }
            }
            _ => {}
        }
    }
    all
}

/// Everything that was sent and not refused.
fn commits<'a>(seen: &Seen<'a>, generations: &BTreeMap<&str, Generations>) -> BTreeMap<Key<'a>, Vec<Commit>> {
    let mut all: BTreeMap<Key<'a>, Vec<Commit>> = BTreeMap::new();
    for operation in seen.operations.iter().filter(|operation| !operation.is_refused()) {
        let Call::Commit(commit) = operation.call else { continue };
        if seen.may_be_gone(commit.place.topic, Moment::MAX) {
            continue;
        }
        let over = generations.get(commit.group.as_str()).and_then(|known| known.over(commit.epoch));
        let commits = all.entry((commit.group.as_str(), commit.place)).or_default();
        commits.push(match commit.transaction {
            Some(number) => in_transaction(seen, operation, commit, number),
            None => Commit {
                offset: commit.offset,
                called: operation.called,
                latest: operation.done().or(over).unwrap_or(Moment::MAX),
                done: operation.done(),
                transaction: None,
                producer: None,
                aborted: false,
            },
        });
    }
    all
}

/// It is committed when its transaction is, and that may take a while after its end was told.
fn in_transaction(
    seen: &Seen<'_>,
    operation: &Operation<'_>,
    commit: &OffsetCommit,
    number: TransactionNumber,
) -> Commit {
    let transaction = &seen.transactions[&number];
    let is_certain = operation.done().is_some();
    Commit {
        offset: commit.offset,
        called: transaction.commit_called().unwrap_or(operation.called),
        latest: Moment::MAX,
        done: transaction.told(Verdict::Commit).filter(|_| is_certain),
        transaction: Some(number),
        producer: transaction.producer,
        aborted: transaction.must_be_aborted(),
    }
}

fn asked<'a>(seen: &Seen<'a>) -> BTreeMap<Key<'a>, Vec<Asked>> {
    let mut all: BTreeMap<Key<'a>, Vec<Asked>> = BTreeMap::new();
    for operation in seen.operations {
        let Call::OffsetFetch { group, place, stable } = operation.call else { continue };
        let Some((Answer::Committed(offset), end)) = operation.answer() else { continue };
        if seen.may_be_gone(place.topic, Moment::MAX) {
            continue;
        }
        let asked = Asked { called: operation.called, ended: end.moment, offset: *offset, stable: *stable };
        all.entry((group.as_str(), *place)).or_default().push(asked);
    }
    all
}
