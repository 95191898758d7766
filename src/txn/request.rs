//! What is asked of a transactional id, and what it answers.

use super::Place;
use crate::types::{ProducerEpoch, ProducerId, TransactionOrdinal, Verdict};

/// Which protocol a client speaks: EndTxn from version 5 on is the second (KIP-890).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TransactionVersion {
    /// The client adds its partitions, and keeps its epoch over its transactions.
    One,
    /// The leaders add partitions, and each transaction has an epoch of its own.
    Two,
}

/// A producer as its client names itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Producer {
    /// Its id.
    pub id: ProducerId,
    /// Its epoch.
    pub epoch: ProducerEpoch,
}

/// An instance of a producer starts, or goes on after an error.
#[derive(Clone, Copy, Debug)]
pub struct InitProducerIdRequest {
    /// After how long a transaction of this instance is aborted, in milliseconds.
    pub timeout_ms: i32,
    /// Who it was until now, if it goes on (versions from 3, KIP-360); `None` for -1 and -1.
    pub expected: Option<Producer>,
    /// An id that was never given, if [`super::Transaction::needs_producer_id`] asks for one.
    pub fresh_producer_id: Option<ProducerId>,
}

/// A client (version 1) or a leader (version 2) adds places to the transaction.
#[derive(Clone, Debug)]
pub struct AddPlacesRequest {
    /// Whose transaction.
    pub producer: Producer,
    /// What it writes to. All of them are added, or none.
    pub places: Vec<Place>,
    /// What the client speaks.
    pub transaction_version: TransactionVersion,
}

/// A client ends its transaction.
#[derive(Clone, Copy, Debug)]
pub struct EndTxnRequest {
    /// Whose transaction.
    pub producer: Producer,
    /// How it shall end.
    pub verdict: Verdict,
    /// What the client speaks.
    pub transaction_version: TransactionVersion,
    /// An id that was never given, if [`super::Transaction::needs_producer_id`] asks for one.
    pub fresh_producer_id: Option<ProducerId>,
}

/// The markers that are still to be written, to be sent again and again until each place has answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Markers {
    /// The id under which the transaction's batches were written.
    pub producer_id: ProducerId,
    /// The epoch that fences what is late; in version 2 one above that of the batches.
    pub producer_epoch: ProducerEpoch,
    /// How the transaction ends.
    pub verdict: Verdict,
    /// Which transaction it is.
    pub ordinal: TransactionOrdinal,
    /// Where no marker is known to be written yet; never empty.
    pub places: Vec<Place>,
}
