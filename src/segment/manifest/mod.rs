//! A partition's manifest: which segments it has, where its log starts, and what a restart needs of its past.
//!
//! ```text
//! metadata store                object store
//! manifests/<topic id>/<p>  ─▶  root ─┬─▶ part ─▶ 1,000 segments        topics/…/<base>-<last>-….parquet
//!   pointer: log start,               ├─▶ part ─▶ 1,000 segments
//!   archived offset                   ├── the latest segments themselves
//!                                     └── leader epochs, clean passes, producers at the archived offset
//! ```
//!
//! Every object is immutable. An edit makes another manifest in memory, which shares with the one before all chunks
//! of segments that it does not touch; encoding it writes a root and the parts that are new; a transaction that
//! compares the pointer's revision makes it the partition's. A log start that moves alone needs the pointer alone.
//!
//! Never: no I/O, no clock, no ids of its own making, and no rule of what should be archived, merged or dropped.
//!
//! Invariants, which edits keep and decoding verifies: segments follow each other without overlap (with gaps: what
//! was aborted or compacted away has no row), each has an offset at or above the log start, all lie below the
//! archived offset; epochs, clean passes and producers are in order. The log start may lie above the archived
//! offset: what lies between is in the journal alone, and nobody reads it.

mod chunks;
mod decode;
mod edit;
mod encode;
mod frame;
mod lookup;
mod pointer;
mod segment_entry;
mod state;
mod stored;

#[cfg(any(test, fuzzing))]
pub(crate) use decode::fuzzing;
pub use decode::{DecodeError, Opened, Part, Root};
pub use edit::{Archived, EditError, Edited};
pub use encode::{Encoded, EncodedLayout, EncodedObject};
pub use frame::ObjectRef;
pub use lookup::Manifest;
pub use pointer::{ManifestPointer, POINTERS, UnreadablePointer, pointer_key, pointer_prefix};
pub use segment_entry::{Made, Segment, Totals};
pub use state::{BatchSnapshot, CleanPass, EpochStart, OpenTransactionSnapshot, ProducerSnapshot};

#[cfg(test)]
mod tests;
