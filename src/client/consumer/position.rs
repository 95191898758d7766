//! Where a partition is to be read next: pure.

use super::StartAt;
use super::aborted::Aborted;
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

/// What a partition has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Log {
    pub(super) offsets: Range<Offset>,
    /// What can be read ends here: before the end, where a transaction is open and only what is committed is read.
    pub(super) readable_end: Offset,
    /// The first offset that is not before the time asked for; -1 when there is none.
    pub(super) at_time: Option<Offset>,
}

/// The first offset to fetch; an offset outside the log is given back as an error.
pub(super) fn first(start: StartAt, log: &Log) -> Result<Offset, Offset> {
    let Range { start: log_start, end: log_end } = log.offsets;
    match start {
        StartAt::Earliest => Ok(log_start),
        StartAt::Latest => Ok(log.readable_end),
        StartAt::Offset(offset) if offset < log_start || offset > log_end => Err(offset),
        StartAt::Offset(offset) => Ok(offset),
        StartAt::FromEnd(records) => {
            Ok(Offset(log.readable_end.get().saturating_sub(records)).max(log_start))
        }
        StartAt::Time(_) => Ok(log.at_time.filter(|offset| offset.get() >= 0).unwrap_or(log.readable_end)),
    }
}

/// A batch of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Taken {
    pub(super) header: BatchHeader,
    pub(super) bytes: Bytes,
    /// Which of its offsets are wanted.
    pub(super) wanted: Range<Offset>,
    pub(super) is_aborted: bool,
}

impl Position {
    pub(super) fn is_at_end(self) -> bool {
        self.next >= self.stop
    }

    /// Takes the batches of an answer and moves behind them. An incomplete batch at the end is left for the
    /// next fetch; a batch may begin before the wanted offset, and offsets that compaction removed are skipped.
    pub(super) fn take(&mut self, records: Bytes, mut aborted: Aborted) -> Result<Vec<Taken>, HeaderError> {
        let mut taken = Vec::new();
        for batch in split(records) {
            let (header, bytes) = batch?;
            let offsets = header.offsets();
            let is_aborted = aborted.has(&header);
            if offsets.end <= self.next {
                continue;
            }
            if self.is_at_end() {
                break;
            }
            taken.push(Taken { header, bytes, wanted: self.next..self.stop, is_aborted });
            self.next = offsets.end;
        }
        Ok(taken)
    }
}

#[cfg(test)]
mod tests;
