//! Membership of a share group: who is in it, and who fetches which partitions.
//!
//! Every change of members, subscriptions or topics makes new targets at once. A member comes to its target by its
//! next heartbeat, in one step: it waits for nobody, as several may fetch the same partition.

use super::assignor::{self, AssignorMember};
use crate::group::consumer::{PartitionSet, TopicSize, TopicsImage};
use crate::group::{GroupError, MemberId};
use crate::types::{Moment, TopicId, TopicName};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// What an operator may set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShareGroupConfig {
    /// How long a member may be silent: Kafka's `share.session.timeout.ms`.
    pub session_timeout: Duration,
    /// How often a member of a quiet group is heard of: Kafka's `share.heartbeat.interval.ms`.
    pub heartbeat_interval: Duration,
    /// The same while members are still to be told of new targets.
    pub rebalance_heartbeat_interval: Duration,
    /// How many members a group may have: Kafka's `group.share.max.size`.
    pub members_max: usize,
    /// How many bytes the members may take where the group is stored.
    pub members_bytes_max: usize,
    /// How many partitions the topics of a new subscription may bring the group to.
    pub partitions_max: usize,
}

impl Default for ShareGroupConfig {
    fn default() -> ShareGroupConfig {
        ShareGroupConfig {
            session_timeout: Duration::from_secs(45),
            heartbeat_interval: Duration::from_secs(5),
            rebalance_heartbeat_interval: Duration::from_millis(200),
            members_max: 200,
            members_bytes_max: 640 << 10,
            partitions_max: 20_000,
        }
    }
}

/// A share group.
#[derive(Debug)]
pub struct ShareGroup {
    pub(super) config: ShareGroupConfig,
    /// Grows by every change of members, subscriptions or topics; targets are always those of this epoch.
    pub(super) group_epoch: i32,
    pub(super) members: BTreeMap<MemberId, ShareMember>,
    /// The topics that are subscribed to and exist.
    pub(super) topics: TopicsImage,
    pub(super) dirty: bool,
}

/// What a member says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Profile {
    pub(super) rack_id: Option<String>,
    pub(super) client_id: String,
    pub(super) client_host: String,
    pub(super) names: BTreeSet<TopicName>,
}

/// A member.
#[derive(Clone, Debug)]
pub(super) struct ShareMember {
    pub(super) profile: Profile,
    pub(super) member_epoch: i32,
    /// The epoch that the member knew when it was moved to `member_epoch`: should the answer be lost, it comes with
    /// this one.
    pub(super) previous_member_epoch: i32,
    /// What it was told to fetch.
    pub(super) assigned: PartitionSet,
    /// What it shall fetch.
    pub(super) target: PartitionSet,
    /// It is gone if nothing is heard of it until then.
    pub(super) session_deadline: Moment,
}

impl ShareGroup {
    /// A group without members.
    #[must_use]
    pub fn new(config: ShareGroupConfig) -> ShareGroup {
        ShareGroup {
            config,
            group_epoch: 0,
            members: BTreeMap::new(),
            topics: TopicsImage::new(),
            dirty: false,
        }
    }

    /// The operator has changed something; sessions that run keep their deadline.
    pub fn configure(&mut self, config: ShareGroupConfig) {
        self.config = config;
    }

    /// The topics have changed: some were created or deleted, or have more partitions.
    pub fn on_topics_changed(&mut self, topics: &TopicsImage) {
        if self.resolve(topics) {
            self.rebalance();
        }
    }

    /// When `on_time` wants to be called next.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Moment> {
        self.members.values().map(|member| member.session_deadline).min()
    }

    /// Time has passed: silent members are gone. Who, so that what they have acquired can be released.
    pub fn on_time(&mut self, now: Moment) -> Vec<MemberId> {
        let silent = self.members.iter().filter(|(_, member)| member.session_deadline <= now);
        let gone: Vec<MemberId> = silent.map(|(member_id, _)| member_id.clone()).collect();
        if !gone.is_empty() {
            self.remove_all(&gone);
        }
        gone
    }

    /// Whether what `stored` gives has changed since this was asked last.
    pub fn take_dirty(&mut self) -> bool {
        std::mem::take(&mut self.dirty)
    }

    /// Whether anybody subscribes to that topic, so that its offsets must not be deleted.
    #[must_use]
    pub fn subscribed_to(&self, topic: &TopicName) -> bool {
        self.members.values().any(|member| member.profile.names.contains(topic))
    }

    /// Whether it is a member, which share fetches need not be: an owner may ask.
    #[must_use]
    pub fn has_member(&self, member_id: &MemberId) -> bool {
        self.members.contains_key(member_id)
    }

    /// Grows by every change of members, subscriptions or topics.
    #[must_use]
    pub fn group_epoch(&self) -> i32 {
        self.group_epoch
    }

    /// How many are in it.
    #[must_use]
    pub fn members_count(&self) -> usize {
        self.members.len()
    }

    /// Whether nobody is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Whether the group may be deleted, and its offsets altered or deleted.
    pub fn check_deletion(&self) -> Result<(), GroupError> {
        if self.members.is_empty() { Ok(()) } else { Err(GroupError::NonEmptyGroup) }
    }

    pub(super) fn remove_all(&mut self, gone: &[MemberId]) {
        for member_id in gone {
            self.members.remove(member_id);
        }
        let mut topics = std::mem::take(&mut self.topics);
        topics.retain(|name, _| self.subscribed_to(name));
        self.topics = topics;
        self.rebalance();
    }

    /// Looks up anew what everybody subscribes to; whether the topics of the group have changed by that.
    pub(super) fn resolve(&mut self, topics: &TopicsImage) -> bool {
        let wanted: BTreeSet<&TopicName> =
            self.members.values().flat_map(|member| &member.profile.names).collect();
        let found: TopicsImage = wanted
            .into_iter()
            .filter_map(|name| topics.get(name).map(|size| (name.clone(), size.clone())))
            .collect();
        let changed = found != self.topics;
        self.topics = found;
        changed
    }

    /// A new epoch and new targets.
    pub(super) fn rebalance(&mut self) {
        self.group_epoch = self.group_epoch.saturating_add(1);
        self.dirty = true;
        let sizes: BTreeMap<TopicId, i32> =
            self.topics.values().map(|topic| (topic.topic_id, topic.partitions)).collect();
        let subscribed: Vec<BTreeSet<TopicId>> =
            self.members.values().map(|member| self.ids(member)).collect();
        let members: Vec<AssignorMember<'_>> = self
            .members
            .values()
            .zip(&subscribed)
            .map(|(member, subscribed)| AssignorMember { subscribed, target: &member.target })
            .collect();
        let targets = assignor::assign(&members, &sizes);
        for (member, target) in self.members.values_mut().zip(targets) {
            member.target = target;
        }
    }

    fn ids(&self, member: &ShareMember) -> BTreeSet<TopicId> {
        let topics = member.profile.names.iter().filter_map(|name| self.topics.get(name));
        topics.map(|topic: &TopicSize| topic.topic_id).collect()
    }
}

impl Profile {
    /// About how many bytes it takes where it is stored, without the names: equal subscriptions are stored once.
    pub(super) fn stored_bytes(&self) -> usize {
        let rack_id = self.rack_id.as_ref().map_or(0, String::len);
        FIELD_NAMES_BYTES + rack_id + self.client_id.len() + self.client_host.len()
    }

    /// How many bytes the names take.
    pub(super) fn names_bytes(&self) -> usize {
        self.names.iter().map(|name| name.as_str().len() + 3).sum()
    }
}

/// What the names of the stored fields and the numbers take.
const FIELD_NAMES_BYTES: usize = 192;
