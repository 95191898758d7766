//! The few requests most tests need, in one line each. One topic and one partition a request.

use super::batches::{Batch, ParsedBatch, parse_batches};
use super::raw::Client;
use super::{NONE, unique_name};
use bytes::Bytes;
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::create_topics_response::CreatableTopicResult;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::fetch_response::PartitionData;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::list_offsets_response::ListOffsetsPartitionResponse;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::produce_response::PartitionProduceResponse;
use kafka_protocol::messages::{
    ApiVersionsRequest, CreateTopicsRequest, FetchRequest, InitProducerIdRequest, ListOffsetsRequest,
    MetadataRequest, MetadataResponse, ProduceRequest, TopicName,
};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

/// ListOffsets: the log end.
pub const LATEST: i64 = -1;
/// ListOffsets: the log start.
pub const EARLIEST: i64 = -2;
/// ListOffsets: the record with the largest timestamp (KIP-734).
pub const MAX_TIMESTAMP: i64 = -3;

/// Produce by topic name, the last version that does so.
pub const PRODUCE_BY_NAME: i16 = 12;
/// Fetch by topic name, the last version that does so.
pub const FETCH_BY_NAME: i16 = 12;

/// A topic that was created for a test.
#[derive(Clone, Debug)]
pub struct Topic {
    pub name: String,
    pub id: Uuid,
}

/// How much a fetch asks for and how long it waits.
#[derive(Clone, Copy, Debug)]
pub struct FetchLimits {
    pub max_wait_ms: i32,
    pub min_bytes: i32,
    pub max_bytes: i32,
    pub partition_max_bytes: i32,
}

/// At once, and as much as there is.
pub const AT_ONCE: FetchLimits =
    FetchLimits { max_wait_ms: 0, min_bytes: 0, max_bytes: 50 << 20, partition_max_bytes: 50 << 20 };

/// A protocol string.
pub fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

/// A topic's name as the messages want it.
pub fn topic_name(name: &str) -> TopicName {
    TopicName(text(name))
}

/// A topic to be created.
pub fn creatable(name: &str, partitions: i32, settings: &[(&str, &str)]) -> CreatableTopic {
    let configs = settings
        .iter()
        .map(|(name, value)| {
            CreatableTopicConfig::default().with_name(text(name)).with_value(Some(text(value)))
        })
        .collect();
    CreatableTopic::default()
        .with_name(topic_name(name))
        .with_num_partitions(partitions)
        .with_replication_factor(1)
        .with_configs(configs)
}

/// A Produce request for one partition.
pub fn produce_request(topic: &str, partition: i32, acks: i16, records: Bytes) -> ProduceRequest {
    let partition = PartitionProduceData::default().with_index(partition).with_records(Some(records));
    let topic = TopicProduceData::default().with_name(topic_name(topic)).with_partition_data(vec![partition]);
    ProduceRequest::default()
        .with_transactional_id(None)
        .with_acks(acks)
        .with_timeout_ms(30_000)
        .with_topic_data(vec![topic])
}

/// One partition of a Fetch request.
pub fn fetch_partition(partition: i32, offset: i64, partition_max_bytes: i32) -> FetchPartition {
    FetchPartition::default()
        .with_partition(partition)
        .with_fetch_offset(offset)
        .with_current_leader_epoch(-1)
        .with_last_fetched_epoch(-1)
        .with_log_start_offset(-1)
        .with_partition_max_bytes(partition_max_bytes)
}

/// A Fetch request without a session.
pub fn fetch_request(limits: FetchLimits, topics: Vec<FetchTopic>) -> FetchRequest {
    FetchRequest::default()
        .with_replica_id((-1).into())
        .with_max_wait_ms(limits.max_wait_ms)
        .with_min_bytes(limits.min_bytes)
        .with_max_bytes(limits.max_bytes)
        .with_session_id(0)
        .with_session_epoch(-1)
        .with_topics(topics)
}

/// Partition 0 of one topic.
pub fn fetch_one(topic: &str, offset: i64, limits: FetchLimits) -> FetchRequest {
    let partition = fetch_partition(0, offset, limits.partition_max_bytes);
    let topic = FetchTopic::default().with_topic(topic_name(topic)).with_partitions(vec![partition]);
    fetch_request(limits, vec![topic])
}

fn probe(name: &str, partition: i32) -> FetchRequest {
    let partition = fetch_partition(partition, 0, 1);
    let topic = FetchTopic::default().with_topic(topic_name(name)).with_partitions(vec![partition]);
    fetch_request(AT_ONCE, vec![topic])
}

/// An ApiVersions request of a client with a name.
pub fn api_versions() -> ApiVersionsRequest {
    ApiVersionsRequest::default()
        .with_client_software_name(text("it"))
        .with_client_software_version(text("1"))
}

impl Client {
    /// Creates a topic with one partition.
    /// The records of tests are of some time ago and are kept all the same.
    pub fn create_topic(&mut self, theme: &str) -> Topic {
        self.create_topic_with(theme, 1, &[("retention.ms", "-1")])
    }

    /// Creates a topic.
    pub fn create_topic_with(&mut self, theme: &str, partitions: i32, settings: &[(&str, &str)]) -> Topic {
        let name = unique_name(theme);
        let result = self.try_create_topic(creatable(&name, partitions, settings));
        assert_eq!(result.error_code, NONE, "create {name}: {:?}", result.error_message);
        if super::broker::is_control() {
            self.await_leaders(&name, partitions);
        }
        Topic { name, id: result.topic_id }
    }

    /// Apache Kafka answers CreateTopics before its brokers know of the topic; Cenote does not.
    fn await_leaders(&mut self, name: &str, partitions: i32) {
        for partition in 0..partitions {
            while self.call(FETCH_BY_NAME, &probe(name, partition)).responses[0].partitions[0].error_code
                != NONE
            {}
        }
    }

    /// Asks for a topic and returns what the broker said.
    pub fn try_create_topic(&mut self, topic: CreatableTopic) -> CreatableTopicResult {
        let request = CreateTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(10_000);
        self.call(7, &request).topics.pop().expect("one result for one topic")
    }

    /// Produces to partition 0 with acks=all and returns the base offset.
    pub fn produce(&mut self, topic: &Topic, batch: &Batch) -> i64 {
        let answer = self.try_produce(&topic.name, -1, batch.encode());
        assert_eq!(answer.error_code, NONE, "produce to {}: {:?}", topic.name, answer.error_message);
        answer.base_offset
    }

    /// Produces to partition 0 and returns what the broker said.
    pub fn try_produce(&mut self, topic: &str, acks: i16, records: Bytes) -> PartitionProduceResponse {
        let mut answer = self.call(PRODUCE_BY_NAME, &produce_request(topic, 0, acks, records));
        let mut topic = answer.responses.pop().expect("one topic");
        topic.partition_responses.pop().expect("one partition")
    }

    /// Fetches partition 0 of a topic without a session.
    pub fn fetch(&mut self, topic: &Topic, offset: i64, limits: FetchLimits) -> PartitionData {
        let mut answer = self.call(FETCH_BY_NAME, &fetch_one(&topic.name, offset, limits));
        assert_eq!(answer.error_code, NONE, "fetch of {}", topic.name);
        let mut topic = answer.responses.pop().expect("one topic");
        topic.partitions.pop().expect("one partition")
    }

    /// The batches a fetch from `offset` gives at once.
    pub fn fetch_batches(&mut self, topic: &Topic, offset: i64) -> Vec<ParsedBatch> {
        let data = self.fetch(topic, offset, AT_ONCE);
        assert_eq!(data.error_code, NONE, "fetch of {} from {offset}", topic.name);
        parse_batches(&data.records.unwrap_or_default())
    }

    /// All values of partition 0, from the log start to the log end.
    pub fn all_values(&mut self, topic: &Topic) -> Vec<String> {
        let mut offset = self.list_offset(topic, EARLIEST).offset;
        let mut values = Vec::new();
        loop {
            let batches = self.fetch_batches(topic, offset);
            let Some(last) = batches.last() else { return values };
            offset = last.last_offset + 1;
            let texts = batches.iter().flat_map(ParsedBatch::values);
            values.extend(texts.map(|value| String::from_utf8(value).expect("a text")));
        }
    }

    /// One ListOffsets question about partition 0, which must have an answer.
    pub fn list_offset(&mut self, topic: &Topic, timestamp: i64) -> ListOffsetsPartitionResponse {
        let answer = self.try_list_offset(&topic.name, timestamp);
        assert_eq!(answer.error_code, NONE, "list offsets of {}", topic.name);
        answer
    }

    /// One ListOffsets question about partition 0.
    pub fn try_list_offset(&mut self, topic: &str, timestamp: i64) -> ListOffsetsPartitionResponse {
        let partition = ListOffsetsPartition::default()
            .with_partition_index(0)
            .with_current_leader_epoch(-1)
            .with_timestamp(timestamp);
        let topic = ListOffsetsTopic::default().with_name(topic_name(topic)).with_partitions(vec![partition]);
        let request = ListOffsetsRequest::default().with_replica_id((-1).into()).with_topics(vec![topic]);
        let mut topic = self.call(8, &request).topics.pop().expect("one topic");
        topic.partitions.pop().expect("one partition")
    }

    /// A new producer id with its epoch.
    pub fn init_producer_id(&mut self) -> (i64, i16) {
        let request = InitProducerIdRequest::default()
            .with_transactional_id(None)
            .with_transaction_timeout_ms(60_000)
            .with_producer_id((-1).into())
            .with_producer_epoch(-1);
        let answer = self.call(4, &request);
        assert_eq!(answer.error_code, NONE, "a new producer id");
        (answer.producer_id.0, answer.producer_epoch)
    }

    /// Metadata of the named topics.
    pub fn metadata(&mut self, topics: &[&str], auto_create: bool) -> MetadataResponse {
        let topics =
            topics.iter().map(|name| MetadataRequestTopic::default().with_name(Some(topic_name(name))));
        let request = MetadataRequest::default()
            .with_topics(Some(topics.collect()))
            .with_allow_auto_topic_creation(auto_create);
        self.call(12, &request)
    }
}
