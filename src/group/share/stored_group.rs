//! What the metadata store holds of a share group: everything a member was told, nothing that passes with time.
//!
//! ```text
//! {"version":1,"group_epoch":7,
//!  "topics":[{"id":"<32 hex digits>","name":"a","partitions":6}],   those without a name exist no longer
//!  "subscriptions":[["a"]],
//!  "members":[{"member_id":"m","subscription":0,"member_epoch":7,...,
//!              "assigned":[[0,"0-2"]],                              place in topics, partitions
//!              "target":null}]}                                     null: the same partitions as assigned
//! ```

use super::group::{Profile, ShareGroup, ShareGroupConfig, ShareMember};
use crate::group::MemberId;
use crate::group::consumer::{PartitionSet, RangesReader, TopicSize, by_topic, encode_ranges};
use crate::hashing::HashMap;
use crate::types::{Moment, PartitionIndex, TopicId, TopicName, TopicPartition};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use uuid::Uuid;

const STORED_VERSION: u32 = 1;

/// A stored group that this release cannot read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the stored share group cannot be read: {0}")]
pub struct UnreadableShareGroup(String);

/// A group as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredShareGroup {
    version: u32,
    group_epoch: i32,
    topics: Vec<StoredTopic>,
    subscriptions: Vec<Vec<String>>,
    members: Vec<StoredMember>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct StoredTopic {
    id: String,
    name: Option<String>,
    partitions: i32,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct StoredMember {
    member_id: String,
    rack_id: Option<String>,
    client_id: String,
    client_host: String,
    subscription: usize,
    member_epoch: i32,
    previous_member_epoch: i32,
    assigned: Vec<StoredPartitions>,
    target: Option<Vec<StoredPartitions>>,
}

/// A place in `topics`, and partition numbers as ranges.
type StoredPartitions = (usize, String);

impl StoredShareGroup {
    /// Whether nobody is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }
}

impl ShareGroup {
    /// What must survive this broker.
    #[must_use]
    pub fn stored(&self) -> StoredShareGroup {
        let mut places = Places::new(self);
        let mut subscriptions: Vec<Vec<String>> = Vec::new();
        let mut known: HashMap<&BTreeSet<TopicName>, usize> = HashMap::default();
        let mut members = Vec::with_capacity(self.members.len());
        for (member_id, member) in &self.members {
            let subscription = *known.entry(&member.profile.names).or_insert_with(|| {
                subscriptions.push(member.profile.names.iter().map(ToString::to_string).collect());
                subscriptions.len() - 1
            });
            members.push(store_member(member_id, member, subscription, &mut places));
        }
        StoredShareGroup {
            version: STORED_VERSION,
            group_epoch: self.group_epoch,
            topics: places.topics,
            subscriptions,
            members,
        }
    }

    /// The group that was stored, with fresh timers. Its members go on at their epochs; what has changed of the topics
    /// in between comes by `on_topics_changed`, which the owner calls once.
    pub fn restore(
        stored: &StoredShareGroup,
        config: ShareGroupConfig,
        now: Moment,
    ) -> Result<ShareGroup, UnreadableShareGroup> {
        if stored.version != STORED_VERSION {
            return unreadable(format!("version {} is not known here", stored.version));
        }
        let session_deadline = now + config.session_timeout;
        let mut group = ShareGroup::new(config);
        group.group_epoch = stored.group_epoch;
        let mut ids = Vec::with_capacity(stored.topics.len());
        for topic in &stored.topics {
            let topic_id =
                Uuid::parse_str(&topic.id).map(TopicId).or_else(|error| unreadable(error.to_string()))?;
            ids.push(topic_id);
            if let Some(name) = &topic.name {
                let size = TopicSize { topic_id, partitions: topic.partitions };
                group.topics.insert(read_name(name)?, size);
            }
        }
        let read_names = |names: &Vec<String>| names.iter().map(|name| read_name(name)).collect();
        let subscriptions: Vec<BTreeSet<TopicName>> =
            stored.subscriptions.iter().map(read_names).collect::<Result<_, _>>()?;
        let mut ranges = RangesReader::new();
        for stored in &stored.members {
            let member = read_member(stored, &subscriptions, &ids, &mut ranges, session_deadline)?;
            group.members.insert(MemberId::new(&stored.member_id), member);
        }
        if group.members.len() != stored.members.len() {
            return unreadable("a member id is there twice".to_owned());
        }
        Ok(group)
    }
}

/// The topics as they are written, and where each of them is.
struct Places {
    topics: Vec<StoredTopic>,
    places: HashMap<TopicId, usize>,
}

impl Places {
    fn new(group: &ShareGroup) -> Places {
        let mut places = Places { topics: Vec::new(), places: HashMap::default() };
        for (name, topic) in &group.topics {
            places.add(topic.topic_id, Some(name), topic.partitions);
        }
        places
    }

    fn add(&mut self, topic_id: TopicId, name: Option<&TopicName>, partitions: i32) -> usize {
        self.topics.push(StoredTopic {
            id: topic_id.to_string(),
            name: name.map(ToString::to_string),
            partitions,
        });
        let place = self.topics.len() - 1;
        self.places.insert(topic_id, place);
        place
    }

    fn store(&mut self, set: &PartitionSet) -> Vec<StoredPartitions> {
        let mut stored = Vec::new();
        for (topic_id, numbers) in by_topic(set) {
            let numbers: Vec<i32> = numbers.into_iter().map(|PartitionIndex(number)| number).collect();
            let known = self.places.get(&topic_id).copied();
            stored.push((known.unwrap_or_else(|| self.add(topic_id, None, 0)), encode_ranges(&numbers)));
        }
        stored
    }
}

fn store_member(
    id: &MemberId,
    member: &ShareMember,
    subscription: usize,
    places: &mut Places,
) -> StoredMember {
    StoredMember {
        member_id: id.to_string(),
        rack_id: member.profile.rack_id.clone(),
        client_id: member.profile.client_id.clone(),
        client_host: member.profile.client_host.clone(),
        subscription,
        member_epoch: member.member_epoch,
        previous_member_epoch: member.previous_member_epoch,
        assigned: places.store(&member.assigned),
        target: (member.target != member.assigned).then(|| places.store(&member.target)),
    }
}

fn read_member(
    stored: &StoredMember,
    subscriptions: &[BTreeSet<TopicName>],
    ids: &[TopicId],
    ranges: &mut RangesReader,
    session_deadline: Moment,
) -> Result<ShareMember, UnreadableShareGroup> {
    let Some(names) = subscriptions.get(stored.subscription) else {
        return unreadable(format!("member {} has no subscription", stored.member_id));
    };
    let assigned = read_partitions(&stored.assigned, ids, ranges)?;
    let target = stored.target.as_ref().map(|target| read_partitions(target, ids, ranges)).transpose()?;
    Ok(ShareMember {
        profile: Profile {
            rack_id: stored.rack_id.clone(),
            client_id: stored.client_id.clone(),
            client_host: stored.client_host.clone(),
            names: names.clone(),
        },
        member_epoch: stored.member_epoch,
        previous_member_epoch: stored.previous_member_epoch,
        target: target.unwrap_or_else(|| assigned.clone()),
        assigned,
        session_deadline,
    })
}

fn read_name(name: &str) -> Result<TopicName, UnreadableShareGroup> {
    TopicName::parse(name).or_else(|error| unreadable(error.to_string()))
}

fn read_partitions(
    stored: &[StoredPartitions],
    ids: &[TopicId],
    ranges: &mut RangesReader,
) -> Result<PartitionSet, UnreadableShareGroup> {
    let mut set = PartitionSet::new();
    for (place, numbers) in stored {
        let (Some(&topic_id), Some(numbers)) = (ids.get(*place), ranges.decode(numbers)) else {
            return unreadable(format!("{numbers:?} are no partitions of a topic here"));
        };
        let partitions = numbers.into_iter().map(PartitionIndex);
        set.extend(partitions.map(|partition| TopicPartition { topic_id, partition }));
    }
    Ok(set)
}

fn unreadable<T>(cause: String) -> Result<T, UnreadableShareGroup> {
    Err(UnreadableShareGroup(cause))
}
