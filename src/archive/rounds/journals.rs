//! What becomes of the journals while rounds go on: old objects are merged, and what nobody needs goes.
//!
//! ```text
//! uses ─▶ choose ─▶ copy, beside the rounds: read, encode, PUT ─▶ journal-starts names it ─▶ read from there ─▶ old ones go
//! ```
//!
//! One merge at a time. Once its object is stored, the merge is carried on until the metadata names the object; before that
//! nothing else is written of that journal's start. If the copy fails, what there is of the object goes. A merge ends as well
//! when its journal is kept here no longer.

use super::Rounds;
use crate::archive::archiver::ArchiveStart;
use crate::archive::error::ArchiveError;
use crate::archive::journal_copy::JournalCopy;
use crate::archive::journal_merge::{JournalLife, JournalMergeSettings, choose};
use crate::archive::upkeep::JOB_TIMEOUT;
use crate::config::ArchivePace;
use crate::hashing::HashMap;
use crate::journal::ObjectName;
use crate::log::MergedSpans;
use crate::types::{MergeNumber, Moment, SessionId, ViewNumber};
use std::time::Duration;
use tokio_util::task::AbortOnDropHandle;

/// What is known of merges between two rounds.
pub(super) struct Merging {
    settings: JournalMergeSettings,
    /// Between two looks for something to merge.
    every: Duration,
    running: Option<Running>,
    /// Merges that were begun by this session.
    attempts: u32,
    /// When a merge of a journal failed last, if none was made since: others go first, that it does not hold them up.
    failed: HashMap<SessionId, Moment>,
    /// When something to merge is looked for again.
    look_at: Moment,
}

enum Running {
    Copying {
        session: SessionId,
        name: ObjectName,
        handle: AbortOnDropHandle<Result<MergedSpans, ArchiveError>>,
    },
    Stored(Box<MergedSpans>),
}

impl Merging {
    /// A session begins.
    pub fn new(pace: &ArchivePace) -> Merging {
        Merging {
            settings: JournalMergeSettings {
                objects: pace.journal_merge_objects,
                ..JournalMergeSettings::default()
            },
            every: pace.journal_merge_every,
            running: None,
            attempts: 0,
            failed: HashMap::default(),
            look_at: Moment::default(),
        }
    }
}

impl Running {
    fn session(&self) -> SessionId {
        match self {
            Running::Copying { session, .. } => *session,
            Running::Stored(merged) => merged.session,
        }
    }
}

/// How long nothing is merged after a merge has failed.
const FAILED_PAUSE: Duration = Duration::from_secs(30);
/// How long a round waits for a copy.
const SHARE_OF_ROUND: Duration = Duration::from_millis(50);

impl Rounds {
    /// Goes on with merging journal objects.
    pub(super) async fn merge_journals(&mut self) {
        if let Some(Running::Copying { session, name, handle }) = &mut self.merging.running {
            let (session, name) = (*session, *name);
            let Ok(ended) = tokio::time::timeout(SHARE_OF_ROUND, handle).await else { return };
            self.merging.running = None;
            match ended.unwrap_or(Err(ArchiveError::Closed)) {
                Ok(merged) => self.merging.running = Some(Running::Stored(Box::new(merged))),
                Err(error) => {
                    tracing::warn!(object = %name, %error, "journal objects could not be merged, it is tried again");
                    self.graveyard.bury(self.now(), [name.path()]);
                    self.merging.failed.insert(session, self.now());
                    self.merging.look_at = self.now() + FAILED_PAUSE;
                }
            }
        }
        if let Some(Running::Stored(merged)) = self.merging.running.take() {
            self.name_merged(merged).await;
        }
        if self.merging.running.is_none() && self.now() >= self.merging.look_at {
            self.merging.look_at = self.now() + self.merging.every;
            self.begin_merge().await;
        }
    }

    /// Has the metadata name a merged object instead of those that it was made of.
    async fn name_merged(&mut self, merged: Box<MergedSpans>) {
        let (now, session, object) = (self.now(), merged.session, merged.object);
        let needed = self.start.log.needs().needed();
        let Some(needed) = needed.iter().find(|needed| needed.session == session) else { return };
        let next = merged.in_place(needed);
        let stored = self.journals.store(now, session, next).await;
        if let Err(error) = stored
            && !self.journals.names(session, object.number)
        {
            tracing::warn!(%session, object = %object.number, %error,
                "it is not known whether a merged journal object was named, it is tried again");
            self.merging.running = Some(Running::Stored(merged));
            return;
        }
        self.start.log.on_merged(&merged);
        self.merging.failed.remove(&session);
        let metrics = &self.start.metrics.archive;
        metrics.journal_merges.inc();
        metrics.journal_merged_bytes.inc_by(object.bytes);
        metrics.journal_merged_objects.inc_by(merged.sources.flushed);
        tracing::debug!(%session, object = %object.number, bytes = object.bytes, of = merged.sources.flushed,
            "journal objects were merged");
        // There may be more to do.
        self.merging.look_at = now;
    }

    /// A journal is kept here no longer. If its merged object may be named already, it is left to who keeps it then.
    pub(super) fn break_off_merge(&mut self, session: SessionId) {
        if let Some(Running::Copying { name, .. }) =
            self.merging.running.take_if(|running| running.session() == session)
        {
            self.graveyard.bury(self.now(), [name.path()]);
        }
        self.merging.failed.remove(&session);
    }

    async fn begin_merge(&mut self) {
        let own = self.start.session;
        let mut uses = self.start.log.needs().uses();
        uses.sort_by_key(|(session, _)| self.merging.failed.get(session).copied());
        for (session, uses) in uses {
            let life = if session == own { JournalLife::GoesOn } else { JournalLife::Over };
            let Some(merge) = choose(&self.merging.settings, life, &uses) else { continue };
            // Nobody else numbers merges of this journal by that view: see `MergeNumber`.
            let view = self.keeping.view_of(session).unwrap_or(ViewNumber(self.start.leader_epoch.0));
            let number = MergeNumber { view, attempt: self.merging.attempts };
            let Some(attempts) = self.merging.attempts.checked_add(1) else { return };
            self.merging.attempts = attempts;
            let copy = JournalCopy::plan(&self.start.log, session, number, (&uses, &merge)).await;
            let Some(copy) = copy.filter(|copy| !copy.partitions.is_empty()) else {
                // It was let go of a moment ago, or partitions come and go.
                continue;
            };
            let ArchiveStart { reader, store, background, .. } = &self.start;
            let (reader, store, background) = (reader.clone(), store.clone(), background.clone());
            let work = async move {
                let work = copy.run(&reader, &store, &background);
                tokio::time::timeout(JOB_TIMEOUT, work).await.unwrap_or(Err(ArchiveError::TimedOut))
            };
            let (name, handle) =
                (ObjectName::merged(session, number), AbortOnDropHandle::new(tokio::spawn(work)));
            self.merging.running = Some(Running::Copying { session, name, handle });
            return;
        }
    }

    /// Gives up what is not needed of the journals.
    pub(super) async fn release_journals(&mut self) {
        let needed = self.start.log.needs().needed();
        let merging = self.merging.running.as_ref().map(Running::session);
        let (now, store) = (self.now(), self.start.store.clone());
        let gone = self.journals.advance(now, &needed, merging, &store).await;
        for session in gone {
            // What crashes left of it was looked for when it was claimed; of a forgotten one nobody could say.
            if !self.keeping.is_swept(session, now) {
                continue;
            }
            match self.journals.forget(session).await {
                Ok(()) => {
                    self.start.log.forget_journal(session);
                    self.merging.failed.remove(&session);
                    self.keeping.forget(session);
                    tracing::info!(%session, "an ended journal is archived as a whole and gone");
                }
                Err(error) => tracing::warn!(%session, %error, "an ended journal could not be forgotten"),
            }
        }
    }
}
