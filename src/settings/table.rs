//! The settings of one kind of thing, and values that were checked against them.

use super::{Overrides, Setting, SettingError};
use std::collections::BTreeMap;
use std::time::Duration;

/// All settings that one kind of thing has.
#[derive(Debug)]
pub struct Table {
    /// What has them, as Kafka's errors call it.
    pub of: &'static str,
    /// In the order of their names.
    pub rows: &'static [Setting],
}

impl Table {
    /// The row of that name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&'static Setting> {
        let at = self.rows.binary_search_by(|setting| setting.name.cmp(name)).ok()?;
        self.rows.get(at)
    }

    /// The row of that name, or why there is none.
    pub fn known(&self, name: &str) -> Result<&'static Setting, SettingError> {
        self.find(name).ok_or_else(|| SettingError::UnknownName { of: self.of, name: name.to_owned() })
    }

    /// Whether the table knows all these names.
    pub fn check_names(&self, overrides: &Overrides) -> Result<(), SettingError> {
        overrides.keys().try_for_each(|name| self.known(name).map(|_| ()))
    }

    /// Checks the overrides that the table knows, one by one. Names that it does not know are passed over: what was
    /// stored by a later release must not stop an earlier one.
    pub fn values(&'static self, overrides: &Overrides) -> Result<Values, SettingError> {
        let mut given = BTreeMap::new();
        for (name, value) in overrides {
            if let Some(setting) = self.find(name) {
                given.insert(setting.name, setting.check(value)?);
            }
        }
        Ok(Values { table: self, given })
    }
}

/// Overrides in their normal form, filled up with defaults.
#[derive(Debug)]
pub struct Values {
    table: &'static Table,
    given: BTreeMap<&'static str, String>,
}

impl Values {
    /// The value of a setting that has a default. The name must be one of the table's.
    #[must_use]
    pub fn text(&self, name: &str) -> &str {
        let default = || self.table.find(name).and_then(|setting| setting.default);
        self.given
            .get(name)
            .map(String::as_str)
            .or_else(default)
            .expect("the table has every name that its own view asks for")
    }

    /// As [`Values::text`], of a number.
    #[must_use]
    pub fn long(&self, name: &str) -> i64 {
        self.text(name).parse().expect("the rule of this setting lets only numbers pass")
    }

    /// As [`Values::text`], of a number of 32 bits.
    #[must_use]
    pub fn int(&self, name: &str) -> i32 {
        self.text(name).parse().expect("the rule of this setting lets only numbers pass")
    }

    /// As [`Values::text`], of a fraction.
    #[must_use]
    pub fn ratio(&self, name: &str) -> f64 {
        self.text(name).parse().expect("the rule of this setting lets only numbers pass")
    }

    /// As [`Values::text`], of a time in milliseconds that is not negative.
    #[must_use]
    pub fn millis(&self, name: &str) -> Duration {
        Duration::from_millis(u64::try_from(self.long(name)).unwrap_or(0))
    }

    /// As [`Values::text`], of `true` or `false`.
    #[must_use]
    pub fn is_true(&self, name: &str) -> bool {
        self.text(name) == "true"
    }
}
