//! Walks a request's body before it is decoded.
//!
//! `kafka_protocol` reserves room for as many elements as the wire claims, so that eight bytes could end the
//! process. The walk follows the same schema, allocates nothing, and refuses every count and length that the
//! bytes at hand cannot hold. What it lets through costs memory in proportion to the frame.
//!
//! Promises: never panics; linear in the body; a body that passes is consumed to its last byte, and decoded unless a text in
//! it is not UTF-8.

mod tables;
mod walk;

use super::api::ApiKey;
use std::ops::RangeInclusive;

/// Array elements and tagged fields that one request may carry, all told.
///
/// A decoded element takes up to about 300 bytes (names, lists, a map for unknown tagged fields) though it may
/// take only two or three on the wire: 200,000 of them stay near 60 MB, whatever the frame holds, and what real
/// clients send takes far less. A consumer of 100,000 partitions fits.
pub const ELEMENTS_MAX: usize = 200_000;

/// Why a body cannot be what its header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShapeError {
    /// The key or version has no schema here.
    #[error("unsupported api key {api_key} version {api_version}")]
    Unsupported {
        /// As in the header.
        api_key: i16,
        /// As in the header.
        api_version: i16,
    },
    /// A field, or a length or count, reaches past the end.
    #[error("at byte {position}: {wanted} more bytes claimed, {left} left")]
    Short {
        /// Where the field starts, from the start of the body.
        position: usize,
        /// What it claims, at least.
        wanted: usize,
        /// What is there.
        left: usize,
    },
    /// A null or negative length where the schema has none, or a varint that is none.
    #[error("at byte {position}: illegal length")]
    IllegalLength {
        /// Where the length stands.
        position: usize,
    },
    /// A known tagged field whose content is shorter or longer than its size says, that comes twice, or that this version
    /// of the request does not have.
    #[error("at byte {position}: illegal tagged field {tag}")]
    IllegalTag {
        /// Where the content stands.
        position: usize,
        /// Which field.
        tag: u32,
    },
    /// Over [`ELEMENTS_MAX`].
    #[error("more than {ELEMENTS_MAX} array elements and tagged fields in one request")]
    TooManyElements,
}

/// Checks `body` against the schema of `api_key` in `api_version`, be that advertised or not; where its last field ends. What
/// follows is not looked at, as in Apache Kafka: librdkafka 2.16 sends four bytes of an empty array where one is its length.
pub(super) fn check(api_key: i16, api_version: i16, body: &[u8]) -> Result<usize, ShapeError> {
    let shape = tables::shape_of(api_key, api_version);
    let shape = shape.ok_or(ShapeError::Unsupported { api_key, api_version })?;
    walk::walk(shape, api_version, body)
}

/// Whether this version of the API has compact lengths and tagged fields (KIP-482), and so request header 2.
pub(super) fn is_flexible(api_key: ApiKey, api_version: i16) -> bool {
    let shape = tables::shape_of(api_key.code(), api_version);
    shape.is_some_and(|shape| api_version >= shape.flexible_from)
}

/// The schema of one request, all versions in one.
struct Shape {
    api_key: ApiKey,
    /// Those that `kafka_protocol` encodes and decodes, both ends included as on the wire.
    versions: RangeInclusive<i16>,
    flexible_from: i16,
    fields: &'static [Field],
}

/// A field and the versions that have it.
struct Field {
    kind: Kind,
    from: i16,
    to: i16,
    tag: Option<u32>,
}

/// What a field is made of. Lengths and counts are compact from the shape's flexible version on.
#[derive(Clone, Copy)]
enum Kind {
    /// So many bytes.
    Fixed(usize),
    /// Text.
    Text(Null),
    /// Bytes with a 4-byte (or compact) length: records.
    Blob(Null),
    /// A count, then elements.
    Array(Null, &'static Kind),
    /// Fields, then (when flexible) tagged fields.
    Struct(&'static [Field]),
    /// A byte, -1 for none, then the struct.
    OptionalStruct(&'static [Field]),
}

/// Whether null is legal.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Null {
    Allowed,
    Refused,
}

#[cfg(test)]
pub(crate) mod tests;
