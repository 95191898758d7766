//! What the metadata store holds of a share partition.
//!
//! ```text
//! {"version":1,"state_epoch":0,"start_offset":10,
//!  "batches":[[0,5,0,1],[5,1,2,1],[6,14,4,5]]}     first after the start, how many, state, how often delivered
//! ```
//!
//! States have Kafka's numbers: 0 available, 2 acknowledged, 4 archived. What a member has is stored as available with
//! its count: members lose what they have with the broker, and who gets it next sees how often it was tried.

use super::partition::{SharePartition, SharePartitionConfig, Unsaved};
use super::records::{Record, RecordState};
use crate::types::Offset;
use serde::{Deserialize, Serialize};

const STORED_VERSION: u32 = 1;
const AVAILABLE: u8 = 0;
const ACKNOWLEDGED: u8 = 2;
const ARCHIVED: u8 = 4;

/// A stored share partition that this release cannot read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the stored share partition cannot be read: {0}")]
pub struct UnreadableSharePartition(&'static str);

/// A share partition as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredSharePartition {
    version: u32,
    state_epoch: i32,
    start_offset: i64,
    /// First offset after the start offset, how many, state, delivery count.
    batches: Vec<(i64, i64, u8, i16)>,
}

impl StoredSharePartition {
    /// The first offset that is not finished.
    #[must_use]
    pub fn start_offset(&self) -> Offset {
        Offset(self.start_offset)
    }

    /// How many records are still to be finished (KIP-1226).
    #[must_use]
    pub fn lag(&self, high_watermark: Offset) -> i64 {
        let finished = self.batches.iter().filter(|(_, _, state, _)| *state != AVAILABLE);
        let finished = finished.fold(0i64, |sum, (_, records, _, _)| sum.saturating_add(*records));
        high_watermark.0.saturating_sub(self.start_offset).saturating_sub(finished).max(0)
    }
}

impl SharePartition {
    /// What must survive this broker.
    #[must_use]
    pub fn stored(&self) -> StoredSharePartition {
        let start = self.records.start();
        let mut batches: Vec<(i64, i64, u8, i16)> = Vec::with_capacity(self.records.runs());
        for (offsets, record) in self.records.iter() {
            let (state, count) = (state_number(&record.state), record.delivery_count);
            let records = offsets.end - offsets.start;
            match batches.last_mut() {
                Some(last) if (last.2, last.3) == (state, count) => last.1 += records,
                _ => batches.push((offsets.start - start, records, state, count)),
            }
        }
        StoredSharePartition {
            version: STORED_VERSION,
            state_epoch: self.state_epoch,
            start_offset: start.0,
            batches,
        }
    }

    /// The share partition that was stored. Nobody has any of its records.
    pub fn restore(
        stored: &StoredSharePartition,
        config: SharePartitionConfig,
    ) -> Result<SharePartition, UnreadableSharePartition> {
        if stored.version != STORED_VERSION {
            return Err(UnreadableSharePartition("its version is not known here"));
        }
        if stored.start_offset < 0 {
            return Err(UnreadableSharePartition("it begins before the first offset"));
        }
        let mut partition = SharePartition::new(stored.start_offset(), config);
        partition.state_epoch = stored.state_epoch;
        for &(first, records, state, delivery_count) in &stored.batches {
            let state = read_state(state).ok_or(UnreadableSharePartition("there is no such state"))?;
            let end = partition.records.end();
            let until = end.0.checked_add(records).filter(|until| *until > end.0);
            let until = until.ok_or(UnreadableSharePartition("a batch of it is no range"))?;
            if end.0 - stored.start_offset != first || delivery_count < 0 {
                return Err(UnreadableSharePartition(
                    "its batches are not neighbours, or were never delivered",
                ));
            }
            partition.records.push(Offset(until), Record { state, delivery_count });
        }
        partition.records.advance();
        partition.unsaved = Unsaved::Nothing;
        Ok(partition)
    }
}

fn state_number(state: &RecordState) -> u8 {
    match state {
        RecordState::Available | RecordState::Acquired { .. } => AVAILABLE,
        RecordState::Acknowledged => ACKNOWLEDGED,
        RecordState::Archived => ARCHIVED,
    }
}

fn read_state(number: u8) -> Option<RecordState> {
    match number {
        AVAILABLE => Some(RecordState::Available),
        ACKNOWLEDGED => Some(RecordState::Acknowledged),
        ARCHIVED => Some(RecordState::Archived),
        _ => None,
    }
}
