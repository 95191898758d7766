//! What stored values must do with arbitrary bytes, for the rooms that have some.

use super::{Entry, Revision};
use bytes::Bytes;
use std::fmt::{Debug, Display};

/// `value` as it stands at `key`.
pub(crate) fn entry(key: &str, value: impl Into<Bytes>) -> Entry {
    Entry { key: key.to_owned(), value: value.into(), mod_revision: Revision(1) }
}

/// A value that can be read is written and read again.
pub(crate) fn stored<T: PartialEq + Debug, E: Display>(
    entry: &Entry,
    decode: impl Fn(&Entry) -> Result<T, E>,
    encode: impl Fn(&T) -> Bytes,
) {
    match decode(entry) {
        Ok(value) => {
            let again = Entry { value: encode(&value), ..entry.clone() };
            let again = decode(&again).unwrap_or_else(|error| panic!("{value:?} is not read back: {error}"));
            assert_eq!(again, value);
        }
        Err(error) => drop(error.to_string()),
    }
}
