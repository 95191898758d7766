//! Metadata, versions 0 to 13: brokers, topics and who leads them.
//!
//! Brokers are named with their addresses of the listener that the request came in by.

use super::brokers::{Brokers, ToldBroker};
use super::context::Context;
use super::{ConnectionInfo, authorized, catalog_error};
use crate::hashing::HashSet;
use crate::topic::{NewTopic, Topic};
use crate::types::{PartitionIndex, TopicId, TopicName, TopicPartition};
use crate::wire::messages::metadata_request::MetadataRequestTopic;
use crate::wire::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use crate::wire::messages::{self, BrokerId, MetadataRequest, MetadataResponse};
use crate::wire::{ErrorCode, StrBytes};
use std::collections::BTreeMap;
use std::sync::Arc;

const NOBODY: BrokerId = BrokerId(-1);
/// Topics that one request may create by asking for them; it asks again for more.
const CREATIONS_MAX: usize = 1000;

/// Answers the request.
pub async fn handle(
    context: &Context,
    request: MetadataRequest,
    api_version: i16,
    client_id: Option<&str>,
    connection: &ConnectionInfo,
) -> MetadataResponse {
    let asked = request.include_topic_authorized_operations;
    let brokers = Brokers::of(context, connection).for_client(client_id);
    let mut topics = Vec::new();
    match request.topics {
        Some(wanted) if !(api_version == 0 && wanted.is_empty()) => {
            // Before version 4 there was no way to say no.
            let may_create = api_version < 4 || request.allow_auto_topic_creation;
            let mut creations_left = CREATIONS_MAX;
            for topic in without_repeats(wanted) {
                let found = find(context, &topic, may_create.then_some(&mut creations_left)).await;
                topics.push(answer_topic(&brokers, topic, found, asked));
            }
        }
        _ => topics.extend(context.catalog.all().iter().map(|topic| describe(&brokers, topic, asked))),
    }
    let on_cluster = request.include_cluster_authorized_operations && (8..=10).contains(&api_version);
    MetadataResponse::default()
        .with_brokers(brokers.all().map(broker).collect())
        .with_cluster_id(Some(StrBytes::from_string(context.cluster.cluster_id.to_string())))
        .with_controller_id(BrokerId(brokers.controller().0))
        .with_cluster_authorized_operations(authorized::on_cluster(on_cluster))
        .with_topics(topics)
}

fn broker(told: &ToldBroker) -> MetadataResponseBroker {
    MetadataResponseBroker::default()
        .with_node_id(BrokerId(told.id.0))
        .with_host(told.host.clone())
        .with_port(told.port)
        .with_rack(told.rack.clone())
}

/// Each topic once, so that an answer is no longer than all topics are.
fn without_repeats(wanted: Vec<MetadataRequestTopic>) -> impl Iterator<Item = MetadataRequestTopic> {
    let mut seen = HashSet::default();
    wanted.into_iter().filter(move |topic| seen.insert((topic.name.clone(), topic.topic_id)))
}

/// Finds a topic, or creates it if the request may create any more.
async fn find(
    context: &Context,
    wanted: &MetadataRequestTopic,
    creations_left: Option<&mut usize>,
) -> Result<Arc<Topic>, ErrorCode> {
    let Some(name) = &wanted.name else {
        return context.topic_by_id(TopicId(wanted.topic_id)).await;
    };
    let topic_name = TopicName::parse(name).map_err(|_| ErrorCode::InvalidTopicException)?;
    match context.topic_by_name(name).await {
        Err(ErrorCode::UnknownTopicOrPartition) if context.config.topics.auto_create => {
            let Some(left) = creations_left.filter(|left| **left > 0) else {
                return Err(ErrorCode::UnknownTopicOrPartition);
            };
            *left -= 1;
            create(context, topic_name).await
        }
        found => found,
    }
}

/// Creates a topic because somebody asked about it. Of two that ask at once one creates it.
async fn create(context: &Context, name: TopicName) -> Result<Arc<Topic>, ErrorCode> {
    let partitions = context.config.topics.num_partitions;
    let new = NewTopic { name: name.clone(), partitions, overrides: BTreeMap::new() };
    match context.catalog.create(new).await {
        Ok(topic) => Ok(topic),
        Err(error) => match context.catalog.by_name(name.as_str()) {
            Some(topic) => Ok(topic),
            None => Err(catalog_error::code(&error)),
        },
    }
}

fn answer_topic(
    brokers: &Brokers,
    wanted: MetadataRequestTopic,
    found: Result<Arc<Topic>, ErrorCode>,
    asked: bool,
) -> MetadataResponseTopic {
    match found {
        Ok(topic) => describe(brokers, &topic, asked),
        Err(code) => MetadataResponseTopic::default()
            .with_error_code(code.code())
            .with_name(wanted.name)
            .with_topic_id(wanted.topic_id)
            .with_topic_authorized_operations(authorized::NOT_ASKED),
    }
}

fn describe(brokers: &Brokers, topic: &Topic, asked: bool) -> MetadataResponseTopic {
    let partition = |index| {
        let partition = TopicPartition { topic_id: topic.id, partition: PartitionIndex(index) };
        let answer = MetadataResponsePartition::default()
            .with_partition_index(index)
            .with_leader_epoch(brokers.leader_epoch());
        match brokers.leader(partition).map(|leader| BrokerId(leader.0)) {
            Some(leader) => {
                let replicas: Vec<_> = brokers.replicas(partition).iter().map(|id| BrokerId(id.0)).collect();
                answer.with_leader_id(leader).with_isr_nodes(replicas.clone()).with_replica_nodes(replicas)
            }
            None => answer.with_error_code(ErrorCode::LeaderNotAvailable.code()).with_leader_id(NOBODY),
        }
    };
    MetadataResponseTopic::default()
        .with_name(Some(messages::TopicName(StrBytes::from_string(topic.name.to_string()))))
        .with_topic_id(topic.id.0)
        .with_partitions((0..topic.partitions).map(partition).collect())
        .with_topic_authorized_operations(authorized::on_topic(asked))
}
