//! The settings of groups, as clients read, change and list them.

use super::configs::{Alteration, DELETE, Refusal, SET, altered, described, refused, replaced};
use super::world::{World, code};
use crate::group::GroupId;
use crate::settings::Overrides;
use crate::wire::ErrorCode;
use crate::wire::messages::ListConfigResourcesRequest;
use crate::wire::messages::describe_configs_response::DescribeConfigsResourceResult;

const GROUP: i8 = 32;
const RESET: &str = "share.auto.offset.reset";
const LOCKS: &str = "share.record.lock.duration.ms";

async fn alter(world: &World, alterations: &[Alteration<'_>]) -> Refusal {
    altered(world, GROUP, "g", alterations, false).await
}

async fn all(world: &World) -> Vec<DescribeConfigsResourceResult> {
    described(world, GROUP, "g", None).await.configs
}

/// Its value, where it comes from, and its synonyms.
async fn setting(world: &World, name: &str) -> (String, i8, Vec<(String, String, i8)>) {
    let setting = described(world, GROUP, "g", Some(&[name])).await.configs.remove(0);
    let synonyms = setting.synonyms.iter().map(|synonym| {
        let value = synonym.value.as_ref().expect("it has one");
        (synonym.name.to_string(), value.to_string(), synonym.source)
    });
    (setting.value.as_ref().expect("it has one").to_string(), setting.config_source, synonyms.collect())
}

fn synonym(name: &str, value: &str, source: i8) -> (String, String, i8) {
    (name.to_owned(), value.to_owned(), source)
}

fn own(world: &World) -> Overrides {
    (*world.context.group_settings.overrides(&GroupId::new("g"))).clone()
}

/// What has settings, of these kinds.
async fn listed(world: &World, version: i16, kinds: &[i8]) -> Result<Vec<(i8, String)>, ErrorCode> {
    let request = ListConfigResourcesRequest::default().with_resource_types(kinds.to_vec());
    let response = world.ask(version, &request).await;
    let names = response
        .config_resources
        .iter()
        .map(|resource| (resource.resource_type, resource.resource_name.to_string()));
    code(response.error_code).map_or_else(|| Ok(names.collect()), Err)
}

#[tokio::test]
async fn a_group_that_nobody_knows_is_described_with_the_defaults() {
    let world = World::new().await;
    let all = all(&world).await;
    assert_eq!(all.len(), 12, "those of Apache Kafka, streams groups left out");
    for setting in &all {
        assert!(setting.value.is_some() && setting.config_source == 5, "{:?}", setting.name);
        assert!(setting.documentation.is_some() && setting.config_type != 0, "{:?}", setting.name);
        assert!(!setting.read_only && !setting.is_sensitive, "{:?}", setting.name);
        assert_eq!(setting.synonyms.len(), 1, "{:?}", setting.name);
    }
}

#[tokio::test]
async fn a_setting_of_its_own_is_described_before_the_broker_s() {
    let world = World::new().await;
    let set = [(RESET, SET, Some("earliest")), (LOCKS, SET, Some(" 20000 "))];
    assert_eq!(alter(&world, &set).await, None);
    let synonyms = vec![synonym(RESET, "earliest", 8), synonym(RESET, "latest", 5)];
    assert_eq!(setting(&world, RESET).await, ("earliest".to_owned(), 8, synonyms));
    let synonyms = vec![synonym(LOCKS, "20000", 8), synonym(&format!("group.{LOCKS}"), "30000", 5)];
    assert_eq!(setting(&world, LOCKS).await, ("20000".to_owned(), 8, synonyms));
    assert_eq!(alter(&world, &[(RESET, DELETE, None)]).await, None);
    assert_eq!(setting(&world, RESET).await.1, 5);
    assert_eq!(own(&world).len(), 1);
}

#[tokio::test]
async fn alterations_are_refused_as_kafka_refuses_them_and_change_nothing() {
    let world = World::new().await;
    let invalid = |message: &str| refused(ErrorCode::InvalidConfig, message);
    for (alteration, expected) in [
        (("nope", SET, Some("1")), invalid("Unknown group config name: nope")),
        (
            (LOCKS, SET, Some("1")),
            invalid(&format!("Invalid value 1 for configuration {LOCKS}: Value must be at least 1000")),
        ),
        (
            ("consumer.session.timeout.ms", SET, Some("5000")),
            invalid("consumer.session.timeout.ms must be greater than consumer.heartbeat.interval.ms"),
        ),
        (
            (RESET, 2, Some("earliest")),
            invalid(&format!("Can't APPEND to key {RESET} because its type is not LIST.")),
        ),
        (
            (RESET, SET, None),
            refused(ErrorCode::InvalidRequest, &format!("Null value not supported for : {RESET}")),
        ),
    ] {
        for only in [false, true] {
            assert_eq!(altered(&world, GROUP, "g", &[alteration], only).await, expected, "{alteration:?}");
        }
    }
    let legal = [(RESET, SET, Some("earliest"))];
    let nameless = refused(ErrorCode::InvalidRequest, "Default group resources are not allowed.");
    assert_eq!(altered(&world, GROUP, "", &legal, false).await, nameless);
    let long = altered(&world, GROUP, &"g".repeat(2000), &legal, false).await;
    assert_eq!(long.map(|(code, _)| code), Some(ErrorCode::InvalidGroupId));
    assert!(world.context.group_settings.groups().is_empty());
    let nameless = described(&world, GROUP, "", None).await;
    assert_eq!(code(nameless.error_code), Some(ErrorCode::InvalidRequest));
    assert_eq!(nameless.error_message.as_deref(), Some("Group name must not be empty"));
}

#[tokio::test]
async fn what_is_only_validated_is_not_changed_and_alter_configs_replaces_all() {
    let world = World::new().await;
    assert_eq!(altered(&world, GROUP, "g", &[(RESET, SET, Some("earliest"))], true).await, None);
    assert_eq!(replaced(&world, GROUP, "g", &[(RESET, Some("earliest"))], true).await, None);
    assert!(own(&world).is_empty());

    assert_eq!(replaced(&world, GROUP, "g", &[(RESET, Some("earliest"))], false).await, None);
    assert_eq!(replaced(&world, GROUP, "g", &[(LOCKS, Some("20000"))], false).await, None);
    assert_eq!(own(&world).into_iter().collect::<Vec<_>>(), [(LOCKS.to_owned(), "20000".to_owned())]);
    let bad = replaced(&world, GROUP, "g", &[(RESET, None)], false).await;
    assert_eq!(bad.map(|(code, _)| code), Some(ErrorCode::InvalidRequest));
    assert_eq!(replaced(&world, GROUP, "g", &[], false).await, None);
    assert!(own(&world).is_empty());
}

#[tokio::test]
async fn settings_outlive_the_session() {
    let mut world = World::new().await;
    assert_eq!(alter(&world, &[(RESET, SET, Some("by_duration:PT1H"))]).await, None);
    let sealed = World::new().await;
    sealed.seal().await;
    let refusal = alter(&sealed, &[(RESET, SET, Some("earliest"))]).await;
    assert_eq!(refusal.map(|(code, _)| code), Some(ErrorCode::NotController));
    world.take_over().await;
    assert_eq!(setting(&world, RESET).await.0, "by_duration:PT1H");
}

#[tokio::test]
async fn what_has_settings_is_listed_by_its_kind() {
    let world = World::new().await;
    world.create("b", 1).await;
    world.create("a", 1).await;
    let of = |kind: i8, name: &str| (kind, name.to_owned());
    assert_eq!(listed(&world, 1, &[GROUP]).await, Ok(vec![]));
    assert_eq!(alter(&world, &[(RESET, SET, Some("earliest"))]).await, None);
    let everything = vec![of(2, "a"), of(2, "b"), of(4, "1"), of(GROUP, "g")];
    assert_eq!(listed(&world, 1, &[]).await, Ok(everything.clone()));
    assert_eq!(listed(&world, 1, &[32, 16, 8, 4, 2, 2]).await, Ok(everything));
    assert_eq!(listed(&world, 1, &[GROUP]).await, Ok(vec![of(GROUP, "g")]));
    assert_eq!(listed(&world, 1, &[8, 16]).await, Ok(vec![]));
    for unknown in [0, 1, 64, -1] {
        assert_eq!(listed(&world, 1, &[2, unknown]).await, Err(ErrorCode::UnsupportedVersion), "{unknown}");
    }
    assert_eq!(listed(&world, 0, &[]).await, Ok(vec![]), "client metrics only");
}
