//! A heartbeat: who may be here, what changed by it, and what is answered. A request that is refused changes nothing.

use super::group::{Profile, ShareGroup, ShareMember};
use super::request::{SHARE_JOIN_EPOCH, SHARE_LEAVE_EPOCH, ShareHeartbeatAnswer, ShareHeartbeatRequest};
use crate::group::consumer::{PartitionSet, TopicsImage};
use crate::group::{GroupError, MemberId, pace};
use crate::types::{Moment, TopicName};
use std::collections::BTreeSet;
use std::time::Duration;

impl ShareGroup {
    /// A member joins, lives on, or leaves. A request that is refused changes nothing.
    pub fn heartbeat(
        &mut self,
        now: Moment,
        request: &ShareHeartbeatRequest,
        topics: &TopicsImage,
    ) -> Result<ShareHeartbeatAnswer, GroupError> {
        request.check()?;
        match request.member_epoch {
            SHARE_LEAVE_EPOCH => self.leave(request),
            _ => self.live(now, request, topics),
        }
    }

    fn live(
        &mut self,
        now: Moment,
        request: &ShareHeartbeatRequest,
        topics: &TopicsImage,
    ) -> Result<ShareHeartbeatAnswer, GroupError> {
        let before = self.admit(request)?;
        let missed_an_answer = before.is_none_or(|member| member.member_epoch != request.member_epoch);
        let profile = profile_after(before.map(|member| &member.profile), request);
        self.check_profile(&request.member_id, &profile, topics)?;

        if self.place(now, &request.member_id, profile) {
            self.resolve(topics);
            self.rebalance();
        }
        let changed = self.reconcile(request);
        let says_all = request.subscribed_topic_names.is_some();
        Ok(self.answer(request, changed || missed_an_answer || says_all))
    }

    /// The member as it is, if it may be here. One that joins again has nothing and is welcome; one that comes with
    /// the epoch before its last move has missed an answer.
    fn admit(&self, request: &ShareHeartbeatRequest) -> Result<Option<&ShareMember>, GroupError> {
        let got = request.member_epoch;
        match self.members.get(&request.member_id) {
            Some(member)
                if [SHARE_JOIN_EPOCH, member.member_epoch, member.previous_member_epoch].contains(&got) =>
            {
                Ok(Some(member))
            }
            Some(member) => Err(GroupError::FencedMemberEpoch { expected: member.member_epoch, got }),
            None if got != SHARE_JOIN_EPOCH => Err(GroupError::UnknownMemberId),
            None if self.members.len() >= self.config.members_max => Err(GroupError::GroupMaxSizeReached),
            None => Ok(None),
        }
    }

    /// Whether the group has room for what the member now says of itself.
    fn check_profile(
        &self,
        member_id: &MemberId,
        profile: &Profile,
        topics: &TopicsImage,
    ) -> Result<(), GroupError> {
        let before = self.members.get(member_id).map(|member| &member.profile);
        if before == Some(profile) {
            return Ok(());
        }
        if before.is_none_or(|before| before.names != profile.names) {
            self.check_partitions(profile, topics)?;
        }
        let others = self.members.iter().filter(|(id, _)| *id != member_id);
        let profiles = others.map(|(id, member)| (id, &member.profile)).chain([(member_id, profile)]);
        let own = profiles.clone().map(|(id, profile)| id.as_str().len() + profile.stored_bytes());
        let mut subscriptions: Vec<&Profile> = profiles.map(|(_, profile)| profile).collect();
        subscriptions.sort_by(|a, b| a.names.cmp(&b.names));
        subscriptions.dedup_by(|a, b| a.names == b.names);
        let shared = subscriptions.into_iter().map(Profile::names_bytes);
        if own.chain(shared).sum::<usize>() > self.config.members_bytes_max {
            return Err(GroupError::GroupMaxSizeReached);
        }
        Ok(())
    }

    fn check_partitions(&self, profile: &Profile, topics: &TopicsImage) -> Result<(), GroupError> {
        let new = profile.names.iter().filter(|name| !self.topics.contains_key(name));
        let new = new.filter_map(|name| topics.get(name));
        let partitions = self.topics.values().chain(new).map(|topic| topic.partitions.max(0) as usize);
        if partitions.sum::<usize>() > self.config.partitions_max {
            return Err(GroupError::InvalidRequest("the group would subscribe to too many partitions"));
        }
        Ok(())
    }

    /// Puts the member at its place; whether the group needs new targets for it.
    fn place(&mut self, now: Moment, member_id: &MemberId, profile: Profile) -> bool {
        let session_deadline = now + self.config.session_timeout;
        let Some(member) = self.members.get_mut(member_id) else {
            let member = ShareMember {
                profile,
                member_epoch: SHARE_JOIN_EPOCH,
                previous_member_epoch: SHARE_JOIN_EPOCH,
                assigned: PartitionSet::new(),
                target: PartitionSet::new(),
                session_deadline,
            };
            self.members.insert(member_id.clone(), member);
            return true;
        };
        member.session_deadline = session_deadline;
        let subscribes_anew = member.profile.names != profile.names;
        self.dirty |= member.profile != profile;
        member.profile = profile;
        subscribes_anew
    }

    /// Brings the member to its target; whether that changes what it fetches.
    fn reconcile(&mut self, request: &ShareHeartbeatRequest) -> bool {
        let member = self.members.get_mut(&request.member_id).expect("it was just put there");
        if member.member_epoch != self.group_epoch {
            member.previous_member_epoch = request.member_epoch;
            member.member_epoch = self.group_epoch;
            self.dirty = true;
        }
        let changed = member.assigned != member.target;
        if changed {
            member.assigned = member.target.clone();
            self.dirty = true;
        }
        changed
    }

    fn leave(&mut self, request: &ShareHeartbeatRequest) -> Result<ShareHeartbeatAnswer, GroupError> {
        if !self.members.contains_key(&request.member_id) {
            return Err(GroupError::UnknownMemberId);
        }
        self.remove_all(std::slice::from_ref(&request.member_id));
        Ok(ShareHeartbeatAnswer {
            member_id: request.member_id.clone(),
            member_epoch: SHARE_LEAVE_EPOCH,
            heartbeat_interval: self.config.heartbeat_interval,
            assignment: None,
        })
    }

    fn answer(&self, request: &ShareHeartbeatRequest, with_assignment: bool) -> ShareHeartbeatAnswer {
        let member = &self.members[&request.member_id];
        ShareHeartbeatAnswer {
            member_id: request.member_id.clone(),
            member_epoch: member.member_epoch,
            heartbeat_interval: self.heartbeat_interval(),
            assignment: with_assignment.then(|| member.assigned.clone()),
        }
    }

    fn heartbeat_interval(&self) -> Duration {
        let quiet = self.members.values().all(|member| member.member_epoch == self.group_epoch);
        let config = &self.config;
        if quiet {
            return config.heartbeat_interval;
        }
        pace::while_rebalancing(config.rebalance_heartbeat_interval, self.members.len())
            .min(config.heartbeat_interval)
    }
}

/// What the member is after `request`, when it was `before` or is new.
fn profile_after(before: Option<&Profile>, request: &ShareHeartbeatRequest) -> Profile {
    let names = || before.map_or_else(BTreeSet::<TopicName>::new, |before| before.names.clone());
    Profile {
        rack_id: request.rack_id.clone().or_else(|| before?.rack_id.clone()),
        client_id: request.client_id.clone(),
        client_host: request.client_host.clone(),
        names: request.subscribed_topic_names.clone().unwrap_or_else(names),
    }
}
