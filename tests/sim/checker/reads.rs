//! What readers went past. Between where a reader began and where it got to, everything that stands there is shown, save
//! what may be missing: markers, aborted records, what was compacted, what is below the log start. Polls of an assignment
//! continue each other, and what a reader has gone past is not there again later.

use super::compaction::{self, Keys};
use super::ends;
use super::history::{ClientId, Isolation, RecordNumber, TopicPartition, TransactionNumber, Verdict};
use super::known::Later;
use super::seen::{Log, Read, ReadKind, Seen, Stood};
use super::{Anomaly, Found, Moment};
use std::collections::{BTreeMap, BTreeSet};

/// A reader went past a record of a transaction, as if that was aborted.
pub struct PassedOver {
    pub transaction: TransactionNumber,
    pub number: RecordNumber,
    pub at: Moment,
}

pub fn check(seen: &Seen<'_>, found: &mut Found) -> Vec<PassedOver> {
    let mut passed_over = Vec::new();
    let starts = ends::Starts::of(seen);
    let nothing = Log::default();
    for (&place, reads) in &seen.reads {
        let mut look = Look {
            seen,
            place,
            log: seen.logs.get(&place).unwrap_or(&nothing),
            keys: Keys::of(seen, place),
            later_starts: starts.later(place),
            largest_start: starts.largest(place),
            unknown: BTreeMap::new(),
            gone: BTreeMap::new(),
        };
        for read in reads {
            look.check_order(read, found);
        }
        for read in reads {
            passed_over.extend(look.check_gaps(read, found));
        }
        look.check_again(reads, found);
        look.check_unknown(found);
        check_polls(place, reads, found);
    }
    passed_over
}

/// One partition, and what its readers have gone past.
struct Look<'s, 'a> {
    seen: &'s Seen<'a>,
    place: TopicPartition,
    log: &'s Log,
    keys: Keys,
    later_starts: Later,
    largest_start: i64,
    /// Offsets at which nobody ever saw anything, and who first went past.
    unknown: BTreeMap<i64, Moment>,
    /// What stands or stood at an offset, and who first went past it without seeing it.
    gone: BTreeMap<(Isolation, i64), Moment>,
}

/// More offsets than this in one gap are not looked at one by one.
const GAP_MAX: i64 = 100_000;

impl Look<'_, '_> {
    fn check_order(&self, read: &Read<'_>, found: &mut Found) {
        let place = self.place;
        let mut expected = read.from;
        for record in &read.reading.records {
            if record.offset < expected || record.offset >= read.reading.next {
                let what = format!("{place}: {record} is not in {expected}..{}", read.reading.next);
                found.add(Anomaly::Disordered, [read.called, read.ended], what);
            }
            expected = record.offset.max(expected) + 1;
        }
        if read.reading.next < read.from {
            let what = format!("{place}: from {} to {}", read.from, read.reading.next);
            found.add(Anomaly::Disordered, [read.called, read.ended], what);
        }
    }

    fn check_gaps(&mut self, read: &Read<'_>, found: &mut Found) -> Vec<PassedOver> {
        let shown: BTreeSet<i64> = read.reading.records.iter().map(|record| record.offset).collect();
        let mut passed_over = Vec::new();
        if read.reading.next <= read.from {
            return passed_over;
        }
        for (&offset, stand) in self.log.stands.range(read.from..read.reading.next) {
            let Stood::Record(number) = stand.what else { continue };
            if shown.contains(&offset) {
                continue;
            }
            let is_compacted = self.keys.may_be_gone(self.seen, offset, stand, read, self.place.topic);
            let may_be_gone = is_compacted || self.may_be_below_start(offset, read);
            match self.seen.transaction_of(number) {
                None if !may_be_gone => {
                    self.skipped(offset, number, stand.at, read, found);
                    continue;
                }
                Some(transaction) if !may_be_gone => {
                    passed_over.push(PassedOver { transaction, number, at: read.ended });
                }
                _ => {}
            }
            self.gone.entry((read.isolation, offset)).or_insert(read.ended);
        }
        self.note_unknown(read, &shown);
        passed_over
    }

    fn skipped(&self, offset: i64, number: RecordNumber, at: Moment, read: &Read<'_>, found: &mut Found) {
        let anomaly = match read.kind {
            _ if compaction::is_on(self.seen, self.place.topic, read.ended) => Anomaly::CompactedTooMuch,
            ReadKind::Fetch => Anomaly::Skipped,
            ReadKind::Final => Anomaly::Lost,
        };
        let what = format!("record {number} at {offset} of {}", self.place);
        found.add(anomaly, [at, read.called, read.ended], what);
    }

    /// Whether the log may have started above this offset when it was read: nobody who asked later was told otherwise.
    fn may_be_below_start(&self, offset: i64, read: &Read<'_>) -> bool {
        let is_there_later = self.later_starts.after(read.ended).is_some_and(|start| start <= offset);
        offset < self.largest_start && !is_there_later
    }

    fn note_unknown(&mut self, read: &Read<'_>, shown: &BTreeSet<i64>) {
        let ends = shown.iter().copied().chain([read.reading.next]);
        let mut expected = read.from;
        for offset in ends {
            let first = expected.max(offset.saturating_sub(GAP_MAX));
            for gap in first..offset {
                if !self.log.stands.contains_key(&gap) && !self.may_be_below_start(gap, read) {
                    self.unknown.entry(gap).or_insert(read.ended);
                }
            }
            expected = offset + 1;
        }
    }

    /// What somebody has gone past who sees everything is not shown again to who asks later; nor what a reader of committed
    /// records has gone past, to such a reader.
    fn check_again(&self, reads: &[Read<'_>], found: &mut Found) {
        for read in reads {
            for record in &read.reading.records {
                let all = self.gone.get(&(Isolation::Uncommitted, record.offset));
                let committed = self.gone.get(&(Isolation::Committed, record.offset));
                let committed = committed.filter(|_| read.isolation == Isolation::Committed);
                if let Some(&gone) = all.into_iter().chain(committed).find(|&&gone| gone < read.called) {
                    let what = format!("{record} of {}", self.place);
                    found.add(Anomaly::Reappeared, [gone, read.called, read.ended], what);
                }
            }
        }
    }

    /// Offsets at which nobody ever saw anything are those of markers and of aborted records that nobody read.
    fn check_unknown(&self, found: &mut Found) {
        let allowed = self.unseen();
        if self.unknown.len() > allowed {
            let offsets: Vec<i64> = self.unknown.keys().copied().take(20).collect();
            let what = format!(
                "{}: nothing at {offsets:?}, {} in all, {allowed} explained",
                self.place,
                self.unknown.len()
            );
            found.add(Anomaly::Hole, self.unknown.values().copied().take(20), what);
        }
    }

    /// How many offsets may be taken without anybody having seen by what.
    fn unseen(&self) -> usize {
        let may_be_compacted = compaction::is_on(self.seen, self.place.topic, Moment::MAX);
        let sends = self.seen.sends.iter().filter(|send| send.batch.place == self.place);
        let taken = sends.filter(|send| !send.operation.is_refused()).filter(|send| {
            let transaction = send.batch.transaction.map(|number| &self.seen.transactions[&number]);
            may_be_compacted || transaction.is_some_and(|known| known.told(Verdict::Commit).is_none())
        });
        let numbers = taken.flat_map(|send| &send.batch.records).map(|sent| sent.number);
        let records = numbers.filter(|number| !self.log.offsets.contains_key(number)).count();
        let transactions = self.seen.transactions.values();
        let markers = transactions.filter(|transaction| transaction.places.contains(&self.place)).count();
        let seen_markers = self.log.stands.values().filter(|stand| stand.what == Stood::Marker).count();
        markers.saturating_sub(seen_markers) + records
    }
}

/// Each poll of an assignment begins where the last one with an answer had got to.
fn check_polls(place: TopicPartition, reads: &[Read<'_>], found: &mut Found) {
    let mut reached: BTreeMap<(ClientId, u64), (i64, Moment)> = BTreeMap::new();
    for read in reads {
        let Some(assignment) = read.assignment else { continue };
        let at = reached.entry((read.client, assignment)).or_insert((read.from, read.called));
        if at.0 != read.from {
            let what = format!("{place}: from {}, the poll before got to {}", read.from, at.0);
            found.add(Anomaly::PollMoved, [at.1, read.called], what);
        }
        *at = (read.reading.next, read.ended);
    }
}
