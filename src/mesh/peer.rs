//! A session of another broker: requests to it, and what is known of it.
//!
//! A call never makes a connection of its own (`keep.rs` does): it waits for the one that is being made, or is told at once why
//! the last could not be made.

use super::call::{self, Answering, CallError, NotSent};
use super::carrier::Carrier;
use super::config::MeshConfig;
use super::keep::Shared;
use super::name::MeshName;
use super::ordered::{self, OrderedStream, OrderedTerms};
use super::preamble::Preamble;
use super::reachability::Sighting;
use crate::hashing::HashMap;
use crate::limits::{MemoryBudget, MemoryPermit};
use crate::metrics::MeshMetrics;
use crate::types::{BrokerId, SessionId};
use bytes::Bytes;
use parking_lot::Mutex;
use std::fmt;
use std::sync::{Arc, Weak};
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

/// Where a session is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerAddress {
    /// Its broker.
    pub broker: BrokerId,
    /// The session itself.
    pub session: SessionId,
    /// `host:port` of its mesh.
    pub address: String,
}

/// A handle to a session of another broker. Clones share its connections, which end with the last of them.
#[derive(Clone)]
pub struct Peer {
    handle: Arc<Handle>,
}

/// What ends when nobody has the peer any more.
struct Handle {
    shared: Arc<Shared>,
    open: CancellationToken,
    _open: DropGuard,
}

/// What makes connections.
pub(super) struct Dialer {
    pub name: MeshName,
    pub carrier: Carrier,
    pub config: Arc<MeshConfig>,
    pub metrics: MeshMetrics,
}

/// The sessions that somebody has a handle to.
pub(super) struct Peers {
    dialer: Arc<Dialer>,
    known: Mutex<HashMap<SessionId, Weak<Handle>>>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Peers {
    pub(super) fn new(dialer: Dialer, stop: CancellationToken, tasks: TaskTracker) -> Peers {
        Peers { dialer: Arc::new(dialer), known: Mutex::default(), stop, tasks }
    }

    /// The one that is known, or a new one.
    pub(super) fn peer(&self, address: PeerAddress) -> Peer {
        let mut known = self.known.lock();
        if let Some(handle) = known.get(&address.session).and_then(Weak::upgrade) {
            return Peer { handle };
        }
        known.retain(|_, handle| handle.strong_count() > 0);
        let session = address.session;
        let handle = Arc::new(self.begin(address));
        known.insert(session, Arc::downgrade(&handle));
        Peer { handle }
    }

    fn begin(&self, address: PeerAddress) -> Handle {
        let PeerAddress { broker, session, address } = address;
        let peer = MeshName { cluster: self.dialer.name.cluster, broker, session };
        let shared = Arc::new(Shared::new(peer, address, Arc::clone(&self.dialer)));
        let open = self.stop.child_token();
        self.tasks.spawn(Arc::clone(&shared).run(open.clone()));
        Handle { shared, open: open.clone(), _open: open.drop_guard() }
    }
}

impl fmt::Debug for Peers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peers").field("known", &self.known.lock().len()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shared = &self.handle.shared;
        f.debug_struct("Peer")
            .field("name", &shared.peer)
            .field("address", &shared.address)
            .finish_non_exhaustive()
    }
}

impl Peer {
    /// Which session this is.
    #[must_use]
    pub fn name(&self) -> MeshName {
        self.handle.shared.peer
    }

    /// What is known of it, and tells of changes.
    #[must_use]
    pub fn sighting(&self) -> watch::Receiver<Sighting> {
        self.handle.shared.sighting.subscribe()
    }

    /// Waits until there is a connection, or it is known why there is none, until `deadline`.
    pub async fn ready(&self, deadline: Instant) -> Result<(), NotSent> {
        self.handle.shared.connection(deadline).await.map(drop)
    }

    /// Ends the connections although others have handles: what has no answer is unknown to them from now on.
    pub fn close(&self) {
        self.handle.open.cancel();
    }

    /// Sends `request`, a Kafka frame without its length, and waits for the answer, likewise, until `deadline`.
    pub async fn call(
        &self,
        preamble: &Preamble,
        request: Bytes,
        deadline: Instant,
    ) -> Result<Bytes, CallError> {
        self.counted(preamble, request, deadline, None).await.map(|(answer, _)| answer)
    }

    /// The same for what may have a long answer: before that is read, memory for it is taken from `memory`.
    pub async fn call_within(
        &self,
        preamble: &Preamble,
        request: Bytes,
        deadline: Instant,
        memory: &MemoryBudget,
    ) -> Result<(Bytes, Option<MemoryPermit>), CallError> {
        self.counted(preamble, request, deadline, Some(memory)).await
    }

    async fn counted(
        &self,
        preamble: &Preamble,
        request: Bytes,
        deadline: Instant,
        memory: Option<&MemoryBudget>,
    ) -> Result<(Bytes, Option<MemoryPermit>), CallError> {
        let metrics = &self.handle.shared.dialer.metrics;
        let began = Instant::now();
        let bytes = request.len() as u64;
        let answer = self.exchange(preamble, request, deadline, memory).await;
        if !matches!(answer, Err(CallError::NotSent(_))) {
            metrics.request_bytes.inc_by(bytes);
        }
        ordered::count(metrics, answer.as_ref().map(|(answer, _)| answer), began);
        answer
    }

    async fn exchange(
        &self,
        preamble: &Preamble,
        request: Bytes,
        deadline: Instant,
        memory: Option<&MemoryBudget>,
    ) -> Result<(Bytes, Option<MemoryPermit>), CallError> {
        let shared = &self.handle.shared;
        let preamble = preamble.encode().map_err(NotSent::from)?;
        let connection = shared.connection(deadline).await?;
        let answering = Answering { bytes_max: shared.dialer.config.limits.answer_bytes_max, memory };
        call::exchange(&connection, &preamble, request, deadline, answering).await
    }

    /// Opens a stream that keeps the order of its requests. It is a handle to the peer, as this is.
    pub async fn open_ordered(
        &self,
        preamble: &Preamble,
        deadline: Instant,
    ) -> Result<OrderedStream, NotSent> {
        let shared = &self.handle.shared;
        let limits = &shared.dialer.config.limits;
        let preamble = preamble.encode()?;
        let connection = shared.connection(deadline).await?;
        let opened = timeout_at(deadline, connection.open_bi()).await.map_err(|_| NotSent::Deadline)?;
        let terms = OrderedTerms {
            in_flight_max: limits.ordered_in_flight_max,
            answer_bytes_max: limits.answer_bytes_max,
            metrics: shared.dialer.metrics.clone(),
            _peer: self.clone(),
        };
        Ok(OrderedStream::new(opened?, preamble, terms))
    }
}

#[cfg(test)]
impl Peer {
    /// The connection that calls use.
    pub(super) async fn connection(&self, deadline: Instant) -> Result<super::carrier::Connection, NotSent> {
        self.handle.shared.connection(deadline).await
    }
}
