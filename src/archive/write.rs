//! Makes a segment of what a partition has in the journal: committed records above the log start, nothing else.

use super::error::ArchiveError;
use crate::clock;
use crate::log::{IndexEntry, Partition, Reader, Unarchived, data_batches};
use crate::segment::manifest::Segment;
use crate::segment::{SegmentOptions, SegmentSummary, SegmentWriter, WriteError};
use crate::store::{ObjectStore, paths};
use crate::topic::Topic;
use crate::types::{LeaderEpoch, Offset};
use bytes::Bytes;
use std::ops::Range;
use uuid::Uuid;

/// What a segment is made from, and for whom.
pub(super) struct WriteJob<'a> {
    pub partition: &'a Partition,
    pub topic: &'a Topic,
    pub unarchived: &'a Unarchived,
    pub log_start_offset: Offset,
    pub leader_epoch: LeaderEpoch,
    pub options: SegmentOptions,
}

impl WriteJob<'_> {
    /// Writes the segment and puts it; nothing, if there is no record to write.
    pub async fn run(&self, reader: &Reader, store: &ObjectStore) -> Result<Option<Segment>, ArchiveError> {
        let Range { start, end } = self.unarchived.from..self.unarchived.to;
        let mut writer = SegmentWriter::new(self.partition.topic_partition(), self.options)?;
        for span in &self.unarchived.spans {
            writer = self.add_span(reader, span, writer).await?;
        }
        if writer.rows() == 0 {
            return Ok(None);
        }
        let written = blocking(move || writer.finish(start..end)).await??;
        let made = Made { unique: clock::random_id(), leader_epoch: self.leader_epoch, level: 0 };
        let segment = entry_of(written.summary, made);
        let path = paths::segment(&self.topic.name, self.partition.topic_partition(), &segment.name());
        store.put(&path, written.bytes).await?;
        Ok(Some(segment))
    }

    async fn add_span(
        &self,
        reader: &Reader,
        span: &IndexEntry,
        mut writer: SegmentWriter,
    ) -> Result<SegmentWriter, ArchiveError> {
        let bytes = reader.span(span).await?;
        let aborted = self.partition.aborted_in(span.offsets.clone());
        let batches = data_batches(&[bytes], aborted)?;
        let wanted = self.unarchived.from.max(self.log_start_offset)..self.unarchived.to;
        let batches: Vec<Bytes> = batches.with(std::slice::from_ref(&wanted));
        Ok(blocking(move || {
            for batch in &batches {
                writer.append(batch)?;
            }
            Ok::<_, WriteError>(writer)
        })
        .await??)
    }
}

/// What a segment's name and its level say of where it comes from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Made {
    pub unique: Uuid,
    pub leader_epoch: LeaderEpoch,
    pub level: u8,
}

/// What the manifest says of a file.
pub(super) fn entry_of(summary: SegmentSummary, made: Made) -> Segment {
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

/// Work for a processor, on a thread where it may take its time.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ArchiveError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| ArchiveError::Closed)
}
