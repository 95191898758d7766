//! Which journal objects somebody may still read: those with a span that no segment has yet.

use super::index::IndexEntry;
use crate::journal::ObjectId;
use crate::types::SessionId;
use parking_lot::Mutex;
use std::collections::BTreeMap;

/// The objects of all journals, by how many spans of theirs are needed.
#[derive(Debug, Default)]
pub struct JournalNeeds {
    journals: Mutex<BTreeMap<SessionId, Needs>>,
}

#[derive(Debug, Default)]
struct Needs {
    /// The last object that is committed.
    last: u64,
    spans: BTreeMap<u64, usize>,
}

/// The first object of a journal that is needed; those before it are not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NeededFrom {
    /// Whose journal.
    pub session: SessionId,
    /// The object's number; behind the last, if none is needed.
    pub seq: u64,
}

impl JournalNeeds {
    /// An object is committed, and so many spans of it are needed.
    pub(super) fn on_committed(&self, object: ObjectId, spans: usize) {
        let mut journals = self.journals.lock();
        let needs = journals.entry(object.session).or_default();
        needs.last = needs.last.max(object.seq);
        if spans > 0 {
            *needs.spans.entry(object.seq).or_default() += spans;
        }
    }

    /// Spans that nobody needs any more.
    pub fn release(&self, spans: &[IndexEntry]) {
        let mut journals = self.journals.lock();
        for span in spans {
            let Some(needs) = journals.get_mut(&span.object.session) else { continue };
            if let Some(count) = needs.spans.get_mut(&span.object.seq) {
                *count -= 1;
                if *count == 0 {
                    needs.spans.remove(&span.object.seq);
                }
            }
        }
    }

    /// From where on each journal is needed.
    #[must_use]
    pub fn needed_from(&self) -> Vec<NeededFrom> {
        let journals = self.journals.lock();
        let needed = journals.iter().map(|(session, needs)| NeededFrom {
            session: *session,
            seq: needs.spans.keys().next().copied().unwrap_or(needs.last + 1),
        });
        needed.collect()
    }

    /// A journal is gone as a whole.
    pub fn forget(&self, session: SessionId) {
        self.journals.lock().remove(&session);
    }
}
