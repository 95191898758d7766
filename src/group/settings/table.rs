//! Every group setting that Apache Kafka 4.3.1 knows, but those of streams groups, with its defaults.
//!
//! Kafka narrows most of them by settings of the broker (`group.consumer.min.session.timeout.ms` and so on). Here the
//! limits are fixed and wider: they keep one group from harming the broker, and leave taste to the operator.

use super::view::AutoOffsetReset;
use crate::settings::{Rule, Setting, Table};

/// The settings of a group.
pub static SETTINGS: Table = Table { of: "group", rows: ROWS };

/// Shorter than a second, a pause of a garbage collector is a rebalance; longer than half an hour, nobody means it.
const SESSION_TIMEOUT: Rule = Rule::Int(1_000, 1_800_000);
/// More than ten heartbeats a second of every member are load without use; five minutes are the longest that a member
/// may be without news of its group.
const HEARTBEAT_INTERVAL: Rule = Rule::Int(100, 300_000);
/// Kafka's own lower end; an hour is the longest that a member which hangs may keep a record from the others.
const LOCK_DURATION: Rule = Rule::Int(1_000, 3_600_000);
/// Kafka's own lower end: once, and once more; what fails a hundred times fails always.
const DELIVERY_COUNT: Rule = Rule::Int(2, 100);
/// Kafka's own lower end; and the upper one as many as a share partition has runs while it takes more records in, since
/// every record may become a run of its own, and all of them must fit into one value of the metadata store.
const RECORD_LOCKS: Rule = Rule::Int(100, 10_000);
/// Does nothing, so that any will do.
const ASSIGNMENT_INTERVAL: Rule = Rule::Int(0, i32::MAX);

static ROWS: &[Setting] = &[
    Setting {
        name: "consumer.assignment.interval.ms",
        default_name: Some("group.consumer.assignment.interval.ms"),
        default: Some("1000"),
        rule: ASSIGNMENT_INTERVAL,
        doc: "The time between assignments of a consumer group. Kept for tools; changes that come together share an \
              assignment here, and others do not wait.",
    },
    Setting {
        name: "consumer.heartbeat.interval.ms",
        default_name: Some("group.consumer.heartbeat.interval.ms"),
        default: Some("5000"),
        rule: HEARTBEAT_INTERVAL,
        doc: "How often members of a consumer group are told to send a heartbeat, in milliseconds.",
    },
    Setting {
        name: "consumer.session.timeout.ms",
        default_name: Some("group.consumer.session.timeout.ms"),
        default: Some("45000"),
        rule: SESSION_TIMEOUT,
        doc: "How long a member of a consumer group may be silent before it is taken for dead, in milliseconds.",
    },
    Setting {
        name: "share.assignment.interval.ms",
        default_name: Some("group.share.assignment.interval.ms"),
        default: Some("1000"),
        rule: ASSIGNMENT_INTERVAL,
        doc: "The time between assignments of a share group. Kept for tools; every change assigns at once here.",
    },
    Setting {
        name: "share.auto.offset.reset",
        default_name: Some("share.auto.offset.reset"),
        default: Some("latest"),
        rule: Rule::Text(check_auto_offset_reset),
        doc: "Where a share group begins in a partition that it has not read yet: earliest, latest, or \
              by_duration:<PnDTnHnMn.nS> for the records of that time until now.",
    },
    Setting {
        name: "share.delivery.count.limit",
        default_name: Some("group.share.delivery.count.limit"),
        default: Some("5"),
        rule: DELIVERY_COUNT,
        doc: "How often a record is delivered to a share group before it is given up.",
    },
    Setting {
        name: "share.heartbeat.interval.ms",
        default_name: Some("group.share.heartbeat.interval.ms"),
        default: Some("5000"),
        rule: HEARTBEAT_INTERVAL,
        doc: "How often members of a share group are told to send a heartbeat, in milliseconds.",
    },
    Setting {
        name: "share.isolation.level",
        default_name: Some("share.isolation.level"),
        default: Some("read_uncommitted"),
        rule: Rule::OneOf(&["read_committed", "read_uncommitted"]),
        doc: "Whether a share group gets the records of open and aborted transactions (read_uncommitted), or those of \
              committed ones only (read_committed).",
    },
    Setting {
        name: "share.partition.max.record.locks",
        default_name: Some("group.share.partition.max.record.locks"),
        default: Some("2000"),
        rule: RECORD_LOCKS,
        doc: "How many records of a partition a share group may have in flight.",
    },
    Setting {
        name: "share.record.lock.duration.ms",
        default_name: Some("group.share.record.lock.duration.ms"),
        default: Some("30000"),
        rule: LOCK_DURATION,
        doc: "How long a member of a share group has a record before others may get it, in milliseconds.",
    },
    Setting {
        name: "share.renew.acknowledge.enable",
        default_name: Some("share.renew.acknowledge.enable"),
        default: Some("true"),
        rule: Rule::Boolean,
        doc: "Whether members of a share group may ask for more time with a record that they have.",
    },
    Setting {
        name: "share.session.timeout.ms",
        default_name: Some("group.share.session.timeout.ms"),
        default: Some("45000"),
        rule: SESSION_TIMEOUT,
        doc: "How long a member of a share group may be silent before it is taken for dead, in milliseconds.",
    },
];

fn check_auto_offset_reset(name: &'static str, value: &str) -> Result<(), String> {
    match AutoOffsetReset::parse(value) {
        Some(_) => Ok(()),
        None => Err(format!(
            "Invalid value `{value}` for configuration {name}. The value must be either 'earliest', 'latest' or of \
             the format 'by_duration:<PnDTnHnMn.nS>'."
        )),
    }
}
