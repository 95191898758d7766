//! The table against Apache Kafka 4.3.1: its names, types, defaults and words, as `GroupConfig` states them.

use super::overrides;
use crate::group::consumer::ConsumerGroupConfig;
use crate::group::settings::{AutoOffsetReset, GroupSettings, SETTINGS, check_change};
use crate::group::share::{ShareGroupConfig, SharePartitionConfig};
use crate::log::IsolationLevel;
use crate::settings::Overrides;
use crate::settings::SettingType;
use std::time::Duration;

/// Name, type, default, and the name of the default, in the order of the names.
const KAFKA: &[(&str, SettingType, &str, &str)] = &[
    ("consumer.assignment.interval.ms", SettingType::Int, "1000", "group.consumer.assignment.interval.ms"),
    ("consumer.heartbeat.interval.ms", SettingType::Int, "5000", "group.consumer.heartbeat.interval.ms"),
    ("consumer.session.timeout.ms", SettingType::Int, "45000", "group.consumer.session.timeout.ms"),
    ("share.assignment.interval.ms", SettingType::Int, "1000", "group.share.assignment.interval.ms"),
    ("share.auto.offset.reset", SettingType::String, "latest", "share.auto.offset.reset"),
    ("share.delivery.count.limit", SettingType::Int, "5", "group.share.delivery.count.limit"),
    ("share.heartbeat.interval.ms", SettingType::Int, "5000", "group.share.heartbeat.interval.ms"),
    ("share.isolation.level", SettingType::String, "read_uncommitted", "share.isolation.level"),
    ("share.partition.max.record.locks", SettingType::Int, "2000", "group.share.partition.max.record.locks"),
    ("share.record.lock.duration.ms", SettingType::Int, "30000", "group.share.record.lock.duration.ms"),
    ("share.renew.acknowledge.enable", SettingType::Boolean, "true", "share.renew.acknowledge.enable"),
    ("share.session.timeout.ms", SettingType::Int, "45000", "group.share.session.timeout.ms"),
];

const SESSION: &str = "consumer.session.timeout.ms";
const HEARTBEAT: &str = "consumer.heartbeat.interval.ms";
const RESET: &str = "share.auto.offset.reset";

fn refusal(pairs: &[(&str, &str)]) -> String {
    check_change(&Overrides::new(), &overrides(pairs)).expect_err("illegal").to_string()
}

fn parse(pairs: &[(&str, &str)]) -> GroupSettings {
    check_change(&Overrides::new(), &overrides(pairs)).expect("legal")
}

#[test]
fn the_table_is_that_of_apache_kafka_without_streams() {
    let row = |setting: &crate::settings::Setting| {
        (setting.name, setting.setting_type(), setting.default.expect("all have one"), setting.default_name)
    };
    let table: Vec<_> = SETTINGS.rows.iter().map(row).collect();
    let kafka: Vec<_> =
        KAFKA.iter().map(|(name, kind, default, by)| (*name, *kind, *default, Some(*by))).collect();
    assert_eq!(table, kafka);
    assert!(SETTINGS.rows.windows(2).all(|pair| pair[0].name < pair[1].name));
}

#[test]
fn every_default_passes_its_own_rule_and_is_shown_as_it_stands() {
    for setting in SETTINGS.rows {
        let default = setting.default.expect("all have one");
        assert_eq!(setting.check(default).as_deref(), Ok(default), "{}", setting.name);
        assert_eq!(parse(&[(setting.name, default)]), GroupSettings::default());
        assert!(setting.doc.ends_with('.') && !setting.is_list(), "{}", setting.name);
    }
}

#[test]
fn illegal_values_are_refused_in_kafkas_words() {
    let int = "Not a number of type INT";
    let levels = "String must be one of: read_committed, read_uncommitted";
    for (name, value, accepted) in [
        (SESSION, "999", "Value must be at least 1000"),
        (SESSION, "1800001", "Value must be no more than 1800000"),
        (SESSION, "long", int),
        (HEARTBEAT, "99", "Value must be at least 100"),
        (HEARTBEAT, "300001", "Value must be no more than 300000"),
        ("consumer.assignment.interval.ms", "-1", "Value must be at least 0"),
        ("share.session.timeout.ms", "0", "Value must be at least 1000"),
        ("share.record.lock.duration.ms", "999", "Value must be at least 1000"),
        ("share.record.lock.duration.ms", "3600001", "Value must be no more than 3600000"),
        ("share.delivery.count.limit", "1", "Value must be at least 2"),
        ("share.delivery.count.limit", "101", "Value must be no more than 100"),
        ("share.partition.max.record.locks", "99", "Value must be at least 100"),
        ("share.partition.max.record.locks", "10001", "Value must be no more than 10000"),
        ("share.isolation.level", "READ_COMMITTED", levels),
        ("share.isolation.level", "serializable", levels),
        ("share.renew.acknowledge.enable", "1", "Expected value to be either true or false"),
    ] {
        let expected = format!("Invalid value {value} for configuration {name}: {accepted}");
        assert_eq!(refusal(&[(name, value)]), expected);
    }
}

#[test]
fn names_that_are_not_served_are_unknown() {
    for name in ["nope", "streams.session.timeout.ms", "session.timeout.ms", "Share.isolation.level"] {
        assert_eq!(refusal(&[(name, "1")]), format!("Unknown group config name: {name}"));
    }
    let stored = GroupSettings::parse(&overrides(&[("nope", "1"), (SESSION, "50000")]));
    let stored = stored.expect("a later release may have known it");
    assert_eq!(stored.consumer_session_timeout, Duration::from_secs(50));
}

#[test]
fn a_group_begins_where_the_reset_says() {
    let reset = |value: &str| parse(&[(RESET, value)]).share_auto_offset_reset;
    assert_eq!(reset(" earliest "), AutoOffsetReset::Earliest);
    assert_eq!(reset("latest"), AutoOffsetReset::Latest);
    assert_eq!(reset("by_duration:PT1H"), AutoOffsetReset::ByDuration(Duration::from_secs(3600)));
    assert_eq!(reset("by_duration:PT0S"), AutoOffsetReset::ByDuration(Duration::ZERO));
    for bad in ["none", "Earliest", "by_duration", "by_duration:", "by_duration:1h", "by_duration:-PT1H", ""]
    {
        let expected = format!(
            "Invalid value {bad} for configuration {RESET}: Invalid value `{bad}` for configuration {RESET}. The value \
             must be either 'earliest', 'latest' or of the format 'by_duration:<PnDTnHnMn.nS>'."
        );
        assert_eq!(refusal(&[(RESET, bad)]), expected);
    }
}

#[test]
fn a_session_must_outlast_a_heartbeat() {
    for protocol in ["consumer", "share"] {
        let session = format!("{protocol}.session.timeout.ms");
        let heartbeat = format!("{protocol}.heartbeat.interval.ms");
        let words = format!("{session} must be greater than {heartbeat}");
        assert_eq!(refusal(&[(&session, "5000")]), words);
        assert_eq!(refusal(&[(&heartbeat, "45000")]), words);
        parse(&[(&session, "5001")]);
        parse(&[(&session, "1001"), (&heartbeat, "1000")]);
    }
}

#[test]
fn what_is_set_becomes_the_rules_of_the_cores() {
    let settings = parse(&[
        (SESSION, "50000"),
        (HEARTBEAT, "6000"),
        ("share.session.timeout.ms", "51000"),
        ("share.heartbeat.interval.ms", "7000"),
        ("share.record.lock.duration.ms", "1000"),
        ("share.delivery.count.limit", "9"),
        ("share.partition.max.record.locks", "100"),
        ("share.isolation.level", "read_committed"),
        ("share.renew.acknowledge.enable", "FALSE"),
    ]);
    let millis = Duration::from_millis;
    let base = ConsumerGroupConfig { members_max: 3, ..ConsumerGroupConfig::default() };
    let expected = ConsumerGroupConfig {
        session_timeout: millis(50_000),
        heartbeat_interval: millis(6_000),
        ..base.clone()
    };
    assert_eq!(settings.consumer_group(&base), expected);
    let base = ShareGroupConfig { members_max: 3, ..ShareGroupConfig::default() };
    let expected = ShareGroupConfig {
        session_timeout: millis(51_000),
        heartbeat_interval: millis(7_000),
        ..base.clone()
    };
    assert_eq!(settings.share_group(&base), expected);
    let expected =
        SharePartitionConfig { lock_duration: millis(1_000), delivery_count_limit: 9, records_max: 100 };
    assert_eq!(settings.share_partition(), expected);
    assert_eq!(settings.share_isolation_level, IsolationLevel::ReadCommitted);
    assert!(!settings.share_renewal);
}

#[test]
fn a_group_that_sets_nothing_goes_by_the_defaults_of_the_cores() {
    let settings = GroupSettings::default();
    let (consumer, share) = (ConsumerGroupConfig::default(), ShareGroupConfig::default());
    assert_eq!(settings.consumer_group(&consumer), consumer);
    assert_eq!(settings.share_group(&share), share);
    assert_eq!(settings.share_partition(), SharePartitionConfig::default());
    assert_eq!(settings.share_auto_offset_reset, AutoOffsetReset::Latest);
    assert_eq!(settings.share_isolation_level, IsolationLevel::ReadUncommitted);
    assert!(settings.share_renewal);
}
