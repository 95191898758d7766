//! The log: what a partition is, what may be appended to it, what may be read from it.
//!
//! Never: it does no protocol (that is `wire` and `handler`), and writes nothing itself (that is `journal`).
//! A partition's state is behind one lock, held for microseconds and never across an await; checking that the
//! partition is led here, giving offsets and queueing the batch in the journal are one step under it.

mod append;
mod archived;
mod broker_log;
mod checkpoint;
mod data_batches;
mod directions;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod index;
mod leftovers;
mod merged;
mod newcomers;
mod object_reads;
mod objects;
mod partition;
mod producer_ids;
mod producer_state;
mod read_plan;
mod reader;
mod recovery;
mod segment_file;
mod segments;
mod stability;
mod time_lookup;
mod transaction;
mod waiters;

pub use append::{AppendError, Appended, Incoming};
pub use archived::{ArchiveState, ArchivedLog, SegmentRef, Unarchived, WaitingRows};
pub use broker_log::{BrokerLog, LogError};
pub use checkpoint::CheckpointView;
pub use data_batches::{DataBatches, data_batches};
pub use directions::{
    Direction, DirectionsWanted, PARTITIONS_MAX, PartitionWanted, decode_directions, encode_directions,
};
pub use index::IndexEntry;
pub use leftovers::{KeptJournal, KeptNumber, KeptObject};
pub use merged::{MergeSources, MergedPartition, MergedSpans};
pub use objects::{JournalNeeds, JournalUse, NeededJournal, ObjectUse};
pub use partition::{Ends, Partition};
pub use producer_ids::ProducerIds;
pub use producer_state::{ActiveProducer, BatchIdentity, SequenceError};
pub use read_plan::{IsolationLevel, OutOfRange, ReadPlan};
pub use reader::{FirstBatch, PartitionRead, ReadError, ReadLimit, Reader};
pub use recovery::Recovery;
pub use segment_file::{SegmentFile, SegmentFileError};
pub use stability::AbortedTransaction;
pub use time_lookup::{FoundOffset, TimeQuery};
pub use transaction::{Marker, MarkerError, MarkerTaken, Question, Verified};
pub use waiters::{Waiter, Waiters};

/// What the records of one batch may take when they are decompressed, wherever that is done: a batch that
/// claims more is a bomb. Far above what `max.message.bytes` compresses to in practice.
pub const DECOMPRESSED_BYTES_MAX: usize = 64 * 1024 * 1024;

#[cfg(test)]
mod tests;
