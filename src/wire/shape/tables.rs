//! The schemas of the requests that this broker reads, from Apache Kafka's message definitions.
//!
//! One line per field, in wire order, with the versions that have it.

use super::Null::{Allowed, Refused};
use super::{Field, Kind, Shape};
use crate::wire::api::ApiKey;

mod topics;

const INT8: Kind = Kind::Fixed(1);
const BOOL: Kind = Kind::Fixed(1);
const INT16: Kind = Kind::Fixed(2);
const INT32: Kind = Kind::Fixed(4);
const INT64: Kind = Kind::Fixed(8);
const UUID: Kind = Kind::Fixed(16);
const TEXT: Kind = Kind::Text(Refused);
const TEXT_OR_NULL: Kind = Kind::Text(Allowed);
const RECORDS: Kind = Kind::Blob(Allowed);

const fn array(element: &'static Kind) -> Kind {
    Kind::Array(Refused, element)
}

const fn array_or_null(element: &'static Kind) -> Kind {
    Kind::Array(Allowed, element)
}

impl Kind {
    const fn always(self) -> Field {
        self.since(0)
    }

    const fn since(self, from: i16) -> Field {
        self.within(from, i16::MAX)
    }

    const fn within(self, from: i16, to: i16) -> Field {
        Field { kind: self, from, to, tag: None }
    }

    const fn tagged(self, tag: u32, from: i16) -> Field {
        Field { kind: self, from, to: i16::MAX, tag: Some(tag) }
    }
}

pub(super) fn shape_of(api_key: ApiKey) -> &'static Shape {
    match api_key {
        ApiKey::Produce => &topics::PRODUCE,
        ApiKey::Fetch => &topics::FETCH,
        ApiKey::ListOffsets => &topics::LIST_OFFSETS,
        ApiKey::Metadata => &topics::METADATA,
        ApiKey::ApiVersions => &topics::API_VERSIONS,
        ApiKey::CreateTopics => &topics::CREATE_TOPICS,
        ApiKey::DeleteTopics => &topics::DELETE_TOPICS,
        ApiKey::InitProducerId => &topics::INIT_PRODUCER_ID,
        ApiKey::OffsetForLeaderEpoch => &topics::OFFSET_FOR_LEADER_EPOCH,
        ApiKey::DescribeConfigs => &topics::DESCRIBE_CONFIGS,
        ApiKey::AlterConfigs => &topics::ALTER_CONFIGS,
        ApiKey::DescribeLogDirs => &topics::DESCRIBE_LOG_DIRS,
        ApiKey::CreatePartitions => &topics::CREATE_PARTITIONS,
        ApiKey::IncrementalAlterConfigs => &topics::INCREMENTAL_ALTER_CONFIGS,
        ApiKey::DescribeCluster => &topics::DESCRIBE_CLUSTER,
        ApiKey::DescribeProducers => &topics::DESCRIBE_PRODUCERS,
        ApiKey::DescribeTopicPartitions => &topics::DESCRIBE_TOPIC_PARTITIONS,
    }
}
