//! AlterConfigs, versions 0 to 2: all settings of a topic or group at once; what is not named goes back to its default.

use super::config_resource::{Alterable, Refused};
use super::context::Context;
use crate::settings::{Overrides, SettingError};
use crate::wire::StrBytes;
use crate::wire::messages::alter_configs_request::AlterConfigsResource;
use crate::wire::messages::alter_configs_response::AlterConfigsResourceResponse;
use crate::wire::messages::{AlterConfigsRequest, AlterConfigsResponse};

/// Answers the request, one thing after the other.
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
    let found = Alterable::find(context, resource.resource_type, &resource.resource_name, names).await?;
    let change = |_: &Overrides| {
        let wanted = resource.configs.iter().map(|config| {
            let name = config.name.to_string();
            match &config.value {
                Some(value) => Ok((name, value.to_string())),
                None => Err(SettingError::NoValue(name)),
            }
        });
        wanted.collect()
    };
    if validate_only { found.validate(context, change) } else { found.alter(context, change).await }
}
