//! What this broker advertises: each API with its first and last version.
//!
//! Every range lies within Apache Kafka 4.3's and within what `kafka_protocol` encodes and decodes in full.

use super::error::{ErrorCode, error_code};
use kafka_protocol::messages::ApiVersionsResponse;
use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::produce_request::ProduceRequest;
use kafka_protocol::protocol::Message;

/// The APIs that this broker answers, named and numbered as Kafka does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(i16)]
pub enum ApiKey {
    /// Appends record batches.
    Produce = 0,
    /// Reads record batches.
    Fetch = 1,
    /// Finds offsets by name or time.
    ListOffsets = 2,
    /// Brokers, topics, who leads what.
    Metadata = 3,
    /// This very table.
    ApiVersions = 18,
    /// Creates topics.
    CreateTopics = 19,
    /// Deletes topics.
    DeleteTopics = 20,
    /// Gives an idempotent producer its id.
    InitProducerId = 22,
    /// Where a leader's epoch ended.
    OffsetForLeaderEpoch = 23,
    /// Reads settings.
    DescribeConfigs = 32,
    /// Replaces settings.
    AlterConfigs = 33,
    /// Sizes of logs.
    DescribeLogDirs = 35,
    /// Adds partitions to topics.
    CreatePartitions = 37,
    /// Changes single settings.
    IncrementalAlterConfigs = 44,
    /// Brokers only.
    DescribeCluster = 60,
    /// Active producers of partitions.
    DescribeProducers = 61,
    /// Topics and their partitions, in pages.
    DescribeTopicPartitions = 75,
}

/// An API and the versions of it that are advertised, both ends included as on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ApiVersionRange {
    /// Which API.
    pub api_key: ApiKey,
    /// The first version.
    pub min: i16,
    /// The last version.
    pub max: i16,
}

/// What ApiVersions answers. Produce 0 to 2 are listed though they are not served, as Apache Kafka does: old
/// librdkafka takes their absence for a broker without compression (KIP-896).
pub const SUPPORTED: &[ApiVersionRange] = &[
    range(ApiKey::Produce, 0, 13),
    range(ApiKey::Fetch, 4, 18),
    range(ApiKey::ListOffsets, 1, 10),
    range(ApiKey::Metadata, 0, 13),
    range(ApiKey::ApiVersions, 0, 4),
    range(ApiKey::CreateTopics, 2, 7),
    range(ApiKey::DeleteTopics, 1, 6),
    range(ApiKey::InitProducerId, 0, 5),
    range(ApiKey::OffsetForLeaderEpoch, 2, 4),
    range(ApiKey::DescribeConfigs, 1, 4),
    range(ApiKey::AlterConfigs, 0, 2),
    range(ApiKey::DescribeLogDirs, 1, 4),
    range(ApiKey::CreatePartitions, 0, 3),
    range(ApiKey::IncrementalAlterConfigs, 0, 1),
    range(ApiKey::DescribeCluster, 0, 2),
    range(ApiKey::DescribeProducers, 0, 0),
    range(ApiKey::DescribeTopicPartitions, 0, 0),
];

const fn range(api_key: ApiKey, min: i16, max: i16) -> ApiVersionRange {
    ApiVersionRange { api_key, min, max }
}

impl ApiKey {
    /// The API of that number, if this broker answers it.
    #[must_use]
    pub fn from_code(code: i16) -> Option<ApiKey> {
        SUPPORTED.iter().map(|range| range.api_key).find(|api_key| api_key.code() == code)
    }

    /// The number on the wire.
    #[must_use]
    pub const fn code(self) -> i16 {
        self as i16
    }
}

/// Whether a request of this key and version is decoded and answered. `false` for the versions of Produce
/// that are listed only.
#[must_use]
pub fn is_supported(api_key: i16, api_version: i16) -> bool {
    supported(api_key, api_version).is_some()
}

/// The typed key, when key and version are answered.
pub(super) fn supported(api_key: i16, api_version: i16) -> Option<ApiKey> {
    let range = SUPPORTED.iter().find(|range| range.api_key.code() == api_key)?;
    let min = match range.api_key {
        ApiKey::Produce => ProduceRequest::VERSIONS.min,
        _ => range.min,
    };
    (min..=range.max).contains(&api_version).then_some(range.api_key)
}

/// The answer to ApiVersions: the table, with `error` as its code. Features are left to their defaults, which
/// keeps the tagged fields off the wire.
#[must_use]
pub fn versions_response(error: Option<ErrorCode>) -> ApiVersionsResponse {
    let listed = |range: &ApiVersionRange| {
        ApiVersion::default()
            .with_api_key(range.api_key.code())
            .with_min_version(range.min)
            .with_max_version(range.max)
    };
    ApiVersionsResponse::default()
        .with_error_code(error_code(error))
        .with_api_keys(SUPPORTED.iter().map(listed).collect())
}

#[cfg(test)]
mod tests;
