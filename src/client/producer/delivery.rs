//! What became of a record: shared by all records of a batch.

use crate::client::ClientError;
use crate::types::{Offset, PartitionIndex};
use std::sync::{Arc, OnceLock};
use tokio::sync::Notify;
use tokio::time::Instant;

/// What became of a batch, once it is known.
#[derive(Debug, Default)]
pub(super) struct BatchOutcome {
    known: OnceLock<(Instant, Result<Offset, ClientError>)>,
    notify: Notify,
}

impl BatchOutcome {
    pub(super) fn set(&self, now: Instant, outcome: Result<Offset, ClientError>) {
        drop(self.known.set((now, outcome)));
        self.notify.notify_waiters();
    }
}

/// The promise of a record's place.
#[derive(Clone, Debug)]
pub struct Delivery {
    pub(super) outcome: Arc<BatchOutcome>,
    pub(super) partition: PartitionIndex,
    pub(super) index: i32,
}

/// A record that is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivered {
    /// In which partition.
    pub partition: PartitionIndex,
    /// Where; -1 when the broker does not say (acks=0, or found to be stored by an earlier attempt).
    pub offset: Offset,
    /// When the answer came.
    pub at: Instant,
}

impl Delivery {
    /// Waits until the record is stored, or is given up.
    pub async fn wait(&self) -> Result<Delivered, ClientError> {
        loop {
            let notified = self.outcome.notify.notified();
            if let Some(known) = self.outcome.known.get() {
                let (at, offset) = (known.0, known.1.clone()?);
                let offset = if offset.get() < 0 { offset } else { offset + i64::from(self.index) };
                return Ok(Delivered { partition: self.partition, offset, at });
            }
            notified.await;
        }
    }
}
