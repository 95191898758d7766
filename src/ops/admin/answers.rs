//! The answers as they are written, and read again by the command line. All offsets are half-open: `end` is the first
//! that does not belong.

use super::query::Query;
use super::{Refusal, bad};
use crate::archive;
use crate::handler::Context;
use crate::log::{ArchiveState, Partition};
use crate::segment::manifest::Segment;
use crate::topic::Topic;
use crate::types::{Offset, PartitionIndex, TopicPartition};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// A page of a topic's segments.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SegmentsPage {
    /// The topic's name.
    pub topic: String,
    /// Its id, 32 hex digits.
    pub topic_id: String,
    /// The store's URL, which paths are below.
    pub store: String,
    /// In order. The first goes on where the page before ended.
    pub partitions: Vec<PartitionAnswer>,
    /// The `from` of the page behind this one; none: this is the last.
    pub next: Option<String>,
}

/// A partition with segments of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PartitionAnswer {
    /// Which.
    pub partition: i32,
    /// First readable.
    pub log_start_offset: i64,
    /// First that no segment has.
    pub archived_offset: i64,
    /// First not visible.
    pub high_watermark: i64,
    /// Readable offsets that no segment has.
    pub lag_records: u64,
    /// Bytes of the batches that are in the journal alone.
    pub lag_bytes: u64,
    /// What these wait for before they become a segment; none: nothing waits.
    #[serde(default)]
    pub waits_for: Option<String>,
    /// In the order of their offsets.
    pub segments: Vec<SegmentAnswer>,
}

/// One Parquet file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SegmentAnswer {
    /// Where it lies in the store.
    pub path: String,
    /// The first offset that it stands for.
    pub base_offset: i64,
    /// The first behind it.
    pub end_offset: i64,
    /// Its rows.
    pub rows: u64,
    /// Bytes of the file.
    pub bytes: u64,
    /// Bytes of keys, values and headers.
    pub raw_bytes: u64,
    /// The earliest timestamp, in milliseconds since 1970.
    pub min_timestamp: i64,
    /// The latest.
    pub max_timestamp: i64,
    /// How often its rows were merged.
    pub level: u8,
}

/// A page of topics.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ArchivePage {
    /// In the order of their names.
    pub topics: Vec<TopicArchive>,
    /// The `from` of the page behind this one; none: this is the last.
    pub next: Option<String>,
}

/// What of a topic lies where.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct TopicArchive {
    /// Its name.
    pub topic: String,
    /// Its id, 32 hex digits.
    pub topic_id: String,
    /// How many partitions.
    pub partitions: i32,
    /// Files of all partitions.
    pub segments: u64,
    /// Their rows.
    pub rows: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Bytes of keys, values and headers in them.
    pub raw_bytes: u64,
    /// Readable offsets that no segment has.
    pub lag_records: u64,
    /// Bytes of the batches that are in the journal alone.
    pub lag_bytes: u64,
}

/// Segments of a topic, as many as a page has.
pub(super) fn segments(context: &Context, topic: &Topic, query: &Query) -> Result<SegmentsPage, Refusal> {
    let (mut first, mut from) = query.place()?;
    let mut end = PartitionIndex(topic.partitions);
    if let Some(partition) = query.partition {
        if !topic.has(partition) {
            return Err(bad(format!("topic {} has no partition {partition}", topic.name)));
        }
        from = if first == partition { from } else { Offset::ZERO };
        (first, end) = (partition, PartitionIndex(partition.0 + 1));
    }
    let mut page = SegmentsPage {
        topic: topic.name.to_string(),
        topic_id: topic.id.to_string(),
        store: context.reader.store().to_string(),
        partitions: Vec::new(),
        next: None,
    };
    let mut left = query.limit;
    for partition in first.0.max(0)..end.0 {
        if left == 0 {
            page.next = Some(format!("{partition}:{from}"));
            break;
        }
        let state = state_of(context, topic, partition);
        let (mut answer, next) = partition_answer(topic, partition, &state, from, left);
        answer.waits_for = waits_for(context, topic, partition);
        // A partition without segments is an entry of the page, too.
        left -= answer.segments.len().max(1);
        page.partitions.push(answer);
        if let Some(next) = next {
            page.next = Some(format!("{partition}:{next}"));
            break;
        }
        from = Offset::ZERO;
    }
    Ok(page)
}

/// All topics, as many as a page has.
pub(super) fn topics(context: &Context, query: &Query) -> ArchivePage {
    let all = context.catalog.all();
    let from = query.from.as_deref().unwrap_or_default();
    let start = all.partition_point(|topic| topic.name.as_str() < from);
    let wanted = all.get(start..).unwrap_or_default();
    let topics = wanted.iter().take(query.limit).map(|topic| of_topic(context, topic)).collect();
    ArchivePage { topics, next: wanted.get(query.limit).map(|topic| topic.name.to_string()) }
}

pub(super) fn of_topic(context: &Context, topic: &Topic) -> TopicArchive {
    let mut sum = TopicArchive {
        topic: topic.name.to_string(),
        topic_id: topic.id.to_string(),
        partitions: topic.partitions,
        ..TopicArchive::default()
    };
    for partition in 0..topic.partitions {
        let state = state_of(context, topic, partition);
        let totals = state.archived.as_ref().map(|archived| archived.manifest.totals()).unwrap_or_default();
        sum.segments += totals.segments;
        sum.rows += totals.rows;
        sum.bytes += totals.file_bytes;
        sum.raw_bytes += totals.raw_bytes;
        sum.lag_records += state.lag_records();
        sum.lag_bytes += state.lag_bytes;
    }
    sum
}

/// A partition that nobody has asked for yet is as one without records.
fn state_of(context: &Context, topic: &Topic, partition: i32) -> ArchiveState {
    partition_of(context, topic, partition).map(|partition| partition.archive_state()).unwrap_or_default()
}

fn waits_for(context: &Context, topic: &Topic, partition: i32) -> Option<String> {
    let partition = partition_of(context, topic, partition)?;
    let (broker, needs) = (&context.config.archive, context.log.needs());
    archive::waits_for(broker, &topic.settings, needs, &partition).map(|waits_for| waits_for.to_string())
}

fn partition_of(context: &Context, topic: &Topic, partition: i32) -> Option<Arc<Partition>> {
    context.log.partition(TopicPartition { topic_id: topic.id, partition: PartitionIndex(partition) })
}

/// At most `limit` segments that end after `from`, and where those behind them begin.
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
