//! From one generation to the next: prepare, wait for the joins, give out the generation, wait for the syncs.

use super::super::{GroupError, MemberId};
use super::group::{ClassicGroup, InitialDelay, State};
use super::request::{Answer, Joined, JoinedMember};
use super::subscription::{self, CONSUMER_PROTOCOL_TYPE};
use crate::types::Moment;
use bytes::Bytes;
use std::collections::BTreeSet;
use std::time::Duration;

/// The shortest wait for members that must join and do not, so that waiting is never a busy loop.
const JOIN_WAIT_MIN: Duration = Duration::from_millis(1);

impl ClassicGroup {
    /// Something changed: start a rebalance, or end the one under way if all have joined.
    pub(super) fn rebalance(&mut self, now: Moment) {
        match &self.state {
            State::Preparing { initial: Some(_), .. } => {}
            State::Preparing { initial: None, .. } => self.complete_join_if_all_joined(now),
            State::Empty | State::Completing | State::Stable => self.prepare_rebalance(now),
        }
    }

    /// Everybody is to join again.
    pub(super) fn prepare_rebalance(&mut self, now: Moment) {
        self.answer_syncs(&GroupError::RebalanceInProgress, now);
        self.unsynced.clear();
        self.sync_deadline = None;
        let timeout = self.members.rebalance_timeout();
        let delay = self.config.initial_rebalance_delay;
        if self.state == State::Empty {
            let initial = InitialDelay { remaining: timeout.saturating_sub(delay), joined: false };
            self.state = State::Preparing { deadline: now + delay, initial: Some(initial) };
        } else {
            self.state = State::Preparing { deadline: now + timeout, initial: None };
            self.complete_join_if_all_joined(now);
        }
    }

    /// Ends the wait for joins if none is missing.
    pub(super) fn complete_join_if_all_joined(&mut self, now: Moment) {
        if self.pending.is_empty() && self.members.awaiting_join() == self.members.len() {
            self.complete_join(now);
        }
    }

    /// The wait for joins is over, if it is.
    pub(super) fn expire_join(&mut self, now: Moment) {
        let initial_delay = self.config.initial_rebalance_delay;
        let State::Preparing { deadline, initial } = &mut self.state else { return };
        if *deadline > now {
            return;
        }
        if let Some(initial) = initial
            && std::mem::take(&mut initial.joined)
            && !initial.remaining.is_zero()
        {
            let wait = initial.remaining.min(initial_delay);
            // A delay of nothing would never use up what remains.
            initial.remaining = if wait.is_zero() { Duration::ZERO } else { initial.remaining - wait };
            *deadline = now + wait;
            return;
        }
        self.complete_join(now);
    }

    /// Members that did not sync in time are out.
    pub(super) fn expire_sync(&mut self, now: Moment) {
        if self.sync_deadline.is_none_or(|deadline| deadline > now) {
            return;
        }
        self.sync_deadline = None;
        let late = std::mem::take(&mut self.unsynced);
        for member_id in &late {
            self.remove_member(member_id);
        }
        if !late.is_empty() {
            self.prepare_rebalance(now);
        }
    }

    /// A member of this generation has synced.
    pub(super) fn note_synced(&mut self, member_id: &MemberId) {
        self.unsynced.remove(member_id);
        if self.unsynced.is_empty() {
            self.sync_deadline = None;
        }
    }

    /// What a member that is in the present generation is answered to its join.
    pub(super) fn joined(&self, member_id: &MemberId) -> Joined {
        let leads = self.group_leader.as_ref() == Some(member_id);
        Joined {
            member_id: member_id.clone(),
            generation_id: self.generation_id,
            protocol_type: self.protocol_type.clone(),
            protocol_name: self.protocol_name.clone(),
            group_leader: self.group_leader.clone().unwrap_or_default(),
            members: if leads { self.members_for_leader() } else { Vec::new() },
            skip_assignment: false,
        }
    }

    /// The topics of all members, if the group is one of consumers and all can be read.
    pub(super) fn read_subscribed(&self) -> Option<BTreeSet<String>> {
        if self.protocol_type.as_deref() != Some(CONSUMER_PROTOCOL_TYPE) {
            return None;
        }
        let mut all = BTreeSet::new();
        for (_, member) in self.members.iter() {
            all.append(&mut subscription::topics(&member.profile().metadata(self.protocol_name()))?);
        }
        Some(all)
    }

    fn complete_join(&mut self, now: Moment) {
        for member_id in self.members.ids_where(|member| !member.is_static() && !member.awaits_join()) {
            self.remove_member(&member_id);
        }
        if !self.members.is_empty() && !self.elect_leader_that_joined() {
            let wait = self.members.rebalance_timeout().max(JOIN_WAIT_MIN);
            if let State::Preparing { deadline, .. } = &mut self.state {
                *deadline = now + wait;
            }
            return;
        }
        self.begin_generation();
        if self.members.is_empty() {
            self.state = State::Empty;
            self.mark_dirty();
        } else {
            self.state = State::Completing;
            self.answer_joins(now);
        }
    }

    /// The leader stays if it joined, else the first member that did. `false` if none did.
    fn elect_leader_that_joined(&mut self) -> bool {
        let joined =
            |member_id: &MemberId| self.members.get(member_id).is_some_and(|member| member.awaits_join());
        if self.group_leader.as_ref().is_some_and(joined) {
            return true;
        }
        let heir = self.members.iter().find(|(_, member)| member.awaits_join());
        let Some(heir) = heir.map(|(member_id, _)| member_id.clone()) else { return false };
        self.group_leader = Some(heir);
        true
    }

    fn begin_generation(&mut self) {
        self.generation_heard = self.generation_heard.saturating_add(1);
        self.generation_id = self.generation_heard;
        self.protocol_name = self.members.select_protocol();
        self.subscribed = self.read_subscribed();
        if self.generation_id > self.generation_reserved {
            self.mark_dirty();
        }
    }

    fn answer_joins(&mut self, now: Moment) {
        self.unsynced = self.members.iter().map(|(member_id, _)| member_id.clone()).collect();
        self.sync_deadline = Some(now + self.members.rebalance_timeout());
        for member_id in self.members.ids_where(|_| true) {
            if let Some(ticket) = self.members.take_join(&member_id) {
                let joined = self.joined(&member_id);
                self.answer(ticket, Answer::Join(Ok(joined)));
            }
            if let Some(member) = self.members.get_mut(&member_id) {
                member.is_new = false;
                member.touch(now);
            }
        }
    }

    /// Answers all waiting syncs with an error.
    pub(super) fn answer_syncs(&mut self, error: &GroupError, now: Moment) {
        let mut tickets = Vec::new();
        for (_, member) in self.members.iter_mut() {
            if let Some(ticket) = member.awaiting_sync.take() {
                member.touch(now);
                tickets.push(ticket);
            }
        }
        for ticket in tickets {
            self.answer(ticket, Answer::Sync(Err(error.clone())));
        }
    }

    fn members_for_leader(&self) -> Vec<JoinedMember> {
        let view = |(member_id, member): (&MemberId, &super::members::Member)| JoinedMember {
            member_id: member_id.clone(),
            group_instance_id: member.profile().group_instance_id.clone(),
            metadata: self.metadata_of(member),
        };
        self.members.iter().map(view).collect()
    }

    fn metadata_of(&self, member: &super::members::Member) -> Bytes {
        member.profile().metadata(self.protocol_name())
    }
}
