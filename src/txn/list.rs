//! What DescribeTransactions and ListTransactions tell (KIP-664, KIP-994, KIP-1152).

use super::TxnError;
use super::places::Place;
use super::request::{Producer, TransactionVersion};
use super::transaction::{Stage, Transaction};
use crate::types::{ProducerId, Timestamp};
use crate::types::{TransactionOrdinal, Verdict};
use regex::{Regex, RegexBuilder};
use std::collections::BTreeSet;
use std::fmt;

/// Bytes of an expression at most.
const PATTERN_BYTES_MAX: usize = 4 << 10;
/// Bytes of an expression at most, once it is compiled.
const COMPILED_BYTES_MAX: usize = 1 << 20;
const NESTING_MAX: u32 = 50;

/// Where a transactional id is, in Kafka's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TransactionState {
    /// The present instance has begun no transaction.
    Empty,
    /// A transaction is open.
    Ongoing,
    /// It will be committed, whatever happens; markers are being written.
    PrepareCommit,
    /// It will be aborted, whatever happens; markers are being written.
    PrepareAbort,
    /// The last transaction was committed everywhere.
    CompleteCommit,
    /// The last transaction was aborted everywhere.
    CompleteAbort,
}

/// A transactional id as DescribeTransactions shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransactionView {
    /// Where it is.
    pub state: TransactionState,
    /// Its producer; while a transaction is ended, the one of the markers.
    pub producer: Producer,
    /// After how long a transaction is aborted, in milliseconds.
    pub timeout_ms: u32,
    /// When the last transaction of the present instance began; `None` (Kafka's -1) before the first.
    pub started_at: Option<Timestamp>,
    /// When anything happened last.
    pub last_update: Timestamp,
    /// How many transactions there were.
    pub ordinal: TransactionOrdinal,
    /// What the client spoke last.
    pub transaction_version: Option<TransactionVersion>,
    /// Where the transaction that is open, or being ended, writes.
    pub places: Vec<Place>,
}

/// A transactional id as ListTransactions shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransactionSummary {
    /// Where it is.
    pub state: TransactionState,
    /// Its producer's id.
    pub producer_id: ProducerId,
    /// When the last transaction of the present instance began.
    pub started_at: Option<Timestamp>,
}

/// What ListTransactions asks for. Each part that is given must hold.
#[derive(Clone, Debug, Default)]
pub struct TransactionFilter {
    /// In one of these states, if given. An empty set, of unknown names only, holds for none.
    pub states: Option<BTreeSet<TransactionState>>,
    /// Of one of these producers, if there are any.
    pub producer_ids: BTreeSet<ProducerId>,
    /// Begun more than so many milliseconds ago. As in Apache Kafka, it holds where none was begun.
    pub longer_than_ms: Option<u64>,
    /// Of a transactional id that matches as a whole.
    pub id_pattern: Option<IdPattern>,
}

/// An expression over transactional ids, RE2's as in Apache Kafka.
#[derive(Clone, Debug)]
pub struct IdPattern(Regex);

impl Transaction {
    /// What DescribeTransactions shows. Refuses with `TransactionalIdNotFound`.
    pub fn describe(&self) -> Result<TransactionView, TxnError> {
        let producer = self.producer.ok_or(TxnError::TransactionalIdNotFound)?;
        Ok(TransactionView {
            state: self.state(),
            producer,
            timeout_ms: self.timeout_ms,
            started_at: self.started_at,
            last_update: self.last_update,
            ordinal: self.ordinal,
            transaction_version: self.transaction_version,
            places: self.places.to_vec(),
        })
    }

    /// What ListTransactions shows; `None` if nothing is known of the transactional id.
    #[must_use]
    pub fn summary(&self) -> Option<TransactionSummary> {
        self.producer.map(|producer| TransactionSummary {
            state: self.state(),
            producer_id: producer.id,
            started_at: self.started_at,
        })
    }

    /// Where it is.
    #[must_use]
    pub fn state(&self) -> TransactionState {
        match self.stage {
            Stage::Empty => TransactionState::Empty,
            Stage::Ongoing => TransactionState::Ongoing,
            Stage::Prepare(Verdict::Commit) => TransactionState::PrepareCommit,
            Stage::Prepare(Verdict::Abort) => TransactionState::PrepareAbort,
            Stage::Complete(Verdict::Commit) => TransactionState::CompleteCommit,
            Stage::Complete(Verdict::Abort) => TransactionState::CompleteAbort,
        }
    }
}

impl TransactionState {
    /// All of them.
    pub const ALL: [TransactionState; 6] = [
        TransactionState::Empty,
        TransactionState::Ongoing,
        TransactionState::PrepareCommit,
        TransactionState::PrepareAbort,
        TransactionState::CompleteCommit,
        TransactionState::CompleteAbort,
    ];

    /// Its name as Kafka writes it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            TransactionState::Empty => "Empty",
            TransactionState::Ongoing => "Ongoing",
            TransactionState::PrepareCommit => "PrepareCommit",
            TransactionState::PrepareAbort => "PrepareAbort",
            TransactionState::CompleteCommit => "CompleteCommit",
            TransactionState::CompleteAbort => "CompleteAbort",
        }
    }

    /// The state of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<TransactionState> {
        TransactionState::ALL.into_iter().find(|state| state.name() == name)
    }
}

impl fmt::Display for TransactionState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl TransactionFilter {
    /// Takes the names of states as they came, and gives back those that Kafka does not know either.
    pub fn set_states(&mut self, names: &[String]) -> Vec<String> {
        if names.is_empty() {
            self.states = None;
            return Vec::new();
        }
        self.states = Some(names.iter().filter_map(|name| TransactionState::from_name(name)).collect());
        // Kafka has two more states, which it shows to nobody.
        let is_unknown = |name: &&String| {
            TransactionState::from_name(name).is_none()
                && !["Dead", "PrepareEpochFence"].contains(&name.as_str())
        };
        names.iter().filter(is_unknown).cloned().collect()
    }

    /// Whether that transactional id is asked for, now.
    #[must_use]
    pub fn accepts(&self, transactional_id: &str, summary: &TransactionSummary, wall: Timestamp) -> bool {
        let started_at = summary.started_at.unwrap_or(Timestamp::NONE);
        let duration_ms = wall.0.saturating_sub(started_at.0);
        let is_longer = |limit: u64| u64::try_from(duration_ms).is_ok_and(|duration| duration > limit);
        self.states.as_ref().is_none_or(|states| states.contains(&summary.state))
            && (self.producer_ids.is_empty() || self.producer_ids.contains(&summary.producer_id))
            && self.longer_than_ms.is_none_or(is_longer)
            && self.id_pattern.as_ref().is_none_or(|pattern| pattern.matches(transactional_id))
    }
}

impl IdPattern {
    /// Reads an expression. Refuses with `InvalidRegularExpression`.
    pub fn parse(text: &str) -> Result<IdPattern, TxnError> {
        if text.len() > PATTERN_BYTES_MAX {
            return Err(TxnError::InvalidRegularExpression);
        }
        build(text)?; // By itself first: `a)(b` would pass inside the group of the next line.
        build(&format!("^(?:{text})$")).map(IdPattern)
    }

    /// Whether a whole id is of this form.
    #[must_use]
    pub fn matches(&self, transactional_id: &str) -> bool {
        self.0.is_match(transactional_id)
    }
}

fn build(expression: &str) -> Result<Regex, TxnError> {
    RegexBuilder::new(expression)
        .size_limit(COMPILED_BYTES_MAX)
        .dfa_size_limit(COMPILED_BYTES_MAX)
        .nest_limit(NESTING_MAX)
        .build()
        .map_err(|_| TxnError::InvalidRegularExpression)
}
