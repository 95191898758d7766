//! Edits: functions from a manifest to the next, which say what is referenced no longer.
//!
//! An edit is not yet true. It is when the pointer is swapped; only then, and after a grace period longer than any
//! read, may the objects go that it tells as unreferenced. If the swap fails, the edit and what was written for it
//! are void, and the manifest that won is the one to edit.

use super::lookup::Manifest;
use super::segment_entry::{Segment, Totals};
use super::state::{CleanPass, EPOCHS_MAX, EpochStart, PASSES_MAX, ProducerSnapshot};
use crate::types::Offset;
use std::ops::Range;
use std::sync::Arc;

/// What the archiver took from the journal.
#[derive(Clone, Debug)]
pub struct Archived {
    /// New segments, in order; none if nothing of the range was committed data above the log start.
    pub segments: Vec<Segment>,
    /// Where the range ends: the first offset that the journal alone has from now on.
    pub archived_offset: Offset,
    /// The epochs that have batches in the range, with their first batch there. The first may be one known already.
    pub leader_epochs: Vec<EpochStart>,
    /// All producers as they stand at the end of the range, in the order of their ids.
    pub producers: Vec<ProducerSnapshot>,
}

/// A manifest after an edit.
#[derive(Clone, Debug)]
pub struct Edited {
    /// The manifest.
    pub manifest: Manifest,
    /// Segments that it has no more, or that were given to it and already lie below its log start.
    pub unreferenced: Vec<Segment>,
}

/// Why an edit cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// It was made for another state of the manifest: its work is void.
    #[error("the manifest has changed: {0}")]
    Stale(&'static str),
    /// It would break the manifest, whatever its state.
    #[error("the manifest cannot take this: {0}")]
    Illegal(&'static str),
}

impl Manifest {
    /// Adds what was archived.
    pub fn append_segments(&self, archived: Archived) -> Result<Edited, EditError> {
        let range = self.archived_offset..archived.archived_offset;
        if range.is_empty() {
            return Err(EditError::Stale("this was archived already"));
        }
        check_within(&archived.segments, &range)?;
        let mut manifest = self.clone();
        manifest.archived_offset = range.end;
        manifest.leader_epochs = Arc::new(self.epochs_with(&archived.leader_epochs, range.start)?);
        manifest.producers = Arc::new(archived.producers);
        manifest.chunks.splice(range, archived.segments);
        manifest.finish(Vec::new())
    }

    /// Puts `with`, made of the rows of `replaced` and of no others, in their place. `replaced` are neighbours in
    /// this manifest.
    pub fn replace(&self, replaced: &[Segment], with: Vec<Segment>) -> Result<Edited, EditError> {
        let (Some(first), Some(last)) = (replaced.first(), replaced.last()) else {
            return Err(EditError::Illegal("nothing is to be replaced"));
        };
        let range = first.offsets.start..last.offsets.end;
        if !self.segments_from(range.start).take(replaced.len()).eq(replaced) {
            return Err(EditError::Stale("the segments to replace are not there"));
        }
        check_within(&with, &range)?;
        let (before, after): (Totals, Totals) =
            (replaced.iter().map(Segment::totals).sum(), with.iter().map(Segment::totals).sum());
        if after.rows > before.rows {
            return Err(EditError::Illegal("rows come out of nothing"));
        }
        if with.iter().any(|new| replaced.iter().any(|old| old.unique == new.unique)) {
            return Err(EditError::Illegal("a segment cannot replace itself"));
        }
        let mut manifest = self.clone();
        let removed = manifest.chunks.splice(range, with);
        manifest.finish(removed)
    }

    /// Moves the log start up to `offset`. At or below it already: nothing changes. That everything below is
    /// committed is for the caller to know.
    #[must_use]
    pub fn drop_before(&self, offset: Offset) -> Edited {
        let mut manifest = self.clone();
        manifest.log_start_offset = manifest.log_start_offset.max(offset);
        let unreferenced = manifest.trim();
        Edited { manifest, unreferenced }
    }

    /// Notes that a pass of log compaction is finished: all its segments are replaced.
    pub fn note_clean_pass(&self, pass: CleanPass) -> Result<Edited, EditError> {
        if pass.up_to > self.archived_offset {
            return Err(EditError::Illegal("a clean pass went beyond what is archived"));
        }
        if pass.up_to <= self.cleaned_up_to() {
            return Err(EditError::Stale("this was cleaned already"));
        }
        let mut manifest = self.clone();
        let passes = Arc::make_mut(&mut manifest.clean_passes);
        // A clock that was set back must not make a tombstone older than it is.
        let at = passes.last().map_or(pass.at, |last| pass.at.max(last.at));
        passes.push(CleanPass { at, ..pass });
        if passes.len() > PASSES_MAX {
            // The offsets of the oldest now count as cleaned by the next one, hence later.
            passes.remove(0);
        }
        manifest.finish(Vec::new())
    }

    /// Takes away what lies below the log start.
    fn trim(&mut self) -> Vec<Segment> {
        let log_start_offset = self.log_start_offset;
        let below = self.segments().take_while(|segment| segment.offsets.end <= log_start_offset).last();
        let below = below.map(|segment| segment.offsets.end);
        let dropped = below.map(|end| self.chunks.splice(Offset::ZERO..end, Vec::new())).unwrap_or_default();
        let old_passes = self.clean_passes.partition_point(|pass| pass.up_to <= log_start_offset);
        // The last one tells where the dirty section begins.
        let old_passes = old_passes.min(self.clean_passes.len().saturating_sub(1));
        if old_passes > 0 {
            Arc::make_mut(&mut self.clean_passes).drain(..old_passes);
        }
        // The epoch in which the log start lies is kept, with its true start.
        let begun = self.leader_epochs.partition_point(|epoch| epoch.start <= log_start_offset);
        let old_epochs = begun.saturating_sub(1).max(self.leader_epochs.len().saturating_sub(EPOCHS_MAX));
        if old_epochs > 0 {
            Arc::make_mut(&mut self.leader_epochs).drain(..old_epochs);
        }
        dropped
    }

    fn epochs_with(&self, new: &[EpochStart], from: Offset) -> Result<Vec<EpochStart>, EditError> {
        let mut epochs = self.leader_epochs.to_vec();
        let known = epochs.last().map(|last| last.leader_epoch);
        let new = new.iter().skip_while(|epoch| Some(epoch.leader_epoch) == known);
        epochs.extend(new.copied());
        let added = &epochs[self.leader_epochs.len()..];
        if added.first().is_some_and(|first| first.start < from) {
            return Err(EditError::Illegal("a leader epoch begins where another's batches are"));
        }
        Ok(epochs)
    }

    fn finish(mut self, mut unreferenced: Vec<Segment>) -> Result<Edited, EditError> {
        unreferenced.extend(self.trim());
        match self.fault_beside_segments() {
            Some(fault) => Err(EditError::Illegal(fault)),
            None => Ok(Edited { manifest: self, unreferenced }),
        }
    }
}

/// Whether new segments are sound, in order, and inside `range`.
fn check_within(segments: &[Segment], range: &Range<Offset>) -> Result<(), EditError> {
    let mut from = range.start;
    for segment in segments {
        if let Some(fault) = segment.fault() {
            return Err(EditError::Illegal(fault));
        }
        if segment.offsets.start < from || segment.offsets.end > range.end {
            return Err(EditError::Illegal("segments overlap or leave their range"));
        }
        from = segment.offsets.end;
    }
    Ok(())
}
