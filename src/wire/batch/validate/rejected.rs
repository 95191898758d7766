//! Single records of a batch that a topic does not take, all of them named, as Apache Kafka does.

use super::ProduceRules;
use crate::types::Timestamp;
use crate::wire::batch::header::{BatchHeader, TimestampType};
use crate::wire::batch::records::{Record, Records};
use std::fmt;
use std::ops::RangeInclusive;

/// What is wrong with a single record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordFault {
    /// It has no key, where records are found by it.
    #[error("has no key, which a compacted topic needs")]
    NoKey,
    /// Its time is too far from now, or more than a segment can hold.
    #[error(
        "has timestamp {}, accepted are {} to {}", timestamp.get(), accepted.start().get(), accepted.end().get()
    )]
    OutOfRange {
        /// Its own.
        timestamp: Timestamp,
        /// Those that the topic takes at the moment.
        accepted: RangeInclusive<Timestamp>,
    },
    /// It bears the broker's mark for its own time.
    #[error("says that its timestamp is the broker's")]
    AppendTime,
}

/// The records of a batch that are to blame for its refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RejectedRecords {
    /// Which, from 0, and why; the first [`REJECTED_MAX`] of them.
    pub faults: Vec<(usize, RecordFault)>,
    /// How many.
    pub total: usize,
    /// Whether any of them, also of those that are not named, has a time that is not taken.
    pub has_wrong_time: bool,
}

/// Records that are named.
pub const REJECTED_MAX: usize = 1_000;

impl RejectedRecords {
    /// Looks at every record, as one of them was found wanting. A record that is none ends them.
    pub(super) fn of(header: &BatchHeader, payload: &[u8], rules: &ProduceRules) -> RejectedRecords {
        let records = Records::new(header, payload).map_while(Result::ok).enumerate();
        RejectedRecords::from_faults(
            records.filter_map(|(index, record)| Some((index, fault(rules, &record)?))),
        )
    }

    /// All records of a batch whose header says that their time is the broker's.
    pub(super) fn with_append_time(header: &BatchHeader) -> RejectedRecords {
        let count = usize::try_from(header.record_count).unwrap_or(0);
        RejectedRecords {
            faults: (0..count.min(REJECTED_MAX)).map(|index| (index, RecordFault::AppendTime)).collect(),
            total: count,
            has_wrong_time: true,
        }
    }

    fn from_faults(found: impl Iterator<Item = (usize, RecordFault)>) -> RejectedRecords {
        let mut rejected = RejectedRecords { faults: Vec::new(), total: 0, has_wrong_time: false };
        for (index, fault) in found {
            rejected.total += 1;
            rejected.has_wrong_time |= fault != RecordFault::NoKey;
            if rejected.faults.len() < REJECTED_MAX {
                rejected.faults.push((index, fault));
            }
        }
        rejected
    }
}

impl fmt::Display for RejectedRecords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.faults.first() {
            Some((index, fault)) => write!(f, "record {index} {fault}"),
            None => f.write_str("a record is not accepted"),
        }
    }
}

/// Why the topic does not take a record, if it does not.
fn fault(rules: &ProduceRules, record: &Record<'_>) -> Option<RecordFault> {
    if rules.compacted && record.key.is_none() {
        return Some(RecordFault::NoKey);
    }
    let accepted = accepted_times(rules)?;
    let timestamp = record.timestamp;
    let is_taken = timestamp == Timestamp::NONE || accepted.contains(&timestamp);
    (!is_taken).then_some(RecordFault::OutOfRange { timestamp, accepted })
}

/// The times that producers may give: near enough to now, and such as a segment can hold. None: any, as the broker gives
/// its own.
pub(super) fn accepted_times(rules: &ProduceRules) -> Option<RangeInclusive<Timestamp>> {
    if rules.timestamp_type == TimestampType::LogAppendTime {
        return None;
    }
    let now = rules.now.get();
    let earliest = Timestamp(now.saturating_sub(rules.before_max_ms)).max(Timestamp::EARLIEST);
    let latest = Timestamp(now.saturating_add(rules.after_max_ms)).min(Timestamp::LATEST);
    Some(earliest..=latest)
}
