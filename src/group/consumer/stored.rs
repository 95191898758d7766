//! What the metadata store holds of a group: everything a member was told, nothing that passes with time.
//!
//! ```text
//! {"version":1,"group_epoch":7,"assignment_epoch":7,
//!  "topics":[{"id":"<32 hex digits>","name":"a","partitions":6}],   those without a name exist no longer
//!  "subscriptions":[{"names":["a"],"regex":null}],
//!  "members":[{"member_id":"m","subscription":0,"member_epoch":7,...,
//!              "assigned":[[0,7,"0-2"]],                            place in topics, epoch, partitions
//!              "revoking":[],"target":null}]}                       null: the same partitions as assigned
//! ```
//!
//! Topics and subscriptions are written once however many members have them, and partitions as ranges, so that the
//! largest group stays well below what a store takes in one value.

use super::assignor::Assignor;
use super::embedded::ClassicProtocol;
use super::group::{ConsumerGroup, ConsumerGroupConfig, FIRST_EPOCH};
use super::member::{ClassicProfile, Member, Profile};
use super::partitions::{PartitionSet, RangesReader, by_topic, encode_ranges};
use super::reconcile::{HeldPartitions, Holding, MemberState};
use super::subscription::{SubscribedTopic, Subscription, TopicSize, TopicsImage, resolve_all};
use crate::group::{GroupInstanceId, MemberId};
use crate::hashing::HashMap;
use crate::types::{Moment, PartitionIndex, TopicId, TopicName, TopicPartition};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;
use uuid::Uuid;

const STORED_VERSION: u32 = 1;

/// A stored group that this release cannot read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the stored consumer group cannot be read: {0}")]
pub struct UnreadableConsumerGroup(String);

/// A group as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredConsumerGroup {
    version: u32,
    group_epoch: i32,
    assignment_epoch: i32,
    topics: Vec<StoredTopic>,
    subscriptions: Vec<StoredSubscription>,
    members: Vec<StoredMember>,
}

impl StoredConsumerGroup {
    /// A group without members, whose epochs go on after `group_epoch`.
    #[must_use]
    pub fn empty(group_epoch: i32) -> StoredConsumerGroup {
        let group_epoch = group_epoch.max(FIRST_EPOCH);
        StoredConsumerGroup {
            version: STORED_VERSION,
            group_epoch,
            assignment_epoch: group_epoch,
            topics: Vec::new(),
            subscriptions: Vec::new(),
            members: Vec::new(),
        }
    }

    /// Whether nobody is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct StoredTopic {
    id: String,
    name: Option<String>,
    partitions: i32,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct StoredSubscription {
    names: Vec<String>,
    regex: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct StoredMember {
    member_id: String,
    instance_id: Option<String>,
    rack_id: Option<String>,
    client_id: String,
    client_host: String,
    rebalance_timeout_ms: u64,
    assignor: Option<String>,
    subscription: usize,
    state: StoredState,
    member_epoch: i32,
    previous_member_epoch: i32,
    assigned: Vec<StoredPartitions>,
    revoking: Vec<StoredPartitions>,
    target: Option<Vec<StoredPartitions>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    classic: Option<StoredClassic>,
}

/// Of a member of the classic protocol: its session timeout, and its protocols with their metadata in hex.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct StoredClassic {
    session_timeout_ms: u64,
    protocols: Vec<(String, String)>,
}

/// A place in `topics`, the epoch at which the member got them, and their numbers as ranges.
type StoredPartitions = (usize, i32, String);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StoredState {
    Stable,
    UnrevokedPartitions,
    UnreleasedPartitions,
}

impl ConsumerGroup {
    /// What must survive this broker.
    #[must_use]
    pub fn stored(&self) -> StoredConsumerGroup {
        let mut places = Places::new(self);
        let mut subscriptions = Vec::new();
        let mut known: HashMap<&Subscription, usize> = HashMap::default();
        let mut members = Vec::with_capacity(self.members.len());
        for (member_id, member) in &self.members {
            let subscription = *known.entry(&member.profile.subscription).or_insert_with(|| {
                subscriptions.push(store_subscription(&member.profile.subscription));
                subscriptions.len() - 1
            });
            members.push(store_member(member_id, member, subscription, &mut places));
        }
        StoredConsumerGroup {
            version: STORED_VERSION,
            group_epoch: self.group_epoch,
            assignment_epoch: self.assignment_epoch,
            topics: places.topics,
            subscriptions,
            members,
        }
    }

    /// The group that was stored, with fresh timers. Its members go on at their epochs; what has changed of the topics
    /// in between comes by `on_topics_changed`, which the owner calls once.
    pub fn restore(
        stored: &StoredConsumerGroup,
        config: ConsumerGroupConfig,
        now: Moment,
    ) -> Result<ConsumerGroup, UnreadableConsumerGroup> {
        if stored.version != STORED_VERSION {
            return unreadable(format!("version {} is not known here", stored.version));
        }
        let mut group = ConsumerGroup::new(config);
        group.group_epoch = stored.group_epoch;
        group.assignment_epoch = stored.assignment_epoch;
        if stored.group_epoch > stored.assignment_epoch {
            group.assignment_due = Some(now + group.config.assignment_delay);
        }
        let (ids, topics) = read_topics(&stored.topics)?;
        group.topics = topics;
        let subscriptions: Vec<Subscription> =
            stored.subscriptions.iter().map(read_subscription).collect::<Result<_, _>>()?;
        let mut ranges = RangesReader::new();
        for stored in &stored.members {
            let member = read_member(stored, &subscriptions, &ids, &mut ranges, now, &group.config)?;
            if member.holding.all().any(|which| group.owners.contains_key(which)) {
                return unreadable(format!("member {} owns a partition of another", stored.member_id));
            }
            group.insert(&MemberId::new(&stored.member_id), member);
        }
        if group.members.len() != stored.members.len() {
            return unreadable("a member id is there twice".to_owned());
        }
        group.look_up_stored_topics();
        group.dirty = false;
        Ok(group)
    }

    /// What members subscribed to when the group was stored: the stored topics are all that anybody subscribes to.
    fn look_up_stored_topics(&mut self) {
        let sized = |(id, topic): (&TopicId, &SubscribedTopic)| {
            (topic.name.clone(), TopicSize { topic_id: *id, partitions: topic.partitions })
        };
        let image: TopicsImage = self.topics.iter().map(sized).collect();
        let ids = resolve_all(self.members.values().map(|member| &member.profile.subscription), &image);
        for (member, ids) in self.members.values_mut().zip(ids) {
            member.subscribed = ids;
        }
    }
}

/// The topics as they are written, and where each of them is.
struct Places {
    topics: Vec<StoredTopic>,
    places: HashMap<TopicId, usize>,
}

impl Places {
    fn new(group: &ConsumerGroup) -> Places {
        let mut places = Places { topics: Vec::new(), places: HashMap::default() };
        for (id, topic) in &group.topics {
            places.add(*id, Some(topic));
        }
        places
    }

    fn add(&mut self, id: TopicId, topic: Option<&SubscribedTopic>) -> usize {
        self.topics.push(StoredTopic {
            id: id.to_string(),
            name: topic.map(|topic| topic.name.to_string()),
            partitions: topic.map_or(0, |topic| topic.partitions),
        });
        let place = self.topics.len() - 1;
        self.places.insert(id, place);
        place
    }

    fn of(&mut self, id: TopicId) -> usize {
        self.places.get(&id).copied().unwrap_or_else(|| self.add(id, None))
    }

    fn store_set(&mut self, set: &PartitionSet) -> Vec<StoredPartitions> {
        self.store(set.iter().map(|which| (0, *which)))
    }

    fn store_held(&mut self, held: &HeldPartitions) -> Vec<StoredPartitions> {
        self.store(held.iter().map(|(which, epoch)| (*epoch, *which)))
    }

    fn store(&mut self, partitions: impl Iterator<Item = (i32, TopicPartition)>) -> Vec<StoredPartitions> {
        let mut by_epoch: BTreeMap<i32, PartitionSet> = BTreeMap::new();
        for (epoch, which) in partitions {
            by_epoch.entry(epoch).or_default().insert(which);
        }
        let mut stored = Vec::new();
        for (epoch, set) in by_epoch {
            for (topic_id, numbers) in by_topic(&set) {
                let numbers: Vec<i32> = numbers.into_iter().map(|PartitionIndex(number)| number).collect();
                stored.push((self.of(topic_id), epoch, encode_ranges(&numbers)));
            }
        }
        stored
    }
}

fn store_member(id: &MemberId, member: &Member, subscription: usize, places: &mut Places) -> StoredMember {
    let (profile, holding) = (&member.profile, &member.holding);
    let on_target = member.target.iter().eq(holding.assigned.keys());
    StoredMember {
        member_id: id.to_string(),
        instance_id: profile.instance_id.as_ref().map(ToString::to_string),
        rack_id: profile.rack_id.clone(),
        client_id: profile.client_id.clone(),
        client_host: profile.client_host.clone(),
        rebalance_timeout_ms: millis(profile.rebalance_timeout),
        assignor: profile.assignor.map(|assignor| assignor.name().to_owned()),
        subscription,
        state: match holding.state {
            MemberState::Stable => StoredState::Stable,
            MemberState::UnrevokedPartitions => StoredState::UnrevokedPartitions,
            MemberState::UnreleasedPartitions => StoredState::UnreleasedPartitions,
        },
        member_epoch: holding.member_epoch,
        previous_member_epoch: holding.previous_member_epoch,
        assigned: places.store_held(&holding.assigned),
        revoking: places.store_held(&holding.revoking),
        target: (!on_target).then(|| places.store_set(&member.target)),
        classic: profile.classic.as_ref().map(store_classic),
    }
}

fn store_classic(classic: &ClassicProfile) -> StoredClassic {
    let protocols = classic.protocols.iter();
    StoredClassic {
        session_timeout_ms: millis(classic.session_timeout),
        protocols: protocols
            .map(|protocol| (protocol.name.clone(), encode_hex(&protocol.metadata)))
            .collect(),
    }
}

fn read_classic(stored: &StoredClassic) -> Result<ClassicProfile, UnreadableConsumerGroup> {
    let read = |(name, metadata): &(String, String)| match decode_hex(metadata) {
        Some(metadata) => Ok(ClassicProtocol { name: name.clone(), metadata }),
        None => unreadable(format!("the metadata of protocol {name} is not hex")),
    };
    Ok(ClassicProfile {
        session_timeout: Duration::from_millis(stored.session_timeout_ms),
        protocols: stored.protocols.iter().map(read).collect::<Result<_, _>>()?,
    })
}

fn encode_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn decode_hex(text: &str) -> Option<Bytes> {
    let pairs = text.as_bytes().chunks(2).map(std::str::from_utf8);
    pairs
        .map(|pair| {
            pair.ok().filter(|pair| pair.len() == 2).and_then(|pair| u8::from_str_radix(pair, 16).ok())
        })
        .collect()
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn store_subscription(subscription: &Subscription) -> StoredSubscription {
    StoredSubscription {
        names: subscription.names.iter().map(ToString::to_string).collect(),
        regex: subscription.regex.clone(),
    }
}

type Topics = (Vec<TopicId>, BTreeMap<TopicId, SubscribedTopic>);

fn read_topics(stored: &[StoredTopic]) -> Result<Topics, UnreadableConsumerGroup> {
    let (mut ids, mut topics) = (Vec::with_capacity(stored.len()), BTreeMap::new());
    for topic in stored {
        let id = Uuid::parse_str(&topic.id).map(TopicId).or_else(|error| unreadable(error.to_string()))?;
        ids.push(id);
        if let Some(name) = &topic.name {
            topics.insert(id, SubscribedTopic { name: read_name(name)?, partitions: topic.partitions });
        }
    }
    Ok((ids, topics))
}

fn read_name(name: &str) -> Result<TopicName, UnreadableConsumerGroup> {
    TopicName::parse(name).or_else(|error| unreadable(error.to_string()))
}

fn read_subscription(stored: &StoredSubscription) -> Result<Subscription, UnreadableConsumerGroup> {
    let names = stored.names.iter().map(|name| read_name(name)).collect::<Result<_, _>>()?;
    Ok(Subscription { names, regex: stored.regex.clone() })
}

fn read_member(
    stored: &StoredMember,
    subscriptions: &[Subscription],
    ids: &[TopicId],
    ranges: &mut RangesReader,
    now: Moment,
    config: &ConsumerGroupConfig,
) -> Result<Member, UnreadableConsumerGroup> {
    let Some(subscription) = subscriptions.get(stored.subscription) else {
        return unreadable(format!("member {} has no subscription", stored.member_id));
    };
    let profile = Profile {
        instance_id: stored.instance_id.as_deref().map(GroupInstanceId::new),
        rack_id: stored.rack_id.clone(),
        client_id: stored.client_id.clone(),
        client_host: stored.client_host.clone(),
        rebalance_timeout: Duration::from_millis(stored.rebalance_timeout_ms),
        assignor: stored.assignor.as_deref().and_then(Assignor::parse),
        subscription: subscription.clone(),
        classic: stored.classic.as_ref().map(read_classic).transpose()?,
    };
    let holding = Holding {
        state: match stored.state {
            StoredState::Stable => MemberState::Stable,
            StoredState::UnrevokedPartitions => MemberState::UnrevokedPartitions,
            StoredState::UnreleasedPartitions => MemberState::UnreleasedPartitions,
        },
        member_epoch: stored.member_epoch,
        previous_member_epoch: stored.previous_member_epoch,
        assigned: read_partitions(&stored.assigned, ids, ranges)?,
        revoking: read_partitions(&stored.revoking, ids, ranges)?,
    };
    let target = match &stored.target {
        None => holding.assigned.keys().copied().collect(),
        Some(target) => read_partitions(target, ids, ranges)?.into_keys().collect(),
    };
    let session_deadline = now + profile.session_timeout(config);
    let mut member = Member::new(profile, session_deadline);
    member.target = target;
    member.hold(now, holding);
    Ok(member)
}

fn read_partitions(
    stored: &[StoredPartitions],
    ids: &[TopicId],
    ranges: &mut RangesReader,
) -> Result<HeldPartitions, UnreadableConsumerGroup> {
    let mut held = HeldPartitions::new();
    for (place, epoch, numbers) in stored {
        let (Some(&topic_id), Some(numbers)) = (ids.get(*place), ranges.decode(numbers)) else {
            return unreadable(format!("{numbers:?} are no partitions of a topic here"));
        };
        held.extend(
            numbers
                .into_iter()
                .map(|number| (TopicPartition { topic_id, partition: PartitionIndex(number) }, *epoch)),
        );
    }
    Ok(held)
}

fn unreadable<T>(cause: String) -> Result<T, UnreadableConsumerGroup> {
    Err(UnreadableConsumerGroup(cause))
}
