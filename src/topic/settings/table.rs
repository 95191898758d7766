//! Every topic setting that Apache Kafka 4.3 knows, with its defaults, in the order of the names.

use crate::settings::{Rule, Setting, Table};

/// The settings of a topic.
pub static SETTINGS: Table = Table { of: "topic", rows: ROWS };

static ROWS: &[Setting] = &[
    Setting {
        name: "cenote.archive.bytes",
        default_name: None,
        default: Some("-1"),
        rule: Rule::Long(-1),
        doc: "Batches of this size in bytes become a Parquet segment, at most 1073741824; -1 for the broker's \
              own setting.",
    },
    Setting {
        name: "cenote.archive.ms",
        default_name: None,
        default: Some("-1"),
        rule: Rule::Long(-1),
        doc: "How long records wait at most to become part of a Parquet segment, in milliseconds; -1 for \
              the broker's own setting.",
    },
    Setting {
        name: "cenote.parquet.text",
        default_name: None,
        default: Some("false"),
        rule: Rule::Boolean,
        doc: "Whether keys and values that are valid UTF-8 are stored as text in Parquet, so that JSON \
              functions work on them without a cast.",
    },
    Setting {
        name: "cleanup.policy",
        default_name: Some("log.cleanup.policy"),
        default: Some("delete"),
        rule: Rule::SomeOf(&["compact", "delete"]),
        doc: "What makes room: delete drops old records by age and size, compact keeps the last record \
              of each key; both may be given. An empty list keeps everything.",
    },
    Setting {
        name: "compression.gzip.level",
        default_name: Some("compression.gzip.level"),
        default: Some("-1"),
        rule: Rule::GzipLevel,
        doc: "The level of gzip where compression.type is gzip; -1 for the codec's own default.",
    },
    Setting {
        name: "compression.lz4.level",
        default_name: Some("compression.lz4.level"),
        default: Some("9"),
        rule: Rule::Int(1, 17),
        doc: "The level of LZ4 where compression.type is lz4.",
    },
    Setting {
        name: "compression.type",
        default_name: Some("compression.type"),
        default: Some("producer"),
        rule: Rule::OneOf(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]),
        doc: "The codec of the topic's batches: a codec's name, uncompressed, or producer to keep what \
              the producer chose.",
    },
    Setting {
        name: "compression.zstd.level",
        default_name: Some("compression.zstd.level"),
        default: Some("3"),
        rule: Rule::Int(-131_072, 22),
        doc: "The level of Zstandard where compression.type is zstd.",
    },
    Setting {
        name: "delete.retention.ms",
        default_name: Some("log.cleaner.delete.retention.ms"),
        default: Some("86400000"),
        rule: Rule::Long(0),
        doc: "How long the tombstones of a compacted topic are kept, in milliseconds.",
    },
    Setting {
        name: "file.delete.delay.ms",
        default_name: Some("log.segment.delete.delay.ms"),
        default: Some("60000"),
        rule: Rule::Long(0),
        doc: "How long a removed file stays on disk. Kept for tools; there are no log files here.",
    },
    Setting {
        name: "flush.messages",
        default_name: Some("log.flush.interval.messages"),
        default: Some("9223372036854775807"),
        rule: Rule::Long(1),
        doc: "After how many records Kafka forces a log to disk. Kept for tools; every acknowledged \
              record is durable here.",
    },
    Setting {
        name: "flush.ms",
        default_name: None,
        default: Some("9223372036854775807"),
        rule: Rule::Long(0),
        doc: "After what time Kafka forces a log to disk. Kept for tools; every acknowledged record is \
              durable here.",
    },
    Setting {
        name: "follower.replication.throttled.replicas",
        default_name: None,
        default: Some(""),
        rule: Rule::ThrottledReplicas,
        doc: "Replicas whose followers are throttled: partition:broker, parted by commas, or *. Kept for \
              tools; there are no followers here.",
    },
    Setting {
        name: "index.interval.bytes",
        default_name: Some("log.index.interval.bytes"),
        default: Some("4096"),
        rule: Rule::Int(0, i32::MAX),
        doc: "How often Kafka adds to its offset index. Kept for tools; there are no log files here.",
    },
    Setting {
        name: "internal.segment.bytes",
        default_name: None,
        default: None,
        rule: Rule::Int(i32::MIN, i32::MAX),
        doc: "The size of Kafka's log files, for its own tests. Kept for tools; there are no log files \
              here.",
    },
    Setting {
        name: "leader.replication.throttled.replicas",
        default_name: None,
        default: Some(""),
        rule: Rule::ThrottledReplicas,
        doc: "Replicas whose leaders are throttled: partition:broker, parted by commas, or *. Kept for \
              tools; there are no followers here.",
    },
    Setting {
        name: "local.retention.bytes",
        default_name: Some("log.local.retention.bytes"),
        default: Some("-2"),
        rule: Rule::Long(-2),
        doc: "The size of a tiered log's local part. Kept for tools; every topic is on object storage \
              here.",
    },
    Setting {
        name: "local.retention.ms",
        default_name: Some("log.local.retention.ms"),
        default: Some("-2"),
        rule: Rule::Long(-2),
        doc: "The age of a tiered log's local part. Kept for tools; every topic is on object storage \
              here.",
    },
    Setting {
        name: "max.compaction.lag.ms",
        default_name: Some("log.cleaner.max.compaction.lag.ms"),
        default: Some("9223372036854775807"),
        rule: Rule::Long(1),
        doc: "The longest time that a record of a compacted topic is kept from compaction, in \
              milliseconds.",
    },
    Setting {
        name: "max.message.bytes",
        default_name: Some("message.max.bytes"),
        default: Some("1048588"),
        rule: Rule::Int(0, i32::MAX),
        doc: "The largest record batch, as it is sent (after compression), in bytes.",
    },
    Setting {
        name: "message.timestamp.after.max.ms",
        default_name: Some("log.message.timestamp.after.max.ms"),
        default: Some("3600000"),
        rule: Rule::Long(0),
        doc: "How far a record's timestamp may lie after the broker's clock, in milliseconds, where \
              message.timestamp.type is CreateTime.",
    },
    Setting {
        name: "message.timestamp.before.max.ms",
        default_name: Some("log.message.timestamp.before.max.ms"),
        default: Some("9223372036854775807"),
        rule: Rule::Long(0),
        doc: "How far a record's timestamp may lie before the broker's clock, in milliseconds, where \
              message.timestamp.type is CreateTime.",
    },
    Setting {
        name: "message.timestamp.type",
        default_name: Some("log.message.timestamp.type"),
        default: Some("CreateTime"),
        rule: Rule::OneOf(&["CreateTime", "LogAppendTime"]),
        doc: "Whether a record keeps the producer's timestamp or gets the broker's.",
    },
    Setting {
        name: "min.cleanable.dirty.ratio",
        default_name: Some("log.cleaner.min.cleanable.ratio"),
        default: Some("0.5"),
        rule: Rule::Ratio,
        doc: "The share of a compacted log that is not yet compacted, from which on it is compacted.",
    },
    Setting {
        name: "min.compaction.lag.ms",
        default_name: Some("log.cleaner.min.compaction.lag.ms"),
        default: Some("0"),
        rule: Rule::Long(0),
        doc: "The time for which a record of a compacted topic is safe from compaction, in milliseconds.",
    },
    Setting {
        name: "min.insync.replicas",
        default_name: Some("min.insync.replicas"),
        default: Some("1"),
        rule: Rule::Int(1, i32::MAX),
        doc: "How many replicas Kafka needs for acks=all. Kept for tools; every acknowledged record is \
              in the object store.",
    },
    Setting {
        name: "preallocate",
        default_name: Some("log.preallocate"),
        default: Some("false"),
        rule: Rule::Boolean,
        doc: "Whether Kafka reserves a log file's space when it is made. Kept for tools; there are no \
              log files here.",
    },
    Setting {
        name: "remote.log.copy.disable",
        default_name: None,
        default: Some("false"),
        rule: Rule::Boolean,
        doc: "Whether a tiered log is no longer copied to its remote tier. Kept for tools; every topic \
              is on object storage here.",
    },
    Setting {
        name: "remote.log.delete.on.disable",
        default_name: None,
        default: Some("false"),
        rule: Rule::Boolean,
        doc: "Whether the remote part of a tiered log goes when tiering is switched off. Kept for tools; \
              every topic is on object storage here.",
    },
    Setting {
        name: "remote.storage.enable",
        default_name: None,
        default: Some("false"),
        rule: Rule::Boolean,
        doc: "Kafka's tiered storage. Only false: every topic is on object storage here, without tiers.",
    },
    Setting {
        name: "retention.bytes",
        default_name: Some("log.retention.bytes"),
        default: Some("-1"),
        rule: Rule::Long(i64::MIN),
        doc: "The size that a partition may grow to before its oldest records are dropped, in bytes, \
              where cleanup.policy has delete; -1 for no limit.",
    },
    Setting {
        name: "retention.ms",
        default_name: None,
        default: Some("604800000"),
        rule: Rule::Long(-1),
        doc: "The age at which records are dropped, in milliseconds, where cleanup.policy has delete; -1 \
              for no limit.",
    },
    Setting {
        name: "segment.bytes",
        default_name: Some("log.segment.bytes"),
        default: Some("1073741824"),
        rule: Rule::Int(1_048_576, i32::MAX),
        doc: "The size of Kafka's log files. Kept for tools; there are no log files here.",
    },
    Setting {
        name: "segment.index.bytes",
        default_name: Some("log.index.size.max.bytes"),
        default: Some("10485760"),
        rule: Rule::Int(4, i32::MAX),
        doc: "The size of Kafka's offset index. Kept for tools; there are no log files here.",
    },
    Setting {
        name: "segment.jitter.ms",
        default_name: None,
        default: Some("0"),
        rule: Rule::Long(0),
        doc: "By how much the end of Kafka's log files is spread in time. Kept for tools; there are no \
              log files here.",
    },
    Setting {
        name: "segment.ms",
        default_name: None,
        default: Some("604800000"),
        rule: Rule::Long(1),
        doc: "The age of Kafka's log files. Kept for tools; there are no log files here.",
    },
    Setting {
        name: "unclean.leader.election.enable",
        default_name: Some("unclean.leader.election.enable"),
        default: Some("false"),
        rule: Rule::Boolean,
        doc: "Whether Kafka may elect a leader that lacks records. Kept for tools; no leader lacks any \
              here.",
    },
];
