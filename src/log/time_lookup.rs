//! Offsets by time: which record is the first at or after a moment, and which has the latest timestamp.

use super::DECOMPRESSED_BYTES_MAX;
use super::index::IndexEntry;
use super::partition::Partition;
use super::reader::{ReadError, Reader, header_at};
use crate::types::{LeaderEpoch, Offset, Timestamp};
use crate::wire::batch::{self, BatchHeader};
use bytes::Bytes;

/// What is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeQuery {
    /// The first record whose timestamp is this or later.
    AtOrAfter(Timestamp),
    /// The first record with the latest timestamp of all (KIP-734).
    Latest,
}

/// A record that was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FoundOffset {
    /// Its offset.
    pub offset: Offset,
    /// Its timestamp.
    pub timestamp: Timestamp,
    /// The epoch of its batch.
    pub leader_epoch: LeaderEpoch,
}

impl Reader {
    /// Looks among the committed records of `partition`.
    pub async fn find(
        &self,
        partition: &Partition,
        query: TimeQuery,
    ) -> Result<Option<FoundOffset>, ReadError> {
        match query {
            TimeQuery::AtOrAfter(target) => self.first_at_or_after(partition, target).await,
            TimeQuery::Latest => {
                let archived = partition.segment_of_max_timestamp();
                let entry = partition.span_of_max_timestamp();
                let in_journal = entry.as_ref().map(|entry| entry.max_timestamp);
                if let Some(archived) = archived
                    && in_journal.is_none_or(|latest| latest <= archived.segment.max_timestamp)
                {
                    let (latest, at) =
                        (archived.segment.max_timestamp, archived.segment.max_timestamp_offset);
                    let found = self.segments.first_at_or_after(&archived, latest, at).await?;
                    if found.is_some() {
                        return Ok(found);
                    }
                }
                let Some(entry) = entry else { return Ok(None) };
                let target = entry.max_timestamp;
                self.find_in_span(&entry, target, Offset::ZERO).await
            }
        }
    }

    async fn first_at_or_after(
        &self,
        partition: &Partition,
        target: Timestamp,
    ) -> Result<Option<FoundOffset>, ReadError> {
        let log_start_offset = partition.ends().log_start_offset;
        for wanted in partition.segments_from_timestamp(target) {
            let found = self.segments.first_at_or_after(&wanted, target, log_start_offset).await?;
            if found.is_some() {
                return Ok(found);
            }
        }
        for entry in partition.spans_from_timestamp(target) {
            let found = self.find_in_span(&entry, target, log_start_offset).await?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    async fn find_in_span(
        &self,
        entry: &IndexEntry,
        target: Timestamp,
        log_start_offset: Offset,
    ) -> Result<Option<FoundOffset>, ReadError> {
        let span = self.span(entry).await?;
        let mut position = 0;
        while position < span.len() {
            let header = header_at(&span, position)?;
            let end = position + header.total_bytes();
            if header.max_timestamp >= target
                && let Some(found) =
                    find_in_batch(&header, &span.slice(position..end), target, log_start_offset)?
            {
                return Ok(Some(found));
            }
            position = end;
        }
        Ok(None)
    }
}

/// The first record of the batch that is not before `target`; records below the log start do not count.
fn find_in_batch(
    header: &BatchHeader,
    batch: &Bytes,
    target: Timestamp,
    log_start_offset: Offset,
) -> Result<Option<FoundOffset>, ReadError> {
    let damaged = |error: batch::ReadError| ReadError::Damaged(error.to_string());
    let found = batch::offset_for_timestamp(batch, target, DECOMPRESSED_BYTES_MAX).map_err(damaged)?;
    let leader_epoch = header.partition_leader_epoch;
    let found = found.filter(|(offset, _)| *offset >= log_start_offset);
    Ok(found.map(|(offset, timestamp)| FoundOffset { offset, timestamp, leader_epoch }))
}
