//! What the topic APIs promise: names, numbers and settings are checked as Kafka checks them, and what was
//! answered holds.

use crate::support::requests::{AT_ONCE, EARLIEST, LATEST, Topic, creatable, text, topic_name};
use crate::support::{Batch, Broker, Client, NONE, Record, ResponseError, unique_name};
use kafka_protocol::messages::alter_configs_request::{
    AlterConfigsResource as PlainResource, AlterableConfig as PlainSetting,
};
use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::DescribeConfigsResourceResult;
use kafka_protocol::messages::describe_topic_partitions_request::{Cursor, TopicRequest};
use kafka_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::offset_for_leader_epoch_request::{
    OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use kafka_protocol::messages::{
    AlterConfigsRequest, CreatePartitionsRequest, CreateTopicsRequest, DeleteTopicsRequest,
    DescribeClusterRequest, DescribeConfigsRequest, DescribeLogDirsRequest, DescribeTopicPartitionsRequest,
    IncrementalAlterConfigsRequest, MetadataRequest, OffsetForLeaderEpochRequest,
};
use std::time::{Duration, Instant};
use uuid::Uuid;

/// The resource type of a topic's settings.
const TOPIC: i8 = 2;
/// The resource type of a broker's settings.
const BROKER: i8 = 4;
/// DescribeConfigs: set on the topic itself.
const FROM_TOPIC: i8 = 1;
/// DescribeConfigs: nobody set it.
const FROM_DEFAULT: i8 = 5;
/// IncrementalAlterConfigs operations.
const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;

#[test]
fn a_created_topic_is_there_at_once() {
    let broker = Broker::start();
    let mut client = broker.connect();
    let topic = client.create_topic_with("created", 4, &[]);
    assert!(!topic.id.is_nil());
    let answer = client.metadata(&[&topic.name], false);
    let known = &answer.topics[0];
    assert_eq!((known.error_code, known.topic_id), (NONE, topic.id));
    let mut indexes: Vec<i32> = known.partitions.iter().map(|partition| partition.partition_index).collect();
    indexes.sort_unstable();
    assert_eq!(indexes, [0, 1, 2, 3]);
    let leader = known.partitions[0].leader_id;
    assert_eq!(answer.brokers.len(), 1);
    assert_eq!(answer.brokers[0].node_id, leader);
    assert_eq!(answer.controller_id, leader);
    assert_eq!(i32::from(broker.kafka().port()), answer.brokers[0].port);
    for partition in &known.partitions {
        assert_eq!((&partition.replica_nodes, &partition.isr_nodes), (&vec![leader], &vec![leader]));
        assert!(partition.leader_epoch >= 0);
    }
    assert_eq!(client.produce(&topic, &Batch::numbered("x", 1)), 0);
}

#[test]
fn topics_are_refused_as_kafka_refuses_them() {
    let broker = Broker::start();
    let mut client = broker.connect();
    let taken = client.create_topic("taken").name;
    let long = "x".repeat(250);
    let fresh = unique_name("fresh");
    for (topic, error) in [
        (creatable(&taken, 1, &[]), ResponseError::TopicAlreadyExists),
        (creatable("bad name!", 1, &[]), ResponseError::InvalidTopicException),
        (creatable("", 1, &[]), ResponseError::InvalidTopicException),
        (creatable(".", 1, &[]), ResponseError::InvalidTopicException),
        (creatable("..", 1, &[]), ResponseError::InvalidTopicException),
        (creatable(&long, 1, &[]), ResponseError::InvalidTopicException),
        (creatable(&fresh, 0, &[]), ResponseError::InvalidPartitions),
        (creatable(&fresh, -2, &[]), ResponseError::InvalidPartitions),
        (creatable(&fresh, 1, &[]).with_replication_factor(3), ResponseError::InvalidReplicationFactor),
        (creatable(&fresh, 1, &[]).with_replication_factor(0), ResponseError::InvalidReplicationFactor),
        (creatable(&fresh, 1, &[("no.such.setting", "1")]), ResponseError::InvalidConfig),
        (creatable(&fresh, 1, &[("max.message.bytes", "many")]), ResponseError::InvalidConfig),
        (creatable(&fresh, 1, &[("max.message.bytes", "-5")]), ResponseError::InvalidConfig),
        (creatable(&fresh, 1, &[("cleanup.policy", "burn")]), ResponseError::InvalidConfig),
        (creatable(&fresh, 1, &[("message.timestamp.type", "Never")]), ResponseError::InvalidConfig),
    ] {
        let asked = format!("{:?} {} {:?}", topic.name, topic.num_partitions, topic.configs);
        let result = client.try_create_topic(topic);
        assert_eq!(result.error_code, error.code(), "{asked}: {:?}", result.error_message);
    }
    assert_eq!(unknown_topic(&mut client, &fresh), ResponseError::UnknownTopicOrPartition.code());
}

#[test]
fn a_topic_named_twice_in_one_request_is_refused() {
    let broker = Broker::start();
    let mut client = broker.connect();
    let name = unique_name("twice");
    let topics = vec![creatable(&name, 1, &[]), creatable(&name, 2, &[])];
    let answer = client.call(7, &CreateTopicsRequest::default().with_topics(topics).with_timeout_ms(10_000));
    assert!(!answer.topics.is_empty());
    for result in answer.topics {
        assert_eq!(result.error_code, ResponseError::InvalidRequest.code());
    }
    assert_eq!(unknown_topic(&mut client, &name), ResponseError::UnknownTopicOrPartition.code());
}

#[test]
fn a_validated_topic_is_not_created() {
    let broker = Broker::start();
    let mut client = broker.connect();
    let name = unique_name("validated");
    let request = CreateTopicsRequest::default()
        .with_topics(vec![creatable(&name, 3, &[])])
        .with_timeout_ms(10_000)
        .with_validate_only(true);
    assert_eq!(client.call(7, &request).topics[0].error_code, NONE);
    assert_eq!(unknown_topic(&mut client, &name), ResponseError::UnknownTopicOrPartition.code());
}

#[test]
fn a_topic_without_a_number_of_partitions_gets_the_default() {
    let broker = Broker::start();
    let mut client = broker.connect();
    let name = unique_name("default");
    let result = client.try_create_topic(creatable(&name, -1, &[]).with_replication_factor(-1));
    assert_eq!((result.error_code, result.num_partitions, result.replication_factor), (NONE, 1, 1));
    let settings = result.configs.expect("the settings it got");
    assert!(settings.iter().any(|setting| &*setting.name == "cleanup.policy"));
}

#[test]
fn a_deleted_topic_is_gone_and_its_name_is_free() {
    let broker = Broker::start();
    let mut client = broker.connect();
    let topic = client.create_topic("deleted");
    client.produce(&topic, &Batch::numbered("old", 5));
    assert_eq!(delete_by_name(&mut client, &topic.name), NONE);
    await_unknown(&mut client, &topic.name);
    let code = client.try_produce(&topic.name, -1, Batch::numbered("x", 1).encode()).error_code;
    assert_eq!(code, ResponseError::UnknownTopicOrPartition.code());

    let result = client.try_create_topic(creatable(&topic.name, 1, &[]));
    assert_eq!(result.error_code, NONE);
    assert_ne!(result.topic_id, topic.id, "another topic with the same name");
    let again = Topic { name: topic.name, id: result.topic_id };
    assert_eq!(client.list_offset(&again, LATEST).offset, 0, "nothing of the old one is left");
    assert_eq!(client.produce(&again, &Batch::numbered("new", 1)), 0);
    assert_eq!(client.all_values(&again), ["new-0"]);
}

#[test]
fn a_deleted_topic_stays_gone_after_a_kill() {
    let mut broker = Broker::start();
    let mut client = broker.connect();
    let topic = client.create_topic("deleted");
    client.produce(&topic, &Batch::numbered("old", 5));
    assert_eq!(delete_by_name(&mut client, &topic.name), NONE);
    broker.kill_and_restart();
    await_unknown(&mut broker.connect(), &topic.name);
}

#[test]
fn a_topic_is_deleted_by_its_id() {
    let broker = Broker::start();
    let mut client = broker.connect();
    let topic = client.create_topic("byid");
    let state = DeleteTopicState::default().with_name(None).with_topic_id(topic.id);
    let request = DeleteTopicsRequest::default().with_topics(vec![state]).with_timeout_ms(10_000);
    let answer = client.call(6, &request);
    assert_eq!((answer.responses[0].error_code, answer.responses[0].topic_id), (NONE, topic.id));
    await_unknown(&mut client, &topic.name);
}

#[test]
fn what_does_not_exist_is_not_deleted() {
    let broker = Broker::start();
    let mut client = broker.connect();
    let code = delete_by_name(&mut client, &unique_name("nowhere"));
    assert_eq!(code, ResponseError::UnknownTopicOrPartition.code());
    let state = DeleteTopicState::default().with_name(None).with_topic_id(Uuid::new_v4());
    let request = DeleteTopicsRequest::default().with_topics(vec![state]).with_timeout_ms(10_000);
    let code = client.call(6, &request).responses[0].error_code;
    assert_eq!(code, ResponseError::UnknownTopicId.code());
}

#[test]
fn partitions_grow_and_never_shrink() {
    let broker = Broker::start();
    let mut client = broker.connect();
    let topic = client.create_topic_with("grow", 2, &[]);
    client.produce(&topic, &Batch::numbered("x", 3));
    let refused = ResponseError::InvalidPartitions.code();
    for (count, code) in [(2, refused), (1, refused), (0, refused), (-1, refused), (5, NONE)] {
        assert_eq!(create_partitions(&mut client, &topic.name, count), code, "to {count}");
    }
    await_partitions(&mut client, &topic, 5);
    assert_eq!(client.all_values(&topic), ["x-0", "x-1", "x-2"], "what was there stays");
    let nowhere = create_partitions(&mut client, &unique_name("nowhere"), 3);
    assert_eq!(nowhere, ResponseError::UnknownTopicOrPartition.code());
}

#[test]
fn the_settings_of_a_topic_are_described_with_their_source() {
    let broker = Broker::start();
    let mut client = broker.connect();
    let topic = client.create_topic_with("described", 1, &[("retention.ms", "3600000")]);
    let retention = setting(&mut client, &topic, "retention.ms");
    assert_eq!((retention.value.as_deref(), retention.config_source), (Some("3600000"), FROM_TOPIC));
    let policy = setting(&mut client, &topic, "cleanup.policy");
    assert_eq!((policy.value.as_deref(), policy.config_source), (Some("delete"), FROM_DEFAULT));
    let size = setting(&mut client, &topic, "max.message.bytes");
    assert_eq!((size.value.as_deref(), size.config_source), (Some("1048588"), FROM_DEFAULT));
}

#[test]
fn an_altered_setting_holds_at_once_and_after_a_kill() {
    let mut broker = Broker::start();
    let mut client = broker.connect();
    let topic = client.create_topic("altered");
    let large = Batch::of([Record::of([b'x'; 3_000])]).encode();
    assert_eq!(client.try_produce(&topic.name, -1, large.clone()).error_code, NONE);
    assert_eq!(alter(&mut client, &topic.name, "max.message.bytes", SET, Some("2000")), NONE);
    await_setting(&mut client, &topic, "max.message.bytes", "2000");
    let too_large = ResponseError::MessageTooLarge.code();
    assert_eq!(client.try_produce(&topic.name, -1, large.clone()).error_code, too_large);

    broker.kill_and_restart();
    let mut client = broker.connect();
    assert_eq!(client.try_produce(&topic.name, -1, large.clone()).error_code, too_large);
    assert_eq!(alter(&mut client, &topic.name, "max.message.bytes", DELETE, None), NONE);
    await_setting(&mut client, &topic, "max.message.bytes", "1048588");
    assert_eq!(client.try_produce(&topic.name, -1, large).error_code, NONE);
}

#[test]
fn bad_alterations_are_refused_and_change_nothing() {
    let broker = Broker::start();
    let mut client = broker.connect();
    let topic = client.create_topic_with("refused", 1, &[("retention.ms", "1000")]);
    let invalid = ResponseError::InvalidConfig.code();
    for (name, operation, value) in [
        ("no.such.setting", SET, Some("1")),
        ("retention.ms", SET, Some("soon")),
        ("max.message.bytes", SET, Some("-1")),
        ("cleanup.policy", SET, Some("burn")),
        ("retention.ms", APPEND, Some("1")),
    ] {
        let code = alter(&mut client, &topic.name, name, operation, value);
        assert_eq!(code, invalid, "{name} {operation} {value:?}");
    }
    assert_eq!(setting(&mut client, &topic, "retention.ms").value.as_deref(), Some("1000"));
    let code = alter(&mut client, &unique_name("nowhere"), "retention.ms", SET, Some("1"));
    assert_eq!(code, ResponseError::UnknownTopicOrPartition.code());
}

#[test]
fn alter_configs_replaces_all_settings() {
    let broker = Broker::start();
    let mut client = broker.connect();
    let settings = [("retention.ms", "1000"), ("max.message.bytes", "2000")];
    let topic = client.create_topic_with("replaced", 1, &settings);
    let kept = PlainSetting::default().with_name(text("retention.ms")).with_value(Some(text("5000")));
    let resource = PlainResource::default()
        .with_resource_type(TOPIC)
        .with_resource_name(text(&topic.name))
        .with_configs(vec![kept]);
    let answer = client.call(2, &AlterConfigsRequest::default().with_resources(vec![resource]));
    assert_eq!(answer.responses[0].error_code, NONE);
    await_setting(&mut client, &topic, "retention.ms", "5000");
    await_setting(&mut client, &topic, "max.message.bytes", "1048588");
}

#[test]
fn the_settings_of_the_broker_are_described() {
    let broker = Broker::start();
    let mut client = broker.connect();
    let broker_id = client.metadata(&[], false).brokers[0].node_id;
    let resource = DescribeConfigsResource::default()
        .with_resource_type(BROKER)
        .with_resource_name(text(&broker_id.to_string()))
        .with_configuration_keys(None);
    let answer = client.call(4, &DescribeConfigsRequest::default().with_resources(vec![resource]));
    assert_eq!(answer.results[0].error_code, NONE);
    assert!(!answer.results[0].configs.is_empty());
}

#[test]
fn metadata_creates_a_topic_when_it_may() {
    let broker = Broker::start();
    let mut client = broker.connect();
    let name = unique_name("auto");
    assert_eq!(unknown_topic(&mut client, &name), ResponseError::UnknownTopicOrPartition.code());
    let deadline = Instant::now() + Duration::from_secs(10);
    while client.metadata(&[&name], true).topics[0].error_code != NONE {
        assert!(Instant::now() < deadline, "{name} is not created");
    }
    let topic = client.metadata(&[&name], false).topics.remove(0);
    assert_eq!((topic.error_code, topic.partitions.len()), (NONE, 1));
    let bad = client.metadata(&["bad name!"], true).topics.remove(0);
    assert_eq!(bad.error_code, ResponseError::InvalidTopicException.code());
}

#[test]
fn metadata_creates_nothing_when_it_is_switched_off() {
    let broker = Broker::options().arguments(&["--auto-create-topics", "false"]).start();
    let mut client = broker.connect();
    let name = unique_name("off");
    let unknown = ResponseError::UnknownTopicOrPartition.code();
    assert_eq!(client.metadata(&[&name], true).topics[0].error_code, unknown);
    assert_eq!(unknown_topic(&mut client, &name), unknown);
}

#[test]
fn metadata_of_all_topics_names_all() {
    let broker = Broker::start();
    let mut client = broker.connect();
    let names: Vec<String> = (0..3).map(|_| client.create_topic("all").name).collect();
    let answer = client.call(12, &MetadataRequest::default().with_topics(None));
    for name in &names {
        assert!(answer.topics.iter().any(|topic| topic.name.as_ref().is_some_and(|known| **known == **name)));
    }
    let none = client.call(12, &MetadataRequest::default().with_topics(Some(vec![])));
    assert!(none.topics.is_empty(), "an empty list asks for none");
    let nobody = MetadataRequestTopic::default().with_name(None).with_topic_id(Uuid::new_v4());
    let answer = client.call(12, &MetadataRequest::default().with_topics(Some(vec![nobody])));
    assert_eq!(answer.topics[0].error_code, ResponseError::UnknownTopicId.code());
}

#[test]
fn every_version_of_metadata_names_the_leader() {
    let broker = Broker::start();
    let mut client = broker.connect();
    let topic = client.create_topic("versions");
    for api_version in 0..=13 {
        let asked = MetadataRequestTopic::default().with_name(Some(topic_name(&topic.name)));
        let request = MetadataRequest::default().with_topics(Some(vec![asked]));
        let answer = client.call(api_version, &request);
        let known = &answer.topics[0];
        assert_eq!((known.error_code, known.partitions[0].error_code), (NONE, NONE), "{api_version}");
        assert_eq!(known.partitions[0].leader_id, answer.brokers[0].node_id, "{api_version}");
    }
}

#[test]
fn an_epoch_ends_where_the_next_begins() {
    let mut broker = Broker::start();
    let mut client = broker.connect();
    let topic = client.create_topic("epochs");
    client.produce(&topic, &Batch::numbered("a", 3));
    let first = client.fetch_batches(&topic, 0)[0].leader_epoch;
    assert_eq!(epoch_end(&mut client, &topic, first), (NONE, first, 3));
    broker.kill_and_restart();
    let mut client = broker.connect();
    client.produce(&topic, &Batch::numbered("b", 2));
    let second = client.fetch_batches(&topic, 3)[0].leader_epoch;
    assert!(second >= first, "epochs never go back");
    assert_eq!(epoch_end(&mut client, &topic, second), (NONE, second, 5));
    let first_end = if second == first { 5 } else { 3 };
    assert_eq!(epoch_end(&mut client, &topic, first), (NONE, first, first_end));
}

#[test]
fn epochs_of_an_unknown_partition_are_not_invented() {
    let broker = Broker::start();
    let mut client = broker.connect();
    let nowhere = Topic { name: unique_name("nowhere"), id: Uuid::nil() };
    let (code, _, _) = epoch_end(&mut client, &nowhere, 0);
    assert_eq!(code, ResponseError::UnknownTopicOrPartition.code());
}

#[test]
fn the_log_directory_tells_the_size_of_partitions() {
    let broker = Broker::start();
    let mut client = broker.connect();
    let topic = client.create_topic("size");
    client.produce(&topic, &Batch::of([Record::of(vec![b'x'; 10_000])]));
    let answer = client.call(4, &DescribeLogDirsRequest::default().with_topics(None));
    assert_eq!((answer.error_code, answer.results[0].error_code), (NONE, NONE));
    let known =
        answer.results.iter().flat_map(|result| &result.topics).find(|known| *known.name == *topic.name);
    let size = known.expect("the topic").partitions[0].partition_size;
    assert!((10_000..20_000).contains(&size), "{size} bytes");
}

#[test]
fn the_cluster_is_this_broker() {
    let mut broker = Broker::start();
    let request = DescribeClusterRequest::default().with_endpoint_type(1);
    let answer = broker.connect().call(2, &request);
    assert_eq!((answer.error_code, answer.brokers.len()), (NONE, 1));
    assert_eq!(answer.brokers[0].port, i32::from(broker.kafka().port()));
    assert_eq!(&*answer.brokers[0].host, "127.0.0.1");
    assert!(!answer.cluster_id.is_empty());
    broker.kill_and_restart();
    let again = broker.connect().call(2, &request);
    assert_eq!(again.cluster_id, answer.cluster_id, "the cluster keeps its id");
}

#[test]
fn described_partitions_come_in_pages() {
    let broker = Broker::start();
    let mut client = broker.connect();
    let topic = client.create_topic_with("pages", 5, &[]);
    let asked = TopicRequest::default().with_name(topic_name(&topic.name));
    let request = DescribeTopicPartitionsRequest::default()
        .with_topics(vec![asked])
        .with_response_partition_limit(2)
        .with_cursor(None);
    let mut indexes = Vec::new();
    let mut page = request.clone();
    loop {
        let answer = client.call(0, &page);
        assert_eq!((answer.topics[0].error_code, answer.topics[0].topic_id), (NONE, topic.id));
        indexes.extend(answer.topics[0].partitions.iter().map(|partition| partition.partition_index));
        let Some(next) = answer.next_cursor else { break };
        let cursor =
            Cursor::default().with_topic_name(next.topic_name).with_partition_index(next.partition_index);
        page = request.clone().with_cursor(Some(cursor));
    }
    assert_eq!(indexes, [0, 1, 2, 3, 4]);
}

fn unknown_topic(client: &mut Client, name: &str) -> i16 {
    client.metadata(&[name], false).topics[0].error_code
}

pub fn await_unknown(client: &mut Client, name: &str) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while unknown_topic(client, name) != ResponseError::UnknownTopicOrPartition.code() {
        assert!(Instant::now() < deadline, "{name} is still known");
    }
}

fn await_partitions(client: &mut Client, topic: &Topic, count: usize) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while client.metadata(&[&topic.name], false).topics[0].partitions.len() != count {
        assert!(Instant::now() < deadline, "not {count} partitions");
    }
    assert_eq!(client.list_offset(topic, EARLIEST).offset, 0);
    assert_eq!(client.fetch(topic, 0, AT_ONCE).error_code, NONE);
}

pub fn delete_by_name(client: &mut Client, name: &str) -> i16 {
    let state = DeleteTopicState::default().with_name(Some(topic_name(name)));
    let request = DeleteTopicsRequest::default().with_topics(vec![state]).with_timeout_ms(10_000);
    client.call(6, &request).responses[0].error_code
}

fn create_partitions(client: &mut Client, name: &str, count: i32) -> i16 {
    let topic =
        CreatePartitionsTopic::default().with_name(topic_name(name)).with_count(count).with_assignments(None);
    let request = CreatePartitionsRequest::default().with_topics(vec![topic]).with_timeout_ms(10_000);
    client.call(3, &request).results[0].error_code
}

fn alter(client: &mut Client, topic: &str, name: &str, operation: i8, value: Option<&str>) -> i16 {
    let setting = AlterableConfig::default()
        .with_name(text(name))
        .with_config_operation(operation)
        .with_value(value.map(text));
    let resource = AlterConfigsResource::default()
        .with_resource_type(TOPIC)
        .with_resource_name(text(topic))
        .with_configs(vec![setting]);
    let request = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
    client.call(1, &request).responses[0].error_code
}

fn setting(client: &mut Client, topic: &Topic, name: &str) -> DescribeConfigsResourceResult {
    let resource = DescribeConfigsResource::default()
        .with_resource_type(TOPIC)
        .with_resource_name(text(&topic.name))
        .with_configuration_keys(Some(vec![text(name)]));
    let request =
        DescribeConfigsRequest::default().with_resources(vec![resource]).with_include_synonyms(true);
    let mut answer = client.call(4, &request);
    assert_eq!(answer.results[0].error_code, NONE);
    answer.results.remove(0).configs.pop().expect("the setting asked for")
}

fn await_setting(client: &mut Client, topic: &Topic, name: &str, value: &str) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while setting(client, topic, name).value.as_deref() != Some(value) {
        assert!(Instant::now() < deadline, "{name} is not {value}");
    }
}

/// OffsetForLeaderEpoch of partition 0: code, epoch, end offset.
fn epoch_end(client: &mut Client, topic: &Topic, leader_epoch: i32) -> (i16, i32, i64) {
    let partition = OffsetForLeaderPartition::default()
        .with_partition(0)
        .with_current_leader_epoch(-1)
        .with_leader_epoch(leader_epoch);
    let asked =
        OffsetForLeaderTopic::default().with_topic(topic_name(&topic.name)).with_partitions(vec![partition]);
    let request =
        OffsetForLeaderEpochRequest::default().with_replica_id((-1).into()).with_topics(vec![asked]);
    let answer = client.call(4, &request);
    let end = &answer.topics[0].partitions[0];
    (end.error_code, end.leader_epoch, end.end_offset)
}
