//! The settings of groups: which names there are, what the broker makes of them, and who set what.
//!
//! ```text
//! of(group) ──▶ snapshot ◀── after the answer ── one change at a time ──▶ metadata store
//! ```
//!
//! As in Apache Kafka a group's settings are there before the group is, and stay when it is deleted. Which of them
//! matter depends on the protocol that the group turns out to speak; a classic group has none. Some are kept for tools
//! alone. Nothing here touches a group: its task looks its settings up.

mod catalog;
mod duration;
mod follow;
mod stored;
mod table;
mod view;

#[cfg(test)]
mod tests;

pub use catalog::{GROUPS_WITH_SETTINGS_MAX, GroupSettingsCatalog, GroupSettingsError};
pub use stored::UnreadableGroupSettings;
pub use table::SETTINGS;
pub use view::{AutoOffsetReset, GroupSettings};

use crate::settings::{Overrides, SettingError};

/// Checks all of a group's own settings, one by one and against each other.
pub fn check_all(overrides: &Overrides) -> Result<GroupSettings, SettingError> {
    SETTINGS.check_names(overrides)?;
    GroupSettings::parse(overrides)
}
