//! IncrementalAlterConfigs, versions 0 and 1: single settings of topics and groups (KIP-339).

use super::config_resource::{Alterable, Refused};
use super::context::Context;
use crate::hashing::HashSet;
use crate::settings::{Overrides, Setting, SettingError, Table, elements};
use crate::wire::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use crate::wire::messages::incremental_alter_configs_response::AlterConfigsResourceResponse;
use crate::wire::messages::{IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse};
use crate::wire::{ErrorCode, StrBytes};

const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

/// Answers the request, one thing after the other.
pub async fn handle(
    context: &Context,
    request: IncrementalAlterConfigsRequest,
) -> IncrementalAlterConfigsResponse {
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
    IncrementalAlterConfigsResponse::default().with_responses(responses)
}

async fn alter(
    context: &Context,
    resource: &AlterConfigsResource,
    validate_only: bool,
) -> Result<(), Refused> {
    let mut seen = HashSet::default();
    if let Some(twice) = resource.configs.iter().find(|config| !seen.insert(config.name.clone())) {
        return Err((
            ErrorCode::InvalidRequest,
            format!("Error due to duplicate config keys: {}", twice.name.as_str()),
        ));
    }
    let names = resource.configs.iter().map(|config| config.name.to_string());
    let found = Alterable::find(context, resource.resource_type, &resource.resource_name, names).await?;
    let table = found.table();
    let change = |overrides: &Overrides| {
        resource
            .configs
            .iter()
            .try_fold(overrides.clone(), |overrides, config| apply(table, overrides, config))
    };
    if let Some(config) =
        resource.configs.iter().find(|config| !(SET..=SUBTRACT).contains(&config.config_operation))
    {
        let message = format!("Unknown operation {} for {}", config.config_operation, config.name.as_str());
        return Err((ErrorCode::InvalidRequest, message));
    }
    if validate_only { found.validate(context, change) } else { found.alter(context, change).await }
}

fn apply(
    table: &Table,
    mut overrides: Overrides,
    config: &AlterableConfig,
) -> Result<Overrides, SettingError> {
    let name = config.name.to_string();
    let setting = table.known(&name)?;
    if config.config_operation == DELETE {
        overrides.remove(&name);
        return Ok(overrides);
    }
    let value =
        config.value.as_ref().map(ToString::to_string).ok_or_else(|| SettingError::NoValue(name.clone()))?;
    let value = match config.config_operation {
        APPEND if !setting.is_list() => return Err(no_list("APPEND", setting)),
        SUBTRACT if !setting.is_list() => return Err(no_list("SUBTRACT", setting)),
        APPEND => appended(&overrides, setting, &value),
        SUBTRACT => subtracted(&overrides, setting, &value),
        _ => value,
    };
    overrides.insert(name, value);
    Ok(overrides)
}

fn no_list(operation: &'static str, setting: &Setting) -> SettingError {
    SettingError::NoList { operation, name: setting.name }
}

fn present(overrides: &Overrides, setting: &Setting) -> Vec<String> {
    let text = overrides.get(setting.name).map(String::as_str).or(setting.default).unwrap_or_default();
    elements(text).into_iter().map(ToOwned::to_owned).collect()
}

fn appended(overrides: &Overrides, setting: &Setting, value: &str) -> String {
    let mut list = present(overrides, setting);
    for element in elements(value) {
        if !list.iter().any(|present| present == element) {
            list.push(element.to_owned());
        }
    }
    list.join(",")
}

fn subtracted(overrides: &Overrides, setting: &Setting, value: &str) -> String {
    let gone = elements(value);
    let list = present(overrides, setting);
    list.into_iter().filter(|present| !gone.contains(&present.as_str())).collect::<Vec<_>>().join(",")
}
