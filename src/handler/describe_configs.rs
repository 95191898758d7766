//! DescribeConfigs, versions 1 to 4: the settings of topics, of groups and of this broker.

use super::ConnectionInfo;
use super::brokers::Brokers;
use super::config_resource::{BROKER, GROUP, Refused, TOPIC, check_broker, find_group, unsupported};
use super::context::Context;
use crate::group;
use crate::settings::{Overrides, Setting, SettingType, Table};
use crate::topic::{self, Topic};
use crate::types::TopicName;
use crate::wire::messages::describe_configs_request::DescribeConfigsResource;
use crate::wire::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym,
};
use crate::wire::messages::{DescribeConfigsRequest, DescribeConfigsResponse};
use crate::wire::{ErrorCode, StrBytes};

/// Where a value comes from: the topic itself.
const FROM_TOPIC: i8 = 1;
/// From the broker's own settings.
const FROM_BROKER: i8 = 4;
/// From nowhere: it is the default.
const FROM_DEFAULT: i8 = 5;
/// From the group itself.
const FROM_GROUP: i8 = 8;

/// A setting as it holds.
pub struct EffectiveSetting {
    /// Which.
    pub setting: &'static Setting,
    /// Its value, in the form in which it is shown.
    pub value: String,
    /// Kafka's number of where it comes from.
    pub source: i8,
}

/// All settings of a topic as they hold, in the order of their names.
pub fn topic_settings(topic: &Topic) -> Vec<EffectiveSetting> {
    effective(&topic::settings::SETTINGS, &topic.overrides, FROM_TOPIC)
}

/// All settings of a table as they hold, in the order of their names; what has no default only where it is set.
fn effective(table: &Table, overrides: &Overrides, source: i8) -> Vec<EffectiveSetting> {
    let of = |setting: &'static Setting| match overrides.get(setting.name) {
        Some(given) => {
            let value = setting.check(given).unwrap_or_else(|_| given.clone());
            Some(EffectiveSetting { setting, value, source })
        }
        None => {
            let value = setting.default?.to_owned();
            Some(EffectiveSetting { setting, value, source: FROM_DEFAULT })
        }
    };
    table.rows.iter().filter_map(of).collect()
}

/// Answers the request, one thing after the other.
pub async fn handle(
    context: &Context,
    request: DescribeConfigsRequest,
    api_version: i16,
    connection: &ConnectionInfo,
) -> DescribeConfigsResponse {
    let brokers = Brokers::of(context, connection);
    let mut results = Vec::with_capacity(request.resources.len());
    for resource in request.resources {
        let result = DescribeConfigsResult::default()
            .with_resource_type(resource.resource_type)
            .with_resource_name(resource.resource_name.clone());
        results.push(match describe(context, &brokers, &resource).await {
            Ok(mut configs) => {
                configs.retain(|config| is_wanted(&resource, &config.name));
                for config in &mut configs {
                    trim(config, &request.include_synonyms, &request.include_documentation, api_version);
                }
                result.with_configs(configs)
            }
            Err((code, message)) => {
                result.with_error_code(code.code()).with_error_message(Some(StrBytes::from_string(message)))
            }
        });
    }
    DescribeConfigsResponse::default().with_results(results)
}

fn is_wanted(resource: &DescribeConfigsResource, name: &str) -> bool {
    resource.configuration_keys.as_ref().is_none_or(|keys| keys.iter().any(|key| **key == *name))
}

/// Takes away what was not asked for, or came with a later version.
fn trim(config: &mut DescribeConfigsResourceResult, synonyms: &bool, documentation: &bool, api_version: i16) {
    if !synonyms {
        config.synonyms.clear();
    }
    if !documentation || api_version < 3 {
        config.documentation = None;
    }
    if api_version < 3 {
        config.config_type = 0;
    }
}

async fn describe(
    context: &Context,
    brokers: &Brokers,
    resource: &DescribeConfigsResource,
) -> Result<Vec<DescribeConfigsResourceResult>, Refused> {
    match resource.resource_type {
        TOPIC => {
            TopicName::parse(&resource.resource_name)
                .map_err(|error| (ErrorCode::InvalidTopicException, error.to_string()))?;
            let found = context.topic_by_name(&resource.resource_name).await;
            let unknown = |code| (code, "This server does not host this topic-partition.".to_owned());
            let topic = found.map_err(unknown)?;
            Ok(topic_settings(&topic).into_iter().map(setting_result).collect())
        }
        GROUP if resource.resource_name.is_empty() => {
            Err((ErrorCode::InvalidRequest, "Group name must not be empty".to_owned()))
        }
        GROUP => {
            let overrides = context.group_settings.overrides(&find_group(&resource.resource_name)?);
            let settings = effective(&group::settings::SETTINGS, &overrides, FROM_GROUP);
            Ok(settings.into_iter().map(setting_result).collect())
        }
        BROKER => {
            check_broker(brokers, &resource.resource_name)?;
            Ok(broker_settings(context).into_iter().map(broker_result).collect())
        }
        other => Err(unsupported(other)),
    }
}

fn setting_result(effective: EffectiveSetting) -> DescribeConfigsResourceResult {
    let EffectiveSetting { setting, value, source } = effective;
    let name = StrBytes::from_static_str(setting.name);
    let value = Some(StrBytes::from_string(value));
    let mut synonyms = Vec::new();
    if source != FROM_DEFAULT {
        synonyms.push(synonym(name.clone(), value.clone(), source));
    }
    if let Some(default_name) = setting.default_name {
        let default = setting.default.map(StrBytes::from_static_str);
        synonyms.push(synonym(StrBytes::from_static_str(default_name), default, FROM_DEFAULT));
    }
    DescribeConfigsResourceResult::default()
        .with_name(name)
        .with_value(value)
        .with_config_source(source)
        .with_synonyms(synonyms)
        .with_config_type(setting.setting_type().code())
        .with_documentation(Some(StrBytes::from_static_str(setting.doc)))
}

fn synonym(name: StrBytes, value: Option<StrBytes>, source: i8) -> DescribeConfigsSynonym {
    DescribeConfigsSynonym::default().with_name(name).with_value(value).with_source(source)
}

/// A setting of this broker, by the name that Kafka's tools know.
struct BrokerSetting {
    name: &'static str,
    value: String,
    kind: SettingType,
    doc: &'static str,
}

fn broker_settings(context: &Context) -> Vec<BrokerSetting> {
    let config = &context.config;
    let setting = |name, value: String, kind, doc| BrokerSetting { name, value, kind, doc };
    let advertised: Vec<String> = context
        .cluster
        .listeners
        .iter()
        .map(|door| format!("{}://{}:{}", door.name, door.host, door.port))
        .collect();
    vec![
        setting(
            "advertised.listeners",
            advertised.join(","),
            SettingType::List,
            "What clients are told to connect to.",
        ),
        setting(
            "auto.create.topics.enable",
            config.topics.auto_create.to_string(),
            SettingType::Boolean,
            "Whether asking for an unknown topic creates it.",
        ),
        setting(
            "broker.id",
            config.broker_id.0.to_string(),
            SettingType::Int,
            "Kafka's node id of this broker.",
        ),
        setting(
            "default.replication.factor",
            "1".to_owned(),
            SettingType::Int,
            "Copies are the object store's business.",
        ),
        setting("log.dirs", config.store.to_string(), SettingType::List, "Where journal objects go."),
        setting(
            "num.partitions",
            config.topics.num_partitions.to_string(),
            SettingType::Int,
            "Partitions of a topic that is created without a number.",
        ),
        setting(
            "socket.request.max.bytes",
            config.limits.frame_bytes_max.to_string(),
            SettingType::Int,
            "The largest request.",
        ),
    ]
}

fn broker_result(setting: BrokerSetting) -> DescribeConfigsResourceResult {
    let value = Some(StrBytes::from_string(setting.value));
    let name = StrBytes::from_static_str(setting.name);
    DescribeConfigsResourceResult::default()
        .with_name(name.clone())
        .with_value(value.clone())
        .with_read_only(true)
        .with_config_source(FROM_BROKER)
        .with_synonyms(vec![synonym(name, value, FROM_BROKER)])
        .with_config_type(setting.kind.code())
        .with_documentation(Some(StrBytes::from_static_str(setting.doc)))
}
