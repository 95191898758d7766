//! The settings of a topic: which names there are, and what the broker makes of them.
//!
//! Some settings speak of things that do not exist here (log files, followers): they are checked and kept, and
//! do nothing.

mod table;
mod view;

pub use table::SETTINGS;
pub use view::{Cleanup, CompressionType, TimestampType, TopicSettings};

use view::ARCHIVE_BYTES_MAX;

use crate::settings::{Overrides, SettingError};

/// Checks all of a topic's own settings, one by one and against each other.
pub fn check_all(overrides: &Overrides) -> Result<TopicSettings, SettingError> {
    check_change(&Overrides::new(), overrides)
}

/// Checks what a topic's own settings become. Those that stay as they are were taken once, by this release or another, and
/// are no reason to refuse a change of others.
pub fn check_change(before: &Overrides, after: &Overrides) -> Result<TopicSettings, SettingError> {
    let is_changed = |(name, value): &(&String, &String)| before.get(*name) != Some(*value);
    let changed = after.iter().filter(is_changed).map(|(name, value)| (name.clone(), value.clone()));
    let changed: Overrides = changed.collect();
    SETTINGS.check_names(&changed)?;
    let settings = TopicSettings::parse(after)?;
    check_archive_bytes(&changed)?;
    Ok(settings)
}

/// The rule of the table has no upper end. What was stored without one is clamped when it is read.
fn check_archive_bytes(overrides: &Overrides) -> Result<(), SettingError> {
    let name = "cenote.archive.bytes";
    let values = SETTINGS.values(overrides)?;
    if values.long(name) <= ARCHIVE_BYTES_MAX {
        return Ok(());
    }
    let accepted = format!("Value must be no more than {ARCHIVE_BYTES_MAX}");
    Err(SettingError::InvalidValue { name, value: values.text(name).to_owned(), accepted })
}

#[cfg(test)]
mod tests;
