//! What a watch tells: the changes of a prefix as they happen, and a whole listing where some were missed.
//!
//! A watch warms a cache and wakes whoever waits. It proves nothing: what it has told may be old, so decisions compare.

use super::{Entry, Listing, Revision};
use std::collections::BTreeMap;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

/// What a reader of a watch learns, in the order of revisions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WatchEvent {
    /// All that one transaction changed below the prefix; at least one key.
    Changed {
        /// The transaction.
        revision: Revision,
        /// What it did, each key once.
        changes: Vec<KeyChange>,
    },
    /// Some changes were missed, or the store no longer knows them: this replaces all that the reader has.
    Listed(Listing),
}

/// What became of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyChange {
    /// It has a value.
    Put(Entry),
    /// It is gone.
    Deleted(String),
}

impl KeyChange {
    /// Which key.
    #[must_use]
    pub fn key(&self) -> &str {
        match self {
            KeyChange::Put(entry) => &entry.key,
            KeyChange::Deleted(key) => key,
        }
    }
}

/// Events that wait for their reader. A reader that is slower makes the store wait with more, and at last list again.
pub(super) const EVENTS_MAX: usize = 64;

/// A stream of [`WatchEvent`]. It goes on by itself after a lost connection; it ends with its store. Dropping it ends it.
#[derive(Debug)]
pub struct Watch {
    events: mpsc::Receiver<WatchEvent>,
    _task: AbortOnDropHandle<()>,
}

impl Watch {
    /// A watch whose events `run` sends.
    pub fn start<F>(run: impl FnOnce(mpsc::Sender<WatchEvent>) -> F) -> Watch
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (sender, events) = mpsc::channel(EVENTS_MAX);
        Watch { events, _task: AbortOnDropHandle::new(tokio::spawn(run(sender))) }
    }

    /// The next event; none when the store is closed. Dropping the call loses nothing.
    pub async fn next(&mut self) -> Option<WatchEvent> {
        self.events.recv().await
    }
}

/// A prefix as a reader of its watch knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mirror {
    /// What is there, by key.
    pub entries: BTreeMap<String, Entry>,
    /// Nothing up to here is missing.
    pub revision: Revision,
}

impl Mirror {
    /// What was listed before the watch began.
    #[must_use]
    pub fn of(listing: Listing) -> Mirror {
        let entries = listing.entries.into_iter().map(|entry| (entry.key.clone(), entry)).collect();
        Mirror { entries, revision: listing.revision }
    }

    /// Takes what the watch told.
    pub fn apply(&mut self, event: WatchEvent) {
        match event {
            WatchEvent::Listed(listing) => *self = Mirror::of(listing),
            WatchEvent::Changed { revision, changes } => {
                for change in changes {
                    match change {
                        KeyChange::Put(entry) => drop(self.entries.insert(entry.key.clone(), entry)),
                        KeyChange::Deleted(key) => drop(self.entries.remove(&key)),
                    }
                }
                self.revision = revision;
            }
        }
    }
}
