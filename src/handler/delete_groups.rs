//! DeleteGroups, versions 0 to 2: groups without members go, with their offsets.

use super::context::Context;
use super::group_error::{code_of, group};
use crate::group::share::ShareGroupState;
use crate::group::{Delete, DescribeShare, GroupError};
use crate::wire::messages::delete_groups_response::DeletableGroupResult;
use crate::wire::messages::{DeleteGroupsRequest, DeleteGroupsResponse};

/// Answers the request, group by group.
pub async fn handle(context: &Context, request: DeleteGroupsRequest) -> DeleteGroupsResponse {
    let mut results = Vec::with_capacity(request.groups_names.len());
    for name in request.groups_names {
        let deleted = delete(context, &name).await;
        let result = DeletableGroupResult::default().with_group_id(name);
        results.push(result.with_error_code(code_of(&deleted)));
    }
    DeleteGroupsResponse::default().with_results(results)
}

/// What a share group did with partitions goes first: a group of the same name must not go on from there.
async fn delete(context: &Context, name: &str) -> Result<(), GroupError> {
    let group_id = group(name)?;
    if let Some(view) = context.groups.call(&group_id, DescribeShare).await? {
        if view.state != ShareGroupState::Empty {
            return Err(GroupError::NonEmptyGroup);
        }
        let deleted = context.groups.delivery().delete_group(&group_id).await;
        deleted.map_err(|_| GroupError::CoordinatorNotAvailable)?;
    }
    context.groups.call(&group_id, Delete).await
}
