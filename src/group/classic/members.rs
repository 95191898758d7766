//! The members of a group, and what is counted over all of them: votes, static names, waiting joins, bytes.

use super::super::{GroupInstanceId, MemberId, Ticket};
use super::request::Protocol;
use super::text::{bytes_cost, string_cost};
use crate::types::Moment;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::time::Duration;

/// Bytes that a member takes when stored, beside its texts; and each of its protocols.
const MEMBER_COST: usize = 224;
const PROTOCOL_COST: usize = 32;

/// What a member said of itself when it joined.
#[derive(Clone, Debug)]
pub struct Profile {
    pub group_instance_id: Option<GroupInstanceId>,
    pub client_id: String,
    pub client_host: String,
    pub session_timeout: Duration,
    pub rebalance_timeout: Duration,
    /// No name twice.
    pub protocols: Vec<Protocol>,
}

impl Profile {
    /// Its metadata for that protocol; empty if it does not know it.
    pub fn metadata(&self, protocol_name: Option<&str>) -> Bytes {
        let found = self.protocols.iter().find(|protocol| Some(protocol.name.as_str()) == protocol_name);
        found.map(|protocol| protocol.metadata.clone()).unwrap_or_default()
    }

    /// Bytes that it takes when stored under that id, at most.
    pub fn cost(&self, member_id: &MemberId) -> usize {
        let instance = self.group_instance_id.as_ref().map_or(0, |name| string_cost(name.as_str()));
        let names =
            string_cost(member_id.as_str()) + string_cost(&self.client_id) + string_cost(&self.client_host);
        let protocols = self.protocols.iter().map(protocol_cost).sum::<usize>();
        MEMBER_COST + instance + names + protocols
    }
}

fn protocol_cost(protocol: &Protocol) -> usize {
    PROTOCOL_COST + string_cost(&protocol.name) + bytes_cost(&protocol.metadata)
}

/// One member.
#[derive(Debug)]
pub struct Member {
    profile: Profile,
    awaiting_join: Option<Ticket>,
    pub awaiting_sync: Option<Ticket>,
    pub assignment: Bytes,
    /// It has not had a first answer yet, so nobody knows that it still listens.
    pub is_new: bool,
    /// When its session ends, unless something is owed to it.
    pub expires: Moment,
}

impl Member {
    /// A member that nothing is owed to.
    pub fn new(profile: Profile, expires: Moment) -> Member {
        let assignment = Bytes::new();
        Member { profile, awaiting_join: None, awaiting_sync: None, assignment, is_new: false, expires }
    }

    pub fn profile(&self) -> &Profile {
        &self.profile
    }

    pub fn is_static(&self) -> bool {
        self.profile.group_instance_id.is_some()
    }

    pub fn awaits_join(&self) -> bool {
        self.awaiting_join.is_some()
    }

    /// When it is taken for gone. One that waits for an answer cannot send heartbeats; but a new one may be gone unseen.
    pub fn deadline(&self) -> Option<Moment> {
        let waits = self.awaiting_join.is_some() || self.awaiting_sync.is_some();
        (self.is_new || !waits).then_some(self.expires)
    }

    /// Its session starts anew.
    pub fn touch(&mut self, now: Moment) {
        self.expires = now + self.profile.session_timeout;
    }
}

/// All members. Invariant: the counts are what counting would give.
#[derive(Debug, Default)]
pub struct Members {
    by_id: BTreeMap<MemberId, Member>,
    by_instance: BTreeMap<GroupInstanceId, MemberId>,
    /// How many members know each protocol.
    supporters: BTreeMap<String, usize>,
    awaiting_join: usize,
    cost: usize,
}

impl Members {
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    pub fn contains(&self, member_id: &MemberId) -> bool {
        self.by_id.contains_key(member_id)
    }

    pub fn get(&self, member_id: &MemberId) -> Option<&Member> {
        self.by_id.get(member_id)
    }

    pub fn get_mut(&mut self, member_id: &MemberId) -> Option<&mut Member> {
        self.by_id.get_mut(member_id)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&MemberId, &Member)> {
        self.by_id.iter()
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&MemberId, &mut Member)> {
        self.by_id.iter_mut()
    }

    /// The ids of those it holds for.
    pub fn ids_where(&self, holds: impl Fn(&Member) -> bool) -> Vec<MemberId> {
        self.by_id
            .iter()
            .filter(|(_, member)| holds(member))
            .map(|(member_id, _)| member_id.clone())
            .collect()
    }

    /// Who has that lasting name.
    pub fn static_id(&self, instance: &GroupInstanceId) -> Option<&MemberId> {
        self.by_instance.get(instance)
    }

    /// How many wait for the answer to their join.
    pub fn awaiting_join(&self) -> usize {
        self.awaiting_join
    }

    /// Bytes that they take when stored, without their assignments, at most.
    pub fn cost(&self) -> usize {
        self.cost
    }

    /// Bytes of their assignments when stored.
    pub fn assignments_cost(&self) -> usize {
        self.by_id.values().map(|member| bytes_cost(&member.assignment)).sum()
    }

    /// The longest any of them may take to join or sync.
    pub fn rebalance_timeout(&self) -> Duration {
        self.by_id.values().map(|member| member.profile.rebalance_timeout).max().unwrap_or_default()
    }

    /// Adds one. Its id and instance id are of nobody else.
    pub fn insert(&mut self, member_id: MemberId, member: Member) {
        self.count(&member_id, &member.profile);
        self.awaiting_join += usize::from(member.awaits_join());
        if let Some(instance) = &member.profile.group_instance_id {
            self.by_instance.insert(instance.clone(), member_id.clone());
        }
        let before = self.by_id.insert(member_id, member);
        assert!(before.is_none(), "a member id is given once");
    }

    /// Takes one out.
    pub fn remove(&mut self, member_id: &MemberId) -> Option<Member> {
        let member = self.by_id.remove(member_id)?;
        self.uncount(member_id, &member.profile);
        self.awaiting_join -= usize::from(member.awaits_join());
        if let Some(instance) = &member.profile.group_instance_id {
            self.by_instance.remove(instance);
        }
        Some(member)
    }

    /// The member speaks anew of itself. It keeps its lasting name.
    pub fn update(&mut self, member_id: &MemberId, mut profile: Profile) {
        let Some(member) = self.by_id.get_mut(member_id) else { return };
        profile.group_instance_id = member.profile.group_instance_id.clone();
        let before = std::mem::replace(&mut member.profile, profile.clone());
        self.uncount(member_id, &before);
        self.count(member_id, &profile);
    }

    /// The member's join waits. Gives the ticket that it overtakes.
    pub fn park_join(&mut self, member_id: &MemberId, ticket: Ticket) -> Option<Ticket> {
        let member = self.by_id.get_mut(member_id)?;
        let before = member.awaiting_join.replace(ticket);
        self.awaiting_join += usize::from(before.is_none());
        before
    }

    /// The ticket of the member's waiting join, which waits no longer.
    pub fn take_join(&mut self, member_id: &MemberId) -> Option<Ticket> {
        let ticket = self.by_id.get_mut(member_id)?.awaiting_join.take()?;
        self.awaiting_join -= 1;
        Some(ticket)
    }

    /// Whether all members know one of these. With no members, any is known to all.
    pub fn all_know_one_of(&self, protocols: &[Protocol]) -> bool {
        protocols.iter().any(|protocol| self.known_to_all(&protocol.name))
    }

    /// The protocol with most votes: each member votes for the first of its own that all know. Of equals, the first by name.
    pub fn select_protocol(&self) -> Option<String> {
        let mut votes: BTreeMap<&str, usize> = BTreeMap::new();
        for member in self.by_id.values() {
            let mut names = member.profile.protocols.iter().map(|protocol| protocol.name.as_str());
            if let Some(choice) = names.find(|name| self.known_to_all(name)) {
                *votes.entry(choice).or_default() += 1;
            }
        }
        let most = *votes.values().max()?;
        votes.into_iter().find(|(_, count)| *count == most).map(|(name, _)| name.to_owned())
    }

    fn known_to_all(&self, name: &str) -> bool {
        self.supporters.get(name).copied().unwrap_or(0) == self.by_id.len()
    }

    fn count(&mut self, member_id: &MemberId, profile: &Profile) {
        self.cost += profile.cost(member_id);
        for protocol in &profile.protocols {
            *self.supporters.entry(protocol.name.clone()).or_default() += 1;
        }
    }

    fn uncount(&mut self, member_id: &MemberId, profile: &Profile) {
        self.cost -= profile.cost(member_id);
        for protocol in &profile.protocols {
            if let Some(count) = self.supporters.get_mut(&protocol.name) {
                *count -= 1;
                if *count == 0 {
                    self.supporters.remove(&protocol.name);
                }
            }
        }
    }
}
