//! Why the catalogue did not do what it was asked.

use super::{PARTITIONS_MAX, PARTITIONS_TOTAL_MAX};
use crate::settings::SettingError;
use crate::topic::stored::UnreadableTopic;
use crate::types::TopicName;

/// Why the catalogue did not do what it was asked. Texts that clients are shown are Apache Kafka's where it has one.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// The name is taken.
    #[error("Topic '{0}' already exists.")]
    Exists(TopicName),
    /// A name that differs only in `.` and `_` is taken.
    #[error("Topic '{name}' collides with existing topic: {existing}")]
    Collides {
        /// The one asked for.
        name: TopicName,
        /// The one that is.
        existing: TopicName,
    },
    /// Fewer than one.
    #[error("Number of partitions was set to an invalid non-positive value.")]
    NoPartitions,
    /// Not more than there are.
    #[error("{}", not_more(*now, *asked))]
    NotMorePartitions {
        /// That the topic has.
        now: i32,
        /// That were asked for.
        asked: i32,
    },
    /// More than [`PARTITIONS_MAX`].
    #[error("a topic has at most {PARTITIONS_MAX} partitions, not {0}")]
    TooManyPartitions(i32),
    /// More than [`PARTITIONS_TOTAL_MAX`] in all.
    #[error("all topics together have at most {PARTITIONS_TOTAL_MAX} partitions")]
    TooManyPartitionsInAll,
    /// The settings are refused.
    #[error(transparent)]
    Setting(#[from] SettingError),
    /// The settings do not fit into one value of the metadata store.
    #[error("the settings of a topic have at most {max} bytes in all, not {bytes}")]
    SettingsTooLarge {
        /// Of the encoded topic.
        bytes: usize,
        /// Allowed.
        max: usize,
    },
    /// There is no such topic.
    #[error("This server does not host this topic-partition.")]
    NotFound,
    /// This session was sealed: it may write nothing any more.
    #[error("this broker's session has ended")]
    Sealed,
    /// The metadata store gave no answer. Whether the change was made is not known.
    #[error("{0}")]
    Unavailable(String),
    /// The metadata store holds something that this release cannot read.
    #[error(transparent)]
    Unreadable(#[from] UnreadableTopic),
}

fn not_more(now: i32, asked: i32) -> String {
    if asked == now {
        format!("Topic already has {now} partition(s).")
    } else {
        format!("The topic currently has {now} partition(s); {asked} would not be an increase.")
    }
}
