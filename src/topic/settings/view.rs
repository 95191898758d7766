//! What the broker makes of a topic's settings: checked values, parsed once.

use super::SETTINGS;
use crate::settings::{Overrides, SettingError, Values, elements};
use std::time::Duration;

/// The most that `cenote.archive.bytes` may be, as for the broker's own setting: a segment is made in memory.
pub(super) const ARCHIVE_BYTES_MAX: i64 = 1 << 30;

/// The settings that the broker acts on.
#[derive(Clone, Debug, PartialEq)]
pub struct TopicSettings {
    /// `max.message.bytes`: the largest batch, as sent, in bytes.
    pub max_message_bytes: usize,
    /// `message.timestamp.type`
    pub message_timestamp_type: TimestampType,
    /// `message.timestamp.before.max.ms`: how far a record may lie in the past.
    pub timestamp_before_max_ms: i64,
    /// `message.timestamp.after.max.ms`: how far a record may lie in the future.
    pub timestamp_after_max_ms: i64,
    /// `compression.type`
    pub compression_type: CompressionType,
    /// `cleanup.policy`
    pub cleanup_policy: Cleanup,
    /// `retention.ms`: none for no limit.
    pub retention_ms: Option<i64>,
    /// `retention.bytes`, of a partition: none for no limit.
    pub retention_bytes: Option<i64>,
    /// `delete.retention.ms`: how long the tombstones of a compacted topic are kept.
    pub delete_retention_ms: i64,
    /// `min.compaction.lag.ms`: how long a record is safe from compaction.
    pub min_compaction_lag_ms: i64,
    /// `max.compaction.lag.ms`: how long a record may be kept from compaction.
    pub max_compaction_lag_ms: i64,
    /// `min.cleanable.dirty.ratio`: the share of a compacted log that is not compacted yet, from which on it is.
    pub min_dirty_ratio: f64,
    /// `cenote.archive.bytes`: the size of a segment's batches; none: the broker's own setting.
    pub archive_bytes: Option<u64>,
    /// `cenote.archive.ms`: how long records wait to be archived; none: the broker's own setting.
    pub archive_age: Option<Duration>,
    /// `cenote.parquet.text`: whether keys and values that are text are stored as text.
    pub parquet_text: bool,
    /// `min.insync.replicas`: kept; every acknowledged record is in the object store whatever it says.
    pub min_insync_replicas: i32,
}

/// Whose clock a record's timestamp is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimestampType {
    /// The producer's.
    CreateTime,
    /// The broker's.
    LogAppendTime,
}

/// The codec that a topic's batches end up with. The numbers are the codecs' levels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompressionType {
    /// As the producer sent them.
    Producer,
    /// None.
    Uncompressed,
    /// gzip, 1 to 9, or -1.
    Gzip(i32),
    /// Snappy.
    Snappy,
    /// LZ4, 1 to 17.
    Lz4(i32),
    /// Zstandard, up to 22.
    Zstd(i32),
}

/// What makes room in a topic. Neither: everything is kept for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cleanup {
    /// Old records go by age and size.
    pub delete: bool,
    /// The last record of each key stays.
    pub compact: bool,
}

impl Default for TopicSettings {
    fn default() -> TopicSettings {
        TopicSettings::parse(&Overrides::new())
            .expect("the table's defaults pass their own rules, as a test shows")
    }
}

impl TopicSettings {
    /// Checks the overrides that the table knows, and fills up with defaults. Names that it does not know are
    /// passed over: what was stored by a later release must not stop an earlier one.
    pub fn parse(overrides: &Overrides) -> Result<TopicSettings, SettingError> {
        let values = SETTINGS.values(overrides)?;
        let settings = TopicSettings {
            max_message_bytes: usize::try_from(values.long("max.message.bytes")).unwrap_or(0),
            message_timestamp_type: match values.text("message.timestamp.type") {
                "LogAppendTime" => TimestampType::LogAppendTime,
                _ => TimestampType::CreateTime,
            },
            timestamp_before_max_ms: values.long("message.timestamp.before.max.ms"),
            timestamp_after_max_ms: values.long("message.timestamp.after.max.ms"),
            compression_type: compression_type(&values),
            cleanup_policy: cleanup(&values),
            retention_ms: limit(values.long("retention.ms")),
            retention_bytes: limit(values.long("retention.bytes")),
            delete_retention_ms: values.long("delete.retention.ms"),
            min_compaction_lag_ms: values.long("min.compaction.lag.ms"),
            max_compaction_lag_ms: values.long("max.compaction.lag.ms"),
            min_dirty_ratio: values.ratio("min.cleanable.dirty.ratio"),
            archive_bytes: limit(values.long("cenote.archive.bytes").min(ARCHIVE_BYTES_MAX))
                .and_then(|bytes| u64::try_from(bytes).ok()),
            archive_age: limit(values.long("cenote.archive.ms"))
                .and_then(|ms| u64::try_from(ms).ok())
                .map(Duration::from_millis),
            parquet_text: values.is_true("cenote.parquet.text"),
            min_insync_replicas: values.int("min.insync.replicas"),
        };
        let (min_ms, max_ms) = (settings.min_compaction_lag_ms, settings.max_compaction_lag_ms);
        if min_ms > max_ms {
            return Err(SettingError::Contradiction(format!(
                "conflict topic config setting min.compaction.lag.ms ({min_ms}) > max.compaction.lag.ms ({max_ms})"
            )));
        }
        // Every topic is on object storage already, and Kafka's tiers do not exist.
        if values.is_true("remote.storage.enable") {
            return Err(SettingError::Contradiction(NO_TIERED_STORAGE.to_owned()));
        }
        Ok(settings)
    }
}

fn limit(value: i64) -> Option<i64> {
    Some(value).filter(|&limit| limit >= 0)
}

fn cleanup(values: &Values) -> Cleanup {
    let policies = elements(values.text("cleanup.policy"));
    Cleanup { delete: policies.contains(&"delete"), compact: policies.contains(&"compact") }
}

fn compression_type(values: &Values) -> CompressionType {
    match values.text("compression.type") {
        "uncompressed" => CompressionType::Uncompressed,
        "gzip" => CompressionType::Gzip(values.int("compression.gzip.level")),
        "snappy" => CompressionType::Snappy,
        "lz4" => CompressionType::Lz4(values.int("compression.lz4.level")),
        "zstd" => CompressionType::Zstd(values.int("compression.zstd.level")),
        _ => CompressionType::Producer,
    }
}

const NO_TIERED_STORAGE: &str = "Tiered Storage functionality is disabled in the broker. Topic cannot be configured with remote log storage.";
