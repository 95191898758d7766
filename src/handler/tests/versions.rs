//! Every version of every API that is advertised is answered in that version.

use super::world::{World, records, text, topic_name};
use crate::topic::Topic;
use crate::wire::api::{ApiKey, SUPPORTED, is_supported};
use crate::wire::messages::alter_configs_request::AlterConfigsResource;
use crate::wire::messages::create_partitions_request::CreatePartitionsTopic;
use crate::wire::messages::create_topics_request::CreatableTopic;
use crate::wire::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use crate::wire::messages::delete_topics_request::DeleteTopicState;
use crate::wire::messages::describe_configs_request::DescribeConfigsResource;
use crate::wire::messages::fetch_request::{FetchPartition, FetchTopic};
use crate::wire::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use crate::wire::messages::metadata_request::MetadataRequestTopic;
use crate::wire::messages::offset_for_leader_epoch_request::{
    OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use crate::wire::messages::produce_request::{PartitionProduceData, TopicProduceData};
use crate::wire::messages::{
    AlterConfigsRequest, ApiVersionsRequest, CreatePartitionsRequest, CreateTopicsRequest,
    DeleteRecordsRequest, DeleteTopicsRequest, DescribeClusterRequest, DescribeConfigsRequest,
    DescribeLogDirsRequest, DescribeProducersRequest, DescribeTopicPartitionsRequest, FetchRequest,
    IncrementalAlterConfigsRequest, InitProducerIdRequest, ListConfigResourcesRequest, ListOffsetsRequest,
    MetadataRequest, OffsetForLeaderEpochRequest, ProduceRequest, describe_log_dirs_request,
    describe_producers_request, describe_topic_partitions_request, incremental_alter_configs_request,
};

/// Three records to partition 0 of `topic`.
pub fn produce(topic: &Topic, version: i16, acks: i16) -> ProduceRequest {
    let partition = PartitionProduceData::default().with_index(0).with_records(Some(records(3)));
    let wanted = TopicProduceData::default().with_partition_data(vec![partition]);
    let wanted = match version {
        13.. => wanted.with_topic_id(topic.id.0),
        _ => wanted.with_name(topic_name(topic.name.as_str())),
    };
    let request = ProduceRequest::default().with_transactional_id(None).with_acks(acks);
    request.with_timeout_ms(30_000).with_topic_data(vec![wanted])
}

/// What there is of partition 0 of `topic` from `offset`, without waiting.
pub fn fetch(topic: &Topic, version: i16, offset: i64) -> FetchRequest {
    let partition = FetchPartition::default().with_fetch_offset(offset).with_partition_max_bytes(1 << 20);
    let wanted = FetchTopic::default().with_partitions(vec![partition]);
    let wanted = match version {
        13.. => wanted.with_topic_id(topic.id.0),
        _ => wanted.with_topic(topic_name(topic.name.as_str())),
    };
    FetchRequest::default().with_topics(vec![wanted])
}

/// One offset of partition 0 of `topic`.
pub fn list_offsets(topic: &Topic, timestamp: i64) -> ListOffsetsRequest {
    let partition = ListOffsetsPartition::default().with_timestamp(timestamp);
    let topic = ListOffsetsTopic::default().with_name(topic_name(topic.name.as_str()));
    ListOffsetsRequest::default().with_topics(vec![topic.with_partitions(vec![partition])])
}

/// Where an epoch of partition 0 of `topic` ends.
pub fn end_of_epoch(topic: &Topic, leader_epoch: i32) -> OffsetForLeaderEpochRequest {
    let partition = OffsetForLeaderPartition::default().with_leader_epoch(leader_epoch);
    let topic = OffsetForLeaderTopic::default().with_topic(topic_name(topic.name.as_str()));
    OffsetForLeaderEpochRequest::default().with_topics(vec![topic.with_partitions(vec![partition])])
}

#[tokio::test]
async fn every_version_of_every_api_is_answered_in_that_version() {
    let world = World::new().await;
    let topic = world.create("a", 2).await;
    for range in SUPPORTED {
        let answered = (range.min..=range.max).filter(|version| is_supported(range.api_key.code(), *version));
        let mut count = 0;
        for version in answered {
            let code = error_code(&world, &topic, range.api_key, version).await;
            assert_eq!(code, 0, "{:?} version {version}", range.api_key);
            count += 1;
        }
        assert!(count > 0, "{:?}", range.api_key);
    }
}

/// Asks something sensible; gives the innermost error code.
async fn error_code(world: &World, topic: &Topic, api_key: ApiKey, version: i16) -> i16 {
    match api_key {
        ApiKey::Produce | ApiKey::Fetch | ApiKey::ListOffsets | ApiKey::OffsetForLeaderEpoch => {
            of_records(world, topic, api_key, version).await
        }
        ApiKey::CreateTopics | ApiKey::DeleteTopics | ApiKey::CreatePartitions | ApiKey::DeleteRecords => {
            of_topics(world, topic, api_key, version).await
        }
        ApiKey::DescribeConfigs | ApiKey::AlterConfigs | ApiKey::IncrementalAlterConfigs => {
            of_configs(world, topic, api_key, version).await
        }
        ApiKey::OffsetCommit
        | ApiKey::OffsetFetch
        | ApiKey::FindCoordinator
        | ApiKey::JoinGroup
        | ApiKey::Heartbeat
        | ApiKey::LeaveGroup
        | ApiKey::SyncGroup
        | ApiKey::DescribeGroups
        | ApiKey::ListGroups
        | ApiKey::DeleteGroups
        | ApiKey::OffsetDelete
        | ApiKey::ConsumerGroupHeartbeat
        | ApiKey::ConsumerGroupDescribe => super::groups::error_code(world, topic, api_key, version).await,
        ApiKey::ShareGroupHeartbeat
        | ApiKey::ShareGroupDescribe
        | ApiKey::ShareFetch
        | ApiKey::ShareAcknowledge
        | ApiKey::DescribeShareGroupOffsets
        | ApiKey::AlterShareGroupOffsets
        | ApiKey::DeleteShareGroupOffsets => super::share::error_code(world, topic, api_key).await,
        ApiKey::AddPartitionsToTxn
        | ApiKey::AddOffsetsToTxn
        | ApiKey::EndTxn
        | ApiKey::TxnOffsetCommit
        | ApiKey::DescribeTransactions
        | ApiKey::ListTransactions => super::transactions::error_code(world, topic, api_key, version).await,
        _ => of_others(world, topic, api_key, version).await,
    }
}

async fn of_records(world: &World, topic: &Topic, api_key: ApiKey, version: i16) -> i16 {
    match api_key {
        ApiKey::Produce => {
            let response = world.ask(version, &produce(topic, version, -1)).await;
            response.responses[0].partition_responses[0].error_code
        }
        ApiKey::Fetch => {
            let response = world.ask(version, &fetch(topic, version, 0)).await;
            let partition = &response.responses[0].partitions[0];
            assert!(partition.records.as_ref().is_some_and(|records| !records.is_empty()));
            partition.error_code
        }
        ApiKey::ListOffsets => {
            let partition = &world.ask(version, &list_offsets(topic, -1)).await.topics[0].partitions[0];
            assert!(partition.offset > 0);
            partition.error_code
        }
        _ => world.ask(version, &end_of_epoch(topic, 1)).await.topics[0].partitions[0].error_code,
    }
}

async fn of_topics(world: &World, topic: &Topic, api_key: ApiKey, version: i16) -> i16 {
    match api_key {
        ApiKey::CreateTopics => {
            let name = topic_name(&format!("created-{version}"));
            let creatable =
                CreatableTopic::default().with_name(name).with_num_partitions(1).with_replication_factor(1);
            let request = CreateTopicsRequest::default().with_topics(vec![creatable]);
            world.ask(version, &request).await.topics[0].error_code
        }
        ApiKey::DeleteTopics => {
            let name = format!("deleted-{version}");
            world.create(&name, 1).await;
            let request = match version {
                6.. => {
                    let state = DeleteTopicState::default().with_name(Some(topic_name(&name)));
                    DeleteTopicsRequest::default().with_topics(vec![state])
                }
                _ => DeleteTopicsRequest::default().with_topic_names(vec![topic_name(&name)]),
            };
            world.ask(version, &request).await.responses[0].error_code
        }
        ApiKey::DeleteRecords => {
            let wanted = DeleteRecordsPartition::default().with_offset(0);
            let of_topic = DeleteRecordsTopic::default()
                .with_name(topic_name(topic.name.as_str()))
                .with_partitions(vec![wanted]);
            let request = DeleteRecordsRequest::default().with_topics(vec![of_topic]);
            world.ask(version, &request).await.topics[0].partitions[0].error_code
        }
        _ => {
            let more = CreatePartitionsTopic::default().with_name(topic_name(topic.name.as_str()));
            let more = more.with_count(topic.partitions + 1 + i32::from(version)).with_assignments(None);
            let request = CreatePartitionsRequest::default().with_topics(vec![more]);
            world.ask(version, &request).await.results[0].error_code
        }
    }
}

async fn of_configs(world: &World, topic: &Topic, api_key: ApiKey, version: i16) -> i16 {
    let name = text(topic.name.as_str());
    match api_key {
        ApiKey::DescribeConfigs => {
            let of = |kind, name| {
                DescribeConfigsResource::default()
                    .with_resource_type(kind)
                    .with_resource_name(name)
                    .with_configuration_keys(None)
            };
            let request = DescribeConfigsRequest::default()
                .with_resources(vec![of(2, name), of(4, text("1"))])
                .with_include_synonyms(true);
            let results = world.ask(version, &request).await.results;
            assert!(results.iter().all(|result| !result.configs.is_empty()));
            results[0].error_code | results[1].error_code
        }
        ApiKey::AlterConfigs => {
            let resource = AlterConfigsResource::default().with_resource_type(2).with_resource_name(name);
            let request = AlterConfigsRequest::default().with_resources(vec![resource]);
            world.ask(version, &request).await.responses[0].error_code
        }
        _ => {
            let resource = incremental_alter_configs_request::AlterConfigsResource::default()
                .with_resource_type(2)
                .with_resource_name(name);
            let request = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
            world.ask(version, &request).await.responses[0].error_code
        }
    }
}

async fn of_others(world: &World, topic: &Topic, api_key: ApiKey, version: i16) -> i16 {
    let name = topic_name(topic.name.as_str());
    match api_key {
        ApiKey::Metadata => {
            let wanted = MetadataRequestTopic::default().with_name(Some(name));
            let request = MetadataRequest::default().with_topics(Some(vec![wanted]));
            let response = world.ask(version, &request).await;
            assert_eq!((response.brokers.len(), response.topics[0].partitions[0].error_code), (1, 0));
            response.topics[0].error_code
        }
        ApiKey::ApiVersions => {
            let request = ApiVersionsRequest::default().with_client_software_name(text("a.test-1"));
            let response = world.ask(version, &request.with_client_software_version(text("0.1"))).await;
            assert_eq!(response.api_keys.len(), SUPPORTED.len());
            response.error_code
        }
        ApiKey::InitProducerId => {
            let request = InitProducerIdRequest::default().with_transactional_id(None);
            let code = world.ask(version, &request).await.error_code;
            code | super::transactions::error_code(world, topic, api_key, version).await
        }
        ApiKey::DescribeLogDirs => {
            let wanted = describe_log_dirs_request::DescribableLogDirTopic::default().with_topic(name);
            let some =
                DescribeLogDirsRequest::default().with_topics(Some(vec![wanted.with_partitions(vec![0])]));
            let all = DescribeLogDirsRequest::default().with_topics(None);
            let some = world.ask(version, &some).await;
            assert!(some.results[0].topics[0].partitions[0].partition_size > 0);
            world.ask(version, &all).await.results[0].error_code
        }
        ApiKey::DescribeCluster => {
            let response = world.ask(version, &DescribeClusterRequest::default()).await;
            assert_eq!((response.brokers.len(), &*response.brokers[0].host), (1, "here"));
            response.error_code
        }
        ApiKey::ListConfigResources => {
            let response = world.ask(version, &ListConfigResourcesRequest::default()).await;
            assert_eq!(response.config_resources.is_empty(), version == 0);
            response.error_code
        }
        ApiKey::DescribeProducers => {
            let wanted = describe_producers_request::TopicRequest::default().with_name(name);
            let request =
                DescribeProducersRequest::default().with_topics(vec![wanted.with_partition_indexes(vec![0])]);
            world.ask(version, &request).await.topics[0].partitions[0].error_code
        }
        ApiKey::DescribeTopicPartitions => {
            let wanted = describe_topic_partitions_request::TopicRequest::default().with_name(name);
            let request = DescribeTopicPartitionsRequest::default().with_topics(vec![wanted]);
            world.ask(version, &request).await.topics[0].error_code
        }
        other => panic!("{other:?} is asked elsewhere"),
    }
}
