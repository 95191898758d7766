//! A heartbeat: who may be here, what changed by it, and what is answered. A request that is refused changes nothing.

use super::group::ConsumerGroup;
use super::member::{Member, Profile};
use super::partitions::PartitionSet;
use super::reconcile::Holding;
use super::request::{HeartbeatAnswer, HeartbeatRequest, JOIN_EPOCH, LEAVE_EPOCH, STATIC_LEAVE_EPOCH};
use super::subscription::{TopicsImage, check_regex, resolve_all, subscribed_topics};
use crate::group::{GroupError, MemberId, pace};
use crate::types::{Moment, TopicPartition};
use std::collections::BTreeSet;
use std::time::Duration;

/// Who stands behind a heartbeat or a join.
pub(super) enum Admission {
    New,
    Known,
    /// It takes the place of this static member, which went.
    Replaces(MemberId),
}

impl ConsumerGroup {
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
        Ok(self.answer(now, request, changed || missed_an_answer || request.is_full()))
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
                (true, _) => Err(GroupError::UnreleasedInstanceId),
                (false, _) => Err(GroupError::FencedInstanceId),
            },
            (Some(_), None) if request.instance_id.is_some() => {
                if joins {
                    Err(ID_IN_USE)
                } else {
                    Err(GroupError::UnknownMemberId)
                }
            }
            (Some(member), _) => check_epoch(member, request).map(|()| Admission::Known),
            (None, _) if !joins && request.instance_id.is_some() => Err(GroupError::UnknownMemberId),
            (None, _) if !joins => Err(GroupError::UnknownMemberId),
            (None, _) if self.members.len() >= self.config.members_max => {
                Err(GroupError::GroupMaxSizeReached)
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
            return Err(GroupError::GroupMaxSizeReached);
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
                None => Err(GroupError::UnknownMemberId),
                Some(holder) if *holder != request.member_id => Err(GroupError::FencedInstanceId),
                Some(_) => Ok(()),
            },
            None if self.members.contains_key(&request.member_id) => Ok(()),
            None => Err(GroupError::UnknownMemberId),
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

    fn answer(&self, now: Moment, request: &HeartbeatRequest, with_assignment: bool) -> HeartbeatAnswer {
        let member = &self.members[&request.member_id];
        let assignment = with_assignment.then(|| member.holding.assigned.keys().copied().collect());
        HeartbeatAnswer {
            member_id: request.member_id.clone(),
            member_epoch: member.holding.member_epoch,
            heartbeat_interval: self.heartbeat_interval(now),
            assignment,
        }
    }

    fn heartbeat_interval(&self, now: Moment) -> Duration {
        let quiet = self.assignment_due.is_none()
            && !self.is_restless(now)
            && self.members.values().all(|member| member.is_settled(self.assignment_epoch));
        let config = &self.config;
        if quiet {
            return config.heartbeat_interval;
        }
        pace::while_rebalancing(config.rebalance_heartbeat_interval, self.members.len())
            .min(config.heartbeat_interval)
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

const ID_IN_USE: GroupError =
    GroupError::InvalidRequest("the member id belongs to another group instance id");
