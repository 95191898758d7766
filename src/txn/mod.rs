//! Transactions: what the coordinator of one transactional id knows, decides and keeps.
//!
//! ```text
//!            a place is added              EndTxn, time-out, InitProducerId        every place has its marker
//!   Empty ────────────────────▶ Ongoing ─────────────────────────▶ Prepare(verdict) ────────────────▶ Complete(verdict)
//!     ▲                            ▲                                                                  │  │
//!     │                            └───────────────────────── a place is added ───────────────────────┘  │
//!     └──────────────────────────────────────── InitProducerId ──────────────────────────────────────────┘
//! ```
//!
//! *Words.* The *ordinal* counts the transactions of one transactional id, from 1. A *place* is a partition, or the
//! offsets of a group: whatever gets a marker. A *verdict* is commit or abort.
//!
//! `coordinator.rs` finds the task of a transactional id, `task.rs` drives its core, `marker.rs` writes markers where
//! the transaction wrote. How a core is driven: each request is answered at once; but the answer, a refusal too, is sent only after what is dirty
//! has been stored by a transaction that compares, and one that stores nothing only after the coordinator's standing
//! was confirmed by a read that began after the request came. After every store [`Transaction::on_stored`] is called;
//! it may make the value dirty once more. If a store fails, or nobody knows, the core is dropped with its answers.
//!
//! What holds, whatever comes: an ordinal has one verdict; a producer's id with its epoch is given to one instance;
//! a marker is sent only of what is stored; complete means that each place has its marker. The model in
//! `tests/model/transactions` checks the rules in all small worlds.
//!
//! Where this differs from Apache Kafka: who goes on (KIP-360) is checked in every stage, so that a fenced instance does
//! not abort its successor's transaction, and may come again when its own was aborted for that; an EndTxn that comes
//! again while markers are being written is answered.
//!
//! `coordinator.rs` finds the task of a transactional id, `task.rs` drives its core, `marker.rs` writes markers where the
//! transaction wrote. Never: the core does no I/O, reads no clock and makes no ids; and the room knows no wire type.

mod call;
mod coordinator;
mod end;
mod error;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod init;
mod keys;
mod list;
mod marker;
mod places;
mod remote;
mod request;
mod stored;
mod task;
mod transaction;

pub use call::{AddPlaces, Describe, EndTxn, FirstBatch, ForceAbort, InitProducerId, Verify};
pub use coordinator::{TxnCoordinator, TxnsStart};
pub use error::TxnError;
pub use keys::UnreadableTransaction;
pub use list::{IdPattern, TransactionFilter, TransactionState, TransactionSummary, TransactionView};
pub use places::Place;
pub use request::{
    AddPlacesRequest, EndTxnRequest, InitProducerIdRequest, Markers, Producer, TransactionVersion,
};
pub use stored::{
    RestoreError, StoredProducer, StoredRetry, StoredRetryOf, StoredStage, StoredTopic, StoredTransaction,
};
pub use transaction::{Transaction, TransactionConfig};

#[cfg(test)]
use crate::types::{TransactionOrdinal, Verdict};
#[cfg(test)]
mod tests;
