//! Moments as people write them.

use crate::types::Timestamp;

/// RFC 3339: date, time, and `Z` or an offset.
pub(super) fn parse_rfc3339(text: &str) -> Option<Timestamp> {
    let number = |range: std::ops::Range<usize>| -> Option<i64> {
        let digits = text.get(range)?;
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
    };
    let marks = [(4, "-"), (7, "-"), (13, ":"), (16, ":")];
    let shaped = marks.iter().all(|(place, mark)| text.get(*place..place + 1) == Some(*mark));
    if !shaped || !matches!(text.get(10..11), Some("T" | "t" | " ")) {
        return None;
    }
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
    let legal =
        (1..=12).contains(&month) && (1..=31).contains(&day) && hour < 24 && minute < 60 && second <= 60;
    let mut rest = text.get(19..)?;
    let mut millis = 0;
    if let Some(fraction) = rest.strip_prefix('.') {
        let digits = fraction.find(|c: char| !c.is_ascii_digit()).unwrap_or(fraction.len());
        millis = format!("{:0<3}", fraction.get(..digits.min(3)).filter(|f| !f.is_empty())?).parse().ok()?;
        rest = &fraction[digits..];
    }
    let offset_minutes = match rest {
        "Z" | "z" => 0,
        _ => {
            let at = 19 + text.get(19..)?.len() - rest.len();
            let minutes = number(at + 1..at + 3)? * 60 + number(at + 4..at + 6)?;
            let whole = rest.len() == 6 && rest.get(3..4) == Some(":");
            match rest.get(..1)? {
                "+" if whole => minutes,
                "-" if whole => -minutes,
                _ => return None,
            }
        }
    };
    let seconds =
        days_since_epoch(year, month, day) * 86_400 + hour * 3600 + (minute - offset_minutes) * 60 + second;
    legal.then_some(Timestamp(seconds * 1000 + millis))
}

/// Days from 1970-01-01, in the Gregorian calendar: years are counted from March, so that leap days come last.
fn days_since_epoch(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}
