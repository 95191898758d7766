//! The end of a transaction as it stands in the log: a control batch with one record (KIP-98).
//!
//! ```text
//! attributes  transactional, control     base sequence  -1
//! key    version i16 (0) │ type i16: 0 abort, 1 commit
//! value  version i16 (0) │ coordinator epoch i32: here the number of the coordinator's view
//! ```

use super::builder::{BatchBuilder, ProducerStamp};
use crate::types::{ProducerEpoch, ProducerId, Timestamp, Verdict, ViewNumber};
use bytes::{BufMut, Bytes};

/// What a marker says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndMarker {
    /// Whose transaction it ends.
    pub producer_id: ProducerId,
    /// The epoch that the producer has from here on.
    pub producer_epoch: ProducerEpoch,
    /// How it ends.
    pub verdict: Verdict,
    /// The view of the coordinator that decided it.
    pub coordinator_view: ViewNumber,
}

impl EndMarker {
    /// The batch, one offset long.
    #[must_use]
    pub fn encode(&self, now: Timestamp) -> Bytes {
        let mut key = Vec::with_capacity(4);
        key.put_i16(KEY_VERSION);
        key.put_i16(match self.verdict {
            Verdict::Abort => TYPE_ABORT,
            Verdict::Commit => TYPE_COMMIT,
        });
        let mut value = Vec::with_capacity(6);
        value.put_i16(VALUE_VERSION);
        value.put_i32(self.coordinator_view.0);
        let mut builder = BatchBuilder::new();
        builder.append(now, Some(&key), Some(&value), &[]);
        builder.finish_control(ProducerStamp {
            producer_id: self.producer_id,
            producer_epoch: self.producer_epoch,
            base_sequence: NO_SEQUENCE,
            transactional: true,
        })
    }
}

const KEY_VERSION: i16 = 0;
const VALUE_VERSION: i16 = 0;
const TYPE_ABORT: i16 = 0;
const TYPE_COMMIT: i16 = 1;
const NO_SEQUENCE: i32 = -1;
