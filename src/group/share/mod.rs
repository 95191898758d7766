//! Share groups (KIP-932): queues over partitions, with an acknowledgement for every record.
//!
//! ```text
//! ShareGroupHeartbeat ─▶ ShareGroup      who is in it, who fetches which partitions        one per group
//! ShareFetch ──────────▶ ShareSessions   which partitions this member fetches              one per broker
//!                     └▶ SharePartition  which records are whose, and what became of them  one per group and partition
//! ShareAcknowledge ────────────┘
//! ```
//!
//! Pure cores: time and ids come in as values, and nothing is read or written here. Several members may have the same
//! partition, so nobody waits until another has given it up; who may work on a record is decided by `SharePartition`
//! alone. Invariant: a record between the start and the end of a share partition is in exactly one state, and at most
//! one member has it.

mod acknowledge;
mod acquire;
mod assignor;
mod describe;
mod group;
mod heartbeat;
mod partition;
mod records;
mod request;
mod session;
mod stored_group;
mod stored_partition;
#[cfg(test)]
mod tests;

pub use acknowledge::{AcknowledgeError, AcknowledgeType, Acknowledgement};
pub use acquire::{AcquireLimit, AcquireMode, Acquired, LogRead};
pub use describe::{ShareGroupState, ShareGroupView, ShareMemberView};
pub use group::{ShareGroup, ShareGroupConfig};
pub use partition::{Attempt, SharePartition, SharePartitionConfig, SharePartitionView, Unsaved};
pub use records::RecordState;
pub use request::{SHARE_JOIN_EPOCH, SHARE_LEAVE_EPOCH, ShareHeartbeatAnswer, ShareHeartbeatRequest};
pub use session::{
    SHARE_SESSION_CLOSE_EPOCH, SHARE_SESSION_OPEN_EPOCH, ShareClient, ShareFetchContext, ShareSessionChange,
    ShareSessionFault, ShareSessionKey, ShareSessions,
};
pub use stored_group::{StoredShareGroup, UnreadableShareGroup};
pub use stored_partition::{StoredSharePartition, UnreadableSharePartition};
