//! The catalogue's refusals as Kafka's error codes.

use crate::topic::{CatalogError, SettingError};
use crate::wire::ErrorCode;

/// The code that Apache Kafka answers in the same case.
pub fn code(error: &CatalogError) -> ErrorCode {
    match error {
        CatalogError::Exists(_) => ErrorCode::TopicAlreadyExists,
        CatalogError::Collides { .. } => ErrorCode::InvalidTopicException,
        CatalogError::NoPartitions
        | CatalogError::NotMorePartitions { .. }
        | CatalogError::TooManyPartitions(_) => ErrorCode::InvalidPartitions,
        CatalogError::TooManyPartitionsInAll => ErrorCode::PolicyViolation,
        CatalogError::Setting(error) => setting_code(error),
        CatalogError::SettingsTooLarge { .. } => ErrorCode::InvalidConfig,
        CatalogError::NotFound => ErrorCode::UnknownTopicOrPartition,
        // Retriable, and neither says that nothing was done.
        CatalogError::Sealed => ErrorCode::NotController,
        CatalogError::Unavailable(_) => ErrorCode::RequestTimedOut,
        CatalogError::Unreadable(_) => ErrorCode::UnknownServerError,
    }
}

/// Every setting that is refused is an invalid configuration to Kafka.
pub fn setting_code(_: &SettingError) -> ErrorCode {
    ErrorCode::InvalidConfig
}
