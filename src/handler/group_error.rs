//! A group's refusals as Kafka's error codes, and names as groups want them.

use crate::group::{GroupError, GroupId, GroupInstanceId, MemberId};
use crate::wire::{ErrorCode, StrBytes};

/// The code that Apache Kafka answers in the same case.
pub fn code(error: &GroupError) -> ErrorCode {
    match error {
        GroupError::ConcurrentTransactions | GroupError::TransactionEnded => {
            ErrorCode::ConcurrentTransactions
        }
        GroupError::InvalidProducerEpoch => ErrorCode::InvalidProducerEpoch,
        GroupError::CoordinatorNotAvailable => ErrorCode::CoordinatorNotAvailable,
        GroupError::CoordinatorLoadInProgress => ErrorCode::CoordinatorLoadInProgress,
        GroupError::FencedInstanceId => ErrorCode::FencedInstanceId,
        GroupError::FencedMemberEpoch { .. } => ErrorCode::FencedMemberEpoch,
        GroupError::GroupIdNotFound => ErrorCode::GroupIdNotFound,
        GroupError::GroupMaxSizeReached => ErrorCode::GroupMaxSizeReached,
        GroupError::GroupSubscribedToTopic => ErrorCode::GroupSubscribedToTopic,
        GroupError::IllegalGeneration => ErrorCode::IllegalGeneration,
        GroupError::InconsistentGroupProtocol => ErrorCode::InconsistentGroupProtocol,
        GroupError::InvalidCommitOffsetSize => ErrorCode::InvalidCommitOffsetSize,
        GroupError::InvalidGroupId => ErrorCode::InvalidGroupId,
        GroupError::InvalidRegularExpression(_) => ErrorCode::InvalidRegularExpression,
        GroupError::InvalidRequest(_) => ErrorCode::InvalidRequest,
        GroupError::InvalidSessionTimeout => ErrorCode::InvalidSessionTimeout,
        GroupError::MemberIdRequired => ErrorCode::MemberIdRequired,
        GroupError::NonEmptyGroup => ErrorCode::NonEmptyGroup,
        GroupError::NotCoordinator => ErrorCode::NotCoordinator,
        GroupError::RebalanceInProgress => ErrorCode::RebalanceInProgress,
        GroupError::StaleMemberEpoch { .. } => ErrorCode::StaleMemberEpoch,
        GroupError::UnknownMemberId => ErrorCode::UnknownMemberId,
        GroupError::UnknownServerError => ErrorCode::UnknownServerError,
        GroupError::UnreleasedInstanceId => ErrorCode::UnreleasedInstanceId,
        GroupError::UnsupportedAssignor(_) => ErrorCode::UnsupportedAssignor,
        GroupError::UnsupportedVersion => ErrorCode::UnsupportedVersion,
    }
}

/// The code of an outcome; 0 is success.
pub fn code_of<T>(outcome: &Result<T, GroupError>) -> i16 {
    outcome.as_ref().err().map_or(0, |error| code(error).code())
}

/// A group that members may join: it has a name.
pub fn group_to_join(name: &str) -> Result<GroupId, GroupError> {
    if name.is_empty() { Err(GroupError::InvalidGroupId) } else { group(name) }
}

/// A group that offsets may be committed for: also the one without a name.
pub fn group(name: &str) -> Result<GroupId, GroupError> {
    if name.len() > GROUP_ID_BYTES_MAX {
        return Err(GroupError::InvalidGroupId);
    }
    Ok(GroupId::new(name))
}

/// A key of the metadata store has a limit.
const GROUP_ID_BYTES_MAX: usize = 1024;

/// A member's id as it came.
pub fn member(id: &str) -> MemberId {
    MemberId::new(id)
}

/// A static member's name as it came.
pub fn instance(id: Option<&StrBytes>) -> Option<GroupInstanceId> {
    id.map(|id| GroupInstanceId::new(id))
}

/// A text for an answer.
pub fn text(text: impl ToString) -> StrBytes {
    StrBytes::from_string(text.to_string())
}
