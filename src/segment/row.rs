//! One record with what is known of its batch, borrowed: from a record batch, or from a segment's columns.

use crate::types::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp};
use crate::wire::batch::{Codec, Header, Headers, TimestampType};
use arrow_array::{Array, BinaryViewArray};
use std::ops::Range;

/// A row of a segment.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    /// Its number in the partition.
    pub offset: Offset,
    /// When, by the clock of `timestamp_type`.
    pub timestamp: Timestamp,
    /// Whose clock.
    pub timestamp_type: TimestampType,
    /// Its key, if any.
    pub key: Option<&'a [u8]>,
    /// Its value, if any.
    pub value: Option<&'a [u8]>,
    /// Its headers, in order, with repeats.
    pub headers: RowHeaders<'a>,
    /// The leader's epoch when it was appended.
    pub leader_epoch: LeaderEpoch,
    /// The first offset of the batch in which it was produced.
    pub batch_base_offset: Offset,
    /// Its idempotent producer, -1 for none.
    pub producer_id: ProducerId,
    /// The producer's epoch, -1 for none.
    pub producer_epoch: ProducerEpoch,
    /// Its own sequence number, -1 for none.
    pub sequence: i32,
    /// Whether it belongs to a transaction, which was committed.
    pub transactional: bool,
    /// How its batch was compressed when it was produced.
    pub codec: Codec,
}

impl Row<'_> {
    /// Bytes of key, value and headers: what counts as raw bytes of a segment.
    #[must_use]
    pub fn raw_bytes(&self) -> usize {
        let headers: usize = self.headers.map(|h| h.key.len() + h.value.map_or(0, <[u8]>::len)).sum();
        self.key.map_or(0, <[u8]>::len) + self.value.map_or(0, <[u8]>::len) + headers
    }
}

/// The headers of a row: iterate over a copy.
#[derive(Clone, Copy, Debug)]
pub struct RowHeaders<'a>(Source<'a>);

#[derive(Clone, Copy, Debug)]
enum Source<'a> {
    Batch(Headers<'a>),
    Columns { keys: &'a BinaryViewArray, values: &'a BinaryViewArray, next: usize, end: usize },
}

impl<'a> RowHeaders<'a> {
    /// Those of a record of a batch.
    #[must_use]
    pub fn of_record(headers: Headers<'a>) -> RowHeaders<'a> {
        RowHeaders(Source::Batch(headers))
    }

    /// Those at `range` of the two columns, which are as long as that.
    pub(super) fn of_columns(
        keys: &'a BinaryViewArray,
        values: &'a BinaryViewArray,
        range: Range<usize>,
    ) -> RowHeaders<'a> {
        RowHeaders(Source::Columns { keys, values, next: range.start, end: range.end })
    }

    /// How many are left.
    #[must_use]
    pub fn len(&self) -> usize {
        match self.0 {
            Source::Batch(headers) => headers.len(),
            Source::Columns { next, end, .. } => end - next,
        }
    }

    /// Whether none is left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<'a> Iterator for RowHeaders<'a> {
    type Item = Header<'a>;

    #[inline]
    fn next(&mut self) -> Option<Header<'a>> {
        match &mut self.0 {
            Source::Batch(headers) => headers.next(),
            Source::Columns { keys, values, next, end } => {
                let index = *next;
                (index < *end).then(|| {
                    *next += 1;
                    let value = values.is_valid(index).then(|| values.value(index));
                    Header { key: keys.value(index), value }
                })
            }
        }
    }
}

/// The sequence number of the record `records` after the one that has `sequence`: after the greatest `i32` comes 0.
pub(super) fn sequence_after(sequence: i32, records: i64) -> i32 {
    let next = (i64::from(sequence) + records).rem_euclid(i64::from(i32::MAX) + 1);
    i32::try_from(next).expect("a remainder of 2^31 is an i32")
}
