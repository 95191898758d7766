//! Takes over what this session leads and does not serve, and opens it.

use super::{PROPOSAL_PAUSE, Task};
use crate::cluster::PlacementKey;
use crate::hashing::HashSet;
use crate::log::Partition;
use crate::types::{LeaderEpoch, TopicPartition};
use crate::views::door::Progress;
use crate::views::take_over::{TakeOver, TakeOverError, TakenOver};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::{JoinError, JoinHandle};
use tokio::time::Instant;

/// Before what could not be taken over is tried again.
const RETRY_PAUSE: Duration = Duration::from_secs(1);
/// Attempts for a partition that contradicts itself, before the others go on without it.
const CONTRADICTIONS_MAX: u32 = 3;

/// Partitions that are taken over.
pub(super) struct Taking {
    pub(super) wanted: HashSet<TopicPartition>,
    pub(super) run: JoinHandle<Result<TakenOver, TakeOverError>>,
}

impl Task {
    /// Begins to take over what this session leads and does not serve, if it may.
    pub(super) fn take_over(&mut self) {
        if self.taking.is_some() || self.taking_from > Instant::now() {
            return;
        }
        self.dirty = false;
        let unserved = self.unserved();
        let keys = unserved.into_iter().map(|partition| (PlacementKey::partition(partition), partition));
        let (servable, waits) = self.start.leadership.servable(keys);
        let (fresh, led_before): (Vec<_>, Vec<_>) =
            servable.into_iter().partition(|partition| self.is_fresh(*partition));
        self.open(fresh.iter().map(|fresh| Arc::new(Partition::new(*fresh, self.epoch()))).collect());
        if led_before.is_empty() {
            if !waits && !self.wants_listing {
                self.progress.send_replace(self.settled());
            }
            return;
        }
        let how = TakeOver {
            metadata: Arc::clone(&self.start.metadata),
            store: self.start.store.clone(),
            standing: self.start.standing.clone(),
            catalog: Arc::clone(&self.start.catalog),
        };
        let (epoch, now) = (self.epoch(), self.start.clock.now());
        let wanted = led_before.iter().copied().collect();
        let run = tokio::spawn(async move { how.run(led_before, epoch, now).await });
        self.taking = Some(Taking { wanted, run });
    }

    /// With nothing to take over.
    fn settled(&self) -> Progress {
        let own = self.start.member.session;
        let is_member = self.view.members.iter().any(|member| member.session == own);
        let has_acked =
            self.standings.sessions.get(&own).is_none_or(|own| own.acked_view >= self.view.number);
        if self.leaves && !is_member && has_acked { Progress::Left } else { Progress::Settled }
    }

    fn epoch(&self) -> LeaderEpoch {
        LeaderEpoch(self.view.number.0)
    }

    fn unserved(&self) -> Vec<TopicPartition> {
        let topics = self.start.catalog.all();
        let all = topics.iter().flat_map(|topic| topic.topic_partitions());
        all.filter(|partition| self.start.log.partition(*partition).is_none())
            .filter(|partition| !self.broken.contains(partition))
            .collect()
    }

    /// Whether nobody can have led it before: it came to be when every session had acknowledged this view.
    fn is_fresh(&self, partition: TopicPartition) -> bool {
        let born = self.start.catalog.born(partition.topic_id, partition.partition);
        matches!((born, self.settled_at), (Some(born), Some(settled)) if born > settled)
    }

    fn open(&mut self, partitions: Vec<Arc<Partition>>) -> bool {
        let (mut opened, mut all) = (0_usize, true);
        for partition in partitions {
            match self.start.log.on_gained(partition) {
                Ok(()) => opened += 1,
                Err(error) => {
                    tracing::debug!(%error, "a partition is taken over again");
                    all = false;
                }
            }
        }
        if opened > 0 {
            self.start.leadership.on_served();
        }
        all
    }

    pub(super) async fn on_taken(&mut self, taken: Result<Result<TakenOver, TakeOverError>, JoinError>) {
        let Some(Taking { wanted, .. }) = self.taking.take() else { return };
        match taken {
            Ok(Ok(TakenOver { partitions, manifests, read })) => {
                self.contradictions = 0;
                // What a view took away meanwhile is another's, also if a later view has given it back.
                let partitions: Vec<_> = partitions
                    .into_iter()
                    .filter(|partition| wanted.contains(&partition.topic_partition()))
                    .collect();
                let count = partitions.len();
                let mut manifests = manifests;
                manifests.manifests.retain(|manifest| wanted.contains(&manifest.topic_partition));
                if let Err(error) = self.start.archive.on_gained(manifests).await {
                    tracing::debug!(%error, "the archiver has ended");
                }
                if !self.open(partitions) {
                    self.taking_from = Instant::now() + PROPOSAL_PAUSE;
                }
                tracing::info!(
                    partitions = count,
                    view = self.view.number.0,
                    journals = read.journals,
                    objects = read.objects,
                    before = ?read.before,
                    reading = ?read.reading,
                    "taken over"
                );
            }
            Ok(Err(error)) => self.on_failed(error),
            Err(error) => {
                tracing::error!(%error, "taking over partitions failed, it is tried again");
                self.taking_from = Instant::now() + RETRY_PAUSE;
            }
        }
    }

    fn on_failed(&mut self, error: TakeOverError) {
        tracing::error!(%error, "partitions could not be taken over, it is tried again");
        self.taking_from = Instant::now() + RETRY_PAUSE;
        if let Some(partition) = error.partition() {
            self.contradictions += 1;
            if self.contradictions >= CONTRADICTIONS_MAX {
                tracing::error!(%partition, "ALARM: this partition is not served, its journals contradict themselves");
                self.contradictions = 0;
                self.broken.insert(partition);
            }
        }
        self.progress.send_replace(Progress::Failed(Arc::new(error)));
    }
}
