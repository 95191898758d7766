//! Why a group refuses. Each variant is the error code of Kafka that is answered for it.

use thiserror::Error;

/// What a request to a group is refused with.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum GroupError {
    /// This broker is not yet able to answer for the group, or does not know what became of the request.
    #[error("the coordinator is not available")]
    CoordinatorNotAvailable,
    /// This broker answers for the group as soon as those have let go that may have done so before.
    #[error("the coordinator takes over the group")]
    CoordinatorLoadInProgress,
    /// Another member took over this one's instance id (KIP-345).
    #[error("another member has taken over the instance id")]
    FencedInstanceId,
    /// The producer's transaction before this one has not ended here yet.
    #[error("the transaction before this one has not ended here yet")]
    ConcurrentTransactions,
    /// The transaction is over: its coordinator is to be asked again. Never told to a client.
    #[error("the transaction has ended")]
    TransactionEnded,
    /// A later epoch of the producer is known.
    #[error("the producer is fenced by a later epoch")]
    InvalidProducerEpoch,
    /// The member must give up its partitions and join again (KIP-848).
    #[error("the member epoch {got} is not {expected}: give up all partitions and join again")]
    FencedMemberEpoch {
        /// What the group knows.
        expected: i32,
        /// What came.
        got: i32,
    },
    /// There is no such group, or it is of the other protocol.
    #[error("there is no such group of this protocol")]
    GroupIdNotFound,
    /// The group has as many members, or as many bytes of them, as it may have.
    #[error("the group has reached its maximum size")]
    GroupMaxSizeReached,
    /// A member reads the topic, so its offsets stay.
    #[error("the group is subscribed to the topic")]
    GroupSubscribedToTopic,
    /// The member speaks of a generation that is not the present one.
    #[error("the generation is not the group's present one")]
    IllegalGeneration,
    /// The member shares no protocol with the others, or names another type than theirs.
    #[error("the member's protocols do not go with the group's")]
    InconsistentGroupProtocol,
    /// More offsets and metadata than are kept of one topic.
    #[error("the offsets and metadata of the topic are too large to be kept")]
    InvalidCommitOffsetSize,
    /// An empty name, or too long a one.
    #[error("the group id is empty or too long")]
    InvalidGroupId,
    /// The expression is no RE2 expression, or too big a one.
    #[error("the subscribed topic regex cannot be used: {0}")]
    InvalidRegularExpression(String),
    /// The request contradicts itself or the protocol, or is larger than anything sensible.
    #[error("{0}")]
    InvalidRequest(&'static str),
    /// The session timeout is out of the broker's bounds.
    #[error("the session timeout is out of bounds")]
    InvalidSessionTimeout,
    /// The member has been given an id and must join again with it (KIP-394).
    #[error("the member must join again with the id given to it")]
    MemberIdRequired,
    /// The group has members, so that it or its offsets cannot be deleted.
    #[error("the group is not empty")]
    NonEmptyGroup,
    /// Another broker answers for the group.
    #[error("this broker is not the group's coordinator")]
    NotCoordinator,
    /// The group is between two generations: join again.
    #[error("the group is rebalancing")]
    RebalanceInProgress,
    /// A commit or a fetch of offsets by a member that is not at that epoch (KIP-848).
    #[error("the member epoch {got} is stale: the member is at {expected}")]
    StaleMemberEpoch {
        /// What the group knows.
        expected: i32,
        /// What came.
        got: i32,
    },
    /// No member of that id, or no static member of that name.
    #[error("the member is not known to the group")]
    UnknownMemberId,
    /// The leader's assignment is too large to be stored.
    #[error("the assignment is too large")]
    UnknownServerError,
    /// A static member with that instance id is alive (KIP-848).
    #[error("the group instance id is still held by a member")]
    UnreleasedInstanceId,
    /// No assignor of that name (KIP-848).
    #[error("assignor {0} is not known; there are uniform and range")]
    UnsupportedAssignor(String),
    /// Members of the consumer protocol must use a newer version of the request.
    #[error("members of the consumer protocol commit by version 9 or above")]
    UnsupportedVersion,
}
