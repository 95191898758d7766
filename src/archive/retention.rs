//! Up to where old records go, by age and by size (`cleanup.policy` with `delete`).
//!
//! The rules are Apache Kafka's, whose log is a row of segments: from the oldest on, a segment goes while its latest
//! timestamp is older than `retention.ms`; and one goes while the rest is still at least `retention.bytes`. The
//! first that stays ends it, so a record with a timestamp of the future keeps what lies behind it.
//!
//! In Kafka the last, active segment goes too, as soon as its latest record is old enough. Here what is not archived
//! yet takes its place: a tail of spans, runs of at most 1 MiB of batches in one journal object. Each counts as a
//! segment of its own. So records end on time even where they were never archived (a short `retention.ms`, a
//! partition that waits for its cut), and sooner than in Kafka, where a segment's youngest record holds its oldest
//! back, but never before their time. The size is what is stored: files of segments, batches of spans.
//!
//! A piece whose records have no timestamps has no age. Kafka then takes the file's time; here it goes together
//! with the next piece that has one and is too old.
//!
//! Nothing goes that is not below the last stable offset: whether records of an open transaction are ever to be read
//! is not known yet. Kafka's limit is the high watermark.

use crate::segment::manifest::Segment;
use crate::topic::TopicSettings;
use crate::types::{Offset, Timestamp};

/// What a partition may keep; none is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RetentionSettings {
    /// `retention.ms`
    pub age_ms: Option<i64>,
    /// `retention.bytes`
    pub bytes: Option<u64>,
}

impl RetentionSettings {
    /// The limits of a topic: none if its policy is not to delete.
    #[must_use]
    pub fn of(topic: &TopicSettings) -> RetentionSettings {
        if !topic.cleanup_policy.delete {
            return RetentionSettings::default();
        }
        let bytes = topic.retention_bytes.and_then(|bytes| u64::try_from(bytes).ok());
        RetentionSettings { age_ms: topic.retention_ms.filter(|&ms| ms >= 0), bytes }
    }
}

/// What goes as a whole or stays: a segment, or a span of the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The first offset above it.
    pub end: Offset,
    /// The latest of its records' timestamps; negative if they have none.
    pub max_timestamp: Timestamp,
    /// Its size in the store, in bytes.
    pub bytes: u64,
}

impl From<&Segment> for Piece {
    fn from(segment: &Segment) -> Piece {
        let Segment { offsets, max_timestamp, file_bytes, .. } = segment;
        Piece { end: offsets.end, max_timestamp: *max_timestamp, bytes: *file_bytes }
    }
}

/// A partition's log as retention sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retained {
    /// The first readable offset.
    pub log_start_offset: Offset,
    /// The first offset of which it is not known whether it will be read.
    pub last_stable_offset: Offset,
    /// All pieces together.
    pub bytes: u64,
}

/// The new log start, if it is to move. `pieces` are those above the present log start, from the oldest on; only
/// as many are taken as go, and one more.
pub fn new_log_start(
    settings: &RetentionSettings,
    now: Timestamp,
    log: Retained,
    pieces: impl IntoIterator<Item = Piece>,
) -> Option<Offset> {
    // None if the log is below its limit, where not even a piece of no bytes goes.
    let surplus = settings.bytes.and_then(|limit| log.bytes.checked_sub(limit));
    let mut by_size = GoesOn::of(surplus.is_some());
    let mut surplus = surplus.unwrap_or(0);
    let mut by_age = GoesOn::of(settings.age_ms.is_some());
    let mut new_start = log.log_start_offset;
    for piece in pieces {
        let is_open = by_size == GoesOn::Yes || by_age == GoesOn::Yes;
        if !is_open || piece.end > log.last_stable_offset {
            break;
        }
        by_size = by_size.and(piece.bytes <= surplus);
        surplus = surplus.saturating_sub(piece.bytes);
        by_age = by_age.and(settings.age_ms.is_some_and(|age_ms| may_pass(piece, now, age_ms)));
        let is_old = by_age == GoesOn::Yes && piece.max_timestamp.0 >= 0;
        if by_size == GoesOn::Yes || is_old {
            new_start = new_start.max(piece.end);
        }
    }
    (new_start > log.log_start_offset).then_some(new_start)
}

/// Whether a rule still takes pieces.
#[derive(Clone, Copy, PartialEq, Eq)]
enum GoesOn {
    Yes,
    No,
}

impl GoesOn {
    fn of(condition: bool) -> GoesOn {
        if condition { GoesOn::Yes } else { GoesOn::No }
    }

    fn and(self, condition: bool) -> GoesOn {
        if condition { self } else { GoesOn::No }
    }
}

/// Whether a piece does not stop the look for old ones.
fn may_pass(piece: Piece, now: Timestamp, age_ms: i64) -> bool {
    let has_none = piece.max_timestamp.0 < 0;
    has_none || now.0.saturating_sub(piece.max_timestamp.0) > age_ms
}
