//! The settings of a topic: which names there are, which values they take, and what the broker makes of them.
//!
//! Names, values and error texts are Apache Kafka 4.3's, so that its tools work and say what they always say.
//! Some settings speak of things that do not exist here (log files, followers): they are checked and kept, and
//! do nothing. Values are kept as they were given; [`Setting::check`] gives the form in which they are shown.

mod rule;
mod table;
mod view;

pub use rule::{Rule, SettingType, elements};
pub use table::SETTINGS;
pub use view::{Cleanup, CompressionType, TimestampType, TopicSettings};

use std::collections::BTreeMap;

/// One row of the table.
#[derive(Debug)]
pub struct Setting {
    /// Kafka's name.
    pub name: &'static str,
    /// The broker setting that Kafka takes the default from, shown as a synonym.
    pub broker_name: Option<&'static str>,
    /// The value where a topic says nothing; none: the setting is shown only where it is set.
    pub default: Option<&'static str>,
    /// Which values it takes.
    pub rule: Rule,
    /// What it does, in a sentence or two.
    pub doc: &'static str,
}

/// Why settings are refused, in Kafka's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingError {
    /// There is no such setting.
    #[error("Unknown topic config name: {0}")]
    UnknownName(String),
    /// A setting without a value.
    #[error("Null value not supported for : {0}")]
    NoValue(String),
    /// Something is to be added to, or taken from, what is no list.
    #[error("Can't {operation} to key {name} because its type is not LIST.")]
    NoList {
        /// `APPEND` or `SUBTRACT`.
        operation: &'static str,
        /// Of the setting.
        name: &'static str,
    },
    /// The value is not one that the setting takes.
    #[error("Invalid value {value} for configuration {name}: {accepted}")]
    InvalidValue {
        /// Of the setting.
        name: &'static str,
        /// As far as it is to blame.
        value: String,
        /// What would be taken.
        accepted: String,
    },
    /// A list with an empty element.
    #[error("Configuration '{0}' values must not be empty.")]
    EmptyElement(&'static str),
    /// Two settings that contradict each other.
    #[error(
        "conflict topic config setting min.compaction.lag.ms ({min_ms}) > max.compaction.lag.ms ({max_ms})"
    )]
    CompactionLags {
        /// `min.compaction.lag.ms`
        min_ms: i64,
        /// `max.compaction.lag.ms`
        max_ms: i64,
    },
    /// `remote.storage.enable`: every topic is on object storage already, and Kafka's tiers do not exist.
    #[error(
        "Tiered Storage functionality is disabled in the broker. Topic cannot be configured with remote log storage."
    )]
    NoTieredStorage,
}

impl Setting {
    /// The row of that name.
    #[must_use]
    pub fn find(name: &str) -> Option<&'static Setting> {
        let at = SETTINGS.binary_search_by(|setting| setting.name.cmp(name)).ok()?;
        SETTINGS.get(at)
    }

    /// Checks `value` and gives the form in which it is shown: trimmed, lists without blanks.
    pub fn check(&self, value: &str) -> Result<String, SettingError> {
        self.rule.check(self.name, value)
    }

    /// The type that Kafka states for it.
    #[must_use]
    pub fn setting_type(&self) -> SettingType {
        self.rule.setting_type()
    }

    /// Whether Kafka's incremental changes may append to it and subtract from it.
    #[must_use]
    pub fn is_list(&self) -> bool {
        self.setting_type() == SettingType::List
    }
}

/// Checks all of a topic's own settings, one by one and against each other.
pub fn check_all(overrides: &BTreeMap<String, String>) -> Result<TopicSettings, SettingError> {
    if let Some(unknown) = overrides.keys().find(|name| Setting::find(name).is_none()) {
        return Err(SettingError::UnknownName(unknown.clone()));
    }
    TopicSettings::parse(overrides)
}

#[cfg(test)]
mod tests;
