//! What the broker makes of a group's settings: checked values, parsed once, and the rules of the cores that follow.

use super::{SETTINGS, duration};
use crate::group::consumer::ConsumerGroupConfig;
use crate::group::share::{ShareGroupConfig, SharePartitionConfig};
use crate::log::IsolationLevel;
use crate::settings::{Overrides, SettingError};
use std::time::Duration;

/// The settings that the broker acts on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupSettings {
    /// `consumer.session.timeout.ms`
    pub consumer_session_timeout: Duration,
    /// `consumer.heartbeat.interval.ms`
    pub consumer_heartbeat_interval: Duration,
    /// `share.session.timeout.ms`
    pub share_session_timeout: Duration,
    /// `share.heartbeat.interval.ms`
    pub share_heartbeat_interval: Duration,
    /// `share.record.lock.duration.ms`
    pub share_lock_duration: Duration,
    /// `share.delivery.count.limit`
    pub share_delivery_count_limit: i16,
    /// `share.partition.max.record.locks`
    pub share_record_locks_max: usize,
    /// `share.auto.offset.reset`
    pub share_auto_offset_reset: AutoOffsetReset,
    /// `share.isolation.level`
    pub share_isolation_level: IsolationLevel,
    /// `share.renew.acknowledge.enable`: whether a member may ask for more time with a record.
    pub share_renewal: bool,
}

/// Where a share group begins in a partition that it has not read yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AutoOffsetReset {
    /// At the first record there is.
    Earliest,
    /// At the first record to come.
    Latest,
    /// At the first record that is no older.
    ByDuration(Duration),
}

impl AutoOffsetReset {
    /// Kafka's words for it, in lower case.
    pub(super) fn parse(text: &str) -> Option<AutoOffsetReset> {
        match text {
            "earliest" => Some(AutoOffsetReset::Earliest),
            "latest" => Some(AutoOffsetReset::Latest),
            _ => duration::parse(text.strip_prefix("by_duration:")?).map(AutoOffsetReset::ByDuration),
        }
    }
}

impl Default for GroupSettings {
    fn default() -> GroupSettings {
        GroupSettings::parse(&Overrides::new())
            .expect("the table's defaults pass their own rules, as a test shows")
    }
}

impl GroupSettings {
    /// Checks the overrides that the table knows, and fills up with defaults. Names that it does not know are
    /// passed over: what was stored by a later release must not stop an earlier one.
    pub fn parse(overrides: &Overrides) -> Result<GroupSettings, SettingError> {
        let values = SETTINGS.values(overrides)?;
        for protocol in ["consumer", "share"] {
            let session_timeout = format!("{protocol}.session.timeout.ms");
            let heartbeat_interval = format!("{protocol}.heartbeat.interval.ms");
            if values.int(&session_timeout) <= values.int(&heartbeat_interval) {
                let words = format!("{session_timeout} must be greater than {heartbeat_interval}");
                return Err(SettingError::Contradiction(words));
            }
        }
        Ok(GroupSettings {
            consumer_session_timeout: values.millis("consumer.session.timeout.ms"),
            consumer_heartbeat_interval: values.millis("consumer.heartbeat.interval.ms"),
            share_session_timeout: values.millis("share.session.timeout.ms"),
            share_heartbeat_interval: values.millis("share.heartbeat.interval.ms"),
            share_lock_duration: values.millis("share.record.lock.duration.ms"),
            share_delivery_count_limit: i16::try_from(values.int("share.delivery.count.limit"))
                .expect("the rule of this setting lets only small numbers pass"),
            share_record_locks_max: usize::try_from(values.int("share.partition.max.record.locks"))
                .expect("the rule of this setting lets only positive numbers pass"),
            share_auto_offset_reset: AutoOffsetReset::parse(values.text("share.auto.offset.reset"))
                .expect("the rule of this setting is that it can be parsed"),
            share_isolation_level: match values.text("share.isolation.level") {
                "read_committed" => IsolationLevel::ReadCommitted,
                _ => IsolationLevel::ReadUncommitted,
            },
            share_renewal: values.is_true("share.renew.acknowledge.enable"),
        })
    }

    /// The rules of a group of the consumer protocol: what may be set as it is set here, the rest as in `base`.
    #[must_use]
    pub fn consumer_group(&self, base: &ConsumerGroupConfig) -> ConsumerGroupConfig {
        ConsumerGroupConfig {
            session_timeout: self.consumer_session_timeout,
            heartbeat_interval: self.consumer_heartbeat_interval,
            ..base.clone()
        }
    }

    /// The rules of a share group: what may be set as it is set here, the rest as in `base`.
    #[must_use]
    pub fn share_group(&self, base: &ShareGroupConfig) -> ShareGroupConfig {
        ShareGroupConfig {
            session_timeout: self.share_session_timeout,
            heartbeat_interval: self.share_heartbeat_interval,
            ..base.clone()
        }
    }

    /// The rules of the partitions of a share group.
    #[must_use]
    pub fn share_partition(&self) -> SharePartitionConfig {
        SharePartitionConfig {
            lock_duration: self.share_lock_duration,
            delivery_count_limit: self.share_delivery_count_limit,
            records_max: self.share_record_locks_max,
        }
    }
}
