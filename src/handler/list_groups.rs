//! ListGroups, versions 0 to 5, with filters of states (KIP-518) and types (KIP-848).

use super::context::Context;
use super::group_error::{code, text};
use crate::group::GroupSummary;
use crate::wire::StrBytes;
use crate::wire::messages::list_groups_response::ListedGroup;
use crate::wire::messages::{GroupId, ListGroupsRequest, ListGroupsResponse};

/// Answers the request.
pub async fn handle(context: &Context, request: &ListGroupsRequest, api_version: i16) -> ListGroupsResponse {
    let groups = match context.groups.list().await {
        Ok(groups) => groups,
        Err(error) => return ListGroupsResponse::default().with_error_code(code(&error).code()),
    };
    let wanted = groups.iter().filter(|group| {
        passes(&request.states_filter, group.state)
            && passes(&request.types_filter, group.group_type.as_str())
    });
    ListGroupsResponse::default().with_groups(wanted.map(|group| listed(group, api_version)).collect())
}

/// Kafka compares without regard to case; an empty filter lets everything pass.
fn passes(filter: &[StrBytes], value: &str) -> bool {
    filter.is_empty() || filter.iter().any(|wanted| wanted.eq_ignore_ascii_case(value))
}

fn listed(group: &GroupSummary, api_version: i16) -> ListedGroup {
    let listed = ListedGroup::default()
        .with_group_id(GroupId(text(&group.group_id)))
        .with_protocol_type(text(&group.protocol_type));
    let listed = if api_version >= 4 {
        listed.with_group_state(StrBytes::from_static_str(group.state))
    } else {
        listed
    };
    if api_version >= 5 {
        listed.with_group_type(StrBytes::from_static_str(group.group_type.as_str()))
    } else {
        listed
    }
}
