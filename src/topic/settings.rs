//! The settings of a topic: which names there are, and what the broker makes of them.
//!
//! Some settings speak of things that do not exist here (log files, followers): they are checked and kept, and
//! do nothing.

mod table;
mod view;

pub use table::SETTINGS;
pub use view::{Cleanup, CompressionType, TimestampType, TopicSettings};

use crate::settings::{Overrides, SettingError};

/// Checks all of a topic's own settings, one by one and against each other.
pub fn check_all(overrides: &Overrides) -> Result<TopicSettings, SettingError> {
    SETTINGS.check_names(overrides)?;
    TopicSettings::parse(overrides)
}

#[cfg(test)]
mod tests;
