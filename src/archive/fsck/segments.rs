//! Every segment of a manifest: there, as long as it should be, the same bytes, and about what the manifest says.

use super::Fsck;
use crate::archive::kept::KeptManifest;
use crate::segment::manifest::Segment;
use crate::segment::{FileChecksum, LoadError, ReadAt, SegmentFooter};
use crate::store::{ObjectPath, ObjectStore, StoreError, paths};
use crate::types::TopicPartition;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use std::ops::Range;

/// Files that are read at the same time.
const FILES_AT_ONCE: usize = 4;
/// A file is read in pieces of this size.
const PIECE_BYTES: u64 = 8 << 20;

struct Source<'a> {
    store: &'a ObjectStore,
    path: &'a ObjectPath,
    bytes: u64,
}

impl Fsck<'_> {
    pub(super) async fn check_segments(&mut self, manifests: &[KeptManifest]) {
        let (store, listed, catalog) = (self.store, &self.listed, &self.catalog);
        let wanted = manifests.iter().flat_map(|kept| {
            let topic_partition = kept.manifest.topic_partition();
            let topic = catalog.by_id(topic_partition.topic_id);
            topic.into_iter().flat_map(move |topic| {
                let path =
                    move |segment: &Segment| paths::segment(&topic.name, topic_partition, &segment.name());
                kept.manifest.segments().map(move |segment| (topic_partition, path(segment), segment))
            })
        });
        let checks = wanted.map(async |(topic_partition, path, segment)| {
            let fault = check(store, topic_partition, &path, segment, listed.get(&path).copied()).await;
            (path, segment, fault)
        });
        let mut checks = stream::iter(checks).buffer_unordered(FILES_AT_ONCE);
        while let Some((path, segment, fault)) = checks.next().await {
            self.report.checked.segments += 1;
            self.report.checked.rows += segment.rows;
            self.report.checked.segment_bytes += segment.file_bytes;
            if let Err(fault) = fault {
                self.report.problem(&path, &fault);
            }
        }
    }
}

/// What is wrong with a segment, if anything.
async fn check(
    store: &ObjectStore,
    topic_partition: TopicPartition,
    path: &ObjectPath,
    segment: &Segment,
    listed: Option<u64>,
) -> Result<(), String> {
    let bytes = listed.ok_or("the manifest names it, and it is missing")?;
    if bytes != segment.file_bytes {
        return Err(format!("it has {bytes} bytes, and {} were written", segment.file_bytes));
    }
    let source = Source { store, path, bytes };
    let mut checksum = FileChecksum::default();
    let mut at = 0;
    while at < bytes {
        let end = (at + PIECE_BYTES).min(bytes);
        checksum.update(&source.read(at..end).await.map_err(|error| error.to_string())?);
        at = end;
    }
    if checksum.finish() != segment.crc32c {
        return Err("its bytes are not those that were written: their checksum differs".to_owned());
    }
    let footer = SegmentFooter::load(&source).await.map_err(|error| match error {
        LoadError::Read(error) => error.to_string(),
        LoadError::Damaged(error) => error.to_string(),
    })?;
    let (found, stated) = (footer.offsets(), &segment.offsets);
    if footer.topic_partition() != topic_partition {
        return Err("it holds another partition's records".to_owned());
    }
    if found != *stated {
        return Err(format!(
            "it covers {} to {}, and the manifest says {} to {}",
            found.start, found.end, stated.start, stated.end
        ));
    }
    if footer.rows() != segment.rows {
        return Err(format!("it has {} rows, and the manifest says {}", footer.rows(), segment.rows));
    }
    Ok(())
}

impl ReadAt for Source<'_> {
    type Error = StoreError;

    fn size(&self) -> u64 {
        self.bytes
    }

    fn read(&self, range: Range<u64>) -> impl Future<Output = Result<Bytes, StoreError>> + Send {
        self.store.get_range(self.path, range)
    }
}
