//! The group itself: who is in it, who may own what, and when a new target is made.

use super::assignor::Assignor;
use super::member::Member;
use super::reconcile::Holding;
use super::subscription::{SubscribedTopic, TopicsImage, all_ids, resolve_all, subscribed_topics};
use crate::group::{GroupError, GroupInstanceId, MemberId};
use crate::hashing::HashMap;
use crate::types::{Moment, TopicId, TopicName, TopicPartition};
use std::collections::BTreeMap;
use std::time::Duration;

/// What an operator may set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerGroupConfig {
    /// How long a member may be silent: Kafka's `consumer.session.timeout.ms`.
    pub session_timeout: Duration,
    /// How often a member of a quiet group is heard of: Kafka's `consumer.heartbeat.interval.ms`.
    pub heartbeat_interval: Duration,
    /// The least of it while partitions are on their way or more changes are likely, so that rebalances end soon.
    pub rebalance_heartbeat_interval: Duration,
    /// How long a change waits for others before a target is made for all of them; zero for at once. Soon after another
    /// change each waits four times as long for the next, but no more than twenty times in all.
    pub assignment_delay: Duration,
    /// How many members a group may have: Kafka's `group.consumer.max.size`.
    pub members_max: usize,
    /// How many bytes the members may take where the group is stored.
    pub members_bytes_max: usize,
    /// How many partitions the topics of a new subscription may bring the group to.
    pub partitions_max: usize,
    /// The assignor where members ask for none.
    pub assignor: Assignor,
}

impl Default for ConsumerGroupConfig {
    fn default() -> ConsumerGroupConfig {
        ConsumerGroupConfig {
            session_timeout: Duration::from_secs(45),
            heartbeat_interval: Duration::from_secs(5),
            rebalance_heartbeat_interval: Duration::from_millis(200),
            assignment_delay: Duration::from_millis(50),
            members_max: 1_000,
            members_bytes_max: 640 << 10,
            partitions_max: 20_000,
            assignor: Assignor::Uniform,
        }
    }
}

/// A group of the consumer protocol.
#[derive(Debug)]
pub struct ConsumerGroup {
    pub(super) config: ConsumerGroupConfig,
    /// Grows by every change of members, subscriptions or topics.
    pub(super) group_epoch: i32,
    /// The group epoch that the targets were made for.
    pub(super) assignment_epoch: i32,
    /// When the targets are due that are still to be made.
    pub(super) assignment_due: Option<Moment>,
    /// Since when a change waits for its target.
    pub(super) waits_since: Option<Moment>,
    /// Until when another change is likely: members that are started together come one after the other.
    pub(super) restless_until: Option<Moment>,
    pub(super) members: BTreeMap<MemberId, Member>,
    pub(super) instances: BTreeMap<GroupInstanceId, MemberId>,
    /// The topics that are subscribed to and exist.
    pub(super) topics: BTreeMap<TopicId, SubscribedTopic>,
    /// Who may own a partition: it was told to, and has not said that it gave it up.
    pub(super) owners: HashMap<TopicPartition, MemberId>,
    pub(super) dirty: bool,
}

impl ConsumerGroup {
    /// A group without members.
    #[must_use]
    pub fn new(config: ConsumerGroupConfig) -> ConsumerGroup {
        ConsumerGroup {
            config,
            group_epoch: FIRST_EPOCH,
            assignment_epoch: FIRST_EPOCH,
            assignment_due: None,
            waits_since: None,
            restless_until: None,
            members: BTreeMap::new(),
            instances: BTreeMap::new(),
            topics: BTreeMap::new(),
            owners: HashMap::default(),
            dirty: false,
        }
    }

    /// The operator has changed something; sessions that run keep their deadline.
    pub fn configure(&mut self, config: ConsumerGroupConfig) {
        self.config = config;
    }

    /// The topics have changed: some were created or deleted, or have more partitions.
    pub fn on_topics_changed(&mut self, now: Moment, topics: &TopicsImage) {
        if self.resolve(topics) {
            self.bump(now);
            self.assign_if_due(now);
        }
    }

    /// When `on_time` wants to be called next.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Moment> {
        let members = self.members.values().map(Member::deadline);
        members.chain(self.assignment_due).min()
    }

    /// Time has passed: silent and slow members are fenced, and a target is made if one is due.
    pub fn on_time(&mut self, now: Moment) {
        let gone: Vec<MemberId> = self
            .members
            .iter()
            .filter(|(_, member)| member.deadline() <= now)
            .map(|(id, _)| id.clone())
            .collect();
        if !gone.is_empty() {
            self.remove_all(now, &gone);
        }
        self.assign_if_due(now);
    }

    /// Whether what `stored` gives has changed since this was asked last.
    pub fn take_dirty(&mut self) -> bool {
        std::mem::take(&mut self.dirty)
    }

    /// Whether anybody subscribes to that topic, so that its offsets must not be deleted.
    #[must_use]
    pub fn subscribed_to(&self, topic: &TopicName) -> bool {
        self.topics.values().any(|subscribed| subscribed.name == *topic)
            || self.members.values().any(|member| member.profile.subscription.names.contains(topic))
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

    /// Whether the group may be deleted.
    pub fn check_deletion(&self) -> Result<(), GroupError> {
        if self.members.is_empty() { Ok(()) } else { Err(GroupError::NonEmptyGroup) }
    }

    pub(super) fn insert(&mut self, member_id: &MemberId, member: Member) {
        if let Some(instance_id) = &member.profile.instance_id {
            self.instances.insert(instance_id.clone(), member_id.clone());
        }
        for which in member.holding.all() {
            let other = self.owners.insert(*which, member_id.clone());
            debug_assert!(other.is_none(), "{which} has two owners");
        }
        self.members.insert(member_id.clone(), member);
        self.dirty = true;
    }

    pub(super) fn remove(&mut self, member_id: &MemberId) -> Option<Member> {
        let member = self.members.remove(member_id)?;
        for which in member.holding.all() {
            self.owners.remove(which);
        }
        if let Some(instance_id) = &member.profile.instance_id {
            self.instances.remove(instance_id);
        }
        self.dirty = true;
        Some(member)
    }

    pub(super) fn remove_all(&mut self, now: Moment, gone: &[MemberId]) {
        for member_id in gone {
            self.remove(member_id);
        }
        let wanted = all_ids(self.members.values().map(|member| &member.subscribed));
        self.topics.retain(|topic_id, _| wanted.contains(topic_id));
        self.bump(now);
        self.assign_if_due(now);
    }

    /// Looks up anew what everybody subscribes to; whether the topics of the group have changed by that.
    pub(super) fn resolve(&mut self, topics: &TopicsImage) -> bool {
        let ids = resolve_all(self.members.values().map(|member| &member.profile.subscription), topics);
        let subscribed = subscribed_topics(ids.iter(), topics);
        for (member, ids) in self.members.values_mut().zip(ids) {
            member.subscribed = ids;
        }
        let changed = subscribed != self.topics;
        self.topics = subscribed;
        changed
    }

    /// Whether it has changed a moment ago, so that it will probably change again.
    pub(super) fn is_restless(&self, now: Moment) -> bool {
        self.restless_until.is_some_and(|until| now < until)
    }

    pub(super) fn bump(&mut self, now: Moment) {
        self.group_epoch = self.group_epoch.saturating_add(1);
        // Each target costs every member a step, in which it may have to give up what it was just given.
        let delay = self.config.assignment_delay;
        let others = if self.is_restless(now) { 4 } else { 1 };
        let waits_since = *self.waits_since.get_or_insert(now);
        self.assignment_due = Some((now + delay * others).min(waits_since + delay * 20));
        self.restless_until = Some(now + RESTLESS_TIME);
        self.dirty = true;
    }

    /// Makes the targets that are due; nobody has to wait for those of a group without members.
    pub(super) fn assign_if_due(&mut self, now: Moment) {
        if !self.assignment_due.is_some_and(|due| due <= now || self.members.is_empty()) {
            return;
        }
        let sizes = self.topics.iter().map(|(id, topic)| (*id, topic.partitions)).collect();
        let members: Vec<_> = self.members.iter().map(|(id, member)| member.for_assignor(id)).collect();
        let targets = self.preferred_assignor().assign(&members, &sizes);
        for (member, target) in self.members.values_mut().zip(targets) {
            member.target = target;
        }
        self.assignment_due = None;
        self.waits_since = None;
        self.assignment_epoch = self.group_epoch;
        self.dirty = true;
        self.trim_absent(now);
    }

    /// Members that are away own nothing: what is no longer meant for them is free at once.
    pub(super) fn trim_absent(&mut self, now: Moment) {
        let trim = |member: &Member| {
            let mut holding = member.holding.clone();
            holding.assigned.retain(|which, _| member.target.contains(which));
            holding
        };
        let away = self.members.iter().filter(|(_, member)| member.is_away());
        let trimmed: Vec<(MemberId, Holding)> = away.map(|(id, member)| (id.clone(), trim(member))).collect();
        for (member_id, holding) in trimmed {
            self.hold(now, &member_id, holding);
        }
    }

    /// The assignor most members ask for.
    #[must_use]
    pub fn preferred_assignor(&self) -> Assignor {
        let mut votes: BTreeMap<Assignor, usize> = BTreeMap::new();
        for assignor in self.members.values().filter_map(|member| member.profile.assignor) {
            *votes.entry(assignor).or_default() += 1;
        }
        let most = votes.into_iter().rev().max_by_key(|(_, votes)| *votes);
        most.map_or(self.config.assignor, |(assignor, _)| assignor)
    }

    pub(super) fn hold(&mut self, now: Moment, member_id: &MemberId, next: Holding) {
        let member = self.members.get_mut(member_id).expect("only members hold something");
        if member.holding == next {
            return;
        }
        for which in member.holding.all() {
            self.owners.remove(which);
        }
        for which in next.all() {
            let other = self.owners.insert(*which, member_id.clone());
            debug_assert!(other.is_none(), "{which} has two owners");
        }
        member.hold(now, next);
        self.dirty = true;
    }
}

/// How long after a change of the group its members are asked to come soon again.
const RESTLESS_TIME: Duration = Duration::from_secs(2);

/// Targets of the first epoch are empty: so whoever joins a new group has an epoch above 0 before there is a target.
pub(super) const FIRST_EPOCH: i32 = 1;
