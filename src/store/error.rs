//! What can go wrong, sorted by what the caller does about it.

use object_store::client::HttpError;
use std::error::Error;
use std::fmt::Display;
use std::io;

/// Why an operation on the object store failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// There is no such object.
    #[error("object {path} does not exist")]
    Missing {
        /// Which.
        path: String,
    },
    /// It may work later; a PUT may even have happened. Retries were made already.
    #[error("the object store is unavailable ({path}): {reason}")]
    Unavailable {
        /// Which object or prefix.
        path: String,
        /// What the store or the network said.
        reason: String,
    },
    /// It will not work again: a wrong key, a missing bucket, a range past the end, a short object.
    #[error("the object store refused {path}: {reason}")]
    Refused {
        /// Which object or prefix.
        path: String,
        /// What the store said.
        reason: String,
    },
}

impl StoreError {
    pub(crate) fn unavailable(path: &impl Display, reason: &dyn Display) -> StoreError {
        StoreError::Unavailable { path: path.to_string(), reason: reason.to_string() }
    }

    pub(super) fn refused(path: &impl Display, reason: &dyn Display) -> StoreError {
        StoreError::Refused { path: path.to_string(), reason: reason.to_string() }
    }

    /// What was said, for whoever names the store and the place already.
    pub(super) fn reason(&self) -> &str {
        match self {
            StoreError::Missing { .. } => "it is not there",
            StoreError::Unavailable { reason, .. } | StoreError::Refused { reason, .. } => reason,
        }
    }

    /// For operations that need no object: what is missing then is the bucket.
    pub(super) fn refuse_missing(self) -> StoreError {
        match self {
            StoreError::Missing { path } => {
                StoreError::Refused { path, reason: "the bucket or directory does not exist".into() }
            }
            other => other,
        }
    }

    #[allow(clippy::needless_pass_by_value, reason = "for map_err")]
    pub(super) fn from_backend(path: &impl Display, error: object_store::Error) -> StoreError {
        use object_store::Error as Backend;
        match &error {
            Backend::NotFound { .. } => StoreError::Missing { path: path.to_string() },
            _ if io_kind(&error).is_some_and(is_no_file) => StoreError::Missing { path: path.to_string() },
            Backend::PermissionDenied { .. }
            | Backend::Unauthenticated { .. }
            | Backend::InvalidPath { .. }
            | Backend::NotSupported { .. }
            | Backend::NotImplemented { .. }
            | Backend::UnknownConfigurationKey { .. } => StoreError::refused(path, &one_line(&error)),
            _ if is_permanent(&error) => StoreError::refused(path, &one_line(&error)),
            _ => StoreError::unavailable(path, &one_line(&error)),
        }
    }

    #[allow(clippy::needless_pass_by_value, reason = "for map_err")]
    pub(super) fn from_io(path: &impl Display, error: io::Error) -> StoreError {
        match error.kind() {
            kind if is_no_file(kind) => StoreError::Missing { path: path.to_string() },
            kind if is_permanent_kind(kind) => StoreError::refused(path, &error),
            _ => StoreError::unavailable(path, &error),
        }
    }
}

/// Whether a generic error is one that a repetition cannot cure.
fn is_permanent(error: &object_store::Error) -> bool {
    io_kind(error).is_some_and(is_permanent_kind)
        || causes(error).map(ToString::to_string).any(|message| {
            PERMANENT.iter().any(|start| message.starts_with(start))
                || status_in(&message).is_some_and(|status| !RETRIABLE.contains(&status))
        })
}

/// Beginnings of messages whose types object_store keeps to itself: a range past the end in memory or in a
/// file, and the answer of a bucket in another region.
const PERMANENT: [&str; 3] =
    ["Wanted range starting at", "Out of range of file", "Received redirect without LOCATION"];

/// What the file system said. A connection that broke has such an error too, which says nothing lasting.
fn io_kind(error: &object_store::Error) -> Option<io::ErrorKind> {
    if causes(error).any(|cause| cause.is::<HttpError>()) {
        return None;
    }
    causes(error).find_map(|cause| cause.downcast_ref::<io::Error>()).map(io::Error::kind)
}

/// The status of a redirect or a client error in a message: object_store keeps the type that has it to itself.
fn status_in(message: &str) -> Option<u16> {
    let (_, after) = message.split_once("status code: ")?;
    after.get(..3)?.parse().ok().filter(|status| (300..500).contains(status))
}

/// Client errors that pass: request timeout, conflict, too early, too many requests.
const RETRIABLE: [u16; 4] = [408, 409, 425, 429];

fn is_permanent_kind(kind: io::ErrorKind) -> bool {
    use io::ErrorKind;
    matches!(
        kind,
        ErrorKind::PermissionDenied
            | ErrorKind::ReadOnlyFilesystem
            | ErrorKind::UnexpectedEof
            | ErrorKind::AlreadyExists
            | ErrorKind::InvalidFilename
    )
}

/// There is nothing by that name, a directory, or a file where a directory would have to be.
fn is_no_file(kind: io::ErrorKind) -> bool {
    use io::ErrorKind;
    matches!(kind, ErrorKind::NotFound | ErrorKind::IsADirectory | ErrorKind::NotADirectory)
}

fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error: &&'a (dyn Error + 'static)| error.source())
}

/// The message without line breaks, with the innermost cause, which object_store's own often leaves out, and
/// without the backend's name, which says no more than the URL.
pub(super) fn one_line(error: &object_store::Error) -> String {
    let mut text = match error {
        object_store::Error::Generic { source, .. } => source.to_string(),
        other => other.to_string(),
    };
    if let Some(innermost) = causes(error).last().map(ToString::to_string)
        && !text.contains(&innermost)
    {
        text = format!("{text}: {innermost}");
    }
    without_retry_settings(&text).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// object_store tells how it was set to retry between what happened and why.
fn without_retry_settings(text: &str) -> String {
    let settings = text.find(", max_retries: ").and_then(|at| Some((at, at + text[at..].find(" - ")?)));
    settings.map_or_else(|| text.to_owned(), |(at, end)| format!("{}{}", &text[..at], &text[end..]))
}
