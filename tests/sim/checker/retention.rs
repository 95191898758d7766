//! The log start moves up to what was asked for, or to what retention allows: what is left is still as much as the limit, and what
//! lies from there on is too old, as what went by size keeps nothing any more. Clocks are taken to be wrong the worst way.

use super::ends::{self, StartTold};
use super::history::{Answer, Call, Outcome, Record, Time, TopicPartition, TopicSettings};
use super::seen::{Log, Seen, Stood};
use super::{Anomaly, Found, Moment, compaction};

pub fn check(seen: &Seen<'_>, found: &mut Found) {
    for (place, told) in ends::starts_told(seen) {
        // Up to where it is known to have been right to move.
        let mut allowed = 0;
        for start in told {
            if start.start <= allowed {
                continue;
            }
            match why_not(seen, place, allowed, &start) {
                None => allowed = start.start,
                Some(reason) => {
                    let what = format!("{place}: the log starts at {}, {reason}", start.start);
                    found.add(Anomaly::StartTooFar, [start.called, start.ended], what);
                }
            }
        }
    }
}

/// Why the log may not start there.
fn why_not(seen: &Seen<'_>, place: TopicPartition, allowed: i64, told: &StartTold) -> Option<String> {
    let asked = allowed.max(asked_for(seen, place, told.ended)).max(by_size(seen, place, told));
    if told.start <= asked {
        return None;
    }
    let deleting: Vec<&TopicSettings> =
        seen.settings(place.topic, told.ended).filter(|settings| settings.delete).collect();
    let Some(age_ms) = deleting.iter().filter_map(|settings| settings.retention_ms).min() else {
        return Some(format!("asked for: {asked}"));
    };
    let young = young_record(seen, place, asked..told.start, told.ended, age_ms)?;
    Some(format!("asked for: {asked}, and {young} is not old enough"))
}

/// The largest log start that anybody asked for up to a moment.
fn asked_for(seen: &Seen<'_>, place: TopicPartition, before: Moment) -> i64 {
    let asked =
        seen.operations.iter().filter(|operation| operation.called < before && !operation.is_refused());
    let asked = asked.filter_map(|operation| match operation.call {
        Call::DeleteRecords { place: asked, before } if *asked == place => {
            Some(match operation.end.map(|end| end.outcome) {
                Some(Outcome::Ok(Answer::Start(start))) => (*before).max(*start),
                // The high watermark, whatever that was.
                _ if *before < 0 => i64::MAX,
                _ => *before,
            })
        }
        _ => None,
    });
    asked.max().unwrap_or(0)
}

/// Up to where what is left may still be as much as the limit.
fn by_size(seen: &Seen<'_>, place: TopicPartition, told: &StartTold) -> i64 {
    let settings = seen.settings(place.topic, told.ended).filter(|settings| settings.delete);
    let Some(limit) = settings.filter_map(|settings| settings.retention_bytes).min() else { return 0 };
    told.high.saturating_sub_unsigned(limit.div_ceil(seen.history.bounds.bytes_per_offset_max))
}

/// A record that should have kept what lies behind it.
fn young_record(
    seen: &Seen<'_>,
    place: TopicPartition,
    below: std::ops::Range<i64>,
    moment: Moment,
    age_ms: u64,
) -> Option<Record> {
    let bounds = seen.history.bounds;
    let at: Time = seen.time(moment).saturating_add(bounds.clock_error);
    let now_ms = bounds.began_at_ms.saturating_add_unsigned(at.div_ceil(1_000_000));
    let nothing = Log::default();
    let log = seen.logs.get(&place).unwrap_or(&nothing);
    // What was compacted or aborted keeps nothing.
    if compaction::is_on(seen, place.topic, moment) {
        return None;
    }
    let stands = log.stands.range(below).filter_map(|(_, stand)| Some((stand.what, stand.record?.0)));
    let plain = stands.filter(|(what, _)| match what {
        Stood::Record(number) => seen.transaction_of(*number).is_none(),
        Stood::Marker => false,
    });
    let mut records = plain.map(|(_, record)| record);
    records.find(|record| record.timestamp >= 0 && now_ms.saturating_sub(record.timestamp) <= i64_of(age_ms))
}

fn i64_of(milliseconds: u64) -> i64 {
    i64::try_from(milliseconds).unwrap_or(i64::MAX)
}
