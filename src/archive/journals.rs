//! Journal objects that no partition needs: first the metadata says from where on a journal is needed, then, after a
//! grace period, the objects before that go.

use super::error::ArchiveError;
use super::graveyard::GRACE;
use crate::log::NeededFrom;
use crate::meta::keys::{journal_starts, journals, sessions};
use crate::meta::{Change, Settled, Standing, Write};
use crate::store::{ObjectStore, paths};
use crate::types::{Moment, SessionId};
use futures_util::{StreamExt, stream};
use std::collections::{BTreeMap, VecDeque};

/// What of each journal was given up.
#[derive(Debug)]
pub(super) struct Journals {
    /// The session of this broker, whose journal goes on.
    own: SessionId,
    journals: BTreeMap<SessionId, Start>,
}

#[derive(Debug, Default)]
struct Start {
    /// The first object that the metadata says is needed.
    stored: u64,
    /// Everything before this was deleted.
    deleted: u64,
    /// Objects up to there may go from then on.
    due: VecDeque<(Moment, u64)>,
}

/// Deletions of one round.
const DELETIONS_MAX: u64 = 5_000;
const AT_ONCE: usize = 16;

impl Journals {
    /// Journals with their starts, as the metadata has them.
    pub fn new(own: SessionId, starts: &BTreeMap<SessionId, u64>) -> Journals {
        let start = |first: u64| Start { stored: first, deleted: first, due: VecDeque::new() };
        let journals = starts.iter().map(|(session, first)| (*session, start(*first)));
        Journals { own, journals: journals.collect() }
    }

    /// Gives up what is not needed, and deletes what was given up long enough ago. Sessions that are given up as a whole.
    pub async fn advance(
        &mut self,
        now: Moment,
        needed: &[NeededFrom],
        standing: &Standing,
        store: &ObjectStore,
    ) -> Result<Vec<SessionId>, ArchiveError> {
        let mut gone = Vec::new();
        for needed in needed {
            let start = self.journals.entry(needed.session).or_insert(Start {
                stored: 1,
                deleted: 1,
                due: VecDeque::new(),
            });
            if needed.seq > start.stored {
                let write = Write::Put(
                    journal_starts::key(needed.session),
                    journal_starts::JournalStart { first: needed.seq }.encode(),
                );
                settle(standing, vec![write]).await?;
                start.stored = needed.seq;
                start.due.push_back((now + GRACE, needed.seq));
            }
            start.delete(now, needed.session, store).await;
            let is_over = needed.session != self.own && needed.seq > needed.last;
            if is_over && start.deleted == start.stored && start.due.is_empty() {
                gone.push(needed.session);
            }
        }
        Ok(gone)
    }

    /// An ended journal of which no object is left is forgotten.
    pub async fn forget(&mut self, session: SessionId, standing: &Standing) -> Result<(), ArchiveError> {
        let writes = vec![
            Write::Delete(journals::key(session)),
            Write::Delete(journal_starts::key(session)),
            Write::Delete(sessions::key(session)),
        ];
        settle(standing, writes).await?;
        self.journals.remove(&session);
        Ok(())
    }
}

impl Start {
    async fn delete(&mut self, now: Moment, session: SessionId, store: &ObjectStore) {
        let mut until = self.deleted;
        while let Some((_, seq)) = self.due.front().filter(|(at, _)| *at <= now) {
            let end = (*seq).min(self.deleted + DELETIONS_MAX);
            until = until.max(end);
            if end < *seq {
                break;
            }
            self.due.pop_front();
        }
        let objects = (self.deleted..until).map(|seq| paths::journal_object(session, seq));
        let deletions = stream::iter(objects).map(async |object| (store.delete(&object).await, object));
        let mut deletions = deletions.buffer_unordered(AT_ONCE);
        let mut failed = false;
        while let Some((deleted, object)) = deletions.next().await {
            if let Err(error) = deleted {
                tracing::warn!(%object, %error, "a journal object could not be deleted, it is tried again");
                failed = true;
            }
        }
        if failed {
            self.due.push_front((now + GRACE, until));
        } else {
            self.deleted = until;
        }
    }
}

async fn settle(standing: &Standing, writes: Vec<Write>) -> Result<(), ArchiveError> {
    let change = Change { compares: Vec::new(), writes, reads: Vec::new() };
    match standing.settle(&change).await? {
        Settled::Applied(_) => Ok(()),
        Settled::Refused(_) => Err(ArchiveError::Changed),
    }
}
