//! Segments have, record for record, what readers of committed records fetch: up to the archived offset, from the log start on.
//! They are looked at when no broker runs any more, and so after the last fetch; what retention and compaction may have taken
//! in between is not missed.

use super::compaction::Keys;
use super::history::{Fact, Isolation, Record, TopicPartition};
use super::seen::{Read, Seen};
use super::{Anomaly, Found, Moment};
use std::collections::BTreeSet;

pub fn check(seen: &Seen<'_>, found: &mut Found) {
    for &(moment, fact) in &seen.facts {
        let Fact::Segments { place, archived, records } = fact else { continue };
        let Some(read) = seen.final_read(*place, Isolation::Committed) else {
            // Nobody looks any more at what was asked to be deleted, and nobody knows whether it was.
            if !seen.may_be_gone(place.topic, moment) {
                found.add(Anomaly::Unread, [moment], format!("nobody fetched {place} in the end"));
            }
            continue;
        };
        // What lies below the log start may be there still.
        let stored: Vec<&Record> = records.iter().filter(|record| record.offset >= read.from).collect();
        let fetched = still_there(seen, *place, read.from..*archived, read, &stored, moment);
        let same = fetched.iter().zip(&stored).take_while(|(fetched, stored)| fetched == stored).count();
        let (fetched, stored) = (fetched.get(same), stored.get(same));
        if fetched.is_some() || stored.is_some() {
            let told =
                |record: Option<&&Record>| record.map_or_else(|| "nothing".to_owned(), ToString::to_string);
            let what =
                format!("{place} below {archived}: fetched {}, stored {}", told(fetched), told(stored));
            found.add(Anomaly::SegmentsDiffer, [read.ended, moment], what);
        }
    }
}

/// What was fetched, without what may have gone since.
fn still_there<'r>(
    seen: &Seen<'_>,
    place: TopicPartition,
    range: std::ops::Range<i64>,
    read: &Read<'r>,
    stored: &[&Record],
    moment: Moment,
) -> Vec<&'r Record> {
    let keys = Keys::of(seen, place);
    let later = Read { ended: moment, ended_at: seen.time(moment), ..*read };
    let offsets: BTreeSet<i64> = stored.iter().map(|record| record.offset).collect();
    let mut settings = seen.settings(place.topic, moment);
    let may_be_old = settings.any(|settings| {
        settings.delete && (settings.retention_ms.is_some() || settings.retention_bytes.is_some())
    });
    let first = if may_be_old { offsets.first().copied().unwrap_or(range.end) } else { range.start };
    let is_compacted = |record: &Record| {
        let stand = seen.logs.get(&place).and_then(|log| log.stands.get(&record.offset));
        stand.is_some_and(|stand| keys.may_be_gone(seen, record.offset, stand, &later, place.topic))
    };
    let fetched = read.reading.records.iter();
    let due = fetched.filter(|record| range.contains(&record.offset) && record.offset >= first);
    due.filter(|record| offsets.contains(&record.offset) || !is_compacted(record)).collect()
}
