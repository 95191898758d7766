//! Topics: their catalogue and their settings.
//!
//! The catalogue is a snapshot in memory of what the metadata store holds. Look-ups never wait; every change is
//! one transaction that compares, and the snapshot follows only after its answer. No rule of the log lives here.

mod catalog;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
pub mod settings;
mod stored;

pub use catalog::{Catalog, CatalogError, NewTopic, PARTITIONS_MAX, PARTITIONS_TOTAL_MAX, Topic};
pub use settings::{Cleanup, CompressionType, TimestampType, TopicSettings};
