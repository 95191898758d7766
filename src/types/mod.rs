//! Values that every room shares: offsets, epochs, names and ids. No I/O, no clock, no chance.

mod ids;
mod merge_number;
mod moment;
mod offset;
mod topic;
mod transaction;

pub use ids::{BrokerId, ClusterId, LeaderEpoch, ProducerEpoch, ProducerId, SessionId, ViewNumber};
pub use merge_number::{MergeNumber, MergeNumberError};
pub use moment::Moment;
pub use offset::{Offset, Timestamp};
pub use topic::{PartitionIndex, TopicId, TopicName, TopicNameError, TopicPartition};
pub use transaction::{TransactionOrdinal, Verdict};
