//! What a setting of a topic or of a group is: a name, a default, and which values it takes.
//!
//! Names, values and error texts are Apache Kafka 4.3's, so that its tools work and say what they always say. Which
//! settings there are is a [`Table`] of each kind, in the kind's own room. Values are kept as they were given;
//! [`Setting::check`] gives the form in which they are shown. Nothing here knows a topic or a group.

mod error;
mod rule;
mod table;

#[cfg(test)]
mod tests;

pub use error::SettingError;
pub use rule::{Rule, SettingType, elements};
pub use table::{Table, Values};

use std::collections::BTreeMap;

/// What was set, by name, as it was given; everything else is at its default.
pub type Overrides = BTreeMap<String, String>;

/// One row of a table.
#[derive(Debug)]
pub struct Setting {
    /// Kafka's name.
    pub name: &'static str,
    /// The name that Kafka shows the default by, as a synonym: of the broker's setting, or the setting's own.
    pub default_name: Option<&'static str>,
    /// The value where nothing is set; none: the setting is shown only where it is set.
    pub default: Option<&'static str>,
    /// Which values it takes.
    pub rule: Rule,
    /// What it does, in a sentence or two.
    pub doc: &'static str,
}

impl Setting {
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
