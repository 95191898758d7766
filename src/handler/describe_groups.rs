//! DescribeGroups, versions 0 to 6: groups of the classic protocol with their members.

use super::authorized;
use super::context::Context;
use super::group_error::{code, group, text};
use crate::group::classic::MemberView;
use crate::group::{ClassicDescription, Describe, GroupError};
use crate::wire::messages::describe_groups_response::{DescribedGroup, DescribedGroupMember};
use crate::wire::messages::{DescribeGroupsRequest, DescribeGroupsResponse, GroupId};
use crate::wire::{ErrorCode, StrBytes};

/// From here on a group that is not there is an error.
const NOT_FOUND_VERSION: i16 = 6;

/// Answers the request, group by group.
pub async fn handle(
    context: &Context,
    request: DescribeGroupsRequest,
    api_version: i16,
) -> DescribeGroupsResponse {
    let mut groups = Vec::with_capacity(request.groups.len());
    for name in request.groups {
        let asked = api_version >= 3 && request.include_authorized_operations;
        let of_group = DescribedGroup::default().with_authorized_operations(authorized::on_group(asked));
        let described = match describe(context, &name).await {
            Ok(Some(description)) => found(of_group, description, api_version),
            Ok(None) => missing(of_group, &name, api_version),
            Err(error) => of_group.with_error_code(code(&error).code()),
        };
        groups.push(described.with_group_id(name));
    }
    DescribeGroupsResponse::default().with_groups(groups)
}

async fn describe(context: &Context, name: &str) -> Result<Option<ClassicDescription>, GroupError> {
    context.groups.call(&group(name)?, Describe).await
}

fn found(of_group: DescribedGroup, description: ClassicDescription, api_version: i16) -> DescribedGroup {
    let member = |member: MemberView| {
        DescribedGroupMember::default()
            .with_member_id(text(member.member_id))
            .with_group_instance_id(member.group_instance_id.filter(|_| api_version >= 4).map(text))
            .with_client_id(text(member.client_id))
            .with_client_host(text(member.client_host))
            .with_member_metadata(member.metadata)
            .with_member_assignment(member.assignment)
    };
    of_group
        .with_group_state(StrBytes::from_static_str(description.state))
        .with_protocol_type(text(description.protocol_type))
        .with_protocol_data(text(description.protocol_name))
        .with_members(description.members.into_iter().map(member).collect())
}

fn missing(of_group: DescribedGroup, name: &GroupId, api_version: i16) -> DescribedGroup {
    let dead = of_group.with_group_state(StrBytes::from_static_str("Dead"));
    if api_version < NOT_FOUND_VERSION {
        return dead;
    }
    let message = format!("Group {} not found.", name.as_str());
    dead.with_error_code(ErrorCode::GroupIdNotFound.code()).with_error_message(Some(text(message)))
}
