//! CreateTopics, versions 2 to 7.

use super::ConnectionInfo;
use super::brokers::Brokers;
use super::context::Context;
use super::{catalog_error, describe_configs};
use crate::hashing::HashSet;
use crate::topic::{NewTopic, Topic};
use crate::types::{TopicId, TopicName};
use crate::wire::messages::create_topics_request::CreatableTopic;
use crate::wire::messages::create_topics_response::{CreatableTopicConfigs, CreatableTopicResult};
use crate::wire::messages::{CreateTopicsRequest, CreateTopicsResponse};
use crate::wire::{ErrorCode, StrBytes};
use std::collections::BTreeMap;
use uuid::Uuid;

/// Kafka's own log of itself. Clients know the name, and it must not be somebody's topic.
const CLUSTER_METADATA: &str = "__cluster_metadata";

/// Why a topic is not created.
struct Refused {
    code: ErrorCode,
    message: String,
}

impl Refused {
    fn new(code: ErrorCode, message: impl ToString) -> Refused {
        Refused { code, message: message.to_string() }
    }
}

/// Answers the request, topic by topic.
pub async fn handle(
    context: &Context,
    request: CreateTopicsRequest,
    api_version: i16,
    connection: &ConnectionInfo,
) -> CreateTopicsResponse {
    let mut seen = HashSet::default();
    let twice: HashSet<_> = request
        .topics
        .iter()
        .map(|topic| topic.name.clone())
        .filter(|name| !seen.insert(name.clone()))
        .collect();
    let mut refused = HashSet::default();
    let mut results: Vec<CreatableTopicResult> = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let name = topic.name.clone();
        let created = if twice.contains(&name) {
            if !refused.insert(name.clone()) {
                continue;
            }
            Err(Refused::new(ErrorCode::InvalidRequest, "Duplicate topic name."))
        } else {
            create(context, connection, topic, request.validate_only).await
        };
        let result = CreatableTopicResult::default().with_name(name);
        results.push(match created {
            Ok(topic) => answer(result, &topic, api_version),
            Err(refused) => result
                .with_error_code(refused.code.code())
                .with_error_message(Some(StrBytes::from_string(refused.message)))
                .with_num_partitions(-1)
                .with_replication_factor(-1),
        });
    }
    CreateTopicsResponse::default().with_topics(results)
}

async fn create(
    context: &Context,
    connection: &ConnectionInfo,
    wanted: CreatableTopic,
    validate_only: bool,
) -> Result<Topic, Refused> {
    let name = TopicName::parse(&wanted.name).map_err(|error| {
        Refused::new(ErrorCode::InvalidTopicException, format!("Topic name is invalid: {error}"))
    })?;
    if name.as_str() == CLUSTER_METADATA {
        let message = format!("Creation of internal topic {CLUSTER_METADATA} is prohibited.");
        return Err(Refused::new(ErrorCode::InvalidRequest, message));
    }
    let partitions = partitions(context, connection, &wanted)?;
    let mut overrides = BTreeMap::new();
    for config in wanted.configs {
        let no_value = || {
            let message = format!("Null value not supported for topic configs: {}", config.name);
            Refused::new(ErrorCode::InvalidConfig, message)
        };
        let value = config.value.as_ref().ok_or_else(no_value)?;
        overrides.insert(config.name.to_string(), value.to_string());
    }
    let new = NewTopic { name, partitions, overrides };
    let refused = |error| Refused::new(catalog_error::code(&error), error);
    if !validate_only {
        let topic = context.catalog.create(new).await.map_err(refused)?;
        context.opened(&topic).await;
        return Ok((*topic).clone());
    }
    let settings = context.catalog.check(&new).map_err(refused)?;
    let NewTopic { name, partitions, overrides } = new;
    let created_ms = context.clock.now();
    Ok(Topic { id: TopicId(Uuid::nil()), name, partitions, overrides, settings, created_ms })
}

/// How many partitions, after the number of replicas and the assignment were seen to suit: copies are the object store's
/// business, and who leads is the view's.
fn partitions(
    context: &Context,
    connection: &ConnectionInfo,
    wanted: &CreatableTopic,
) -> Result<i32, Refused> {
    if wanted.assignments.is_empty() {
        return match (wanted.replication_factor, wanted.num_partitions) {
            (-1 | 1, -1) => Ok(context.config.topics.num_partitions),
            (-1 | 1, partitions) => Ok(partitions),
            (factor, _) if factor <= 0 => Err(Refused::new(
                ErrorCode::InvalidReplicationFactor,
                "Replication factor must be larger than 0, or -1 to use the default value.",
            )),
            (factor, _) => Err(Refused::new(
                ErrorCode::InvalidReplicationFactor,
                format!(
                    "Unable to replicate the partition {factor} time(s): The target replication factor of {factor} \
                     cannot be reached because only 1 broker(s) are registered."
                ),
            )),
        };
    }
    if wanted.num_partitions != -1 || wanted.replication_factor != -1 {
        let message = "A manual partition assignment was specified, but numPartitions or replicationFactor \
                       was not set to -1.";
        return Err(Refused::new(ErrorCode::InvalidRequest, message));
    }
    let mut indexes: Vec<i32> =
        wanted.assignments.iter().map(|assignment| assignment.partition_index).collect();
    indexes.sort_unstable();
    let count = i32::try_from(indexes.len()).unwrap_or(i32::MAX);
    let brokers = Brokers::of(context, connection);
    if !indexes.iter().copied().eq(0..count)
        || !wanted.assignments.iter().all(|assignment| brokers.is_assignable(&assignment.broker_ids))
    {
        let message = format!(
            "The manual assignment must name partitions from 0 without a gap, each on broker {}.",
            brokers.assignable()
        );
        return Err(Refused::new(ErrorCode::InvalidReplicaAssignment, message));
    }
    Ok(count)
}

fn answer(result: CreatableTopicResult, topic: &Topic, api_version: i16) -> CreatableTopicResult {
    if api_version < 5 {
        return result;
    }
    let configs = describe_configs::topic_settings(topic).into_iter().map(|effective| {
        CreatableTopicConfigs::default()
            .with_name(StrBytes::from_static_str(effective.setting.name))
            .with_value(Some(StrBytes::from_string(effective.value)))
            .with_config_source(effective.source)
    });
    result
        .with_topic_id(topic.id.0)
        .with_num_partitions(topic.partitions)
        .with_replication_factor(1)
        .with_configs(Some(configs.collect()))
}
