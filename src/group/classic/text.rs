//! Bytes as text in JSON (RFC 4648, section 4), and what strings and bytes cost there.

use bytes::Bytes;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serializer};

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// For `#[serde(with)]`: writes bytes as text.
pub fn serialize<S: Serializer>(bytes: &Bytes, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&encode(bytes))
}

/// For `#[serde(with)]`: reads them back.
pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Bytes, D::Error> {
    let text = String::deserialize(from)?;
    decode(&text).map(Bytes::from).ok_or_else(|| D::Error::custom("bytes are not base64"))
}

/// Bytes at most that a string takes in JSON, without its quotes.
pub fn string_cost(text: &str) -> usize {
    text.bytes()
        .map(|byte| if byte < 0x20 { 6 } else { 1 + usize::from(byte == b'"' || byte == b'\\') })
        .sum()
}

/// Bytes that bytes take in JSON, without their quotes.
pub fn bytes_cost(bytes: &[u8]) -> usize {
    bytes.len().div_ceil(3) * 4
}

/// Four letters for each three bytes, the last ones filled up with `=`.
pub fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes_cost(bytes));
    for chunk in bytes.chunks(3) {
        let word = chunk
            .iter()
            .chain([0, 0].iter())
            .take(3)
            .fold(0_usize, |word, &byte| word << 8 | usize::from(byte));
        for letter in 0..4 {
            let six_bits = word >> (18 - 6 * letter) & 63;
            text.push(if letter <= chunk.len() { char::from(ALPHABET[six_bits]) } else { '=' });
        }
    }
    text
}

/// The bytes of such a text; `None` if it is none.
pub fn decode(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(4) {
        return None;
    }
    let letters = text.strip_suffix("==").or_else(|| text.strip_suffix('=')).unwrap_or(text);
    let mut bytes = Vec::with_capacity(letters.len() / 4 * 3 + 2);
    for chunk in letters.as_bytes().chunks(4) {
        let mut word = 0_u32;
        for &letter in chunk {
            word = word << 6 | six_bits(letter)?;
        }
        word <<= 6 * (4 - chunk.len());
        bytes.extend_from_slice(&word.to_be_bytes()[1..chunk.len()]);
    }
    Some(bytes)
}

fn six_bits(letter: u8) -> Option<u32> {
    let value = match letter {
        b'A'..=b'Z' => letter - b'A',
        b'a'..=b'z' => letter - b'a' + 26,
        b'0'..=b'9' => letter - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    };
    Some(u32::from(value))
}
