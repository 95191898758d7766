//! Makes a segment of what a partition has in the journal: committed records above the log start, nothing else.

use super::error::ArchiveError;
use crate::background::Background;
use crate::log::{IndexEntry, Partition, Reader, Unarchived, data_batches};
use crate::segment::manifest::{Made, Segment};
use crate::segment::{SegmentOptions, SegmentWriter, WriteError};
use crate::store::{ObjectPath, ObjectStore};
use bytes::Bytes;
use std::ops::Range;
use std::sync::Arc;

/// What a segment is made from, and for whom.
pub(super) struct WriteJob {
    pub partition: Arc<Partition>,
    pub unarchived: Unarchived,
    pub made: Made,
    /// Where the file goes.
    pub path: ObjectPath,
    pub options: SegmentOptions,
}

impl WriteJob {
    /// Writes the segment and puts it; nothing, if there is no record to write.
    pub async fn run(
        &self,
        reader: &Reader,
        store: &ObjectStore,
        background: &Background,
    ) -> Result<Option<Segment>, ArchiveError> {
        let Range { start, end } = self.unarchived.from..self.unarchived.to;
        let mut writer = SegmentWriter::new(self.partition.topic_partition(), self.options)?;
        let mut gathered = Gathered::default();
        for span in &self.unarchived.spans {
            if let Some(batches) = gathered.add(self.batches(reader, span).await?) {
                writer = background.run(move || append_all(writer, &batches)).await??;
            }
        }
        let batches = gathered.batches;
        let finish = move || {
            let writer = append_all(writer, &batches)?;
            if writer.rows() == 0 { Ok(None) } else { writer.finish(start..end).map(Some) }
        };
        let Some(written) = background.run(finish).await?? else { return Ok(None) };
        store.put_bulk(&self.path, written.bytes).await?;
        Ok(Some(Segment::written(written.summary, self.made)))
    }

    /// The batches of a span that the segment is to have.
    async fn batches(&self, reader: &Reader, span: &IndexEntry) -> Result<Vec<Bytes>, ArchiveError> {
        let bytes = reader.span(span).await?;
        let aborted = self.partition.aborted_in(span.offsets.clone());
        // Asked after that: below it nobody knows any more what was aborted.
        let log_start = self.partition.ends().log_start_offset;
        let batches = data_batches(&[bytes], aborted)?;
        let wanted = self.unarchived.from.max(log_start)..self.unarchived.to;
        Ok(batches.with(std::slice::from_ref(&wanted)))
    }
}

/// Batches that wait for a thread: a partition may have many small spans, and each way there and back has its price.
#[derive(Debug, Default)]
struct Gathered {
    batches: Vec<Bytes>,
    bytes: usize,
}

/// What is worth the way to a thread, in bytes of batches.
const WORTH_A_THREAD: usize = 1024 * 1024;

impl Gathered {
    /// Adds batches; gives all that are there, once they are worth it.
    fn add(&mut self, batches: Vec<Bytes>) -> Option<Vec<Bytes>> {
        self.bytes += batches.iter().map(Bytes::len).sum::<usize>();
        self.batches.extend(batches);
        let is_worth_it = self.bytes >= WORTH_A_THREAD;
        is_worth_it.then(|| std::mem::take(self).batches)
    }
}

fn append_all(mut writer: SegmentWriter, batches: &[Bytes]) -> Result<SegmentWriter, WriteError> {
    for batch in batches {
        writer.append(batch)?;
    }
    Ok(writer)
}

#[cfg(test)]
mod tests;
