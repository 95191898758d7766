//! What is done to segments after they were archived: merges, and passes of log compaction. Decisions and their
//! state; who acts is [`super::rounds`].
//!
//! ```text
//! archived ─▶ candidates ─▶ merge ──────────────────────────────▶ swap
//! every 10 s: which partition is dirtiest? ─▶ observe its keys ─▶ rewrite a group ─▶ swap ─▶ … ─▶ note the pass
//! ```
//!
//! One job at a time, for the whole broker: it takes the memory of a segment and at most one processor, and archiving
//! never waits for it. A job works on immutable files; whether the manifest is still what it was made for is seen when
//! its outcome is swapped in. A pass may break off after any swap: every one leaves the last record of each key.

use super::compact::{DirtyPass, PassProgress, Survivors, rewrite_groups};
use super::error::ArchiveError;
use super::resting::Resting;
use super::rewrite::{Rewrite, Rewritten};
use crate::hashing::HashSet;
use crate::segment::manifest::{Manifest, Segment};
use crate::store::ObjectPath;
use crate::types::{Moment, Offset, TopicPartition};
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

/// What is known of merges and compaction between two rounds.
#[derive(Default)]
pub(super) struct Upkeep {
    /// Partitions with segments that may be worth merging, in the order in which they came to be.
    candidates: VecDeque<TopicPartition>,
    queued: HashSet<TopicPartition>,
    /// Partitions that are left alone until then, as something went wrong there.
    pub resting: Resting,
    pub pass: Option<RunningPass>,
    pub job: Option<RunningJob>,
    /// When dirty partitions are looked for again.
    pub compact_at: Moment,
    /// Whose turn it is, if there is something to merge and something to compact.
    pub turn: Turn,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Turn {
    #[default]
    Merge,
    Compact,
}

impl Turn {
    pub fn other(self) -> Turn {
        match self {
            Turn::Merge => Turn::Compact,
            Turn::Compact => Turn::Merge,
        }
    }
}

/// A pass of compaction, between two of its jobs.
pub(super) struct RunningPass {
    pub topic_partition: TopicPartition,
    pub phase: Phase,
}

pub(super) enum Phase {
    /// The keys of the dirty section are read; a job has the pass while it is none.
    Observing { pass: Option<Box<DirtyPass>>, left: VecDeque<Segment> },
    /// Segments are rewritten.
    Rewriting { survivors: Arc<Survivors>, groups: VecDeque<Vec<Segment>> },
}

/// Work that goes on beside the archiver's rounds.
pub(super) struct RunningJob {
    pub topic_partition: TopicPartition,
    pub kind: JobKind,
    pub handle: AbortOnDropHandle<Result<Output, ArchiveError>>,
}

/// What a job is to do, as far as its end needs to know.
pub(super) enum JobKind {
    Observe,
    Merge(Replacing),
    Compact(Replacing),
}

/// Which segments are to be replaced, and by which file.
pub(super) struct Replacing {
    pub segments: Vec<Segment>,
    pub path: ObjectPath,
}

impl Replacing {
    pub fn by(rewrite: &Rewrite) -> Replacing {
        let segments = rewrite.segments.iter().map(|wanted| wanted.segment.clone()).collect();
        Replacing { segments, path: rewrite.path.clone() }
    }
}

/// What a job has come to.
pub(super) enum Output {
    Observed(Box<DirtyPass>, PassProgress),
    Rewritten(Rewritten),
}

/// Keys of a pass, in bytes of memory.
pub(super) const PASS_MEMORY_BYTES: usize = 64 * 1024 * 1024;
/// A job may take this long: more than the store may take for the largest segment there is, which is 1 GiB.
pub(super) const JOB_TIMEOUT: Duration = Duration::from_secs(1_800);
/// How long a partition is left alone whose segments could not be rewritten.
const REST: Duration = Duration::from_secs(30);
/// Raw bytes of the segments whose keys one job reads, if one is not larger.
const OBSERVED_BYTES: u64 = 256 * 1024 * 1024;
const OBSERVED_SEGMENTS: usize = 256;

impl Upkeep {
    /// A partition has segments that were not there before.
    pub fn on_segments(&mut self, topic_partition: TopicPartition) {
        if self.queued.insert(topic_partition) {
            self.candidates.push_back(topic_partition);
        }
    }

    /// The next partition whose segments may be worth merging: not one that rests, nor that a pass is under way on.
    /// At most all candidates are looked at.
    pub fn next_candidate(&mut self, now: Moment) -> Option<TopicPartition> {
        for _ in 0..self.candidates.len() {
            let candidate = self.candidates.pop_front()?;
            if self.rests(candidate, now) || self.is_in_pass(candidate) {
                self.candidates.push_back(candidate);
            } else {
                self.queued.remove(&candidate);
                return Some(candidate);
            }
        }
        None
    }

    fn is_in_pass(&self, topic_partition: TopicPartition) -> bool {
        self.pass.as_ref().is_some_and(|pass| pass.topic_partition == topic_partition)
    }

    pub fn rests(&self, topic_partition: TopicPartition, now: Moment) -> bool {
        self.resting.rests(topic_partition, now)
    }

    /// Partitions are led here no longer: what is done about them is broken off. Gives the files that were on their way,
    /// which nothing refers to.
    pub fn drop_of(&mut self, is_lost: impl Fn(TopicPartition) -> bool) -> Option<ObjectPath> {
        if self.pass.as_ref().is_some_and(|pass| is_lost(pass.topic_partition)) {
            self.pass = None;
        }
        let job = self.job.take_if(|job| is_lost(job.topic_partition))?;
        match job.kind {
            JobKind::Observe => None,
            JobKind::Merge(replacing) | JobKind::Compact(replacing) => Some(replacing.path),
        }
    }

    /// Something went wrong: the partition is left alone for a while, and a pass of it begins again later.
    pub fn rest(&mut self, topic_partition: TopicPartition, now: Moment) {
        self.resting.rest(topic_partition, now + REST);
        if self.is_in_pass(topic_partition) {
            self.pass = None;
        }
    }

    /// The running job's outcome, if there is one until then.
    pub async fn wait(&mut self, until: Instant) -> Option<(RunningJob, Result<Output, ArchiveError>)> {
        let handle = &mut self.job.as_mut()?.handle;
        let ended = tokio::time::timeout_at(until, handle).await.ok()?;
        let job = self.job.take()?;
        Some((job, ended.unwrap_or(Err(ArchiveError::Closed))))
    }
}

/// What a pass does next.
pub(super) enum PassStep {
    /// Read the keys of these segments.
    Observe(Box<DirtyPass>, Vec<Segment>),
    /// Rewrite these.
    Rewrite(Arc<Survivors>, Vec<Segment>),
    /// Everything is rewritten up to there.
    Note(Offset),
    /// Segments have become others meanwhile, which may have rows that are to go: the pass begins anew.
    GiveUp,
}

impl RunningPass {
    /// A pass over what the plan calls dirty.
    pub fn new(manifest: &Manifest, pass: DirtyPass, dirty: &Range<Offset>) -> RunningPass {
        let left = manifest.segments_from(dirty.start);
        let left = left.take_while(|segment| segment.offsets.start < dirty.end);
        let left = left.cloned().collect();
        let phase = Phase::Observing { pass: Some(Box::new(pass)), left };
        RunningPass { topic_partition: manifest.topic_partition(), phase }
    }

    /// What comes next, given the manifest as it is now. None: a job is under way. `expired_below` is where tombstones have had their time.
    pub fn next(
        &mut self,
        manifest: &Manifest,
        target_bytes: u64,
        expired_below: Offset,
    ) -> Option<PassStep> {
        loop {
            match &mut self.phase {
                Phase::Observing { pass, left } => {
                    let pass = pass.take()?;
                    let segments = first_of(left);
                    if !segments.is_empty() {
                        return Some(PassStep::Observe(pass, segments));
                    }
                    let survivors = pass.finish(manifest.log_start_offset(), expired_below);
                    let groups = rewrite_groups(manifest.segments(), survivors.up_to(), target_bytes);
                    self.phase =
                        Phase::Rewriting { survivors: Arc::new(survivors), groups: VecDeque::from(groups) };
                }
                Phase::Rewriting { survivors, groups } => {
                    let Some(mut group) = groups.pop_front() else {
                        return Some(PassStep::Note(survivors.up_to()));
                    };
                    // What the log start has passed is gone already.
                    group.retain(|segment| segment.offsets.end > manifest.log_start_offset());
                    let is_there =
                        |segment: &Segment| manifest.segment_at(segment.offsets.start) == Some(segment);
                    if !group.iter().all(is_there) {
                        return Some(PassStep::GiveUp);
                    }
                    if !group.is_empty() {
                        return Some(PassStep::Rewrite(Arc::clone(survivors), group));
                    }
                }
            }
        }
    }

    /// A job has read keys.
    pub fn on_observed(&mut self, observed: Box<DirtyPass>, progress: PassProgress) {
        if let Phase::Observing { pass, left } = &mut self.phase {
            *pass = Some(observed);
            if progress == PassProgress::Full {
                left.clear();
            }
        }
    }

    /// The manifest has changed while a group was rewritten: what is left of it comes again.
    pub fn again(&mut self, group: Vec<Segment>) {
        if let Phase::Rewriting { groups, .. } = &mut self.phase {
            groups.push_front(group);
        }
    }
}

/// As many segments as one job reads.
fn first_of(left: &mut VecDeque<Segment>) -> Vec<Segment> {
    let (mut segments, mut bytes) = (Vec::new(), 0_u64);
    while segments.len() < OBSERVED_SEGMENTS && bytes < OBSERVED_BYTES {
        let Some(segment) = left.pop_front() else { break };
        bytes = bytes.saturating_add(segment.raw_bytes);
        segments.push(segment);
    }
    segments
}
