//! All partitions that this broker leads.

use super::archived::ArchivedLog;
use super::index::IndexEntry;
use super::leftovers::Leftovers;
use super::objects::{JournalNeeds, ObjectUse};
use super::partition::Partition;
use crate::cache::{Cache, CacheKey};
use crate::hashing::HashMap;
use crate::journal::{CommittedObject, ObjectName};
#[cfg(test)]
use crate::types::PartitionIndex;
use crate::types::{LeaderEpoch, Offset, TopicId, TopicPartition};
use parking_lot::{Mutex, RwLock};
use std::ops::Range;
use std::sync::Arc;

/// The partitions of a broker, by what they are of.
#[derive(Debug)]
pub struct BrokerLog {
    partitions: RwLock<HashMap<TopicPartition, Arc<Partition>>>,
    leader_epoch: LeaderEpoch,
    cache: Cache,
    needs: JournalNeeds,
    /// Taken before `partitions`, and before a partition's own lock.
    leftovers: Mutex<Leftovers>,
}

/// What was committed contradicts itself: the partition is not served, and someone must look.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    /// Offsets that nothing holds.
    #[error("partition {partition}: offsets {from} to {to} are in no journal object")]
    Hole {
        /// Where.
        partition: TopicPartition,
        /// First that is missing.
        from: Offset,
        /// First that is there again.
        to: Offset,
    },
    /// Two batches at one offset.
    #[error("partition {partition}: two journal objects hold offset {offset}")]
    Overlap {
        /// Where.
        partition: TopicPartition,
        /// Which.
        offset: Offset,
    },
    /// What was read of journals is not what is known of them by now: the partition has to be taken over anew.
    #[error("partition {partition}: its journals have changed while they were read")]
    Outdated {
        /// Where.
        partition: TopicPartition,
    },
    /// A batch or a marker of another transaction than the one that is open there.
    #[error("partition {partition}: offset {offset} belongs to a transaction that is not open there")]
    WrongTransaction {
        /// Where.
        partition: TopicPartition,
        /// Which.
        offset: Offset,
    },
}

impl BrokerLog {
    /// No partitions yet; those to come are led under `leader_epoch`.
    #[must_use]
    pub fn new(leader_epoch: LeaderEpoch, cache: Cache) -> BrokerLog {
        BrokerLog {
            partitions: RwLock::default(),
            leader_epoch,
            cache,
            needs: JournalNeeds::default(),
            leftovers: Mutex::default(),
        }
    }

    /// The view in which the session began.
    #[must_use]
    pub fn began_in(&self) -> LeaderEpoch {
        self.leader_epoch
    }

    /// The partition, if it is led here.
    #[must_use]
    pub fn partition(&self, topic_partition: TopicPartition) -> Option<Arc<Partition>> {
        self.partitions.read().get(&topic_partition).cloned()
    }

    /// All partitions that are led here, in no order.
    #[must_use]
    pub fn partitions(&self) -> Vec<Arc<Partition>> {
        self.partitions.read().values().cloned().collect()
    }

    /// Which journal objects are still needed.
    #[must_use]
    pub fn needs(&self) -> &JournalNeeds {
        &self.needs
    }

    /// Takes over what was archived. To be called before [`BrokerLog::recovery`].
    pub fn recover_archived(&self, topic_partition: TopicPartition, archived: ArchivedLog) {
        if let Some(partition) = self.partition(topic_partition) {
            partition.on_recovered_manifest(archived);
        }
    }

    /// Sees that partitions `0..count` of a topic are there.
    #[cfg(test)]
    pub(crate) fn ensure(&self, topic_id: TopicId, count: i32) {
        let mut partitions = self.partitions.write();
        for partition in 0..count {
            let topic_partition = TopicPartition { topic_id, partition: PartitionIndex(partition) };
            let empty = || Arc::new(Partition::new(topic_partition, self.leader_epoch));
            partitions.entry(topic_partition).or_insert_with(empty);
        }
    }

    pub(super) fn leftovers(&self) -> &Mutex<Leftovers> {
        &self.leftovers
    }

    pub(super) fn insert(&self, partition: Arc<Partition>) {
        self.partitions.write().insert(partition.topic_partition(), partition);
    }

    pub(super) fn take_out(&self, topic_partition: TopicPartition) -> Option<Arc<Partition>> {
        self.partitions.write().remove(&topic_partition)
    }

    /// Forgets a deleted topic; whoever waits for its partitions is woken.
    pub fn remove(&self, topic_id: TopicId) {
        let mut leftovers = self.leftovers.lock();
        self.needs.release(&leftovers.remove_topic(topic_id));
        let gone: Vec<_> = {
            let mut partitions = self.partitions.write();
            let keys: Vec<_> = partitions.keys().filter(|key| key.topic_id == topic_id).copied().collect();
            keys.iter().filter_map(|key| partitions.remove(key)).collect()
        };
        for partition in gone {
            self.needs.release(&partition.close());
        }
    }

    /// Makes an object's batches visible, and keeps its bytes at hand for those who read at the tail.
    pub fn on_committed(&self, object: &CommittedObject) {
        let name = ObjectName::from(object.id);
        let entries = object.spans.iter().map(|span| (span.topic_partition, IndexEntry::new(name, span)));
        let entries: Vec<_> = entries.collect();
        let needed = entries.iter().map(|(_, entry)| entry);
        let used = ObjectUse::of(object.spans.iter().map(|span| span.byte_range.clone())).needing(needed);
        self.needs.on_flushed(object.id.session, object.id.seq, used);
        // Who copies rows of it elsewhere needs its index.
        self.cache_range(object, name, &(0..used.index_bytes));
        for (topic_partition, entry) in entries {
            self.cache_range(object, name, &entry.byte_range);
            let late = match self.partition(topic_partition) {
                Some(partition) => partition.on_committed(entry).err(),
                None => Some(entry),
            };
            if let Some(entry) = late {
                // Its topic was deleted, or the partition is led elsewhere.
                self.on_committed_late(topic_partition, entry);
            }
        }
    }

    fn cache_range(&self, object: &CommittedObject, name: ObjectName, byte_range: &Range<u64>) {
        let range = byte_range.start as usize..byte_range.end as usize;
        let key = CacheKey::new(name.session, name.as_u64(), byte_range);
        self.cache.insert(key, object.bytes.slice(range));
    }
}
