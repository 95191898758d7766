//! One run of a broker, as the metadata store knows it: its standing, and the key that its commits write.
//!
//! Joining is one transaction: it seals the earlier sessions of this broker id, makes the next view, and
//! registers the new session, which has led nothing yet and has so acknowledged that view.

use super::committer::CommitOutcome;
use super::proposal::Base;
use super::recovery::RecoveryError;
use crate::clock;
use crate::cluster::{Change, NoNextView};
use crate::hashing::HashMap;
use crate::meta::keys::journal_starts::JournalStart;
use crate::meta::keys::sessions::Session;
use crate::meta::keys::view::{Member, View};
use crate::meta::keys::{DecodeKeyError, journal_starts, journals, sessions, view};
use crate::meta::{
    Compare, Durability, MetadataError, MetadataStore, Revision, Standing, Transaction, TransactionAnswer,
    Write,
};
use crate::planted::{self, Mistake};
use crate::store::ObjectStore;
use crate::types::{BrokerId, SessionId, Timestamp, ViewNumber};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// A registered session.
#[derive(Debug)]
pub struct BrokerSession {
    id: SessionId,
    /// What it says of itself, with the newest view that it has acknowledged.
    about: Session,
    /// The view that it joined with.
    joined: Arc<View>,
    store: Arc<dyn MetadataStore>,
    standing: Standing,
    committed: u64,
    journal_revision: Revision,
    /// The revision of the newest view that a commit has met.
    met: Arc<watch::Sender<Revision>>,
    joined_at: Revision,
}

/// Who joins.
#[derive(Clone, Debug)]
pub struct Joining {
    /// The new session's id, never used before.
    pub session_id: SessionId,
    /// What it says of itself. The view that it has acknowledged is filled in.
    pub about: Session,
}

impl Joining {
    /// A broker of weight 1 that tells no addresses.
    #[must_use]
    pub fn new(session_id: SessionId, broker_id: BrokerId, now: Timestamp) -> Joining {
        Joining { session_id, about: Session::new(broker_id, ViewNumber(0), now.get()) }
    }

    /// As a view names it.
    #[must_use]
    pub fn member(&self) -> Member {
        let Session { broker_id, zone, weight, .. } = &self.about;
        Member { session: self.session_id, broker_id: *broker_id, zone: zone.clone(), weight: *weight }
    }
}

/// A journal that nobody writes any more, or one that goes on, up to what it had committed at some moment.
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
    /// Other sessions joined at the same moment, again and again, or the view allows nobody to join.
    #[error("no view could be made with this broker in it, again and again ({0}); start it again")]
    Contended(String),
}

const JOIN_ATTEMPTS: u32 = 60;
/// A session that no longer stands and whose journal has no end is read again so often: it may just have been sealed.
const LOST_LOOKS: u32 = 5;
/// Between attempts, so that others get on with what they do.
const JOIN_PAUSE: Duration = Duration::from_millis(50);
const JOIN_PAUSE_MAX: Duration = Duration::from_millis(500);

impl BrokerSession {
    /// This session's id.
    #[must_use]
    pub fn id(&self) -> SessionId {
        self.id
    }

    /// The view that it joined with.
    #[must_use]
    pub fn view(&self) -> ViewNumber {
        self.joined.number
    }

    /// The view that it joined with, and the revision that wrote it: that of its standing, too.
    #[must_use]
    pub fn joined(&self) -> (Arc<View>, Revision) {
        (Arc::clone(&self.joined), self.joined_at)
    }

    /// Tells the revision of the newest view that a commit of this session has met.
    #[must_use]
    pub fn met(&self) -> watch::Receiver<Revision> {
        self.met.subscribe()
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
    /// Seals the earlier sessions of this broker, and registers a new one in the next view. Where this process is the only
    /// writer, all earlier sessions are sealed.
    pub async fn join(
        metadata: &Arc<dyn MetadataStore>,
        store: &ObjectStore,
        mut joining: Joining,
    ) -> Result<BrokerSession, SessionError> {
        let (mut pause, mut lost_looks, mut why) = (JOIN_PAUSE, 0, "others came first".to_owned());
        for attempt in 0..JOIN_ATTEMPTS {
            if attempt > 0 {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(JOIN_PAUSE_MAX);
            }
            let base = Base::read(metadata.as_ref()).await?;
            if let Some(lost) = base.lost()? {
                lost_looks += 1;
                if lost_looks == LOST_LOOKS {
                    return Err(SessionError::Lost(lost));
                }
                continue;
            }
            match joining.attempt(metadata, store, &base).await? {
                Attempt::Joined(session) => return Ok(session),
                Attempt::Again => {}
                Attempt::NotNow(none) => why = none.to_string(),
                // If it was made, the next attempt finds it as one more earlier session, and seals it.
                Attempt::Unknown => joining.session_id = SessionId(clock::random_id()),
            }
        }
        Err(SessionError::Contended(why))
    }

    /// Commits the journal up to `last`, and acknowledges a view with it if one is given: then the standing is rewritten, and
    /// nothing that was sent before can land after. An error means that the outcome is not known: call again with
    /// the same numbers or greater ones.
    pub(super) async fn commit_journal(
        &mut self,
        last: u64,
        ack: Option<ViewNumber>,
    ) -> Result<CommitOutcome, MetadataError> {
        let key = journals::key(self.id);
        let value = journals::Journal { committed: last, final_seq: None };
        let sole = self.store.sole_writer();
        let is_deferred = sole && ack.is_none();
        let mut transaction = Transaction {
            compares: vec![self.standing.compare(), Compare::Unchanged(key.clone(), self.journal_revision)],
            writes: vec![Write::Put(key.clone(), value.encode())],
            reads: vec![self.standing.key().to_owned(), key],
            durability: if is_deferred { Durability::Deferred } else { Durability::Immediate },
        };
        if planted::is_planted(Mistake::SkipCompare) {
            transaction.compares.clear();
        }
        if !sole {
            // A broker that commits cannot miss a view.
            transaction.reads.push(view::KEY.to_owned());
        }
        if let Some(view) = ack {
            let about = Session { acked_view: view, ..self.about.clone() };
            transaction.writes.push(Write::Put(self.standing.key().to_owned(), about.encode()));
        }
        let answer = self.store.transact(transaction).await?;
        if let Some(Some(view)) = answer.reads.get(2) {
            let newest = view.mod_revision;
            self.met.send_if_modified(|met| std::mem::replace(met, newest.max(*met)) < newest);
        }
        if answer.applied {
            self.committed = last;
            self.journal_revision = answer.revision;
            if let Some(view) = ack {
                self.about.acked_view = view;
                self.standing.on_rewritten(answer.revision);
            }
            return Ok(CommitOutcome::Committed);
        }
        self.settle(last, ack, &answer)
    }

    /// The newest view that it has acknowledged.
    pub(super) fn acked_view(&self) -> ViewNumber {
        self.about.acked_view
    }

    /// The compare failed: sealed, or an attempt before this one was made after all.
    fn settle(
        &mut self,
        last: u64,
        ack: Option<ViewNumber>,
        answer: &TransactionAnswer,
    ) -> Result<CommitOutcome, MetadataError> {
        let [standing, journal, ..] = answer.reads.as_slice() else {
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
            // Another writer of this session has rewritten it and may not have learned so; or this one has, with an
            // acknowledgement whose answer was lost.
            let about =
                Session::decode(standing).map_err(|error| MetadataError::Unknown(error.to_string()))?;
            self.about.acked_view = about.acked_view;
            self.standing.on_rewritten(standing.mod_revision);
        }
        self.journal_revision = entry.mod_revision;
        self.committed = stored.committed;
        if stored.committed >= last && ack.is_none_or(|view| self.about.acked_view >= view) {
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

/// What became of one attempt to join.
enum Attempt {
    Joined(BrokerSession),
    /// Others came first.
    Again,
    NotNow(NoNextView),
    Unknown,
}

impl Joining {
    async fn attempt(
        &mut self,
        metadata: &Arc<dyn MetadataStore>,
        store: &ObjectStore,
        base: &Base,
    ) -> Result<Attempt, SessionError> {
        let mut changes = vec![Change::Join(self.member())];
        if metadata.sole_writer() {
            changes.extend(base.standings().sessions.keys().map(|session| Change::Seal(*session)));
        }
        let mut proposal = match base.propose(metadata.as_ref(), store, &changes, None).await? {
            Ok(proposal) => proposal,
            Err(none) => return Ok(Attempt::NotNow(none)),
        };
        let view = proposal.view.clone();
        if !view.members.iter().any(|member| member.session == self.session_id) {
            // There were more sessions of this broker than one transaction seals.
            let _made = proposal.make(metadata.as_ref()).await?;
            return Ok(Attempt::Again);
        }
        self.about.acked_view = view.number;
        let (session_key, journal_key) = (sessions::key(self.session_id), journals::key(self.session_id));
        let transaction = &mut proposal.transaction;
        transaction.compares.push(Compare::Absent(session_key.clone()));
        transaction.compares.push(Compare::Absent(journal_key.clone()));
        transaction.writes.push(Write::Put(session_key.clone(), self.about.encode()));
        transaction.writes.push(Write::Put(journal_key, journals::Journal::default().encode()));
        match metadata.transact(proposal.transaction).await {
            Ok(answer) if answer.applied => {
                let standing = Standing::new(Arc::clone(metadata), session_key, answer.revision);
                Ok(Attempt::Joined(BrokerSession {
                    id: self.session_id,
                    about: self.about.clone(),
                    joined: Arc::new(view),
                    store: Arc::clone(metadata),
                    standing,
                    committed: 0,
                    journal_revision: answer.revision,
                    met: Arc::new(watch::Sender::new(answer.revision)),
                    joined_at: answer.revision,
                }))
            }
            Ok(_) => Ok(Attempt::Again),
            Err(MetadataError::Unknown(_)) => Ok(Attempt::Unknown),
            Err(error) => Err(error.into()),
        }
    }
}

/// All journals up to what they have committed, what of each is needed, and whether it has ended.
///
/// Starts are read before the ends: one that moves meanwhile names objects that stay for their grace period, and a
/// journal that is forgotten meanwhile is not listed. The other way round its start would be missing, and all its objects
/// would be looked for.
pub async fn read_journals(metadata: &dyn MetadataStore) -> Result<Vec<(EndedJournal, bool)>, SessionError> {
    let mut starts = HashMap::default();
    for entry in metadata.list(journal_starts::PREFIX).await?.entries {
        let Some(session) = journal_starts::session_of(&entry.key) else {
            return Err(SessionError::UnknownKey(entry.key));
        };
        starts.insert(session, JournalStart::decode(&entry)?);
    }
    let mut all = Vec::new();
    for entry in metadata.list(journals::PREFIX).await?.entries {
        let journal = journals::Journal::decode(&entry)?;
        let Some(session) = journals::session_of(&entry.key) else {
            return Err(SessionError::UnknownKey(entry.key));
        };
        let start = starts.remove(&session).unwrap_or_default();
        let final_seq = journal.final_seq.unwrap_or(journal.committed);
        all.push((EndedJournal { session, start, final_seq }, journal.final_seq.is_some()));
    }
    Ok(all)
}

/// The journals that have ended, and what of each is needed.
#[cfg(test)]
pub(crate) async fn ended_journals(metadata: &dyn MetadataStore) -> Vec<EndedJournal> {
    let all = read_journals(metadata).await.expect("can be read");
    all.into_iter().filter(|(_, has_ended)| *has_ended).map(|(journal, _)| journal).collect()
}
