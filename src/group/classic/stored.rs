//! What is stored of a group, and how it comes back.
//!
//! ```text
//! {"version":1,"generation_id":5,"generation_reserved":13,"rebalancing":false,"protocol_type":"consumer",
//!  "protocol_name":"range","group_leader":"c-<uuid>","members":[{"member_id":"c-<uuid>","group_instance_id":null,
//!  "client_id":"c","client_host":"/10.0.0.1","session_timeout_ms":45000,"rebalance_timeout_ms":300000,
//!  "protocols":[{"name":"range","metadata":"<base64>"}],"assignment":"<base64>"}]}
//! ```
//!
//! A group that is stored between two generations (a static member came back, or the reserved generations were used up)
//! says `rebalancing`, carries no assignments, and goes on with the rebalance.

use super::super::{GroupInstanceId, MemberId};
use super::config::ClassicGroupConfig;
use super::group::{ClassicGroup, State};
use super::members::{Member, Profile};
use super::request::Protocol;
use super::text;
use crate::types::Moment;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Bytes of what is stored beside the members, at most: no name in it is longer than [`super::join::NAME_COST_MAX`].
pub(super) const HEAD_COST: usize = 16 << 10;
const STORED_VERSION: u32 = 1;

/// A group as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredClassicGroup {
    /// Of this form; 1.
    pub version: u32,
    /// The present generation.
    pub generation_id: i32,
    /// The last generation that may be given before the next store.
    pub generation_reserved: i32,
    /// Whether the members are to join again.
    pub rebalancing: bool,
    /// The kind of group.
    pub protocol_type: Option<String>,
    /// The protocol that was chosen.
    pub protocol_name: Option<String>,
    /// The id of the member that assigns.
    pub group_leader: Option<String>,
    /// All members.
    pub members: Vec<StoredMember>,
}

impl StoredClassicGroup {
    /// A group without members, whose generations go on after `generation`.
    #[must_use]
    pub fn empty(generation: i32) -> StoredClassicGroup {
        StoredClassicGroup {
            version: STORED_VERSION,
            generation_id: generation,
            generation_reserved: generation,
            rebalancing: false,
            protocol_type: None,
            protocol_name: None,
            group_leader: None,
            members: Vec::new(),
        }
    }
}

/// A member as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredMember {
    /// Its id.
    pub member_id: String,
    /// Its lasting name, if it is static.
    pub group_instance_id: Option<String>,
    /// What its client calls itself.
    pub client_id: String,
    /// Where it speaks from.
    pub client_host: String,
    /// How long it may be silent.
    pub session_timeout_ms: u32,
    /// How long it may take to join or sync.
    pub rebalance_timeout_ms: u32,
    /// What it offered.
    pub protocols: Vec<StoredProtocol>,
    /// Its assignment.
    #[serde(with = "text")]
    pub assignment: Bytes,
}

/// An offer as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredProtocol {
    /// Its name.
    pub name: String,
    /// The member's metadata for it.
    #[serde(with = "text")]
    pub metadata: Bytes,
}

/// Why a stored group cannot be gone on with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError {
    /// It is of a later release.
    #[error("the stored group is of version {0}")]
    UnknownVersion(u32),
    /// Two members have one id, or one instance id.
    #[error("the stored group has the member {0} twice")]
    MemberTwice(String),
    /// It has members, but its type, protocol or leader is not theirs.
    #[error("the stored group's protocol or leader does not go with its members")]
    Inconsistent,
}

impl ClassicGroup {
    /// What must outlive this broker. It is to be stored when [`ClassicGroup::take_dirty`] says so.
    #[must_use]
    pub fn stored(&self) -> StoredClassicGroup {
        let mut stored = self.snapshot();
        stored.generation_reserved = self.generation_reserved;
        if stored.rebalancing {
            stored.members.iter_mut().for_each(|member| member.assignment = Bytes::new());
        }
        stored
    }

    /// The group as another takes it over here and now: with the assignments of the generation before if it is between
    /// two, and with no more generations reserved than anyone may have heard of.
    #[must_use]
    pub fn snapshot(&self) -> StoredClassicGroup {
        let members = self.members.iter().map(|(member_id, member)| stored_member(member_id, member));
        StoredClassicGroup {
            version: STORED_VERSION,
            generation_id: self.generation_id,
            generation_reserved: self.generation_heard,
            rebalancing: matches!(self.state, State::Preparing { .. } | State::Completing),
            protocol_type: self.protocol_type.clone(),
            protocol_name: self.protocol_name.clone(),
            group_leader: self.group_leader.as_ref().map(MemberId::to_string),
            members: members.collect(),
        }
    }

    /// The group as it was stored. All sessions start anew; the members notice nothing.
    pub fn restore(
        stored: StoredClassicGroup,
        config: ClassicGroupConfig,
        now: Moment,
    ) -> Result<ClassicGroup, RestoreError> {
        if stored.version != STORED_VERSION {
            return Err(RestoreError::UnknownVersion(stored.version));
        }
        let mut group = ClassicGroup::new(config);
        group.generation_id = stored.generation_id.max(0);
        group.generation_heard = stored.generation_reserved.max(group.generation_id);
        group.generation_reserved = group.generation_heard;
        group.protocol_type = stored.protocol_type;
        group.protocol_name = stored.protocol_name;
        for member in stored.members {
            group.restore_member(member, now)?;
        }
        if group.members.is_empty() {
            group.protocol_name = None;
        } else {
            group.restore_state(stored.group_leader.as_deref(), stored.rebalancing, now)?;
        }
        group.subscribed = group.read_subscribed();
        Ok(group)
    }

    fn restore_member(&mut self, stored: StoredMember, now: Moment) -> Result<(), RestoreError> {
        let member_id = MemberId::new(&stored.member_id);
        let instance = stored.group_instance_id.as_deref().map(GroupInstanceId::new);
        let instance_taken = instance.as_ref().is_some_and(|name| self.members.static_id(name).is_some());
        if self.members.contains(&member_id) || instance_taken {
            return Err(RestoreError::MemberTwice(stored.member_id));
        }
        let protocols = stored.protocols.into_iter();
        let profile = Profile {
            group_instance_id: instance,
            client_id: stored.client_id,
            client_host: stored.client_host,
            session_timeout: Duration::from_millis(stored.session_timeout_ms.into()),
            rebalance_timeout: Duration::from_millis(stored.rebalance_timeout_ms.into()),
            protocols: protocols.map(|each| Protocol { name: each.name, metadata: each.metadata }).collect(),
        };
        let expires = now + profile.session_timeout;
        let mut member = Member::new(profile, expires);
        member.assignment = stored.assignment;
        self.members.insert(member_id, member);
        Ok(())
    }

    fn restore_state(
        &mut self,
        group_leader: Option<&str>,
        rebalancing: bool,
        now: Moment,
    ) -> Result<(), RestoreError> {
        let group_leader =
            group_leader.map(MemberId::new).filter(|group_leader| self.members.contains(group_leader));
        self.group_leader = Some(group_leader.ok_or(RestoreError::Inconsistent)?);
        if self.protocol_type.is_none() || self.members.select_protocol().is_none() {
            return Err(RestoreError::Inconsistent);
        }
        if rebalancing {
            self.state = State::Preparing { deadline: now + self.members.rebalance_timeout(), initial: None };
        } else if self.protocol_name.is_some() {
            self.state = State::Stable;
        } else {
            return Err(RestoreError::Inconsistent);
        }
        Ok(())
    }
}

fn stored_member(member_id: &MemberId, member: &Member) -> StoredMember {
    let profile = member.profile();
    let millis = |duration: Duration| u32::try_from(duration.as_millis()).unwrap_or(u32::MAX);
    let protocols = profile.protocols.iter();
    StoredMember {
        member_id: member_id.to_string(),
        group_instance_id: profile.group_instance_id.as_ref().map(GroupInstanceId::to_string),
        client_id: profile.client_id.clone(),
        client_host: profile.client_host.clone(),
        session_timeout_ms: millis(profile.session_timeout),
        rebalance_timeout_ms: millis(profile.rebalance_timeout),
        protocols: protocols
            .map(|each| StoredProtocol { name: each.name.clone(), metadata: each.metadata.clone() })
            .collect(),
        assignment: member.assignment.clone(),
    }
}
