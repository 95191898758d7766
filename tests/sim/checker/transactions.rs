//! Transactions are wholly there or not at all. Whatever tells of one that it was committed is held against whatever tells
//! that it was aborted; one whose end is unknown may be either, but not both.

use super::history::{Isolation, RecordNumber, TransactionNumber, Verdict};
use super::reads::PassedOver;
use super::seen::{Seen, Transaction};
use super::{Anomaly, Found, Moment, commits};
use std::collections::BTreeMap;

/// The first event that tells of an end, and how.
type Evidence = BTreeMap<TransactionNumber, (Moment, String)>;

pub fn check(seen: &Seen<'_>, passed_over: &[PassedOver], found: &mut Found) {
    let mut committed = Evidence::new();
    let mut aborted = Evidence::new();
    for (&number, transaction) in &seen.transactions {
        let Some(commit) = transaction.told(Verdict::Commit) else { continue };
        committed.insert(number, (commit, "told so".to_owned()));
        if let Some(abort) = transaction.told(Verdict::Abort) {
            let what = format!("t{number} was told to be committed and to be aborted");
            found.add(Anomaly::TwoVerdicts, [commit, abort], what);
        }
    }
    for (number, evidence) in shown(seen, found) {
        committed.entry(number).or_insert(evidence);
    }
    for (number, at) in commits::of_transactions_seen(seen) {
        committed.entry(number).or_insert((at, "its offset was told".to_owned()));
    }
    for one in passed_over {
        let what = format!("record {} was passed over", one.number);
        aborted.entry(one.transaction).or_insert((one.at, what));
    }
    for (&number, transaction) in &seen.transactions {
        let Some((committed_at, committed)) = committed.get(&number) else { continue };
        if transaction.must_be_aborted() {
            if transaction.told(Verdict::Commit).is_some() {
                continue;
            }
            let at = transaction.told(Verdict::Abort).unwrap_or(transaction.last);
            found.add(Anomaly::AbortedSeen, [at, *committed_at], format!("t{number}: {committed}"));
        } else if let Some((aborted_at, aborted)) = aborted.get(&number) {
            let what = format!("t{number}: {committed}, and {aborted}");
            found.add(Anomaly::Torn, [*committed_at, *aborted_at], what);
        } else {
            check_whole(seen, number, transaction, (*committed_at, committed), found);
        }
    }
}

/// What readers of committed records were shown, the first of each transaction.
fn shown(seen: &Seen<'_>, found: &mut Found) -> Evidence {
    let mut shown = Evidence::new();
    let reads = seen.reads.values().flatten().filter(|read| read.isolation == Isolation::Committed);
    for read in reads {
        for record in &read.reading.records {
            let Some(number) = seen.transaction_of(record.number) else { continue };
            let called = seen.transactions[&number].commit_called();
            if let Some(called) = called.filter(|&called| read.ended < called) {
                let what = format!("t{number}: {record} was seen before it was to be committed");
                found.add(Anomaly::OpenSeen, [read.ended, called], what);
            }
            let first = shown.entry(number).or_insert((read.ended, String::new()));
            if first.1.is_empty() || read.ended < first.0 {
                *first = (read.ended, format!("{record} was seen"));
            }
        }
    }
    shown
}

/// Every acknowledged record of a committed transaction was read, or stands where somebody would have missed it.
fn check_whole(
    seen: &Seen<'_>,
    number: TransactionNumber,
    transaction: &Transaction<'_>,
    (committed_at, committed): (Moment, &str),
    found: &mut Found,
) {
    for &index in &transaction.sends {
        let send = &seen.sends[index];
        let place = send.batch.place;
        let Some(end) = send.operation.done() else { continue };
        let Some(read) = seen.final_read(place, Isolation::Committed) else {
            if !seen.may_be_gone(place.topic, Moment::MAX) {
                found.add(Anomaly::Unread, [end], format!("nobody read what is committed in {place}"));
            }
            continue;
        };
        // Whoever reads past a record misses it; this is for readers who do not get there.
        let offset = |record: &RecordNumber| {
            let log = seen.logs.get(&place)?;
            log.offsets.get(record)?.first().copied()
        };
        for record in send.batch.records.iter().map(|sent| sent.number) {
            if offset(&record).is_some_and(|offset| offset >= read.reading.next) {
                let what = format!("t{number}: {committed}, and record {record} of {place} is not there");
                found.add(Anomaly::Torn, [committed_at, end, read.ended], what);
            }
        }
    }
}
