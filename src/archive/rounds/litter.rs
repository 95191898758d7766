//! When it is looked for what crashes have left behind: after the session has begun, and some time after partitions came
//! here whose leader may have died over a work. See [`crate::archive::janitor`].

use super::Rounds;
use crate::archive::error::ArchiveError;
use crate::archive::janitor::{self, Listed};
use crate::cluster::PlacementKey;
use crate::leadership::{Leader, Leadership};
use crate::log::BrokerLog;
use crate::topic::Catalog;
use crate::types::Moment;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::task::AbortOnDropHandle;

/// When it is looked for next, and what was listed.
pub(super) struct Litter {
    look_at: Option<Moment>,
    listing: Option<AbortOnDropHandle<Result<Listed, ArchiveError>>>,
}

/// How long it is not looked for after partitions came; more may come.
const AFTER_GAINED: Duration = Duration::from_secs(600);
/// How long it is not looked for at the start, while partitions are taken over.
const SERVED_WITHIN: Duration = Duration::from_secs(60);

impl Default for Litter {
    fn default() -> Litter {
        Litter { look_at: Some(Moment::default()), listing: None }
    }
}

impl Litter {
    /// Partitions came.
    pub fn on_gained(&mut self, now: Moment) {
        self.look_at.get_or_insert(now + AFTER_GAINED);
    }
}

impl Rounds {
    /// Has the store listed when it is time, beside the rounds; then what nothing refers to goes.
    pub(super) async fn clear_litter(&mut self) {
        if let Some(listing) = self.litter.listing.take_if(|listing| listing.is_finished()) {
            let listed = listing.await.unwrap_or(Err(ArchiveError::Closed));
            if let Err(error) = self.on_listed(listed).await {
                tracing::warn!(%error, "what crashes left behind is not looked for now");
            }
        }
        let is_due = self.litter.look_at.is_some_and(|at| self.now() >= at);
        if is_due && self.litter.listing.is_none() {
            self.litter.look_at = None;
            let (leadership, store) = (self.start.leadership.clone(), self.start.store.clone());
            let (catalog, log) = (Arc::clone(&self.start.catalog), Arc::clone(&self.start.log));
            let list = async move {
                all_are_served(leadership, catalog, log).await;
                Ok(janitor::list(&store).await?)
            };
            self.litter.listing = Some(AbortOnDropHandle::new(tokio::spawn(list)));
        }
    }

    async fn on_listed(&mut self, listed: Result<Listed, ArchiveError>) -> Result<(), ArchiveError> {
        let litter = janitor::litter(&self.start, &self.kept, &self.unsettled, &listed?).await?;
        if !litter.is_empty() {
            tracing::info!(objects = litter.len(), "objects that crashes left behind go");
        }
        self.graveyard.bury(self.now(), litter);
        Ok(())
    }
}

/// Waits until this session serves what it leads, as far as that comes to be soon: only of that it can say what is litter.
async fn all_are_served(leadership: Leadership, catalog: Arc<Catalog>, log: Arc<BrokerLog>) {
    let mut changes = leadership.changes();
    let all = async {
        loop {
            let image = leadership.image();
            let topics = catalog.all();
            let mut led = topics
                .iter()
                .flat_map(|topic| topic.topic_partitions())
                .filter(|partition| image.leader(PlacementKey::partition(*partition)) == Leader::Own);
            if led.all(|partition| log.partition(partition).is_some()) || changes.changed().await.is_err() {
                return;
            }
        }
    };
    let _late = tokio::time::timeout(SERVED_WITHIN, all).await;
}
