//! Changes of the catalogue as changes of the metadata store.
//!
//! Everything here runs in its turn: [`Catalog`] holds the lock.

use super::snapshot::taken;
use super::{Catalog, CatalogError, Known, Topic};
use crate::meta::{Change, Compare, Entry, Revision, Settled, Write};
use crate::topic::stored;
use crate::types::TopicId;
use bytes::Bytes;
use std::sync::Arc;

/// Largest encoded topic, in bytes; etcd takes 1.5 MiB a request.
const VALUE_BYTES_MAX: usize = 256 * 1024;
impl Catalog {
    pub(super) async fn write_new(&self, topic: Topic) -> Result<Arc<Topic>, CatalogError> {
        let value = encode_bounded(&topic)?;
        let (topic_key, name_key) = (stored::topic_key(topic.id), stored::name_key(topic.name.as_str()));
        let change = Change {
            compares: vec![Compare::Absent(name_key.clone()), Compare::Absent(topic_key.clone())],
            writes: vec![
                Write::Put(topic_key, value),
                Write::Put(name_key.clone(), stored::encode_name_value(topic.id)),
            ],
            reads: vec![name_key],
            terms: Vec::new(),
        };
        match self.standing.settle(&change).await? {
            Settled::Applied(revision) => Ok(self.learn(topic, revision)),
            Settled::Refused(reads) => match only(reads) {
                Some(entry) => Err(self.name_taken(&topic, &entry).await?),
                None => Err(changed_meanwhile(&topic)),
            },
        }
    }

    pub(super) async fn write_changed(
        &self,
        known: &Known,
        topic: Topic,
    ) -> Result<Arc<Topic>, CatalogError> {
        let value = encode_bounded(&topic)?;
        let topic_key = stored::topic_key(topic.id);
        let change = Change {
            compares: vec![Compare::Unchanged(topic_key.clone(), known.revision)],
            writes: vec![Write::Put(topic_key.clone(), value)],
            reads: vec![topic_key],
            terms: Vec::new(),
        };
        match self.standing.settle(&change).await? {
            Settled::Applied(revision) => Ok(self.learn(topic, revision)),
            Settled::Refused(reads) => Err(self.follow(&topic, only(reads).as_ref())?),
        }
    }

    pub(super) async fn write_gone(&self, known: &Known) -> Result<(), CatalogError> {
        let topic = &known.topic;
        let (topic_key, name_key) = (stored::topic_key(topic.id), stored::name_key(topic.name.as_str()));
        let change = Change {
            compares: vec![Compare::Unchanged(topic_key.clone(), known.revision)],
            writes: vec![Write::Delete(topic_key.clone()), Write::Delete(name_key)],
            reads: vec![topic_key],
            terms: Vec::new(),
        };
        match self.standing.settle(&change).await? {
            Settled::Applied(_) => {
                self.forget(topic.id);
                Ok(())
            }
            Settled::Refused(reads) => Err(self.follow(topic, only(reads).as_ref())?),
        }
    }

    /// What is known of a topic that is to be changed.
    pub(super) async fn known(&self, topic_id: TopicId) -> Result<Known, CatalogError> {
        if let Some(known) = self.snapshot.load().by_id(topic_id) {
            return Ok(known.clone());
        }
        if !self.store.sole_writer() {
            self.fetch(topic_id).await?;
        }
        self.snapshot.load().by_id(topic_id).cloned().ok_or(CatalogError::NotFound)
    }

    /// Reads one topic and brings the snapshot to what was read.
    pub(super) async fn fetch(&self, topic_id: TopicId) -> Result<Option<Arc<Topic>>, CatalogError> {
        let Some(entry) = self.store.get(&stored::topic_key(topic_id)).await? else {
            self.forget(topic_id);
            return Ok(None);
        };
        Ok(Some(self.learn(stored::decode_topic(&entry)?, entry.mod_revision)))
    }

    /// The name was taken by someone whom the snapshot did not know.
    async fn name_taken(&self, topic: &Topic, name: &Entry) -> Result<CatalogError, CatalogError> {
        match self.fetch(stored::decode_name_value(name)?).await? {
            Some(existing) => Ok(taken(&topic.name, &existing.name)),
            None => Ok(changed_meanwhile(topic)),
        }
    }

    /// Another broker changed the topic first: the snapshot follows, the caller is told to try again.
    fn follow(&self, topic: &Topic, entry: Option<&Entry>) -> Result<CatalogError, CatalogError> {
        let Some(entry) = entry else {
            self.forget(topic.id);
            return Ok(CatalogError::NotFound);
        };
        self.learn(stored::decode_topic(entry)?, entry.mod_revision);
        Ok(changed_meanwhile(topic))
    }

    fn learn(&self, topic: Topic, revision: Revision) -> Arc<Topic> {
        let topic = Arc::new(topic);
        self.snapshot.rcu(|snapshot| {
            let mut snapshot = (**snapshot).clone();
            snapshot.insert(Known { topic: Arc::clone(&topic), revision });
            snapshot
        });
        self.changes.send_modify(|count| *count += 1);
        topic
    }

    fn forget(&self, topic_id: TopicId) {
        self.snapshot.rcu(|snapshot| {
            let mut snapshot = (**snapshot).clone();
            snapshot.remove(topic_id);
            snapshot
        });
        self.changes.send_modify(|count| *count += 1);
    }
}

fn encode_bounded(topic: &Topic) -> Result<Bytes, CatalogError> {
    let value = stored::encode_topic(topic);
    if value.len() > VALUE_BYTES_MAX {
        return Err(CatalogError::SettingsTooLarge { bytes: value.len(), max: VALUE_BYTES_MAX });
    }
    Ok(value)
}

/// The one key that was read.
fn only(reads: Vec<Option<Entry>>) -> Option<Entry> {
    reads.into_iter().next().flatten()
}

fn changed_meanwhile(topic: &Topic) -> CatalogError {
    CatalogError::Unavailable(format!("topic '{}' was changed at the same time", topic.name))
}
