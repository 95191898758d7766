//! Where things lie in the bucket.
//!
//! ```text
//! cluster.json                                  whose bucket this is (claim.rs)
//! journal/<session>/<number, 20 digits>.arrow   journal objects
//! probe/<random>                                for a moment, at start (probe.rs)
//! ```

use super::ObjectPath;
use crate::types::SessionId;

const JOURNAL: &str = "journal";
const JOURNAL_SUFFIX: &str = ".arrow";

/// All journals.
#[must_use]
pub fn journals_prefix() -> ObjectPath {
    legal(JOURNAL)
}

/// All objects of one session's journal.
#[must_use]
pub fn journal_prefix(session: SessionId) -> ObjectPath {
    legal(&format!("{JOURNAL}/{session}"))
}

/// A journal's object number `seq`. Its digits are padded, so that the order of names is that of numbers.
#[must_use]
pub fn journal_object(session: SessionId, seq: u64) -> ObjectPath {
    legal(&format!("{JOURNAL}/{session}/{seq:020}{JOURNAL_SUFFIX}"))
}

/// The session and the number of a journal object; nothing if it is not exactly a name that we make.
#[must_use]
pub fn parse_journal_object(path: &ObjectPath) -> Option<(SessionId, u64)> {
    let (session, name) = path.as_str().strip_prefix(JOURNAL)?.strip_prefix('/')?.split_once('/')?;
    let (session, seq) = (session.parse().ok()?, name.strip_suffix(JOURNAL_SUFFIX)?.parse().ok()?);
    (journal_object(session, seq) == *path).then_some((session, seq))
}

/// The cluster's mark.
#[must_use]
pub fn cluster_marker() -> ObjectPath {
    legal("cluster.json")
}

pub(super) fn legal(text: &str) -> ObjectPath {
    ObjectPath::parse(text).expect("made of legal characters only")
}
