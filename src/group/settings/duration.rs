//! Durations as ISO 8601 writes them and Java reads them: `P1DT2H30M0.5S`, in any case, each number with a sign of its own.

use std::time::Duration;

const NANOS: i128 = 1_000_000_000;
/// Units of the part before `T`, and of the part after it: in this order, each at most once, in seconds.
const DATE: &[(char, i128)] = &[('D', 86_400)];
const TIME: &[(char, i128)] = &[('H', 3_600), ('M', 60), ('S', 1)];

/// None: it is no duration, or a negative one, or one that Java has no number for.
pub(super) fn parse(text: &str) -> Option<Duration> {
    let text = text.to_ascii_uppercase();
    let (negative, text) = signed(&text);
    let text = text.strip_prefix('P')?;
    let nanos = match text.split_once('T') {
        Some((date, time)) if !time.is_empty() => part(date, DATE)?.checked_add(part(time, TIME)?)?,
        None if !text.is_empty() => part(text, DATE)?,
        _ => return None,
    };
    let nanos = if negative { -nanos } else { nanos };
    let seconds =
        u64::try_from(nanos.div_euclid(NANOS)).ok().filter(|seconds| i64::try_from(*seconds).is_ok())?;
    Some(Duration::new(seconds, u32::try_from(nanos.rem_euclid(NANOS)).ok()?))
}

/// The sum of a part's numbers, in nanoseconds.
fn part(text: &str, units: &[(char, i128)]) -> Option<i128> {
    let mut rest = text;
    let mut sum = 0i128;
    for (unit, seconds) in units {
        let Some((number, after)) = rest.split_once(*unit) else { continue };
        let nanos = if *unit == 'S' {
            seconds_nanos(number)?
        } else {
            whole(number)?.checked_mul(seconds * NANOS)?
        };
        sum = sum.checked_add(nanos)?;
        rest = after;
    }
    rest.is_empty().then_some(sum)
}

/// Seconds may have a fraction, of nine digits at most, after a point or a comma; it has the sign of the seconds.
fn seconds_nanos(number: &str) -> Option<i128> {
    let (whole_seconds, fraction) = number.split_once(['.', ',']).unwrap_or((number, ""));
    if fraction.len() > 9 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let fraction: i128 = format!("{fraction:0<9}").parse().ok()?;
    let (negative, _) = signed(whole_seconds);
    let whole_seconds = whole(whole_seconds)?.checked_mul(NANOS)?;
    whole_seconds.checked_add(if negative { -fraction } else { fraction })
}

fn whole(number: &str) -> Option<i128> {
    let (negative, digits) = signed(number);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number: i128 = digits.parse::<i64>().ok()?.into();
    Some(if negative { -number } else { number })
}

fn signed(text: &str) -> (bool, &str) {
    match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    }
}
