//! Refusals of group settings as Kafka's error codes.

use super::catalog_error::setting_code;
use crate::group::GroupSettingsError;
use crate::wire::ErrorCode;

/// The code that Apache Kafka answers in the same case.
pub fn code(error: &GroupSettingsError) -> ErrorCode {
    match error {
        GroupSettingsError::Setting(error) => setting_code(error),
        GroupSettingsError::TooLarge(_) => ErrorCode::InvalidConfig,
        GroupSettingsError::TooManyGroups => ErrorCode::PolicyViolation,
        // Retriable, and neither says that nothing was done.
        GroupSettingsError::Sealed => ErrorCode::NotController,
        GroupSettingsError::Unavailable(_) => ErrorCode::RequestTimedOut,
        GroupSettingsError::Unreadable(_) => ErrorCode::UnknownServerError,
    }
}
