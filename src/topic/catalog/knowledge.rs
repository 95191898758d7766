//! What this broker knows of topics, and how it comes to know: by what it writes, by what it reads, and by what the watch tells.
//!
//! Whoever writes or reads holds the turn, and so does the follower of the watch. A read is linearizable and so has all
//! that the watch had told before; the watch may tell later what is older than that. It changes nothing then (`snapshot`),
//! but for one thing: a topic that is told of and not known may be one that was known, and deleted. What was found absent
//! or deleted up to `gone_until` is therefore looked up before it is believed.

use super::snapshot::{Known, Snapshot};
use super::{CatalogError, Topic};
use crate::meta::{Entry, MetadataError, MetadataStore, Revision, Transaction};
use crate::topic::stored;
use crate::types::TopicId;
use arc_swap::ArcSwap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::{Mutex, watch};

/// The snapshot and what changes it.
#[derive(Debug)]
pub(super) struct Knowledge {
    pub store: Arc<dyn MetadataStore>,
    pub snapshot: ArcSwap<Snapshot>,
    /// Held by whoever brings news.
    pub turn: Mutex<()>,
    /// Counts the changes of the snapshot.
    pub changes: watch::Sender<u64>,
    /// Up to this revision something may have been found absent.
    gone_until: AtomicU64,
}

/// What became of a topic.
#[derive(Clone, Debug)]
pub(super) enum News {
    /// It was written.
    Is(Known),
    /// It was deleted by that revision, or before.
    Gone(TopicId, Revision),
}

impl Knowledge {
    pub(super) fn new(store: Arc<dyn MetadataStore>, snapshot: Snapshot) -> Knowledge {
        Knowledge {
            store,
            snapshot: ArcSwap::from_pointee(snapshot),
            turn: Mutex::new(()),
            changes: watch::Sender::new(0),
            gone_until: AtomicU64::new(0),
        }
    }

    /// Whether what that revision wrote may have been found gone since.
    pub(super) fn may_be_gone(&self, revision: Revision) -> bool {
        revision.0 <= self.gone_until.load(Ordering::SeqCst)
    }

    /// Takes a topic that this broker has written; `born` came to be by that.
    pub(super) fn learn(&self, topic: Topic, revision: Revision, born: Range<i32>) -> Arc<Topic> {
        let topic = Arc::new(topic);
        self.take(&[News::Is(Known::seen(Arc::clone(&topic), revision, born))]);
        topic
    }

    /// Takes that a topic is gone.
    pub(super) fn forget(&self, topic_id: TopicId, revision: Revision) {
        self.take(&[News::Gone(topic_id, revision)]);
    }

    /// Takes news, in their order; what is known already changes nothing and wakes nobody.
    pub(super) fn take(&self, news: &[News]) {
        let snapshot = self.snapshot.load();
        let is_news = |news: &News| match news {
            News::Is(known) => snapshot.is_news(known),
            News::Gone(topic_id, revision) => snapshot.has_before(*topic_id, *revision),
        };
        for gone in news {
            if let News::Gone(_, revision) = gone {
                self.gone_until.fetch_max(revision.0, Ordering::SeqCst);
            }
        }
        if !news.iter().any(is_news) {
            return;
        }
        let mut next = Snapshot::clone(&snapshot);
        for news in news {
            match news {
                News::Is(known) => next.learn(known.clone()),
                News::Gone(topic_id, revision) if next.has_before(*topic_id, *revision) => {
                    next.forget(*topic_id);
                }
                News::Gone(..) => {}
            }
        }
        // Nobody else stores: the turn is held.
        self.snapshot.store(Arc::new(next));
        self.changes.send_modify(|count| *count += 1);
    }

    /// Reads a key, and says as of which revision.
    pub(super) async fn read(&self, key: String) -> Result<(Option<Entry>, Revision), MetadataError> {
        let read = Transaction { reads: vec![key], ..Transaction::default() };
        let answer = self.store.transact(read).await?;
        let entry = answer.reads.into_iter().next().flatten();
        if entry.is_none() {
            self.gone_until.fetch_max(answer.revision.0, Ordering::SeqCst);
        }
        Ok((entry, answer.revision))
    }

    /// Reads one topic and brings the snapshot to what was read.
    pub(super) async fn fetch(&self, topic_id: TopicId) -> Result<Option<Arc<Topic>>, CatalogError> {
        let (entry, revision) = self.read(stored::topic_key(topic_id)).await?;
        let Some(entry) = entry else {
            // What was written by that very revision was there.
            self.forget(topic_id, Revision(revision.0 + 1));
            return Ok(None);
        };
        Ok(Some(self.learn(stored::decode_topic(&entry)?, entry.mod_revision, 0..0)))
    }
}
