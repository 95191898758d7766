//! Groups of the consumer protocol (KIP-848): the broker assigns, members heartbeat.
//!
//! ```text
//! heartbeat ─▶ admit ─▶ profile changed? ─▶ group epoch + 1 ─▶ targets for all ─▶ step of this member ─▶ answer
//!              heartbeat.rs  member.rs       subscription.rs    uniform.rs,         reconcile.rs
//!                                                               range.rs
//! ```
//!
//! A pure core: time and ids come in as values, and nothing is read or written here. What a member is told is in
//! `stored`: the owner stores that before it sends answers, so that a group restored elsewhere goes on where it was.
//! Invariant: a partition is told to a member only when no other member may still own it.

mod assignor;
mod classic_members;
mod commit;
mod describe;
mod embedded;
mod group;
mod heartbeat;
mod member;
mod partitions;
mod range;
mod reconcile;
mod request;
mod stored;
mod subscription;
#[cfg(test)]
mod tests;
mod uniform;

pub use assignor::{Assignor, AssignorMember};
pub use classic_members::{
    ClassicJoin, ClassicJoinAnswer, ClassicRequest, ClassicSnapshot, ClassicSnapshotMember, JoinAs,
};
pub use commit::CommitKind;
pub use describe::{ConsumerGroupState, ConsumerGroupView, MemberProtocol, MemberView};
pub use embedded::{
    ClassicProtocol, EmbeddedSubscription, NamedPartitions, decode_assignment, decode_subscription,
    encode_assignment,
};
pub use group::{ConsumerGroup, ConsumerGroupConfig};
pub use partitions::{PartitionSet, by_topic};
pub(in crate::group) use partitions::{RangesReader, encode_ranges};
pub use reconcile::MemberState;
pub use request::{HeartbeatAnswer, HeartbeatRequest, JOIN_EPOCH, LEAVE_EPOCH, STATIC_LEAVE_EPOCH};
pub use stored::{StoredConsumerGroup, UnreadableConsumerGroup};
pub use subscription::{Subscription, TopicSize, TopicsImage};

#[cfg(test)]
use super::{GroupError, GroupInstanceId, MemberId};
