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
    objects: BTreeMap<u64, NeededObject>,
}

#[derive(Debug)]
struct NeededObject {
    spans: usize,
    bytes: u64,
}

/// The first object of a journal that is needed; those before it are not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NeededFrom {
    /// Whose journal.
    pub session: SessionId,
    /// The object's number; behind the last, if none is needed.
    pub seq: u64,
    /// The last object that is committed.
    pub last: u64,
}

impl JournalNeeds {
    /// An object with batches of so many bytes is committed, and so many spans of it are needed.
    pub(super) fn on_committed(&self, object: ObjectId, bytes: u64, spans: usize) {
        let mut journals = self.journals.lock();
        let needs = journals.entry(object.session).or_default();
        needs.last = needs.last.max(object.seq);
        if spans > 0 {
            needs.objects.entry(object.seq).or_insert(NeededObject { spans: 0, bytes }).spans += spans;
        }
    }

    /// Spans that nobody needs any more.
    pub fn release(&self, spans: &[IndexEntry]) {
        let mut journals = self.journals.lock();
        for span in spans {
            let Some(needs) = journals.get_mut(&span.object.session) else { continue };
            if let Some(object) = needs.objects.get_mut(&span.object.seq) {
                object.spans -= 1;
                if object.spans == 0 {
                    needs.objects.remove(&span.object.seq);
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
            seq: needs.objects.keys().next().copied().unwrap_or(needs.last + 1),
            last: needs.last,
        });
        needed.collect()
    }

    /// How many bytes of batches the object has that a span lies in; zero, if it is not needed.
    #[must_use]
    pub fn object_bytes(&self, object: ObjectId) -> u64 {
        let journals = self.journals.lock();
        let needed = journals.get(&object.session).and_then(|needs| needs.objects.get(&object.seq));
        needed.map_or(0, |object| object.bytes)
    }

    /// How many objects cannot be deleted: those that are needed, and those behind the first of them.
    #[must_use]
    pub fn objects(&self) -> u64 {
        let journals = self.journals.lock();
        let pinned = journals.values().map(|needs| {
            let first = needs.objects.keys().next().copied();
            first.map_or(0, |first| needs.last + 1 - first)
        });
        pinned.sum()
    }

    /// A journal is gone as a whole.
    pub fn forget(&self, session: SessionId) {
        self.journals.lock().remove(&session);
    }
}
