//! IncrementalAlterConfigs, versions 0 and 1: single settings of topics (KIP-339).

use super::catalog_error;
use super::context::Context;
use super::describe_configs::{BROKER, TOPIC, check_broker};
use crate::topic::settings::{check_all, elements};
use crate::topic::{CatalogError, Setting, SettingError, Topic};
use crate::wire::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use crate::wire::messages::incremental_alter_configs_response::AlterConfigsResourceResponse;
use crate::wire::messages::{IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse};
use crate::wire::{ErrorCode, StrBytes};
use std::collections::{BTreeMap, HashSet};

const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

/// A refusal as it is answered.
pub type Refused = (ErrorCode, String);

/// Answers the request, topic by topic.
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
    let mut seen = HashSet::new();
    if let Some(twice) = resource.configs.iter().find(|config| !seen.insert(config.name.clone())) {
        return Err((
            ErrorCode::InvalidRequest,
            format!("Error due to duplicate config keys: {}", twice.name.as_str()),
        ));
    }
    let names = resource.configs.iter().map(|config| config.name.to_string());
    let topic = find_topic(context, resource.resource_type, &resource.resource_name, names).await?;
    let change =
        |overrides: &BTreeMap<String, String>| resource.configs.iter().try_fold(overrides.clone(), apply);
    if let Some(config) =
        resource.configs.iter().find(|config| !(SET..=SUBTRACT).contains(&config.config_operation))
    {
        let message = format!("Unknown operation {} for {}", config.config_operation, config.name.as_str());
        return Err((ErrorCode::InvalidRequest, message));
    }
    write(context, &topic, validate_only, change).await
}

/// The topic whose settings are to change. A broker's cannot: they are given when it is started.
pub async fn find_topic(
    context: &Context,
    resource_type: i8,
    name: &str,
    settings: impl Iterator<Item = String>,
) -> Result<std::sync::Arc<Topic>, Refused> {
    match resource_type {
        TOPIC => {
            let unknown = |code| (code, "This server does not host this topic-partition.".to_owned());
            context.topic_by_name(name).await.map_err(unknown)
        }
        BROKER => {
            check_broker(context, name)?;
            let names: Vec<String> = settings.collect();
            let message = format!("Cannot update these configs dynamically: {}", names.join(", "));
            Err((ErrorCode::InvalidRequest, message))
        }
        other => Err((ErrorCode::InvalidRequest, format!("Unsupported resource type: {other}"))),
    }
}

/// Makes the change, or only sees whether it could be made.
pub async fn write(
    context: &Context,
    topic: &Topic,
    validate_only: bool,
    change: impl FnOnce(&BTreeMap<String, String>) -> Result<BTreeMap<String, String>, CatalogError>,
) -> Result<(), Refused> {
    let refused = |error: CatalogError| (catalog_error::code(&error), error.to_string());
    if validate_only {
        let overrides = change(&topic.overrides).map_err(refused)?;
        let invalid = |error: SettingError| (catalog_error::setting_code(&error), error.to_string());
        return check_all(&overrides).map(|_| ()).map_err(invalid);
    }
    context.catalog.alter(topic.id, change).await.map(|_| ()).map_err(refused)
}

fn apply(
    mut overrides: BTreeMap<String, String>,
    config: &AlterableConfig,
) -> Result<BTreeMap<String, String>, CatalogError> {
    let name = config.name.to_string();
    let setting = Setting::find(&name).ok_or_else(|| SettingError::UnknownName(name.clone()))?;
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

fn no_list(operation: &'static str, setting: &Setting) -> CatalogError {
    SettingError::NoList { operation, name: setting.name }.into()
}

fn present(overrides: &BTreeMap<String, String>, setting: &Setting) -> Vec<String> {
    let text = overrides.get(setting.name).map(String::as_str).or(setting.default).unwrap_or_default();
    elements(text).into_iter().map(ToOwned::to_owned).collect()
}

fn appended(overrides: &BTreeMap<String, String>, setting: &Setting, value: &str) -> String {
    let mut list = present(overrides, setting);
    for element in elements(value) {
        if !list.iter().any(|present| present == element) {
            list.push(element.to_owned());
        }
    }
    list.join(",")
}

fn subtracted(overrides: &BTreeMap<String, String>, setting: &Setting, value: &str) -> String {
    let gone = elements(value);
    let list = present(overrides, setting);
    list.into_iter().filter(|present| !gone.contains(&present.as_str())).collect::<Vec<_>>().join(",")
}
