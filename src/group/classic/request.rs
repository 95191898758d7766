//! What is asked of a group and what it answers.

use super::super::{GroupError, GroupInstanceId, MemberId};
use bytes::Bytes;
use uuid::Uuid;

/// A way to assign that a member knows, with what it has to say for it. The order is the member's preference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Protocol {
    /// Its name, as `range` or `cooperative-sticky`.
    pub name: String,
    /// The member's metadata for it; for consumers the subscription.
    pub metadata: Bytes,
}

/// A member wants to be in the next generation.
#[derive(Clone, Debug)]
pub struct JoinRequest {
    /// Its id; empty if it has none yet.
    pub member_id: MemberId,
    /// Its lasting name, if it is static.
    pub group_instance_id: Option<GroupInstanceId>,
    /// What the client calls itself.
    pub client_id: String,
    /// Where it speaks from.
    pub client_host: String,
    /// How long it may be silent, in milliseconds.
    pub session_timeout_ms: i32,
    /// How long it may take to join or sync, in milliseconds; below 0 (version 0): the session timeout.
    pub rebalance_timeout_ms: i32,
    /// What kind of group it takes this for.
    pub protocol_type: String,
    /// The protocols it knows.
    pub protocols: Vec<Protocol>,
    /// Whether a member without id gets one and must come again with it (versions from 4, KIP-394).
    pub member_id_required: bool,
    /// Whether the member understands that the leader need not assign (versions from 9, KIP-814).
    pub skip_assignment: bool,
    /// A fresh id, used if the member is to get one.
    pub fresh_id: Uuid,
}

/// A member fetches its assignment; the leader brings everybody's.
#[derive(Clone, Debug)]
pub struct SyncRequest {
    /// Who asks.
    pub member_id: MemberId,
    /// Its lasting name, if it is static.
    pub group_instance_id: Option<GroupInstanceId>,
    /// The generation it joined.
    pub generation_id: i32,
    /// The type it takes the group for (versions from 5).
    pub protocol_type: Option<String>,
    /// The protocol it takes to be chosen (versions from 5).
    pub protocol_name: Option<String>,
    /// Everybody's assignment, from the leader only.
    pub assignments: Vec<Assignment>,
}

/// What a member is to do, by its leader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// Who.
    pub member_id: MemberId,
    /// What; only members read it.
    pub assignment: Bytes,
}

/// A member says that it lives.
#[derive(Clone, Debug)]
pub struct HeartbeatRequest {
    /// Who.
    pub member_id: MemberId,
    /// Its lasting name, if it is static.
    pub group_instance_id: Option<GroupInstanceId>,
    /// The generation it is in.
    pub generation_id: i32,
}

/// Members go.
#[derive(Clone, Debug)]
pub struct LeaveRequest {
    /// Who, each on its own.
    pub members: Vec<LeavingMember>,
}

/// One that goes: by its id, or by its instance id alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeavingMember {
    /// Its id; empty if the instance id is to tell.
    pub member_id: MemberId,
    /// Its lasting name, if it is static.
    pub group_instance_id: Option<GroupInstanceId>,
}

/// The answer to one ticket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// To a join.
    Join(Result<Joined, JoinRefused>),
    /// To a sync.
    Sync(Result<Synced, GroupError>),
    /// To a heartbeat.
    Heartbeat(Result<(), GroupError>),
    /// To a leave, in the order of the request.
    Leave(Vec<LeaveAnswer>),
}

/// The member is in this generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joined {
    /// Its id.
    pub member_id: MemberId,
    /// The generation.
    pub generation_id: i32,
    /// The kind of group.
    pub protocol_type: Option<String>,
    /// The protocol that was chosen.
    pub protocol_name: Option<String>,
    /// The member that assigns.
    pub group_leader: MemberId,
    /// Everybody with their metadata; for the leader only.
    pub members: Vec<JoinedMember>,
    /// The leader need not assign: the old assignment stands.
    pub skip_assignment: bool,
}

/// A member as its leader sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinedMember {
    /// Its id.
    pub member_id: MemberId,
    /// Its lasting name, if it is static.
    pub group_instance_id: Option<GroupInstanceId>,
    /// Its metadata for the protocol that was chosen.
    pub metadata: Bytes,
}

/// The member is not in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinRefused {
    /// Why.
    pub error: GroupError,
    /// The id to answer: the new one with [`GroupError::MemberIdRequired`], else the one that was given.
    pub member_id: MemberId,
}

/// What the member is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Synced {
    /// The kind of group.
    pub protocol_type: Option<String>,
    /// The protocol that was chosen.
    pub protocol_name: Option<String>,
    /// By its leader; empty if it named none.
    pub assignment: Bytes,
}

/// Whether that one went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaveAnswer {
    /// As it was asked.
    pub member: LeavingMember,
    /// Gone, or why not.
    pub result: Result<(), GroupError>,
}

/// A member as DescribeGroups shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberView {
    /// Its id.
    pub member_id: MemberId,
    /// Its lasting name, if it is static.
    pub group_instance_id: Option<GroupInstanceId>,
    /// What its client calls itself.
    pub client_id: String,
    /// Where it speaks from.
    pub client_host: String,
    /// Its metadata for the chosen protocol; empty unless the group is stable.
    pub metadata: Bytes,
    /// Its assignment, the one before if the group is rebalancing.
    pub assignment: Bytes,
}
