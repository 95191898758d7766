//! The task itself: one loop that waits for news, and does what follows from what is known then.

mod proposing;
mod taking;

use super::control::Order;
use super::door::{Progress, ViewsEnd, ViewsStart};
use super::known::{Following, newest_view, said, standings};
use super::propose::{Outcome, Proposer};
use super::reports::{Report, Reporting};
use super::watching::Watching;
use crate::cluster::{PlacementKey, Standings};
use crate::hashing::HashSet;
use crate::journal::{JournalClosed, SessionError};
use crate::leadership::Leader;
use crate::meta::keys::view::View;
use crate::meta::keys::{alive as alive_keys, drained as drained_keys, sessions, view};
use crate::meta::{Revision, Watch};
use crate::types::{BrokerId, TopicPartition, ViewNumber};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use taking::Taking;
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinError, JoinHandle};
use tokio::time::{Instant, sleep_until};

/// Orders that wait.
pub(super) const ORDERS_MAX: usize = 64;
/// Between two proposals of one session.
const PROPOSAL_PAUSE: Duration = Duration::from_millis(100);
/// Looks at what is known, if nothing is heard.
const IDLE_LOOK: Duration = Duration::from_secs(30);

pub(super) struct Task {
    start: ViewsStart,
    proposer: Proposer,
    progress: watch::Sender<Progress>,
    own_lease: watch::Receiver<bool>,
    view: Arc<View>,
    view_at: Revision,
    views: Following,
    sessions: Following,
    leases: Following,
    drained: Following,
    /// The standings are older than the view.
    wants_listing: bool,
    standings: Arc<Standings>,
    /// From when on every session that stands has acknowledged this view: what was born later was never led by another.
    settled_at: Option<Revision>,
    watching: Watching,
    taking: Option<Taking>,
    taking_from: Instant,
    contradictions: u32,
    /// Partitions that contradict themselves: they are not served, and somebody must look.
    broken: HashSet<TopicPartition>,
    /// The view that is being acknowledged.
    acking: Option<(ViewNumber, JoinHandle<Result<(), JournalClosed>>)>,
    proposing: Option<JoinHandle<Result<Outcome, SessionError>>>,
    propose_from: Instant,
    /// This session leaves for good.
    leaves: bool,
    /// Something has changed that partitions may be opened or closed by.
    dirty: bool,
}

/// Watches of the metadata.
struct Watches {
    view: Watch,
    sessions: Watch,
    alive: Watch,
    drained: Watch,
}

impl Task {
    pub(super) fn new(
        start: ViewsStart,
        proposer: Proposer,
        progress: watch::Sender<Progress>,
        own_lease: watch::Receiver<bool>,
        reporting: Reporting,
    ) -> Task {
        let mut watching = Watching::new(start.member.session, reporting, start.past.clone());
        let (view, view_at) = (Arc::clone(&start.joined.0), start.joined.1);
        watching.on_view(&view);
        Task {
            proposer,
            progress,
            own_lease,
            view,
            view_at,
            views: Following::default(),
            sessions: Following::default(),
            leases: Following::default(),
            drained: Following::default(),
            wants_listing: true,
            standings: Arc::default(),
            settled_at: None,
            watching,
            taking: None,
            taking_from: Instant::now(),
            contradictions: 0,
            broken: HashSet::default(),
            acking: None,
            proposing: None,
            propose_from: Instant::now(),
            leaves: false,
            dirty: true,
            start,
        }
    }

    pub(super) async fn run(
        mut self,
        mut orders: mpsc::Receiver<Order>,
        mut told: mpsc::Receiver<Report>,
    ) -> ViewsEnd {
        let metadata = Arc::clone(&self.start.metadata);
        // From the beginning: what is told first is a listing, or all that happened since.
        let mut watches = Watches {
            view: metadata.watch(view::KEY, self.view_at),
            sessions: metadata.watch(sessions::PREFIX, self.view_at),
            alive: metadata.watch(alive_keys::PREFIX, self.view_at),
            drained: metadata.watch(drained_keys::PREFIX, self.view_at),
        };
        self.list_once().await;
        let mut topics = self.start.catalog.changes();
        let mut sightings = self.start.sightings.clone();
        let mut met = self.start.met.clone();
        let standing = self.start.standing.clone();
        loop {
            if standing.is_lost() {
                return ViewsEnd::Sealed;
            }
            if let Err(end) = self.look().await {
                return end;
            }
            let wake = self.wake();
            let mut news = true;
            tokio::select! {
                () = standing.lost() => return ViewsEnd::Sealed,
                Some(event) = watches.view.next() => { self.views.on_event(event); }
                Some(event) = watches.sessions.next() => { self.sessions.on_event(event); }
                Some(event) = watches.alive.next() => { self.leases.on_event(event); }
                Some(event) = watches.drained.next() => { self.drained.on_event(event); }
                Ok(()) = met.changed() => {
                    let newest = *met.borrow_and_update();
                    if newest > self.view_at {
                        self.list_views().await;
                    }
                }
                Ok(()) = topics.changed() => {}
                Ok(()) = sightings.changed() => news = false,
                Some(report) = told.recv() => {
                    self.watching.on_report(&report);
                    news = false;
                }
                Ok(()) = self.own_lease.changed() => {
                    let is_held = *self.own_lease.borrow_and_update();
                    self.watching.on_own_lease(is_held);
                }
                Some(order) = orders.recv() => self.on_order(order),
                taken = ended(self.taking.as_mut().map(|taking| &mut taking.run)) => self.on_taken(taken).await,
                acked = ended(self.acking.as_mut().map(|(_, acking)| acking)) => self.on_acked(&acked),
                proposed = ended(self.proposing.as_mut()) => self.on_proposed(proposed),
                () = sleep_until(wake) => news = false,
            }
            self.dirty |= news;
            let seen = Arc::clone(&sightings.borrow_and_update());
            self.watching.on_sightings(&seen);
        }
    }

    /// When to look again although nothing was heard.
    fn wake(&self) -> Instant {
        let now = Instant::now();
        let mut wake = now + IDLE_LOOK;
        if self.wants_listing {
            wake = wake.min(now + PROPOSAL_PAUSE);
        }
        if self.view.members.len() > 1 || self.standings.sessions.len() > 1 {
            wake = wake.min(now + self.watching.keep_alive());
        }
        if let Some(at) = self.watching.wake() {
            wake = wake.min(at);
        }
        if self.taking.is_none() && self.taking_from > now {
            wake = wake.min(self.taking_from);
        }
        if self.proposing.is_none() && self.propose_from > now {
            wake = wake.min(self.propose_from);
        }
        wake
    }

    /// Does what follows from what is known.
    async fn look(&mut self) -> Result<(), ViewsEnd> {
        if let Some((view, revision)) = newest_view(&self.views)
            && view.number > self.view.number
        {
            self.on_view(view, revision).await?;
        }
        if self.wants_listing {
            self.list_sessions().await;
        }
        self.on_standings();
        self.watching.on_leases(&self.leases, &self.standings);
        if self.dirty {
            self.drop_deleted();
            self.take_over();
        }
        self.watching.report();
        self.suspect();
        Ok(())
    }

    // ---- what is known

    /// What is there when the task begins; the watches tell what changes.
    async fn list_once(&mut self) {
        let metadata = Arc::clone(&self.start.metadata);
        for (following, prefix) in
            [(&mut self.leases, alive_keys::PREFIX), (&mut self.drained, drained_keys::PREFIX)]
        {
            if let Err(error) = following.list(metadata.as_ref(), prefix).await {
                tracing::debug!(%error, prefix, "not listed yet, the watch tells");
            }
        }
    }

    async fn list_views(&mut self) {
        let metadata = Arc::clone(&self.start.metadata);
        if let Err(error) = self.views.list(metadata.as_ref(), view::KEY).await {
            tracing::debug!(%error, "the view is not known yet, the watch tells");
        }
    }

    /// Standings as new as the view: whoever is missing in them does not stand.
    async fn list_sessions(&mut self) {
        let metadata = Arc::clone(&self.start.metadata);
        match self.sessions.list(metadata.as_ref(), sessions::PREFIX).await {
            Ok(()) => self.wants_listing = self.sessions.revision() < self.view_at,
            Err(error) => tracing::debug!(%error, "who stands is not known yet"),
        }
    }

    /// A view: what it takes away is closed before it is acknowledged.
    async fn on_view(&mut self, view: View, revision: Revision) -> Result<(), ViewsEnd> {
        let number = view.number;
        let members: Vec<i32> = view.members.iter().map(|member| member.broker_id.0).collect();
        if let Err(error) = self.start.leadership.on_view(&view, revision) {
            return Err(ViewsEnd::Outdated(error.to_string()));
        }
        self.view = Arc::new(view);
        self.view_at = revision;
        self.settled_at = None;
        self.wants_listing = true;
        self.watching.on_view(&self.view);
        let image = self.start.leadership.image();
        let is_mine =
            |partition: &TopicPartition| image.leader(PlacementKey::partition(*partition)) == Leader::Own;
        let served = self.start.log.partitions();
        let lost: Vec<TopicPartition> =
            served.iter().map(|led| led.topic_partition()).filter(|led| !is_mine(led)).collect();
        if let Some(taking) = &mut self.taking {
            taking.wanted.retain(is_mine);
        }
        for partition in &lost {
            self.start.log.on_lost(*partition);
        }
        tracing::info!(
            view = number.0,
            ?members,
            kept = served.len() - lost.len(),
            lost = lost.len(),
            "a new view of the cluster"
        );
        self.acknowledge();
        if !lost.is_empty() {
            let archive = self.start.archive.clone();
            // Its works on them end by their terms; nobody has to wait for that.
            tokio::spawn(async move {
                let _ended = archive.on_lost(lost).await;
            });
        }
        Ok(())
    }

    /// Begins to acknowledge the view, unless an older one is being acknowledged: this one follows then.
    fn acknowledge(&mut self) {
        if self.acking.is_none() {
            let (journal, number) = (self.start.journal.clone(), self.view.number);
            self.acking = Some((number, tokio::spawn(async move { journal.acknowledge(number).await })));
        }
    }

    fn on_acked(&mut self, acked: &Result<Result<(), JournalClosed>, JoinError>) {
        let Some((number, _)) = self.acking.take() else { return };
        match acked {
            Ok(Ok(())) => {}
            Ok(Err(JournalClosed)) => {
                tracing::debug!("the journal is closed, the view is not acknowledged");
                return;
            }
            Err(error) => tracing::error!(%error, "a view was not acknowledged, it is tried again"),
        }
        if acked.is_err() || number < self.view.number {
            self.acknowledge();
        }
    }

    fn on_standings(&mut self) {
        if self.sessions.revision() <= self.standings.as_of {
            return;
        }
        let known = Arc::new(standings(&self.sessions));
        self.standings = Arc::clone(&known);
        let own = known.sessions.get(&self.start.member.session);
        if own.is_none() && known.as_of >= self.start.joined.1 {
            // Its own writes find out for certain.
            tracing::debug!("this session is not among those that stand");
        }
        self.start.leadership.on_sessions(said(&self.sessions));
        self.start.leadership.on_standings(Arc::clone(&known));
        self.watching.on_standings(&known, self.view_at, &self.start.leadership);
        let is_settled = known.as_of >= self.view_at
            && known.sessions.values().all(|stand| stand.acked_view >= self.view.number);
        if is_settled {
            self.settled_at.get_or_insert(known.as_of);
        }
        self.dirty = true;
    }

    /// Partitions of topics that are gone.
    fn drop_deleted(&mut self) {
        let catalog = &self.start.catalog;
        let gone: BTreeSet<_> = self
            .start
            .log
            .partitions()
            .iter()
            .map(|led| led.topic_partition().topic_id)
            .filter(|topic_id| catalog.by_id(*topic_id).is_none())
            .collect();
        for topic_id in gone {
            self.start.log.remove(topic_id);
        }
    }

    fn on_order(&mut self, order: Order) {
        match order {
            Order::Leave => self.leaves = true,
        }
    }
}

/// Waits for a task that may not be there.
async fn ended<T>(task: Option<&mut JoinHandle<T>>) -> Result<T, JoinError> {
    match task {
        Some(task) => task.await,
        None => std::future::pending().await,
    }
}

/// Whose session it is, as an operator names brokers.
pub(super) fn session_of(standings: &Standings, broker: BrokerId) -> Vec<crate::types::SessionId> {
    let of_broker = standings.sessions.iter().filter(|(_, stand)| stand.broker_id == broker);
    of_broker.map(|(session, _)| *session).collect()
}
