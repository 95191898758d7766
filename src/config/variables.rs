//! `CENOTE_*` variables that mean nothing: most are another one mistyped, and nobody else would say so.

use super::settings::SETTINGS;

/// What all our variables begin with.
const PREFIX: &str = "CENOTE_";
/// Those that are no settings of `cenote serve`.
const OTHERS: [&str; 4] =
    ["CENOTE_CONFIG", "CENOTE_BOOTSTRAP", "CENOTE_ADMIN", super::etcd::PASSWORD_VARIABLE];
/// More than a person mistypes; what follows is not told.
const UNKNOWN_MAX: usize = 10;
/// Longer than any of ours by far: the work of a comparison is bounded.
const NAME_CHARS_MAX: usize = 100;

/// A variable that looks like one of ours, and the one of ours that it is nearest to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name} is not a setting and has no effect; the nearest is {nearest}")]
pub struct UnknownVariable {
    /// As it is set.
    pub name: String,
    /// One that has an effect.
    pub nearest: String,
}

/// Those of `names` that begin like our variables and are none.
pub fn unknown_variables(names: impl IntoIterator<Item = String>) -> Vec<UnknownVariable> {
    let known: Vec<String> =
        SETTINGS.iter().map(super::Setting::variable).chain(OTHERS.map(str::to_owned)).collect();
    let suspicious =
        |name: &String| name.starts_with(PREFIX) && !known.contains(name) && !is_of_kubernetes(name);
    let mut unknown: Vec<_> = names.into_iter().filter(suspicious).collect();
    unknown.sort();
    unknown.truncate(UNKNOWN_MAX);
    let with_nearest = |name: String| {
        let nearest = nearest(&name, &known)?.to_owned();
        Some(UnknownVariable { name, nearest })
    };
    unknown.into_iter().filter_map(with_nearest).collect()
}

/// The one of `known` that a mistyped `name` most likely means. One that goes on where the other ends is nearer than one
/// of few letters: TLS_CERT is no TLS_KEY.
pub(super) fn nearest<'a>(name: &str, known: &'a [impl AsRef<str>]) -> Option<&'a str> {
    let goes_on = |known: &str| known.starts_with(name) || name.starts_with(known);
    known.iter().map(AsRef::as_ref).min_by_key(|known| (!goes_on(known), distance(name, known)))
}

/// Where a Kubernetes service is named `cenote`, every container beside it gets such: `CENOTE_SERVICE_HOST`,
/// `CENOTE_PORT`, `CENOTE_PORT_9092_TCP_ADDR`. No setting of ours is named like that.
fn is_of_kubernetes(name: &str) -> bool {
    name.contains("_SERVICE_HOST")
        || name.contains("_SERVICE_PORT")
        || name.contains("_PORT_")
        || name.ends_with("_PORT")
}

/// How many letters have to be added, left out or changed to get from one text to the other (Levenshtein).
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut above: Vec<usize> = (0..=to.len()).collect();
    for (row, letter) in from.chars().take(NAME_CHARS_MAX).enumerate() {
        let mut diagonal = above[0];
        above[0] = row + 1;
        for (column, other) in to.iter().enumerate() {
            let changed = diagonal + usize::from(letter != *other);
            diagonal = above[column + 1];
            above[column + 1] = changed.min(diagonal + 1).min(above[column] + 1);
        }
    }
    above[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unknown(names: &[&str]) -> Vec<String> {
        let unknown = unknown_variables(names.iter().map(|name| (*name).to_owned()));
        unknown.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_mistyped_variable_is_told_with_the_nearest_one() {
        for (name, nearest) in [
            ("CENOTE_FLUSH_INTERVALL", "CENOTE_FLUSH_INTERVAL"),
            ("CENOTE_BOOTSRAP", "CENOTE_BOOTSTRAP"),
            ("CENOTE_LISTENERS", "CENOTE_LISTEN"),
            ("CENOTE_DATA_DIR", "CENOTE_DATA"),
            ("CENOTE_TLS_CERT", "CENOTE_TLS_CERTIFICATE"),
        ] {
            let said = format!("{name} is not a setting and has no effect; the nearest is {nearest}");
            assert_eq!(unknown(&[name]), [said]);
        }
    }

    #[test]
    fn what_is_known_or_not_ours_is_passed_over() {
        let known: Vec<String> = SETTINGS.iter().map(super::super::Setting::variable).collect();
        let known: Vec<&str> = known.iter().map(String::as_str).chain(OTHERS).collect();
        assert_eq!(unknown(&known), [""; 0]);
        assert_eq!(unknown(&["PATH", "CENOTE", "CENOTE_SERVICE_HOST", "CENOTE_PORT_9092_TCP_ADDR"]), [""; 0]);
    }

    #[test]
    fn a_distance_counts_letters() {
        for (from, to, letters) in
            [("", "", 0), ("abc", "abc", 0), ("abc", "", 3), ("abc", "axcd", 2), ("", "ab", 2)]
        {
            assert_eq!(distance(from, to), letters, "{from} {to}");
        }
    }
}
