//! One session of a broker, from joining to its end: the rooms that live as long as it does.
//!
//! ```text
//! endpoint ─▶ company ─▶ join ─▶ leadership ─▶ journal, archive, groups, transactions ─▶ views ─▶ (all taken over) ─▶ context
//! ```

use super::company::{Outsider, await_company};
use super::{Foundation, StartError};
use crate::archive::cut::WAITING_ROWS_MAX;
use crate::archive::{self, Archive, ArchiveStart};
use crate::background::Background;
use crate::clock;
use crate::group::delivery::{DeliveryStart, ShareDelivery};
use crate::group::{GroupCoordinator, GroupSettingsCatalog, GroupsConfig, GroupsStart};
use crate::handler::{
    ClusterInfo, Context, FetchSessions, MissingListeners, Streams, follow_shared_addresses,
};
use crate::journal::{BrokerSession, Joining, Journal, JournalEnd, JournalStart};
use crate::leadership::{Leadership, NoCluster};
use crate::limits::MemoryBudget;
use crate::log::{BrokerLog, ProducerIds, Reader};
use crate::meta::Standing;
use crate::meta::keys::sessions::{self, Listener};
use crate::ops::OwnArchives;
use crate::peers::{Peers, PeersStart, PrivateApi, PrivateServices};
use crate::remote::RemoteBrokers;
use crate::topic::Catalog;
use crate::txn::{TransactionConfig, TxnCoordinator, TxnsStart};
use crate::types::{LeaderEpoch, SessionId, ViewNumber};
use crate::views::{Views, ViewsEnd, ViewsStart};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::{JoinError, JoinHandle};
use tokio_util::task::AbortOnDropHandle;

/// What one session added to the foundation.
#[derive(Debug)]
pub(super) struct Session {
    journal: Journal,
    leadership: Leadership,
    groups: GroupCoordinator,
    transactions: TxnCoordinator,
    pub(super) archive: Archive,
    peers: Peers,
    views: Views,
    /// Nothing once it was awaited.
    ended: Option<JoinHandle<JournalEnd>>,
}

impl Session {
    /// Waits for its end; for ever, if that was awaited before.
    pub async fn ended(&mut self) -> JournalEnd {
        let Some(ended) = &mut self.ended else { return std::future::pending().await };
        let end = ended.await;
        self.ended = None;
        end.unwrap_or_else(|error| {
            tracing::error!(%error, "the journal failed");
            JournalEnd::Failed
        })
    }

    /// What clients are told by it, also when it is over.
    pub fn leadership(&self) -> &Leadership {
        &self.leadership
    }

    /// Leads nothing any more, once others may begin.
    pub async fn leave(&self) {
        self.views.leave().await;
    }

    /// Takes nothing more in, and commits what was taken in, within `drain_max`.
    pub async fn close(self, drain_max: Duration) {
        self.leadership.close();
        self.archive.close();
        self.transactions.close();
        self.groups.close();
        self.journal.close();
        let Some(ended) = self.ended else { return };
        match tokio::time::timeout(drain_max, ended).await {
            Ok(Ok(JournalEnd::Drained)) => {
                tracing::info!("the journal is closed");
                // Whoever is alone stands until the next session of this broker seals it.
                if self.leadership.image().session_of_own().is_none()
                    && let Ok(Err(error)) = tokio::time::timeout(RETIRE_MAX, self.views.retire()).await
                {
                    tracing::warn!(%error, "this session stands on until others seal it");
                }
            }
            Ok(Ok(end)) => tracing::info!(?end, "the journal is closed"),
            Ok(Err(error)) => tracing::error!(%error, "the journal was not closed cleanly"),
            Err(_elapsed) => {
                tracing::warn!("the stores did not take what was left: it was not acknowledged");
            }
        }
        self.peers.close().await;
    }
}

/// The standing of a session that ends is removed within this time, or others seal it.
const RETIRE_MAX: Duration = Duration::from_secs(2);

/// Joins, takes over what it leads, and starts all that lives as long as the session.
pub(super) async fn begin(
    foundation: &Foundation,
    before: Option<Outsider<'_>>,
) -> Result<(Session, Arc<Context>), StartError> {
    let Foundation { config, clock, metrics, metadata, store, cache, .. } = foundation;
    let session_id = SessionId(clock::random_id());
    let (endpoint, mesh) = match &foundation.neighbours {
        Some(neighbours) => {
            let (endpoint, address) = neighbours.listen(foundation, session_id).await?;
            (Some(endpoint), Some(address))
        }
        None => (None, None),
    };
    // Kept until the session has connections of its own.
    let _company = match &endpoint {
        Some(endpoint) => await_company(foundation, endpoint, before).await?,
        None => Vec::new(),
    };
    let joining = Joining { session_id, about: about(foundation, mesh) };
    let member = joining.member();
    let session = BrokerSession::join(metadata, store, joining).await?;
    let (joined, met, standing) = (session.joined(), session.met(), session.standing().clone());
    let view = session.view();
    tracing::info!(session = %session.id(), view = view.0, "the session begins");
    let leadership = Leadership::new(&joined.0, joined.1, session_id)
        .map_err(|error| StartError::Outdated(error.to_string()))?;
    let catalog = Arc::new(Catalog::load(Arc::clone(metadata), standing.clone(), clock.clone()).await?);
    let group_settings = Arc::new(GroupSettingsCatalog::load(standing.clone()).await?);
    let loaded = archive::load_gone(metadata.as_ref(), &catalog).await?;
    // Nothing of a session with an address fails from here on: what is started below is ended, and the address given free, only by a
    // session that is there.
    let log = Arc::new(BrokerLog::new(LeaderEpoch(view.0), cache.clone()));
    let peers = Peers::start(PeersStart { leadership: leadership.clone(), endpoint });
    let remote: Arc<dyn RemoteBrokers> = Arc::new(peers.clone());

    let committed_log = Arc::clone(&log);
    let start =
        JournalStart { session, store: store.clone(), config: config.journal, metrics: Arc::clone(metrics) };
    let (journal, run) = Journal::start(start, Box::new(move |object| committed_log.on_committed(&object)));
    let reader = Reader::new(cache.clone(), store.clone());
    let fetch_memory = MemoryBudget::new(config.limits.request_memory_bytes);
    let delivery = ShareDelivery::start(DeliveryStart {
        standing: standing.clone(),
        leadership: leadership.clone(),
        remote: Arc::clone(&remote),
        settings: Arc::clone(&group_settings),
        clock: clock.clone(),
        log: Arc::clone(&log),
        reader: reader.clone(),
        memory: fetch_memory.clone(),
    });
    let groups = groups(foundation, &catalog, delivery, &standing, &leadership, &remote);
    let producer_ids = Arc::new(ProducerIds::new(Arc::clone(metadata), standing.clone()));
    let transactions = TxnCoordinator::start(TxnsStart {
        config: TransactionConfig::default(),
        standing: standing.clone(),
        leadership: leadership.clone(),
        remote,
        clock: clock.clone(),
        producer_ids: Arc::clone(&producer_ids),
        log: Arc::clone(&log),
        journal: journal.clone(),
        catalog: Arc::clone(&catalog),
        groups: groups.clone(),
    });
    let (archive, archive_fault) = Archive::start(ArchiveStart {
        config: config.archive,
        session: session_id,
        leader_epoch: LeaderEpoch(view.0),
        standing: standing.clone(),
        clock: clock.clone(),
        store: store.clone(),
        log: Arc::clone(&log),
        reader: reader.clone(),
        catalog: Arc::clone(&catalog),
        background: Background::start("archive", Background::share_of_processors()),
        loaded,
        leadership: leadership.clone(),
        metrics: Arc::clone(metrics),
        waiting_rows_max: WAITING_ROWS_MAX,
    });
    let (views, follow) = Views::start(ViewsStart {
        member,
        joined,
        met,
        metadata: Arc::clone(metadata),
        store: store.clone(),
        standing: standing.clone(),
        journal: journal.clone(),
        log: Arc::clone(&log),
        archive: archive.clone(),
        catalog: Arc::clone(&catalog),
        leadership: leadership.clone(),
        sightings: peers.sightings(),
        clock: clock.clone(),
        past: foundation.past.clone(),
    });
    peers.report(views.reports());
    let own_archives = OwnArchives {
        standing: standing.clone(),
        catalog: Arc::clone(&catalog),
        log: Arc::clone(&log),
        archive: archive.clone(),
        config: config.archive,
    };
    let context = Arc::new(Context {
        catalog,
        archive: archive.clone(),
        leadership: leadership.clone(),
        control: if metadata.sole_writer() { Arc::new(NoCluster) } else { Arc::new(views.control().clone()) },
        missing_listeners: MissingListeners::default(),
        shared_addresses: Arc::clone(&foundation.shared_addresses),
        cluster: ClusterInfo {
            cluster_id: foundation.cluster_id,
            broker_id: config.broker_id,
            listeners: foundation.listeners.clone(),
        },
        peers: peers.clone(),
        streams: Streams::default(),
        private: PrivateServices::default()
            .with(PrivateApi::Coordinators, Arc::new(transactions.clone()))
            .with(PrivateApi::Reports, Arc::new(views.reports().clone()))
            .with(PrivateApi::Archives, Arc::new(own_archives)),
        config: Arc::clone(config),
        clock: clock.clone(),
        log,
        reader,
        journal: journal.clone(),
        producer_ids,
        transactions: transactions.clone(),
        standing: standing.clone(),
        groups: groups.clone(),
        group_settings,
        fetch_sessions: FetchSessions::default(),
        fetch_memory,
        metrics: Arc::clone(metrics),
        stopping: foundation.stopping.clone(),
    });
    let ended = tokio::spawn({
        let (groups, transactions, leadership) = (groups.clone(), transactions.clone(), leadership.clone());
        let (archive, journal, peers) = (archive.clone(), journal.clone(), peers.clone());
        let addresses = AbortOnDropHandle::new(tokio::spawn(follow_shared_addresses(Arc::clone(&context))));
        async move {
            let _addresses = addresses;
            let end = until_end(run, archive_fault, follow, &journal).await;
            leadership.close();
            archive.close();
            transactions.close();
            groups.close();
            if end != JournalEnd::Drained {
                // The next session listens at the same port.
                peers.close().await;
            }
            end
        }
    });
    let session =
        Session { journal, leadership, groups, transactions, archive, peers, views, ended: Some(ended) };
    if metadata.sole_writer() {
        // Nobody else could lead what this session cannot take over.
        session.views.settled().await?;
    }
    Ok((session, context))
}

/// What this session says of itself.
fn about(foundation: &Foundation, mesh: Option<String>) -> sessions::Session {
    let Foundation { config, clock, listeners, .. } = foundation;
    let listeners = listeners.iter().map(|listener| Listener {
        name: listener.name.clone(),
        host: listener.host.clone(),
        port: listener.port,
        security: listener.security.to_owned(),
    });
    sessions::Session {
        zone: config.zone.clone(),
        weight: config.weight,
        listeners: listeners.collect(),
        mesh,
        ..sessions::Session::new(config.broker_id, ViewNumber(0), clock.now().get())
    }
}

/// How the journal ends. If the archiver fails it is closed: a session that archives nothing would fill the journal, and
/// the next one may fare better. So it is when the session is known to be sealed.
async fn until_end(
    run: impl Future<Output = JournalEnd>,
    archive_fault: impl Future<Output = JoinError>,
    follow: impl Future<Output = ViewsEnd> + Send + 'static,
    journal: &Journal,
) -> JournalEnd {
    let (mut run, mut follow) = (pin!(run), AbortOnDropHandle::new(tokio::spawn(follow)));
    let end = tokio::select! {
        end = &mut run => return end,
        error = archive_fault => {
            tracing::error!(%error, "the archiver failed, the session ends");
            JournalEnd::Failed
        }
        end = &mut follow => match end {
            Ok(ViewsEnd::Sealed) => JournalEnd::Sealed,
            Ok(ViewsEnd::Outdated(why)) => {
                tracing::error!(why, "this release is too old for the cluster, the session ends");
                JournalEnd::Failed
            }
            Err(error) => {
                tracing::error!(%error, "views are no longer followed, the session ends");
                JournalEnd::Failed
            }
        }
    };
    journal.close();
    match run.await {
        JournalEnd::Drained => end,
        other => other,
    }
}

/// The groups of a session; their tasks end with it.
fn groups(
    foundation: &Foundation,
    catalog: &Arc<Catalog>,
    delivery: ShareDelivery,
    standing: &Standing,
    leadership: &Leadership,
    remote: &Arc<dyn RemoteBrokers>,
) -> GroupCoordinator {
    let defaults = foundation.config.groups;
    let mut config = GroupsConfig {
        offsets_retention: defaults.offsets_retention,
        offset_metadata_bytes_max: OFFSET_METADATA_BYTES_MAX,
        ..GroupsConfig::default()
    };
    config.classic.initial_rebalance_delay = defaults.initial_rebalance_delay;
    GroupCoordinator::start(GroupsStart {
        config,
        standing: standing.clone(),
        leadership: leadership.clone(),
        remote: Arc::clone(remote),
        clock: foundation.clock.clone(),
        catalog: Arc::clone(catalog),
        delivery,
    })
}

/// Kafka's `offset.metadata.max.bytes`.
const OFFSET_METADATA_BYTES_MAX: usize = 4096;
