//! What both protocols of groups speak of: who a member is, and why a request is refused.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

/// A member's id within its group: chosen by the client, or by the broker for older clients.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemberId(Arc<str>);

/// The name a static member keeps over its restarts: Kafka's `group.instance.id`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupInstanceId(Arc<str>);

macro_rules! text_id {
    ($id:ident) => {
        impl $id {
            /// The id as the client sent it.
            #[must_use]
            pub fn new(text: &str) -> $id {
                $id(text.into())
            }

            /// The id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// Whether there are no characters in it: older clients join so.
            #[must_use]
            pub fn is_empty(&self) -> bool {
                self.0.is_empty()
            }
        }

        impl Borrow<str> for $id {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $id {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

text_id!(MemberId);
text_id!(GroupInstanceId);

/// Why a group refuses a request; each variant is the Kafka error code of that name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GroupError {
    /// The member must give up its partitions and join again.
    #[error("the member epoch {got} is not {expected}: give up all partitions and join again")]
    FencedMemberEpoch {
        /// What the group knows.
        expected: i32,
        /// What came.
        got: i32,
    },
    /// Nobody here has that id, or that instance id.
    #[error("member {0} is not in the group")]
    UnknownMemberId(String),
    /// Another member with that `group.instance.id` is alive.
    #[error("the group instance id is still held by member {0}")]
    UnreleasedInstanceId(MemberId),
    /// A newer member with that `group.instance.id` has taken this one's place.
    #[error("the group instance id is held by member {0} now")]
    FencedInstanceId(MemberId),
    /// No assignor of that name.
    #[error("assignor {0} is not known; there are uniform and range")]
    UnsupportedAssignor(String),
    /// As many members as a group may have.
    #[error("the group has its {0} members")]
    GroupMaxSizeReached(usize),
    /// The request contradicts itself or the protocol.
    #[error("{0}")]
    InvalidRequest(&'static str),
    /// The expression is no RE2 expression, or too big a one.
    #[error("the subscribed topic regex cannot be used: {0}")]
    InvalidRegularExpression(String),
    /// A commit or a fetch of offsets by a member that is not at that epoch.
    #[error("the member epoch {got} is stale: the member is at {expected}")]
    StaleMemberEpoch {
        /// What the group knows.
        expected: i32,
        /// What came.
        got: i32,
    },
    /// A classic member's generation is another one.
    #[error("generation {got} is not {expected}")]
    IllegalGeneration {
        /// What the group knows.
        expected: i32,
        /// What came.
        got: i32,
    },
    /// A classic member must join again.
    #[error("the group is rebalancing")]
    RebalanceInProgress,
    /// The classic member's protocols and the group's have nothing in common.
    #[error("the group has another protocol")]
    InconsistentGroupProtocol,
    /// Members of this protocol must use a newer version of the request.
    #[error("members of the consumer protocol commit by version 9 or above")]
    UnsupportedVersion,
    /// A group with members cannot be deleted.
    #[error("the group has members")]
    NonEmptyGroup,
}
