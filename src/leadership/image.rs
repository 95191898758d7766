//! A view as those need it who ask for leaders and addresses.

use crate::cluster::{Placement, PlacementKey};
use crate::meta::keys::sessions::Session;
use crate::meta::keys::view::{Member, View};
use crate::types::{BrokerId, SessionId, TopicPartition, ViewNumber};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What sessions say of themselves.
pub type Sessions = Arc<BTreeMap<SessionId, Arc<Session>>>;

/// The newest view that a session knows. It never changes; a later one takes its place.
#[derive(Clone, Debug)]
pub struct ViewImage {
    number: ViewNumber,
    placement: Placement,
    own: SessionId,
    sessions: Sessions,
    /// The members, by broker.
    brokers: BTreeMap<BrokerId, SessionId>,
}

/// Who leads something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leader {
    /// This session: whether it serves already is another question.
    Own,
    /// That one.
    Other(SessionId),
    /// The view has no members.
    Nobody,
}

impl ViewImage {
    pub(super) fn new(view: &View, placement: Placement, own: SessionId) -> ViewImage {
        let brokers = view.members.iter().map(|member| (member.broker_id, member.session)).collect();
        ViewImage { number: view.number, placement, own, sessions: Sessions::default(), brokers }
    }

    pub(super) fn with_sessions(&self, sessions: Sessions) -> ViewImage {
        ViewImage { sessions, ..self.clone() }
    }

    pub(super) fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    /// Its number: clients know it as the leader epoch.
    #[must_use]
    pub fn number(&self) -> ViewNumber {
        self.number
    }

    /// Who leads what `key` names.
    #[must_use]
    pub fn leader(&self, key: PlacementKey) -> Leader {
        match self.placement.leader(key) {
            None => Leader::Nobody,
            Some(member) if member.session == self.own => Leader::Own,
            Some(member) => Leader::Other(member.session),
        }
    }

    /// Who leads a partition, as clients know brokers; none without members.
    #[must_use]
    pub fn leading_broker(&self, partition: TopicPartition) -> Option<BrokerId> {
        self.leading_member(PlacementKey::partition(partition)).map(|member| member.broker_id)
    }

    /// Who leads what `key` names.
    #[must_use]
    pub fn leading_member(&self, key: PlacementKey) -> Option<&Member> {
        self.placement.leader(key)
    }

    /// Who of the members of `zone` would lead what `key` names if there were no others: consumers there read it by way of
    /// that one. None if the zone has no members; cases do not matter in its name.
    #[must_use]
    pub fn member_in(&self, zone: &str, key: PlacementKey) -> Option<&Member> {
        self.placement.leader_in(zone, key)
    }

    /// The same of each zone.
    pub fn members_in_zones(&self, key: PlacementKey) -> impl Iterator<Item = &Member> {
        self.placement.leaders_in_zones(key)
    }

    /// Whether `zone` has members.
    #[must_use]
    pub fn has_zone(&self, zone: &str) -> bool {
        self.placement.has_zone(zone)
    }

    /// Whether `session` is a member, and in `zone`.
    #[must_use]
    pub fn is_in_zone(&self, session: SessionId, zone: &str) -> bool {
        self.zone_of(session).is_some_and(|of| of.to_lowercase() == zone.to_lowercase())
    }

    /// Whether this session is in a zone, and `session` is not in the same.
    #[must_use]
    pub fn is_in_another_zone(&self, session: SessionId) -> bool {
        self.zone_of(self.own).is_some_and(|own| !self.is_in_zone(session, own))
    }

    fn zone_of(&self, session: SessionId) -> Option<&str> {
        self.members().iter().find(|member| member.session == session)?.zone.as_deref()
    }

    /// The members, in the order of their broker ids.
    #[must_use]
    pub fn members(&self) -> &[Member] {
        self.placement.members()
    }

    /// Whether a session besides this one is a member.
    #[must_use]
    pub fn has_others(&self) -> bool {
        self.members().iter().any(|member| member.session != self.own)
    }

    /// What a session says of itself; none if it is not known, or no longer stands.
    #[must_use]
    pub fn session(&self, session: SessionId) -> Option<&Arc<Session>> {
        self.sessions.get(&session)
    }

    /// This session, if it is a member.
    #[must_use]
    pub fn session_of_own(&self) -> Option<SessionId> {
        self.members().iter().map(|member| member.session).find(|session| *session == self.own)
    }

    /// The session of a broker that is a member.
    #[must_use]
    pub fn session_of(&self, broker_id: BrokerId) -> Option<SessionId> {
        self.brokers.get(&broker_id).copied()
    }
}
