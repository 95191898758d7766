//! AlterConfigs, versions 0 to 2: all settings of a topic at once; what is not named goes back to its default.

use super::context::Context;
use super::incremental_alter_configs::{Refused, find_topic, write};
use crate::topic::SettingError;
use crate::wire::StrBytes;
use crate::wire::messages::alter_configs_request::AlterConfigsResource;
use crate::wire::messages::alter_configs_response::AlterConfigsResourceResponse;
use crate::wire::messages::{AlterConfigsRequest, AlterConfigsResponse};

/// Answers the request, topic by topic.
pub async fn handle(context: &Context, request: AlterConfigsRequest) -> AlterConfigsResponse {
    let mut responses = Vec::with_capacity(request.resources.len());
    for resource in request.resources {
        let response = AlterConfigsResourceResponse::default()
            .with_resource_type(resource.resource_type)
            .with_resource_name(resource.resource_name.clone());
        responses.push(match alter(context, &resource, request.validate_only).await {
            Ok(()) => response,
            Err((code, message)) => {
                response.with_error_code(code.code()).with_error_message(Some(StrBytes::from_string(message)))
            }
        });
    }
    AlterConfigsResponse::default().with_responses(responses)
}

async fn alter(
    context: &Context,
    resource: &AlterConfigsResource,
    validate_only: bool,
) -> Result<(), Refused> {
    let names = resource.configs.iter().map(|config| config.name.to_string());
    let topic = find_topic(context, resource.resource_type, &resource.resource_name, names).await?;
    let wanted = resource.configs.iter().map(|config| {
        let value = config.value.as_ref().map(ToString::to_string);
        let name = config.name.to_string();
        value.map(|value| (name.clone(), value)).ok_or(SettingError::NoValue(name).into())
    });
    write(context, &topic, validate_only, |_| wanted.collect()).await
}
