//! The transactional ids of this broker: each has a task of its own, which begins with the first request for it and ends
//! when it is quiet.

use super::call::{Call, CallOf, Reply};
use super::keys::{self, TRANSACTIONS};
use super::marker::MarkerWriter;
use super::stored::StoredTransaction;
use super::task::{EXPIRATION, TxnTask};
use super::{Describe, Transaction, TransactionConfig, TransactionSummary, TxnError};
use crate::clock::Clock;
use crate::group::GroupCoordinator;
use crate::journal::Journal;
use crate::limits::MemoryBudget;
use crate::log::{BrokerLog, ProducerIds};
use crate::mailboxes::{Mailboxes, Undelivered};
use crate::meta::{Gatherer, MetadataStore, Standing};
use crate::topic::Catalog;
use crate::types::ViewNumber;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// Answers for transactional ids. Clones are the same coordinator.
#[derive(Clone, Debug)]
pub struct TxnCoordinator {
    shared: Arc<Shared>,
}

#[derive(Debug)]
pub(super) struct Shared {
    pub config: TransactionConfig,
    pub standing: Standing,
    pub gatherer: Gatherer,
    pub clock: Clock,
    pub producer_ids: Arc<ProducerIds>,
    pub markers: MarkerWriter,
    /// Moments are counted from here.
    pub origin: Instant,
    pub mailboxes: Mailboxes<Arc<str>, Call>,
}

/// What a coordinator runs on.
#[derive(Debug)]
pub struct TxnsStart {
    /// The rules.
    pub config: TransactionConfig,
    /// The session's right to write, and where transactions are stored.
    pub standing: Standing,
    /// The view in which this session coordinates.
    pub view: ViewNumber,
    /// Wall-clock time.
    pub clock: Clock,
    /// Ids for producers.
    pub producer_ids: Arc<ProducerIds>,
    /// Where markers of partitions are written.
    pub log: Arc<BrokerLog>,
    /// By which they are stored.
    pub journal: Journal,
    /// The topics.
    pub catalog: Arc<Catalog>,
    /// Where markers of offsets are written.
    pub groups: GroupCoordinator,
}

/// Transactional ids that are at hand at once.
const TRANSACTIONS_MAX: usize = 100_000;
/// Memory of markers on their way.
const MARKER_MEMORY_BYTES: usize = 16 << 20;
/// A transactional id is at most so long: it is part of a key.
const TRANSACTIONAL_ID_BYTES_MAX: usize = 1024;
const EXPIRATION_MS: i64 = EXPIRATION.as_millis() as i64;
/// Kafka's `transaction.remove.expired.transaction.cleanup.interval.ms`.
const EXPIRE_EVERY: Duration = Duration::from_secs(3600);
/// A list that could not be had is asked for again after this: there may be transactions to end.
const LIST_AGAIN: Duration = Duration::from_secs(1);

impl TxnCoordinator {
    /// A coordinator without transactional ids at hand; those that have a transaction to end are read at once.
    #[must_use]
    pub fn start(start: TxnsStart) -> TxnCoordinator {
        let (gatherer, gather) = Gatherer::new(start.standing.clone());
        let markers = MarkerWriter {
            log: start.log,
            journal: start.journal,
            catalog: start.catalog,
            groups: start.groups,
            clock: start.clock.clone(),
            memory: MemoryBudget::new(MARKER_MEMORY_BYTES),
            view: start.view,
        };
        let shared = Shared {
            config: start.config,
            standing: start.standing,
            gatherer,
            clock: start.clock,
            producer_ids: start.producer_ids,
            markers,
            origin: Instant::now(),
            mailboxes: Mailboxes::new(TRANSACTIONS_MAX),
        };
        let transactions = TxnCoordinator { shared: Arc::new(shared) };
        tokio::spawn(gather);
        tokio::spawn(transactions.clone().keep());
        transactions
    }

    /// Asks one transactional id, and waits for its answer.
    pub async fn call<C: CallOf>(&self, transactional_id: &str, request: C) -> Result<C::Answer, TxnError> {
        if transactional_id.is_empty() || transactional_id.len() > TRANSACTIONAL_ID_BYTES_MAX {
            return Err(TxnError::InvalidRequest);
        }
        let key: Arc<str> = transactional_id.into();
        let (reply, answered) = oneshot::channel();
        let begin = |calls| {
            tokio::spawn(TxnTask::new(Arc::clone(&key), Arc::clone(&self.shared)).run(calls));
        };
        match self.shared.mailboxes.send(&key, request.call(Reply::new(reply)), begin).await {
            Ok(()) => answered.await.unwrap_or(Err(TxnError::CoordinatorNotAvailable)),
            Err(Undelivered::Closed) => Err(TxnError::NotCoordinator),
            Err(Undelivered::TooMany) => Err(TxnError::CoordinatorNotAvailable),
        }
    }

    /// All transactional ids, in the order of their keys, as they were stored last. Each change is stored before it is told, so
    /// nothing that anyone knows of is missing.
    pub async fn list(&self) -> Result<Vec<(String, TransactionSummary)>, TxnError> {
        let stored = self.list_stored().await?;
        let summaries = stored.into_iter().filter_map(|(transactional_id, stored)| {
            let now = self.shared.now();
            let core = Transaction::restore(stored, self.shared.config, now).ok()?;
            core.summary().map(|summary| (transactional_id, summary))
        });
        Ok(summaries.collect())
    }

    async fn list_stored(&self) -> Result<Vec<(String, StoredTransaction)>, TxnError> {
        let listing = self.shared.store().list(TRANSACTIONS).await.map_err(|error| {
            tracing::warn!(%error, "the transactions cannot be listed");
            TxnError::CoordinatorNotAvailable
        })?;
        let mut found = Vec::with_capacity(listing.entries.len());
        for entry in &listing.entries {
            match (keys::id_of(&entry.key), keys::decode(entry)) {
                (Some(transactional_id), Ok(stored)) => found.push((transactional_id, stored)),
                (_, Err(error)) => tracing::error!(%error, "a transaction is left out of a list"),
                (None, _) => tracing::error!(key = entry.key, "a key names no transactional id"),
            }
        }
        Ok(found)
    }

    /// Wakes what has something to end, and looks now and then for what nobody uses any more.
    async fn keep(self) {
        let mut closed = self.shared.mailboxes.closed();
        loop {
            let listed = self.list_stored().await;
            let pause = if listed.is_ok() { EXPIRE_EVERY } else { LIST_AGAIN };
            for (transactional_id, stored) in listed.unwrap_or_default() {
                let unused = self.shared.clock.now().0.saturating_sub(stored.last_update);
                let looks = stored.is_open() || unused >= EXPIRATION_MS;
                if looks && self.call(&transactional_id, Describe).await.is_err() {
                    tracing::debug!(transactional_id, "a transaction could not be read");
                }
            }
            if tokio::time::timeout(pause, closed.wait_for(|closed| *closed)).await.is_ok() {
                return;
            }
        }
    }

    /// Answers for no transactional id any more.
    pub fn close(&self) {
        self.shared.mailboxes.close();
    }
}

impl Shared {
    pub fn store(&self) -> &Arc<dyn MetadataStore> {
        self.standing.store()
    }

    pub fn now(&self) -> crate::types::Moment {
        crate::types::Moment(self.origin.elapsed())
    }
}
