//! What the archiver does when it looks around: archive what is due, move log starts, merge and compact, let objects go.

mod archiving;
mod journals;
mod keeping;
mod litter;
mod moves;
mod relief;
mod upkeep;

pub(super) use archiving::Ended;

use super::archiver::{ArchiveStart, Call};
use super::cut::{self, ArchiveCut, CutSettings, JournalPressure, PutShare};
use super::error::ArchiveError;
use super::graveyard::Graveyard;
use super::journal_copy::share_of;
use super::journals::Journals;
use super::kept::{KeptManifest, Swapped};
use super::left::Look;
use super::resting::Resting;
use super::retention::{self, Piece, Retained, RetentionSettings};
use super::upkeep::Upkeep;
use crate::hashing::HashMap;
use crate::log::{IndexEntry, Partition, Unarchived};
use crate::meta::Write;
use crate::meta::{Change, SettleError, Settled};
use crate::segment::manifest::{Edited, Segment, pointer_key, pointer_prefix};
use crate::store::{ObjectPath, paths};
use crate::topic::Topic;
use crate::types::{Moment, Offset, Timestamp, TopicId, TopicPartition};
use archiving::Archiving;
use futures_util::TryStreamExt;
use journals::Merging;
use keeping::Keeping;
use litter::Litter;
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// The archiver's state.
pub(super) struct Rounds {
    start: ArchiveStart,
    origin: Instant,
    kept: HashMap<TopicPartition, KeptManifest>,
    archiving: Archiving,
    waiting: HashMap<TopicPartition, Waiting>,
    /// Partitions that could not be archived, and when they are tried again.
    failed: Resting,
    /// Partitions of which a swap may still be made: its answer was lost, and none was made since.
    unsettled: BTreeSet<TopicPartition>,
    graveyard: Graveyard,
    journals: Journals,
    merging: Merging,
    keeping: Keeping,
    litter: Litter,
    /// Learns what of other brokers' partitions is archived.
    left: Look,
    gone: BTreeSet<TopicId>,
    /// Of these, those that have objects: their pointers may be gone already.
    stripped: BTreeSet<TopicId>,
    retention_at: Moment,
    upkeep: Upkeep,
}

/// What of a partition waits to be archived.
struct Waiting {
    oldest: Offset,
    since: Moment,
    /// It has not paid for a segment: unless it has so many bytes before, what it has paid is of interest again then.
    look_at: Moment,
    look_bytes: u64,
}

impl Waiting {
    fn new(oldest: Offset, since: Moment) -> Waiting {
        Waiting { oldest, since, look_at: since, look_bytes: 0 }
    }
}

/// How long a partition is left alone that could not be archived.
const FAILED_PAUSE: Duration = Duration::from_secs(5);
/// Spans that may wait before they are archived whether it is worth it or not: about a GiB of memory.
const WAITING_SPANS_MAX: u64 = 12_000_000;
/// And merged objects of one journal, whose list is one value of the metadata.
const MERGED_OBJECTS_MAX: usize = 8_000;
/// How long the spans are not looked at again of a partition that has not paid for a segment.
const LOOK_AGAIN: Duration = Duration::from_secs(10);
/// Partitions that are looked at before others have their turn on the processor.
const PARTITIONS_PER_TURN: usize = 64;
/// Objects of a deleted topic that are listed at once.
const TOPIC_OBJECTS_MAX: usize = 1_000_000;

impl Rounds {
    pub fn new(mut start: ArchiveStart, left: Look) -> Rounds {
        let pace = start.config.pace;
        let mut graveyard = Graveyard::new(pace.grace);
        graveyard.bury(Moment::default(), std::mem::take(&mut start.loaded.garbage));
        let kept = std::mem::take(&mut start.loaded.manifests);
        let journals = Journals::new(start.session, start.standing.clone(), pace.grace);
        let gone = std::mem::take(&mut start.loaded.gone);
        let mut upkeep = Upkeep::default();
        kept.iter().for_each(|loaded| upkeep.on_segments(loaded.topic_partition));
        Rounds {
            start,
            origin: Instant::now(),
            kept: kept.into_iter().map(|loaded| (loaded.topic_partition, loaded.kept)).collect(),
            archiving: Archiving::default(),
            waiting: HashMap::default(),
            failed: Resting::default(),
            unsettled: BTreeSet::new(),
            graveyard,
            journals,
            merging: Merging::new(&pace),
            keeping: Keeping::new(pace.grace),
            litter: Litter::default(),
            left,
            gone,
            stripped: BTreeSet::new(),
            retention_at: Moment(pace.retention_every),
            upkeep,
        }
    }

    fn now(&self) -> Moment {
        Moment(self.origin.elapsed())
    }

    pub async fn on_call(&mut self, call: Call) {
        match call {
            Call::Flush(partitions, answer) => self.on_flush(partitions, answer).await,
            Call::DeleteRecords(topic_partition, offset, answer) => {
                let _gone = answer.send(self.delete_records(topic_partition, offset).await);
            }
            Call::TopicDeleted(topic_id) => {
                self.gone.insert(topic_id);
            }
            Call::Gained(loaded) => self.on_gained(loaded),
            Call::Lost(partitions) => self.on_lost(&partitions),
            #[cfg(test)]
            Call::Panic => panic!("a test has asked for it"),
        }
    }

    /// One look at everything; whoever asks meanwhile is answered in between.
    pub async fn go(&mut self, calls: &mut mpsc::Receiver<Call>) {
        let now = self.now();
        self.failed.forget_over(now);
        self.upkeep.resting.forget_over(now);
        let pressure = self.pressure();
        self.archiving.on_round();
        self.advance_flushes().await;
        let mut partitions = self.start.log.partitions();
        self.archiving.rotate(&mut partitions);
        for (looked_at, partition) in partitions.into_iter().enumerate() {
            while let Ok(call) = calls.try_recv() {
                self.on_call(call).await;
            }
            self.archive_if_due(&partition, pressure).await;
            if looked_at % PARTITIONS_PER_TURN == 0 {
                tokio::task::yield_now().await;
            }
        }
        self.relieve(calls).await;
        if now >= self.retention_at {
            self.retention_at = now + self.start.config.pace.retention_every;
            for partition in self.start.log.partitions() {
                self.apply_retention(&partition).await;
            }
        }
        self.keep_up().await;
        for topic_id in std::mem::take(&mut self.gone) {
            if let Err(error) = self.remove_topic(topic_id).await {
                tracing::warn!(%topic_id, %error, "the objects of a deleted topic could not be removed yet");
                self.gone.insert(topic_id);
            }
        }
        self.keep_journals().await;
        self.merge_journals().await;
        self.release_journals().await;
        self.clear_litter().await;
        self.graveyard.clear(now, &self.start.store).await;
    }

    /// Merging keeps the objects few that waiting partitions need; how many spans and bytes these have is not up to it.
    fn pressure(&self) -> JournalPressure {
        let (spans, merged) = self.start.log.needs().totals();
        if spans > WAITING_SPANS_MAX || merged > MERGED_OBJECTS_MAX {
            JournalPressure::High
        } else {
            JournalPressure::Low
        }
    }

    async fn archive_if_due(&mut self, partition: &Arc<Partition>, pressure: JournalPressure) {
        let topic_partition = partition.topic_partition();
        let Some(topic) = self.start.catalog.by_id(topic_partition.topic_id) else { return };
        let now = self.now();
        if self.rests(topic_partition) || self.archiving.runs(topic_partition) {
            return;
        }
        let settings = CutSettings::of(&self.start.config, &topic.settings, pressure);
        let (offsets, bytes) = partition.archivable();
        let Some(waiting) = self.waiting(topic_partition, &offsets, now) else { return };
        let (since, is_looked_at) = (waiting.since, now >= waiting.look_at || bytes >= waiting.look_bytes);
        // Young and small: what it has paid is not of interest yet. Or it was looked at a moment ago.
        let is_young = now < since + settings.age;
        if bytes < settings.bytes && (is_young || pressure == JournalPressure::Low && !is_looked_at) {
            return;
        }
        let unarchived = partition.unarchived(settings.bytes);
        match self.decide(&settings, now, since, &unarchived, pressure) {
            ArchiveCut::Now => {}
            ArchiveCut::Nothing => return,
            ArchiveCut::At(due) => {
                let look_at = due.min(now + LOOK_AGAIN);
                let look_bytes = bytes.saturating_add(bytes / 2).max(1);
                let waiting = Waiting { oldest: offsets.start, since, look_at, look_bytes };
                self.waiting.insert(topic_partition, waiting);
                return;
            }
        }
        self.archive_or_rest(partition, &topic, unarchived).await;
    }

    /// Whether a partition is left alone, as it could not be archived a moment ago.
    fn rests(&self, topic_partition: TopicPartition) -> bool {
        self.failed.rests(topic_partition, self.now())
    }

    /// What is known of these offsets, which wait; none: there are none.
    fn waiting(
        &mut self,
        topic_partition: TopicPartition,
        offsets: &Range<Offset>,
        now: Moment,
    ) -> Option<&Waiting> {
        if offsets.is_empty() {
            self.waiting.remove(&topic_partition);
            return None;
        }
        let new = || Waiting::new(offsets.start, now);
        let waiting = self.waiting.entry(topic_partition).or_insert_with(new);
        if waiting.oldest != offsets.start {
            *waiting = new();
        }
        Some(waiting)
    }

    fn decide(
        &self,
        settings: &CutSettings,
        now: Moment,
        oldest: Moment,
        unarchived: &Unarchived,
        pressure: JournalPressure,
    ) -> ArchiveCut {
        let mut paid = PutShare::default();
        for span in &unarchived.spans {
            if paid >= PutShare::OF_A_SEGMENT {
                break;
            }
            paid = paid + share_of(self.start.log.needs(), span);
        }
        let unarchived = cut::Unarchived { bytes: unarchived.bytes, oldest: Some(oldest), paid };
        cut::decide(settings, now, unarchived, pressure)
    }

    /// Makes an edited manifest the partition's, under its term.
    async fn swap(
        &self,
        kept: &KeptManifest,
        partition: &Partition,
        topic: &Topic,
        edited: Edited,
    ) -> Result<Swapped, ArchiveError> {
        kept.swap(&self.start.standing, partition.term(), &self.start.store, &topic.name, edited).await
    }

    /// A manifest has become the partition's, or it is not known whether it has.
    fn on_swapped(
        &mut self,
        partition: &Partition,
        topic: &Topic,
        swapped: Result<Swapped, ArchiveError>,
    ) -> Result<(), ArchiveError> {
        let topic_partition = partition.topic_partition();
        let Swapped { kept, garbage } = swapped.inspect_err(|error| {
            // It is read again before anything else is done to it.
            self.kept.remove(&topic_partition);
            if !is_surely_void(error) {
                self.unsettled.insert(topic_partition);
            }
        })?;
        // It compared the pointer, so a swap before it that has not been made never will be.
        self.unsettled.remove(&topic_partition);
        self.graveyard.bury(self.now(), garbage);
        self.on_kept(partition, topic, kept);
        Ok(())
    }

    /// This is the partition's manifest, and not an older one than the log knows.
    fn on_kept(&mut self, partition: &Partition, topic: &Topic, kept: KeptManifest) {
        let trimmed = partition.on_archived(kept.archived_log(&topic.name));
        self.start.log.needs().release(&trimmed);
        // If it was lost a moment ago, what it had is left over.
        self.start.log.release_archived(partition.topic_partition(), kept.manifest.archived_offset());
        self.kept.insert(partition.topic_partition(), kept);
    }

    /// The partition's manifest as it is stored. Where it has to be read again, as a swap's answer was lost, the log is
    /// told what it says: the swap may have been made.
    async fn kept(&mut self, partition: &Partition, topic: &Topic) -> Result<KeptManifest, ArchiveError> {
        let topic_partition = partition.topic_partition();
        if let Some(kept) = self.kept.get(&topic_partition) {
            return Ok(kept.clone());
        }
        tracing::debug!(topic = %topic.name, partition = topic_partition.partition.0, "a manifest is read");
        let store = self.start.standing.store();
        let entry = store.get(&pointer_key(topic_partition)).await.map_err(super::LoadError::from)?;
        let known = partition.archivable().0.start;
        let Some(entry) = entry else {
            // Without a pointer nothing is archived, and the log has nothing to learn.
            let nothing = KeptManifest::none(topic_partition);
            return if known > Offset::ZERO { Err(ArchiveError::Changed) } else { Ok(nothing) };
        };
        let (kept, unreferenced) = KeptManifest::load(&self.start.store, topic_partition, &entry).await?;
        if kept.manifest.archived_offset() < known {
            return Err(ArchiveError::Changed);
        }
        let path_of = |segment: &Segment| paths::segment(&topic.name, topic_partition, &segment.name());
        self.graveyard.bury(self.now(), unreferenced.iter().map(path_of));
        self.on_kept(partition, topic, kept.clone());
        Ok(kept)
    }

    async fn apply_retention(&mut self, partition: &Partition) {
        let topic_partition = partition.topic_partition();
        let Some(topic) = self.start.catalog.by_id(topic_partition.topic_id) else { return };
        let settings = RetentionSettings::of(&topic.settings);
        if settings == RetentionSettings::default() {
            return;
        }
        let ends = partition.ends();
        let log = Retained {
            log_start_offset: ends.log_start_offset,
            last_stable_offset: ends.last_stable_offset,
            bytes: partition.bytes(),
        };
        if !may_end(&settings, &log, partition.oldest_piece(), self.start.clock.now()) {
            return;
        }
        let archived = partition.archived();
        let segments =
            archived.iter().flat_map(|archived| archived.manifest.segments_from(ends.log_start_offset));
        let spans = partition.journal_spans();
        let above = spans.iter().filter(|span| span.offsets.end > ends.log_start_offset);
        let pieces = segments.map(Piece::from).chain(above.map(Piece::from));
        let Some(offset) = retention::new_log_start(&settings, self.start.clock.now(), log, pieces) else {
            return;
        };
        match self.move_log_start(partition, &topic, offset).await {
            Ok(()) => tracing::info!(topic = %topic.name, partition = topic_partition.partition.0,
                log_start_offset = offset.get(), "old records are gone"),
            Err(error) => {
                tracing::warn!(topic = %topic.name, partition = topic_partition.partition.0, %error,
                    "a log start could not be moved, it is tried again");
            }
        }
    }

    async fn delete_records(
        &mut self,
        topic_partition: TopicPartition,
        offset: Offset,
    ) -> Result<Offset, ArchiveError> {
        let partition = self.start.log.partition(topic_partition).ok_or(ArchiveError::UnknownPartition)?;
        let topic =
            self.start.catalog.by_id(topic_partition.topic_id).ok_or(ArchiveError::UnknownPartition)?;
        let ends = partition.ends();
        if offset > ends.high_watermark || offset < Offset::ZERO {
            return Err(ArchiveError::OutOfRange(offset));
        }
        if offset > ends.log_start_offset {
            self.move_log_start(&partition, &topic, offset).await?;
        }
        Ok(partition.ends().log_start_offset)
    }

    async fn move_log_start(
        &mut self,
        partition: &Partition,
        topic: &Topic,
        offset: Offset,
    ) -> Result<(), ArchiveError> {
        let kept = self.kept(partition, topic).await?;
        let ArchiveStart { standing, .. } = &self.start;
        let swapped = kept.move_log_start(standing, partition.term(), &topic.name, offset).await;
        self.on_swapped(partition, topic, swapped)
    }

    /// The pointers of a deleted topic go, then its objects.
    async fn remove_topic(&mut self, topic_id: TopicId) -> Result<(), ArchiveError> {
        self.kept.retain(|partition, _| partition.topic_id != topic_id);
        self.waiting.retain(|partition, _| partition.topic_id != topic_id);
        self.unsettled.retain(|partition| partition.topic_id != topic_id);
        let abandoned = self.archiving.abandon(|partition| partition.topic_id == topic_id);
        self.graveyard.bury(self.now(), abandoned);
        let store = Arc::clone(self.start.standing.store());
        let pointers = store.list(&pointer_prefix(topic_id)).await.map_err(super::LoadError::from)?;
        if !pointers.entries.is_empty() {
            self.stripped.insert(topic_id);
        }
        for chunk in pointers.entries.chunks(POINTERS_AT_ONCE) {
            let writes = chunk.iter().map(|entry| Write::Delete(entry.key.clone())).collect();
            let change = Change { compares: Vec::new(), writes, reads: Vec::new(), terms: Vec::new() };
            if let Settled::Refused(_) = self.start.standing.settle(&change).await? {
                return Err(ArchiveError::Changed);
            }
        }
        if !self.stripped.contains(&topic_id) {
            return Ok(());
        }
        let mut garbage = Vec::new();
        let of_topic = |path: &ObjectPath| {
            paths::parse_segment(path).is_some_and(|(partition, _)| partition.topic_id == topic_id)
        };
        let mut segments = self.start.store.list(Some(&paths::segments_prefix()));
        while let Some(object) = segments.try_next().await? {
            if of_topic(&object.path) && garbage.len() < TOPIC_OBJECTS_MAX {
                garbage.push(object.path);
            }
        }
        let prefix = paths::topic_manifests_prefix(topic_id);
        let manifests = self.start.store.list_sorted(Some(&prefix), TOPIC_OBJECTS_MAX).await?;
        garbage.extend(manifests.into_iter().map(|object| object.path));
        tracing::info!(%topic_id, objects = garbage.len(), "the objects of a deleted topic go");
        self.graveyard.bury(self.now(), garbage);
        self.stripped.remove(&topic_id);
        Ok(())
    }
}

/// Whether a swap that ended so has surely not been made. Of others that is not known: what was written for them is
/// left to those who look for what nothing refers to.
fn is_surely_void(error: &ArchiveError) -> bool {
    matches!(
        error,
        ArchiveError::Edit(_)
            | ArchiveError::UnknownPartition
            | ArchiveError::Store(_)
            | ArchiveError::Load(_)
            | ArchiveError::Changed
            | ArchiveError::Settle(SettleError::Closed)
    )
}

/// Whether it is worth a closer look: the oldest piece goes first, so nothing goes while it stays.
fn may_end(
    settings: &RetentionSettings,
    log: &Retained,
    oldest: Option<(Timestamp, u64)>,
    now: Timestamp,
) -> bool {
    let Some((max_timestamp, bytes)) = oldest else { return false };
    let is_old = settings.age_ms.is_some_and(|age_ms| now.0.saturating_sub(max_timestamp.0) > age_ms);
    let is_surplus = settings.bytes.is_some_and(|limit| log.bytes.saturating_sub(limit) >= bytes);
    is_old || is_surplus
}

/// Pointers that are deleted in one transaction.
const POINTERS_AT_ONCE: usize = 100;

impl From<&IndexEntry> for Piece {
    fn from(span: &IndexEntry) -> Piece {
        Piece { end: span.offsets.end, max_timestamp: span.max_timestamp, bytes: span.size() }
    }
}
