//! JoinGroup, versions 0 to 9: a member of the classic protocol joins; the answer comes when the group is complete.

use super::ConnectionInfo;
use super::context::Context;
use super::group_error::{code, group_to_join, instance, member, text};
use crate::clock;
use crate::group::GroupError;
use crate::group::classic::{JoinRefused, JoinRequest, Joined, Protocol};
use crate::wire::StrBytes;
use crate::wire::messages::join_group_response::JoinGroupResponseMember;
use crate::wire::messages::{JoinGroupRequest, JoinGroupResponse};

/// Answers the request, once the group is complete or the wait is over.
pub async fn handle(
    context: &Context,
    request: JoinGroupRequest,
    api_version: i16,
    client_id: Option<String>,
    connection: &ConnectionInfo,
) -> JoinGroupResponse {
    let member_id = request.member_id.clone();
    let answer = match group_to_join(&request.group_id) {
        Ok(group_id) => {
            let join = join_request(request, api_version, client_id, connection);
            context.groups.call(&group_id, join).await
        }
        Err(error) => Err(error),
    };
    match answer {
        Ok(Ok(joined)) => accepted(joined, api_version),
        Ok(Err(JoinRefused { error, member_id })) => refused(&error, text(member_id), api_version),
        Err(error) => refused(&error, member_id, api_version),
    }
}

fn join_request(
    request: JoinGroupRequest,
    api_version: i16,
    client_id: Option<String>,
    connection: &ConnectionInfo,
) -> JoinRequest {
    let protocol = |protocol: crate::wire::messages::join_group_request::JoinGroupRequestProtocol| Protocol {
        name: protocol.name.to_string(),
        metadata: protocol.metadata,
    };
    JoinRequest {
        member_id: member(&request.member_id),
        group_instance_id: instance(request.group_instance_id.as_ref()),
        client_id: client_id.unwrap_or_default(),
        client_host: connection.host(),
        session_timeout_ms: request.session_timeout_ms,
        rebalance_timeout_ms: if api_version == 0 { -1 } else { request.rebalance_timeout_ms },
        protocol_type: request.protocol_type.to_string(),
        protocols: request.protocols.into_iter().map(protocol).collect(),
        member_id_required: api_version >= 4,
        skip_assignment: api_version >= 9,
        fresh_id: clock::random_id(),
    }
}

fn accepted(joined: Joined, api_version: i16) -> JoinGroupResponse {
    let members = joined.members.into_iter().map(|member| {
        JoinGroupResponseMember::default()
            .with_member_id(text(member.member_id))
            .with_group_instance_id(member.group_instance_id.filter(|_| api_version >= 5).map(text))
            .with_metadata(member.metadata)
    });
    JoinGroupResponse::default()
        .with_generation_id(joined.generation_id)
        .with_protocol_type(joined.protocol_type.filter(|_| api_version >= 7).map(text))
        .with_protocol_name(Some(joined.protocol_name.map(text).unwrap_or_default()))
        .with_leader(text(joined.group_leader))
        .with_skip_assignment(joined.skip_assignment)
        .with_member_id(text(joined.member_id))
        .with_members(members.collect())
}

fn refused(error: &GroupError, member_id: StrBytes, api_version: i16) -> JoinGroupResponse {
    // Before version 7 there is no null to say that no protocol was chosen.
    let protocol_name = (api_version < 7).then(StrBytes::default);
    JoinGroupResponse::default()
        .with_error_code(code(error).code())
        .with_generation_id(-1)
        .with_protocol_name(protocol_name)
        .with_member_id(member_id)
}
