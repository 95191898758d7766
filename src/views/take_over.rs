//! Takes partitions over from whoever led them before: log ends, producers and open transactions come back from manifests
//! and journals.
//!
//! The barrier is open when this begins, so nobody commits rows of these partitions any more. Then, in this order: the journals
//! are listed, and the session's standing is confirmed, so it stood when they were; the manifests are read, then what of the
//! journals is behind them. A journal's keeper may give up or merge objects meanwhile: what is missing, or a hole, means
//! beginning again, and if it stays so, that somebody must look.

use crate::archive::{self, LoadError, LoadedManifests};
use crate::journal::{Partitions, RecoveryError, SessionError, read_journals, recover};
use crate::log::{LogError, Partition, Recovery};
use crate::meta::{MetadataStore, Standing, StandingError};
use crate::store::ObjectStore;
use crate::topic::Catalog;
use crate::types::{LeaderEpoch, Timestamp, TopicPartition};
use futures_util::TryStreamExt;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// What partitions are taken over with.
#[derive(Clone, Debug)]
pub(super) struct TakeOver {
    pub metadata: Arc<dyn MetadataStore>,
    pub store: ObjectStore,
    pub standing: Standing,
    pub catalog: Arc<Catalog>,
}

/// Partitions as they were left, ready to be served.
#[derive(Debug)]
pub(super) struct TakenOver {
    pub partitions: Vec<Arc<Partition>>,
    pub manifests: LoadedManifests,
    pub read: ReadOver,
}

/// What was read of journals for that, and how long it took.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ReadOver {
    pub journals: usize,
    pub objects: usize,
    pub before: Duration,
    pub reading: Duration,
}

/// Why partitions could not be taken over.
#[derive(Debug, thiserror::Error)]
pub enum TakeOverError {
    /// The metadata store did not answer, or what it has cannot be read.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// The session's standing was not confirmed.
    #[error(transparent)]
    Standing(#[from] StandingError),
    /// The manifests cannot be read.
    #[error(transparent)]
    Manifests(#[from] LoadError),
    /// The journals cannot be read.
    #[error(transparent)]
    Journals(#[from] RecoveryError),
    /// The journals contradict themselves.
    #[error(transparent)]
    Log(#[from] LogError),
}

/// Attempts before it counts: a journal's keeper may have been at work.
const ATTEMPTS: usize = 5;

impl TakeOver {
    /// Takes `partitions` over, to be led under `epoch`.
    pub async fn run(
        &self,
        partitions: Vec<TopicPartition>,
        epoch: LeaderEpoch,
        now: Timestamp,
    ) -> Result<TakenOver, TakeOverError> {
        let mut attempt = 1;
        loop {
            match self.attempt(&partitions, epoch, now).await {
                Err(error) if attempt < ATTEMPTS && error.may_pass() => {
                    tracing::debug!(%error, attempt, "what others led is read again");
                    attempt += 1;
                }
                ended => return ended,
            }
        }
    }

    async fn attempt(
        &self,
        partitions: &[TopicPartition],
        epoch: LeaderEpoch,
        now: Timestamp,
    ) -> Result<TakenOver, TakeOverError> {
        let began = Instant::now();
        let journals = read_journals(self.metadata.as_ref()).await?;
        self.standing.confirm().await?;
        let manifests =
            archive::load_some(self.metadata.as_ref(), &self.store, &self.catalog, partitions).await?;
        let taken: Vec<_> =
            partitions.iter().map(|partition| Arc::new(Partition::new(*partition, epoch))).collect();
        let mut recovery = Recovery::of(&taken, now);
        for manifest in &manifests.manifests {
            recovery.take_manifest(manifest.topic_partition, manifest.archived_log());
        }
        let journals: Vec<_> = journals.into_iter().map(|(journal, _)| journal).collect();
        let mut read = ReadOver { journals: journals.len(), before: began.elapsed(), ..ReadOver::default() };
        let wanted = Partitions::These(Arc::new(partitions.iter().copied().collect()));
        let mut objects = recover(&self.store, &journals, wanted);
        while let Some(object) = objects.try_next().await? {
            read.objects += 1;
            recovery.take(&object)?;
        }
        recovery.finish()?;
        read.reading = began.elapsed() - read.before;
        Ok(TakenOver { partitions: taken, manifests, read })
    }
}

impl TakeOverError {
    /// Whether beginning again may help at once.
    fn may_pass(&self) -> bool {
        matches!(
            self,
            TakeOverError::Journals(RecoveryError::Missing(_)) | TakeOverError::Log(LogError::Hole { .. })
        )
    }

    /// The partition that must be looked at by somebody, if it is one.
    pub(super) fn partition(&self) -> Option<TopicPartition> {
        match self {
            TakeOverError::Log(
                LogError::Hole { partition, .. }
                | LogError::Overlap { partition, .. }
                | LogError::WrongTransaction { partition, .. },
            ) => Some(*partition),
            _ => None,
        }
    }
}
