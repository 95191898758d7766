//! LeaveGroup, versions 0 to 5: members go; from version 3 on several at once, also by instance id (KIP-345).

use super::context::Context;
use super::group_error::{code, code_of, group_to_join, instance, member, text};
use crate::group::GroupError;
use crate::group::classic::{LeaveAnswer, LeaveRequest, LeavingMember};
use crate::wire::messages::leave_group_response::MemberResponse;
use crate::wire::messages::{LeaveGroupRequest, LeaveGroupResponse};

const MANY_MEMBERS_VERSION: i16 = 3;

/// Answers the request, member by member.
pub async fn handle(context: &Context, request: LeaveGroupRequest, api_version: i16) -> LeaveGroupResponse {
    let many = api_version >= MANY_MEMBERS_VERSION;
    let response = LeaveGroupResponse::default();
    match leave(context, request, many).await {
        Err(error) => response.with_error_code(code(&error).code()),
        Ok(left) if many => response.with_members(left.into_iter().map(answer).collect()),
        Ok(left) => response.with_error_code(left.first().map_or(0, |one| code_of(&one.result))),
    }
}

async fn leave(
    context: &Context,
    request: LeaveGroupRequest,
    many: bool,
) -> Result<Vec<LeaveAnswer>, GroupError> {
    let group_id = group_to_join(&request.group_id)?;
    let members = if many {
        let leaving = request.members.iter().map(|leaving| LeavingMember {
            member_id: member(&leaving.member_id),
            group_instance_id: instance(leaving.group_instance_id.as_ref()),
        });
        leaving.collect()
    } else {
        vec![LeavingMember { member_id: member(&request.member_id), group_instance_id: None }]
    };
    context.groups.call(&group_id, LeaveRequest { members }).await
}

fn answer(left: LeaveAnswer) -> MemberResponse {
    MemberResponse::default()
        .with_error_code(code_of(&left.result))
        .with_member_id(text(left.member.member_id))
        .with_group_instance_id(left.member.group_instance_id.map(text))
}
