//! The answers as they are written, and read again by the command line. All offsets are half-open: `end` is the first
//! that does not belong.

use super::archives::WantedPartitions;
use super::everywhere;
use super::query::Query;
use super::{Refusal, bad};
use crate::handler::Context;
use crate::topic::Topic;
use crate::types::Offset;
use serde::{Deserialize, Serialize};

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
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
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
    /// Why nothing is known of it; none: all is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// One Parquet file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ArchivePage {
    /// In the order of their names.
    pub topics: Vec<TopicArchive>,
    /// The `from` of the page behind this one; none: this is the last.
    pub next: Option<String>,
    /// Why what some brokers lead is not in it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
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
    /// Partitions that are not in these sums, or could not be archived.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<PartitionError>,
}

/// A partition of which something was not done, or is not known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionError {
    /// Which.
    pub partition: i32,
    /// Why.
    pub error: String,
}

impl PartitionError {
    /// The same of all of these.
    pub(super) fn all(partitions: &[i32], why: &str) -> Vec<PartitionError> {
        partitions.iter().map(|&partition| PartitionError { partition, error: why.to_owned() }).collect()
    }
}

impl PartitionAnswer {
    /// One of which nothing is known.
    pub(super) fn failed(partition: i32, why: &str) -> PartitionAnswer {
        PartitionAnswer { partition, error: Some(why.to_owned()), ..PartitionAnswer::default() }
    }
}

impl TopicArchive {
    /// Nothing is known of it but what it is.
    pub(super) fn of(topic: &Topic) -> TopicArchive {
        TopicArchive {
            topic: topic.name.to_string(),
            topic_id: topic.id.to_string(),
            partitions: topic.partitions,
            ..TopicArchive::default()
        }
    }

    /// Adds what another broker says of other partitions.
    pub(super) fn add(&mut self, other: TopicArchive) {
        self.segments += other.segments;
        self.rows += other.rows;
        self.bytes += other.bytes;
        self.raw_bytes += other.raw_bytes;
        self.lag_records += other.lag_records;
        self.lag_bytes += other.lag_bytes;
        self.errors.extend(other.errors);
    }
}

/// Segments of a topic in the whole cluster, as many as a page has.
pub(super) async fn segments(
    context: &Context,
    topic: &Topic,
    query: &Query,
) -> Result<SegmentsPage, Refusal> {
    let (mut first, mut from) = query.place()?;
    let mut end = topic.partitions;
    if let Some(partition) = query.partition {
        if !topic.has(partition) {
            return Err(bad(format!("topic {} has no partition {partition}", topic.name)));
        }
        from = if first == partition { from } else { Offset::ZERO };
        (first, end) = (partition, partition.0 + 1);
    }
    let first = first.0.max(0);
    // Each is an entry at least, so no page has more of them.
    let partitions: Vec<i32> = (first..end).take(query.limit).collect();
    let behind = partitions.last().map(|last| last + 1).filter(|behind| *behind < end);
    let wanted = WantedPartitions { partitions, from: (first, from.get()), limit: query.limit };
    let part = everywhere::segments(context, topic, &wanted).await;
    let next = part.next.or(behind.map(|partition| (partition, 0)));
    Ok(SegmentsPage {
        topic: topic.name.to_string(),
        topic_id: topic.id.to_string(),
        store: context.reader.store().to_string(),
        partitions: part.partitions,
        next: next.map(|(partition, offset)| format!("{partition}:{offset}")),
    })
}
