//! Watches of the embedded store: each applied transaction is told to all of them, and each picks out its prefix.
//!
//! Nobody waits for a watch. One that is too slow finds that it has missed something, and lists what is there.

use super::{Applied, Shared, on_blocking_thread, tables};
use crate::meta::{KeyChange, Listing, MetadataError, Revision, WatchEvent};
use std::sync::{Arc, Weak};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;

/// Told to all watches.
#[derive(Clone, Debug)]
pub(super) enum Told {
    /// A transaction was applied.
    Applied(Arc<Changes>),
    /// Nobody knows whether one was.
    Missed,
}

/// What a transaction did.
#[derive(Debug)]
pub(super) struct Changes {
    revision: Revision,
    changes: Vec<KeyChange>,
}

/// Transactions that wait for the slowest watch.
const TOLD_MAX: usize = 1024;

/// The sending half, in the store.
#[derive(Debug)]
pub(super) struct Watches {
    sender: broadcast::Sender<Told>,
}

impl Default for Watches {
    fn default() -> Watches {
        Watches { sender: broadcast::Sender::new(TOLD_MAX) }
    }
}

impl Watches {
    /// Tells what became of a transaction; called in the order in which they are applied.
    pub(super) fn tell(&self, outcome: &mut Result<Applied, MetadataError>) {
        let told = match outcome {
            Ok(applied) if !applied.answer.applied || applied.changes.is_empty() => return,
            Ok(applied) => {
                let changes = std::mem::take(&mut applied.changes);
                Told::Applied(Arc::new(Changes { revision: applied.answer.revision, changes }))
            }
            Err(MetadataError::Refused(_)) => return,
            Err(MetadataError::Unknown(_)) => Told::Missed,
        };
        // Nobody watches: nobody is told.
        let _none = self.sender.send(told);
    }

    pub(super) fn subscribe(&self) -> broadcast::Receiver<Told> {
        self.sender.subscribe()
    }
}

/// One watch: reads what is told until the store or the reader is gone. The store is not kept open by it.
pub(super) struct Watching {
    pub store: Weak<Shared>,
    pub told: broadcast::Receiver<Told>,
    pub prefix: String,
    /// The reader has all up to here.
    pub seen: Revision,
}

impl Watching {
    pub(super) async fn run(mut self, events: mpsc::Sender<WatchEvent>) {
        let Some(first) = self.list().await else { return };
        // The store keeps no history: what was changed before the watch began can only be listed.
        let mut next = (first.revision > self.seen).then_some(WatchEvent::Listed(first));
        loop {
            if let Some(event) = next.take() {
                self.seen = revision_of(&event);
                if events.send(event).await.is_err() {
                    return;
                }
            }
            next = match self.told.recv().await {
                Ok(Told::Applied(changes)) => self.pick(&changes),
                Ok(Told::Missed) | Err(RecvError::Lagged(_)) => match self.list().await {
                    Some(listing) => Some(WatchEvent::Listed(listing)),
                    None => return,
                },
                Err(RecvError::Closed) => return,
            };
        }
    }

    /// What of a transaction concerns this watch, and is not in what was listed.
    fn pick(&self, changes: &Changes) -> Option<WatchEvent> {
        let is_new = changes.revision > self.seen;
        let concerns = |change: &&KeyChange| change.key().starts_with(&self.prefix);
        let picked: Vec<_> = changes.changes.iter().filter(concerns).cloned().collect();
        (is_new && !picked.is_empty())
            .then_some(WatchEvent::Changed { revision: changes.revision, changes: picked })
    }

    /// None: the store is closed, or its file cannot be read, which its owner learns from its own reads.
    async fn list(&self) -> Option<Listing> {
        let (store, prefix) = (self.store.upgrade()?, self.prefix.clone());
        match on_blocking_thread(move || tables::list(&store.database, &prefix)).await {
            Ok(listing) => Some(listing),
            Err(error) => {
                tracing::error!(%error, prefix = self.prefix, "a watch ends: its prefix cannot be listed");
                None
            }
        }
    }
}

fn revision_of(event: &WatchEvent) -> Revision {
    match event {
        WatchEvent::Changed { revision, .. } => *revision,
        WatchEvent::Listed(listing) => listing.revision,
    }
}
