//! The group: its state, its timers, and what the owner asks of it.

use super::super::{GroupError, GroupInstanceId, MemberId, Ticket};
use super::config::ClassicGroupConfig;
use super::members::Members;
use super::request::{Answer, JoinRefused, MemberView};
use crate::types::Moment;
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Generations that are reserved with each store, so that none is given twice over a restart.
pub(super) const GENERATIONS_RESERVED: i32 = 8;

/// Where the group is between two generations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// No members.
    Empty,
    /// Members join, until all have or the time is up.
    Preparing { deadline: Moment, initial: Option<InitialDelay> },
    /// The generation stands; its leader is to assign.
    Completing,
    /// All have their assignment.
    Stable,
}

/// The first rebalance of an empty group waits for more members, again and again while they come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct InitialDelay {
    /// How much longer it may be made to wait.
    pub remaining: Duration,
    /// Whether someone joined since the last wait began.
    pub joined: bool,
}

/// One group of the classic protocol.
#[derive(Debug)]
pub struct ClassicGroup {
    pub(super) config: ClassicGroupConfig,
    pub(super) state: State,
    pub(super) generation_id: i32,
    /// The highest generation that anyone may have heard of.
    pub(super) generation_heard: i32,
    /// Up to here generations may be given before the next store.
    pub(super) generation_reserved: i32,
    pub(super) protocol_type: Option<String>,
    pub(super) protocol_name: Option<String>,
    pub(super) group_leader: Option<MemberId>,
    pub(super) members: Members,
    /// Those that were given an id and have not joined with it, and when they are forgotten.
    pub(super) pending: BTreeMap<MemberId, Moment>,
    /// Members of this generation that have not synced.
    pub(super) unsynced: BTreeSet<MemberId>,
    pub(super) sync_deadline: Option<Moment>,
    /// The topics of all members, where they can be read.
    pub(super) subscribed: Option<BTreeSet<String>>,
    answers: Vec<(Ticket, Answer)>,
    dirty: bool,
}

impl ClassicGroup {
    /// A group without members, that was never stored.
    #[must_use]
    pub fn new(config: ClassicGroupConfig) -> ClassicGroup {
        ClassicGroup {
            config,
            state: State::Empty,
            generation_id: 0,
            generation_heard: 0,
            // Whoever hears of a generation of a group that was never stored has an id that nobody else gets.
            generation_reserved: GENERATIONS_RESERVED,
            protocol_type: None,
            protocol_name: None,
            group_leader: None,
            members: Members::default(),
            pending: BTreeMap::new(),
            unsynced: BTreeSet::new(),
            sync_deadline: None,
            subscribed: None,
            answers: Vec::new(),
            dirty: false,
        }
    }

    /// The answers since it was last asked; each ticket is in them once.
    pub fn take_answers(&mut self) -> Vec<(Ticket, Answer)> {
        std::mem::take(&mut self.answers)
    }

    /// Whether what [`ClassicGroup::stored`] gives must be stored before the answers are sent.
    pub fn take_dirty(&mut self) -> bool {
        std::mem::take(&mut self.dirty)
    }

    /// When [`ClassicGroup::on_time`] is due.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Moment> {
        let joins = match &self.state {
            State::Preparing { deadline, .. } => Some(*deadline),
            _ => None,
        };
        let members = self.members.iter().filter_map(|(_, member)| member.deadline()).min();
        let pending = self.pending.values().min().copied();
        [joins, self.sync_deadline, members, pending].into_iter().flatten().min()
    }

    /// Does what time has brought: sessions end, waits are over.
    pub fn on_time(&mut self, now: Moment) {
        self.expire_sessions(now);
        self.expire_sync(now);
        self.expire_join(now);
    }

    /// Answers everybody that waits with that error, since another broker takes over or this one stops.
    pub fn answer_all(&mut self, error: &GroupError) {
        for member_id in self.members.ids_where(|_| true) {
            self.answer_waiting(&member_id, error, &member_id);
        }
    }

    /// The state's name as Kafka shows it.
    #[must_use]
    pub fn state_name(&self) -> &'static str {
        match self.state {
            State::Empty => "Empty",
            State::Preparing { .. } => "PreparingRebalance",
            State::Completing => "CompletingRebalance",
            State::Stable => "Stable",
        }
    }

    /// The present generation; 0 before the first.
    #[must_use]
    pub fn generation_id(&self) -> i32 {
        self.generation_id
    }

    /// The type of its last members; `None` before the first.
    #[must_use]
    pub fn protocol_type(&self) -> Option<&str> {
        self.protocol_type.as_deref()
    }

    /// The protocol that was chosen last, while there are members.
    #[must_use]
    pub fn protocol_name(&self) -> Option<&str> {
        self.protocol_name.as_deref()
    }

    /// The member that assigns.
    #[must_use]
    pub fn group_leader(&self) -> Option<&MemberId> {
        self.group_leader.as_ref()
    }

    /// Whether it has no members. Someone may still be about to join: see [`ClassicGroup::is_idle`].
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.state == State::Empty
    }

    /// Whether nobody is in it or about to be: the owner may drop it, if it is stored.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.is_empty() && self.pending.is_empty() && self.answers.is_empty()
    }

    /// Its members as DescribeGroups shows them, by id.
    #[must_use]
    pub fn members(&self) -> Vec<MemberView> {
        let chosen = if self.state == State::Stable { self.protocol_name() } else { None };
        let view = |(member_id, member): (&MemberId, &super::members::Member)| MemberView {
            member_id: member_id.clone(),
            group_instance_id: member.profile().group_instance_id.clone(),
            client_id: member.profile().client_id.clone(),
            client_host: member.profile().client_host.clone(),
            metadata: chosen.map_or_else(Bytes::new, |name| member.profile().metadata(Some(name))),
            assignment: member.assignment.clone(),
        };
        self.members.iter().map(view).collect()
    }

    pub(super) fn answer(&mut self, ticket: Ticket, answer: Answer) {
        self.answers.push((ticket, answer));
    }

    /// What is stored must change, and with it the next generations are reserved.
    pub(super) fn mark_dirty(&mut self) {
        self.generation_reserved = self.generation_heard.saturating_add(GENERATIONS_RESERVED);
        self.dirty = true;
    }

    /// Whether a member of that id and name is in the group.
    pub(super) fn check_member(
        &self,
        member_id: &MemberId,
        instance: Option<&GroupInstanceId>,
    ) -> Result<(), GroupError> {
        if let Some(instance) = instance {
            let holder = self.members.static_id(instance).ok_or(GroupError::UnknownMemberId)?;
            if holder != member_id {
                return Err(GroupError::FencedInstanceId);
            }
        }
        if self.members.contains(member_id) { Ok(()) } else { Err(GroupError::UnknownMemberId) }
    }

    /// Answers what a member waits for with an error.
    pub(super) fn answer_waiting(&mut self, member_id: &MemberId, error: &GroupError, told: &MemberId) {
        if let Some(ticket) = self.members.take_join(member_id) {
            self.answer(
                ticket,
                Answer::Join(Err(JoinRefused { error: error.clone(), member_id: told.clone() })),
            );
        }
        let sync = self.members.get_mut(member_id).and_then(|member| member.awaiting_sync.take());
        if let Some(ticket) = sync {
            self.answer(ticket, Answer::Sync(Err(error.clone())));
        }
    }

    /// Takes a member out of the group. The rebalance that this asks for is the caller's.
    pub(super) fn remove_member(&mut self, member_id: &MemberId) {
        self.answer_waiting(member_id, &GroupError::UnknownMemberId, &MemberId::default());
        self.members.remove(member_id);
        self.pending.remove(member_id);
        self.unsynced.remove(member_id);
        if self.group_leader.as_ref() == Some(member_id) {
            self.group_leader = self.members.iter().next().map(|(heir, _)| heir.clone());
        }
    }

    fn expire_sessions(&mut self, now: Moment) {
        let before = self.pending.len();
        self.pending.retain(|_, forgotten| *forgotten > now);
        let gone = self.members.ids_where(|member| member.deadline().is_some_and(|deadline| deadline <= now));
        for member_id in &gone {
            self.remove_member(member_id);
        }
        match self.state {
            State::Stable | State::Completing if !gone.is_empty() => self.prepare_rebalance(now),
            State::Preparing { .. } if !gone.is_empty() || before > self.pending.len() => {
                self.complete_join_if_all_joined(now);
            }
            _ => {}
        }
    }
}
