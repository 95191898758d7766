//! One segment as the manifest knows it.

use crate::segment::SegmentSummary;
use crate::store::paths::SegmentName;
use crate::types::{LeaderEpoch, Offset, Timestamp};
use std::iter::Sum;
use std::ops::{Add, Range};
use uuid::Uuid;

/// One immutable Parquet file of the partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// The offsets that it stands for. Rows may be missing anywhere in the range, at both ends too.
    pub offsets: Range<Offset>,
    /// The earliest timestamp of its rows.
    pub min_timestamp: Timestamp,
    /// The latest timestamp of its rows.
    pub max_timestamp: Timestamp,
    /// The first row that has the latest timestamp.
    pub max_timestamp_offset: Offset,
    /// Its rows, at least one.
    pub rows: u64,
    /// Those rows that have a key and no value.
    pub tombstones: u64,
    /// Keys, values and headers before any encoding, in bytes.
    pub raw_bytes: u64,
    /// The file, in bytes.
    pub file_bytes: u64,
    /// CRC-32C of the file.
    pub crc32c: u32,
    /// What makes its name unique, and thereby names it.
    pub unique: Uuid,
    /// The epoch of the leader that wrote it.
    pub leader_epoch: LeaderEpoch,
    /// How often its rows were merged: 0 as the archiver wrote it.
    pub level: u8,
}

/// What a segment's name and its level say of where it comes from.
#[derive(Clone, Copy, Debug)]
pub struct Made {
    /// What no other segment has.
    pub unique: Uuid,
    /// The leader epoch of who wrote it.
    pub leader_epoch: LeaderEpoch,
    /// How often its rows were merged.
    pub level: u8,
}

impl Segment {
    /// The entry of a file that was written.
    #[must_use]
    pub fn written(summary: SegmentSummary, made: Made) -> Segment {
        Segment {
            offsets: summary.offsets,
            min_timestamp: summary.min_timestamp,
            max_timestamp: summary.max_timestamp,
            max_timestamp_offset: summary.max_timestamp_offset,
            rows: summary.rows,
            tombstones: summary.tombstones,
            raw_bytes: summary.raw_bytes,
            file_bytes: summary.file_bytes,
            crc32c: summary.crc32c,
            unique: made.unique,
            leader_epoch: made.leader_epoch,
            level: made.level,
        }
    }

    /// The parts of its file's name.
    #[must_use]
    pub fn name(&self) -> SegmentName {
        let (offsets, leader_epoch, unique) = (self.offsets.clone(), self.leader_epoch, self.unique);
        SegmentName { offsets, leader_epoch, unique }
    }

    /// What it counts for.
    #[must_use]
    pub fn totals(&self) -> Totals {
        let Segment { rows, tombstones, raw_bytes, file_bytes, .. } = *self;
        Totals { segments: 1, rows, tombstones, raw_bytes, file_bytes }
    }

    /// What is wrong with it by itself, if anything.
    #[must_use]
    pub fn fault(&self) -> Option<&'static str> {
        let Range { start, end } = self.offsets;
        let offsets = u64::try_from(end.0.saturating_sub(start.0)).unwrap_or(0);
        match () {
            () if start < Offset::ZERO || offsets == 0 => Some("its offsets are no range"),
            () if self.rows == 0 || self.rows > offsets => Some("it cannot have so many rows"),
            () if self.tombstones > self.rows => Some("it has more tombstones than rows"),
            () if self.min_timestamp > self.max_timestamp => Some("its timestamps are no range"),
            () if !self.offsets.contains(&self.max_timestamp_offset) => {
                Some("its latest timestamp lies outside of it")
            }
            () if self.file_bytes == 0 => Some("its file is empty"),
            () if self.leader_epoch.0 < 0 => Some("its epoch is negative"),
            () => None,
        }
    }
}

/// Sums over segments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// How many segments.
    pub segments: u64,
    /// Their rows.
    pub rows: u64,
    /// Rows that have a key and no value.
    pub tombstones: u64,
    /// Bytes before any encoding.
    pub raw_bytes: u64,
    /// Bytes of the files.
    pub file_bytes: u64,
}

impl Add for Totals {
    type Output = Totals;

    /// Saturates: numbers that were read may be anything.
    fn add(self, other: Totals) -> Totals {
        Totals {
            segments: self.segments.saturating_add(other.segments),
            rows: self.rows.saturating_add(other.rows),
            tombstones: self.tombstones.saturating_add(other.tombstones),
            raw_bytes: self.raw_bytes.saturating_add(other.raw_bytes),
            file_bytes: self.file_bytes.saturating_add(other.file_bytes),
        }
    }
}

impl Sum for Totals {
    fn sum<I: Iterator<Item = Totals>>(totals: I) -> Totals {
        totals.fold(Totals::default(), Totals::add)
    }
}
