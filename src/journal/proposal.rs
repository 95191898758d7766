//! A view to be proposed, with the sessions that it seals: what it is based on, and the one transaction that makes it.
//!
//! The transaction compares the view and, of every session that it seals, standing and journal key; it removes the standing
//! and writes the journal's final number. So of two proposals one is made, and of two sessions that seal each other one wins.

use super::recovery::{RecoveryError, find_end};
use super::session::SessionError;
use crate::cluster::{Change, NextView, NoNextView, Stand, Standings, ViewBounds, next_view};
use crate::meta::keys::sessions::Session;
use crate::meta::keys::view::View;
use crate::meta::keys::{journals, sessions, view};
use crate::meta::{Compare, Entry, MetadataError, MetadataStore, Revision, Standing, Transaction, Write};
use crate::store::ObjectStore;
use crate::types::{SessionId, ViewNumber};
use std::collections::BTreeMap;

/// What a proposal is based on: the view, and the standings and journals as they were at or after it.
#[derive(Debug)]
pub struct Base {
    seen: Option<Entry>,
    view: View,
    standings: BTreeMap<SessionId, Entry>,
    known: Standings,
    journals: BTreeMap<SessionId, Entry>,
}

/// A view that may be made.
#[derive(Debug)]
pub struct Proposal {
    /// The view.
    pub view: View,
    /// Whom it seals.
    pub seals: Vec<SessionId>,
    pub(super) transaction: Transaction,
}

/// What became of a proposal that was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proposed {
    /// It is the view now.
    Made(Revision),
    /// Something it compares has changed: look again.
    Changed,
}

impl Base {
    /// Reads it.
    pub async fn read(metadata: &dyn MetadataStore) -> Result<Base, SessionError> {
        // In this order: a session may be a member only if its standing was there before, and standings that are listed
        // later than the view lack only those that were sealed.
        let seen = metadata.get(view::KEY).await?;
        let journals = metadata.list(journals::PREFIX).await?;
        let standings = metadata.list(sessions::PREFIX).await?;
        let view = seen.as_ref().map(View::decode).transpose()?;
        let mut base = Base {
            seen,
            view: view.unwrap_or_else(|| View::new(ViewNumber(0), Vec::new())),
            standings: BTreeMap::new(),
            known: Standings { as_of: standings.revision, sessions: BTreeMap::new() },
            journals: BTreeMap::new(),
        };
        for entry in standings.entries {
            let Some(session) = sessions::session_of(&entry.key) else {
                return Err(SessionError::UnknownKey(entry.key));
            };
            let Session { broker_id, acked_view, .. } = Session::decode(&entry)?;
            base.known.sessions.insert(session, Stand { broker_id, acked_view });
            base.standings.insert(session, entry);
        }
        for entry in journals.entries {
            let Some(session) = journals::session_of(&entry.key) else {
                return Err(SessionError::UnknownKey(entry.key));
            };
            base.journals.insert(session, entry);
        }
        Ok(base)
    }

    /// The view that is.
    #[must_use]
    pub fn view(&self) -> &View {
        &self.view
    }

    /// Who stands.
    #[must_use]
    pub fn standings(&self) -> &Standings {
        &self.known
    }

    /// A session whose journal has no end although it does not stand, in this reading; a session that was sealed meanwhile
    /// looks the same.
    pub(super) fn lost(&self) -> Result<Option<SessionId>, SessionError> {
        for (session, entry) in &self.journals {
            let is_open = journals::Journal::decode(entry)?.final_seq.is_none();
            if is_open && !self.standings.contains_key(session) {
                return Ok(Some(*session));
            }
        }
        Ok(None)
    }

    /// The next view after these changes. `by` is the standing of the session that proposes; none: it is only joining.
    pub async fn propose(
        &self,
        metadata: &dyn MetadataStore,
        store: &ObjectStore,
        changes: &[Change],
        by: Option<&Standing>,
    ) -> Result<Result<Proposal, NoNextView>, SessionError> {
        let revision = self.seen.as_ref().map_or(Revision(0), |seen| seen.mod_revision);
        let next = next_view((&self.view, revision), &self.known, changes, &ViewBounds::default());
        let NextView { view, seals } = match next {
            Ok(next) => next,
            Err(none) => return Ok(Err(none)),
        };
        let seen = match &self.seen {
            Some(entry) => Compare::Unchanged(view::KEY.to_owned(), entry.mod_revision),
            None => Compare::Absent(view::KEY.to_owned()),
        };
        let mut transaction = Transaction {
            compares: vec![seen],
            writes: vec![Write::Put(view::KEY.to_owned(), view.encode())],
            ..Transaction::default()
        };
        if let Some(standing) = by {
            let own = standing.compare();
            // Who seals itself compares its standing as everyone's.
            if !seals.iter().any(|session| sessions::key(*session) == own.key()) {
                transaction.compares.push(own);
            }
        }
        for session in &seals {
            self.seal(metadata, store, *session, &mut transaction).await?;
        }
        Ok(Ok(Proposal { view, seals, transaction }))
    }

    /// The end of a session that is in no view that matters: its standing goes, and its journal gets its end. Nothing to do
    /// if it does not stand.
    pub async fn retire(
        &self,
        metadata: &dyn MetadataStore,
        store: &ObjectStore,
        session: SessionId,
    ) -> Result<(), SessionError> {
        let mut transaction = Transaction::default();
        self.seal(metadata, store, session, &mut transaction).await?;
        if !transaction.writes.is_empty() {
            // If something has changed meanwhile it stands on, and is sealed by whoever minds.
            let _answer = metadata.transact(transaction).await?;
        }
        Ok(())
    }

    async fn seal(
        &self,
        metadata: &dyn MetadataStore,
        store: &ObjectStore,
        session: SessionId,
        transaction: &mut Transaction,
    ) -> Result<(), SessionError> {
        let Some(standing) = self.standings.get(&session) else { return Ok(()) };
        transaction.compares.push(Compare::Unchanged(standing.key.clone(), standing.mod_revision));
        transaction.writes.push(Write::Delete(standing.key.clone()));
        // A session registers its journal with its standing, and the key outlives it.
        let Some(journal) = self.journals.get(&session) else { return Ok(()) };
        let committed = journals::Journal::decode(journal)?.committed;
        let end: Result<u64, RecoveryError> =
            find_end(store, metadata.sole_writer(), session, committed).await;
        let end = end?;
        let ended = journals::Journal { committed: end, final_seq: Some(end) };
        transaction.compares.push(Compare::Unchanged(journal.key.clone(), journal.mod_revision));
        transaction.writes.push(Write::Put(journal.key.clone(), ended.encode()));
        Ok(())
    }
}

impl Proposal {
    /// Makes it the view, if nothing that it is based on has changed. Without an answer it may have been made: read again.
    pub async fn make(self, metadata: &dyn MetadataStore) -> Result<Proposed, MetadataError> {
        let answer = metadata.transact(self.transaction).await?;
        Ok(if answer.applied { Proposed::Made(answer.revision) } else { Proposed::Changed })
    }
}
