//! Heartbeat, versions 0 to 4: a member of the classic protocol says that it lives.

use super::context::Context;
use super::group_error::{code_of, group_to_join, instance, member};
use crate::group::GroupError;
use crate::group::classic;
use crate::wire::messages::{HeartbeatRequest, HeartbeatResponse};

/// Answers the request.
pub async fn handle(context: &Context, request: HeartbeatRequest) -> HeartbeatResponse {
    HeartbeatResponse::default().with_error_code(code_of(&heartbeat(context, request).await))
}

async fn heartbeat(context: &Context, request: HeartbeatRequest) -> Result<(), GroupError> {
    let group_id = group_to_join(&request.group_id)?;
    let heartbeat = classic::HeartbeatRequest {
        member_id: member(&request.member_id),
        group_instance_id: instance(request.group_instance_id.as_ref()),
        generation_id: request.generation_id,
    };
    context.groups.call(&group_id, heartbeat).await
}
