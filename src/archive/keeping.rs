//! How a broker comes to keep the journal of an ended session: it is the session's undertaker in the newest view.
//!
//! ```text
//! journals/, journal-starts/ ─▶ list its objects ─▶ read the index of each that is needed ─▶ claim ─▶ count, release
//!      ▲                                                                                       │
//!      └────────────────── somebody else has written it: begin again ◀────────────────────────┘
//! ```
//!
//! *Claim*: the key `journal-starts/<session>` is written again as it was read, if nobody has written it since. So what was
//! read is still what is there, and whoever kept the journal before can write nothing of it any more: its next write
//! compares a revision that is gone, and it learns that it keeps it no longer. Two undertakers at once, as two views may
//! have it, are safe for that reason; each deletes only what the metadata has given up for good.
//!
//! What is deleted without being asked for: numbered objects before the first that is needed, and what no later write can
//! name: merged objects that the claimed key does not name, and those behind the journal's end. These last two only if they
//! are few: more would mean that the metadata is an old copy, and are left to `cenote fsck`.

use super::error::{ArchiveError, LoadError};
use crate::journal::{
    EndedJournal, ObjectNumber, Partitions, RecoveredObject, block_of, index_end, last_of_block, recover,
};
use crate::log::{KeptJournal, KeptObject};
use crate::meta::keys::journal_starts::{self, JournalStart};
use crate::meta::keys::journals;
use crate::meta::{Change, Compare, Revision, Settled, Standing, Transaction, Write};
use crate::store::{ListedObject, ObjectPath, ObjectStore, paths};
use crate::types::SessionId;
use futures_util::TryStreamExt;

/// Takes the journals of ended sessions into our keeping.
#[derive(Clone, Debug)]
pub(super) struct Undertaker {
    pub standing: Standing,
    pub store: ObjectStore,
}

/// An ended journal that this session has claimed.
#[derive(Debug)]
pub(super) struct Claimed {
    pub journal: KeptJournal,
    /// What the metadata says is needed, as this session has written it.
    pub start: JournalStart,
    pub revision: Revision,
    /// Objects that nobody needs, nor will.
    pub litter: Vec<ObjectPath>,
}

/// How often it begins again when others write.
const ATTEMPTS_MAX: usize = 3;
/// Objects of one journal that are listed.
const OBJECTS_MAX: usize = 4_000_000;
/// More bytes than this of objects that nothing explains are not deleted unasked.
const UNASKED_BYTES: u64 = 256 << 20;

impl Undertaker {
    /// The ended sessions whose journals are not forgotten.
    pub async fn ended(&self) -> Result<Vec<SessionId>, ArchiveError> {
        let mut ended = Vec::new();
        for entry in self.standing.store().list(journals::PREFIX).await.map_err(LoadError::from)?.entries {
            let journal = journals::Journal::decode(&entry).map_err(LoadError::from)?;
            let session = journals::session_of(&entry.key).ok_or(LoadError::UnknownKey(entry.key))?;
            if journal.final_seq.is_some() {
                ended.push(session);
            }
        }
        Ok(ended)
    }

    /// Claims the journal of an ended session; none if it is not there any more.
    pub async fn claim(&self, session: SessionId) -> Result<Option<Claimed>, ArchiveError> {
        for _ in 0..ATTEMPTS_MAX {
            let Some((ended, revision)) = self.read_keys(session).await? else { return Ok(None) };
            let listed = self.store.list_sorted(Some(&paths::journal_prefix(session)), OBJECTS_MAX).await?;
            let indexes = self.store.list_sorted(Some(&paths::index_prefix(session)), OBJECTS_MAX).await?;
            let (journal, last_block) = match self.read_objects(&ended).await {
                Ok(read) => read,
                // Whoever kept it may have given objects up since the keys were read.
                Err(error) if self.has_changed(session, revision).await? => {
                    tracing::debug!(%session, %error, "an ended journal is read again");
                    continue;
                }
                Err(error) => return Err(error),
            };
            if let Some(revision) = self.write_again(&ended, revision).await? {
                // There may be none yet, one from before the last objects were written, or a damaged one.
                if last_block.iter().any(|object| !object.is_told) {
                    index_end(&self.store, &ended, &last_block).await;
                }
                let mut litter = litter(&ended, listed);
                litter.extend(useless_indexes(&ended, indexes));
                return Ok(Some(Claimed { journal, start: ended.start, revision, litter }));
            }
        }
        Err(ArchiveError::Changed)
    }

    /// What the metadata says of an ended journal, and who wrote last what of it is needed.
    async fn read_keys(
        &self,
        session: SessionId,
    ) -> Result<Option<(EndedJournal, Option<Revision>)>, ArchiveError> {
        let reads = vec![journals::key(session), journal_starts::key(session)];
        let answer = self.standing.store().transact(Transaction { reads, ..Transaction::default() }).await;
        let [journal, start] = answer.map_err(LoadError::from)?.reads.try_into().unwrap_or_default();
        let journal = journal.as_ref().map(journals::Journal::decode).transpose().map_err(LoadError::from)?;
        let Some(final_seq) = journal.and_then(|journal| journal.final_seq) else { return Ok(None) };
        let revision = start.as_ref().map(|entry| entry.mod_revision);
        let start = start.as_ref().map(JournalStart::decode).transpose().map_err(LoadError::from)?;
        let ended = EndedJournal { session, start: start.unwrap_or_default(), final_seq };
        Ok(Some((ended, revision)))
    }

    async fn has_changed(
        &self,
        session: SessionId,
        revision: Option<Revision>,
    ) -> Result<bool, ArchiveError> {
        let read = self.read_keys(session).await?;
        Ok(read.is_none_or(|(_, now)| now != revision))
    }

    /// What of the journal is needed, and the rows of its last block.
    async fn read_objects(
        &self,
        ended: &EndedJournal,
    ) -> Result<(KeptJournal, Vec<RecoveredObject>), ArchiveError> {
        let (mut objects, mut last_block) = (Vec::new(), Vec::new());
        let block = block_of(last_of_block(ended.final_seq));
        let mut read = recover(&self.store, std::slice::from_ref(ended), Partitions::All);
        while let Some(object) = read.try_next().await? {
            objects.push(KeptObject::from(&object));
            if matches!(object.name.number, ObjectNumber::Flushed(seq) if block.contains(&seq)) {
                last_block.push(object);
            }
        }
        Ok((KeptJournal { session: ended.session, last: ended.final_seq, objects }, last_block))
    }

    /// The new revision of the key; none if somebody else has written it.
    async fn write_again(
        &self,
        ended: &EndedJournal,
        revision: Option<Revision>,
    ) -> Result<Option<Revision>, ArchiveError> {
        let (key, journal_key) = (journal_starts::key(ended.session), journals::key(ended.session));
        let compare = match revision {
            Some(revision) => Compare::Unchanged(key.clone(), revision),
            None => Compare::Absent(key.clone()),
        };
        // A journal that was forgotten meanwhile must not come back by half.
        let Some(journal) = self.standing.store().get(&journal_key).await.map_err(LoadError::from)? else {
            return Ok(None);
        };
        let compares = vec![compare, Compare::Unchanged(journal_key, journal.mod_revision)];
        let writes = vec![Write::Put(key, ended.start.encode())];
        let change = Change { compares, writes, reads: Vec::new(), terms: Vec::new() };
        match self.standing.settle(&change).await? {
            Settled::Applied(revision) => Ok(Some(revision)),
            Settled::Refused(_) => Ok(None),
        }
    }
}

/// What of a claimed journal's objects nobody needs, nor will.
fn litter(ended: &EndedJournal, listed: Vec<ListedObject>) -> Vec<ObjectPath> {
    let (mut litter, mut doubtful, mut doubtful_bytes) = (Vec::new(), Vec::new(), 0_u64);
    for object in listed {
        match number_of(&object.path) {
            Some(ObjectNumber::Flushed(seq)) if seq < ended.start.first => litter.push(object.path),
            Some(ObjectNumber::Flushed(seq)) if seq <= ended.final_seq => {}
            Some(ObjectNumber::Merged(number))
                if ended.start.merged.iter().any(|merged| merged.number == number) => {}
            Some(_) => {
                doubtful_bytes = doubtful_bytes.saturating_add(object.size);
                doubtful.push(object.path);
            }
            None => {}
        }
    }
    if doubtful_bytes <= UNASKED_BYTES {
        litter.extend(doubtful);
    } else {
        let session = ended.session;
        tracing::error!(%session, objects = doubtful.len(), bytes = doubtful_bytes,
            "an ended journal has objects that the metadata does not know: run cenote fsck");
    }
    litter
}

/// The index objects of a claimed journal that tell of nothing that is needed.
fn useless_indexes(ended: &EndedJournal, listed: Vec<ListedObject>) -> Vec<ObjectPath> {
    let is_needed = |last: u64| last >= ended.start.first && *block_of(last).start() <= ended.final_seq;
    let is_useless =
        |path: &ObjectPath| paths::parse_index_object(path).is_some_and(|(_, last)| !is_needed(last));
    listed.into_iter().map(|object| object.path).filter(is_useless).collect()
}

fn number_of(path: &ObjectPath) -> Option<ObjectNumber> {
    let flushed = paths::parse_journal_object(path).map(|(_, seq)| ObjectNumber::Flushed(seq));
    flushed.or_else(|| paths::parse_merged_object(path).map(|(_, number)| ObjectNumber::Merged(number)))
}

impl Claimed {
    /// Which objects of it are counted, for those who tell.
    pub fn objects(&self) -> usize {
        self.journal.objects.len()
    }

    /// Whose journal.
    pub fn session(&self) -> SessionId {
        self.journal.session
    }
}
