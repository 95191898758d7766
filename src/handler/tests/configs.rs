//! The settings of topics and of the broker, as clients read and change them.

use super::world::{World, code, text};
use crate::wire::ErrorCode;
use crate::wire::messages::alter_configs_request::{self, AlterConfigsResource};
use crate::wire::messages::describe_configs_request::DescribeConfigsResource;
use crate::wire::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult,
};
use crate::wire::messages::incremental_alter_configs_request::{self, AlterableConfig};
use crate::wire::messages::{AlterConfigsRequest, DescribeConfigsRequest, IncrementalAlterConfigsRequest};
use std::collections::BTreeMap;

const TOPIC: i8 = 2;
const BROKER: i8 = 4;
pub const SET: i8 = 0;
pub const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

/// An error code and its text, or nothing.
pub type Refusal = Option<(ErrorCode, String)>;

async fn world() -> World {
    let world = World::new().await;
    world.create("a", 1).await;
    world
}

pub async fn described(world: &World, kind: i8, name: &str, keys: Option<&[&str]>) -> DescribeConfigsResult {
    let keys = keys.map(|keys| keys.iter().map(|key| text(key)).collect());
    let resource = DescribeConfigsResource::default()
        .with_resource_type(kind)
        .with_resource_name(text(name))
        .with_configuration_keys(keys);
    let request = DescribeConfigsRequest::default().with_resources(vec![resource]);
    let request = request.with_include_synonyms(true).with_include_documentation(true);
    world.ask(4, &request).await.results.remove(0)
}

/// One setting of the topic `a`.
async fn setting(world: &World, name: &str) -> DescribeConfigsResourceResult {
    described(world, TOPIC, "a", Some(&[name])).await.configs.remove(0)
}

async fn value(world: &World, name: &str) -> String {
    setting(world, name).await.value.expect("it has one").to_string()
}

/// Value and where it comes from.
async fn sourced(world: &World, name: &str) -> (String, i8) {
    let setting = setting(world, name).await;
    (setting.value.expect("it has one").to_string(), setting.config_source)
}

fn own(world: &World) -> BTreeMap<String, String> {
    world.context.catalog.by_name("a").expect("there").overrides.clone()
}

/// Setting, operation, value.
pub type Alteration<'a> = (&'a str, i8, Option<&'a str>);

pub async fn altered(
    world: &World,
    kind: i8,
    name: &str,
    alterations: &[Alteration<'_>],
    only: bool,
) -> Refusal {
    let config = |(name, operation, value): &Alteration<'_>| {
        let config = AlterableConfig::default().with_name(text(name)).with_config_operation(*operation);
        config.with_value(value.map(text))
    };
    let resource = incremental_alter_configs_request::AlterConfigsResource::default()
        .with_resource_type(kind)
        .with_resource_name(text(name))
        .with_configs(alterations.iter().map(config).collect());
    let request = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
    let response = world.ask(1, &request.with_validate_only(only)).await.responses.remove(0);
    let message = response.error_message.map(|message| message.to_string());
    code(response.error_code).map(|code| (code, message.unwrap_or_default()))
}

async fn alter(world: &World, name: &str, operation: i8, value: Option<&str>) -> Refusal {
    altered(world, TOPIC, "a", &[(name, operation, value)], false).await
}

async fn replace(world: &World, settings: &[(&str, Option<&str>)], only: bool) -> Refusal {
    replaced(world, TOPIC, "a", settings, only).await
}

pub async fn replaced(
    world: &World,
    kind: i8,
    name: &str,
    settings: &[(&str, Option<&str>)],
    only: bool,
) -> Refusal {
    let config = |(name, value): &(&str, Option<&str>)| {
        alter_configs_request::AlterableConfig::default().with_name(text(name)).with_value(value.map(text))
    };
    let resource = AlterConfigsResource::default()
        .with_resource_type(kind)
        .with_resource_name(text(name))
        .with_configs(settings.iter().map(config).collect());
    let request = AlterConfigsRequest::default().with_resources(vec![resource]).with_validate_only(only);
    let response = world.ask(2, &request).await.responses.remove(0);
    let message = response.error_message.map(|message| message.to_string());
    code(response.error_code).map(|code| (code, message.unwrap_or_default()))
}

pub fn refused(code: ErrorCode, message: &str) -> Refusal {
    Some((code, message.to_owned()))
}

#[tokio::test]
async fn all_settings_that_have_a_value_are_described_with_their_documentation() {
    let world = world().await;
    let all = described(&world, TOPIC, "a", None).await.configs;
    assert_eq!(all.len(), 36, "those of Apache Kafka, its internal one left out");
    for setting in &all {
        assert!(setting.value.is_some() && setting.config_source == 5, "{:?}", setting.name);
        assert!(setting.documentation.is_some() && setting.config_type != 0, "{:?}", setting.name);
        assert!(!setting.read_only && !setting.is_sensitive, "{:?}", setting.name);
    }
    let some = described(&world, TOPIC, "a", Some(&["retention.ms", "nope"])).await.configs;
    assert_eq!(some.len(), 1, "only what is asked for and is there");
    assert_eq!(alter(&world, "internal.segment.bytes", SET, Some("5")).await, None);
    assert_eq!(value(&world, "internal.segment.bytes").await, "5");
}

#[tokio::test]
async fn an_own_setting_is_described_before_the_broker_s() {
    let world = world().await;
    assert_eq!(alter(&world, "retention.bytes", SET, Some(" 77 ")).await, None);
    let setting = setting(&world, "retention.bytes").await;
    assert_eq!((setting.value.as_deref(), setting.config_source), (Some("77"), 1));
    let synonyms: Vec<_> = setting
        .synonyms
        .iter()
        .map(|synonym| (synonym.name.as_str(), synonym.value.as_deref(), synonym.source))
        .collect();
    let expected = [("retention.bytes", Some("77"), 1), ("log.retention.bytes", Some("-1"), 5)];
    assert_eq!(synonyms, expected);
}

#[tokio::test]
async fn the_settings_of_this_broker_are_described_and_those_of_others_are_not() {
    let world = world().await;
    for name in ["1", ""] {
        let broker = described(&world, BROKER, name, None).await;
        assert_eq!(code(broker.error_code), None);
        assert!(broker.configs.iter().all(|config| config.read_only && config.value.is_some()));
        assert!(broker.configs.iter().any(|config| &*config.name == "num.partitions"));
    }
    for (kind, name, expected) in [
        (BROKER, "2", ErrorCode::InvalidRequest),
        (BROKER, "x", ErrorCode::InvalidRequest),
        (TOPIC, "b", ErrorCode::UnknownTopicOrPartition),
        (99, "a", ErrorCode::InvalidRequest),
    ] {
        let result = described(&world, kind, name, None).await;
        assert_eq!((code(result.error_code), result.configs.len()), (Some(expected), 0), "{kind} {name}");
        assert!(result.error_message.is_some());
    }
}

#[tokio::test]
async fn a_list_is_appended_to_and_subtracted_from() {
    let world = world().await;
    for (operation, element, expected) in [
        (APPEND, "compact", "delete,compact"),
        (APPEND, "compact", "delete,compact"),
        (SUBTRACT, "delete", "compact"),
        (SUBTRACT, "delete", "compact"),
        (SUBTRACT, "compact", ""),
        (APPEND, "compact, delete", "compact,delete"),
        (SET, " delete ", "delete"),
    ] {
        assert_eq!(alter(&world, "cleanup.policy", operation, Some(element)).await, None);
        assert_eq!(value(&world, "cleanup.policy").await, expected, "{operation} {element}");
    }
    assert!(alter(&world, "cleanup.policy", APPEND, Some("archive")).await.is_some());
    assert_eq!(value(&world, "cleanup.policy").await, "delete");
}

#[tokio::test]
async fn single_settings_are_set_and_go_back_to_their_defaults() {
    let world = world().await;
    let both = [("retention.ms", SET, Some("5")), ("segment.ms", SET, Some("7"))];
    assert_eq!(altered(&world, TOPIC, "a", &both, false).await, None);
    assert_eq!(sourced(&world, "retention.ms").await, ("5".to_owned(), 1));
    assert_eq!(alter(&world, "retention.ms", DELETE, None).await, None);
    assert_eq!(sourced(&world, "retention.ms").await, ("604800000".to_owned(), 5));
    assert_eq!(sourced(&world, "segment.ms").await, ("7".to_owned(), 1));
}

#[tokio::test]
async fn alterations_are_refused_as_kafka_refuses_them_and_change_nothing() {
    let world = world().await;
    assert_eq!(alter(&world, "retention.ms", SET, Some("5")).await, None);
    let invalid = |message: &str| refused(ErrorCode::InvalidConfig, message);
    for (alteration, expected) in [
        (
            ("retention.ms", APPEND, Some("6")),
            "Can't APPEND to key retention.ms because its type is not LIST.",
        ),
        (
            ("retention.ms", SUBTRACT, Some("5")),
            "Can't SUBTRACT to key retention.ms because its type is not LIST.",
        ),
        (("nope", SET, Some("6")), "Unknown topic config name: nope"),
        (
            ("retention.ms", SET, Some("-2")),
            "Invalid value -2 for configuration retention.ms: Value must be at least -1",
        ),
    ] {
        for only in [true, false] {
            assert_eq!(altered(&world, TOPIC, "a", &[alteration], only).await, invalid(expected));
        }
    }
    let nothing = altered(&world, TOPIC, "a", &[("retention.ms", SET, None)], false).await;
    assert_eq!(nothing, refused(ErrorCode::InvalidRequest, "Null value not supported for : retention.ms"));
    let twice = [("retention.ms", SET, Some("6")), ("retention.ms", DELETE, None)];
    for (kind, name, alterations, expected) in [
        (TOPIC, "a", &twice[..], ErrorCode::InvalidRequest),
        (TOPIC, "a", &[("retention.ms", 9, Some("6"))], ErrorCode::InvalidRequest),
        (TOPIC, "b", &twice[..1], ErrorCode::UnknownTopicOrPartition),
        (BROKER, "1", &twice[..1], ErrorCode::InvalidRequest),
        (BROKER, "2", &twice[..1], ErrorCode::InvalidRequest),
        (99, "a", &twice[..1], ErrorCode::InvalidRequest),
    ] {
        let refusal = altered(&world, kind, name, alterations, false).await;
        assert_eq!(refusal.map(|(code, _)| code), Some(expected), "{kind} {name}");
    }
    assert_eq!(own(&world), BTreeMap::from([("retention.ms".to_owned(), "5".to_owned())]));
}

#[tokio::test]
async fn what_is_only_validated_is_not_changed() {
    let world = world().await;
    let one = [("retention.ms", SET, Some("5"))];
    assert_eq!(altered(&world, TOPIC, "a", &one, true).await, None);
    assert_eq!(replace(&world, &[("retention.ms", Some("5"))], true).await, None);
    assert!(own(&world).is_empty());
}

#[tokio::test]
async fn alter_configs_replaces_all_settings() {
    let world = world().await;
    assert_eq!(replace(&world, &[("retention.ms", Some("5")), ("segment.ms", Some("7"))], false).await, None);
    assert_eq!(replace(&world, &[("retention.bytes", Some("9"))], false).await, None);
    assert_eq!(own(&world), BTreeMap::from([("retention.bytes".to_owned(), "9".to_owned())]));
    assert_eq!(sourced(&world, "retention.ms").await, ("604800000".to_owned(), 5));
    let code = |refusal: Refusal| refusal.map(|(code, _)| code);
    for (bad, expected) in [
        (("nope", Some("1")), ErrorCode::InvalidConfig),
        (("segment.ms", Some("0")), ErrorCode::InvalidConfig),
        (("segment.ms", None), ErrorCode::InvalidRequest),
    ] {
        let refusal = replace(&world, &[("retention.ms", Some("5")), bad], false).await;
        assert_eq!(code(refusal), Some(expected), "{bad:?}");
    }
    assert_eq!(own(&world).len(), 1, "nothing has changed");
    assert_eq!(replace(&world, &[], false).await, None);
    assert!(own(&world).is_empty());
}
