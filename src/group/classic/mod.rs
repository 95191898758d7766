//! The classic protocol of consumer groups: the clients join, one of them assigns, all sync.
//!
//! ```text
//!           join                all joined, or time            leader's sync
//!  Empty ─────────▶ Preparing ────────────────────▶ Completing ─────────────▶ Stable
//!    ▲                │  ▲                              │                        │
//!    └── none left ───┘  └──── a join, a leave, an expiry, a late sync ──────────┘
//! ```
//!
//! What holds, whatever comes: every ticket is answered once; a generation is never given twice, also over a restart
//! (a few are reserved with each store); all members share at least one protocol; what is stored fits its limit.
//! Never: it does not know offsets, does not read assignments, and reads no more of a subscription than its topics.
//!
//! Where this is kinder than Apache Kafka: a request that is overtaken by another of the same member, and the sync of a
//! member that leaves, are answered; a static member comes back also into a full group; one that comes back with other
//! topics starts a rebalance; the leave of a member that had not joined yet starts none.

mod check;
mod config;
mod group;
mod join;
mod leave;
mod members;
mod rebalance;
mod request;
mod stored;
mod subscription;
mod sync;
mod text;

pub use check::CommitIdentity;
pub use config::ClassicGroupConfig;
pub use group::ClassicGroup;
pub use request::{
    Answer, Assignment, HeartbeatRequest, JoinRefused, JoinRequest, Joined, JoinedMember, LeaveAnswer,
    LeaveRequest, LeavingMember, MemberView, Protocol, SyncRequest, Synced,
};
pub use stored::{RestoreError, StoredClassicGroup, StoredMember, StoredProtocol};
#[cfg(any(test, fuzzing))]
pub(super) use subscription::topics;

#[cfg(test)]
mod tests;
