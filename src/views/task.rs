//! The task itself: one loop that waits for news, and does what follows from what is known then.

use super::alive;
use super::control::{Control, Order};
use super::known::{Following, drained, newest_view, said, standings};
use super::propose::{Outcome, Proposer};
use super::take_over::{TakeOver, TakeOverError, TakenOver};
use super::watching::{Sightings, Watching};
use crate::archive::Archive;
use crate::clock::Clock;
use crate::cluster::{Change, PlacementKey, Standings};
use crate::journal::{Journal, JournalClosed, SessionError};
use crate::leadership::{Leader, Leadership};
use crate::log::{BrokerLog, Partition};
use crate::meta::keys::view::{Member, View};
use crate::meta::keys::{alive as alive_keys, drained as drained_keys, sessions, view};
use crate::meta::{MetadataStore, Revision, Standing, Watch};
use crate::store::ObjectStore;
use crate::topic::Catalog;
use crate::types::{BrokerId, LeaderEpoch, TopicPartition};
use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinError, JoinHandle};
use tokio::time::Instant;

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
}

/// The task's door. Clones are the same.
#[derive(Clone, Debug)]
pub struct Views {
    control: Control,
    leadership: Leadership,
    progress: watch::Receiver<Progress>,
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
enum Progress {
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
        let task = Task::new(start, proposer, progress, own_lease);
        let run = async move {
            let keep = tokio_util::task::AbortOnDropHandle::new(tokio::spawn(keep));
            let end = task.run(received).await;
            drop(keep);
            end
        };
        (Views { control, leadership, progress: is_at }, run)
    }

    /// Gives orders.
    #[must_use]
    pub fn control(&self) -> &Control {
        &self.control
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

/// Orders that wait.
const ORDERS_MAX: usize = 64;
/// Between two proposals of one session.
const PROPOSAL_PAUSE: Duration = Duration::from_millis(100);
/// Before what could not be taken over is tried again.
const RETRY_PAUSE: Duration = Duration::from_secs(1);
/// Looks at what is known, if nothing is heard.
const IDLE_LOOK: Duration = Duration::from_secs(30);
/// Attempts for a partition that contradicts itself, before the others go on without it.
const CONTRADICTIONS_MAX: u32 = 3;

struct Task {
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
    acking: Option<JoinHandle<Result<(), JournalClosed>>>,
    proposing: Option<JoinHandle<Result<Outcome, SessionError>>>,
    propose_from: Instant,
    /// This session leaves for good.
    leaves: bool,
    /// Something has changed that partitions may be opened or closed by.
    dirty: bool,
}

/// Partitions that are taken over.
struct Taking {
    wanted: HashSet<TopicPartition>,
    run: JoinHandle<Result<TakenOver, TakeOverError>>,
}

/// Watches of the metadata.
struct Watches {
    view: Watch,
    sessions: Watch,
    alive: Watch,
    drained: Watch,
}

impl Task {
    fn new(
        start: ViewsStart,
        proposer: Proposer,
        progress: watch::Sender<Progress>,
        own_lease: watch::Receiver<bool>,
    ) -> Task {
        let mut watching = Watching::new(start.member.session);
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
            broken: HashSet::new(),
            acking: None,
            proposing: None,
            propose_from: Instant::now(),
            leaves: false,
            dirty: true,
            start,
        }
    }

    async fn run(mut self, mut orders: mpsc::Receiver<Order>) -> ViewsEnd {
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
                Ok(()) = self.own_lease.changed() => {
                    let is_held = *self.own_lease.borrow_and_update();
                    self.watching.on_own_lease(is_held);
                }
                Some(order) = orders.recv() => self.on_order(order),
                taken = ended(self.taking.as_mut().map(|taking| &mut taking.run)) => self.on_taken(taken).await,
                acked = ended(self.acking.as_mut()) => self.on_acked(&acked),
                proposed = ended(self.proposing.as_mut()) => self.on_proposed(proposed),
                () = at(wake) => news = false,
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

    fn acknowledge(&mut self) {
        if self.acking.is_none() {
            let (journal, number) = (self.start.journal.clone(), self.view.number);
            self.acking = Some(tokio::spawn(async move { journal.acknowledge(number).await }));
        }
    }

    fn on_acked(&mut self, acked: &Result<Result<(), JournalClosed>, JoinError>) {
        self.acking = None;
        match acked {
            // Perhaps there is a newer one by now, which took away more.
            Ok(Ok(())) => {
                let own = self.standings.sessions.get(&self.start.member.session);
                if own.is_none_or(|own| own.acked_view < self.view.number) {
                    self.wants_listing = true;
                }
            }
            Ok(Err(JournalClosed)) => tracing::debug!("the journal is closed, the view is not acknowledged"),
            Err(error) => tracing::error!(%error, "a view was not acknowledged"),
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
        // An acknowledgement of an older view ended while this one came.
        if own.is_some_and(|own| own.acked_view < self.view.number) {
            self.acknowledge();
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

    // ---- taking over

    /// Begins to take over what this session leads and does not serve, if it may.
    fn take_over(&mut self) {
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

    async fn on_taken(&mut self, taken: Result<Result<TakenOver, TakeOverError>, JoinError>) {
        let Some(Taking { wanted, .. }) = self.taking.take() else { return };
        match taken {
            Ok(Ok(TakenOver { partitions, manifests })) => {
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
                tracing::info!(partitions = count, view = self.view.number.0, "taken over");
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

    // ---- proposing

    /// Proposes what there is a reason for.
    fn suspect(&mut self) {
        let now = Instant::now();
        if self.proposing.is_some() || self.propose_from > now || self.wants_listing {
            return;
        }
        let decision = self.watching.suspicion.decide(self.watching.now());
        let mut changes: Vec<Change> =
            decision.seal.iter().map(|sealing| Change::Seal(sealing.session)).collect();
        for sealing in &decision.seal {
            let (session, broker, why) = (sealing.session, sealing.broker_id.0, sealing.why);
            tracing::warn!(%session, broker, ?why, "this broker is to be sealed");
        }
        if decision.check {
            changes.push(Change::Check);
        }
        changes.extend(self.own_change());
        if changes.is_empty() {
            return;
        }
        let proposer = self.proposer.clone();
        self.proposing = Some(tokio::spawn(async move { proposer.propose(&changes).await }));
    }

    /// Whether this session wants to be a member, and is not; or is, and does not want to be.
    fn own_change(&self) -> Option<Change> {
        let member = &self.start.member;
        let is_member = self.view.members.iter().any(|other| other.session == member.session);
        let shall_lead = !self.leaves && !drained(&self.drained).contains(&member.broker_id);
        match (is_member, shall_lead) {
            (false, true) => Some(Change::Join(member.clone())),
            // Somebody has to lead.
            (true, false) if self.view.members.len() > 1 => Some(Change::Leave(member.session)),
            _ => None,
        }
    }

    fn on_proposed(&mut self, proposed: Result<Result<Outcome, SessionError>, JoinError>) {
        self.proposing = None;
        self.propose_from = Instant::now() + PROPOSAL_PAUSE;
        match proposed {
            Ok(Ok(Outcome::Made(sealed))) => {
                let now = self.watching.now();
                sealed.iter().for_each(|session| self.watching.suspicion.on_sealed(*session, now));
            }
            Ok(Ok(outcome)) => tracing::debug!(?outcome, "no view was made"),
            Ok(Err(error)) => tracing::warn!(%error, "whether a view was made is not known"),
            Err(error) => tracing::error!(%error, "a proposal failed"),
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

async fn at(moment: Instant) {
    let _elapsed = tokio::time::timeout_at(moment, std::future::pending::<()>()).await;
}

/// Whose session it is, as an operator names brokers.
pub(super) fn session_of(standings: &Standings, broker: BrokerId) -> Vec<crate::types::SessionId> {
    let of_broker = standings.sessions.iter().filter(|(_, stand)| stand.broker_id == broker);
    of_broker.map(|(session, _)| *session).collect()
}
