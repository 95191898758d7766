//! JoinGroup: who comes in, under which id, and whether that starts a rebalance.

use super::super::{GroupError, MemberId, Ticket};
use super::config::ClassicGroupConfig;
use super::group::{ClassicGroup, State};
use super::members::{Member, Profile};
use super::request::{Answer, JoinRefused, JoinRequest, Joined, Protocol};
use super::stored::HEAD_COST;
use super::subscription::{self, CONSUMER_PROTOCOL_TYPE};
use super::text::string_cost;
use crate::types::Moment;
use bytes::Bytes;
use std::collections::BTreeSet;
use std::time::Duration;

/// Bytes that any one name of a member may take when stored: its client id, host, instance id, type, a protocol's name.
pub(super) const NAME_COST_MAX: usize = 4 << 10;

impl ClassicGroup {
    /// A member wants to be in the next generation. It waits until the others have joined, or hears at once.
    pub fn on_join(&mut self, ticket: Ticket, request: JoinRequest, now: Moment) {
        let asked_as = request.member_id.clone();
        if let Err(error) = self.join(ticket, request, now) {
            let member_id =
                if error == GroupError::GroupMaxSizeReached { MemberId::default() } else { asked_as };
            self.refuse_join(ticket, error, member_id);
        }
    }

    fn join(&mut self, ticket: Ticket, request: JoinRequest, now: Moment) -> Result<(), GroupError> {
        let profile = request.profile(&self.config)?;
        if !self.has_place_for(&request) {
            self.turn_away(&request.member_id, now);
            return Err(GroupError::GroupMaxSizeReached);
        }
        if !self.goes_with(&request.protocol_type, &profile.protocols) {
            return Err(GroupError::InconsistentGroupProtocol);
        }
        let join = Join { ticket, request, profile };
        if join.request.member_id.is_empty() { self.join_new(join, now) } else { self.join_known(join, now) }
    }

    fn join_new(&mut self, join: Join, now: Moment) -> Result<(), GroupError> {
        let instance = join.profile.group_instance_id.as_ref();
        let member_id = MemberId::new(&format!("{}-{}", join.request.name(), join.request.fresh_id));
        if self.members.contains(&member_id) || self.pending.contains_key(&member_id) {
            return Err(GroupError::UnknownServerError);
        }
        if let Some(holder) = instance.and_then(|instance| self.members.static_id(instance)).cloned() {
            return self.return_static(join, &holder, &member_id, now);
        }
        if instance.is_none() && join.request.member_id_required {
            self.await_with_id(&member_id, now + join.profile.session_timeout);
            self.refuse_join(join.ticket, GroupError::MemberIdRequired, member_id);
            return Ok(());
        }
        self.add_member(join, member_id, now)
    }

    fn join_known(&mut self, join: Join, now: Moment) -> Result<(), GroupError> {
        let member_id = join.request.member_id.clone();
        if self.pending.contains_key(&member_id) {
            // Static members get no id to come again with, so this is nobody we know.
            if join.request.group_instance_id.is_some() {
                return Err(GroupError::UnknownMemberId);
            }
            return self.add_member(join, member_id, now);
        }
        self.check_member(&member_id, join.request.group_instance_id.as_ref())?;
        let member = self.members.get(&member_id).ok_or(GroupError::UnknownMemberId)?;
        let unchanged = member.profile().protocols == join.profile.protocols;
        let leads = self.group_leader.as_ref() == Some(&member_id);
        match self.state {
            State::Empty => return Err(GroupError::UnknownMemberId),
            State::Completing if unchanged => self.answer_join(join.ticket, self.joined(&member_id)),
            State::Stable if unchanged && !leads => self.answer_join(join.ticket, self.joined(&member_id)),
            State::Preparing { .. } | State::Completing | State::Stable => {
                self.check_bytes(&join.profile, &member_id, Some(&member_id))?;
                self.members.update(&member_id, join.profile);
                self.park_join(&member_id, join.ticket);
                self.rebalance(now);
            }
        }
        Ok(())
    }

    fn add_member(&mut self, join: Join, member_id: MemberId, now: Moment) -> Result<(), GroupError> {
        self.check_bytes(&join.profile, &member_id, None)?;
        if let State::Preparing { initial: Some(initial), .. } = &mut self.state {
            initial.joined = true;
        }
        if self.members.is_empty() {
            self.protocol_type = Some(join.request.protocol_type);
        }
        let mut member = Member::new(join.profile, now + self.config.new_member_join_timeout);
        member.is_new = true;
        self.pending.remove(&member_id);
        self.group_leader.get_or_insert_with(|| member_id.clone());
        self.members.insert(member_id.clone(), member);
        self.park_join(&member_id, join.ticket);
        self.rebalance(now);
        Ok(())
    }

    /// A static member is back after a restart: it takes over from whoever held its name, who is fenced (KIP-345).
    fn return_static(
        &mut self,
        join: Join,
        holder: &MemberId,
        member_id: &MemberId,
        now: Moment,
    ) -> Result<(), GroupError> {
        self.check_bytes(&join.profile, member_id, Some(holder))?;
        let unchanged = self.reads_the_same(holder, &join.profile);
        let (ticket, skips) = (join.ticket, join.request.skip_assignment);
        let led = self.replace_member(holder, member_id, join.profile, now);
        self.mark_dirty();
        match self.state {
            State::Stable if unchanged && self.members.select_protocol() == self.protocol_name => {
                let mut joined = self.joined(member_id);
                joined.skip_assignment = led && skips;
                if led && !skips {
                    // It must not take itself for the leader: it would assign, and nobody waits for that.
                    joined.group_leader = holder.clone();
                    joined.members.clear();
                }
                self.answer_join(ticket, joined);
            }
            State::Stable | State::Completing => {
                self.park_join(member_id, ticket);
                self.prepare_rebalance(now);
            }
            State::Preparing { .. } | State::Empty => {
                self.park_join(member_id, ticket);
                self.rebalance(now);
            }
        }
        Ok(())
    }

    /// Puts the new id in the old one's place, assignment and all. Whether it is the leader's place.
    fn replace_member(
        &mut self,
        holder: &MemberId,
        member_id: &MemberId,
        profile: Profile,
        now: Moment,
    ) -> bool {
        self.answer_waiting(holder, &GroupError::FencedInstanceId, holder);
        let expires = now + profile.session_timeout;
        let mut member = Member::new(profile, expires);
        if let Some(before) = self.members.remove(holder) {
            member.assignment = before.assignment;
        }
        self.members.insert(member_id.clone(), member);
        if self.unsynced.remove(holder) {
            self.unsynced.insert(member_id.clone());
        }
        let led = self.group_leader.as_ref() == Some(holder);
        if led {
            self.group_leader = Some(member_id.clone());
        }
        led
    }

    /// Whether a consumer's topics are what they were. What is no subscription is taken for unchanged, as Kafka does:
    /// its bytes may differ after each restart, and a restart is to cost no rebalance.
    fn reads_the_same(&self, holder: &MemberId, profile: &Profile) -> bool {
        if self.protocol_type.as_deref() != Some(CONSUMER_PROTOCOL_TYPE) {
            return true;
        }
        let chosen = self.protocol_name();
        let before = self
            .members
            .get(holder)
            .and_then(|member| subscription::topics(&member.profile().metadata(chosen)));
        let after = subscription::topics(&profile.metadata(chosen));
        before.zip(after).is_none_or(|(before, after)| before == after)
    }

    /// The member has its id, and some time to come with it.
    fn await_with_id(&mut self, member_id: &MemberId, forgotten: Moment) {
        self.pending.insert(member_id.clone(), forgotten);
        let bytes =
            |pending: &mut dyn Iterator<Item = &MemberId>| pending.map(|id| id.as_str().len()).sum::<usize>();
        while self.pending.len() > self.config.pending_max.max(1)
            || self.pending.len() > 1 && bytes(&mut self.pending.keys()) > self.config.pending_bytes_max
        {
            let others = self.pending.iter().filter(|(pending, _)| *pending != member_id);
            let Some((oldest, _)) = others.min_by_key(|(_, forgotten)| **forgotten) else { return };
            let oldest = oldest.clone();
            self.pending.remove(&oldest);
        }
    }

    fn has_place_for(&self, request: &JoinRequest) -> bool {
        let returns = request.member_id.is_empty()
            && request
                .group_instance_id
                .as_ref()
                .is_some_and(|instance| self.members.static_id(instance).is_some());
        let known = self.members.get(&request.member_id);
        let max = self.config.members_max;
        match self.state {
            State::Empty => true,
            State::Preparing { .. } => {
                returns || known.is_some_and(Member::awaits_join) || self.members.awaiting_join() < max
            }
            State::Completing | State::Stable => returns || known.is_some() || self.members.len() < max,
        }
    }

    /// A member for which there is no place is out, if it was in.
    fn turn_away(&mut self, member_id: &MemberId, now: Moment) {
        self.remove_member(member_id);
        if matches!(self.state, State::Preparing { .. }) {
            self.rebalance(now);
        }
    }

    /// Whether these offers are of the group's type, and all its members know one of them.
    fn goes_with(&self, protocol_type: &str, protocols: &[Protocol]) -> bool {
        if self.state == State::Empty {
            return !protocol_type.is_empty() && !protocols.is_empty();
        }
        self.protocol_type.as_deref() == Some(protocol_type) && self.members.all_know_one_of(protocols)
    }

    /// Whether the group can still be stored with this profile, in place of `instead_of`'s. What does not grow may stay.
    fn check_bytes(
        &self,
        profile: &Profile,
        member_id: &MemberId,
        instead_of: Option<&MemberId>,
    ) -> Result<(), GroupError> {
        let replaced = instead_of.and_then(|holder| Some(self.members.get(holder)?.profile().cost(holder)));
        let before = self.members.cost();
        let after = before - replaced.unwrap_or(0) + profile.cost(member_id);
        let whole = after + self.members.assignments_cost() + HEAD_COST;
        let too_much = after + HEAD_COST > self.config.joined_bytes_max()
            || self.state == State::Stable && whole > self.config.stored_bytes_max;
        if too_much && after > before { Err(GroupError::GroupMaxSizeReached) } else { Ok(()) }
    }

    fn park_join(&mut self, member_id: &MemberId, ticket: Ticket) {
        if let Some(overtaken) = self.members.park_join(member_id, ticket) {
            self.refuse_join(overtaken, GroupError::RebalanceInProgress, member_id.clone());
        }
    }

    fn answer_join(&mut self, ticket: Ticket, joined: Joined) {
        self.answer(ticket, Answer::Join(Ok(joined)));
    }

    fn refuse_join(&mut self, ticket: Ticket, error: GroupError, member_id: MemberId) {
        self.answer(ticket, Answer::Join(Err(JoinRefused { error, member_id })));
    }
}

/// A join that may be let in.
struct Join {
    ticket: Ticket,
    request: JoinRequest,
    profile: Profile,
}

impl JoinRequest {
    /// What its id begins with.
    pub(in crate::group) fn name(&self) -> &str {
        self.group_instance_id.as_ref().map_or(self.client_id.as_str(), |instance| instance.as_str())
    }

    /// What the member says of itself, if it is within all limits.
    pub(in crate::group) fn profile(&self, config: &ClassicGroupConfig) -> Result<Profile, GroupError> {
        let session_timeout = millis(self.session_timeout_ms).ok_or(GroupError::InvalidSessionTimeout)?;
        if !(config.session_timeout_min..=config.session_timeout_max).contains(&session_timeout) {
            return Err(GroupError::InvalidSessionTimeout);
        }
        let instance = self.group_instance_id.as_ref().map_or("", |instance| instance.as_str());
        let names = [&self.client_id, &self.client_host, &self.protocol_type, instance];
        let metadata_bytes = self.protocols.iter().map(|protocol| protocol.metadata.len()).sum::<usize>();
        if names.into_iter().any(|name| string_cost(name) > NAME_COST_MAX)
            || self.protocols.iter().any(|protocol| string_cost(&protocol.name) > NAME_COST_MAX)
            || self.protocols.len() > config.protocols_max
            || metadata_bytes > config.member_metadata_bytes_max
        {
            return Err(GroupError::InvalidRequest("a text or a list of the request is too long"));
        }
        Ok(Profile {
            group_instance_id: self.group_instance_id.clone(),
            client_id: self.client_id.clone(),
            client_host: self.client_host.clone(),
            session_timeout,
            rebalance_timeout: millis(self.rebalance_timeout_ms).unwrap_or(session_timeout),
            protocols: own_protocols(&self.protocols),
        })
    }
}

/// Each protocol once, with metadata of its own: what came is a part of a whole request, which it would keep alive.
fn own_protocols(protocols: &[Protocol]) -> Vec<Protocol> {
    let mut seen = BTreeSet::new();
    let first = protocols.iter().filter(|protocol| seen.insert(protocol.name.as_str()));
    first
        .map(|each| Protocol { name: each.name.clone(), metadata: Bytes::copy_from_slice(&each.metadata) })
        .collect()
}

fn millis(value: i32) -> Option<Duration> {
    u64::try_from(value).ok().map(Duration::from_millis)
}
