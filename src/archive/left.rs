//! Learns what other brokers have archived of the journals that are kept here.
//!
//! ```text
//! manifests/: watch ─▶ archived offset of a partition ─▶ BrokerLog::release_archived
//! after a journal came, and every ten minutes: the pointers of all partitions of which something is left
//! ```
//!
//! What a pointer says to be archived is for good, however old the news. A topic's partitions are let go of when the metadata
//! store itself says that there is no such topic.
//!
//! Never: it writes nothing.

use super::error::LoadError;
use super::start::pointers;
use crate::log::BrokerLog;
use crate::meta::keys::cluster;
use crate::meta::{Entry, KeyChange, MetadataStore, Watch, WatchEvent};
use crate::segment::manifest::{ManifestPointer, POINTERS};
use crate::store::ObjectStore;
use crate::topic::Catalog;
use crate::types::TopicId;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, Interval, interval};

/// What is known of others, and where it matters.
#[derive(Clone, Debug)]
pub(super) struct Others {
    pub metadata: Arc<dyn MetadataStore>,
    pub store: ObjectStore,
    pub log: Arc<BrokerLog>,
    pub catalog: Arc<Catalog>,
}

/// Asks for a look at all pointers. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(super) struct Look {
    wanted: Arc<Notify>,
}

impl Look {
    /// Something is left of partitions whose pointers were not looked at yet.
    pub fn look_again(&self) {
        self.wanted.notify_one();
    }
}

/// How often all pointers are looked at, in case that a watch has told less than it should.
const LOOK_EVERY: Duration = Duration::from_secs(600);
/// How soon again, if the metadata store did not answer.
const AGAIN: Duration = Duration::from_secs(10);

/// Releases what others archive, for ever.
pub(super) async fn follow(others: Others, look: Look) {
    let mut ticks = interval(AGAIN);
    let mut watch = others.watch(POINTERS, &mut ticks).await;
    let mut look_at = Instant::now() + LOOK_EVERY;
    loop {
        tokio::select! {
            event = watch.next() => {
                let Some(event) = event else { return };
                others.on_pointers(event);
                continue;
            }
            () = look.wanted.notified() => look_at = Instant::now(),
            _ = ticks.tick() => {}
        }
        if Instant::now() >= look_at && !others.log.nothing_is_left() {
            match others.look_at_pointers().await {
                Ok(()) => look_at = Instant::now() + LOOK_EVERY,
                Err(error) => tracing::debug!(%error, "what others have archived is not known yet"),
            }
        }
    }
}

impl Others {
    /// Watches a prefix from now on.
    pub async fn watch(&self, prefix: &str, ticks: &mut Interval) -> Watch {
        loop {
            ticks.tick().await;
            // A short listing tells the revision of now.
            match self.metadata.list(cluster::KEY).await {
                Ok(listing) => return self.metadata.watch(prefix, listing.revision),
                Err(error) => tracing::debug!(%error, prefix, "it is not watched yet"),
            }
        }
    }

    fn on_pointers(&self, event: WatchEvent) {
        if self.log.nothing_is_left() {
            return;
        }
        match event {
            WatchEvent::Listed(listing) => listing.entries.iter().for_each(|entry| self.on_pointer(entry)),
            WatchEvent::Changed { changes, .. } => {
                for change in changes {
                    match change {
                        KeyChange::Put(entry) => self.on_pointer(&entry),
                        // Pointers go with their topics.
                        KeyChange::Deleted(key) => {
                            let partition = ManifestPointer::partition_of(&key);
                            partition.into_iter().for_each(|gone| self.log.release_topic(gone.topic_id));
                        }
                    }
                }
            }
        }
    }

    fn on_pointer(&self, entry: &Entry) {
        match (ManifestPointer::partition_of(&entry.key), ManifestPointer::decode(entry)) {
            (Some(partition), Ok(pointer)) => self.log.release_archived(partition, pointer.archived_offset),
            (None, _) => tracing::warn!(key = entry.key, "this key of the metadata names no partition"),
            (_, Err(error)) => tracing::warn!(%error, "what a partition has archived is not known"),
        }
    }

    /// Looks at the pointers of all partitions of which something is left, and whether their topics are there.
    async fn look_at_pointers(&self) -> Result<(), LoadError> {
        let left = self.log.left_partitions();
        for entry in pointers(self.metadata.as_ref(), &left).await? {
            self.on_pointer(&entry);
        }
        let topics: BTreeSet<TopicId> = left.iter().map(|partition| partition.topic_id).collect();
        for topic_id in topics.into_iter().filter(|topic_id| self.catalog.by_id(*topic_id).is_none()) {
            match self.catalog.resolve_id(topic_id).await {
                Ok(Some(_)) => {}
                Ok(None) => self.log.release_topic(topic_id),
                Err(error) => tracing::debug!(%error, %topic_id, "whether a topic is there is not known yet"),
            }
        }
        Ok(())
    }
}
