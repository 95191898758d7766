//! The acting half of merging and log compaction: jobs are started, and what they made is swapped in.

use super::{Rounds, is_surely_void};
use crate::archive::compact::{
    CompactionPlan, CompactionSettings, DirtyPass, HashKey, plan, tombstones_expired_below,
};
use crate::archive::error::ArchiveError;
use crate::archive::merge::{self, MergeSettings};
use crate::archive::rewrite::{self, Keep, Rewrite, Rewritten};
use crate::archive::upkeep::{
    JOB_TIMEOUT, JobKind, Output, PASS_MEMORY_BYTES, PassStep, Replacing, RunningJob, RunningPass, Turn,
};
use crate::clock;
use crate::log::{ArchivedLog, Partition, SegmentRef};
use crate::segment::SegmentOptions;
use crate::segment::manifest::{CleanPass, EditError, Made, Manifest, Segment};
use crate::store::paths::{self, SegmentName};
use crate::topic::{Topic, TopicSettings};
use crate::types::{Offset, Timestamp, TopicPartition};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

/// How long a round waits for jobs: small ones end within it, so that many of them do not take a round each.
const SHARE_OF_ROUND: Duration = Duration::from_millis(150);
/// Jobs that end within one round.
const JOBS_PER_ROUND: usize = 16;

/// Partitions that are looked at for a merge before something else is done.
const CANDIDATES_PER_LOOK: usize = 1_000;

/// A partition that is led here, with its topic and what is archived of it.
struct Led {
    partition: Arc<Partition>,
    topic: Arc<Topic>,
    archived: ArchivedLog,
}

impl From<&TopicSettings> for CompactionSettings {
    fn from(topic: &TopicSettings) -> CompactionSettings {
        CompactionSettings {
            min_dirty_ratio: topic.min_dirty_ratio,
            min_lag_ms: topic.min_compaction_lag_ms,
            max_lag_ms: topic.max_compaction_lag_ms,
            delete_retention_ms: topic.delete_retention_ms,
        }
    }
}

impl Rounds {
    /// Goes on with merges and compaction, beside which archiving goes on.
    pub(super) async fn keep_up(&mut self) {
        let until = Instant::now() + SHARE_OF_ROUND;
        for _ in 0..JOBS_PER_ROUND {
            if self.upkeep.job.is_none() {
                self.upkeep.job = self.next_job().await;
            }
            let Some((job, outcome)) = self.upkeep.wait(until).await else { return };
            let topic_partition = job.topic_partition;
            if let Err(error) = self.on_ended(job, outcome).await {
                tracing::warn!(topic = %topic_partition.topic_id, partition = topic_partition.partition.0, %error,
                    "segments could not be merged or compacted, it is tried again");
                self.upkeep.rest(topic_partition, self.now());
            }
        }
    }

    /// What to do next: by turns a merge and a step of compaction, if both are to be done.
    async fn next_job(&mut self) -> Option<RunningJob> {
        self.upkeep.turn = self.upkeep.turn.other();
        for turn in [self.upkeep.turn, self.upkeep.turn.other()] {
            let job = match turn {
                Turn::Merge => self.next_merge(),
                Turn::Compact => self.next_of_compaction().await,
            };
            if job.is_some() {
                return job;
            }
        }
        None
    }

    fn next_merge(&mut self) -> Option<RunningJob> {
        let now = self.now();
        for _ in 0..CANDIDATES_PER_LOOK {
            let candidate = self.upkeep.next_candidate(now)?;
            let Some(led) = self.led(candidate) else { continue };
            let manifest = &led.archived.manifest;
            let config = &self.start.config;
            let settings = MergeSettings { target_bytes: config.bytes, fan_in: config.pace.merge_fan_in };
            let runs = merge::choose(&settings, manifest.segments(), manifest.cleaned_up_to(), 1);
            let Some(run) = runs.into_iter().next() else { continue };
            let keep = Keep::From(manifest.log_start_offset());
            let Some(rewrite) = self.rewrite(&led, &run.segments, keep, run.level) else { continue };
            // There may be another run in it; and if this one fails it comes again.
            self.upkeep.on_segments(candidate);
            let kind = JobKind::Merge(Replacing::by(&rewrite));
            return Some(self.spawn_rewrite(rewrite, kind));
        }
        None
    }

    async fn next_of_compaction(&mut self) -> Option<RunningJob> {
        self.begin_pass_if_due();
        let topic_partition = self.upkeep.pass.as_ref()?.topic_partition;
        let led = self.led(topic_partition).filter(|led| led.topic.settings.cleanup_policy.compact);
        let Some(led) = led else {
            // Its topic is gone, or compacted no more.
            self.upkeep.pass = None;
            return None;
        };
        let manifest = Arc::clone(&led.archived.manifest);
        let expired_below = self.expired_below(&manifest, &led.topic);
        let step = self.upkeep.pass.as_mut()?.next(&manifest, self.start.config.bytes, expired_below)?;
        match step {
            PassStep::Observe(pass, segments) => Some(self.spawn_observe(&led, *pass, &segments)),
            PassStep::Rewrite(survivors, group) => {
                let level = group.iter().map(|segment| segment.level).max()?;
                let rewrite = self.rewrite(&led, &group, Keep::Survivors(survivors), level)?;
                let kind = JobKind::Compact(Replacing::by(&rewrite));
                Some(self.spawn_rewrite(rewrite, kind))
            }
            PassStep::GiveUp => {
                tracing::debug!(topic = %led.topic.name, partition = topic_partition.partition.0,
                    "segments have changed under a pass of log compaction, it begins again");
                self.upkeep.rest(topic_partition, self.now());
                None
            }
            PassStep::Note(up_to) => {
                self.upkeep.pass = None;
                if let Err(error) = self.note_pass(&led, up_to).await {
                    tracing::warn!(topic = %led.topic.name, partition = topic_partition.partition.0, %error,
                        "a pass of log compaction could not be noted, it begins again");
                    self.upkeep.rest(topic_partition, self.now());
                }
                None
            }
        }
    }

    /// Begins a pass where most is dirty, if one is due and none is under way.
    fn begin_pass_if_due(&mut self) {
        let now = self.now();
        if self.upkeep.pass.is_some() || now < self.upkeep.compact_at {
            return;
        }
        self.upkeep.compact_at = now + self.start.config.pace.compaction_every;
        let time = self.start.clock.now();
        let mut dirtiest: Option<(CompactionPlan, Led)> = None;
        for partition in self.start.log.partitions() {
            if self.upkeep.rests(partition.topic_partition(), now) {
                continue;
            }
            let Some((plan, led)) = self.compaction_due(partition.topic_partition(), time) else { continue };
            if dirtiest.as_ref().is_none_or(|(other, _)| plan.dirty_ratio > other.dirty_ratio) {
                dirtiest = Some((plan, led));
            }
        }
        let Some((plan, led)) = dirtiest else { return };
        tracing::debug!(topic = %led.topic.name, partition = led.partition.topic_partition().partition.0,
            reason = ?plan.reason, from = plan.dirty.start.get(), to = plan.dirty.end.get(), rows = plan.dirty_rows,
            "a pass of log compaction begins");
        let (key, other_key) = clock::random_secret();
        let hash_key = HashKey(key, other_key);
        let pass = DirtyPass::new(plan.dirty.clone(), plan.dirty_rows, PASS_MEMORY_BYTES, hash_key);
        self.upkeep.pass = Some(RunningPass::new(&led.archived.manifest, pass, &plan.dirty));
    }

    fn compaction_due(
        &self,
        topic_partition: TopicPartition,
        time: Timestamp,
    ) -> Option<(CompactionPlan, Led)> {
        let led = self.led(topic_partition)?;
        let settings = &led.topic.settings;
        if !settings.cleanup_policy.compact {
            return None;
        }
        let plan = plan(&led.archived.manifest, &CompactionSettings::from(settings), time)?;
        Some((plan, led))
    }

    fn expired_below(&self, manifest: &Manifest, topic: &Topic) -> Offset {
        tombstones_expired_below(manifest, topic.settings.delete_retention_ms, self.start.clock.now())
    }

    fn led(&self, topic_partition: TopicPartition) -> Option<Led> {
        let topic = self.start.catalog.by_id(topic_partition.topic_id)?;
        let partition = self.start.log.partition(topic_partition)?;
        let archived = partition.archived()?;
        Some(Led { partition, topic, archived })
    }

    /// The work of making one segment of these.
    fn rewrite(&self, led: &Led, segments: &[Segment], keep: Keep, level: u8) -> Option<Rewrite> {
        let topic_partition = led.partition.topic_partition();
        let offsets = segments.first()?.offsets.start..segments.last()?.offsets.end;
        let (leader_epoch, unique) = (led.partition.leader_epoch(), clock::random_id());
        let name = SegmentName { offsets, leader_epoch, unique };
        Some(Rewrite {
            topic_partition,
            segments: refer_all(&led.archived, segments),
            keep,
            options: SegmentOptions { text: led.topic.settings.parquet_text, ..SegmentOptions::default() },
            made: Made { unique, leader_epoch, level },
            path: paths::segment(&led.topic.name, topic_partition, &name),
        })
    }

    fn spawn_rewrite(&self, rewrite: Rewrite, kind: JobKind) -> RunningJob {
        let topic_partition = rewrite.topic_partition;
        let (store, background) = (self.start.store.clone(), self.start.background.clone());
        let work = async move { rewrite.run(&store, &background).await.map(Output::Rewritten) };
        RunningJob { topic_partition, kind, handle: spawn(work) }
    }

    fn spawn_observe(&self, led: &Led, pass: DirtyPass, segments: &[Segment]) -> RunningJob {
        let segments = refer_all(&led.archived, segments);
        let (store, background) = (self.start.store.clone(), self.start.background.clone());
        let work = async move {
            let (pass, progress) = rewrite::observe(pass, &segments, &store, &background).await?;
            Ok(Output::Observed(Box::new(pass), progress))
        };
        let topic_partition = led.partition.topic_partition();
        RunningJob { topic_partition, kind: JobKind::Observe, handle: spawn(work) }
    }

    async fn on_ended(
        &mut self,
        job: RunningJob,
        outcome: Result<Output, ArchiveError>,
    ) -> Result<(), ArchiveError> {
        match (job.kind, outcome) {
            (JobKind::Observe, outcome) => {
                if let (Output::Observed(pass, progress), Some(running)) = (outcome?, &mut self.upkeep.pass) {
                    running.on_observed(pass, progress);
                }
                Ok(())
            }
            (JobKind::Merge(replacing) | JobKind::Compact(replacing), Err(error)) => {
                // Maybe it is there, but nothing refers to it.
                self.graveyard.bury(self.now(), [replacing.path]);
                Err(error)
            }
            (JobKind::Merge(replacing), Ok(Output::Rewritten(Rewritten::Replaced { with, .. }))) => {
                if self.put_in_place(job.topic_partition, &replacing, with).await? == InPlace::Yes {
                    self.start.metrics.archive.merges.inc();
                }
                Ok(())
            }
            (JobKind::Compact(replacing), Ok(Output::Rewritten(Rewritten::Replaced { with, rows_gone }))) => {
                match self.put_in_place(job.topic_partition, &replacing, with).await? {
                    InPlace::Yes => {
                        self.start.metrics.archive.compacted_rows.inc_by(rows_gone);
                    }
                    InPlace::Stale => {
                        if let Some(running) = &mut self.upkeep.pass {
                            running.again(replacing.segments);
                        }
                    }
                }
                Ok(())
            }
            (JobKind::Merge(_) | JobKind::Compact(_), Ok(_)) => Ok(()),
        }
    }

    /// Puts what a job made in the place of what it was made of.
    async fn put_in_place(
        &mut self,
        topic_partition: TopicPartition,
        replacing: &Replacing,
        with: Option<Segment>,
    ) -> Result<InPlace, ArchiveError> {
        let (raw_bytes, file_bytes) =
            with.as_ref().map_or((0, 0), |segment| (segment.raw_bytes, segment.file_bytes));
        let swapped = self.replace(topic_partition, &replacing.segments, with).await;
        if let Err(error) = &swapped
            && is_surely_void(error)
        {
            self.graveyard.bury(self.now(), [replacing.path.clone()]);
        }
        match swapped {
            Err(ArchiveError::Edit(EditError::Stale(_))) => return Ok(InPlace::Stale),
            swapped => swapped?,
        }
        let metrics = &self.start.metrics.archive;
        metrics.rewritten_raw_bytes.inc_by(raw_bytes);
        metrics.rewritten_file_bytes.inc_by(file_bytes);
        tracing::debug!(topic = %topic_partition.topic_id, partition = topic_partition.partition.0,
            segments = replacing.segments.len(), bytes = file_bytes, "segments were rewritten");
        Ok(InPlace::Yes)
    }

    async fn replace(
        &mut self,
        topic_partition: TopicPartition,
        replaced: &[Segment],
        with: Option<Segment>,
    ) -> Result<(), ArchiveError> {
        let Led { partition, topic, .. } = self.led(topic_partition).ok_or(ArchiveError::UnknownPartition)?;
        let kept = self.kept(&partition, &topic).await?;
        let edited = kept.manifest.replace(replaced, with.into_iter().collect())?;
        let swapped = self.swap(&kept, &partition, &topic, edited).await;
        self.on_swapped(&partition, &topic, swapped)
    }

    /// All segments of a pass are replaced. One that had nothing dirty to read is not noted.
    async fn note_pass(&mut self, led: &Led, up_to: Offset) -> Result<(), ArchiveError> {
        let topic_partition = led.partition.topic_partition();
        // Its segments may be alike now to those that lie before them.
        self.upkeep.on_segments(topic_partition);
        // Maybe another one is due, here or elsewhere.
        self.upkeep.compact_at = self.now();
        let kept = self.kept(&led.partition, &led.topic).await?;
        if up_to > kept.manifest.cleaned_up_to() {
            let edited = kept.manifest.note_clean_pass(CleanPass { up_to, at: self.start.clock.now() })?;
            let swapped = self.swap(&kept, &led.partition, &led.topic, edited).await;
            self.on_swapped(&led.partition, &led.topic, swapped)?;
        }
        self.start.metrics.archive.compactions.inc();
        tracing::info!(topic = %led.topic.name, partition = topic_partition.partition.0, up_to = up_to.get(),
            "a pass of log compaction is finished");
        Ok(())
    }
}

/// Whether what a job made is referred to now.
#[derive(Clone, Copy, PartialEq, Eq)]
enum InPlace {
    Yes,
    /// The manifest has changed while the job ran.
    Stale,
}

fn refer_all(archived: &ArchivedLog, segments: &[Segment]) -> Vec<SegmentRef> {
    segments.iter().map(|segment| archived.refer(segment)).collect()
}

fn spawn(
    work: impl Future<Output = Result<Output, ArchiveError>> + Send + 'static,
) -> AbortOnDropHandle<Result<Output, ArchiveError>> {
    let work =
        async move { tokio::time::timeout(JOB_TIMEOUT, work).await.unwrap_or(Err(ArchiveError::TimedOut)) };
    AbortOnDropHandle::new(tokio::spawn(work))
}
