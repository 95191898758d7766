//! The settings of groups: their rules, what becomes of them, and what a change of them promises.

mod catalog;
mod durations;
mod rules;

use crate::settings::Overrides;

fn overrides(pairs: &[(&str, &str)]) -> Overrides {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}
