//! What a partition waits for before its records become a segment: what [`cut`](super::cut) decides by, in words. Never a
//! decision; where the broker's memory is short ([`JournalPressure::High`]), partitions may go sooner than is said here.

use super::cut::{CutSettings, JournalPressure, PutShare};
use super::journal_copy::share_of;
use crate::config::ArchiveConfig;
use crate::log::{JournalNeeds, Partition};
use crate::topic::TopicSettings;
use std::fmt;
use std::time::Duration;

/// What a partition with records in the journal waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitsFor {
    /// Nothing may be archived before a transaction has ended.
    OpenTransaction,
    /// It has paid for its segment: one of the two will do.
    SizeOrAge {
        /// Of its batches, in bytes.
        bytes: u64,
        /// Of its oldest record.
        age: Duration,
    },
    /// It has not paid for a segment with its share of the journal's PUTs.
    ShareOfPuts {
        /// How much of it, in percent.
        paid_percent: u64,
        /// When it goes nevertheless.
        age_max: Duration,
    },
    /// The archiver.
    Turn,
}

/// What that partition waits for; none: all that is readable is in segments.
#[must_use]
pub fn waits_for(
    broker: &ArchiveConfig,
    topic: &TopicSettings,
    needs: &JournalNeeds,
    partition: &Partition,
) -> Option<WaitsFor> {
    let settings = CutSettings::of(broker, topic, JournalPressure::Low);
    let (offsets, _) = partition.archivable();
    if offsets.is_empty() {
        let waits = partition.archive_state().lag_records() > 0;
        return waits.then_some(WaitsFor::OpenTransaction);
    }
    let unarchived = partition.unarchived(settings.bytes);
    if unarchived.bytes >= settings.bytes {
        return Some(WaitsFor::Turn);
    }
    let shares = unarchived.spans.iter().map(|span| share_of(needs, span));
    let paid = shares.fold(PutShare::default(), |paid, share| paid + share);
    Some(if paid >= PutShare::OF_A_SEGMENT {
        WaitsFor::SizeOrAge { bytes: settings.bytes, age: settings.age }
    } else {
        let paid_percent = paid.millionths().saturating_mul(100) / PutShare::OF_A_SEGMENT.millionths();
        WaitsFor::ShareOfPuts { paid_percent, age_max: settings.age.max(settings.age_max) }
    })
}

impl fmt::Display for WaitsFor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            WaitsFor::OpenTransaction => f.write_str("open transaction"),
            WaitsFor::SizeOrAge { bytes, age } => write!(f, "size {} or age {}", size(bytes), length(age)),
            WaitsFor::ShareOfPuts { paid_percent, age_max } => {
                write!(f, "share of PUTs ({paid_percent}% paid), {} at most", length(age_max))
            }
            WaitsFor::Turn => f.write_str("its turn"),
        }
    }
}

/// In the largest unit that leaves no rest, as settings are written.
fn size(bytes: u64) -> String {
    let units = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"), (1, "B")];
    in_units(bytes, &units)
}

fn length(time: Duration) -> String {
    let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    in_units(millis, &[(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s"), (1, "ms")])
}

fn in_units(number: u64, units: &[(u64, &str)]) -> String {
    let fits = |(unit, _): &&(u64, &str)| number >= *unit && number.is_multiple_of(*unit);
    let found = units.iter().find(fits).or(units.last());
    found.map_or_else(|| number.to_string(), |(unit, name)| format!("{}{name}", number / unit))
}

#[cfg(test)]
mod tests {
    use super::WaitsFor;
    use std::time::Duration;

    #[test]
    fn what_is_waited_for_is_said_as_settings_are_written() {
        let minute = Duration::from_secs(60);
        for (waits_for, said) in [
            (WaitsFor::SizeOrAge { bytes: 64 << 20, age: 10 * minute }, "size 64MiB or age 10m"),
            (
                WaitsFor::SizeOrAge { bytes: 1500, age: Duration::from_millis(1500) },
                "size 1500B or age 1500ms",
            ),
            (WaitsFor::SizeOrAge { bytes: 0, age: Duration::ZERO }, "size 0B or age 0ms"),
            (
                WaitsFor::ShareOfPuts { paid_percent: 7, age_max: 24 * 60 * minute },
                "share of PUTs (7% paid), 1d at most",
            ),
            (WaitsFor::OpenTransaction, "open transaction"),
            (WaitsFor::Turn, "its turn"),
        ] {
            assert_eq!(waits_for.to_string(), said);
        }
    }
}
