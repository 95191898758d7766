//! Journal objects that no partition needs: first the metadata says what of a journal is needed, then, after a grace
//! period, the rest goes.
//!
//! `journal-starts/<session>` has one writer at a time: the session itself, then its undertaker. Each write compares the
//! revision of the one before, so that a write whose answer was lost cannot land behind a later one; if it has landed, the
//! next write is refused, and finds its value. If an ended journal's key has another value, somebody else keeps that
//! journal by now: nothing more is written or counted of it here, until it is taken over anew.

use super::error::{ArchiveError, LoadError};
use crate::journal::last_of_block;
use crate::log::NeededJournal;
use crate::meta::keys::journal_starts::{self, JournalStart};
use crate::meta::keys::{journals, sessions};
use crate::meta::{Change, Compare, Entry, Revision, Settled, Standing, Write};
use crate::store::{ObjectPath, ObjectStore, paths};
use crate::types::{MergeNumber, Moment, SessionId};
use futures_util::{StreamExt, stream};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// What of each journal was given up.
#[derive(Debug)]
pub(super) struct Journals {
    /// The session of this broker, whose journal goes on.
    own: SessionId,
    standing: Standing,
    /// Longer than any read of an object that is not needed any more.
    grace: Duration,
    journals: BTreeMap<SessionId, Start>,
    /// Ended journals that somebody else has written meanwhile.
    taken_away: Vec<SessionId>,
}

#[derive(Debug)]
struct Start {
    /// What the metadata says is needed.
    stored: JournalStart,
    /// What was written last, if it is not known whether it is stored.
    unanswered: Option<JournalStart>,
    /// Of the key; none: there is none.
    revision: Option<Revision>,
    /// All numbered objects before this were deleted.
    deleted: u64,
    /// What may go from then on.
    due: VecDeque<(Moment, Due)>,
}

/// What was given up.
#[derive(Clone, Copy, Debug)]
enum Due {
    /// The numbered objects before this one.
    Before(u64),
    /// A merged object.
    Merged(MergeNumber),
}

/// Deletions of one round.
const DELETIONS_MAX: u64 = 5_000;
const AT_ONCE: usize = 16;

impl Journals {
    /// Nothing was given up yet by this session, which is `own`. What is given up is deleted after `grace`.
    pub fn new(own: SessionId, standing: Standing, grace: Duration) -> Journals {
        Journals { own, standing, grace, journals: BTreeMap::new(), taken_away: Vec::new() }
    }

    /// An ended journal is kept here from now on: its key was written by this session, at `revision`.
    pub fn begin(&mut self, session: SessionId, stored: JournalStart, revision: Revision) {
        self.journals.insert(session, Start::of(stored, Some(revision)));
    }

    /// A journal is not kept here any more. Gives the objects that the metadata has given up, and that are there yet.
    pub fn end(&mut self, session: SessionId) -> Vec<ObjectPath> {
        let Some(start) = self.journals.remove(&session) else { return Vec::new() };
        let flushed = (start.deleted..start.stored.first).flat_map(|seq| with_index(session, seq, u64::MAX));
        let merged = start.due.iter().filter_map(|(_, due)| match due {
            Due::Merged(number) => Some(paths::merged_object(session, *number)),
            Due::Before(_) => None,
        });
        flushed.chain(merged).collect()
    }

    /// The ended journals that somebody else keeps, as was found out since the last call.
    pub fn taken_away(&mut self) -> Vec<SessionId> {
        std::mem::take(&mut self.taken_away)
    }

    /// Gives up what is not needed, and deletes what was given up long enough ago. The journal of `merging` is left as it
    /// is. Gives the sessions of which nothing is left. Where the metadata does not take it, that journal stays as it is, and
    /// is tried again by the next call.
    pub async fn advance(
        &mut self,
        now: Moment,
        needed: &[NeededJournal],
        merging: Option<SessionId>,
        store: &ObjectStore,
    ) -> Vec<SessionId> {
        let mut gone = Vec::new();
        for needed in needed.iter().filter(|needed| Some(needed.session) != merging) {
            let next = JournalStart { first: needed.first, merged: needed.merged.clone() };
            if let Err(error) = self.store(now, needed.session, next).await {
                let session = needed.session;
                tracing::warn!(%session, %error, "journal objects could not be given up, it is tried again");
                continue;
            }
            let own = self.own;
            let Some(start) = self.journals.get_mut(&needed.session) else { continue };
            start.delete(now, self.grace, needed, store).await;
            let is_over = needed.session != own && needed.first > needed.last && needed.merged.is_empty();
            if is_over && start.deleted == start.stored.first && start.due.is_empty() {
                gone.push(needed.session);
            }
        }
        gone
    }

    /// Stores what is needed of a journal, if it is not stored already; what is not needed then is given up. An error
    /// leaves open whether it is stored: see [`Journals::names`], and call again.
    pub async fn store(
        &mut self,
        now: Moment,
        session: SessionId,
        mut next: JournalStart,
    ) -> Result<(), ArchiveError> {
        let key = journal_starts::key(session);
        if !self.journals.contains_key(&session) {
            let entry = self.standing.store().get(&key).await.map_err(LoadError::from)?;
            let start = Start::read(entry.as_ref())?;
            self.journals.insert(session, start);
        }
        let Some(start) = self.journals.get_mut(&session) else { return Ok(()) };
        next.first = next.first.max(start.stored.first);
        if next == start.stored {
            return Ok(());
        }
        let compare = match start.revision {
            Some(revision) => Compare::Unchanged(key.clone(), revision),
            None => Compare::Absent(key.clone()),
        };
        let writes = vec![Write::Put(key.clone(), next.encode())];
        let change = Change { compares: vec![compare], writes, reads: vec![key], terms: Vec::new() };
        let unanswered = start.unanswered.replace(next.clone());
        match self.standing.settle(&change).await? {
            Settled::Applied(revision) => {
                start.on_stored(now + self.grace, next, revision);
                Ok(())
            }
            Settled::Refused(reads) => {
                start.unanswered = None;
                let found = reads.into_iter().next().flatten();
                let revision = found.as_ref().map(|entry| entry.mod_revision);
                let found = found.as_ref().map(JournalStart::decode).transpose().map_err(LoadError::from)?;
                if session != self.own && found != unanswered {
                    self.taken_away.push(session);
                } else if let (Some(found), Some(revision)) = (found, revision) {
                    start.on_stored(now + self.grace, found, revision);
                }
                Err(ArchiveError::Changed)
            }
        }
    }

    /// Whether the metadata has named this merged object when it was written or read last.
    pub fn names(&self, session: SessionId, number: MergeNumber) -> bool {
        let start = self.journals.get(&session);
        start.is_some_and(|start| start.stored.merged.iter().any(|merged| merged.number == number))
    }

    /// An ended journal of which no object is left is forgotten.
    pub async fn forget(&mut self, session: SessionId) -> Result<(), ArchiveError> {
        let writes = vec![
            Write::Delete(journals::key(session)),
            Write::Delete(journal_starts::key(session)),
            Write::Delete(sessions::key(session)),
        ];
        let change = Change { compares: Vec::new(), writes, reads: Vec::new(), terms: Vec::new() };
        match self.standing.settle(&change).await? {
            Settled::Applied(_) => {
                self.journals.remove(&session);
                Ok(())
            }
            Settled::Refused(_) => Err(ArchiveError::Changed),
        }
    }
}

impl Start {
    fn read(entry: Option<&Entry>) -> Result<Start, ArchiveError> {
        let stored = entry.map(JournalStart::decode).transpose().map_err(LoadError::from)?;
        Ok(Start::of(stored.unwrap_or_default(), entry.map(|entry| entry.mod_revision)))
    }

    /// What is before it was given up by somebody else; it is looked for where a journal begins to be kept.
    fn of(stored: JournalStart, revision: Option<Revision>) -> Start {
        Start { deleted: stored.first, stored, unanswered: None, revision, due: VecDeque::new() }
    }

    fn on_stored(&mut self, due: Moment, next: JournalStart, revision: Revision) {
        if next.first > self.stored.first {
            self.due.push_back((due, Due::Before(next.first)));
        }
        let is_left = |number| next.merged.iter().any(|merged| merged.number == number);
        let dropped = self.stored.merged.iter().map(|merged| merged.number);
        let dropped = dropped.filter(|number| !is_left(*number));
        self.due.extend(dropped.map(|number| (due, Due::Merged(number))));
        self.stored = next;
        self.unanswered = None;
        self.revision = Some(revision);
    }

    /// Deletes what is due. What cannot be deleted is tried again.
    async fn delete(&mut self, now: Moment, grace: Duration, needed: &NeededJournal, store: &ObjectStore) {
        let session = needed.session;
        let (mut until, mut merged) = (self.deleted, Vec::new());
        while let Some((_, due)) = self.due.front().filter(|(at, _)| *at <= now) {
            match *due {
                Due::Before(seq) => {
                    // Whatever the metadata says: not what is read from here.
                    let end = seq.min(needed.first).min(self.deleted + DELETIONS_MAX);
                    until = until.max(end);
                    if end < seq {
                        break;
                    }
                }
                Due::Merged(number) => merged.push(number),
            }
            self.due.pop_front();
        }
        let flushed = (self.deleted..until).flat_map(|seq| with_index(session, seq, needed.last)).collect();
        if delete_all(store, flushed).await.is_empty() {
            self.deleted = until;
        } else {
            self.due.push_front((now + grace, Due::Before(until)));
        }
        let path = |number: &MergeNumber| paths::merged_object(session, *number);
        let failed = delete_all(store, merged.iter().map(path).collect()).await;
        let failed = merged.iter().filter(|number| failed.contains(&path(number)));
        self.due.extend(failed.map(|number| (now + grace, Due::Merged(*number))));
    }
}

/// A numbered object; with the last of a block, or of all that there are, goes what tells of the block.
fn with_index(session: SessionId, seq: u64, last: u64) -> impl Iterator<Item = ObjectPath> {
    let end = last_of_block(seq);
    let index = (seq == end || seq == last).then(|| paths::index_object(session, end));
    [paths::journal_object(session, seq)].into_iter().chain(index)
}

/// Deletes objects; those that could not be.
async fn delete_all(store: &ObjectStore, objects: Vec<ObjectPath>) -> Vec<ObjectPath> {
    let deletions = stream::iter(objects).map(async |object| (store.delete(&object).await, object));
    let mut deletions = deletions.buffer_unordered(AT_ONCE);
    let mut failed = Vec::new();
    while let Some((deleted, object)) = deletions.next().await {
        if let Err(error) = deleted {
            tracing::warn!(%object, %error, "a journal object could not be deleted, it is tried again");
            failed.push(object);
        }
    }
    failed
}
