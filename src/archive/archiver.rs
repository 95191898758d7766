//! The task that owns all manifests of a broker, and how others ask it.

use super::error::ArchiveError;
use super::janitor;
use super::left::{self, Look, Others};
use super::repoint;
use super::rounds::{Ended, Rounds};
use super::start::LoadedManifests;
use crate::background::Background;
use crate::clock::Clock;
use crate::config::ArchiveConfig;
use crate::leadership::Leadership;
use crate::log::{BrokerLog, Reader};
use crate::meta::Standing;
use crate::metrics::Metrics;
use crate::store::ObjectStore;
use crate::topic::Catalog;
use crate::types::{LeaderEpoch, Offset, SessionId, Timestamp, TopicId, TopicPartition};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinError, JoinHandle};
use tokio_util::sync::CancellationToken;

/// Asks the archiver. Clones are the same.
#[derive(Clone, Debug)]
pub struct Archive {
    calls: mpsc::Sender<Call>,
    closed: CancellationToken,
}

/// What an archiver runs on.
#[derive(Debug)]
pub struct ArchiveStart {
    /// When partitions are archived.
    pub config: ArchiveConfig,
    /// Whose journal goes on.
    pub session: SessionId,
    /// The view in which the session began.
    pub leader_epoch: LeaderEpoch,
    /// The session's right to write.
    pub standing: Standing,
    /// Wall-clock time, for retention.
    pub clock: Clock,
    /// Where segments go.
    pub store: ObjectStore,
    /// The partitions led here.
    pub log: Arc<BrokerLog>,
    /// Reads them.
    pub reader: Reader,
    /// The topics.
    pub catalog: Arc<Catalog>,
    /// Decodes and encodes.
    pub background: Background,
    /// What was archived before.
    pub loaded: LoadedManifests,
    /// Who leads what: whose journals are kept here.
    pub leadership: Leadership,
    /// Where figures go.
    pub metrics: Arc<Metrics>,
    /// Rows of idempotent producers that may wait in memory to be archived, in all partitions together.
    pub waiting_rows_max: u64,
}

/// A request to the archiver.
#[derive(Debug)]
pub(super) enum Call {
    /// Archive these partitions now.
    Flush(Vec<TopicPartition>, oneshot::Sender<Result<(), ArchiveError>>),
    /// Move a log start.
    DeleteRecords(TopicPartition, Offset, oneshot::Sender<Result<Offset, ArchiveError>>),
    /// These partitions are led here from now on; their manifests.
    Gained(LoadedManifests),
    /// These are led here no longer.
    Lost(Vec<TopicPartition>),
    /// A topic is gone.
    TopicDeleted(TopicId),
    /// Fail.
    #[cfg(test)]
    Panic,
}

/// Requests that wait.
const CALLS_MAX: usize = 1024;
/// How often it looks for what is due.
const ROUND_EVERY: Duration = Duration::from_millis(500);

impl Archive {
    /// Starts the archiver. Its tasks end when it is closed. The future ends only if one of them panics: nothing is
    /// archived any more then, so that the session has to end.
    pub fn start(start: ArchiveStart) -> (Archive, impl Future<Output = JoinError> + Send + 'static) {
        let (calls, received) = mpsc::channel(CALLS_MAX);
        let closed = CancellationToken::new();
        let unfinished = janitor::unfinished_before(&start.standing, start.clock.now());
        // If this panics, they stay until the next start.
        tokio::spawn(until_closed(closed.clone(), clear_unfinished(start.store.clone(), unfinished)));
        let look = Look::default();
        let others = Others {
            metadata: Arc::clone(start.standing.store()),
            store: start.store.clone(),
            log: Arc::clone(&start.log),
            catalog: Arc::clone(&start.catalog),
        };
        // If one of these panics, journals are kept longer than need be, until the next session.
        tokio::spawn(until_closed(closed.clone(), left::follow(others.clone(), look.clone())));
        tokio::spawn(until_closed(closed.clone(), repoint::follow(others)));
        let rounds = tokio::spawn(run(Rounds::new(start, look), received, closed.clone()));
        (Archive { calls, closed }, fault_of(rounds))
    }

    /// Archives what these partitions have, whatever its size and age.
    pub async fn flush(&self, partitions: Vec<TopicPartition>) -> Result<(), ArchiveError> {
        let (answer, answered) = oneshot::channel();
        self.send(Call::Flush(partitions, answer)).await?;
        answered.await.map_err(|_| ArchiveError::Closed)?
    }

    /// Has the partition's log begin at `offset`; where it begins then.
    pub async fn delete_records(
        &self,
        topic_partition: TopicPartition,
        offset: Offset,
    ) -> Result<Offset, ArchiveError> {
        let (answer, answered) = oneshot::channel();
        self.send(Call::DeleteRecords(topic_partition, offset, answer)).await?;
        answered.await.map_err(|_| ArchiveError::Closed)?
    }

    /// Partitions are about to be served here: these are the manifests that [`load_some`](super::load_some) found for them,
    /// which saves reading them again. Does not wait for the archiver.
    pub async fn on_gained(&self, loaded: LoadedManifests) -> Result<(), ArchiveError> {
        self.send(Call::Gained(loaded)).await
    }

    /// Partitions are served here no longer, and their terms are closed. Does not wait for the archiver: what it does about
    /// one of them ends by its term.
    pub async fn on_lost(&self, partitions: Vec<TopicPartition>) -> Result<(), ArchiveError> {
        self.send(Call::Lost(partitions)).await
    }

    /// A topic is gone: its objects go. If this is not done, the next session finds them.
    pub async fn on_topic_deleted(&self, topic_id: TopicId) {
        if self.send(Call::TopicDeleted(topic_id)).await.is_err() {
            tracing::debug!(%topic_id, "the objects of a deleted topic are left to the next session");
        }
    }

    /// Has the archiver's task panic.
    #[cfg(test)]
    pub(crate) async fn panic(&self) {
        self.send(Call::Panic).await.expect("it runs");
    }

    /// Archives nothing any more.
    pub fn close(&self) {
        self.closed.cancel();
    }

    async fn send(&self, call: Call) -> Result<(), ArchiveError> {
        self.calls.send(call).await.map_err(|_| ArchiveError::Closed)
    }
}

async fn until_closed(closed: CancellationToken, work: impl Future<Output = ()>) {
    tokio::select! {
        () = work => {}
        () = closed.cancelled() => {}
    }
}

/// Why a task ended that was not to; for ever, if it ends as it should.
async fn fault_of(task: JoinHandle<()>) -> JoinError {
    match task.await {
        Ok(()) => std::future::pending().await,
        Err(error) => error,
    }
}

/// Takes away half-written files, once, beside everything else.
async fn clear_unfinished(store: ObjectStore, before: Timestamp) {
    if let Err(error) = janitor::clear_unfinished(&store, before).await {
        tracing::warn!(%error, "half-written files of killed processes stay until the next start");
    }
}

/// What happens between two rounds.
enum Event {
    Call(Option<Call>),
    Ended(Ended),
}

async fn run(mut rounds: Rounds, mut calls: mpsc::Receiver<Call>, closed: CancellationToken) {
    let work = async {
        loop {
            let event = async {
                tokio::select! {
                    call = calls.recv() => Event::Call(call),
                    ended = rounds.next_ended() => Event::Ended(ended),
                }
            };
            match tokio::time::timeout(ROUND_EVERY, event).await {
                Ok(Event::Call(Some(call))) => rounds.on_call(call).await,
                Ok(Event::Call(None)) => return,
                Ok(Event::Ended(ended)) => rounds.on_segment_ended(ended).await,
                Err(_elapsed) => {}
            }
            rounds.go(&mut calls).await;
        }
    };
    until_closed(closed, work).await;
}
