//! Which batches of what was read of the log hold records that somebody may see: neither markers, nor what was aborted.

use super::stability::AbortedTransaction;
use crate::types::{Offset, ProducerId};
use crate::wire::batch::{BatchHeader, HeaderError, split};
use bytes::Bytes;
use std::collections::BTreeSet;
use std::ops::Range;

/// Batches with data, in order.
#[derive(Debug, Default)]
pub struct DataBatches {
    /// The offsets of each.
    pub offsets: Vec<Range<Offset>>,
    /// Each.
    pub bytes: Vec<Bytes>,
}

/// The batches of `spans` that have data and are not of `aborted` transactions, which are all that have records in the
/// spans: none, if these shall be seen.
pub fn data_batches(
    spans: &[Bytes],
    mut aborted: Vec<AbortedTransaction>,
) -> Result<DataBatches, HeaderError> {
    aborted.sort_by_key(|transaction| std::cmp::Reverse(transaction.first_offset));
    let mut open: BTreeSet<ProducerId> = BTreeSet::new();
    let mut found = DataBatches::default();
    for batch in spans.iter().cloned().flat_map(split) {
        let (header, bytes) = batch?;
        while let Some(begun) = aborted.pop_if(|next| next.first_offset < header.offsets().end) {
            open.insert(begun.producer_id);
        }
        if is_visible(&header, &mut open) {
            found.offsets.push(header.offsets());
            found.bytes.push(bytes);
        }
    }
    Ok(found)
}

/// The next marker of a producer whose transaction was aborted is the one that says so.
fn is_visible(header: &BatchHeader, open: &mut BTreeSet<ProducerId>) -> bool {
    if header.is_control() {
        open.remove(&header.producer_id);
        return false;
    }
    !(header.is_transactional() && open.contains(&header.producer_id))
}

impl DataBatches {
    /// The bytes of those that have one of these offsets; both lists ascend.
    #[must_use]
    pub fn with(self, wanted: &[Range<Offset>]) -> Vec<Bytes> {
        let has_one = |offsets: &Range<Offset>| {
            let first = wanted.partition_point(|range| range.end <= offsets.start);
            wanted.get(first).is_some_and(|range| range.start < offsets.end)
        };
        let batches = self.offsets.iter().zip(self.bytes);
        batches.filter(|(offsets, _)| has_one(offsets)).map(|(_, bytes)| bytes).collect()
    }
}
