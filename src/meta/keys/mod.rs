//! What the metadata store holds, one file per key: its path, its value, and how the value is written.
//!
//! Values are JSON objects with `"v": 1` in them; a value of a newer release is an error, never a guess.
//! Topics have keys of their own in the topic room.

pub mod cluster;
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
