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
#[cfg(any(test, fuzzing))]
pub(super) mod fuzzing;
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

/// Checks what a group's own settings become, one by one and against each other. A name that is not known stays where it
/// was stored: another release took it, and it is no reason to refuse a change of others.
pub fn check_change(before: &Overrides, after: &Overrides) -> Result<GroupSettings, SettingError> {
    let is_changed = |(name, value): &(&String, &String)| before.get(*name) != Some(*value);
    let changed = after.iter().filter(is_changed).map(|(name, value)| (name.clone(), value.clone()));
    SETTINGS.check_names(&changed.collect())?;
    GroupSettings::parse(after)
}
