//! What is known of all topics at one moment. Pure: whatever is told, in whatever order, it only goes forward.
//!
//! A topic is known as it was at the revision that wrote it, and what an earlier revision wrote changes nothing. A topic id
//! is never given twice, and of topics whose names differ in nothing but `.` and `_` at most one is there at a time: so
//! of two such that are told, the one with the later revision is there now, and the other one was deleted before.

use super::{CatalogError, PARTITIONS_MAX, PARTITIONS_TOTAL_MAX, Topic};
use crate::hashing::HashMap;
use crate::meta::Revision;
use crate::types::{PartitionIndex, TopicId, TopicName};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

/// A topic and the transaction that last wrote it.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub topic: Arc<Topic>,
    pub revision: Revision,
    /// Of which partitions it was seen how they came to be, and when.
    births: Vec<(Range<i32>, Revision)>,
}

impl Known {
    /// A topic as it was found.
    pub(super) fn found(topic: Arc<Topic>, revision: Revision) -> Known {
        Known { topic, revision, births: Vec::new() }
    }

    /// A topic as it was written, and the partitions that came to be by that.
    pub(super) fn seen(topic: Arc<Topic>, revision: Revision, born: Range<i32>) -> Known {
        let births = if born.is_empty() { Vec::new() } else { vec![(born, revision)] };
        Known { topic, revision, births }
    }

    /// When that partition came to be, if that was seen.
    pub(super) fn born(&self, partition: PartitionIndex) -> Option<Revision> {
        self.births.iter().find(|(born, _)| born.contains(&partition.0)).map(|(_, revision)| *revision)
    }

    fn knows_births_of(&self, other: &Known) -> bool {
        other.births.iter().all(|(born, _)| self.born(PartitionIndex(born.start)).is_some())
    }
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

    /// Whether `told` says anything that is not known.
    pub(super) fn is_news(&self, told: &Known) -> bool {
        let Some(known) = self.rival(&told.topic) else { return true };
        let is_newer = told.revision > known.revision;
        is_newer || known.topic.id == told.topic.id && !known.knows_births_of(told)
    }

    /// Takes what is told of a topic; what is older than what is known adds its births alone.
    pub(super) fn learn(&mut self, told: Known) {
        if !self.is_news(&told) {
            return;
        }
        let known = self.rival(&told.topic).cloned();
        let Some(known) = known else { return self.insert(told) };
        self.remove_name(known.topic.name.as_str());
        let is_newer = told.revision > known.revision;
        let (mut now, other) = if is_newer { (told, known) } else { (known, told) };
        if now.topic.id == other.topic.id && !now.knows_births_of(&other) {
            now.births.extend(other.births);
        }
        self.insert(now);
    }

    /// Whether a topic is known from before `revision`.
    pub(super) fn has_before(&self, topic_id: TopicId, revision: Revision) -> bool {
        self.by_id(topic_id).is_some_and(|known| known.revision < revision)
    }

    /// A topic was deleted.
    pub(super) fn forget(&mut self, topic_id: TopicId) {
        if let Some(name) = self.names.get(&topic_id).cloned() {
            self.remove_name(&name);
        }
    }

    /// What is known in the place that this topic would take.
    fn rival(&self, topic: &Topic) -> Option<&Known> {
        self.by_name.get(self.plain_names.get(&plain(&topic.name))?.as_str())
    }

    fn insert(&mut self, known: Known) {
        let topic = &known.topic;
        let name: Arc<str> = Arc::from(topic.name.as_str());
        self.partitions_total += partition_count(topic);
        self.names.insert(topic.id, Arc::clone(&name));
        self.plain_names.insert(plain(&topic.name), topic.name.clone());
        self.by_name.insert(name, known);
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
