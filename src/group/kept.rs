//! A group as its task keeps it: its protocol's core, its offsets, and what of them is stored.

use super::call::ByTopic;
use super::classic::ClassicGroup;
use super::consumer::ConsumerGroup;
use super::coordinator::GroupsConfig;
use super::offsets::TopicOffsets;
use super::producers::Producers;
use super::share::ShareGroup;
use super::stored::{
    StoredCore, StoredGroup, UnreadableGroup, decode_offsets, decode_producers, encode_offsets,
    encode_producers, group_key, offsets_key, offsets_prefix, producers_key, topic_of,
};
use super::summary::{GroupSummary, GroupType};
use super::{GroupId, MemberId};
use crate::meta::{
    Change, Compare, Gatherer, MetadataError, MetadataStore, Revision, SettleError, Settled, StandingError,
    Term, Write,
};
use crate::types::{Moment, ProducerId, Timestamp, TopicId, TransactionOrdinal};
use bytes::Bytes;

/// A group of one of the protocols.
#[derive(Debug)]
pub(super) enum Core {
    Classic(Box<ClassicGroup>),
    Consumer(Box<ConsumerGroup>),
    Share(Box<ShareGroup>),
}

/// A group with its offsets.
#[derive(Debug)]
pub(super) struct KeptGroup {
    group_id: GroupId,
    pub core: Core,
    /// Since when nobody is in it.
    pub empty_since: Option<Timestamp>,
    /// The revision of what is stored; none: nothing is.
    revision: Option<Revision>,
    offsets: ByTopic<KeptOffsets>,
    pub producers: Producers,
    producers_revision: Option<Revision>,
    pub producers_dirty: bool,
    dirty: bool,
}

#[derive(Debug, Default)]
struct KeptOffsets {
    offsets: TopicOffsets,
    revision: Option<Revision>,
    dirty: bool,
}

/// Why a group cannot be read or written. What was asked of it meanwhile is not known to have happened.
#[derive(Debug, thiserror::Error)]
pub(super) enum KeepError {
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    #[error(transparent)]
    Unreadable(#[from] UnreadableGroup),
    #[error(transparent)]
    Settle(#[from] SettleError),
    #[error(transparent)]
    Standing(#[from] StandingError),
    #[error("another broker has changed the group")]
    Changed,
}

/// Keys of one transaction: others share it.
const KEYS_PER_CHANGE: usize = 40;

impl KeptGroup {
    /// The group as it was stored last; a group that was never stored is empty.
    pub async fn load(
        store: &dyn MetadataStore,
        group_id: &GroupId,
        config: &GroupsConfig,
        now: Moment,
    ) -> Result<KeptGroup, KeepError> {
        let entry = store.get(&group_key(group_id)).await?;
        let mut kept = KeptGroup {
            group_id: group_id.clone(),
            core: Core::Classic(Box::new(ClassicGroup::new(config.classic.clone()))),
            empty_since: None,
            revision: entry.as_ref().map(|entry| entry.mod_revision),
            offsets: ByTopic::new(),
            producers: Producers::default(),
            producers_revision: None,
            producers_dirty: false,
            dirty: false,
        };
        if let Some(entry) = store.get(&producers_key(group_id)).await? {
            kept.producers = decode_producers(&entry)?;
            kept.producers_revision = Some(entry.mod_revision);
        }
        if let Some(entry) = &entry {
            let stored = StoredGroup::decode(entry)?;
            kept.empty_since = stored.empty_since_ms.map(Timestamp);
            let restored = Core::restore(stored.core, config, now);
            kept.core = restored.map_err(|reason| UnreadableGroup { key: entry.key.clone(), reason })?;
        }
        for entry in store.list(&offsets_prefix(group_id)).await?.entries {
            let unreadable = || UnreadableGroup { key: entry.key.clone(), reason: "no topic id".to_owned() };
            let topic_id = topic_of(&entry.key).ok_or_else(unreadable)?;
            let offsets = decode_offsets(&entry)?;
            let of_topic = KeptOffsets { offsets, revision: Some(entry.mod_revision), dirty: false };
            kept.offsets.insert(topic_id, of_topic);
        }
        Ok(kept)
    }

    /// Whether there is such a group: it was stored and not deleted, or somebody is in it.
    pub fn exists(&self) -> bool {
        self.revision.is_some() || self.dirty || !self.core.is_empty() || !self.offsets.is_empty()
    }

    /// The offsets of a topic.
    pub fn offsets(&self, topic_id: TopicId) -> Option<&TopicOffsets> {
        self.offsets.get(&topic_id).map(|kept| &kept.offsets)
    }

    /// The offsets of all topics.
    pub fn all_offsets(&self) -> impl Iterator<Item = (TopicId, &TopicOffsets)> {
        self.offsets.iter().map(|(topic_id, kept)| (*topic_id, &kept.offsets))
    }

    /// The offsets of a topic, to change them.
    pub fn offsets_mut(&mut self, topic_id: TopicId) -> &mut TopicOffsets {
        let kept = self.offsets.entry(topic_id).or_default();
        kept.dirty = true;
        &mut kept.offsets
    }

    /// Changes the offsets of every topic by `change`, which says whether it did.
    pub fn change_offsets(&mut self, mut change: impl FnMut(TopicId, &mut TopicOffsets) -> bool) {
        for (topic_id, kept) in &mut self.offsets {
            kept.dirty |= change(*topic_id, &mut kept.offsets);
        }
    }

    /// Everything goes.
    pub fn delete(&mut self, config: &GroupsConfig) {
        for kept in self.offsets.values_mut() {
            kept.offsets = TopicOffsets::default();
            kept.dirty = true;
        }
        self.core = Core::Classic(Box::new(ClassicGroup::new(config.classic.clone())));
        self.empty_since = None;
        self.producers = Producers::default();
        self.producers_dirty = true;
        self.dirty = true;
    }

    /// The transaction of that producer whose offsets are pending.
    pub fn pending_of(&self, producer_id: ProducerId) -> Option<TransactionOrdinal> {
        self.offsets.values().find_map(|kept| kept.offsets.pending_of(producer_id))
    }

    /// Makes it a group of the other protocol.
    pub fn replace_core(&mut self, core: Core) {
        self.core = core;
        self.dirty = true;
    }

    /// The line of a list.
    pub fn summary(&self) -> GroupSummary {
        let group_id = self.group_id.clone();
        match &self.core {
            Core::Classic(group) => GroupSummary {
                group_id,
                group_type: GroupType::Classic,
                protocol_type: group.protocol_type().unwrap_or_default().to_owned(),
                state: group.state_name(),
            },
            Core::Consumer(group) => GroupSummary {
                group_id,
                group_type: GroupType::Consumer,
                protocol_type: "consumer".to_owned(),
                state: group.state().as_str(),
            },
            Core::Share(group) => GroupSummary {
                group_id,
                group_type: GroupType::Share,
                protocol_type: "share".to_owned(),
                state: group.state().as_str(),
            },
        }
    }

    /// Stores what has changed under `term`; an error means that it is not known what of it is stored.
    pub async fn store(&mut self, gatherer: &Gatherer, term: &Term, now: Timestamp) -> Result<(), KeepError> {
        let mut writes = Vec::new();
        self.collect_offsets(&mut writes);
        if std::mem::take(&mut self.producers_dirty) {
            let value = (!self.producers.is_empty()).then(|| encode_producers(&self.producers));
            let key = producers_key(&self.group_id);
            writes.extend(Pending::new(Target::Producers, key, value, self.producers_revision));
        }
        self.collect_group(&mut writes, now);
        for chunk in writes.chunks(KEYS_PER_CHANGE) {
            let change = Change {
                compares: chunk.iter().map(|write| write.compare.clone()).collect(),
                writes: chunk.iter().map(|write| write.write.clone()).collect(),
                reads: Vec::new(),
                terms: vec![term.clone()],
            };
            match gatherer.settle(change).await? {
                Settled::Applied(revision) => chunk.iter().for_each(|write| self.on_written(write, revision)),
                Settled::Refused(_) => return Err(KeepError::Changed),
            }
        }
        Ok(())
    }

    fn collect_offsets(&mut self, writes: &mut Vec<Pending>) {
        for (topic_id, kept) in &mut self.offsets {
            if std::mem::take(&mut kept.dirty) {
                let key = offsets_key(&self.group_id, *topic_id);
                let value = (!kept.offsets.is_empty()).then(|| encode_offsets(&kept.offsets));
                writes.extend(Pending::new(Target::Offsets(*topic_id), key, value, kept.revision));
            }
        }
        self.offsets.retain(|_, kept| !kept.offsets.is_empty() || kept.revision.is_some());
    }

    fn collect_group(&mut self, writes: &mut Vec<Pending>, now: Timestamp) {
        let mut dirty = self.core.take_dirty() || std::mem::take(&mut self.dirty);
        let has_offsets = self.offsets.values().any(|kept| !kept.offsets.is_empty());
        // A group that nobody joined is known by its offsets.
        dirty |= has_offsets && self.revision.is_none();
        if !dirty {
            return;
        }
        self.empty_since = if self.core.is_empty() { self.empty_since.or(Some(now)) } else { None };
        let is_there = has_offsets || !self.core.is_new();
        let value =
            is_there.then(|| StoredGroup::new(&self.group_id, self.empty_since, self.core.stored()).encode());
        writes.extend(Pending::new(Target::Group, group_key(&self.group_id), value, self.revision));
    }

    fn on_written(&mut self, written: &Pending, revision: Revision) {
        let revision = matches!(written.write, Write::Put(..)).then_some(revision);
        match (written.target, revision) {
            (Target::Group, revision) => self.revision = revision,
            (Target::Producers, revision) => self.producers_revision = revision,
            (Target::Offsets(topic_id), Some(revision)) => {
                if let Some(kept) = self.offsets.get_mut(&topic_id) {
                    kept.revision = Some(revision);
                }
            }
            (Target::Offsets(topic_id), None) => {
                self.offsets.remove(&topic_id);
            }
        }
    }
}

/// A key on its way to the store.
struct Pending {
    target: Target,
    compare: Compare,
    write: Write,
}

#[derive(Clone, Copy)]
enum Target {
    Group,
    Producers,
    Offsets(TopicId),
}

impl Pending {
    /// Nothing, if there is nothing stored and nothing to store.
    fn new(target: Target, key: String, value: Option<Bytes>, revision: Option<Revision>) -> Option<Pending> {
        let compare = match revision {
            Some(revision) => Compare::Unchanged(key.clone(), revision),
            None => Compare::Absent(key.clone()),
        };
        let write = match (value, revision) {
            (Some(value), _) => Write::Put(key, value),
            (None, Some(_)) => Write::Delete(key),
            (None, None) => return None,
        };
        Some(Pending { target, compare, write })
    }
}

impl Core {
    fn restore(stored: StoredCore, config: &GroupsConfig, now: Moment) -> Result<Core, String> {
        match stored {
            StoredCore::Classic(stored) => ClassicGroup::restore(stored, config.classic.clone(), now)
                .map(|group| Core::Classic(Box::new(group)))
                .map_err(|error| error.to_string()),
            StoredCore::Consumer(stored) => ConsumerGroup::restore(&stored, config.consumer.clone(), now)
                .map(|group| Core::Consumer(Box::new(group)))
                .map_err(|error| error.to_string()),
            StoredCore::Share(stored) => ShareGroup::restore(&stored, config.share.clone(), now)
                .map(|group| Core::Share(Box::new(group)))
                .map_err(|error| error.to_string()),
        }
    }

    fn stored(&self) -> StoredCore {
        match self {
            Core::Classic(group) => StoredCore::Classic(group.stored()),
            Core::Consumer(group) => StoredCore::Consumer(Box::new(group.stored())),
            Core::Share(group) => StoredCore::Share(Box::new(group.stored())),
        }
    }

    /// Whether nobody is in it.
    pub fn is_empty(&self) -> bool {
        match self {
            Core::Classic(group) => group.is_empty(),
            Core::Consumer(group) => group.is_empty(),
            Core::Share(group) => group.is_empty(),
        }
    }

    /// Whether nobody ever was.
    fn is_new(&self) -> bool {
        match self {
            Core::Classic(group) => group.is_empty() && group.generation_id() == 0,
            Core::Consumer(_) | Core::Share(_) => false,
        }
    }

    fn take_dirty(&mut self) -> bool {
        match self {
            Core::Classic(group) => group.take_dirty(),
            Core::Consumer(group) => group.take_dirty(),
            Core::Share(group) => group.take_dirty(),
        }
    }

    /// Members that are told when their next heartbeat is due.
    pub fn paced_members(&self) -> usize {
        match self {
            Core::Classic(_) => 0,
            Core::Consumer(group) => group.members_count(),
            Core::Share(group) => group.members_count(),
        }
    }

    /// When [`Core::on_time`] is due.
    pub fn next_deadline(&self) -> Option<Moment> {
        match self {
            Core::Classic(group) => group.next_deadline(),
            Core::Consumer(group) => group.next_deadline(),
            Core::Share(group) => group.next_deadline(),
        }
    }

    /// Does what time has brought; which members of a share group are gone by that.
    pub fn on_time(&mut self, now: Moment) -> Vec<MemberId> {
        match self {
            Core::Classic(group) => group.on_time(now),
            Core::Consumer(group) => group.on_time(now),
            Core::Share(group) => return group.on_time(now),
        }
        Vec::new()
    }
}
