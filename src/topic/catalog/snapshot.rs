//! What is known of all topics at one moment.

use super::{CatalogError, PARTITIONS_MAX, PARTITIONS_TOTAL_MAX, Topic};
use crate::meta::Revision;
use crate::types::{TopicId, TopicName};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// A topic and the transaction that last wrote it.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub topic: Arc<Topic>,
    pub revision: Revision,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Snapshot {
    by_name: BTreeMap<Arc<str>, Known>,
    names: HashMap<TopicId, Arc<str>>,
    /// Names with every `.` as `_`, to the name itself.
    plain_names: HashMap<String, TopicName>,
    partitions_total: usize,
}

impl Snapshot {
    pub(super) fn by_name(&self, name: &str) -> Option<&Known> {
        self.by_name.get(name)
    }

    pub(super) fn by_id(&self, topic_id: TopicId) -> Option<&Known> {
        self.by_name.get(self.names.get(&topic_id)?)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Known> {
        self.by_name.values()
    }

    pub(super) fn partitions_total(&self) -> usize {
        self.partitions_total
    }

    /// Adds a topic, or puts it in the place of the one of its name.
    pub(super) fn insert(&mut self, known: Known) {
        let topic = &known.topic;
        self.remove_name(topic.name.as_str());
        let name: Arc<str> = Arc::from(topic.name.as_str());
        self.partitions_total += partition_count(topic);
        self.names.insert(topic.id, Arc::clone(&name));
        self.plain_names.insert(plain(&topic.name), topic.name.clone());
        self.by_name.insert(name, known);
    }

    pub(super) fn remove(&mut self, topic_id: TopicId) {
        if let Some(name) = self.names.get(&topic_id).cloned() {
            self.remove_name(&name);
        }
    }

    fn remove_name(&mut self, name: &str) {
        if let Some(old) = self.by_name.remove(name) {
            self.partitions_total -= partition_count(&old.topic);
            self.names.remove(&old.topic.id);
            self.plain_names.remove(&plain(&old.topic.name));
        }
    }

    pub(super) fn check_name_free(&self, name: &TopicName) -> Result<(), CatalogError> {
        match self.plain_names.get(&plain(name)) {
            None => Ok(()),
            Some(existing) => Err(taken(name, existing)),
        }
    }

    /// Whether a topic may go from `now` to `asked` partitions.
    pub(super) fn check_partitions(&self, now: i32, asked: i32) -> Result<(), CatalogError> {
        if asked < 1 {
            return Err(CatalogError::NoPartitions);
        }
        if asked > PARTITIONS_MAX {
            return Err(CatalogError::TooManyPartitions(asked));
        }
        let more = usize::try_from(asked - now).unwrap_or(0);
        if self.partitions_total + more > PARTITIONS_TOTAL_MAX {
            return Err(CatalogError::TooManyPartitionsInAll);
        }
        Ok(())
    }
}

/// What to say where `existing` stands in the way of `name`.
pub(super) fn taken(name: &TopicName, existing: &TopicName) -> CatalogError {
    if existing == name {
        return CatalogError::Exists(name.clone());
    }
    CatalogError::Collides { name: name.clone(), existing: existing.clone() }
}

fn plain(name: &TopicName) -> String {
    name.as_str().replace('.', "_")
}

fn partition_count(topic: &Topic) -> usize {
    usize::try_from(topic.partitions).unwrap_or(0)
}
