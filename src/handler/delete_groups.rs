//! DeleteGroups, versions 0 to 2: groups without members go, with their offsets.

use super::context::Context;
use super::group_error::{code_of, group};
use crate::group::{Delete, GroupError};
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

async fn delete(context: &Context, name: &str) -> Result<(), GroupError> {
    context.groups.call(&group(name)?, Delete).await
}
