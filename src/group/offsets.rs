//! The committed offsets of one group in one topic: one value of the metadata store for all partitions.
//!
//! ```text
//! {"v":1,"next":7,"partitions":{"0":{"n":6,"offset":42,"epoch":3,"metadata":"","at":1700000000000}},
//!  "pending":{"4000":{"ordinal":1,"partitions":{"1":{…}}}}}
//! ```
//!
//! Offsets of an open transaction are pending: they count once it is committed, unless a later commit came first.
//! `n` says which came first.

use super::stored::VERSION;
use crate::types::{Offset, PartitionIndex, ProducerId, Timestamp, TransactionOrdinal, Verdict};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// An offset as it was committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommittedOffset {
    /// The next record to read.
    pub offset: Offset,
    /// The leader epoch of the last record that was read; -1 if the client did not say (KIP-320).
    pub leader_epoch: i32,
    /// What the client wishes to remember.
    pub metadata: String,
    /// When it was committed.
    pub committed_at: Timestamp,
}

/// The offsets of one group in one topic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TopicOffsets {
    /// The number of the next commit.
    next: u64,
    partitions: BTreeMap<i32, Numbered>,
    pending: BTreeMap<i64, Pending>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Numbered {
    number: u64,
    committed: CommittedOffset,
}

/// What one producer's open transaction will commit.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Pending {
    ordinal: TransactionOrdinal,
    partitions: BTreeMap<i32, Numbered>,
}

impl CommittedOffset {
    /// What it takes where it is stored, in bytes, at most.
    #[must_use]
    pub fn bytes(&self) -> usize {
        // A character may be written as six.
        OFFSET_BYTES_MAX + 6 * self.metadata.len()
    }
}

/// One offset without its metadata, in bytes.
const OFFSET_BYTES_MAX: usize = 112;

impl TopicOffsets {
    /// What they take where they are stored, in bytes, at most.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let pending = self.pending.values().flat_map(|pending| pending.partitions.values());
        self.partitions.values().chain(pending).map(|numbered| numbered.committed.bytes()).sum()
    }

    /// Whether nothing is committed, nor on its way.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.partitions.is_empty() && self.pending.is_empty()
    }

    /// What is committed for a partition.
    #[must_use]
    pub fn get(&self, partition: PartitionIndex) -> Option<&CommittedOffset> {
        self.partitions.get(&partition.0).map(|numbered| &numbered.committed)
    }

    /// Partitions of which something is committed or pending.
    pub fn partitions(&self) -> impl Iterator<Item = PartitionIndex> {
        let pending = self.pending.values().flat_map(|pending| pending.partitions.keys());
        let all: std::collections::BTreeSet<_> = self.partitions.keys().chain(pending).copied().collect();
        all.into_iter().map(PartitionIndex)
    }

    /// Whether an open transaction may yet change what is committed for a partition.
    #[must_use]
    pub fn is_unstable(&self, partition: PartitionIndex) -> bool {
        self.pending.values().any(|pending| pending.partitions.contains_key(&partition.0))
    }

    /// Commits an offset.
    pub fn commit(&mut self, partition: PartitionIndex, committed: CommittedOffset) {
        let number = self.number();
        self.partitions.insert(partition.0, Numbered { number, committed });
    }

    /// The transaction of that producer whose offsets are pending here.
    #[must_use]
    pub fn pending_of(&self, producer_id: ProducerId) -> Option<TransactionOrdinal> {
        self.pending.get(&producer_id.0).map(|pending| pending.ordinal)
    }

    /// Keeps an offset that counts once the producer's transaction is committed. Whoever calls has seen to it that no
    /// other transaction of the producer is pending.
    pub fn pend(
        &mut self,
        producer_id: ProducerId,
        ordinal: TransactionOrdinal,
        partition: PartitionIndex,
        committed: CommittedOffset,
    ) {
        let number = self.number();
        let pending = self.pending.entry(producer_id.0);
        let pending = pending.or_insert_with(|| Pending { ordinal, partitions: BTreeMap::new() });
        pending.partitions.insert(partition.0, Numbered { number, committed });
    }

    /// That transaction has ended; whether it changed anything. To be told twice is the same as once.
    pub fn end(&mut self, producer_id: ProducerId, ordinal: TransactionOrdinal, verdict: Verdict) -> bool {
        let Some(pending) = self.pending.remove(&producer_id.0) else { return false };
        if pending.ordinal != ordinal {
            self.pending.insert(producer_id.0, pending);
            return false;
        }
        if verdict == Verdict::Commit {
            for (index, numbered) in pending.partitions {
                let later = self.partitions.get(&index).is_some_and(|now| now.number > numbered.number);
                if !later {
                    self.partitions.insert(index, numbered);
                }
            }
        }
        true
    }

    /// Forgets what is committed, and pending, for a partition; whether there was anything.
    pub fn delete(&mut self, partition: PartitionIndex) -> bool {
        let mut found = self.partitions.remove(&partition.0).is_some();
        for pending in self.pending.values_mut() {
            found |= pending.partitions.remove(&partition.0).is_some();
        }
        self.pending.retain(|_, pending| !pending.partitions.is_empty());
        found
    }

    /// Forgets what was committed before `before` and is not about to be replaced; whether there was anything.
    pub fn expire(&mut self, before: Timestamp) -> bool {
        let count = self.partitions.len();
        let pending = std::mem::take(&mut self.pending);
        let awaited = |index: &i32| pending.values().any(|pending| pending.partitions.contains_key(index));
        self.partitions.retain(|index, numbered| numbered.committed.committed_at >= before || awaited(index));
        self.pending = pending;
        self.partitions.len() < count
    }

    fn number(&mut self) -> u64 {
        let number = self.next;
        self.next += 1;
        number
    }
}

/// The stored form of one offset.
#[derive(Serialize, Deserialize)]
struct StoredOffset {
    n: u64,
    offset: i64,
    #[serde(default = "none", skip_serializing_if = "is_none")]
    epoch: i32,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    metadata: String,
    at: i64,
}

fn none() -> i32 {
    -1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives references")]
fn is_none(epoch: &i32) -> bool {
    *epoch == -1
}

#[derive(Serialize, Deserialize)]
struct StoredPending {
    ordinal: i64,
    partitions: BTreeMap<i32, StoredOffset>,
}

/// The stored form of all.
#[derive(Serialize, Deserialize)]
pub(super) struct StoredTopicOffsets {
    v: u32,
    next: u64,
    partitions: BTreeMap<i32, StoredOffset>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pending: BTreeMap<i64, StoredPending>,
}

impl From<&TopicOffsets> for StoredTopicOffsets {
    fn from(offsets: &TopicOffsets) -> StoredTopicOffsets {
        let pending = offsets.pending.iter().map(|(producer_id, pending)| {
            let partitions = stored(&pending.partitions);
            (*producer_id, StoredPending { ordinal: pending.ordinal.0, partitions })
        });
        StoredTopicOffsets {
            v: VERSION,
            next: offsets.next,
            partitions: stored(&offsets.partitions),
            pending: pending.collect(),
        }
    }
}

impl From<StoredTopicOffsets> for TopicOffsets {
    fn from(value: StoredTopicOffsets) -> TopicOffsets {
        let pending = value.pending.into_iter().map(|(producer_id, pending)| {
            let partitions = restored(pending.partitions);
            (producer_id, Pending { ordinal: TransactionOrdinal(pending.ordinal), partitions })
        });
        TopicOffsets { next: value.next, partitions: restored(value.partitions), pending: pending.collect() }
    }
}

fn stored(partitions: &BTreeMap<i32, Numbered>) -> BTreeMap<i32, StoredOffset> {
    let of = |numbered: &Numbered| StoredOffset {
        n: numbered.number,
        offset: numbered.committed.offset.0,
        epoch: numbered.committed.leader_epoch,
        metadata: numbered.committed.metadata.clone(),
        at: numbered.committed.committed_at.0,
    };
    partitions.iter().map(|(index, numbered)| (*index, of(numbered))).collect()
}

fn restored(partitions: BTreeMap<i32, StoredOffset>) -> BTreeMap<i32, Numbered> {
    let of = |stored: StoredOffset| Numbered {
        number: stored.n,
        committed: CommittedOffset {
            offset: Offset(stored.offset),
            leader_epoch: stored.epoch,
            metadata: stored.metadata,
            committed_at: Timestamp(stored.at),
        },
    };
    partitions.into_iter().map(|(index, stored)| (index, of(stored))).collect()
}

#[cfg(test)]
mod tests;
