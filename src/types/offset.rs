//! Places in a partition's log, and moments.

use std::fmt;
use std::ops::{Add, Sub};

/// A record's number in its partition, from 0. Ranges of offsets are half-open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Offset(pub i64);

impl Offset {
    /// The first offset of every log.
    pub const ZERO: Offset = Offset(0);

    /// The offset as Kafka's protocol writes it.
    #[must_use]
    pub fn get(self) -> i64 {
        self.0
    }
}

impl Add<i64> for Offset {
    type Output = Offset;
    fn add(self, records: i64) -> Offset {
        Offset(self.0 + records)
    }
}

impl Sub for Offset {
    type Output = i64;
    fn sub(self, earlier: Offset) -> i64 {
        self.0 - earlier.0
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Milliseconds since the Unix epoch, UTC, as Kafka's records carry them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// The value that stands for "no timestamp" in Kafka's protocol.
    pub const NONE: Timestamp = Timestamp(-1);
    /// The earliest that a count of microseconds since 1970 holds, as columns of Parquet have it: 292,277 years before.
    pub const EARLIEST: Timestamp = Timestamp(i64::MIN / 1000);
    /// The latest, in the year 294,247.
    pub const LATEST: Timestamp = Timestamp(i64::MAX / 1000);

    /// The timestamp as Kafka's protocol writes it.
    #[must_use]
    pub fn get(self) -> i64 {
        self.0
    }
}
