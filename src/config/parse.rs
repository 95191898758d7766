//! Text to values. An error says what the text is not, and what is accepted.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;
use tracing::level_filters::LevelFilter;
use url::Url;

/// What is wrong with a text, to be read after it: `is not a duration; accepted: …`.
pub type Complaint = String;

const MICROSECOND: u64 = 1;
const DURATION_UNITS: [(&str, u64); 6] = [
    ("us", MICROSECOND),
    ("ms", 1_000 * MICROSECOND),
    ("s", 1_000_000 * MICROSECOND),
    ("m", 60_000_000 * MICROSECOND),
    ("h", 3_600_000_000 * MICROSECOND),
    ("d", 24 * 3_600_000_000 * MICROSECOND),
];

/// A letter alone, and one with `iB`, counts by 1024; one with `B` by 1000.
const SIZE_UNITS: [(&str, u64); 14] = [
    ("", 1),
    ("B", 1),
    ("k", 1 << 10),
    ("M", 1 << 20),
    ("G", 1 << 30),
    ("T", 1 << 40),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
];

/// `0`, or a whole number with `us`, `ms`, `s`, `m`, `h` or `d`.
pub fn duration(text: &str) -> Result<Duration, Complaint> {
    let complaint = || "is not a duration; accepted: 0, 5ms, 1s, 2m".to_owned();
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    number_with_unit(text, &DURATION_UNITS).map(Duration::from_micros).ok_or_else(complaint)
}

/// A whole number of bytes, or one with `KiB` or `k` (1024), `MiB` or `M`, `GiB` or `G`, `TiB` or `T`, or their
/// decimal sisters `kB` (1000), `MB`, `GB`, `TB`; capitals do not matter.
pub fn size(text: &str) -> Result<usize, Complaint> {
    let complaint = || "is not a size; accepted: 0, 65536, 512KiB, 8MiB, 10GiB".to_owned();
    let bytes = number_with_unit(text, &SIZE_UNITS).ok_or_else(complaint)?;
    usize::try_from(bytes).map_err(|_| complaint())
}

fn number_with_unit(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let (_, scale) = units.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit.trim()))?;
    number.parse::<u64>().ok()?.checked_mul(*scale)
}

/// A whole number within `range`.
pub fn number<T>(text: &str, range: &RangeInclusive<T>) -> Result<T, Complaint>
where
    T: FromStr + PartialOrd + std::fmt::Display,
{
    let digits = text.strip_prefix('-').unwrap_or(text);
    let is_number = !digits.is_empty() && digits.bytes().all(|letter| letter.is_ascii_digit());
    let which = if is_number { "number that fits" } else { "number" };
    let within = text.parse().ok().filter(|number| range.contains(number));
    within.ok_or_else(|| format!("is not a {which}; accepted: {} to {}", range.start(), range.end()))
}

/// A size within `range`.
pub fn size_within(text: &str, range: &RangeInclusive<usize>) -> Result<usize, Complaint> {
    let bytes = size(text)?;
    if range.contains(&bytes) {
        return Ok(bytes);
    }
    Err(format!("is out of range; accepted: {} to {} bytes", range.start(), range.end()))
}

/// A duration up to `longest`.
pub fn duration_up_to(text: &str, longest: Duration) -> Result<Duration, Complaint> {
    let duration = duration(text)?;
    if duration <= longest {
        return Ok(duration);
    }
    Err(format!("is too long; accepted: 0 to {}s", longest.as_secs()))
}

/// `true` or `false`.
pub fn boolean(text: &str) -> Result<bool, Complaint> {
    text.parse().map_err(|_| "is neither; accepted: true, false".to_owned())
}

/// Where objects go.
pub fn store_url(text: &str) -> Result<Url, Complaint> {
    let accepted = "accepted: file:///directory, s3://bucket/prefix, gs://bucket/prefix, \
                    az://container/prefix, memory:";
    let url = Url::parse(text).map_err(|error| format!("is not a URL ({error}); {accepted}"))?;
    let whole = match url.scheme() {
        "file" => url.to_file_path().is_ok(),
        "s3" | "gs" | "az" => url.host_str().is_some_and(|host| !host.is_empty()),
        "memory" => true,
        _ => false,
    };
    if whole { Ok(url) } else { Err(format!("is not an object store; {accepted}")) }
}

/// An address with a port, or `off`.
pub fn http_address(text: &str) -> Result<Option<SocketAddr>, Complaint> {
    if text == "off" {
        return Ok(None);
    }
    let complaint = |_| "is not an address; accepted: off, 127.0.0.1:9644, [::1]:9644".to_owned();
    text.parse().map(Some).map_err(complaint)
}

/// A level, or a filter by room, as the filter that holds. A level without a name is Cenote's; other crates are
/// heard from `warn` on, or from where their name says.
pub fn log_filter(text: &str) -> Result<String, Complaint> {
    let part = |part: &str| match part.trim().split_once('=') {
        None => level(part.trim()).map(of_cenote),
        Some((room, of_room)) => level(of_room).map(|level| format!("{room}={level}")),
    };
    let parts: Option<Vec<_>> = text.split(',').map(part).collect();
    parts.map(|parts| parts.join(",")).ok_or_else(|| {
        "is not a log filter; accepted: error, warn, info, debug, trace, off, or a filter such as \
         info,cenote::net=debug"
            .to_owned()
    })
}

fn level(text: &str) -> Option<LevelFilter> {
    text.parse().ok().filter(|_| !text.is_empty())
}

fn of_cenote(level: LevelFilter) -> String {
    if level > LevelFilter::WARN { format!("warn,cenote={level}") } else { level.to_string() }
}

/// A path that is not empty.
pub fn path(text: &str) -> Result<std::path::PathBuf, Complaint> {
    match text {
        "" => Err("is empty; accepted: a path".to_owned()),
        _ => std::path::absolute(text).map_err(|error| format!("is not a path: {error}")),
    }
}
