//! The group itself: who is in it, who may own what, and when a new target is made.

use super::assignor::Assignor;
use super::member::{Member, Profile};
use super::partitions::PartitionSet;
use super::reconcile::Holding;
use super::request::{HeartbeatAnswer, HeartbeatRequest, JOIN_EPOCH, LEAVE_EPOCH, STATIC_LEAVE_EPOCH};
use super::shared::{GroupError, GroupInstanceId, MemberId};
use super::subscription::{
    SubscribedTopic, TopicsImage, all_ids, check_regex, resolve_all, subscribed_topics,
};
use crate::types::{Moment, TopicId, TopicName, TopicPartition};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

/// What an operator may set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerGroupConfig {
    /// How long a member may be silent: Kafka's `group.consumer.session.timeout.ms`.
    pub session_timeout: Duration,
    /// How often a member of a quiet group is heard of: Kafka's `group.consumer.heartbeat.interval.ms`.
    pub heartbeat_interval: Duration,
    /// The same while partitions are on their way, so that rebalances end soon.
    pub rebalance_heartbeat_interval: Duration,
    /// How long a change waits for others before a target is made for all of them; zero for at once.
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
    pub(super) members: BTreeMap<MemberId, Member>,
    pub(super) instances: BTreeMap<GroupInstanceId, MemberId>,
    /// The topics that are subscribed to and exist.
    pub(super) topics: BTreeMap<TopicId, SubscribedTopic>,
    /// Who may own a partition: it was told to, and has not said that it gave it up.
    pub(super) owners: HashMap<TopicPartition, MemberId>,
    pub(super) dirty: bool,
}

/// Who stands behind a heartbeat or a join.
pub(super) enum Admission {
    New,
    Known,
    /// It takes the place of this static member, which went.
    Replaces(MemberId),
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
            members: BTreeMap::new(),
            instances: BTreeMap::new(),
            topics: BTreeMap::new(),
            owners: HashMap::new(),
            dirty: false,
        }
    }

    /// A member joins, lives on, or leaves. A request that is refused changes nothing.
    pub fn heartbeat(
        &mut self,
        now: Moment,
        request: &HeartbeatRequest,
        topics: &TopicsImage,
    ) -> Result<HeartbeatAnswer, GroupError> {
        request.check()?;
        match request.member_epoch {
            LEAVE_EPOCH => self.leave(now, request),
            STATIC_LEAVE_EPOCH => self.leave_for_a_while(now, request),
            _ => self.live(now, request, topics),
        }
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

    /// Whether nobody is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Whether the group may be deleted.
    pub fn check_deletion(&self) -> Result<(), GroupError> {
        if self.members.is_empty() { Ok(()) } else { Err(GroupError::NonEmptyGroup) }
    }

    fn live(
        &mut self,
        now: Moment,
        request: &HeartbeatRequest,
        topics: &TopicsImage,
    ) -> Result<HeartbeatAnswer, GroupError> {
        let admission = self.admit(request)?;
        let before = self.before(&admission, &request.member_id);
        let profile = Profile::after(before.map(|member| &member.profile), request)?;
        let missed_an_answer =
            before.is_none_or(|member| member.holding.member_epoch != request.member_epoch);
        self.check_profile(&admission, &request.member_id, &profile, topics)?;

        if self.place(now, admission, &request.member_id, profile) {
            self.resolve(topics);
            self.bump(now);
        }
        self.assign_if_due(now);
        let changed = self.reconcile(now, &request.member_id, request.owned.as_ref(), request.member_epoch);
        Ok(self.answer(request, changed || missed_an_answer || request.is_full()))
    }

    /// Whom the member goes on from.
    fn before(&self, admission: &Admission, member_id: &MemberId) -> Option<&Member> {
        match admission {
            Admission::New => None,
            Admission::Known => self.members.get(member_id),
            Admission::Replaces(old) => self.members.get(old),
        }
    }

    /// Who it is, if it may be here.
    fn admit(&self, request: &HeartbeatRequest) -> Result<Admission, GroupError> {
        let joins = request.member_epoch == JOIN_EPOCH;
        let known = self.members.get(&request.member_id);
        let holder = request.instance_id.as_ref().and_then(|instance_id| self.instances.get(instance_id));
        match (known, holder) {
            (_, Some(holder)) if *holder != request.member_id => match (joins, &self.members[holder]) {
                (true, _) if known.is_some() => Err(ID_IN_USE),
                (true, member) if member.is_away() || member.profile.classic.is_some() => {
                    Ok(Admission::Replaces(holder.clone()))
                }
                (true, _) => Err(GroupError::UnreleasedInstanceId(holder.clone())),
                (false, _) => Err(GroupError::FencedInstanceId(holder.clone())),
            },
            (Some(_), None) if request.instance_id.is_some() => {
                if joins {
                    Err(ID_IN_USE)
                } else {
                    Err(unknown_instance(request))
                }
            }
            (Some(member), _) => check_epoch(member, request).map(|()| Admission::Known),
            (None, _) if !joins && request.instance_id.is_some() => Err(unknown_instance(request)),
            (None, _) if !joins => Err(GroupError::UnknownMemberId(request.member_id.to_string())),
            (None, _) if self.members.len() >= self.config.members_max => {
                Err(GroupError::GroupMaxSizeReached(self.config.members_max))
            }
            (None, _) => Ok(Admission::New),
        }
    }

    /// Whether the group has room for what the member now says of itself.
    pub(super) fn check_profile(
        &self,
        admission: &Admission,
        member_id: &MemberId,
        profile: &Profile,
        topics: &TopicsImage,
    ) -> Result<(), GroupError> {
        let before = self.before(admission, member_id).map(|member| &member.profile);
        if before == Some(profile) {
            return Ok(());
        }
        let subscription = &profile.subscription;
        if before.is_none_or(|before| before.subscription != *subscription) {
            if let Some(regex) = &subscription.regex {
                check_regex(regex)?;
            }
            self.check_partitions(profile, topics)?;
        }
        let replaced = match admission {
            Admission::Replaces(old) => old,
            Admission::New | Admission::Known => member_id,
        };
        let others =
            self.members.iter().filter(|(id, _)| *id != replaced).map(|(id, member)| (id, &member.profile));
        let profiles = others.chain([(member_id, profile)]);
        let own = profiles.clone().map(|(id, profile)| id.as_str().len() + profile.stored_bytes());
        let subscriptions: BTreeSet<_> = profiles.map(|(_, profile)| &profile.subscription).collect();
        let shared = subscriptions.into_iter().map(|subscription| subscription.text_bytes());
        if own.chain(shared).sum::<usize>() > self.config.members_bytes_max {
            return Err(GroupError::GroupMaxSizeReached(self.members.len()));
        }
        Ok(())
    }

    fn check_partitions(&self, profile: &Profile, topics: &TopicsImage) -> Result<(), GroupError> {
        let ids = resolve_all([&profile.subscription].into_iter(), topics);
        let new = subscribed_topics(ids.iter(), topics);
        let new = new.iter().filter(|(id, _)| !self.topics.contains_key(id)).map(|(_, topic)| topic);
        let partitions: usize =
            self.topics.values().chain(new).map(|topic| topic.partitions.max(0) as usize).sum();
        if partitions > self.config.partitions_max {
            return Err(GroupError::InvalidRequest("the group would subscribe to too many partitions"));
        }
        Ok(())
    }

    /// Puts the member at its place; whether the group needs new targets for it.
    pub(super) fn place(
        &mut self,
        now: Moment,
        admission: Admission,
        member_id: &MemberId,
        profile: Profile,
    ) -> bool {
        let session_deadline = now + profile.session_timeout(&self.config);
        match admission {
            Admission::New => {
                self.insert(member_id, Member::new(profile, session_deadline));
                return true;
            }
            Admission::Known => {}
            Admission::Replaces(old) => {
                let mut member = self.remove(&old).expect("it was looked up by this id");
                member.holding.member_epoch = JOIN_EPOCH;
                member.holding.previous_member_epoch = JOIN_EPOCH;
                self.insert(member_id, member);
            }
        }
        let member = self.members.get_mut(member_id).expect("it is in the group by now");
        member.session_deadline = session_deadline;
        let subscribes_anew = member.profile.subscription != profile.subscription;
        self.dirty |= member.profile != profile;
        member.profile = profile;
        subscribes_anew
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

    fn remove(&mut self, member_id: &MemberId) -> Option<Member> {
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

    fn leave(&mut self, now: Moment, request: &HeartbeatRequest) -> Result<HeartbeatAnswer, GroupError> {
        self.check_leaver(request)?;
        self.remove_all(now, std::slice::from_ref(&request.member_id));
        Ok(self.farewell(request))
    }

    fn leave_for_a_while(
        &mut self,
        now: Moment,
        request: &HeartbeatRequest,
    ) -> Result<HeartbeatAnswer, GroupError> {
        self.check_leaver(request)?;
        let session_deadline = now + self.config.session_timeout;
        let member = self.members.get_mut(&request.member_id).expect("the check found it");
        member.session_deadline = session_deadline;
        // Its successor holds these under another id, and offsets under the old id come too late from now on.
        let assigned = member.holding.assigned.keys().map(|which| (*which, JOIN_EPOCH)).collect();
        let away = Holding { member_epoch: STATIC_LEAVE_EPOCH, assigned, ..Holding::default() };
        self.hold(now, &request.member_id, away);
        self.trim_absent(now);
        Ok(self.farewell(request))
    }

    fn check_leaver(&self, request: &HeartbeatRequest) -> Result<(), GroupError> {
        match &request.instance_id {
            Some(instance_id) => match self.instances.get(instance_id) {
                None => Err(unknown_instance(request)),
                Some(holder) if *holder != request.member_id => {
                    Err(GroupError::FencedInstanceId(holder.clone()))
                }
                Some(_) => Ok(()),
            },
            None if self.members.contains_key(&request.member_id) => Ok(()),
            None => Err(GroupError::UnknownMemberId(request.member_id.to_string())),
        }
    }

    fn farewell(&self, request: &HeartbeatRequest) -> HeartbeatAnswer {
        HeartbeatAnswer {
            member_id: request.member_id.clone(),
            member_epoch: request.member_epoch,
            heartbeat_interval: self.config.heartbeat_interval,
            assignment: None,
        }
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

    pub(super) fn bump(&mut self, now: Moment) {
        self.group_epoch = self.group_epoch.saturating_add(1);
        self.assignment_due = self.assignment_due.or(Some(now + self.config.assignment_delay));
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
        self.assignment_epoch = self.group_epoch;
        self.dirty = true;
        self.trim_absent(now);
    }

    /// Members that are away own nothing: what is no longer meant for them is free at once.
    fn trim_absent(&mut self, now: Moment) {
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

    /// Brings the member a step nearer to its target; whether its assignment changed.
    pub(super) fn reconcile(
        &mut self,
        now: Moment,
        member_id: &MemberId,
        owned: Option<&PartitionSet>,
        shown_epoch: i32,
    ) -> bool {
        let member = &self.members[member_id];
        let goal = member.goal(self.assignment_epoch);
        let strays = |which: &TopicPartition| !goal.subscribed.contains(&which.topic_id);
        if member.holding.is_at(self.assignment_epoch) && !member.holding.assigned.keys().any(strays) {
            return false;
        }
        let is_free = |which: &TopicPartition| self.owners.get(which).is_none_or(|owner| owner == member_id);
        let next = member.holding.step(&goal, owned, shown_epoch, is_free);
        let changed = !next.assigned.keys().eq(member.holding.assigned.keys());
        self.hold(now, member_id, next);
        changed
    }

    fn hold(&mut self, now: Moment, member_id: &MemberId, next: Holding) {
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

    fn answer(&self, request: &HeartbeatRequest, with_assignment: bool) -> HeartbeatAnswer {
        let member = &self.members[&request.member_id];
        let assignment = with_assignment.then(|| member.holding.assigned.keys().copied().collect());
        HeartbeatAnswer {
            member_id: request.member_id.clone(),
            member_epoch: member.holding.member_epoch,
            heartbeat_interval: self.heartbeat_interval(),
            assignment,
        }
    }

    fn heartbeat_interval(&self) -> Duration {
        let quiet = self.assignment_due.is_none()
            && self.members.values().all(|member| member.is_settled(self.assignment_epoch));
        let config = &self.config;
        if quiet { config.heartbeat_interval } else { config.rebalance_heartbeat_interval }
    }
}

/// Whether the member may come with that epoch. One that joins again has nothing and is welcome; one that comes with
/// the epoch before its last move has missed an answer, if it owns no more than it was told to.
fn check_epoch(member: &Member, request: &HeartbeatRequest) -> Result<(), GroupError> {
    let (holding, got) = (&member.holding, request.member_epoch);
    let missed_an_answer = !member.is_away()
        && got == holding.previous_member_epoch
        && request
            .owned
            .as_ref()
            .is_some_and(|owned| owned.iter().all(|which| holding.assigned.contains_key(which)));
    if got == JOIN_EPOCH || got == holding.member_epoch || missed_an_answer {
        return Ok(());
    }
    Err(GroupError::FencedMemberEpoch { expected: holding.member_epoch, got })
}

fn unknown_instance(request: &HeartbeatRequest) -> GroupError {
    let instance_id = request.instance_id.as_ref().map(ToString::to_string);
    GroupError::UnknownMemberId(instance_id.unwrap_or_default())
}

const ID_IN_USE: GroupError =
    GroupError::InvalidRequest("the member id belongs to another group instance id");

/// Targets of the first epoch are empty: so whoever joins a new group has an epoch above 0 before there is a target.
const FIRST_EPOCH: i32 = 1;
