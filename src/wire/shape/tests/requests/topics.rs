//! Of records, topics, settings, and what is told of brokers.

use super::{ID, Sample, name, sample, since, text, transactional_id};
use crate::wire::messages::alter_configs_request::{AlterConfigsResource, AlterableConfig};
use crate::wire::messages::create_partitions_request::{CreatePartitionsAssignment, CreatePartitionsTopic};
use crate::wire::messages::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig,
};
use crate::wire::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use crate::wire::messages::delete_topics_request::DeleteTopicState;
use crate::wire::messages::describe_configs_request::DescribeConfigsResource;
use crate::wire::messages::describe_log_dirs_request::DescribableLogDirTopic;
use crate::wire::messages::fetch_request::{FetchPartition, FetchTopic, ForgottenTopic, ReplicaState};
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
    MetadataRequest, OffsetForLeaderEpochRequest, ProduceRequest, describe_producers_request,
    describe_topic_partitions_request, incremental_alter_configs_request,
};
use bytes::Bytes;
use uuid::Uuid;

pub(super) fn add(all: &mut Vec<Sample>) {
    (3..=13).for_each(|v| produce(v, all));
    (4..=18).for_each(|v| fetch(v, all));
    (1..=10).for_each(|v| list_offsets(v, all));
    (0..=13).for_each(|v| metadata(v, all));
    (0..=4).for_each(|v| api_versions(v, all));
    (2..=7).for_each(|v| create_topics(v, all));
    (1..=6).for_each(|v| delete_topics(v, all));
    (0..=2).for_each(|v| delete_records(v, all));
    (0..=5).for_each(|v| init_producer_id(v, all));
    (2..=4).for_each(|v| offset_for_leader_epoch(v, all));
    (1..=4).for_each(|v| describe_configs(v, all));
    (0..=2).for_each(|v| alter_configs(v, all));
    (1..=4).for_each(|v| describe_log_dirs(v, all));
    (0..=3).for_each(|v| create_partitions(v, all));
    (0..=1).for_each(|v| incremental_alter_configs(v, all));
    (0..=2).for_each(|v| describe_cluster(v, all));
    describe_producers(all);
    describe_topic_partitions(all);
    (0..=1).for_each(|v| list_config_resources(v, all));
}

fn produce(v: i16, all: &mut Vec<Sample>) {
    let partition = |records| PartitionProduceData::default().with_index(3).with_records(records);
    let partitions = vec![partition(Some(Bytes::from_static(&[9; 200]))), partition(None)];
    let topic = TopicProduceData::default().with_partition_data(partitions);
    let topic = if v >= 13 { topic.with_topic_id(ID) } else { topic.with_name(name()) };
    let request = ProduceRequest::default().with_acks(-1).with_timeout_ms(1000);
    all.push(sample(v, &request));
    let request = request.with_transactional_id(Some(transactional_id()));
    all.push(sample(v, &request.with_topic_data(vec![topic.clone(), topic])));
}

fn fetch(v: i16, all: &mut Vec<Sample>) {
    let partition = FetchPartition::default()
        .with_partition(1)
        .with_current_leader_epoch(since(v, 9, 4, -1))
        .with_fetch_offset(99)
        .with_last_fetched_epoch(since(v, 12, 3, -1))
        .with_log_start_offset(since(v, 5, 7, -1))
        .with_partition_max_bytes(1 << 20)
        .with_replica_directory_id(since(v, 17, ID, Uuid::nil()))
        .with_high_watermark(since(v, 18, 5, i64::MAX));
    let topic = FetchTopic::default().with_partitions(vec![partition.clone(), partition]);
    let forgotten = ForgottenTopic::default().with_partitions(vec![1, 2, 3]);
    let (topic, forgotten) = if v >= 13 {
        (topic.with_topic_id(ID), forgotten.with_topic_id(ID))
    } else {
        (topic.with_topic(name()), forgotten.with_topic(name()))
    };
    let request = FetchRequest::default().with_max_wait_ms(500).with_min_bytes(1);
    all.push(sample(v, &request));
    let replica = ReplicaState::default().with_replica_id(5.into()).with_replica_epoch(6);
    let request = request
        .with_session_id(since(v, 7, 11, 0))
        .with_session_epoch(since(v, 7, 2, -1))
        .with_topics(vec![topic.clone(), topic])
        .with_forgotten_topics_data(since(v, 7, vec![forgotten], Vec::new()))
        .with_rack_id(since(v, 11, text("rack"), text("")))
        .with_cluster_id(since(v, 12, Some(text("cluster")), None))
        .with_replica_state(since(v, 15, replica, ReplicaState::default()));
    all.push(sample(v, &request));
    if v >= 12 {
        all.push(sample(v, &request.with_unknown_tagged_field(40, Bytes::from_static(b"later"))));
    }
}

fn list_offsets(v: i16, all: &mut Vec<Sample>) {
    let partition = ListOffsetsPartition::default()
        .with_partition_index(1)
        .with_current_leader_epoch(since(v, 4, 8, -1))
        .with_timestamp(-2);
    let topic =
        ListOffsetsTopic::default().with_name(name()).with_partitions(vec![partition.clone(), partition]);
    let request = ListOffsetsRequest::default()
        .with_isolation_level(since(v, 2, 1, 0))
        .with_timeout_ms(since(v, 10, 100, 0));
    all.push(sample(v, &request));
    all.push(sample(v, &request.with_topics(vec![topic.clone(), topic])));
}

fn metadata(v: i16, all: &mut Vec<Sample>) {
    let topic = MetadataRequestTopic::default().with_name(Some(name()));
    let by_id = MetadataRequestTopic::default().with_topic_id(ID).with_name(None);
    let request = MetadataRequest::default()
        .with_include_topic_authorized_operations(v >= 8)
        .with_include_cluster_authorized_operations((8..=10).contains(&v));
    all.push(sample(v, &request.clone().with_topics(Some(Vec::new()))));
    if v >= 1 {
        all.push(sample(v, &request.clone().with_topics(None)));
    }
    let topics = since(v, 10, vec![topic.clone(), by_id], vec![topic.clone(), topic]);
    all.push(sample(v, &request.with_topics(Some(topics))));
}

fn api_versions(v: i16, all: &mut Vec<Sample>) {
    let request = ApiVersionsRequest::default()
        .with_client_software_name(since(v, 3, text("librdkafka"), text("")))
        .with_client_software_version(since(v, 3, text("2.0"), text("")));
    all.push(sample(v, &request));
}

fn create_topics(v: i16, all: &mut Vec<Sample>) {
    let assignment = CreatableReplicaAssignment::default()
        .with_partition_index(1)
        .with_broker_ids(vec![1.into(), 2.into()]);
    let config = |value| CreatableTopicConfig::default().with_name(text("retention.ms")).with_value(value);
    let topic = CreatableTopic::default()
        .with_name(name())
        .with_num_partitions(3)
        .with_replication_factor(1)
        .with_assignments(vec![assignment.clone(), assignment])
        .with_configs(vec![config(Some(text("5"))), config(None)]);
    let request = CreateTopicsRequest::default().with_timeout_ms(10).with_validate_only(true);
    all.push(sample(v, &request));
    all.push(sample(v, &request.with_topics(vec![topic.clone(), topic])));
}

fn delete_topics(v: i16, all: &mut Vec<Sample>) {
    let by_name = DeleteTopicState::default().with_name(Some(name()));
    let by_id = DeleteTopicState::default().with_topic_id(ID);
    let request = DeleteTopicsRequest::default().with_timeout_ms(10);
    all.push(sample(v, &request));
    let request = request.with_topics(since(v, 6, vec![by_name, by_id], Vec::new())).with_topic_names(since(
        v,
        6,
        Vec::new(),
        vec![name(), name()],
    ));
    all.push(sample(v, &request));
}

fn init_producer_id(v: i16, all: &mut Vec<Sample>) {
    let request = InitProducerIdRequest::default()
        .with_producer_id(since(v, 3, 7, -1).into())
        .with_producer_epoch(since(v, 3, 2, -1));
    all.push(sample(v, &request));
    all.push(sample(v, &request.with_transactional_id(Some(transactional_id()))));
}

fn offset_for_leader_epoch(v: i16, all: &mut Vec<Sample>) {
    let partition = OffsetForLeaderPartition::default().with_partition(1).with_leader_epoch(4);
    let topic = OffsetForLeaderTopic::default()
        .with_topic(name())
        .with_partitions(vec![partition.clone(), partition]);
    let request = OffsetForLeaderEpochRequest::default().with_replica_id(since(v, 3, -1, -2).into());
    all.push(sample(v, &request));
    all.push(sample(v, &request.with_topics(vec![topic.clone(), topic])));
}

fn describe_configs(v: i16, all: &mut Vec<Sample>) {
    let resource = |keys| {
        DescribeConfigsResource::default()
            .with_resource_type(2)
            .with_resource_name(text("orders"))
            .with_configuration_keys(keys)
    };
    let keys = Some(vec![text("retention.ms"), text("retention.bytes")]);
    let request = DescribeConfigsRequest::default().with_include_documentation(v >= 3);
    all.push(sample(v, &request));
    all.push(sample(v, &request.with_resources(vec![resource(keys), resource(None)])));
}

fn alter_configs(v: i16, all: &mut Vec<Sample>) {
    let config = |value| AlterableConfig::default().with_name(text("retention.ms")).with_value(value);
    let resource = AlterConfigsResource::default()
        .with_resource_type(2)
        .with_resource_name(text("orders"))
        .with_configs(vec![config(Some(text("1"))), config(None)]);
    all.push(sample(v, &AlterConfigsRequest::default().with_resources(vec![resource.clone(), resource])));
}

fn incremental_alter_configs(v: i16, all: &mut Vec<Sample>) {
    use incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
    let config = |value| AlterableConfig::default().with_name(text("retention.ms")).with_value(value);
    let resource = AlterConfigsResource::default()
        .with_resource_type(2)
        .with_resource_name(text("orders"))
        .with_configs(vec![config(Some(text("1"))), config(None)]);
    let request = IncrementalAlterConfigsRequest::default().with_resources(vec![resource.clone(), resource]);
    all.push(sample(v, &request));
}

fn describe_log_dirs(v: i16, all: &mut Vec<Sample>) {
    let topic = DescribableLogDirTopic::default().with_topic(name()).with_partitions(vec![1, 2]);
    let request = DescribeLogDirsRequest::default();
    all.push(sample(v, &request.clone().with_topics(None)));
    all.push(sample(v, &request.with_topics(Some(vec![topic.clone(), topic]))));
}

fn delete_records(v: i16, all: &mut Vec<Sample>) {
    let partition = DeleteRecordsPartition::default().with_partition_index(3).with_offset(90);
    let topic =
        DeleteRecordsTopic::default().with_name(name()).with_partitions(vec![partition.clone(), partition]);
    let request = DeleteRecordsRequest::default().with_topics(vec![topic.clone(), topic]);
    all.push(sample(v, &request.with_timeout_ms(1000)));
}

fn create_partitions(v: i16, all: &mut Vec<Sample>) {
    let assignment = CreatePartitionsAssignment::default().with_broker_ids(vec![1.into(), 2.into()]);
    let topic = |assignments| {
        CreatePartitionsTopic::default().with_name(name()).with_count(6).with_assignments(assignments)
    };
    let topics = vec![topic(Some(vec![assignment.clone(), assignment])), topic(None)];
    all.push(sample(v, &CreatePartitionsRequest::default().with_topics(topics).with_validate_only(true)));
}

fn describe_cluster(v: i16, all: &mut Vec<Sample>) {
    let request = DescribeClusterRequest::default()
        .with_endpoint_type(since(v, 1, 2, 1))
        .with_include_fenced_brokers(v >= 2);
    all.push(sample(v, &request));
}

fn describe_producers(all: &mut Vec<Sample>) {
    let topic = describe_producers_request::TopicRequest::default()
        .with_name(name())
        .with_partition_indexes(vec![1, 2]);
    all.push(sample(0, &DescribeProducersRequest::default().with_topics(vec![topic.clone(), topic])));
}

fn describe_topic_partitions(all: &mut Vec<Sample>) {
    use describe_topic_partitions_request::{Cursor, TopicRequest};
    let topic = TopicRequest::default().with_name(name());
    let request = DescribeTopicPartitionsRequest::default().with_topics(vec![topic.clone(), topic]);
    all.push(sample(0, &request));
    let cursor = Cursor::default().with_topic_name(name()).with_partition_index(4);
    all.push(sample(0, &request.with_cursor(Some(cursor))));
}

fn list_config_resources(v: i16, all: &mut Vec<Sample>) {
    all.push(sample(v, &ListConfigResourcesRequest::default()));
    let types = since(v, 1, vec![2, 4, 16], Vec::new());
    all.push(sample(v, &ListConfigResourcesRequest::default().with_resource_types(types)));
}
