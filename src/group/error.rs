//! Why a group refuses. Each variant is the error code of Kafka that is answered for it.

use thiserror::Error;

/// What a request to a group is refused with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum GroupError {
    /// No member of that id, or no static member of that name.
    #[error("the member is not known to the group")]
    UnknownMemberId,
    /// The member speaks of a generation that is not the present one.
    #[error("the generation is not the group's present one")]
    IllegalGeneration,
    /// The group is between two generations: join again.
    #[error("the group is rebalancing")]
    RebalanceInProgress,
    /// Another member took over this one's instance id (KIP-345).
    #[error("another member has taken over the instance id")]
    FencedInstanceId,
    /// The member shares no protocol with the others, or names another type than theirs.
    #[error("the member's protocols do not go with the group's")]
    InconsistentGroupProtocol,
    /// The member has been given an id and must join again with it (KIP-394).
    #[error("the member must join again with the id given to it")]
    MemberIdRequired,
    /// The group has as many members, or as many bytes of them, as it may have.
    #[error("the group has reached its maximum size")]
    GroupMaxSizeReached,
    /// The session timeout is out of the broker's bounds.
    #[error("the session timeout is out of bounds")]
    InvalidSessionTimeout,
    /// The group has members, so that it or its offsets cannot be deleted.
    #[error("the group is not empty")]
    NonEmptyGroup,
    /// What came is larger or longer than anything sensible.
    #[error("the request exceeds a limit")]
    InvalidRequest,
    /// The leader's assignment is too large to be stored.
    #[error("the assignment is too large")]
    UnknownServerError,
    /// This broker is no longer, or not yet, able to answer for the group.
    #[error("the coordinator is not available")]
    CoordinatorNotAvailable,
    /// Another broker answers for the group.
    #[error("this broker is not the group's coordinator")]
    NotCoordinator,
}
