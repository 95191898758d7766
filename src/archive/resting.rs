//! Partitions that are left alone for a while, as something went wrong there.

use crate::hashing::HashMap;
use crate::types::{Moment, TopicPartition};

/// Those that rest, and until when.
#[derive(Debug, Default)]
pub(super) struct Resting {
    until: HashMap<TopicPartition, Moment>,
}

impl Resting {
    /// Something went wrong: it is left alone until then.
    pub fn rest(&mut self, topic_partition: TopicPartition, until: Moment) {
        self.until.insert(topic_partition, until);
    }

    /// Whether it is left alone now.
    pub fn rests(&self, topic_partition: TopicPartition, now: Moment) -> bool {
        self.until.get(&topic_partition).is_some_and(|until| *until > now)
    }

    /// Forgets those whose time has come, and with them those whose topics are gone.
    pub fn forget_over(&mut self, now: Moment) {
        self.until.retain(|_, until| *until > now);
    }
}

#[cfg(test)]
mod tests;
