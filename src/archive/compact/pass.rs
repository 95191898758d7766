//! One pass of log compaction: first the keys of the dirty section, then each row's fate.

use super::offset_table::{HashKey, OffsetTable, TableFull};
use crate::types::Offset;
use std::ops::Range;

/// What decides about a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowKey<'a> {
    /// Its offset.
    pub offset: Offset,
    /// Its key, if it has one; an empty one is a key as any other.
    pub key: Option<&'a [u8]>,
    /// Whether its value is null; an empty one is a value.
    pub is_tombstone: bool,
}

/// The first half: reads the dirty section.
pub struct DirtyPass {
    dirty: Range<Offset>,
    table: OffsetTable,
}

/// Whether the first half goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PassProgress {
    /// The next row, please.
    More,
    /// There is no room for another key: the pass ends before the row that was just shown.
    Full,
}

/// The second half: tells which rows stay.
pub struct Survivors {
    table: OffsetTable,
    up_to: Offset,
    log_start_offset: Offset,
    expired_below: Offset,
}

/// What becomes of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It stays.
    Kept,
    /// A later row has its key.
    Superseded,
    /// It is a tombstone that has had its time.
    Expired,
    /// It has no key.
    Keyless,
    /// It is below the log start.
    BelowLogStart,
}

impl DirtyPass {
    /// A pass over `dirty`, which has at most `rows` rows, with a table of at most `memory_bytes`.
    #[must_use]
    pub fn new(dirty: Range<Offset>, rows: u64, memory_bytes: usize, hash_key: HashKey) -> DirtyPass {
        DirtyPass { dirty, table: OffsetTable::new(memory_bytes, rows, hash_key) }
    }

    /// Takes a row. They come in the order of their offsets; those outside of the dirty section are passed over.
    pub fn observe(&mut self, row: RowKey<'_>) -> PassProgress {
        let Some(key) = row.key.filter(|_| self.dirty.contains(&row.offset)) else {
            return PassProgress::More;
        };
        match self.table.put(key, row.offset) {
            Ok(()) => PassProgress::More,
            Err(TableFull) => {
                // At least one key was taken, so that the next pass begins later than this one.
                self.dirty.end = row.offset;
                PassProgress::Full
            }
        }
    }

    /// All rows of the dirty section were shown, or as many as there was room for. `expired_below` is where
    /// tombstones have had their time.
    #[must_use]
    pub fn finish(self, log_start_offset: Offset, expired_below: Offset) -> Survivors {
        // What this pass is the first to see has its time still before it.
        let expired_below = expired_below.min(self.dirty.start);
        Survivors { table: self.table, up_to: self.dirty.end, log_start_offset, expired_below }
    }
}

impl Survivors {
    /// Where the pass ends: rows from here on stay, and the next pass begins here.
    #[must_use]
    pub fn up_to(&self) -> Offset {
        self.up_to
    }

    /// Keys that it knows.
    #[must_use]
    pub fn keys(&self) -> usize {
        self.table.keys()
    }

    /// What it takes, in bytes.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.table.memory_bytes()
    }

    /// What becomes of a row.
    #[must_use]
    pub fn fate(&self, row: RowKey<'_>) -> Fate {
        if row.offset < self.log_start_offset {
            return Fate::BelowLogStart;
        }
        if row.offset >= self.up_to {
            return Fate::Kept;
        }
        let Some(key) = row.key else { return Fate::Keyless };
        if self.table.get(key).is_some_and(|last| row.offset < last) {
            return Fate::Superseded;
        }
        if row.is_tombstone && row.offset < self.expired_below { Fate::Expired } else { Fate::Kept }
    }
}
