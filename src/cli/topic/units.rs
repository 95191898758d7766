//! Times and sizes in topic settings, as people write them: `retention.ms=7d`. On the wire they are plain numbers, as
//! Kafka has them. Which values are legal is for the broker to say.

use crate::config;
use crate::settings::Rule;
use crate::topic::settings::SETTINGS;

/// `KEY=VALUE`, the value as it is sent: milliseconds or bytes where it was given with a unit.
pub(super) fn parse_setting(text: &str) -> Result<(String, String), String> {
    let (name, value) = crate::cli::options::parse_pair(text)?;
    let plain = plain(&name, value.trim())?;
    Ok((name, plain.unwrap_or(value)))
}

/// The number of a value with a unit; none: it is none, and stays as it is.
fn plain(name: &str, value: &str) -> Result<Option<String>, String> {
    let takes_numbers =
        SETTINGS.find(name).is_some_and(|setting| matches!(setting.rule, Rule::Int(..) | Rule::Long(_)));
    // What is a number already, or begins as none, is the broker's to judge.
    let has_unit = value.starts_with(|first: char| first.is_ascii_digit()) && value.parse::<i64>().is_err();
    if !takes_numbers || !has_unit {
        return Ok(None);
    }
    if name.ends_with(".ms") {
        return millis(value).map(Some);
    }
    if name.ends_with(".bytes") {
        let bytes = config::size(value);
        return bytes.map(|bytes| Some(bytes.to_string())).map_err(|why| format!("{value:?} {why}"));
    }
    Ok(None)
}

fn millis(value: &str) -> Result<String, String> {
    let wrong =
        || format!("{value:?} is not a duration; accepted: 60000 (milliseconds), 500ms, 1s, 2m, 3h, 7d");
    let duration = config::duration(value).map_err(|_| wrong())?;
    if duration.subsec_micros() % 1_000 == 0 { Ok(duration.as_millis().to_string()) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use super::parse_setting;

    #[test]
    fn times_and_sizes_take_units_and_everything_else_stays() {
        for (text, sent) in [
            ("retention.ms=7d", "604800000"),
            ("retention.ms=2h", "7200000"),
            ("retention.ms=3000us", "3"),
            ("retention.ms=86400000", "86400000"),
            ("retention.ms=-1", "-1"),
            ("retention.bytes=64MiB", "67108864"),
            ("retention.bytes=1kB", "1000"),
            ("cenote.archive.bytes=64MiB", "67108864"),
            ("cenote.archive.ms=10m", "600000"),
            ("max.message.bytes=2MiB", "2097152"),
            ("max.compaction.lag.ms=9223372036854775807", "9223372036854775807"),
            ("cleanup.policy=compact,delete", "compact,delete"),
            ("min.cleanable.dirty.ratio=0.1", "0.1"),
            ("compression.zstd.level=3", "3"),
            ("no.such.ms=5m", "5m"),
            ("retention.ms=often", "often"),
            ("retention.ms=", ""),
        ] {
            let (name, value) = text.split_once('=').expect("a pair");
            let expected = (name.to_owned(), value.to_owned());
            let found = parse_setting(text).expect(text);
            assert_eq!(found, (expected.0, sent.to_owned()), "{text}");
        }
    }

    #[test]
    fn a_unit_that_is_none_is_refused_here() {
        for text in ["retention.ms=7 weeks", "retention.ms=5us", "retention.ms=7MiB", "retention.bytes=7d"] {
            let why = parse_setting(text).expect_err(text);
            assert!(why.contains("accepted: "), "{why}");
        }
        assert!(parse_setting("retention.ms").is_err());
    }
}
