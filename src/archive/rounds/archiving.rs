//! Segments on their way out of the journal. They are written and put beside the rounds: a store that hangs over one
//! holds up its partition, and neither another's records nor retention, DeleteRecords or the deletion of topics.
//!
//! ```text
//! due, or asked for ─▶ room? ─▶ begin ─▶ read, encode, PUT ··· beside the rounds ··· ─▶ end: next manifest, swap, log
//! ```
//!
//! Few are on their way at once, and not more bytes than a large one has. A partition has one at most. What else changes
//! its manifest meanwhile, such as a log start that moves, goes first: the segment is added to the manifest that there is
//! when it is stored, and what of it lies below the log start then is left out or let go of.

use super::{Rounds, is_surely_void};
use crate::archive::archiver::ArchiveStart;
use crate::archive::cut::{CutSettings, JournalPressure};
use crate::archive::error::ArchiveError;
use crate::archive::upkeep::JOB_TIMEOUT;
use crate::archive::write::WriteJob;
use crate::clock;
use crate::log::{Partition, Unarchived};
use crate::planted::{self, Mistake};
use crate::segment::SegmentOptions;
use crate::segment::manifest::{Archived, Made, ProducerSnapshot, Segment};
use crate::store::ObjectPath;
use crate::store::paths::{self, SegmentName};
use crate::topic::Topic;
use crate::types::{Offset, TopicPartition};
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio_util::task::AbortOnDropHandle;

/// What is known of segments on their way between two rounds.
#[derive(Default)]
pub(super) struct Archiving {
    running: Vec<Running>,
    flushes: Vec<Flush>,
    /// This round has waited for room in vain: it waits no more.
    is_slow: bool,
    /// The first partition that had to be left, where the next round begins.
    left_at: Option<TopicPartition>,
}

/// A segment on its way.
struct Running {
    topic_partition: TopicPartition,
    /// As it was led when this began: if it was lost meanwhile, and came back, it is another.
    partition: Arc<Partition>,
    offsets: Range<Offset>,
    bytes: u64,
    path: ObjectPath,
    handle: AbortOnDropHandle<Result<Written, ArchiveError>>,
}

/// What a partition's manifest is to get.
struct Written {
    /// None: there was no record to write.
    segment: Option<Segment>,
    producers: Vec<ProducerSnapshot>,
}

/// A segment that is stored, or could not be.
pub(in crate::archive) struct Ended {
    segment: Running,
    outcome: Result<Written, ArchiveError>,
}

/// Somebody waits until partitions are archived.
struct Flush {
    /// Those that are not yet, and up to where each has to be.
    left: Vec<(TopicPartition, Offset)>,
    outcome: Result<(), ArchiveError>,
    answer: oneshot::Sender<Result<(), ArchiveError>>,
}

/// Whether a segment may be begun now.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Room {
    Yes,
    No,
}

/// Segments on their way at once.
const AT_ONCE: usize = 2;
/// Bytes of batches that they are made from, unless it is one alone.
const BYTES_AT_ONCE: u64 = 128 * 1024 * 1024;
/// How long a round waits for room, if nothing ends meanwhile.
const WAIT_FOR_ROOM: Duration = Duration::from_millis(500);
/// Who else wants a flush is told that there are too many.
const FLUSHES_MAX: usize = 256;

impl Archiving {
    /// Whether a segment of this partition is on its way.
    pub fn runs(&self, topic_partition: TopicPartition) -> bool {
        self.running.iter().any(|running| running.topic_partition == topic_partition)
    }

    /// A round begins.
    pub fn on_round(&mut self) {
        self.is_slow = false;
    }

    /// Has the round begin where the last one had to leave off, so that everybody's turn comes.
    pub fn rotate(&mut self, partitions: &mut [Arc<Partition>]) {
        let Some(left_at) = self.left_at.take() else { return };
        let place = partitions.iter().position(|partition| partition.topic_partition() == left_at);
        partitions.rotate_left(place.unwrap_or(0));
    }

    /// The next segment that is stored or could not be; for ever, if none is on its way.
    pub async fn next_ended(&mut self) -> Ended {
        std::future::poll_fn(|cx| {
            let ended = self.running.iter_mut().enumerate().find_map(|(index, running)| {
                match Pin::new(&mut running.handle).poll(cx) {
                    Poll::Ready(outcome) => Some((index, outcome)),
                    Poll::Pending => None,
                }
            });
            let Some((index, outcome)) = ended else { return Poll::Pending };
            let outcome = outcome.unwrap_or(Err(ArchiveError::Closed));
            Poll::Ready(Ended { segment: self.running.swap_remove(index), outcome })
        })
        .await
    }

    /// Gives up what is on its way for partitions that are gone. Returns what may be there of it, or come to be.
    pub fn abandon(&mut self, is_gone: impl Fn(TopicPartition) -> bool) -> Vec<ObjectPath> {
        let is_of_one = |running: &mut Running| is_gone(running.topic_partition);
        self.running.extract_if(.., is_of_one).map(|running| running.path).collect()
    }

    fn has_room(&self, bytes: u64) -> bool {
        let taken: u64 = self.running.iter().map(|running| running.bytes).sum();
        let is_alone = self.running.is_empty();
        is_alone || self.running.len() < AT_ONCE && taken.saturating_add(bytes) <= BYTES_AT_ONCE
    }

    /// Tells whoever waits for this partition that it could not be archived; the first error is told.
    fn fail_flushes(&mut self, topic_partition: TopicPartition, error: ArchiveError) {
        let waits = |flush: &&mut Flush| flush.left.iter().any(|(left, _)| *left == topic_partition);
        let mut error = Some(error);
        for flush in self.flushes.iter_mut().filter(waits) {
            flush.left.retain(|(left, _)| *left != topic_partition);
            let error = error.take().unwrap_or(ArchiveError::Failed);
            flush.outcome = std::mem::replace(&mut flush.outcome, Ok(())).and(Err(error));
        }
    }
}

impl Rounds {
    /// As [`Archiving::next_ended`]. Nothing is lost if it is given up.
    pub async fn next_ended(&mut self) -> Ended {
        self.archiving.next_ended().await
    }

    /// A segment is stored: its partition's manifest is swapped. Or it could not be.
    pub async fn on_segment_ended(&mut self, ended: Ended) {
        let topic_partition = ended.segment.topic_partition;
        if let Err(error) = self.put_in_manifest(ended).await {
            self.on_failed(topic_partition, error);
        }
        self.advance_flushes().await;
    }

    fn on_failed(&mut self, topic_partition: TopicPartition, error: ArchiveError) {
        if let Some(topic) = self.start.catalog.by_id(topic_partition.topic_id) {
            tracing::warn!(topic = %topic.name, partition = topic_partition.partition.0, %error,
                "a partition could not be archived, it is tried again");
        }
        self.failed.rest(topic_partition, self.now() + super::FAILED_PAUSE);
        self.archiving.fail_flushes(topic_partition, error);
    }

    /// Archives what was decided, if there is room for it.
    pub(super) async fn archive_or_rest(
        &mut self,
        partition: &Arc<Partition>,
        topic: &Arc<Topic>,
        unarchived: Unarchived,
    ) {
        let topic_partition = partition.topic_partition();
        if self.room(topic_partition, unarchived.bytes).await == Room::No {
            return;
        }
        if let Err(error) = self.begin(partition, topic, unarchived).await {
            self.on_failed(topic_partition, error);
        }
    }

    /// Waits a moment for room, as long as others end.
    async fn room(&mut self, topic_partition: TopicPartition, bytes: u64) -> Room {
        while !self.archiving.has_room(bytes) {
            let ended = match self.archiving.is_slow {
                true => None,
                false => tokio::time::timeout(WAIT_FOR_ROOM, self.archiving.next_ended()).await.ok(),
            };
            let Some(ended) = ended else {
                self.archiving.is_slow = true;
                self.archiving.left_at.get_or_insert(topic_partition);
                return Room::No;
            };
            self.on_segment_ended(ended).await;
        }
        // What ended may have been followed by one of this partition, for who waits for it.
        if self.archiving.runs(topic_partition) { Room::No } else { Room::Yes }
    }

    /// Sends a segment on its way. There is room, and none of this partition is under way.
    async fn begin(
        &mut self,
        partition: &Arc<Partition>,
        topic: &Arc<Topic>,
        unarchived: Unarchived,
    ) -> Result<(), ArchiveError> {
        let topic_partition = partition.topic_partition();
        let kept = self.kept(partition, topic).await?;
        if kept.manifest.archived_offset() > unarchived.from {
            // A swap was made whose answer was lost. The log knows now; what is left is another plan.
            return Ok(());
        }
        let (offsets, bytes) = (unarchived.from..unarchived.to, unarchived.bytes);
        let made = Made { unique: clock::random_id(), leader_epoch: partition.leader_epoch(), level: 0 };
        let Made { unique, leader_epoch, .. } = made;
        let name = SegmentName { offsets: offsets.clone(), leader_epoch, unique };
        let path = paths::segment(&topic.name, topic_partition, &name);
        let (checkpoint, now) = (partition.checkpoint_at(unarchived.to), self.start.clock.now());
        let job = WriteJob {
            partition: Arc::clone(partition),
            unarchived,
            made,
            path: path.clone(),
            options: SegmentOptions { text: topic.settings.parquet_text, ..SegmentOptions::default() },
        };
        let ArchiveStart { reader, store, background, .. } = &self.start;
        let (reader, store, background) = (reader.clone(), store.clone(), background.clone());
        let work = async move {
            let mut producers = background.run(move || checkpoint.producers(now)).await?;
            if planted::is_planted(Mistake::ForgetProducers) {
                producers.clear();
            }
            let segment = job.run(&reader, &store, &background).await?;
            Ok(Written { segment, producers })
        };
        let work = async move {
            tokio::time::timeout(JOB_TIMEOUT, work).await.unwrap_or(Err(ArchiveError::TimedOut))
        };
        let handle = AbortOnDropHandle::new(tokio::spawn(work));
        let partition = Arc::clone(partition);
        self.archiving.running.push(Running { topic_partition, partition, offsets, bytes, path, handle });
        Ok(())
    }

    async fn put_in_manifest(&mut self, ended: Ended) -> Result<(), ArchiveError> {
        let Ended { segment: Running { topic_partition, partition, offsets, path, .. }, outcome } = ended;
        let swapped = match outcome {
            Ok(written) => self.swap_in(&partition, offsets, written).await,
            Err(error) => Err(error),
        };
        match swapped {
            Ok(InManifest::Yes) => Ok(()),
            Ok(InManifest::No) => {
                self.graveyard.bury(self.now(), [path]);
                Ok(())
            }
            Err(error) => {
                // Maybe it is there, but nothing refers to it.
                if is_surely_void(&error) || !self.unsettled.contains(&topic_partition) {
                    self.graveyard.bury(self.now(), [path]);
                }
                Err(error)
            }
        }
    }

    async fn swap_in(
        &mut self,
        begun: &Arc<Partition>,
        offsets: Range<Offset>,
        written: Written,
    ) -> Result<InManifest, ArchiveError> {
        let topic_partition = begun.topic_partition();
        let (partition, topic) = self.led_here(topic_partition)?;
        if !Arc::ptr_eq(&partition, begun) {
            return Ok(InManifest::No);
        }
        let kept = self.kept(&partition, &topic).await?;
        if kept.manifest.archived_offset() > offsets.start {
            return Ok(InManifest::No);
        }
        let Written { segment, producers } = written;
        let archived = Archived {
            segments: segment.iter().cloned().collect(),
            archived_offset: offsets.end,
            leader_epochs: partition.epochs_in(offsets.start, offsets.end),
            producers,
        };
        let swapped = match kept.manifest.append_segments(archived) {
            Ok(edited) => self.swap(&kept, &partition, &topic, edited).await,
            Err(error) => Err(error.into()),
        };
        self.on_swapped(&partition, &topic, swapped)?;
        self.waiting.remove(&topic_partition);
        if let Some(segment) = segment {
            self.upkeep.on_segments(topic_partition);
            self.start.metrics.archive.segments.inc();
            self.start.metrics.archive.raw_bytes.inc_by(segment.raw_bytes);
            self.start.metrics.archive.file_bytes.inc_by(segment.file_bytes);
            tracing::debug!(topic = %topic.name, partition = topic_partition.partition.0, rows = segment.rows,
                bytes = segment.file_bytes, "a segment was archived");
        }
        Ok(InManifest::Yes)
    }

    /// Has these partitions archived as far as they may be now; who waits is answered when they are.
    pub(super) async fn on_flush(
        &mut self,
        partitions: Vec<TopicPartition>,
        answer: oneshot::Sender<Result<(), ArchiveError>>,
    ) {
        self.archiving.flushes.retain(|flush| !flush.answer.is_closed());
        if self.archiving.flushes.len() >= FLUSHES_MAX {
            let _gone = answer.send(Err(ArchiveError::Busy));
            return;
        }
        let (mut left, mut outcome) = (Vec::with_capacity(partitions.len()), Ok(()));
        for topic_partition in partitions {
            match self.led_here(topic_partition) {
                Ok((partition, _)) => left.push((topic_partition, partition.archivable().0.end)),
                Err(error) => outcome = outcome.and(Err(error)),
            }
        }
        self.archiving.flushes.push(Flush { left, outcome, answer });
        self.advance_flushes().await;
    }

    /// Goes on with what is waited for, as far as there is room, and answers those for whom all is done.
    pub(super) async fn advance_flushes(&mut self) {
        let mut flushes = std::mem::take(&mut self.archiving.flushes);
        for flush in &mut flushes {
            for (topic_partition, until) in std::mem::take(&mut flush.left) {
                match self.advance_flush(topic_partition, until).await {
                    Ok(Flushed::Yes) => {}
                    Ok(Flushed::NotYet) => flush.left.push((topic_partition, until)),
                    Err(error) => {
                        flush.outcome = std::mem::replace(&mut flush.outcome, Ok(())).and(Err(error));
                    }
                }
            }
        }
        for flush in flushes {
            if flush.left.is_empty() {
                let _gone = flush.answer.send(flush.outcome);
            } else {
                self.archiving.flushes.push(flush);
            }
        }
    }

    /// One segment more, whatever its size and age.
    async fn advance_flush(
        &mut self,
        topic_partition: TopicPartition,
        until: Offset,
    ) -> Result<Flushed, ArchiveError> {
        let (partition, topic) = self.led_here(topic_partition)?;
        if self.archiving.runs(topic_partition) {
            return Ok(Flushed::NotYet);
        }
        let bytes_max = CutSettings::of(&self.start.config, &topic.settings, JournalPressure::Low).bytes;
        let unarchived = partition.unarchived(bytes_max);
        if unarchived.from >= unarchived.to || unarchived.from >= until {
            return Ok(Flushed::Yes);
        }
        if self.archiving.has_room(unarchived.bytes) {
            self.begin(&partition, &topic, unarchived).await?;
        }
        Ok(Flushed::NotYet)
    }

    fn led_here(
        &self,
        topic_partition: TopicPartition,
    ) -> Result<(Arc<Partition>, Arc<Topic>), ArchiveError> {
        let partition = self.start.log.partition(topic_partition);
        let topic = self.start.catalog.by_id(topic_partition.topic_id);
        partition.zip(topic).ok_or(ArchiveError::UnknownPartition)
    }
}

/// Whether a segment is referred to now.
enum InManifest {
    Yes,
    /// What it has was archived before.
    No,
}

/// Whether a partition is archived as far as it was asked for.
enum Flushed {
    Yes,
    NotYet,
}
