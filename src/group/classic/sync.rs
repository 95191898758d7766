//! SyncGroup and Heartbeat.

use super::super::{GroupError, Ticket};
use super::group::{ClassicGroup, State};
use super::members::Member;
use super::request::{Answer, Assignment, HeartbeatRequest, SyncRequest, Synced};
use super::stored::HEAD_COST;
use super::text::bytes_cost;
use crate::types::Moment;
use bytes::Bytes;
use std::collections::BTreeMap;

impl ClassicGroup {
    /// A member asks for its assignment; it waits until the leader has brought it.
    pub fn on_sync(&mut self, ticket: Ticket, request: SyncRequest, now: Moment) {
        if let Err(error) = self.sync(ticket, request, now) {
            self.answer(ticket, Answer::Sync(Err(error)));
        }
    }

    /// A member says that it lives, and hears whether it must join again.
    pub fn on_heartbeat(&mut self, ticket: Ticket, request: &HeartbeatRequest, now: Moment) {
        let result = self.heartbeat(request, now);
        self.answer(ticket, Answer::Heartbeat(result));
    }

    fn heartbeat(&mut self, request: &HeartbeatRequest, now: Moment) -> Result<(), GroupError> {
        self.check_member(&request.member_id, request.group_instance_id.as_ref())?;
        self.check_generation(request.generation_id)?;
        if let Some(member) = self.members.get_mut(&request.member_id) {
            member.touch(now);
        }
        match self.state {
            State::Preparing { .. } => Err(GroupError::RebalanceInProgress),
            State::Empty | State::Completing | State::Stable => Ok(()),
        }
    }

    fn sync(&mut self, ticket: Ticket, request: SyncRequest, now: Moment) -> Result<(), GroupError> {
        self.check_member(&request.member_id, request.group_instance_id.as_ref())?;
        self.check_generation(request.generation_id)?;
        let differs = |named: &Option<String>, ours: &Option<String>| {
            named.as_ref().zip(ours.as_ref()).is_some_and(|(named, ours)| named != ours)
        };
        if differs(&request.protocol_type, &self.protocol_type)
            || differs(&request.protocol_name, &self.protocol_name)
        {
            return Err(GroupError::InconsistentGroupProtocol);
        }
        match self.state {
            State::Empty => Err(GroupError::UnknownMemberId),
            State::Preparing { .. } => Err(GroupError::RebalanceInProgress),
            State::Completing => {
                self.park_sync(ticket, request, now);
                Ok(())
            }
            State::Stable => {
                self.note_synced(&request.member_id);
                let member = self.members.get_mut(&request.member_id).ok_or(GroupError::UnknownMemberId)?;
                member.touch(now);
                let assignment = member.assignment.clone();
                self.answer(ticket, Answer::Sync(Ok(self.synced(assignment))));
                Ok(())
            }
        }
    }

    fn check_generation(&self, generation_id: i32) -> Result<(), GroupError> {
        if generation_id == self.generation_id { Ok(()) } else { Err(GroupError::IllegalGeneration) }
    }

    fn park_sync(&mut self, ticket: Ticket, request: SyncRequest, now: Moment) {
        self.note_synced(&request.member_id);
        let Some(member) = self.members.get_mut(&request.member_id) else { return };
        if let Some(overtaken) = member.awaiting_sync.replace(ticket) {
            self.answer(overtaken, Answer::Sync(Err(GroupError::RebalanceInProgress)));
        }
        if self.group_leader.as_ref() == Some(&request.member_id) {
            self.assign(request.assignments, now);
        }
    }

    /// The leader has spoken: the generation is complete, unless its assignment cannot be stored.
    fn assign(&mut self, assignments: Vec<Assignment>, now: Moment) {
        let mut by_member: BTreeMap<_, _> =
            assignments.into_iter().map(|each| (each.member_id, each.assignment)).collect();
        by_member.retain(|member_id, _| self.members.contains(member_id));
        let each_fits =
            by_member.values().all(|bytes| bytes.len() <= self.config.member_assignment_bytes_max);
        let cost = by_member.values().map(|bytes| bytes_cost(bytes)).sum::<usize>()
            + self.members.cost()
            + HEAD_COST;
        if !each_fits || cost > self.config.stored_bytes_max {
            self.answer_syncs(&GroupError::UnknownServerError, now);
            return self.prepare_rebalance(now);
        }
        for (member_id, member) in self.members.iter_mut() {
            // A copy: what came is a part of a whole request, which it would keep alive.
            member.assignment =
                by_member.get(member_id).map_or_else(Bytes::new, |bytes| Bytes::copy_from_slice(bytes));
        }
        self.state = State::Stable;
        self.mark_dirty();
        self.give_assignments(now);
    }

    fn give_assignments(&mut self, now: Moment) {
        let give = |member: &mut Member| {
            let ticket = member.awaiting_sync.take()?;
            member.touch(now);
            Some((ticket, member.assignment.clone()))
        };
        let given: Vec<_> = self.members.iter_mut().filter_map(|(_, member)| give(member)).collect();
        for (ticket, assignment) in given {
            self.answer(ticket, Answer::Sync(Ok(self.synced(assignment))));
        }
    }

    fn synced(&self, assignment: Bytes) -> Synced {
        Synced {
            protocol_type: self.protocol_type.clone(),
            protocol_name: self.protocol_name.clone(),
            assignment,
        }
    }
}
