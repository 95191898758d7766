//! Changes of the catalogue as changes of the metadata store.
//!
//! Everything here runs in its turn: [`Catalog`] holds the lock.

use super::snapshot::taken;
use super::{Catalog, CatalogError, Known, Topic};
use crate::meta::{Change, Compare, Entry, Settled, Write};
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
            Settled::Applied(revision) => {
                let born = 0..topic.partitions;
                Ok(self.knowledge.learn(topic, revision, born))
            }
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
            writes: vec![Write::Put(topic_key, value)],
            reads: Vec::new(),
            terms: Vec::new(),
        };
        match self.standing.settle(&change).await? {
            Settled::Applied(revision) => {
                let born = known.topic.partitions..topic.partitions;
                Ok(self.knowledge.learn(topic, revision, born))
            }
            Settled::Refused(_) => Err(self.follow(&topic).await?),
        }
    }

    pub(super) async fn write_gone(&self, known: &Known) -> Result<(), CatalogError> {
        let topic = &known.topic;
        let (topic_key, name_key) = (stored::topic_key(topic.id), stored::name_key(topic.name.as_str()));
        let change = Change {
            compares: vec![Compare::Unchanged(topic_key.clone(), known.revision)],
            writes: vec![Write::Delete(topic_key), Write::Delete(name_key)],
            reads: Vec::new(),
            terms: Vec::new(),
        };
        match self.standing.settle(&change).await? {
            Settled::Applied(revision) => {
                self.knowledge.forget(topic.id, revision);
                Ok(())
            }
            Settled::Refused(_) => Err(self.follow(topic).await?),
        }
    }

    /// What is known of a topic that is to be changed; where others write too, as it is now.
    pub(super) async fn known(&self, topic_id: TopicId) -> Result<Known, CatalogError> {
        if !self.knowledge.store.sole_writer() {
            self.knowledge.fetch(topic_id).await?;
        }
        self.knowledge.snapshot.load().by_id(topic_id).cloned().ok_or(CatalogError::NotFound)
    }

    /// The name was taken by someone whom the snapshot did not know.
    async fn name_taken(&self, topic: &Topic, name: &Entry) -> Result<CatalogError, CatalogError> {
        match self.knowledge.fetch(stored::decode_name_value(name)?).await? {
            Some(existing) => Ok(taken(&topic.name, &existing.name)),
            None => Ok(changed_meanwhile(topic)),
        }
    }

    /// Another broker changed the topic first: the snapshot follows, the caller is told to try again.
    async fn follow(&self, topic: &Topic) -> Result<CatalogError, CatalogError> {
        match self.knowledge.fetch(topic.id).await? {
            Some(_) => Ok(changed_meanwhile(topic)),
            None => Ok(CatalogError::NotFound),
        }
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
