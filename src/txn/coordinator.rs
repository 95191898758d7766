//! The transactional ids that this session coordinates: each has a task of its own, which begins with the first request for
//! it and ends when it is quiet, or coordinated elsewhere.

use super::call::{AddPlaces, Call, CallOf, FirstBatch, Reply, Verify};
use super::keys::{self, TRANSACTIONS};
use super::marker::MarkerWriter;
use super::remote::{RemoteFirstBatch, RemoteMarkers, decode_ordinal, encode_ordinal, encode_written};
use super::request::TransactionVersion;
use super::stored::StoredTransaction;
use super::task::{EXPIRATION, TxnTask};
use super::{Describe, Transaction, TransactionConfig, TransactionSummary, TxnError};
use crate::clock::Clock;
use crate::cluster::PlacementKey;
use crate::group::GroupCoordinator;
use crate::journal::Journal;
use crate::leadership::{Leader, Leadership};
use crate::limits::MemoryBudget;
use crate::log::{BrokerLog, ProducerIds};
use crate::mailboxes::{Gains, Mailboxes, NoTerm, Undelivered, term_of};
use crate::meta::{Gatherer, MetadataStore, Standing, Term};
use crate::remote::{Answered, Malformed, RemoteBrokers, RequestKind};
use crate::topic::Catalog;
use crate::types::TransactionOrdinal;
use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
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
    pub leadership: Leadership,
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
    /// Which transactional ids this session coordinates, and who leads the places of their transactions.
    pub leadership: Leadership,
    /// The brokers that lead others.
    pub remote: Arc<dyn RemoteBrokers>,
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
/// Transactional ids that are read at the same time, of those that this session coordinates since a view.
const READ_AT_ONCE: usize = 16;
/// How long another coordinator has time to say which transaction a first batch is of.
const ORDINAL_MAX: Duration = Duration::from_secs(6);

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
            leadership: start.leadership.clone(),
            remote: start.remote,
        };
        let shared = Shared {
            config: start.config,
            standing: start.standing,
            leadership: start.leadership,
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

    /// Asks one transactional id, and waits for its answer. One that this session is about to coordinate is waited for, for
    /// five seconds.
    pub async fn call<C: CallOf>(&self, transactional_id: &str, request: C) -> Result<C::Answer, TxnError> {
        match self.term(transactional_id).await? {
            Ok(term) => self.call_under(&term, transactional_id, request).await,
            Err(none) => Err(refused(none)),
        }
    }

    async fn term(&self, transactional_id: &str) -> Result<Result<Term, NoTerm>, TxnError> {
        if transactional_id.is_empty() || transactional_id.len() > TRANSACTIONAL_ID_BYTES_MAX {
            return Err(TxnError::InvalidRequest);
        }
        Ok(term_of(&self.shared.leadership, PlacementKey::transactional_id(transactional_id)).await)
    }

    async fn call_under<C: CallOf>(
        &self,
        term: &Term,
        transactional_id: &str,
        request: C,
    ) -> Result<C::Answer, TxnError> {
        let key: Arc<str> = transactional_id.into();
        let (reply, answered) = oneshot::channel();
        let begin = |calls| {
            let task = TxnTask::new(Arc::clone(&key), Arc::clone(&self.shared), term.clone());
            tokio::spawn(task.run(calls));
        };
        match self.shared.mailboxes.send(&key, term, request.call(Reply::new(reply)), begin).await {
            Ok(()) => answered.await.unwrap_or_else(|_| Err(dropped(term))),
            Err(Undelivered::Closed) => Err(TxnError::NotCoordinator),
            Err(Undelivered::TooMany) => Err(TxnError::CoordinatorNotAvailable),
        }
    }

    /// Which transaction the first batch at a place that is led here belongs to, as the coordinator of the transactional id
    /// says, wherever it is.
    pub async fn first_batch(
        &self,
        transactional_id: &str,
        first_batch: FirstBatch,
    ) -> Result<TransactionOrdinal, TxnError> {
        let coordinator = match self.term(transactional_id).await? {
            Ok(term) => return self.first_batch_under(&term, transactional_id, first_batch).await,
            Err(NoTerm::Elsewhere(coordinator)) => coordinator,
            Err(none) => return Err(refused(none)),
        };
        let request = RemoteFirstBatch { transactional_id: transactional_id.to_owned(), first_batch };
        let asked = self.shared.markers.remote.ask(coordinator, request.encode(), ORDINAL_MAX).await;
        asked.and_then(decode_ordinal).unwrap_or_else(|error| {
            tracing::debug!(transactional_id, %error, "a coordinator could not be asked for a transaction");
            Err(TxnError::CoordinatorNotAvailable)
        })
    }

    async fn first_batch_under(
        &self,
        term: &Term,
        transactional_id: &str,
        first_batch: FirstBatch,
    ) -> Result<TransactionOrdinal, TxnError> {
        let FirstBatch { producer, place, transaction_version } = first_batch;
        match transaction_version {
            TransactionVersion::One => {
                self.call_under(term, transactional_id, Verify { producer, place }).await
            }
            TransactionVersion::Two => {
                let add = AddPlaces { producer, places: vec![place], transaction_version };
                self.call_under(term, transactional_id, add).await
            }
        }
    }

    /// Answers what another broker asks: of transactions, and of share groups. It is never sent on.
    pub async fn serve_remote(&self, request: Bytes) -> Bytes {
        self.serve(request).await.unwrap_or_else(|_| Answered::NotUnderstood.answer().into())
    }

    async fn serve(&self, request: Bytes) -> Result<Bytes, Malformed> {
        let (kind, fields) = RequestKind::of(request)?;
        match kind {
            RequestKind::FirstBatch => {
                let RemoteFirstBatch { transactional_id, first_batch } = RemoteFirstBatch::decode(fields)?;
                let answer = match self.term(&transactional_id).await {
                    Ok(Ok(term)) => self.first_batch_under(&term, &transactional_id, first_batch).await,
                    Ok(Err(none)) => Err(refused(none)),
                    Err(error) => Err(error),
                };
                Ok(encode_ordinal(answer))
            }
            RequestKind::Markers => {
                let markers = RemoteMarkers::decode(fields)?;
                Ok(encode_written(&self.shared.markers.write_all_here(&markers).await))
            }
            RequestKind::HasShareMember
            | RequestKind::ShareMemberGone
            | RequestKind::AlterShare
            | RequestKind::DeleteShare => {
                let served = self.shared.markers.groups.serve_remote(kind, fields).await?;
                served.ok_or(Malformed)
            }
        }
    }

    /// The transactional ids that this session coordinates, in the order of their keys, as they were stored last. Each change
    /// is stored before it is told, so nothing that anyone knows of is missing.
    pub async fn list(&self) -> Result<Vec<(String, TransactionSummary)>, TxnError> {
        let (stored, image) = (self.list_stored().await?, self.shared.leadership.image());
        let is_own = |transactional_id: &str| {
            image.leader(PlacementKey::transactional_id(transactional_id)) == Leader::Own
        };
        let own = stored.into_iter().filter(|(transactional_id, _)| is_own(transactional_id));
        let summaries = own.filter_map(|(transactional_id, stored)| {
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

    /// Wakes what this session coordinates since a view and has something to end, and looks now and then for what nobody uses
    /// any more. Runs until the coordinator is closed.
    async fn keep(self) {
        let mut closed = self.shared.mailboxes.closed();
        let mut gains = Gains::new(self.shared.leadership.clone());
        let mut expire_at = Instant::now() + EXPIRE_EVERY;
        loop {
            tokio::select! {
                () = async { drop(closed.wait_for(|closed| *closed).await) } => return,
                gained = gains.due() => match self.wake_stored().await {
                    Ok(waits) => gains.looked(gained, waits),
                    Err(_unavailable) => gains.failed(),
                },
                () = tokio::time::sleep_until(expire_at) => {
                    if let Err(error) = self.wake_stored().await {
                        tracing::debug!(%error, "the transactions could not be looked through");
                    }
                    expire_at = Instant::now() + EXPIRE_EVERY;
                }
            }
        }
    }

    /// Reads the transactional ids that this session coordinates and has not at hand, if they have something to end or may
    /// be forgotten. Tells whether there are others that it is about to coordinate.
    async fn wake_stored(&self) -> Result<bool, TxnError> {
        let now = self.shared.clock.now().0;
        let looks = |stored: &StoredTransaction| {
            stored.is_open() || now.saturating_sub(stored.last_update) >= EXPIRATION_MS
        };
        let stored = self.list_stored().await?.into_iter().filter(|(_, stored)| looks(stored));
        let stored = stored.map(|(id, _)| (PlacementKey::transactional_id(&id), id));
        let (own, waits) = self.shared.leadership.servable(stored);
        let woken = stream::iter(own).for_each_concurrent(READ_AT_ONCE, async |transactional_id| {
            let Ok(Ok(term)) = self.term(&transactional_id).await else { return };
            let is_at_hand = self.shared.mailboxes.has(&transactional_id.as_str().into(), &term);
            if !is_at_hand && self.call_under(&term, &transactional_id, Describe).await.is_err() {
                tracing::debug!(transactional_id, "a transaction could not be read");
            }
        });
        woken.await;
        Ok(waits)
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

fn refused(none: NoTerm) -> TxnError {
    match none {
        NoTerm::Loading => TxnError::CoordinatorLoadInProgress,
        NoTerm::Elsewhere(_) | NoTerm::Nobody => TxnError::NotCoordinator,
    }
}

/// What a call is told whose answer was dropped: what became of it is not known, or it was not looked at.
fn dropped(term: &Term) -> TxnError {
    if term.is_open() { TxnError::CoordinatorNotAvailable } else { TxnError::NotCoordinator }
}
