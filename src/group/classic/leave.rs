//! LeaveGroup: members go by their own will, or are sent away by instance id.

use super::super::{GroupError, Ticket};
use super::group::{ClassicGroup, State};
use super::request::{Answer, LeaveAnswer, LeaveRequest, LeavingMember};
use crate::types::Moment;

impl ClassicGroup {
    /// Members go, each on its own; the others are told to join again once.
    pub fn on_leave(&mut self, ticket: Ticket, request: LeaveRequest, now: Moment) {
        let (members, pending) = (self.members.len(), self.pending.len());
        let mut results = Vec::with_capacity(request.members.len());
        for member in request.members {
            let result = self.leave(&member);
            results.push(LeaveAnswer { member, result });
        }
        // One that had not joined yet is missed only by those that wait for it.
        let was_awaited = self.pending.len() < pending && matches!(self.state, State::Preparing { .. });
        if self.members.len() < members || was_awaited {
            self.rebalance(now);
        }
        self.answer(ticket, Answer::Leave(results));
    }

    fn leave(&mut self, leaving: &LeavingMember) -> Result<(), GroupError> {
        let instance = leaving.group_instance_id.as_ref();
        if leaving.member_id.is_empty() {
            let holder = instance.and_then(|instance| self.members.static_id(instance)).cloned();
            self.remove_member(&holder.ok_or(GroupError::UnknownMemberId)?);
            return Ok(());
        }
        if !self.pending.contains_key(&leaving.member_id) {
            self.check_member(&leaving.member_id, instance)?;
        }
        self.remove_member(&leaving.member_id);
        Ok(())
    }
}
