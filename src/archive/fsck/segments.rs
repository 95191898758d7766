//! Every segment of a manifest: there, as long as it should be, the same bytes, and about what the manifest says.

use super::Fsck;
use crate::archive::kept::KeptManifest;
use crate::log::{SegmentFile, SegmentFileError, SegmentRef};
use crate::segment::FileChecksum;
use crate::segment::manifest::Segment;
use crate::store::{ObjectStore, paths};
use futures_util::{StreamExt, stream};

/// Files that are read at the same time.
const FILES_AT_ONCE: usize = 4;
/// A file is read in pieces of this size.
const PIECE_BYTES: u64 = 8 << 20;

impl Fsck<'_> {
    pub(super) async fn check_segments(&mut self, manifests: &[KeptManifest]) {
        let (store, listed, catalog) = (self.store, &self.listed, &self.catalog);
        let wanted = manifests.iter().flat_map(|kept| {
            let topic_partition = kept.manifest.topic_partition();
            let topic = catalog.by_id(topic_partition.topic_id);
            topic.into_iter().flat_map(move |topic| {
                let path =
                    move |segment: &Segment| paths::segment(&topic.name, topic_partition, &segment.name());
                kept.manifest.segments().map(move |segment| SegmentRef {
                    topic_partition,
                    path: path(segment),
                    segment: segment.clone(),
                })
            })
        });
        let checks = wanted.map(async |wanted| {
            let fault = check(store, &wanted, listed.get(&wanted.path).copied()).await;
            (wanted, fault)
        });
        let mut checks = stream::iter(checks).buffer_unordered(FILES_AT_ONCE);
        while let Some((SegmentRef { path, segment, .. }, fault)) = checks.next().await {
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
async fn check(store: &ObjectStore, wanted: &SegmentRef, listed: Option<u64>) -> Result<(), String> {
    let SegmentRef { path, segment, .. } = wanted;
    let bytes = match listed {
        Some(bytes) => bytes,
        // Where brokers run, it may have been put after the listing.
        None => store.size(path).await.map_err(|_| "the manifest names it, and it is missing")?,
    };
    if bytes != segment.file_bytes {
        return Err(format!("it has {bytes} bytes, and {} were written", segment.file_bytes));
    }
    let mut checksum = FileChecksum::default();
    let mut at = 0;
    while at < bytes {
        let end = (at + PIECE_BYTES).min(bytes);
        checksum.update(&store.get_range(path, at..end).await.map_err(|error| error.to_string())?);
        at = end;
    }
    if checksum.finish() != segment.crc32c {
        return Err("its bytes are not those that were written: their checksum differs".to_owned());
    }
    match SegmentFile::open(store, wanted).await {
        Ok(_) => Ok(()),
        Err(SegmentFileError::Store(error)) => Err(error.to_string()),
        Err(SegmentFileError::Damaged { fault, .. }) => Err(fault.to_string()),
    }
}
