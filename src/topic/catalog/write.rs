//! Changes of the catalogue as transactions, and what to do when an answer is lost.
//!
//! Everything here runs in its turn: [`Catalog`] holds the lock.

use super::snapshot::taken;
use super::{Catalog, CatalogError, Known, Topic};
use crate::meta::{Compare, Entry, MetadataError, Revision, Transaction, Write};
use crate::topic::stored;
use crate::types::TopicId;
use bytes::Bytes;
use std::sync::Arc;

/// Largest encoded topic, in bytes; etcd takes 1.5 MiB a request.
const VALUE_BYTES_MAX: usize = 256 * 1024;
/// How often a change is sent before it is given up as unknown.
const ATTEMPTS_MAX: usize = 4;

/// One change of one topic.
struct Change {
    compares: Vec<Compare>,
    writes: Vec<Write>,
    topic_key: String,
    name_key: String,
    /// What `topic_key` holds once it is done; none: nothing.
    after: Option<Bytes>,
}

/// What became of a change.
enum Outcome {
    /// It was made, by this revision.
    Applied(Revision),
    /// A compare of its own failed; the two keys as they are.
    Refused { topic: Option<Entry>, name: Option<Entry> },
}

impl Change {
    fn is_done(&self, topic: Option<&Entry>) -> bool {
        topic.map(|entry| &entry.value) == self.after.as_ref()
    }
}

impl Catalog {
    pub(super) async fn write_new(&self, topic: Topic) -> Result<Arc<Topic>, CatalogError> {
        let value = encode_bounded(&topic)?;
        let (topic_key, name_key) = (stored::topic_key(topic.id), stored::name_key(topic.name.as_str()));
        let change = Change {
            compares: vec![Compare::Absent(name_key.clone()), Compare::Absent(topic_key.clone())],
            writes: vec![
                Write::Put(topic_key.clone(), value.clone()),
                Write::Put(name_key.clone(), stored::encode_name_value(topic.id)),
            ],
            topic_key,
            name_key,
            after: Some(value),
        };
        match self.settle(change).await? {
            Outcome::Applied(revision) => Ok(self.learn(topic, revision)),
            Outcome::Refused { name: Some(entry), .. } => Err(self.name_taken(&topic, &entry).await?),
            Outcome::Refused { name: None, .. } => Err(changed_meanwhile(&topic)),
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
            writes: vec![Write::Put(topic_key.clone(), value.clone())],
            topic_key,
            name_key: stored::name_key(topic.name.as_str()),
            after: Some(value),
        };
        match self.settle(change).await? {
            Outcome::Applied(revision) => Ok(self.learn(topic, revision)),
            Outcome::Refused { topic: entry, .. } => Err(self.follow(&topic, entry.as_ref())?),
        }
    }

    pub(super) async fn write_gone(&self, known: &Known) -> Result<(), CatalogError> {
        let topic = &known.topic;
        let (topic_key, name_key) = (stored::topic_key(topic.id), stored::name_key(topic.name.as_str()));
        let change = Change {
            compares: vec![Compare::Unchanged(topic_key.clone(), known.revision)],
            writes: vec![Write::Delete(topic_key.clone()), Write::Delete(name_key.clone())],
            topic_key,
            name_key,
            after: None,
        };
        match self.settle(change).await? {
            Outcome::Applied(_) => {
                self.forget(topic.id);
                Ok(())
            }
            Outcome::Refused { topic: entry, .. } => Err(self.follow(topic, entry.as_ref())?),
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

    /// Sends `change` until it is known what became of it.
    async fn settle(&self, change: Change) -> Result<Outcome, CatalogError> {
        for _ in 0..ATTEMPTS_MAX {
            let standing = self.standing.compare();
            let mut compares = change.compares.clone();
            compares.push(standing.clone());
            let transaction = Transaction {
                compares,
                writes: change.writes.clone(),
                reads: vec![
                    self.standing.key().to_owned(),
                    change.topic_key.clone(),
                    change.name_key.clone(),
                ],
                ..Transaction::default()
            };
            match self.store.transact(transaction).await {
                Ok(answer) if answer.applied => return Ok(Outcome::Applied(answer.revision)),
                Ok(answer) => {
                    let [own, topic, name] =
                        <[Option<Entry>; 3]>::try_from(answer.reads).map_err(|_| short_answer())?;
                    self.standing.judge(own.as_ref()).map_err(|_| CatalogError::Sealed)?;
                    if let Some(topic) = topic.as_ref().filter(|topic| change.is_done(Some(topic))) {
                        return Ok(Outcome::Applied(topic.mod_revision));
                    }
                    match moved(own.as_ref(), &standing) {
                        Some(revision) => self.standing.on_rewritten(revision),
                        None => return Ok(Outcome::Refused { topic, name }),
                    }
                }
                Err(MetadataError::Unknown(cause)) => {
                    tracing::warn!(cause, key = change.topic_key, "a change of a topic has no answer yet");
                    let revision = self.rewrite_standing().await?;
                    let topic = self.store.get(&change.topic_key).await?;
                    if change.is_done(topic.as_ref()) {
                        return Ok(Outcome::Applied(topic.map_or(revision, |topic| topic.mod_revision)));
                    }
                }
                Err(error @ MetadataError::Refused(_)) => return Err(error.into()),
            }
        }
        Err(CatalogError::Unavailable("no answer from the metadata store after several attempts".to_owned()))
    }

    /// Writes the session's standing again as it is: nothing that was sent before can land after.
    async fn rewrite_standing(&self) -> Result<Revision, CatalogError> {
        let key = self.standing.key();
        for _ in 0..ATTEMPTS_MAX {
            let entry = self.store.get(key).await?;
            self.standing.judge(entry.as_ref()).map_err(|_| CatalogError::Sealed)?;
            let Some(entry) = entry else { return Err(CatalogError::Sealed) };
            let rewrite = Transaction {
                compares: vec![Compare::Unchanged(key.to_owned(), entry.mod_revision)],
                writes: vec![Write::Put(key.to_owned(), entry.value)],
                ..Transaction::default()
            };
            match self.store.transact(rewrite).await {
                Ok(answer) if answer.applied => {
                    self.standing.on_rewritten(answer.revision);
                    return Ok(answer.revision);
                }
                Ok(_) | Err(MetadataError::Unknown(_)) => {}
                Err(error @ MetadataError::Refused(_)) => return Err(error.into()),
            }
        }
        Err(CatalogError::Unavailable("no answer about this session's standing".to_owned()))
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
        topic
    }

    fn forget(&self, topic_id: TopicId) {
        self.snapshot.rcu(|snapshot| {
            let mut snapshot = (**snapshot).clone();
            snapshot.remove(topic_id);
            snapshot
        });
    }
}

fn encode_bounded(topic: &Topic) -> Result<Bytes, CatalogError> {
    let value = stored::encode_topic(topic);
    if value.len() > VALUE_BYTES_MAX {
        return Err(CatalogError::SettingsTooLarge { bytes: value.len(), max: VALUE_BYTES_MAX });
    }
    Ok(value)
}

/// The newer revision of the standing, if the session itself has rewritten it since it was compared.
fn moved(own: Option<&Entry>, compared: &Compare) -> Option<Revision> {
    let Compare::Unchanged(_, compared) = compared else { return None };
    own.map(|own| own.mod_revision).filter(|revision| revision != compared)
}

fn changed_meanwhile(topic: &Topic) -> CatalogError {
    CatalogError::Unavailable(format!("topic '{}' was changed at the same time", topic.name))
}

fn short_answer() -> CatalogError {
    CatalogError::Unavailable("the metadata store answered fewer reads than were asked".to_owned())
}
