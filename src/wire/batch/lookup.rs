//! Which record of a batch stands at a time: ListOffsets.

use super::records::{DecodedBatch, ReadError};
use crate::types::{Offset, Timestamp};
use bytes::Bytes;

/// The first record from `from` on that is not before `target`, by its offset, with its own timestamp.
pub fn offset_for_timestamp(
    batch: &Bytes,
    target: Timestamp,
    from: Offset,
    decompressed_bytes_max: usize,
) -> Result<Option<(Offset, Timestamp)>, ReadError> {
    let batch = DecodedBatch::decode(batch, decompressed_bytes_max)?;
    if batch.header.max_timestamp < target {
        return Ok(None);
    }
    for record in batch.records() {
        let record = record?;
        if record.timestamp >= target && record.offset >= from {
            return Ok(Some((record.offset, record.timestamp)));
        }
    }
    Ok(None)
}

/// The first record that carries the batch's max timestamp, with it.
pub fn offset_of_max_timestamp(
    batch: &Bytes,
    decompressed_bytes_max: usize,
) -> Result<Option<(Offset, Timestamp)>, ReadError> {
    let max_timestamp = super::header::BatchHeader::decode(batch)?.max_timestamp;
    offset_for_timestamp(batch, max_timestamp, Offset::ZERO, decompressed_bytes_max)
}

/// The first record from `from` on that has the latest timestamp of these, with it.
pub fn latest_from(
    batch: &Bytes,
    from: Offset,
    decompressed_bytes_max: usize,
) -> Result<Option<(Offset, Timestamp)>, ReadError> {
    let batch = DecodedBatch::decode(batch, decompressed_bytes_max)?;
    let mut latest: Option<(Offset, Timestamp)> = None;
    for record in batch.records() {
        let record = record?;
        if record.offset >= from && latest.is_none_or(|(_, timestamp)| timestamp < record.timestamp) {
            latest = Some((record.offset, record.timestamp));
        }
    }
    Ok(latest)
}
