//! The task that owns one transactional id under one term: it takes what is in the mailbox, stores what has changed, answers,
//! and writes markers until each place has its own. When the term is closed it drops what it knows: another broker reads what
//! is stored, and goes on with the markers.

use super::call::{AddPlaces, Call, InitProducerId, Reply};
use super::coordinator::Shared;
use super::keys::{self, UnreadableTransaction};
use super::marker::Written;
use super::places::Place;
use super::remote::RemoteMarkers;
use super::stored::RestoreError;
use super::{Producer, Transaction, TxnError};
use crate::leadership::Leader;
use crate::meta::{
    Change, Compare, MetadataError, Revision, SettleError, Settled, StandingError, Term, Write,
};
use crate::types::{Moment, ProducerId, TransactionOrdinal, ViewNumber};
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

/// One transactional id's task.
pub(super) struct TxnTask {
    transactional_id: Arc<str>,
    shared: Arc<Shared>,
    term: Term,
    /// Tells that others may lead the places of the transaction.
    views: watch::Receiver<u64>,
    /// Answers that go out once what has changed is stored, or, if nothing has, the standing is confirmed.
    after: Vec<Box<dyn FnOnce() + Send>>,
    /// Who wants to begin a transaction while the last one is being ended, and until when they wait.
    parked: VecDeque<(Instant, Parked)>,
    /// An id that no producer was given yet.
    fresh_producer_id: Option<ProducerId>,
    /// Markers on their way, of one transaction.
    writing: FuturesUnordered<BoxFuture<'static, Marked>>,
    /// The view by which they were sent.
    sent_in: Option<ViewNumber>,
    /// When the markers that could not be written are tried again.
    again_at: Option<Instant>,
    pause: Duration,
}

/// A request that is tried again when the last transaction is ended, as its client would do.
enum Parked {
    Add(AddPlaces, Reply<TransactionOrdinal>),
    Init(InitProducerId, Reply<Producer>),
}

/// Markers were tried.
struct Marked {
    ordinal: TransactionOrdinal,
    places: Vec<(Place, Written)>,
}

/// The core, and what of it is stored.
struct Kept {
    core: Transaction,
    revision: Option<Revision>,
}

/// Why a transactional id cannot be read or written. What was asked of it meanwhile is not known to have happened.
#[derive(Debug, thiserror::Error)]
enum KeepError {
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    #[error(transparent)]
    Unreadable(#[from] UnreadableTransaction),
    #[error(transparent)]
    Inconsistent(#[from] RestoreError),
    #[error(transparent)]
    Settle(#[from] SettleError),
    #[error(transparent)]
    Standing(#[from] StandingError),
    #[error("another broker has changed the transaction")]
    Changed,
}

/// What woke the task.
enum Woken {
    By(Box<Call>),
    Marked(Marked),
    View,
    Time,
    Closed,
    /// The term was closed.
    Lost,
}

/// Requests that are looked at before the value is stored.
const BURST_MAX: usize = 64;
/// Markers of one transaction on their way at once.
const MARKERS_AT_ONCE: usize = 256;
/// A transactional id that nobody asks for anything ends its task after this, unless something is open.
const QUIET_MAX: Duration = Duration::from_secs(60);
/// How long a request waits for the end of the last transaction, before its client is told to try again.
const PARK_MAX: Duration = Duration::from_secs(1);
/// Requests that wait for it at once.
const PARKED_MAX: usize = 64;
const PAUSE_MIN: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// Kafka's `transactional.id.expiration.ms`.
pub(super) const EXPIRATION: Duration = Duration::from_secs(7 * 24 * 3600);

impl TxnTask {
    pub fn new(transactional_id: Arc<str>, shared: Arc<Shared>, term: Term) -> TxnTask {
        let views = shared.leadership.changes();
        TxnTask {
            transactional_id,
            shared,
            term,
            views,
            after: Vec::new(),
            parked: VecDeque::new(),
            fresh_producer_id: None,
            writing: FuturesUnordered::new(),
            sent_in: None,
            again_at: None,
            pause: PAUSE_MIN,
        }
    }

    /// Runs until the transactional id is quiet, or coordinated elsewhere, or the coordinator closes.
    pub async fn run(mut self, mut calls: mpsc::Receiver<Call>) {
        let mut kept: Option<Kept> = None;
        let mut quiet_since = Instant::now();
        loop {
            let deadline = kept.as_ref().and_then(|kept| kept.core.next_deadline());
            let woken = self.wake(&mut calls, deadline, quiet_since).await;
            match woken {
                Woken::Closed => return,
                Woken::Lost => return self.shared.mailboxes.abandon(&self.transactional_id, &self.term),
                _ => {}
            }
            let own = match self.loaded(&mut kept).await {
                Ok(own) => own,
                Err(error) => {
                    tracing::error!(transactional_id = %self.transactional_id, %error, "a transaction cannot be read");
                    // The call that woke it is dropped, which answers it; so are those behind it.
                    while calls.try_recv().is_ok() {}
                    self.try_later();
                    continue;
                }
            };
            match woken {
                Woken::By(call) => {
                    quiet_since = Instant::now();
                    self.on_calls(&mut own.core, *call, &mut calls).await;
                }
                Woken::Marked(marked) => self.on_marked(&mut own.core, &marked),
                Woken::View => self.on_view(),
                Woken::Time | Woken::Closed | Woken::Lost => {}
            }
            self.unpark(&mut own.core);
            own.core.on_time(self.shared.now(), self.shared.clock.now());
            if let Err(error) = self.store_and_answer(own).await {
                if self.term.is_open() {
                    tracing::warn!(transactional_id = %self.transactional_id, %error, "a transaction could not be stored, it is read again");
                }
                self.after.clear();
                self.parked.clear();
                self.writing.clear();
                self.try_later();
                kept = None;
                continue;
            }
            self.send_markers(&own.core);
            let is_open = own.core.next_deadline().is_some() || own.core.markers_to_send().is_some();
            if quiet_since.elapsed() >= QUIET_MAX {
                if !is_open {
                    self.forget_if_expired(own).await;
                    if self.shared.mailboxes.retire(&self.transactional_id, &self.term, &calls) {
                        return;
                    }
                }
                // What is still to come wakes the task; it looks again after as long.
                quiet_since = Instant::now();
            }
        }
    }

    async fn wake(
        &mut self,
        calls: &mut mpsc::Receiver<Call>,
        deadline: Option<Moment>,
        quiet_since: Instant,
    ) -> Woken {
        let timer = deadline.map(|at| self.shared.origin + at.0);
        // Markers that are on their way are awaited before others are tried again.
        let again_at = self.again_at.filter(|_| self.writing.is_empty());
        let parked_until = self.parked.front().map(|(until, _)| *until);
        let timer = timer.into_iter().chain(again_at).chain(parked_until).min();
        let timer = timer.unwrap_or(quiet_since + QUIET_MAX);
        let has_markers = !self.writing.is_empty() || again_at.is_some();
        let (term, writing, views) = (&self.term, &mut self.writing, &mut self.views);
        let woken = async {
            tokio::select! {
                call = calls.recv() => call.map_or(Woken::Closed, |call| Woken::By(Box::new(call))),
                Some(marked) = writing.next() => Woken::Marked(marked),
                Ok(()) = views.changed(), if has_markers => Woken::View,
                () = tokio::time::sleep_until(timer) => Woken::Time,
            }
        };
        tokio::select! {
            biased;
            () = term.closed() => Woken::Lost,
            woken = woken => woken,
        }
    }

    async fn loaded<'a>(&mut self, kept: &'a mut Option<Kept>) -> Result<&'a mut Kept, KeepError> {
        if kept.is_none() {
            let (config, now) = (self.shared.config, self.shared.now());
            let entry = self.shared.store().get(&keys::key(&self.transactional_id)).await?;
            let core = match &entry {
                Some(entry) => Transaction::restore(keys::decode(entry)?, config, now)?,
                None => Transaction::new(config),
            };
            *kept = Some(Kept { core, revision: entry.map(|entry| entry.mod_revision) });
        }
        Ok(kept.as_mut().expect("it was just loaded"))
    }

    /// Takes the call that woke it, and those that came with it.
    async fn on_calls(&mut self, core: &mut Transaction, first: Call, calls: &mut mpsc::Receiver<Call>) {
        let mut next = Some(first);
        for _ in 0..BURST_MAX {
            let Some(call) = next else { return };
            self.bring_producer_id(core, &call).await;
            self.on_call(core, call);
            next = calls.try_recv().ok();
        }
        if let Some(call) = next {
            self.bring_producer_id(core, &call).await;
            self.on_call(core, call);
        }
    }

    /// Has an id at hand that was never given, if the call may need one. Without one the call is refused.
    async fn bring_producer_id(&mut self, core: &Transaction, call: &Call) {
        let may_need = matches!(call, Call::Init(..) | Call::End(..)) && core.needs_producer_id();
        if may_need && self.fresh_producer_id.is_none() {
            match self.shared.producer_ids.next().await {
                Ok(producer_id) => self.fresh_producer_id = Some(producer_id),
                Err(error) => tracing::warn!(%error, "no producer id could be taken"),
            }
        }
    }

    fn on_call(&mut self, core: &mut Transaction, call: Call) {
        let wall = self.shared.clock.now();
        match call {
            Call::Init(init, reply) => self.on_parkable(core, Parked::Init(init, reply), None),
            Call::Add(add, reply) => self.on_parkable(core, Parked::Add(add, reply), None),
            Call::Verify(verify, reply) => {
                let answer = core.on_verify(verify.producer, &verify.place);
                self.answer(reply, answer);
            }
            Call::End(end, reply) => {
                let answer = core.on_end(end.with(self.fresh_producer_id), wall);
                self.keep_unless_given(&answer);
                self.answer(reply, answer);
            }
            Call::Describe(reply) => {
                let answer = core.describe();
                self.answer(reply, answer);
            }
            Call::Abort(reply) => {
                let answer = core.on_force_abort(wall);
                self.answer(reply, answer);
            }
        }
    }

    /// Tries a request that may have to wait for the end of the last transaction; `until` if it waits already.
    fn on_parkable(&mut self, core: &mut Transaction, request: Parked, until: Option<Instant>) {
        let (now, wall) = (self.shared.now(), self.shared.clock.now());
        let may_wait = self.parked.len() < PARKED_MAX && until.is_none_or(|until| until > Instant::now());
        let until = until.unwrap_or_else(|| Instant::now() + PARK_MAX);
        match request {
            Parked::Add(add, reply) => match core.on_add_places(add.clone().into(), now, wall) {
                Err(TxnError::ConcurrentTransactions) if may_wait => {
                    self.parked.push_back((until, Parked::Add(add, reply)));
                }
                answer => self.answer(reply, answer),
            },
            Parked::Init(init, reply) => {
                match core.on_init_producer_id(init.with(self.fresh_producer_id), wall) {
                    Err(TxnError::ConcurrentTransactions) if may_wait => {
                        self.parked.push_back((until, Parked::Init(init, reply)));
                    }
                    answer => {
                        self.keep_unless_given(&answer);
                        self.answer(reply, answer);
                    }
                }
            }
        }
    }

    /// Tries those that wait once more, if the last transaction is ended or their time is over.
    fn unpark(&mut self, core: &mut Transaction) {
        let is_over = |(until, _): &(Instant, Parked)| *until <= Instant::now();
        if core.is_being_ended() && !self.parked.front().is_some_and(is_over) {
            return;
        }
        for (until, request) in std::mem::take(&mut self.parked) {
            self.on_parkable(core, request, Some(until));
        }
    }

    fn keep_unless_given(&mut self, answer: &Result<Producer, TxnError>) {
        let given = answer.as_ref().is_ok_and(|producer| Some(producer.id) == self.fresh_producer_id);
        if given {
            self.fresh_producer_id = None;
        }
    }

    fn answer<T: Send + 'static>(&mut self, reply: Reply<T>, answer: Result<T, TxnError>) {
        self.after.push(Box::new(move || reply.send(answer)));
    }

    fn on_marked(&mut self, core: &mut Transaction, marked: &Marked) {
        let wall = self.shared.clock.now();
        for (place, _) in marked.places.iter().filter(|(_, written)| *written == Written::Yes) {
            core.on_marker_written(place, marked.ordinal, wall);
        }
        if marked.places.iter().any(|(_, written)| *written == Written::NotYet) {
            self.try_later();
        }
    }

    /// In another view others may lead the places: who does not answer is not waited for.
    fn on_view(&mut self) {
        if self.sent_in != Some(self.shared.leadership.image().number()) {
            self.writing.clear();
            self.again_at = None;
        }
    }

    /// There may be a transaction to end, so the task goes on by itself.
    fn try_later(&mut self) {
        self.again_at = Some(Instant::now() + self.pause);
        self.pause = (self.pause * 2).min(PAUSE_MAX);
    }

    /// Stores what has changed, then answers. Answers that changed nothing wait for a look at the standing: a
    /// coordinator of the past must not give any.
    async fn store_and_answer(&mut self, kept: &mut Kept) -> Result<(), KeepError> {
        let mut stored = false;
        while kept.core.take_dirty() {
            self.store(kept).await?;
            kept.core.on_stored(self.shared.clock.now());
            stored = true;
        }
        if !stored && !self.after.is_empty() {
            self.shared.standing.confirm().await?;
        }
        // A session acknowledges the view that takes the transactional id from it only after the term is closed. So no other
        // coordinator had begun when the requests came that are answered now.
        if !self.term.is_open() {
            return Err(SettleError::Closed.into());
        }
        self.after.drain(..).for_each(|answer| answer());
        Ok(())
    }

    async fn store(&mut self, kept: &mut Kept) -> Result<(), KeepError> {
        let key = keys::key(&self.transactional_id);
        let Some(stored) = kept.core.stored() else { return Ok(()) };
        let write = Write::Put(key.clone(), keys::encode(&stored));
        kept.revision = Some(self.settle(kept.revision, key, write).await?);
        Ok(())
    }

    async fn settle(
        &mut self,
        revision: Option<Revision>,
        key: String,
        write: Write,
    ) -> Result<Revision, KeepError> {
        let compare = match revision {
            Some(revision) => Compare::Unchanged(key, revision),
            None => Compare::Absent(key),
        };
        let terms = vec![self.term.clone()];
        let change = Change { compares: vec![compare], writes: vec![write], reads: Vec::new(), terms };
        match self.shared.gatherer.settle(change).await? {
            Settled::Applied(revision) => Ok(revision),
            Settled::Refused(_) => Err(KeepError::Changed),
        }
    }

    /// Sends the markers that are missing, unless some are on their way: those that could not be written come again after a
    /// pause.
    fn send_markers(&mut self, core: &Transaction) {
        if !self.writing.is_empty() || self.again_at.is_some_and(|at| at > Instant::now()) {
            return;
        }
        self.again_at = None;
        let Some(markers) = core.markers_to_send() else {
            self.pause = PAUSE_MIN;
            return;
        };
        let parts = self.shared.markers.parts(&markers, MARKERS_AT_ONCE);
        if !self.term.is_open() {
            // The view that they carry may be the next coordinator's.
            return;
        }
        for (leader, markers) in parts {
            self.sent_in = Some(markers.coordinator_view);
            self.writing.push(Box::pin(mark(Arc::clone(&self.shared), leader, markers)));
        }
    }

    /// A transactional id that nobody has used for long goes; whoever comes again begins anew with another producer id.
    async fn forget_if_expired(&mut self, kept: &mut Kept) {
        let Some(revision) = kept.revision else { return };
        if !kept.core.is_expired(self.shared.clock.now(), EXPIRATION) {
            return;
        }
        let key = keys::key(&self.transactional_id);
        match self.settle(Some(revision), key.clone(), Write::Delete(key)).await {
            Ok(_) => {
                tracing::info!(transactional_id = %self.transactional_id, "an unused transactional id is forgotten");
            }
            Err(error) => tracing::warn!(%error, "an unused transactional id could not be forgotten"),
        }
        *kept = Kept { core: Transaction::new(self.shared.config), revision: None };
    }
}

async fn mark(shared: Arc<Shared>, leader: Leader, markers: RemoteMarkers) -> Marked {
    let written = shared.markers.write(leader, &markers).await;
    let ordinal = markers.markers.ordinal;
    Marked { ordinal, places: markers.markers.places.into_iter().zip(written).collect() }
}
