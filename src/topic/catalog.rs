//! The catalogue of topics.
//!
//! ```text
//! by_name, by_id, all ──▶ snapshot ◀── after the answer ── one change at a time ──▶ metadata store
//!                             ▲                                                          │
//!                             └───────── what other brokers change ◀──── watch ──────────┘
//! ```
//!
//! Every change compares the session's standing and the value it replaces, and is carried on until its outcome is
//! known. A topic id is never given twice; a name may be. The snapshot never goes back: see `snapshot`, and `knowledge`.

mod error;
mod follow;
mod knowledge;
mod snapshot;
mod write;

pub use error::CatalogError;
use knowledge::Knowledge;
use snapshot::{Known, Snapshot};

use super::settings::{self, TopicSettings};
use super::stored;
use crate::clock::{self, Clock};
use crate::meta::{MetadataError, MetadataStore, Revision, SettleError, Standing};
use crate::types::{PartitionIndex, Timestamp, TopicId, TopicName, TopicPartition};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

/// Partitions that one topic may have.
pub const PARTITIONS_MAX: i32 = 10_000;
/// Partitions of all topics together.
pub const PARTITIONS_TOTAL_MAX: usize = 200_000;

/// A topic as it is now. It never changes: a change makes another of the same id.
#[derive(Clone, Debug, PartialEq)]
pub struct Topic {
    /// Its identity.
    pub id: TopicId,
    /// Its name.
    pub name: TopicName,
    /// How many partitions it has, from 1; never fewer than before.
    pub partitions: i32,
    /// The settings that were given for it, as they were given.
    pub overrides: BTreeMap<String, String>,
    /// What they amount to.
    pub settings: TopicSettings,
    /// When it was created, by the clock of the broker that did.
    pub created_ms: Timestamp,
}

impl Topic {
    /// Whether it has that partition.
    #[must_use]
    pub fn has(&self, partition: PartitionIndex) -> bool {
        (0..self.partitions).contains(&partition.0)
    }

    /// Its partitions, in order.
    pub fn topic_partitions(&self) -> impl Iterator<Item = TopicPartition> + use<> {
        let topic_id = self.id;
        (0..self.partitions).map(move |index| TopicPartition { topic_id, partition: PartitionIndex(index) })
    }
}

/// A topic that is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewTopic {
    /// Its name.
    pub name: TopicName,
    /// How many partitions.
    pub partitions: i32,
    /// Its own settings.
    pub overrides: BTreeMap<String, String>,
}

/// All topics of the cluster, as far as this broker knows. Dropped, it no longer follows the metadata store.
#[derive(Debug)]
pub struct Catalog {
    knowledge: Arc<Knowledge>,
    standing: Standing,
    clock: Clock,
    _follower: AbortOnDropHandle<()>,
}

impl Catalog {
    /// Reads all topics, and follows them from there. A value that cannot be read stops it: a topic must not vanish unseen.
    pub async fn load(
        store: Arc<dyn MetadataStore>,
        standing: Standing,
        clock: Clock,
    ) -> Result<Catalog, CatalogError> {
        let listing = store.list(stored::TOPICS).await?;
        let (mut snapshot, mut told) = (Snapshot::default(), follow::Told::default());
        for entry in &listing.entries {
            let topic = stored::decode_topic(entry)?;
            told.insert(topic.id, topic.partitions);
            snapshot.learn(Known::found(Arc::new(topic), entry.mod_revision));
        }
        let watch = store.watch(stored::TOPICS, listing.revision);
        let knowledge = Arc::new(Knowledge::new(store, snapshot));
        let follower = tokio::spawn(follow::follow(Arc::clone(&knowledge), watch, told));
        Ok(Catalog { knowledge, standing, clock, _follower: AbortOnDropHandle::new(follower) })
    }

    /// Tells of every change that this broker learns of.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.knowledge.changes.subscribe()
    }

    /// The topic of that name, if this broker knows of it. See [`Catalog::resolve`] before saying that there is none.
    #[must_use]
    pub fn by_name(&self, name: &str) -> Option<Arc<Topic>> {
        self.knowledge.snapshot.load().by_name(name).map(|known| Arc::clone(&known.topic))
    }

    /// The topic of that id, if this broker knows of it. See [`Catalog::resolve_id`] before saying that there is none.
    #[must_use]
    pub fn by_id(&self, topic_id: TopicId) -> Option<Arc<Topic>> {
        self.knowledge.snapshot.load().by_id(topic_id).map(|known| Arc::clone(&known.topic))
    }

    /// All topics, in the order of their names.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Topic>> {
        self.knowledge.snapshot.load().all().map(|known| Arc::clone(&known.topic)).collect()
    }

    /// The revision at which this broker saw a partition come to be: by a change of its own, or as the metadata store told
    /// of it. None: it was there when this broker began to look, or is not there.
    #[must_use]
    pub fn born(&self, topic_id: TopicId, partition: PartitionIndex) -> Option<Revision> {
        self.knowledge.snapshot.load().by_id(topic_id)?.born(partition)
    }

    /// How many partitions all topics have together.
    #[must_use]
    pub fn partitions_total(&self) -> usize {
        self.knowledge.snapshot.load().partitions_total()
    }

    /// The topic of that name, or proof that there is none: what the snapshot lacks is looked up in the metadata
    /// store by a read that begins now. Where this process is the only writer the snapshot is that proof.
    pub async fn resolve(&self, name: &str) -> Result<Option<Arc<Topic>>, CatalogError> {
        if let Some(topic) = self.by_name(name) {
            return Ok(Some(topic));
        }
        if self.knowledge.store.sole_writer() {
            return Ok(None);
        }
        let _turn = self.knowledge.turn.lock().await;
        let (entry, _) = self.knowledge.read(stored::name_key(name)).await?;
        let Some(entry) = entry else { return Ok(None) };
        let found = self.knowledge.fetch(stored::decode_name_value(&entry)?).await?;
        Ok(found.filter(|topic| topic.name.as_str() == name))
    }

    /// As [`Catalog::resolve`], by id.
    pub async fn resolve_id(&self, topic_id: TopicId) -> Result<Option<Arc<Topic>>, CatalogError> {
        if let Some(topic) = self.by_id(topic_id) {
            return Ok(Some(topic));
        }
        if self.knowledge.store.sole_writer() {
            return Ok(None);
        }
        let _turn = self.knowledge.turn.lock().await;
        self.knowledge.fetch(topic_id).await
    }

    /// Whether `new` could be created now, as far as this broker knows; changes nothing.
    pub fn check(&self, new: &NewTopic) -> Result<TopicSettings, CatalogError> {
        let snapshot = self.knowledge.snapshot.load();
        snapshot.check_name_free(&new.name)?;
        snapshot.check_partitions(0, new.partitions)?;
        Ok(settings::check_all(&new.overrides)?)
    }

    /// As [`Catalog::check`]; a topic that stands in the way is looked at once more, as another broker may have deleted it.
    async fn check_now(&self, new: &NewTopic) -> Result<TopicSettings, CatalogError> {
        let checked = self.check(new);
        let existing = match &checked {
            Err(CatalogError::Exists(name) | CatalogError::Collides { existing: name, .. }) => name,
            _ => return checked,
        };
        let existing = self.by_name(existing.as_str()).map(|topic| topic.id);
        match existing.filter(|_| !self.knowledge.store.sole_writer()) {
            None => checked,
            Some(topic_id) => {
                self.knowledge.fetch(topic_id).await?;
                self.check(new)
            }
        }
    }

    /// Creates a topic with a new id. Of two that create the same name at once one wins.
    pub async fn create(&self, new: NewTopic) -> Result<Arc<Topic>, CatalogError> {
        let _turn = self.knowledge.turn.lock().await;
        let settings = self.check_now(&new).await?;
        let topic = Topic {
            id: TopicId(clock::random_id()),
            name: new.name,
            partitions: new.partitions,
            overrides: new.overrides,
            settings,
            created_ms: self.clock.now(),
        };
        let topic = self.write_new(topic).await?;
        tracing::info!(topic = %topic.name, topic_id = %topic.id, partitions = topic.partitions, "topic created");
        Ok(topic)
    }

    /// Deletes a topic; gives what it was last.
    pub async fn delete(&self, topic_id: TopicId) -> Result<Arc<Topic>, CatalogError> {
        let _turn = self.knowledge.turn.lock().await;
        let known = self.known(topic_id).await?;
        self.write_gone(&known).await?;
        tracing::info!(topic = %known.topic.name, topic_id = %topic_id, "topic deleted");
        Ok(known.topic)
    }

    /// Gives a topic more partitions: `partitions` in all. From then on records of a key may go to another partition
    /// than before.
    pub async fn grow(&self, topic_id: TopicId, partitions: i32) -> Result<Arc<Topic>, CatalogError> {
        let _turn = self.knowledge.turn.lock().await;
        let known = self.known(topic_id).await?;
        self.check_growth(&known.topic, partitions)?;
        let topic = self.write_changed(&known, Topic { partitions, ..(*known.topic).clone() }).await?;
        let before = known.topic.partitions;
        tracing::warn!(topic = %topic.name, before, partitions, "partitions added: keys move to other partitions");
        Ok(topic)
    }

    /// Whether a topic could have `partitions` in all; changes nothing.
    pub fn check_growth(&self, topic: &Topic, partitions: i32) -> Result<(), CatalogError> {
        if partitions <= topic.partitions {
            return Err(CatalogError::NotMorePartitions { now: topic.partitions, asked: partitions });
        }
        self.knowledge.snapshot.load().check_partitions(topic.partitions, partitions)
    }

    /// Changes a topic's own settings: `change` is given those that are, and gives those that shall be.
    pub async fn alter(
        &self,
        topic_id: TopicId,
        change: impl FnOnce(&BTreeMap<String, String>) -> Result<BTreeMap<String, String>, CatalogError>,
    ) -> Result<Arc<Topic>, CatalogError> {
        let _turn = self.knowledge.turn.lock().await;
        let known = self.known(topic_id).await?;
        let overrides = change(&known.topic.overrides)?;
        if overrides == known.topic.overrides {
            return Ok(known.topic);
        }
        let settings = settings::check_change(&known.topic.overrides, &overrides)?;
        let topic =
            self.write_changed(&known, Topic { overrides, settings, ..(*known.topic).clone() }).await?;
        tracing::info!(topic = %topic.name, overrides = ?topic.overrides, "topic settings changed");
        Ok(topic)
    }
}

impl From<SettleError> for CatalogError {
    fn from(error: SettleError) -> CatalogError {
        match error {
            SettleError::Sealed | SettleError::Closed => CatalogError::Sealed,
            SettleError::Unavailable(why) => CatalogError::Unavailable(why),
        }
    }
}

impl From<MetadataError> for CatalogError {
    fn from(error: MetadataError) -> CatalogError {
        CatalogError::Unavailable(error.to_string())
    }
}

#[cfg(test)]
mod tests;
