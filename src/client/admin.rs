//! Topics and their settings.

use super::{ClientError, Cluster, Isolation};
use crate::types::{BrokerId, Offset, PartitionIndex, Timestamp};
use crate::wire::messages::create_partitions_request::CreatePartitionsTopic;
use crate::wire::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use crate::wire::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use crate::wire::messages::describe_configs_request::DescribeConfigsResource;
use crate::wire::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use crate::wire::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use crate::wire::messages::{
    CreatePartitionsRequest, CreateTopicsRequest, DeleteRecordsRequest, DeleteTopicsRequest,
    DescribeConfigsRequest, IncrementalAlterConfigsRequest, ListOffsetsRequest, TopicName,
};
use crate::wire::{ErrorCode, StrBytes};
use std::collections::BTreeMap;
use std::time::Duration;

/// Topics and their settings, by any broker.
#[derive(Clone, Debug)]
pub struct Admin {
    pub(super) cluster: Cluster,
}

/// A topic to be created.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewTopic {
    /// Its name.
    pub name: String,
    /// How many partitions; the broker's default when `None`.
    pub partitions: Option<i32>,
    /// How many copies; the broker's default when `None`.
    pub replication_factor: Option<i16>,
    /// Settings that differ from the defaults.
    pub configs: Vec<(String, String)>,
}

/// A setting of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigEntry {
    /// Its name.
    pub name: String,
    /// Its value, if it may be shown.
    pub value: Option<String>,
    /// Whether it comes from a default and was not set for the topic.
    pub is_default: bool,
}

/// A change of a setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigChange {
    /// To a value.
    Set(String, String),
    /// Back to the default.
    Unset(String),
}

const BROKER_TIMEOUT: Duration = Duration::from_secs(30);
const BROKER_TIMEOUT_MS: i32 = 30_000;
const RESOURCE_TOPIC: i8 = 2;
const SOURCE_TOPIC: i8 = 1;
const OP_SET: i8 = 0;
const OP_DELETE: i8 = 1;

/// The time that stands for the end of the log in ListOffsets.
pub(super) const LATEST: Timestamp = Timestamp(-1);
/// The time that stands for the log's start.
pub(super) const EARLIEST: Timestamp = Timestamp(-2);

impl Admin {
    /// For `cluster`.
    #[must_use]
    pub fn new(cluster: &Cluster) -> Admin {
        Admin { cluster: cluster.clone() }
    }

    /// Creates a topic.
    pub async fn create_topic(&self, topic: &NewTopic) -> Result<(), ClientError> {
        let configs = topic.configs.iter().map(|(name, value)| {
            CreatableTopicConfig::default().with_name(text(name)).with_value(Some(text(value)))
        });
        let creatable = CreatableTopic::default()
            .with_name(TopicName(text(&topic.name)))
            .with_num_partitions(topic.partitions.unwrap_or(-1))
            .with_replication_factor(topic.replication_factor.unwrap_or(-1))
            .with_configs(configs.collect());
        let request =
            CreateTopicsRequest::default().with_topics(vec![creatable]).with_timeout_ms(BROKER_TIMEOUT_MS);
        let answer = self.cluster.any().await?.send(&request, BROKER_TIMEOUT).await?.wait().await?;
        answer.topics.iter().try_for_each(|result| {
            let message = result.error_message.as_deref();
            ClientError::check(result.error_code, message, || format!("create topic {:?}", topic.name))
        })
    }

    /// Deletes a topic and its records.
    pub async fn delete_topic(&self, name: &str) -> Result<(), ClientError> {
        let request = DeleteTopicsRequest::default()
            .with_topic_names(vec![TopicName(text(name))])
            .with_timeout_ms(BROKER_TIMEOUT_MS);
        let answer = self.cluster.any().await?.send(&request, BROKER_TIMEOUT).await?.wait().await?;
        answer.responses.iter().try_for_each(|result| match result.error_code {
            3 => Err(ClientError::UnknownTopic { topic: name.to_owned() }),
            code => {
                ClientError::check(code, result.error_message.as_deref(), || format!("delete topic {name:?}"))
            }
        })
    }

    /// Deletes the records of a partition before an offset, `None` for all that there are; where its log begins then.
    pub async fn delete_records(
        &self,
        topic: &str,
        partition: PartitionIndex,
        before: Option<Offset>,
    ) -> Result<Offset, ClientError> {
        let info = self.cluster.topic(topic).await?;
        let found = info.partitions.iter().find(|found| found.index == partition);
        let unknown = || ClientError::unknown_partition(topic, partition, info.partitions.len());
        let leader = found.ok_or_else(unknown)?.leader.ok_or_else(|| no_leader(topic, partition))?;
        let wanted = DeleteRecordsPartition::default()
            .with_partition_index(partition.0)
            .with_offset(before.map_or(-1, Offset::get));
        let wanted =
            DeleteRecordsTopic::default().with_name(TopicName(text(topic))).with_partitions(vec![wanted]);
        let request =
            DeleteRecordsRequest::default().with_topics(vec![wanted]).with_timeout_ms(BROKER_TIMEOUT_MS);
        let answer = self.cluster.broker(leader).await?.send(&request, BROKER_TIMEOUT).await?.wait().await?;
        let result = answer.topics.iter().flat_map(|topic| &topic.partitions).next();
        let result = result.ok_or_else(unknown)?;
        match (ErrorCode::try_from_code(result.error_code), before) {
            (Some(ErrorCode::OffsetOutOfRange), Some(before)) => {
                let (starts, ends) = (self.start_offsets(topic).await?, self.end_offsets(topic).await?);
                let log = starts.get(&partition).zip(ends.get(&partition)).ok_or_else(unknown)?;
                Err(ClientError::out_of_range(topic, partition, before, *log.0..*log.1))
            }
            _ => {
                let what = || format!("delete records of {topic}-{partition}");
                ClientError::check(result.error_code, None, what)?;
                Ok(Offset(result.low_watermark))
            }
        }
    }

    /// Raises the number of partitions to `count`. Keys move to other partitions by that.
    pub async fn create_partitions(&self, name: &str, count: i32) -> Result<(), ClientError> {
        let topic = CreatePartitionsTopic::default()
            .with_name(TopicName(text(name)))
            .with_count(count)
            .with_assignments(None);
        let request =
            CreatePartitionsRequest::default().with_topics(vec![topic]).with_timeout_ms(BROKER_TIMEOUT_MS);
        let answer = self.cluster.any().await?.send(&request, BROKER_TIMEOUT).await?.wait().await?;
        answer.results.iter().try_for_each(|result| {
            let message = result.error_message.as_deref();
            ClientError::check(result.error_code, message, || {
                format!("raise topic {name:?} to {count} partitions")
            })
        })
    }

    /// The settings of a topic, in order of their names.
    pub async fn describe_configs(&self, name: &str) -> Result<Vec<ConfigEntry>, ClientError> {
        let resource = DescribeConfigsResource::default()
            .with_resource_type(RESOURCE_TOPIC)
            .with_resource_name(text(name))
            .with_configuration_keys(None);
        let request = DescribeConfigsRequest::default().with_resources(vec![resource]);
        let answer = self.cluster.any().await?.call(&request).await?;
        let mut entries = Vec::new();
        for result in &answer.results {
            let message = result.error_message.as_deref();
            ClientError::check(result.error_code, message, || format!("settings of topic {name:?}"))?;
            entries.extend(result.configs.iter().map(|config| ConfigEntry {
                name: config.name.to_string(),
                value: config.value.as_ref().map(|value| value.to_string()),
                is_default: config.config_source != SOURCE_TOPIC,
            }));
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    /// Changes settings of a topic, all or none of them.
    pub async fn alter_configs(&self, name: &str, changes: &[ConfigChange]) -> Result<(), ClientError> {
        let configs = changes.iter().map(|change| match change {
            ConfigChange::Set(key, value) => AlterableConfig::default()
                .with_name(text(key))
                .with_config_operation(OP_SET)
                .with_value(Some(text(value))),
            ConfigChange::Unset(key) => AlterableConfig::default()
                .with_name(text(key))
                .with_config_operation(OP_DELETE)
                .with_value(None),
        });
        let resource = AlterConfigsResource::default()
            .with_resource_type(RESOURCE_TOPIC)
            .with_resource_name(text(name))
            .with_configs(configs.collect());
        let request = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
        let answer = self.cluster.any().await?.call(&request).await?;
        answer.responses.iter().try_for_each(|result| {
            let message = result.error_message.as_deref();
            ClientError::check(result.error_code, message, || format!("alter topic {name:?}"))
        })
    }

    /// The first readable offset of each partition of a topic.
    pub async fn start_offsets(&self, topic: &str) -> Result<BTreeMap<PartitionIndex, Offset>, ClientError> {
        self.offsets_at(topic, EARLIEST).await
    }

    /// The end of each partition of a topic: the offset that the next record gets.
    pub async fn end_offsets(&self, topic: &str) -> Result<BTreeMap<PartitionIndex, Offset>, ClientError> {
        self.offsets_at(topic, LATEST).await
    }

    /// The end of what can be read of each partition of a topic.
    pub(super) async fn readable_ends(
        &self,
        topic: &str,
        isolation: Isolation,
    ) -> Result<BTreeMap<PartitionIndex, Offset>, ClientError> {
        self.offsets_for(topic, LATEST, isolation).await
    }

    /// The first offset of each partition whose record is not before `time`; partitions without one have -1.
    pub async fn offsets_at(
        &self,
        topic: &str,
        time: Timestamp,
    ) -> Result<BTreeMap<PartitionIndex, Offset>, ClientError> {
        self.offsets_for(topic, time, Isolation::All).await
    }

    async fn offsets_for(
        &self,
        topic: &str,
        time: Timestamp,
        isolation: Isolation,
    ) -> Result<BTreeMap<PartitionIndex, Offset>, ClientError> {
        let info = self.cluster.topic(topic).await?;
        let mut by_leader: BTreeMap<BrokerId, Vec<PartitionIndex>> = BTreeMap::new();
        for partition in &info.partitions {
            let leader = partition.leader.ok_or_else(|| no_leader(topic, partition.index))?;
            by_leader.entry(leader).or_default().push(partition.index);
        }
        let mut offsets = BTreeMap::new();
        for (leader, partitions) in by_leader {
            let wanted = partitions.iter().map(|partition| {
                ListOffsetsPartition::default()
                    .with_partition_index(partition.0)
                    .with_current_leader_epoch(-1)
                    .with_timestamp(time.get())
            });
            offsets.extend(self.list_offsets(leader, topic, wanted.collect(), isolation).await?);
        }
        Ok(offsets)
    }

    async fn list_offsets(
        &self,
        leader: BrokerId,
        topic: &str,
        wanted: Vec<ListOffsetsPartition>,
        isolation: Isolation,
    ) -> Result<Vec<(PartitionIndex, Offset)>, ClientError> {
        let wanted = ListOffsetsTopic::default().with_name(TopicName(text(topic))).with_partitions(wanted);
        let request = ListOffsetsRequest::default()
            .with_replica_id((-1).into())
            .with_isolation_level(isolation.level())
            .with_topics(vec![wanted]);
        let answer = self.cluster.broker(leader).await?.call(&request).await?;
        let results = answer.topics.iter().flat_map(|topic| &topic.partitions);
        let offset = |result: &crate::wire::messages::list_offsets_response::ListOffsetsPartitionResponse| {
            let what = || format!("offsets of {topic}-{}", result.partition_index);
            ClientError::check(result.error_code, None, what)?;
            Ok((PartitionIndex(result.partition_index), Offset(result.offset)))
        };
        results.map(offset).collect()
    }
}

fn no_leader(topic: &str, partition: PartitionIndex) -> ClientError {
    let code = ErrorCode::LeaderNotAvailable;
    ClientError::Refused { what: format!("offsets of {topic}-{partition}"), code, message: String::new() }
}

pub(super) fn text(value: &str) -> StrBytes {
    StrBytes::from_string(value.to_owned())
}
