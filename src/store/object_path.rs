//! A checked path of an object.

use object_store::path::Path;
use std::fmt;

/// Where an object lies below the store's root: levels parted by `/`, each of `a-z A-Z 0-9 . _ - =`, none of
/// them empty, `.` or `..`. Such a path is the same text on every store and every file system.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectPath(Path);

/// Why a text is no [`ObjectPath`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} cannot be an object's path: {reason}")]
pub struct ObjectPathError {
    text: String,
    reason: &'static str,
}

/// S3's own limit.
const PATH_BYTES_MAX: usize = 1024;

impl ObjectPath {
    /// Checks `text`.
    pub fn parse(text: &str) -> Result<ObjectPath, ObjectPathError> {
        let refused = |reason| Err(ObjectPathError { text: text.chars().take(80).collect(), reason });
        if text.len() > PATH_BYTES_MAX {
            return refused("it has more than 1024 bytes");
        }
        if text.split('/').any(|level| matches!(level, "" | "." | "..")) {
            return refused("a level is empty, \".\" or \"..\"");
        }
        if !text.bytes().all(is_legal) {
            return refused("levels have only letters a-z and A-Z, digits, '.', '_', '-' and '='");
        }
        Path::parse(text)
            .map(ObjectPath)
            .map_err(|_| ObjectPathError { text: text.to_owned(), reason: "the store does not take it" })
    }

    /// The path as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_ref()
    }

    pub(super) fn inner(&self) -> &Path {
        &self.0
    }
}

fn is_legal(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'.' | b'_' | b'-' | b'=')
}

impl fmt::Display for ObjectPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
