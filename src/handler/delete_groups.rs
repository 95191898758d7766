//! DeleteGroups, versions 0 to 2: groups without members go, with their offsets.

use super::context::Context;
use super::group_error::{code_of, group};
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

/// What a share group did with partitions goes with it: a group of the same name must not go on from there.
async fn delete(context: &Context, name: &str) -> Result<(), GroupError> {
    let group_id = group(name)?;
    let is_share = context.groups.call(&group_id, DescribeShare).await?.is_some();
    context.groups.call(&group_id, Delete).await?;
    if is_share && context.groups.delivery().delete_group(&group_id).await.is_err() {
        // Whoever makes a group of that name again has it done (ShareGroupHeartbeat).
        tracing::warn!(group = name, "the states of a deleted share group are left for now");
    }
    Ok(())
}
