//! Which objects of the journals that are kept here somebody may still read: those with a span that no segment has yet.
//! Other brokers keep other journals; of those nothing is counted.
//!
//! ```text
//! merged objects, each with some spans     numbered objects, from the first with a span on: they are pinned
//! ├──────┤ ├────────┤                      ├──┤├──┤├──┤├──┤├──┤ …
//!                             gone │ first needed           last committed
//! ```

use super::index::IndexEntry;
use crate::hashing::HashMap;
use crate::journal::{EndedJournal, ObjectName, ObjectNumber, PUT_MILLIONTHS};
use crate::meta::keys::journal_starts::MergedObject;
use crate::types::{MergeNumber, SessionId};
use parking_lot::Mutex;
use std::collections::BTreeMap;

/// The objects of the journals that are kept here, by how many spans of theirs are needed.
#[derive(Debug, Default)]
pub struct JournalNeeds {
    journals: Mutex<BTreeMap<SessionId, Needs>>,
}

#[derive(Debug, Default)]
struct Needs {
    /// The last numbered object that is committed.
    last: u64,
    /// From the first on that is needed. Those behind it are pinned, needed or not.
    flushed: BTreeMap<u64, ObjectUse>,
    merged: HashMap<MergeNumber, (MergedObject, ObjectUse)>,
    /// Those of `merged`, in the order of their age.
    order: Vec<MergeNumber>,
}

/// What a journal object has, and what of it is needed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ObjectUse {
    /// Bytes of all its batches.
    pub bytes: u64,
    /// The bytes before the first batch.
    pub index_bytes: u64,
    /// Spans that somebody may read.
    pub spans: u64,
    /// The bytes of these.
    pub needed_bytes: u64,
}

/// What is needed of a journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NeededJournal {
    /// Whose journal.
    pub session: SessionId,
    /// The first numbered object that is needed; behind the last, if none is.
    pub first: u64,
    /// The last numbered object that is committed.
    pub last: u64,
    /// The merged objects that are needed, in the order of their age.
    pub merged: Vec<MergedObject>,
}

/// How a journal's objects are used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JournalUse {
    /// The pinned objects, by their numbers.
    pub flushed: Vec<(u64, ObjectUse)>,
    /// The merged objects, in the order of their age.
    pub merged: Vec<(MergedObject, ObjectUse)>,
}

impl ObjectUse {
    pub(super) fn add(&mut self, span: &IndexEntry) {
        self.spans += 1;
        self.needed_bytes += span.size();
    }

    /// Whether nothing of it is needed any more.
    fn release(&mut self, span: &IndexEntry) -> bool {
        self.spans -= 1;
        self.needed_bytes -= span.size();
        self.spans == 0
    }
}

impl JournalNeeds {
    /// Whether this broker keeps a journal: what is needed of others is not counted here.
    #[must_use]
    pub fn is_kept(&self, session: SessionId) -> bool {
        self.journals.lock().contains_key(&session)
    }

    /// A journal is kept from now on; nothing of it is counted yet.
    pub(super) fn begin(&self, session: SessionId, last: u64) {
        self.journals.lock().insert(session, Needs { last, ..Needs::default() });
    }

    /// An earlier session's journal, of which nothing is known to be needed yet.
    pub fn on_ended(&self, ended: &EndedJournal) {
        let mut journals = self.journals.lock();
        let needs = journals.entry(ended.session).or_default();
        needs.last = needs.last.max(ended.final_seq);
    }

    /// A numbered object is committed, or was before this session.
    pub(super) fn on_flushed(&self, session: SessionId, seq: u64, object: ObjectUse) {
        let mut journals = self.journals.lock();
        let needs = journals.entry(session).or_default();
        needs.last = needs.last.max(seq);
        if object.spans > 0 || !needs.flushed.is_empty() {
            needs.flushed.insert(seq, object);
        }
    }

    /// A merged object has become part of its journal. It takes the place of `sources`, of which the rest
    /// is released next, or is the youngest.
    pub(super) fn on_merged(
        &self,
        session: SessionId,
        merged: MergedObject,
        object: ObjectUse,
        sources: &[MergeNumber],
    ) {
        if object.spans == 0 {
            return;
        }
        let mut journals = self.journals.lock();
        let needs = journals.entry(session).or_default();
        let place = needs.order.iter().position(|number| sources.contains(number));
        needs.order.insert(place.unwrap_or(needs.order.len()), merged.number);
        needs.merged.insert(merged.number, (merged, object));
    }

    /// Spans that nobody needs any more.
    pub fn release(&self, spans: &[IndexEntry]) {
        let mut journals = self.journals.lock();
        for span in spans {
            if let Some(needs) = journals.get_mut(&span.object.session) {
                needs.release(span);
            }
        }
    }

    /// What of each journal is needed.
    #[must_use]
    pub fn needed(&self) -> Vec<NeededJournal> {
        let journals = self.journals.lock();
        let needed = journals.iter().map(|(session, needs)| NeededJournal {
            session: *session,
            first: needs.flushed.keys().next().copied().unwrap_or(needs.last + 1),
            last: needs.last,
            merged: needs.in_order().map(|(merged, _)| *merged).collect(),
        });
        needed.collect()
    }

    /// How the objects of each journal are used.
    #[must_use]
    pub fn uses(&self) -> Vec<(SessionId, JournalUse)> {
        let journals = self.journals.lock();
        let uses = journals.iter().map(|(session, needs)| {
            let flushed = needs.flushed.iter().map(|(seq, object)| (*seq, *object)).collect();
            (*session, JournalUse { flushed, merged: needs.in_order().copied().collect() })
        });
        uses.collect()
    }

    /// What is known of an object, and how many PUTs of flushes it stands for, in millionths; nothing if it is not needed.
    #[must_use]
    pub fn object(&self, name: ObjectName) -> Option<(ObjectUse, u64)> {
        let journals = self.journals.lock();
        let needs = journals.get(&name.session)?;
        match name.number {
            ObjectNumber::Flushed(seq) => needs.flushed.get(&seq).map(|object| (*object, PUT_MILLIONTHS)),
            ObjectNumber::Merged(number) => {
                needs.merged.get(&number).map(|(merged, object)| (*object, merged.puts))
            }
        }
    }

    /// How many spans are needed of all journals together, and how many merged objects the longest list has.
    #[must_use]
    pub fn totals(&self) -> (u64, usize) {
        let journals = self.journals.lock();
        let spans = journals.values().map(|needs| {
            let flushed = needs.flushed.values();
            flushed
                .chain(needs.merged.values().map(|(_, object)| object))
                .map(|object| object.spans)
                .sum::<u64>()
        });
        (spans.sum(), journals.values().map(|needs| needs.order.len()).max().unwrap_or(0))
    }

    /// A journal is gone as a whole, or is not kept here any more.
    pub fn forget(&self, session: SessionId) {
        self.journals.lock().remove(&session);
    }
}

impl Needs {
    fn in_order(&self) -> impl Iterator<Item = &(MergedObject, ObjectUse)> {
        self.order.iter().filter_map(|number| self.merged.get(number))
    }

    fn release(&mut self, span: &IndexEntry) {
        match span.object.number {
            ObjectNumber::Flushed(seq) => {
                let is_unused = self.flushed.get_mut(&seq).is_some_and(|object| object.release(span));
                while is_unused && self.flushed.first_entry().is_some_and(|first| first.get().spans == 0) {
                    self.flushed.pop_first();
                }
            }
            ObjectNumber::Merged(number) => {
                let is_unused = self.merged.get_mut(&number).is_some_and(|(_, object)| object.release(span));
                if is_unused {
                    self.merged.remove(&number);
                    self.order.retain(|other| *other != number);
                }
            }
        }
    }
}

impl ObjectUse {
    /// An object whose batches lie there; nothing of it is needed yet.
    pub(super) fn of(mut byte_ranges: impl Iterator<Item = std::ops::Range<u64>>) -> ObjectUse {
        let Some(first) = byte_ranges.next() else { return ObjectUse::default() };
        let rest: u64 = byte_ranges.map(|range| range.end - range.start).sum();
        ObjectUse {
            bytes: first.end - first.start + rest,
            index_bytes: first.start,
            spans: 0,
            needed_bytes: 0,
        }
    }

    /// The same, with these spans needed.
    pub(super) fn needing<'a>(mut self, spans: impl Iterator<Item = &'a IndexEntry>) -> ObjectUse {
        spans.for_each(|span| self.add(span));
        self
    }
}
