//! One run of a broker, as the metadata store knows it: its standing, and the key that its commits write.
//!
//! Joining is one transaction: it seals the earlier sessions of this broker id, makes the next view, and
//! registers the new session, which has led nothing yet.

use super::committer::CommitOutcome;
use super::recovery::{RecoveryError, find_end};
use crate::clock;
use crate::meta::keys::journal_starts::JournalStart;
use crate::meta::keys::sessions::Session;
use crate::meta::keys::view::{Member, View};
use crate::meta::keys::{DecodeKeyError, journal_starts, journals, sessions, view};
use crate::meta::{
    Compare, Durability, Entry, MetadataError, MetadataStore, Revision, Standing, Transaction,
    TransactionAnswer, Write,
};
use crate::store::ObjectStore;
use crate::types::{BrokerId, SessionId, Timestamp, ViewNumber};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// A registered session.
#[derive(Debug)]
pub struct BrokerSession {
    id: SessionId,
    view: ViewNumber,
    store: Arc<dyn MetadataStore>,
    standing: Standing,
    committed: u64,
    journal_revision: Revision,
}

/// Who joins.
#[derive(Clone, Copy, Debug)]
pub struct Joining {
    /// The new session's id, never used before.
    pub session_id: SessionId,
    /// The broker's.
    pub broker_id: BrokerId,
    /// Now.
    pub now: Timestamp,
}

/// A journal that nobody writes any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndedJournal {
    /// Whose it was.
    pub session: SessionId,
    /// What of it is needed; the rest may be gone.
    pub start: JournalStart,
    /// Its last numbered object; 0 if it has none.
    pub final_seq: u64,
}

/// Why a session could not begin.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The metadata store did not answer, or refused.
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    /// A value in the metadata store cannot be read.
    #[error(transparent)]
    Unreadable(#[from] DecodeKeyError),
    /// A key among the journals' that names no session.
    #[error("the metadata store has the key \"{0}\", which names no session")]
    UnknownKey(String),
    /// A session is gone and its journal has no end: its records would be passed over.
    #[error("the metadata store has no end of the journal of session {0}, which no longer stands")]
    Lost(SessionId),
    /// The end of an earlier journal cannot be found.
    #[error(transparent)]
    Recovery(#[from] RecoveryError),
    /// Other sessions joined at the same moment, again and again.
    #[error("other brokers joined at the same moment, again and again; start this one again")]
    Contended,
}

const JOIN_ATTEMPTS: usize = 16;

impl BrokerSession {
    /// This session's id.
    #[must_use]
    pub fn id(&self) -> SessionId {
        self.id
    }

    /// The view in which it began to serve.
    #[must_use]
    pub fn view(&self) -> ViewNumber {
        self.view
    }

    /// Its right to write.
    #[must_use]
    pub fn standing(&self) -> &Standing {
        &self.standing
    }

    pub(super) fn committed(&self) -> u64 {
        self.committed
    }
}

impl BrokerSession {
    /// Seals the earlier sessions of this broker, and registers a new one in the next view. Also returns the
    /// journals that have ended, in no particular order.
    pub async fn join(
        metadata: &Arc<dyn MetadataStore>,
        store: &ObjectStore,
        mut joining: Joining,
    ) -> Result<(BrokerSession, Vec<EndedJournal>), SessionError> {
        for _ in 0..JOIN_ATTEMPTS {
            let plan = JoinPlan::read(metadata.as_ref(), store, joining).await?;
            let answer = match metadata.transact(plan.transaction()).await {
                Ok(answer) if answer.applied => answer,
                Ok(_) => continue,
                // If it was made, the next attempt finds it as one more earlier session, and seals it.
                Err(MetadataError::Unknown(_)) => {
                    joining.session_id = SessionId(clock::random_id());
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            let (session, mut ended) = plan.joined(metadata, answer.revision);
            read_starts(metadata.as_ref(), &mut ended).await?;
            return Ok((session, ended));
        }
        Err(SessionError::Contended)
    }

    /// Commits the journal up to `last`. An error means that the outcome is not known: call again with the
    /// same or a greater number.
    pub(super) async fn commit_journal(&mut self, last: u64) -> Result<CommitOutcome, MetadataError> {
        let key = journals::key(self.id);
        let value = journals::Journal { committed: last, final_seq: None };
        let durability = if self.store.sole_writer() { Durability::Deferred } else { Durability::Immediate };
        let transaction = Transaction {
            compares: vec![self.standing.compare(), Compare::Unchanged(key.clone(), self.journal_revision)],
            writes: vec![Write::Put(key.clone(), value.encode())],
            reads: vec![self.standing.key().to_owned(), key],
            durability,
        };
        let answer = self.store.transact(transaction).await?;
        if answer.applied {
            self.committed = last;
            self.journal_revision = answer.revision;
            return Ok(CommitOutcome::Committed);
        }
        self.settle(last, &answer)
    }

    /// The compare failed: sealed, or an attempt before this one was made after all.
    fn settle(&mut self, last: u64, answer: &TransactionAnswer) -> Result<CommitOutcome, MetadataError> {
        let [standing, journal] = answer.reads.as_slice() else {
            return Err(MetadataError::Unknown("the answer lacks what was read".to_owned()));
        };
        let entry =
            journal.as_ref().ok_or_else(|| MetadataError::Unknown("the journal key is gone".to_owned()))?;
        let stored =
            journals::Journal::decode(entry).map_err(|error| MetadataError::Unknown(error.to_string()))?;
        if self.standing.judge(standing.as_ref()).is_err() {
            return Ok(CommitOutcome::Sealed { final_seq: stored.final_seq.unwrap_or(stored.committed) });
        }
        if let Some(standing) = standing {
            // Another writer of this session has rewritten it and may not have learned so.
            self.standing.on_rewritten(standing.mod_revision);
        }
        self.journal_revision = entry.mod_revision;
        self.committed = stored.committed;
        if stored.committed >= last {
            return Ok(CommitOutcome::Committed);
        }
        Err(MetadataError::Unknown("the journal key had changed".to_owned()))
    }

    /// Makes the commits durable that recovery would otherwise have to find.
    pub(super) async fn sync_journal(&mut self) -> Result<(), MetadataError> {
        if !self.store.sole_writer() {
            return Ok(());
        }
        let key = journals::key(self.id);
        let value = journals::Journal { committed: self.committed, final_seq: None };
        let transaction = Transaction {
            compares: vec![self.standing.compare(), Compare::Unchanged(key.clone(), self.journal_revision)],
            writes: vec![Write::Put(key, value.encode())],
            ..Transaction::default()
        };
        let answer = self.store.transact(transaction).await?;
        if answer.applied {
            self.journal_revision = answer.revision;
        }
        Ok(())
    }
}

/// What a join compares and writes.
struct JoinPlan {
    joining: Joining,
    view: View,
    seen_view: Compare,
    /// Sessions to seal, with the ends of their journals.
    sealed: Vec<(Entry, Entry, EndedJournal)>,
    ended_before: Vec<EndedJournal>,
}

impl JoinPlan {
    async fn read(
        metadata: &dyn MetadataStore,
        store: &ObjectStore,
        joining: Joining,
    ) -> Result<JoinPlan, SessionError> {
        let standing = metadata.list(sessions::PREFIX).await?;
        let journals = metadata.list(journals::PREFIX).await?;
        let seen = metadata.get(view::KEY).await?;
        let before = seen.as_ref().map(View::decode).transpose()?;
        let member = Member::new(joining.session_id, joining.broker_id);
        let number = before.map_or(0, |view| view.number.0) + 1;
        let mut plan = JoinPlan {
            joining,
            view: View::new(ViewNumber(number), vec![member]),
            seen_view: compare_of(view::KEY, seen.as_ref()),
            sealed: Vec::new(),
            ended_before: Vec::new(),
        };
        for entry in journals.entries {
            let journal = journals::Journal::decode(&entry)?;
            let Some(session) = journals::session_of(&entry.key) else {
                return Err(SessionError::UnknownKey(entry.key));
            };
            let start = JournalStart::default();
            if let Some(final_seq) = journal.final_seq {
                plan.ended_before.push(EndedJournal { session, start, final_seq });
                continue;
            }
            let key = sessions::key(session);
            let Some(standing) = standing.entries.iter().find(|standing| standing.key == key) else {
                return Err(SessionError::Lost(session));
            };
            let final_seq = find_end(store, metadata.sole_writer(), session, journal.committed).await?;
            plan.sealed.push((standing.clone(), entry, EndedJournal { session, start, final_seq }));
        }
        Ok(plan)
    }

    fn transaction(&self) -> Transaction {
        let (session_key, journal_key) = self.keys();
        let session = Session::new(self.joining.broker_id, self.view.number, self.joining.now.get());
        let mut transaction = Transaction {
            compares: vec![
                self.seen_view.clone(),
                Compare::Absent(session_key.clone()),
                Compare::Absent(journal_key.clone()),
            ],
            writes: vec![
                Write::Put(view::KEY.to_owned(), self.view.encode()),
                Write::Put(session_key, session.encode()),
                Write::Put(journal_key, journals::Journal::default().encode()),
            ],
            ..Transaction::default()
        };
        for (standing, journal, ended) in &self.sealed {
            let end = journals::Journal { committed: ended.final_seq, final_seq: Some(ended.final_seq) };
            transaction.compares.push(Compare::Unchanged(standing.key.clone(), standing.mod_revision));
            transaction.compares.push(Compare::Unchanged(journal.key.clone(), journal.mod_revision));
            transaction.writes.push(Write::Delete(standing.key.clone()));
            transaction.writes.push(Write::Put(journal.key.clone(), end.encode()));
        }
        transaction
    }

    fn keys(&self) -> (String, String) {
        (sessions::key(self.joining.session_id), journals::key(self.joining.session_id))
    }

    fn joined(
        self,
        metadata: &Arc<dyn MetadataStore>,
        revision: Revision,
    ) -> (BrokerSession, Vec<EndedJournal>) {
        let standing = Standing::new(Arc::clone(metadata), self.keys().0, revision);
        let session = BrokerSession {
            id: self.joining.session_id,
            view: self.view.number,
            store: Arc::clone(metadata),
            standing,
            committed: 0,
            journal_revision: revision,
        };
        let sealed = self.sealed.into_iter().map(|(_, _, ended)| ended);
        (session, self.ended_before.into_iter().chain(sealed).collect())
    }
}

/// What of each journal is needed, and which of them are. Read when those are sealed who might change it: one that gave up
/// objects or merged them while this session joined has made an earlier answer wrong.
async fn read_starts(
    metadata: &dyn MetadataStore,
    ended: &mut Vec<EndedJournal>,
) -> Result<(), SessionError> {
    let journals = metadata.list(journals::PREFIX).await?.entries;
    let left: HashSet<_> = journals.iter().filter_map(|entry| journals::session_of(&entry.key)).collect();
    ended.retain(|journal| left.contains(&journal.session));
    let mut starts = HashMap::new();
    for entry in metadata.list(journal_starts::PREFIX).await?.entries {
        let Some(session) = journal_starts::session_of(&entry.key) else {
            return Err(SessionError::UnknownKey(entry.key));
        };
        starts.insert(session, JournalStart::decode(&entry)?);
    }
    for journal in ended {
        journal.start = starts.remove(&journal.session).unwrap_or_default();
    }
    Ok(())
}

fn compare_of(key: &str, seen: Option<&Entry>) -> Compare {
    match seen {
        Some(entry) => Compare::Unchanged(key.to_owned(), entry.mod_revision),
        None => Compare::Absent(key.to_owned()),
    }
}
