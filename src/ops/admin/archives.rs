//! The archives of what one session serves, as it alone knows them; and what it does with them when it is told to.

use super::answers::{ArchivePage, PartitionAnswer, PartitionError, SegmentAnswer, TopicArchive};
use crate::archive::{self, Archive};
use crate::config::ArchiveConfig;
use crate::handler::Context;
use crate::log::{ArchiveState, BrokerLog, Partition};
use crate::meta::Standing;
use crate::segment::manifest::Segment;
use crate::topic::{Catalog, Topic};
use crate::types::{Offset, PartitionIndex, TopicPartition};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What of archives a session can tell and do by itself. Clones are the same.
#[derive(Clone, Debug)]
pub struct OwnArchives {
    /// Its right to answer.
    pub standing: Standing,
    /// Which topics there are.
    pub catalog: Arc<Catalog>,
    /// What it serves.
    pub log: Arc<BrokerLog>,
    /// Archives it.
    pub archive: Archive,
    /// When, unless a topic says otherwise.
    pub config: ArchiveConfig,
}

/// Partitions with their segments, as many as a page has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct PartitionsPart {
    /// In the order of their numbers.
    pub partitions: Vec<PartitionAnswer>,
    /// Where the next page begins; none: this is all.
    pub next: Option<(i32, i64)>,
}

/// Which of a topic's partitions are asked for: in the order of their numbers, the first from an offset on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct WantedPartitions {
    pub partitions: Vec<i32>,
    /// This partition's segments from that offset on.
    pub from: (i32, i64),
    /// Segments, and partitions without any, at most.
    pub limit: usize,
}

const NOT_SERVED: &str = "the broker that leads it does not serve it at the moment";

impl OwnArchives {
    pub(super) fn of(context: &Context) -> OwnArchives {
        OwnArchives {
            standing: context.standing.clone(),
            catalog: Arc::clone(&context.catalog),
            log: Arc::clone(&context.log),
            archive: context.archive.clone(),
            config: context.config.archive,
        }
    }

    /// The segments of those partitions. What is not served here says so.
    pub(super) fn segments(&self, topic: &Topic, wanted: &WantedPartitions) -> PartitionsPart {
        let mut part = PartitionsPart::default();
        let mut left = wanted.limit.max(1);
        for &partition in &wanted.partitions {
            let from = Offset(if partition == wanted.from.0 { wanted.from.1 } else { 0 });
            if left == 0 {
                part.next = Some((partition, from.get()));
                break;
            }
            let (answer, next) = self.partition(topic, partition, from, left);
            // A partition without segments is an entry of the page, too.
            left -= answer.segments.len().max(1);
            part.partitions.push(answer);
            if let Some(next) = next {
                part.next = Some((partition, next.get()));
                break;
            }
        }
        part
    }

    /// All topics from that name on, as many as a page has, with what is served here of each.
    pub(super) fn topics(&self, from: &str, limit: usize) -> ArchivePage {
        let all = self.catalog.all();
        let start = all.partition_point(|topic| topic.name.as_str() < from);
        let wanted = all.get(start..).unwrap_or_default();
        let topics = wanted.iter().take(limit).map(|topic| self.of_topic(topic)).collect();
        let next = wanted.get(limit).map(|topic| topic.name.to_string());
        ArchivePage { topics, next, missing: Vec::new() }
    }

    /// What is served here of a topic.
    pub(super) fn of_topic(&self, topic: &Topic) -> TopicArchive {
        let mut sum = TopicArchive::of(topic);
        for partition in 0..topic.partitions {
            let Some(state) = self.served(topic, partition).map(|led| led.archive_state()) else { continue };
            let totals =
                state.archived.as_ref().map(|archived| archived.manifest.totals()).unwrap_or_default();
            sum.segments += totals.segments;
            sum.rows += totals.rows;
            sum.bytes += totals.file_bytes;
            sum.raw_bytes += totals.raw_bytes;
            sum.lag_records += state.lag_records();
            sum.lag_bytes += state.lag_bytes;
        }
        sum
    }

    /// Archives all that these partitions have, and says what there is then. What is not served here, or failed, is told.
    pub(super) async fn flush(&self, topic: &Topic, partitions: &[i32]) -> TopicArchive {
        let of = |index: i32| TopicPartition { topic_id: topic.id, partition: PartitionIndex(index) };
        let (served, others): (Vec<i32>, Vec<i32>) =
            partitions.iter().partition(|index| self.log.partition(of(**index)).is_some());
        let flushed = self.archive.flush(served.iter().copied().map(of).collect()).await;
        let mut sum = self.of_topic(topic);
        sum.errors = PartitionError::all(&others, NOT_SERVED);
        if let Err(error) = flushed {
            sum.errors.extend(PartitionError::all(&served, &error.to_string()));
        }
        sum
    }

    fn served(&self, topic: &Topic, partition: i32) -> Option<Arc<Partition>> {
        self.log.partition(TopicPartition { topic_id: topic.id, partition: PartitionIndex(partition) })
    }

    /// At most `limit` segments that end after `from`, and where those behind them begin.
    fn partition(
        &self,
        topic: &Topic,
        partition: i32,
        from: Offset,
        limit: usize,
    ) -> (PartitionAnswer, Option<Offset>) {
        let Some(served) = self.served(topic, partition) else {
            return (PartitionAnswer::failed(partition, NOT_SERVED), None);
        };
        let state = served.archive_state();
        let (mut answer, next) = partition_answer(topic, partition, &state, from, limit);
        let waits_for = archive::waits_for(&self.config, &topic.settings, self.log.needs(), &served);
        answer.waits_for = waits_for.map(|waits_for| waits_for.to_string());
        (answer, next)
    }
}

fn partition_answer(
    topic: &Topic,
    partition: i32,
    state: &ArchiveState,
    from: Offset,
    limit: usize,
) -> (PartitionAnswer, Option<Offset>) {
    let topic_partition = TopicPartition { topic_id: topic.id, partition: PartitionIndex(partition) };
    let found = state.archived.iter().flat_map(|archived| archived.manifest.segments_from(from));
    let mut found = found.peekable();
    let taken = found.by_ref().take(limit);
    let segments = taken.map(|segment| segment_answer(topic, topic_partition, segment)).collect();
    let next = found.peek().map(|segment| segment.offsets.start);
    let answer = PartitionAnswer {
        partition,
        log_start_offset: state.log_start_offset.get(),
        archived_offset: state.archived_offset().get(),
        high_watermark: state.high_watermark.get(),
        lag_records: state.lag_records(),
        lag_bytes: state.lag_bytes,
        waits_for: None,
        segments,
        error: None,
    };
    (answer, next)
}

fn segment_answer(topic: &Topic, topic_partition: TopicPartition, segment: &Segment) -> SegmentAnswer {
    SegmentAnswer {
        path: crate::store::paths::segment(&topic.name, topic_partition, &segment.name()).to_string(),
        base_offset: segment.offsets.start.get(),
        end_offset: segment.offsets.end.get(),
        rows: segment.rows,
        bytes: segment.file_bytes,
        raw_bytes: segment.raw_bytes,
        min_timestamp: segment.min_timestamp.get(),
        max_timestamp: segment.max_timestamp.get(),
        level: segment.level,
    }
}
