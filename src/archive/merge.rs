//! Which small segments become one.
//!
//! A segment is small below half the target. Neighbours that are small and of one level are merged when there are
//! [`MergeSettings::fan_in`] of them, or when they come to the target together; what comes out is of the next level.
//!
//! ```text
//! level 0   ▪▪▪▪▪▪▪▪▪▪▪         eight become one,
//! level 1   ■■■                 eight of those become one,
//! level 2   █                   until it is not small any more
//! ```
//!
//! So a record is rewritten once per level. One of level `n` has at least `fan_in` to the `n` segments in it, hence
//! records are rewritten at most `log(target / 2 / smallest segment) / log(fan_in) + 1` times: twice where segments of
//! 1 MiB are merged by eight to 64 MiB. Of a partition that went quiet fewer than `fan_in` small ones of each level
//! remain. Segments as the archiver cuts them by size are not small and never rewritten.
//!
//! Sizes are raw bytes: those of files would make a large, well compressible segment look small.

use crate::segment::manifest::Segment;
use crate::types::Offset;

/// How segments are merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MergeSettings {
    /// The size of a segment that needs no merging, in raw bytes.
    pub target_bytes: u64,
    /// How many segments of a level make one of the next, at least 2.
    pub fan_in: usize,
}

/// Neighbours to be merged, at least two. Together they have less than one and a half times the target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MergeRun {
    /// The segments, in order.
    pub segments: Vec<Segment>,
    /// The level of what comes out.
    pub level: u8,
}

/// Up to `runs_max` runs among a partition's segments, which come in the order of their offsets. None of them has
/// segments on both sides of `boundary`: where a compacted topic's clean section ends, else zero.
pub fn choose<'a>(
    settings: &MergeSettings,
    segments: impl IntoIterator<Item = &'a Segment>,
    boundary: Offset,
    runs_max: usize,
) -> Vec<MergeRun> {
    let mut runs = Vec::new();
    let mut open: Vec<&Segment> = Vec::new();
    for segment in segments {
        if runs.len() >= runs_max {
            break;
        }
        if segment.raw_bytes >= settings.target_bytes / 2 {
            open.clear();
            continue;
        }
        let goes_on = open.last().is_some_and(|last| are_alike(last, segment, boundary));
        if !goes_on {
            open.clear();
        }
        open.push(segment);
        let bytes: u64 = open.iter().map(|segment| segment.raw_bytes).sum();
        if open.len() >= settings.fan_in.max(2) || (bytes >= settings.target_bytes && open.len() > 1) {
            let level = segment.level.saturating_add(1);
            runs.push(MergeRun { segments: open.drain(..).cloned().collect(), level });
        }
    }
    runs
}

fn are_alike(left: &Segment, right: &Segment, boundary: Offset) -> bool {
    let side = |segment: &Segment| segment.offsets.end <= boundary;
    left.level == right.level && side(left) == side(right)
}
