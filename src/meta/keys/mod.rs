//! What the metadata store holds, one file per key: its path, its value, and how the value is written.
//!
//! Values are JSON objects with `"v": 1` in them; a value of a newer release is an error, never a guess.
//! Topics have keys of their own in the topic room; etcd has `compaction` and `pulse` beside ours (`meta/etcd`).

pub mod alive;
pub mod cluster;
pub mod drained;
pub mod journal_starts;
pub mod journals;
pub mod producer_ids;
pub mod sessions;
pub mod view;

#[cfg(test)]
mod tests;

use super::Entry;
use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// A stored value that cannot be understood.
#[derive(Debug, thiserror::Error)]
#[error("the metadata at {key} cannot be read: {reason}")]
pub struct DecodeKeyError {
    /// Where it lies.
    pub key: String,
    /// What is wrong with it.
    pub reason: String,
}

const FORMAT: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Versioned<T> {
    v: u32,
    #[serde(flatten)]
    value: T,
}

#[derive(Deserialize)]
struct Format {
    v: u32,
}

fn encode<T: Serialize>(value: &T) -> Bytes {
    let text = serde_json::to_vec(&Versioned { v: FORMAT, value });
    text.expect("a struct of numbers and strings is always JSON").into()
}

fn decode<T: DeserializeOwned>(entry: &Entry) -> Result<T, DecodeKeyError> {
    let unreadable = |reason: String| DecodeKeyError { key: entry.key.clone(), reason };
    let format: Format =
        serde_json::from_slice(&entry.value).map_err(|error| unreadable(error.to_string()))?;
    if format.v != FORMAT {
        return Err(unreadable(format!("format {} of a newer release", format.v)));
    }
    let versioned: Versioned<T> =
        serde_json::from_slice(&entry.value).map_err(|error| unreadable(error.to_string()))?;
    Ok(versioned.value)
}

/// A name that clients chose, as part of a key: every byte that is not a letter, a digit, `.`, `_` or `-` is `%` and two
/// hex digits; an empty name is `%`.
#[must_use]
pub fn escaped(name: &str) -> String {
    use std::fmt::Write;
    let mut escaped = String::with_capacity(name.len());
    if name.is_empty() {
        escaped.push('%');
    }
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'_' | b'-' => escaped.push(byte.into()),
            _ => write!(escaped, "%{byte:02x}").expect("a string takes what is written to it"),
        }
    }
    escaped
}

/// The name that [`escaped`] made a part of a key of; none if it did not.
#[must_use]
pub fn unescaped(part: &str) -> Option<String> {
    if part == "%" {
        return Some(String::new());
    }
    let mut bytes = Vec::with_capacity(part.len());
    let mut rest = part.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let (high, low) = (digit(rest.next()?)?, digit(rest.next()?)?);
        bytes.push(high << 4 | low);
    }
    String::from_utf8(bytes).ok()
}

/// Ids as text.
mod text {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};
    use std::fmt::Display;
    use std::str::FromStr;

    pub(super) fn serialize<S: Serializer>(id: &impl Display, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(id)
    }

    pub(super) fn deserialize<'de, T: FromStr<Err: Display>, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<T, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// [`crate::types::BrokerId`] as a number.
#[derive(Serialize, Deserialize)]
#[serde(remote = "crate::types::BrokerId")]
struct BrokerIdNumber(i32);

/// [`crate::types::ViewNumber`] as a number.
#[derive(Serialize, Deserialize)]
#[serde(remote = "crate::types::ViewNumber")]
struct ViewNumberNumber(i32);
