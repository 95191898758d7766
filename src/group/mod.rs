//! Consumer groups: who is in a group, which generation it is, and who reads what.
//!
//! ```text
//! handler ─▶ coordinator ─▶ task (one per group) ─▶ core: classic, consumer, share; offsets
//!                              │ what has changed goes to the metadata store, then the answers go out
//!         delivery ─▶ task (one per share group and partition) ─▶ core: share partition
//! ```
//!
//! Never: a core does no I/O, reads no clock, makes no ids, and knows no wire type. Time and ids come in as values;
//! the task that owns a core feeds it, stores it and sends its answers.

mod call;
pub mod classic;
pub mod consumer;
mod coordinator;
pub mod delivery;
mod error;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod kept;
mod migrate;
mod mixed;
mod offsets;
mod pace;
mod producers;
mod remote;
mod serve;
pub mod settings;
pub mod share;
mod stored;
mod summary;
mod task;
#[cfg(test)]
mod tests;
mod topics;
mod types;

pub use call::{
    CommitKind, CommitOffsets, Delete, DeleteOffsets, Describe, DescribeConsumer, DescribeShare, Expire,
    FetchOffsets, FetchedOffset, FetchedOffsets, HasShareMember,
};
pub use coordinator::{GroupCoordinator, GroupsConfig, GroupsStart};
pub use error::GroupError;
pub use offsets::CommittedOffset;
pub use producers::EndOffsets;
pub use settings::{AutoOffsetReset, GroupSettings, GroupSettingsCatalog, GroupSettingsError};
pub use stored::UnreadableGroup;
pub use summary::{ClassicDescription, GroupSummary, GroupType};
pub use types::{GroupId, GroupInstanceId, MemberId, Ticket};
