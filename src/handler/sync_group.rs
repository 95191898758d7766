//! SyncGroup, versions 0 to 5: the leader brings everybody's assignment, and each member fetches its own.

use super::context::Context;
use super::group_error::{code, group_to_join, instance, member, text};
use crate::group::GroupError;
use crate::group::classic::{Assignment, SyncRequest, Synced};
use crate::wire::messages::{SyncGroupRequest, SyncGroupResponse};

/// Answers the request, once the leader has assigned.
pub async fn handle(context: &Context, request: SyncGroupRequest, api_version: i16) -> SyncGroupResponse {
    match sync(context, request).await {
        Ok(synced) => SyncGroupResponse::default()
            .with_protocol_type(synced.protocol_type.filter(|_| api_version >= 5).map(text))
            .with_protocol_name(synced.protocol_name.filter(|_| api_version >= 5).map(text))
            .with_assignment(synced.assignment),
        Err(error) => SyncGroupResponse::default().with_error_code(code(&error).code()),
    }
}

async fn sync(context: &Context, request: SyncGroupRequest) -> Result<Synced, GroupError> {
    let group_id = group_to_join(&request.group_id)?;
    let assignment = |of: crate::wire::messages::sync_group_request::SyncGroupRequestAssignment| Assignment {
        member_id: member(&of.member_id),
        assignment: of.assignment,
    };
    let sync = SyncRequest {
        member_id: member(&request.member_id),
        group_instance_id: instance(request.group_instance_id.as_ref()),
        generation_id: request.generation_id,
        protocol_type: request.protocol_type.map(|name| name.to_string()),
        protocol_name: request.protocol_name.map(|name| name.to_string()),
        assignments: request.assignments.into_iter().map(assignment).collect(),
    };
    context.groups.call(&group_id, sync).await
}
