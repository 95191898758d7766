//! The catalogue's refusals as Kafka's error codes.

use crate::settings::SettingError;
use crate::topic::CatalogError;
use crate::wire::ErrorCode;

/// The code that Apache Kafka answers in the same case.
pub fn code(error: &CatalogError) -> ErrorCode {
    match error {
        CatalogError::Exists(_) => ErrorCode::TopicAlreadyExists,
        CatalogError::Collides { .. } => ErrorCode::InvalidTopicException,
        CatalogError::NoPartitions | CatalogError::NotMorePartitions { .. } => ErrorCode::InvalidPartitions,
        CatalogError::TooManyPartitions(_) | CatalogError::TooManyPartitionsInAll => {
            ErrorCode::PolicyViolation
        }
        CatalogError::Setting(error) => setting_code(error),
        CatalogError::SettingsTooLarge { .. } => ErrorCode::InvalidConfig,
        CatalogError::NotFound => ErrorCode::UnknownTopicOrPartition,
        // Retriable, and neither says that nothing was done.
        CatalogError::Sealed => ErrorCode::NotController,
        CatalogError::Unavailable(_) => ErrorCode::RequestTimedOut,
        CatalogError::Unreadable(_) => ErrorCode::UnknownServerError,
    }
}

/// A setting that is refused is an invalid configuration to Kafka; one without a value is no request at all.
pub fn setting_code(error: &SettingError) -> ErrorCode {
    match error {
        SettingError::NoValue(_) => ErrorCode::InvalidRequest,
        _ => ErrorCode::InvalidConfig,
    }
}
