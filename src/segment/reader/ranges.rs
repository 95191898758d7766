//! Byte ranges of a file that were read, and which of them to read together.

use bytes::Bytes;
use std::ops::Range;

/// Parts of a file, as they were fetched.
#[derive(Clone, Debug, Default)]
pub struct FetchedRanges {
    parts: Vec<(Range<u64>, Bytes)>,
}

impl FetchedRanges {
    /// Adds `bytes`, which lie at `range` of the file; fewer or more are passed over.
    pub fn push(&mut self, range: Range<u64>, bytes: Bytes) {
        if range.end.checked_sub(range.start) == Some(bytes.len() as u64) {
            let place = self.parts.partition_point(|(other, _)| other.start <= range.start);
            self.parts.insert(place, (range, bytes));
        }
    }

    /// The bytes of `range`, if they are all there.
    pub(super) fn get(&self, range: &Range<u64>) -> Option<Bytes> {
        let behind = self.parts.partition_point(|(part, _)| part.start <= range.start);
        let (part, bytes) = self.parts.get(behind.checked_sub(1)?)?;
        let start = usize::try_from(range.start - part.start).ok()?;
        let end = usize::try_from(range.end.checked_sub(part.start)?).ok()?;
        (start <= end && end <= bytes.len()).then(|| bytes.slice(start..end))
    }
}

/// The ranges in order, those with at most `gap_max` bytes between them as one.
pub(super) fn coalesced(mut ranges: Vec<Range<u64>>, gap_max: u64) -> Vec<Range<u64>> {
    ranges.sort_unstable_by_key(|range| range.start);
    let mut joined: Vec<Range<u64>> = Vec::new();
    for range in ranges {
        match joined.last_mut() {
            Some(last) if range.start <= last.end.saturating_add(gap_max) => {
                last.end = last.end.max(range.end);
            }
            _ => joined.push(range),
        }
    }
    joined
}
