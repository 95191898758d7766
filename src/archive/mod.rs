//! What leaves the journal, what is dropped, merged and compacted: decisions, and the task that acts on them.
//!
//! ```text
//! log ─▶ cut ─▶ write: batches to a segment ─▶ object store
//!   merge, compact ─▶ rewrite: segments to one ─▶ object store
//!   journal_merge ─▶ journal_copy: what is needed of many journal objects to one ─▶ object store ─▶ journals, log
//!          retention ─▶ kept: next manifest ─▶ object store ─▶ pointer, in a transaction that compares
//!                                      └─▶ log: what is read from where now ─▶ journals, graveyard: objects go
//! ```
//!
//! Each decision takes numbers and moments as values and says what should be done; one task for the broker acts, so that
//! a partition's manifest has one writer. Metadata moves first, objects go after it, and after a grace period longer than
//! any read.
//!
//! Never: nothing here reaches above the last stable offset, and nothing is dropped that a setting or a request does not
//! name.

mod archiver;
pub mod compact;
pub mod cut;
mod error;
mod fsck;
mod graveyard;
mod janitor;
mod journal_copy;
pub mod journal_merge;
mod journals;
mod keeping;
mod kept;
mod left;
pub mod merge;
mod repoint;
mod resting;
pub mod retention;
mod rewrite;
mod rounds;
mod rows;
mod start;
mod status;
mod upkeep;
mod write;

pub use archiver::{Archive, ArchiveStart};
pub use error::{ArchiveError, LoadError};
pub use fsck::{Checked, Count, FsckError, FsckReport, Orphans, Problem, Repair, fsck};
pub use start::{LoadedManifest, LoadedManifests, load, load_gone, load_some};
pub use status::{WaitsFor, waits_for};

#[cfg(test)]
mod tests;
