//! Where a partition is to be read next: pure.

use super::StartAt;
use crate::types::Offset;
use crate::wire::batch::{BatchHeader, HeaderError, split};
use bytes::Bytes;
use std::ops::Range;

/// The next offset to be fetched, and the one to stop before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::client) struct Position {
    pub(in crate::client) next: Offset,
    pub(in crate::client) stop: Offset,
}

/// The first offset to fetch from a log that has `log`; an offset outside is given back as an error.
pub(super) fn first(start: StartAt, log: Range<Offset>, at_time: Option<Offset>) -> Result<Offset, Offset> {
    match start {
        StartAt::Earliest => Ok(log.start),
        StartAt::Latest => Ok(log.end),
        StartAt::Offset(offset) if offset < log.start || offset > log.end => Err(offset),
        StartAt::Offset(offset) => Ok(offset),
        StartAt::FromEnd(records) => Ok(Offset(log.end.get().saturating_sub(records)).max(log.start)),
        StartAt::Time(_) => Ok(at_time.filter(|offset| offset.get() >= 0).unwrap_or(log.end)),
    }
}

/// A batch of an answer, and which of its offsets are wanted.
pub(super) type Taken = (BatchHeader, Bytes, Range<Offset>);

impl Position {
    pub(super) fn is_at_end(self) -> bool {
        self.next >= self.stop
    }

    /// Takes the batches of an answer and moves behind them. An incomplete batch at the end is left for the
    /// next fetch; a batch may begin before the wanted offset, and offsets that compaction removed are skipped.
    pub(super) fn take(&mut self, records: Bytes) -> Result<Vec<Taken>, HeaderError> {
        let mut taken = Vec::new();
        for batch in split(records) {
            let (header, bytes) = batch?;
            let offsets = header.offsets();
            if offsets.end <= self.next {
                continue;
            }
            if self.is_at_end() {
                break;
            }
            taken.push((header, bytes, self.next..self.stop));
            self.next = offsets.end;
        }
        Ok(taken)
    }
}

#[cfg(test)]
mod tests;
