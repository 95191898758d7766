//! Requests of the classic protocol to a group of the consumer protocol, in which such members live while the group
//! goes over. All are answered at once: the broker assigns, so nobody waits for a leader.

use super::classic::{
    ClassicGroupConfig, HeartbeatRequest, JoinRefused, JoinRequest, Joined, LeaveAnswer, LeaveRequest,
    LeavingMember, SyncRequest, Synced,
};
use super::consumer::{ClassicJoin, ClassicProtocol, ClassicRequest, ConsumerGroup, JoinAs, TopicsImage};
use super::{GroupError, MemberId};
use crate::types::Moment;
use bytes::Bytes;

/// What the group is asked at.
pub(super) struct At<'a> {
    pub now: Moment,
    pub topics: &'a TopicsImage,
    /// What a classic member may ask for.
    pub config: &'a ClassicGroupConfig,
}

/// JoinGroup. The member is told its epoch as a generation, and that it is not the one that assigns.
pub(super) fn join(
    group: &mut ConsumerGroup,
    at: &At<'_>,
    request: JoinRequest,
) -> Result<Joined, JoinRefused> {
    let asked_as = request.member_id.clone();
    let refused = |error, member_id| JoinRefused { error, member_id };
    let profile = request.profile(at.config).map_err(|error| refused(error, asked_as.clone()))?;
    let fresh = MemberId::new(&format!("{}-{}", request.name(), request.fresh_id));
    if asked_as.is_empty() && request.group_instance_id.is_none() && request.member_id_required {
        return Err(refused(GroupError::MemberIdRequired, fresh));
    }
    let protocol = |protocol: super::classic::Protocol| ClassicProtocol {
        name: protocol.name,
        metadata: protocol.metadata,
    };
    let join = ClassicJoin {
        join_as: if asked_as.is_empty() { JoinAs::New(fresh) } else { JoinAs::Known(asked_as.clone()) },
        instance_id: profile.group_instance_id,
        client_id: profile.client_id,
        client_host: profile.client_host,
        session_timeout: profile.session_timeout,
        rebalance_timeout: profile.rebalance_timeout,
        protocol_type: request.protocol_type.clone(),
        protocols: profile.protocols.into_iter().map(protocol).collect(),
    };
    let joined = group.join_classic(at.now, &join, at.topics).map_err(|error| match error {
        GroupError::GroupMaxSizeReached => refused(error, MemberId::default()),
        error => refused(error, asked_as),
    })?;
    Ok(Joined {
        member_id: joined.member_id,
        generation_id: joined.generation_id,
        protocol_type: Some(request.protocol_type),
        protocol_name: Some(joined.protocol_name),
        group_leader: MemberId::default(),
        members: Vec::new(),
        skip_assignment: false,
    })
}

/// SyncGroup. The protocol is answered as it was asked for.
pub(super) fn sync(
    group: &mut ConsumerGroup,
    now: Moment,
    request: SyncRequest,
) -> Result<Synced, GroupError> {
    let by = ClassicRequest {
        member_id: request.member_id,
        instance_id: request.group_instance_id,
        generation_id: request.generation_id,
    };
    let (protocol_type, protocol_name) = (request.protocol_type, request.protocol_name);
    let assignment: Bytes =
        group.sync_classic(now, &by, protocol_type.as_deref(), protocol_name.as_deref())?;
    Ok(Synced { protocol_type, protocol_name, assignment })
}

/// Heartbeat.
pub(super) fn heartbeat(
    group: &mut ConsumerGroup,
    now: Moment,
    request: HeartbeatRequest,
) -> Result<(), GroupError> {
    let by = ClassicRequest {
        member_id: request.member_id,
        instance_id: request.group_instance_id,
        generation_id: request.generation_id,
    };
    group.heartbeat_classic(now, &by)
}

/// LeaveGroup.
pub(super) fn leave(group: &mut ConsumerGroup, now: Moment, request: LeaveRequest) -> Vec<LeaveAnswer> {
    let by = |leaving: &LeavingMember| ClassicRequest {
        member_id: leaving.member_id.clone(),
        instance_id: leaving.group_instance_id.clone(),
        // Whoever leaves does not say it, and is not asked.
        generation_id: -1,
    };
    let requests: Vec<ClassicRequest> = request.members.iter().map(by).collect();
    let results = group.leave_classic(now, &requests);
    let answer = |(member, result)| LeaveAnswer { member, result };
    request.members.into_iter().zip(results).map(answer).collect()
}
