//! Where the metadata store keeps transactional ids: `transactions/<transactional id>`, written as [`escaped`] does.

use super::stored::{StoredStage, StoredTransaction};
use crate::meta::Entry;
use crate::meta::keys::{escaped, unescaped};
use bytes::Bytes;

/// Prefix of all of them.
pub(super) const TRANSACTIONS: &str = "transactions/";

/// What is stored cannot be understood: somebody must look.
#[derive(Debug, thiserror::Error)]
#[error("the metadata at {key} cannot be read: {reason}")]
pub struct UnreadableTransaction {
    /// Where it lies.
    pub key: String,
    /// What is wrong with it.
    pub reason: String,
}

pub(super) fn key(transactional_id: &str) -> String {
    format!("{TRANSACTIONS}{}", escaped(transactional_id))
}

pub(super) fn id_of(key: &str) -> Option<String> {
    unescaped(key.strip_prefix(TRANSACTIONS)?)
}

pub(super) fn encode(stored: &StoredTransaction) -> Bytes {
    serde_json::to_vec(stored).expect("numbers, strings and lists are always JSON").into()
}

pub(super) fn decode(entry: &Entry) -> Result<StoredTransaction, UnreadableTransaction> {
    serde_json::from_slice(&entry.value)
        .map_err(|error| UnreadableTransaction { key: entry.key.clone(), reason: error.to_string() })
}

impl StoredTransaction {
    /// Whether there is a transaction to end.
    pub(super) fn is_open(&self) -> bool {
        match self.stage {
            StoredStage::Ongoing | StoredStage::PrepareCommit | StoredStage::PrepareAbort => true,
            StoredStage::Empty | StoredStage::CompleteCommit | StoredStage::CompleteAbort => false,
        }
    }
}
