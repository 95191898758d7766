//! The table against Apache Kafka 4.3.1: its names, types, defaults, limits and words, as `LogConfig` states them.

use super::{Cleanup, CompressionType, SETTINGS, TimestampType, TopicSettings, check_all, check_change};
use crate::settings::{Overrides, SettingError, SettingType};

/// Name, type and default of every setting, in the order of the names.
const KAFKA: &[(&str, SettingType, Option<&str>)] = &[
    // Our own.
    ("cenote.archive.bytes", SettingType::Long, Some("-1")),
    ("cenote.archive.ms", SettingType::Long, Some("-1")),
    ("cenote.parquet.text", SettingType::Boolean, Some("false")),
    ("cleanup.policy", SettingType::List, Some("delete")),
    ("compression.gzip.level", SettingType::Int, Some("-1")),
    ("compression.lz4.level", SettingType::Int, Some("9")),
    ("compression.type", SettingType::String, Some("producer")),
    ("compression.zstd.level", SettingType::Int, Some("3")),
    ("delete.retention.ms", SettingType::Long, Some("86400000")),
    ("file.delete.delay.ms", SettingType::Long, Some("60000")),
    ("flush.messages", SettingType::Long, Some("9223372036854775807")),
    ("flush.ms", SettingType::Long, Some("9223372036854775807")),
    ("follower.replication.throttled.replicas", SettingType::List, Some("")),
    ("index.interval.bytes", SettingType::Int, Some("4096")),
    ("internal.segment.bytes", SettingType::Int, None),
    ("leader.replication.throttled.replicas", SettingType::List, Some("")),
    ("local.retention.bytes", SettingType::Long, Some("-2")),
    ("local.retention.ms", SettingType::Long, Some("-2")),
    ("max.compaction.lag.ms", SettingType::Long, Some("9223372036854775807")),
    ("max.message.bytes", SettingType::Int, Some("1048588")),
    ("message.timestamp.after.max.ms", SettingType::Long, Some("3600000")),
    ("message.timestamp.before.max.ms", SettingType::Long, Some("9223372036854775807")),
    ("message.timestamp.type", SettingType::String, Some("CreateTime")),
    ("min.cleanable.dirty.ratio", SettingType::Double, Some("0.5")),
    ("min.compaction.lag.ms", SettingType::Long, Some("0")),
    ("min.insync.replicas", SettingType::Int, Some("1")),
    ("preallocate", SettingType::Boolean, Some("false")),
    ("remote.log.copy.disable", SettingType::Boolean, Some("false")),
    ("remote.log.delete.on.disable", SettingType::Boolean, Some("false")),
    ("remote.storage.enable", SettingType::Boolean, Some("false")),
    ("retention.bytes", SettingType::Long, Some("-1")),
    ("retention.ms", SettingType::Long, Some("604800000")),
    ("segment.bytes", SettingType::Int, Some("1073741824")),
    ("segment.index.bytes", SettingType::Int, Some("10485760")),
    ("segment.jitter.ms", SettingType::Long, Some("0")),
    ("segment.ms", SettingType::Long, Some("604800000")),
    ("unclean.leader.election.enable", SettingType::Boolean, Some("false")),
];

const REPLICAS: &str = "leader.replication.throttled.replicas";

fn overrides(pairs: &[(&str, &str)]) -> Overrides {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn parse(pairs: &[(&str, &str)]) -> TopicSettings {
    check_all(&overrides(pairs)).expect("legal")
}

fn refusal(pairs: &[(&str, &str)]) -> String {
    check_all(&overrides(pairs)).expect_err("illegal").to_string()
}

fn shown(name: &str, value: &str) -> String {
    SETTINGS.find(name).expect("in the table").check(value).expect("legal")
}

#[test]
fn the_table_is_that_of_apache_kafka() {
    let table: Vec<_> =
        SETTINGS.rows.iter().map(|setting| (setting.name, setting.setting_type(), setting.default)).collect();
    assert_eq!(table, KAFKA);
}

#[test]
fn the_table_is_sorted_and_every_name_is_found() {
    assert!(SETTINGS.rows.windows(2).all(|pair| pair[0].name < pair[1].name));
    for setting in SETTINGS.rows {
        assert_eq!(SETTINGS.find(setting.name).map(|found| found.name), Some(setting.name));
        assert!(!setting.doc.is_empty() && setting.doc.ends_with('.'), "{}", setting.name);
        assert_eq!(setting.is_list(), setting.setting_type() == SettingType::List);
    }
    for name in ["", "retention", "Retention.ms", "zzz", "retention.ms "] {
        assert!(SETTINGS.find(name).is_none(), "{name:?}");
    }
}

#[test]
fn every_default_passes_its_own_rule_and_is_shown_as_it_stands() {
    for setting in SETTINGS.rows {
        let Some(default) = setting.default else { continue };
        assert_eq!(setting.check(default).as_deref(), Ok(default), "{}", setting.name);
        check_all(&overrides(&[(setting.name, default)])).expect("a default may be given");
    }
}

#[test]
fn legal_values_are_shown_as_kafka_shows_them() {
    for (name, value, expected) in [
        ("preallocate", "TRUE ", "true"),
        ("preallocate", "False", "false"),
        ("max.message.bytes", " +7 ", "7"),
        ("max.message.bytes", "2147483647", "2147483647"),
        ("compression.lz4.level", "17", "17"),
        ("compression.zstd.level", "-131072", "-131072"),
        ("compression.gzip.level", "-1", "-1"),
        ("compression.gzip.level", "9", "9"),
        ("retention.ms", "-1", "-1"),
        ("retention.bytes", "-9223372036854775808", "-9223372036854775808"),
        ("min.cleanable.dirty.ratio", "1", "1.0"),
        ("min.cleanable.dirty.ratio", "0.25d", "0.25"),
        ("min.cleanable.dirty.ratio", "1e-3", "0.001"),
        ("min.cleanable.dirty.ratio", "NaN", "NaN"),
        ("compression.type", " gzip", "gzip"),
        ("message.timestamp.type", "LogAppendTime", "LogAppendTime"),
        ("segment.bytes", "1048576", "1048576"),
        ("internal.segment.bytes", "-5", "-5"),
        ("local.retention.bytes", "-2", "-2"),
        ("cleanup.policy", " compact , delete ", "compact,delete"),
        ("cleanup.policy", "compact,compact", "compact"),
        ("cleanup.policy", "", ""),
        (REPLICAS, "*", "*"),
        (REPLICAS, "0:1, 1:2", "0:1,1:2"),
        (REPLICAS, "0:1,0:1", "0:1,0:1"),
        (REPLICAS, "", ""),
    ] {
        assert_eq!(shown(name, value), expected, "{name}={value}");
    }
}

#[test]
fn illegal_values_are_refused_in_kafkas_words() {
    let compressions = "String must be one of: uncompressed, zstd, lz4, snappy, gzip, producer";
    let gzip = "Value must be between 1 and 9 or equal to -1";
    let int = "Not a number of type INT";
    let long = "Not a number of type LONG";
    for (name, value, accepted) in [
        ("preallocate", "yes", "Expected value to be either true or false"),
        ("max.message.bytes", "-1", "Value must be at least 0"),
        ("max.message.bytes", "2147483648", int),
        ("max.message.bytes", "many", int),
        ("max.message.bytes", "", int),
        ("compression.lz4.level", "0", "Value must be at least 1"),
        ("compression.lz4.level", "18", "Value must be no more than 17"),
        ("compression.zstd.level", "23", "Value must be no more than 22"),
        ("compression.zstd.level", "-131073", "Value must be at least -131072"),
        ("compression.gzip.level", "0", gzip),
        ("compression.gzip.level", "10", gzip),
        ("retention.ms", "-2", "Value must be at least -1"),
        ("retention.ms", "1.5", long),
        ("retention.ms", "5L", long),
        ("min.cleanable.dirty.ratio", "1.1", "Value must be no more than 1"),
        ("min.cleanable.dirty.ratio", "Infinity", "Value must be no more than 1"),
        ("min.cleanable.dirty.ratio", "-0.1", "Value must be at least 0"),
        ("min.cleanable.dirty.ratio", "half", "Not a number of type DOUBLE"),
        ("min.cleanable.dirty.ratio", "inf", "Not a number of type DOUBLE"),
        ("compression.type", "GZIP", compressions),
        ("compression.type", "none", compressions),
        ("message.timestamp.type", "logappendtime", "String must be one of: CreateTime, LogAppendTime"),
        ("segment.bytes", "1048575", "Value must be at least 1048576"),
        ("segment.ms", "0", "Value must be at least 1"),
        ("segment.index.bytes", "3", "Value must be at least 4"),
        ("local.retention.ms", "-3", "Value must be at least -2"),
        ("flush.messages", "0", "Value must be at least 1"),
        ("min.insync.replicas", "0", "Value must be at least 1"),
        ("max.compaction.lag.ms", "0", "Value must be at least 1"),
        ("cenote.archive.bytes", "-2", "Value must be at least -1"),
        ("cenote.archive.bytes", "1073741825", "Value must be no more than 1073741824"),
        ("message.timestamp.before.max.ms", "-1", "Value must be at least 0"),
        ("cleanup.policy", "archive", "String must be one of: compact, delete"),
        ("cleanup.policy", "Delete", "String must be one of: compact, delete"),
    ] {
        let expected = format!("Invalid value {value} for configuration {name}: {accepted}");
        assert_eq!(refusal(&[(name, value)]), expected);
    }
}

#[test]
fn a_list_is_refused_for_its_bad_element_alone() {
    assert_eq!(
        refusal(&[("cleanup.policy", "compact,archive")]),
        "Invalid value archive for configuration cleanup.policy: String must be one of: compact, delete"
    );
    let empty = "Configuration 'cleanup.policy' values must not be empty.";
    assert_eq!(refusal(&[("cleanup.policy", "compact,")]), empty);
    for (value, blamed) in [("0", "[0]"), ("0:1,x:2", "[0:1, x:2]"), ("*,0:1", "[*, 0:1]")] {
        let expected = format!(
            "Invalid value {blamed} for configuration {REPLICAS}: {REPLICAS} must be the literal '*' or a list of \
             replicas in the following format: [partitionId]:[brokerId],[partitionId]:[brokerId],..."
        );
        assert_eq!(refusal(&[(REPLICAS, value)]), expected);
    }
}

#[test]
fn an_unknown_name_is_refused_and_yet_passed_over_when_it_is_stored() {
    let unknown = overrides(&[("nope", "1"), ("retention.ms", "5")]);
    assert_eq!(check_all(&unknown), Err(SettingError::UnknownName { of: "topic", name: "nope".to_owned() }));
    assert_eq!(refusal(&[("nope", "1")]), "Unknown topic config name: nope");
    let stored = TopicSettings::parse(&unknown).expect("a later release may have known it");
    assert_eq!(stored.retention_ms, Some(5));
}

#[test]
fn a_size_of_segments_that_was_stored_without_a_limit_is_clamped() {
    let bytes = |value| {
        let stored = overrides(&[("cenote.archive.bytes", value)]);
        TopicSettings::parse(&stored).expect("an earlier release took it").archive_bytes
    };
    assert_eq!(bytes("9223372036854775807"), Some(1 << 30));
    assert_eq!((bytes("1073741824"), bytes("5"), bytes("-1")), (Some(1 << 30), Some(5), None));
    assert_eq!(parse(&[("cenote.archive.bytes", "1073741824")]).archive_bytes, Some(1 << 30));
}

#[test]
fn what_stays_as_it_is_stored_does_not_have_a_change_of_others_refused() {
    let (too_large, unknown) = (("cenote.archive.bytes", "9223372036854775807"), ("nope", "1"));
    let stored = overrides(&[too_large, unknown]);
    let check = |after: &[(&str, &str)]| {
        let checked = check_change(&stored, &overrides(after));
        checked
            .map(|settings| (settings.retention_ms, settings.archive_bytes))
            .map_err(|error| error.to_string())
    };
    assert_eq!(check(&[too_large, unknown, ("retention.ms", "5")]), Ok((Some(5), Some(1 << 30))));
    assert_eq!(check(&[("retention.ms", "5")]), Ok((Some(5), None)));
    let larger = "Invalid value 1073741825 for configuration cenote.archive.bytes: Value must be no more than 1073741824";
    assert_eq!(check(&[("cenote.archive.bytes", "1073741825"), unknown]), Err(larger.to_owned()));
    assert_eq!(check(&[unknown, ("other", "1")]), Err("Unknown topic config name: other".to_owned()));
    assert_eq!(
        check(&[too_large, ("retention.ms", "x")]).expect_err("no number"),
        "Invalid value x for configuration retention.ms: Not a number of type LONG"
    );
}

#[test]
fn settings_that_contradict_each_other_are_refused() {
    let lags = [("max.compaction.lag.ms", "5"), ("min.compaction.lag.ms", "6")];
    let words = "conflict topic config setting min.compaction.lag.ms (6) > max.compaction.lag.ms (5)";
    assert_eq!(refusal(&lags), words);
    parse(&[("max.compaction.lag.ms", "6"), ("min.compaction.lag.ms", "6")]);
    assert_eq!(
        refusal(&[("remote.storage.enable", "true")]),
        "Tiered Storage functionality is disabled in the broker. Topic cannot be configured with remote log storage."
    );
}

#[test]
fn a_topic_that_says_nothing_gets_the_defaults() {
    let settings = TopicSettings::default();
    assert_eq!(settings, parse(&[]));
    assert_eq!(settings.max_message_bytes, 1_048_588);
    assert_eq!(settings.message_timestamp_type, TimestampType::CreateTime);
    assert_eq!((settings.timestamp_before_max_ms, settings.timestamp_after_max_ms), (i64::MAX, 3_600_000));
    assert_eq!(settings.compression_type, CompressionType::Producer);
    assert_eq!(settings.cleanup_policy, Cleanup { delete: true, compact: false });
    assert_eq!((settings.retention_ms, settings.retention_bytes), (Some(604_800_000), None));
    assert_eq!((settings.min_compaction_lag_ms, settings.max_compaction_lag_ms), (0, i64::MAX));
    assert_eq!((settings.delete_retention_ms, settings.min_insync_replicas), (86_400_000, 1));
}

#[test]
fn values_become_what_the_broker_acts_on() {
    let cleanup = |list| parse(&[("cleanup.policy", list)]).cleanup_policy;
    assert_eq!(cleanup("compact"), Cleanup { delete: false, compact: true });
    assert_eq!(cleanup("delete, compact"), Cleanup { delete: true, compact: true });
    assert_eq!(cleanup(""), Cleanup { delete: false, compact: false });

    let codec = |pairs: &[(&str, &str)]| parse(pairs).compression_type;
    assert_eq!(codec(&[("compression.type", "uncompressed")]), CompressionType::Uncompressed);
    assert_eq!(codec(&[("compression.type", "snappy")]), CompressionType::Snappy);
    assert_eq!(codec(&[("compression.type", "gzip")]), CompressionType::Gzip(-1));
    assert_eq!(codec(&[("compression.type", "lz4")]), CompressionType::Lz4(9));
    let zstd = [("compression.type", "zstd"), ("compression.zstd.level", "-7")];
    assert_eq!(codec(&zstd), CompressionType::Zstd(-7));

    let limits = parse(&[("retention.ms", "-1"), ("retention.bytes", "1000")]);
    assert_eq!((limits.retention_ms, limits.retention_bytes), (None, Some(1000)));
    let stamped = parse(&[("message.timestamp.type", "LogAppendTime"), ("max.message.bytes", "9")]);
    assert_eq!(stamped.message_timestamp_type, TimestampType::LogAppendTime);
    assert_eq!(stamped.max_message_bytes, 9);
}
