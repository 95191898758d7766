//! What this broker advertises: each API with its first and last version.
//!
//! Every range lies within Apache Kafka 4.3's and within what `kafka_protocol` encodes and decodes in full.

use super::error::{ErrorCode, error_code};
use kafka_protocol::messages::ApiVersionsResponse;
use kafka_protocol::messages::api_versions_response::{ApiVersion, FinalizedFeatureKey, SupportedFeatureKey};
use kafka_protocol::messages::produce_request::ProduceRequest;
use kafka_protocol::protocol::{Message, StrBytes};

/// The APIs whose requests can be read, named and numbered as Kafka does. Those in [`SUPPORTED`] are answered.
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
    /// Keeps how far a group has read.
    OffsetCommit = 8,
    /// How far a group has read.
    OffsetFetch = 9,
    /// Which broker coordinates a group or a transaction.
    FindCoordinator = 10,
    /// Enters a classic group.
    JoinGroup = 11,
    /// Stays in a classic group.
    Heartbeat = 12,
    /// Leaves a classic group.
    LeaveGroup = 13,
    /// Hands out the assignments of a classic group.
    SyncGroup = 14,
    /// Classic groups and their members.
    DescribeGroups = 15,
    /// All groups.
    ListGroups = 16,
    /// This very table.
    ApiVersions = 18,
    /// Creates topics.
    CreateTopics = 19,
    /// Deletes topics.
    DeleteTopics = 20,
    /// Has logs begin later.
    DeleteRecords = 21,
    /// Gives an idempotent producer its id.
    InitProducerId = 22,
    /// Where a leader's epoch ended.
    OffsetForLeaderEpoch = 23,
    /// Takes partitions into a transaction.
    AddPartitionsToTxn = 24,
    /// Takes a group's offsets into a transaction.
    AddOffsetsToTxn = 25,
    /// Commits or aborts a transaction.
    EndTxn = 26,
    /// Ends a transaction in the logs.
    WriteTxnMarkers = 27,
    /// Keeps a group's offsets when the transaction commits.
    TxnOffsetCommit = 28,
    /// Reads settings.
    DescribeConfigs = 32,
    /// Replaces settings.
    AlterConfigs = 33,
    /// Sizes of logs.
    DescribeLogDirs = 35,
    /// Adds partitions to topics.
    CreatePartitions = 37,
    /// Deletes groups.
    DeleteGroups = 42,
    /// Changes single settings.
    IncrementalAlterConfigs = 44,
    /// Forgets offsets of a group.
    OffsetDelete = 47,
    /// Brokers only.
    DescribeCluster = 60,
    /// Active producers of partitions.
    DescribeProducers = 61,
    /// Transactions and their partitions.
    DescribeTransactions = 65,
    /// All transactions.
    ListTransactions = 66,
    /// Enters, stays in and leaves a group of the new protocol (KIP-848).
    ConsumerGroupHeartbeat = 68,
    /// Groups of the new protocol and their members.
    ConsumerGroupDescribe = 69,
    /// What has settings.
    ListConfigResources = 74,
    /// Topics and their partitions, in pages.
    DescribeTopicPartitions = 75,
    /// Enters, stays in and leaves a share group (KIP-932).
    ShareGroupHeartbeat = 76,
    /// Share groups and their members.
    ShareGroupDescribe = 77,
    /// Acquires records for a share group's member, and acknowledges others.
    ShareFetch = 78,
    /// Acknowledges records.
    ShareAcknowledge = 79,
    /// Where share groups start.
    DescribeShareGroupOffsets = 90,
    /// Sets where a share group starts.
    AlterShareGroupOffsets = 91,
    /// Forgets where a share group starts.
    DeleteShareGroupOffsets = 92,
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
    range(ApiKey::OffsetCommit, 2, 9),
    range(ApiKey::OffsetFetch, 1, 9),
    range(ApiKey::FindCoordinator, 0, 6),
    range(ApiKey::JoinGroup, 0, 9),
    range(ApiKey::Heartbeat, 0, 4),
    range(ApiKey::LeaveGroup, 0, 5),
    range(ApiKey::SyncGroup, 0, 5),
    range(ApiKey::DescribeGroups, 0, 6),
    range(ApiKey::ListGroups, 0, 5),
    range(ApiKey::ApiVersions, 0, 4),
    range(ApiKey::CreateTopics, 2, 7),
    range(ApiKey::DeleteTopics, 1, 6),
    range(ApiKey::DeleteRecords, 0, 2),
    range(ApiKey::InitProducerId, 0, 5),
    range(ApiKey::OffsetForLeaderEpoch, 2, 4),
    range(ApiKey::AddPartitionsToTxn, 0, 5),
    range(ApiKey::AddOffsetsToTxn, 0, 4),
    range(ApiKey::EndTxn, 0, 5),
    range(ApiKey::TxnOffsetCommit, 0, 5),
    range(ApiKey::DescribeConfigs, 1, 4),
    range(ApiKey::AlterConfigs, 0, 2),
    range(ApiKey::DescribeLogDirs, 1, 4),
    range(ApiKey::CreatePartitions, 0, 3),
    range(ApiKey::DeleteGroups, 0, 2),
    range(ApiKey::IncrementalAlterConfigs, 0, 1),
    range(ApiKey::OffsetDelete, 0, 0),
    range(ApiKey::DescribeCluster, 0, 2),
    range(ApiKey::DescribeProducers, 0, 0),
    range(ApiKey::DescribeTransactions, 0, 0),
    range(ApiKey::ListTransactions, 0, 2),
    range(ApiKey::ConsumerGroupHeartbeat, 0, 1),
    range(ApiKey::ConsumerGroupDescribe, 0, 1),
    range(ApiKey::ListConfigResources, 0, 1),
    range(ApiKey::DescribeTopicPartitions, 0, 0),
    range(ApiKey::ShareGroupHeartbeat, 1, 1),
    range(ApiKey::ShareGroupDescribe, 1, 1),
    range(ApiKey::ShareFetch, 1, 1),
    range(ApiKey::ShareAcknowledge, 1, 1),
    range(ApiKey::DescribeShareGroupOffsets, 0, 0),
    range(ApiKey::AlterShareGroupOffsets, 0, 0),
    range(ApiKey::DeleteShareGroupOffsets, 0, 0),
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

/// The answer to ApiVersions: the table, with `error` as its code, and what clients look up before they use it, such as
/// the second version of transactions (KIP-890), without which they keep their epoch. Before version 3 there is no place
/// for features, nor in the answer to a version that is not known, which is that of version 0.
#[must_use]
pub fn versions_response(error: Option<ErrorCode>, api_version: i16) -> ApiVersionsResponse {
    let listed = |range: &ApiVersionRange| {
        ApiVersion::default()
            .with_api_key(range.api_key.code())
            .with_min_version(range.min)
            .with_max_version(range.max)
    };
    let response = ApiVersionsResponse::default()
        .with_error_code(error_code(error))
        .with_api_keys(SUPPORTED.iter().map(listed).collect());
    if error.is_some() || api_version < FEATURES_VERSION {
        return response;
    }
    let supported = FEATURES.iter().map(|(name, level)| {
        SupportedFeatureKey::default().with_name(StrBytes::from_static_str(name)).with_max_version(*level)
    });
    let finalized = FEATURES.iter().map(|(name, level)| {
        FinalizedFeatureKey::default()
            .with_name(StrBytes::from_static_str(name))
            .with_max_version_level(*level)
            .with_min_version_level(*level)
    });
    response
        .with_supported_features(supported.collect())
        .with_finalized_features_epoch(0)
        .with_finalized_features(finalized.collect())
}

/// From here on an answer tells of features (KIP-584).
const FEATURES_VERSION: i16 = 3;
/// Features and their levels: groups by KIP-848, share groups by KIP-932, transactions by KIP-890.
const FEATURES: [(&str, i16); 3] = [("group.version", 1), ("share.version", 1), ("transaction.version", 2)];

#[cfg(test)]
mod tests;
