//! Transactions: which one of a transactional id, and how it ended.

use std::fmt;

/// Counts the transactions of one transactional id, from 1: what tells them apart where epochs do not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TransactionOrdinal(pub i64);

impl TransactionOrdinal {
    /// Before the first.
    pub const NONE: TransactionOrdinal = TransactionOrdinal(0);
}

impl fmt::Display for TransactionOrdinal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How a transaction ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// Nothing of it is ever shown to who reads committed records.
    Abort,
    /// All of it is.
    Commit,
}
