//! Offsets by time: which record is the first at or after a moment, and which has the latest timestamp.

use super::DECOMPRESSED_BYTES_MAX;
use super::index::IndexEntry;
use super::partition::{LatestPieces, Partition};
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
    /// Looks among the committed records of `partition`; once more, if an object has gone meanwhile that was to be read.
    pub async fn find(
        &self,
        partition: &Partition,
        query: TimeQuery,
    ) -> Result<Option<FoundOffset>, ReadError> {
        match self.find_once(partition, query).await {
            Err(ReadError::Missing(why)) => tracing::info!(why, "a look-up is begun again"),
            found => return found,
        }
        self.find_once(partition, query).await
    }

    async fn find_once(
        &self,
        partition: &Partition,
        query: TimeQuery,
    ) -> Result<Option<FoundOffset>, ReadError> {
        match query {
            TimeQuery::AtOrAfter(target) => self.first_at_or_after(partition, target).await,
            TimeQuery::Latest => self.latest(partition).await,
        }
    }

    /// Pieces are looked through in the order of their offsets, as the first of equals counts.
    async fn latest(&self, partition: &Partition) -> Result<Option<FoundOffset>, ReadError> {
        let LatestPieces { from, cut_segment, segment, cut_span, span } = partition.latest_pieces();
        let mut latest: Option<FoundOffset> = None;
        let is_later = |latest: &Option<FoundOffset>, timestamp: Timestamp| {
            latest.as_ref().is_none_or(|latest| latest.timestamp < timestamp)
        };
        if let Some(cut) = cut_segment {
            latest = self.segments.latest_from(&cut, from).await?;
        }
        if let Some(segment) = segment.filter(|found| is_later(&latest, found.segment.max_timestamp)) {
            let (timestamp, at) = (segment.segment.max_timestamp, segment.segment.max_timestamp_offset);
            latest = self.segments.first_at_or_after(&segment, timestamp, at).await?.or(latest);
        }
        if let Some(cut) = cut_span.filter(|cut| is_later(&latest, cut.max_timestamp)) {
            let found = self.latest_in_span(&cut, from).await?;
            latest = found.filter(|found| is_later(&latest, found.timestamp)).or(latest);
        }
        if let Some(span) = span.filter(|span| is_later(&latest, span.max_timestamp)) {
            latest = self.find_in_span(&span, span.max_timestamp, from).await?.or(latest);
        }
        Ok(latest)
    }

    async fn latest_in_span(
        &self,
        entry: &IndexEntry,
        from: Offset,
    ) -> Result<Option<FoundOffset>, ReadError> {
        let damaged = |error: batch::ReadError| ReadError::Damaged(error.to_string());
        let span = self.span(entry).await?;
        let mut latest: Option<FoundOffset> = None;
        let mut position = 0;
        while position < span.len() {
            let header = header_at(&span, position)?;
            let end = position + header.total_bytes();
            let batch = span.slice(position..end);
            let found = batch::latest_from(&batch, from, DECOMPRESSED_BYTES_MAX).map_err(damaged)?;
            if let Some((offset, timestamp)) = found
                && latest.is_none_or(|latest| latest.timestamp < timestamp)
            {
                latest = Some(FoundOffset { offset, timestamp, leader_epoch: header.partition_leader_epoch });
            }
            position = end;
        }
        Ok(latest)
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
    let found = batch::offset_for_timestamp(batch, target, log_start_offset, DECOMPRESSED_BYTES_MAX);
    let found = found.map_err(damaged)?;
    let leader_epoch = header.partition_leader_epoch;
    Ok(found.map(|(offset, timestamp)| FoundOffset { offset, timestamp, leader_epoch }))
}
