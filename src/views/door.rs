//! The door of the room: starts the task, and lets others wait for what it does.

use super::alive;
use super::control::Control;
use super::propose::Proposer;
use super::reports::Reports;
use super::take_over::TakeOverError;
use super::task::{ORDERS_MAX, Task};
use super::watching::{PastSuspicion, Sightings};
use crate::archive::Archive;
use crate::clock::Clock;
use crate::cluster::SuspicionSettings;
use crate::journal::{Journal, SessionError};
use crate::leadership::Leadership;
use crate::log::BrokerLog;
use crate::meta::keys::view::{Member, View};
use crate::meta::{MetadataStore, Revision, Standing};
use crate::store::ObjectStore;
use crate::topic::Catalog;
use std::sync::Arc;
use tokio::sync::{mpsc, watch};

/// What the task runs on.
#[derive(Debug)]
pub struct ViewsStart {
    /// What this session says of itself in a view.
    pub member: Member,
    /// The view that it joined with, and the revision that wrote it.
    pub joined: (Arc<View>, Revision),
    /// Tells the revision of the newest view that a commit has met.
    pub met: watch::Receiver<Revision>,
    /// Where views are.
    pub metadata: Arc<dyn MetadataStore>,
    /// Where journals and manifests are.
    pub store: ObjectStore,
    /// The session's right to write.
    pub standing: Standing,
    /// Acknowledges views.
    pub journal: Journal,
    /// Where partitions are opened and closed.
    pub log: Arc<BrokerLog>,
    /// Has their manifests.
    pub archive: Archive,
    /// Which partitions there are.
    pub catalog: Arc<Catalog>,
    /// What this session leads.
    pub leadership: Leadership,
    /// What the mesh sees.
    pub sightings: watch::Receiver<Sightings>,
    /// Wall-clock time, for producers that are taken over.
    pub clock: Clock,
    /// What sessions of this process before have learned of whom to bear with.
    pub past: PastSuspicion,
}

/// The task's door. Clones are the same.
#[derive(Clone, Debug)]
pub struct Views {
    control: Control,
    leadership: Leadership,
    progress: watch::Receiver<Progress>,
    reports: Reports,
}

/// How the task ended.
#[derive(Debug)]
pub enum ViewsEnd {
    /// The session no longer stands.
    Sealed,
    /// The newest view cannot be served by this release.
    Outdated(String),
}

/// How far this session is with what it leads.
#[derive(Clone, Debug)]
pub(super) enum Progress {
    /// It waits for others, or takes over.
    UnderWay,
    /// It serves all that it leads.
    Settled,
    /// What it leads cannot be taken over.
    Failed(Arc<TakeOverError>),
    /// It leads nothing, and all that it led is handed over.
    Left,
}

impl Views {
    /// Begins to follow views. The future is the task: it ends with the session.
    pub fn start(start: ViewsStart) -> (Views, impl Future<Output = ViewsEnd> + Send + 'static) {
        let (orders, received) = mpsc::channel(ORDERS_MAX);
        let (progress, is_at) = watch::channel(Progress::UnderWay);
        let (held, own_lease) = watch::channel(false);
        let proposer = Proposer {
            metadata: Arc::clone(&start.metadata),
            store: start.store.clone(),
            standing: start.standing.clone(),
        };
        let control = Control::new(orders, proposer.clone());
        let leadership = start.leadership.clone();
        let keep =
            alive::keep(Arc::clone(&start.metadata), start.standing.clone(), start.member.session, held);
        let (reports, told, reporting) = Reports::new(SuspicionSettings::default().keep_alive);
        let task = Task::new(start, proposer, progress, own_lease, reporting);
        let run = async move {
            let keep = tokio_util::task::AbortOnDropHandle::new(tokio::spawn(keep));
            let end = task.run(received, told).await;
            drop(keep);
            end
        };
        (Views { control, leadership, progress: is_at, reports }, run)
    }

    /// Gives orders.
    #[must_use]
    pub fn control(&self) -> &Control {
        &self.control
    }

    /// What brokers tell each other of whom they cannot reach.
    #[must_use]
    pub fn reports(&self) -> &Reports {
        &self.reports
    }

    /// Has this session lead nothing any more, and waits until all is handed over: others may begin with what they have taken
    /// over. If nobody else leads there is nobody to hand over to, and this returns at once.
    pub async fn leave(&self) {
        if self.leadership.image().members().len() <= 1 {
            return;
        }
        self.control.leave().await;
        let mut progress = self.progress.clone();
        // A task that has ended leads nothing.
        let _ended = progress.wait_for(|progress| matches!(progress, Progress::Left)).await;
    }

    /// Ends the standing of this session, which has left and whose journal is drained, so that nobody waits for it.
    pub async fn retire(&self) -> Result<(), SessionError> {
        self.control.retire(self.leadership.own()).await
    }

    /// Waits until this session serves all that it leads. An error: something of it cannot be taken over, and somebody
    /// must look.
    pub async fn settled(&self) -> Result<(), Arc<TakeOverError>> {
        let mut progress = self.progress.clone();
        let settled = progress.wait_for(|progress| !matches!(progress, Progress::UnderWay)).await;
        match settled.as_deref() {
            Ok(Progress::Failed(error)) => Err(Arc::clone(error)),
            // A task that has ended leaves it to whoever looks at the session.
            _ => Ok(()),
        }
    }
}
