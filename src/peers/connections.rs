//! Connections to the members of the newest view, and what is seen of them.

use super::private::PrivateApi;
use crate::leadership::Leadership;
use crate::limits::{MemoryBudget, MemoryPermit, Purpose};
use crate::mesh::{
    CallError, ClientSecurity, ConnectError, MeshEndpoint, NotSent, OrderedStream, Peer, PeerAddress,
    Preamble, Reachability, Sighting, Unknown,
};
use crate::types::SessionId;
use crate::wire::private::{self, PrivateAnswer};
use arc_swap::ArcSwap;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::{CancellationToken, DropGuard};

/// What is seen of every session that there are connections to.
pub type Sightings = Arc<BTreeMap<SessionId, Sighting>>;

/// The other brokers. Clones are the same; when the last is dropped the connections end.
#[derive(Clone)]
pub struct Peers {
    shared: Arc<Shared>,
    _open: Arc<DropGuard>,
}

/// What the room starts with.
pub struct PeersStart {
    /// Who is a member, and where.
    pub leadership: Leadership,
    /// This session's place on the mesh; none if it has no peers.
    pub endpoint: Option<MeshEndpoint>,
}

/// Whose request is sent on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Client<'a> {
    /// The listener it came in by.
    pub listener: &'a str,
    /// Where the client is.
    pub address: SocketAddr,
    /// How its bytes came.
    pub security: ClientSecurity,
}

struct Shared {
    leadership: Leadership,
    /// What is on its way to each on ordered streams.
    rooms: Mutex<BTreeMap<SessionId, MemoryBudget>>,
    /// None without peers, and once closed.
    endpoint: Mutex<Option<Arc<MeshEndpoint>>>,
    known: ArcSwap<BTreeMap<SessionId, Peer>>,
    sightings: watch::Sender<Sightings>,
    next_correlation_id: AtomicI32,
    stop: CancellationToken,
}

/// A wait for news of one peer, and what to go on with.
type Watch = BoxFuture<'static, Option<(SessionId, watch::Receiver<Sighting>)>>;

impl Peers {
    /// Connects to the members of the newest view, and follows it. Must be called within a runtime.
    #[must_use]
    pub fn start(start: PeersStart) -> Peers {
        let PeersStart { leadership, endpoint } = start;
        let stop = CancellationToken::new();
        let has_peers = endpoint.is_some();
        let shared = Arc::new(Shared {
            leadership,
            rooms: Mutex::default(),
            endpoint: Mutex::new(endpoint.map(Arc::new)),
            known: ArcSwap::default(),
            sightings: watch::Sender::default(),
            next_correlation_id: AtomicI32::new(0),
            stop: stop.clone(),
        });
        if has_peers {
            tokio::spawn(follow(Arc::clone(&shared)));
        }
        Peers { shared, _open: Arc::new(stop.drop_guard()) }
    }

    /// None: every request to another broker is told to be not sent.
    #[must_use]
    pub fn none(leadership: Leadership) -> Peers {
        Peers::start(PeersStart { leadership, endpoint: None })
    }

    /// Sends `request`, a Kafka frame without its length, for `client` to `session`, and waits for the answer, likewise, until
    /// `deadline`.
    pub async fn call(
        &self,
        session: SessionId,
        client: Client<'_>,
        request: Bytes,
        deadline: Instant,
    ) -> Result<Bytes, CallError> {
        let peer = self.shared.ready(session, deadline).await?;
        peer.call(&self.preamble(client), request, deadline).await
    }

    /// The same for what may have a long answer: before that is read, memory for it is taken from `memory`.
    pub async fn call_within(
        &self,
        session: SessionId,
        client: Client<'_>,
        request: Bytes,
        deadline: Instant,
        memory: &MemoryBudget,
    ) -> Result<(Bytes, Option<MemoryPermit>), CallError> {
        let peer = self.shared.ready(session, deadline).await?;
        peer.call_within(&self.preamble(client), request, deadline, memory).await
    }

    /// A stream to `session` that keeps the order of what `client` sends on it.
    pub async fn open_ordered(
        &self,
        session: SessionId,
        client: Client<'_>,
        deadline: Instant,
    ) -> Result<OrderedStream, NotSent> {
        let peer = self.shared.ready(session, deadline).await?;
        peer.open_ordered(&self.preamble(client), deadline).await
    }

    /// Waits until there is room for `bytes` on the way to `session`, to be held until they are answered. What a leader takes in
    /// only when its store does must never fill the window that all other requests to it go through as well.
    pub async fn room(
        &self,
        session: SessionId,
        bytes: usize,
        deadline: Instant,
    ) -> Result<MemoryPermit, NotSent> {
        let new = || MemoryBudget::new(ROOM_BYTES);
        let room = self.shared.rooms.lock().entry(session).or_insert_with(new).clone();
        let reserved = timeout_at(deadline, room.reserve(bytes, Purpose::Other)).await;
        reserved.map_err(|_| NotSent::Deadline)
    }

    /// Sends a private request. What the other does not know it has not carried out.
    pub async fn ask(
        &self,
        session: SessionId,
        api: PrivateApi,
        request: &[u8],
        deadline: Instant,
    ) -> Result<Bytes, CallError> {
        let peer = self.shared.ready(session, deadline).await?;
        let correlation_id = self.shared.next_correlation_id.fetch_add(1, Ordering::Relaxed);
        let frame = private::encode_request(api.number(), correlation_id, request);
        let answer = peer.call(&self.preamble(NOBODY), frame, deadline).await?;
        match private::decode_answer(answer) {
            Ok(PrivateAnswer::Served(body)) => Ok(body),
            Ok(PrivateAnswer::NotServed) => Err(NotSent::Refused.into()),
            Err(error) => Err(Unknown::Answer(error.to_string()).into()),
        }
    }

    /// What is seen of the others, and tells of changes. Sessions that there is no address of are not in it.
    #[must_use]
    pub fn sightings(&self) -> watch::Receiver<Sightings> {
        self.shared.sightings.subscribe()
    }

    /// Ends all connections, and gives the others a moment to hear of it. The port is free once nobody waits for an
    /// answer any more.
    pub async fn close(&self) {
        self.shared.stop.cancel();
        let endpoint = self.shared.endpoint.lock().take();
        self.shared.known.store(Arc::default());
        self.shared.sightings.send_replace(Sightings::default());
        if let Some(endpoint) = endpoint {
            endpoint.close().await;
        }
    }

    fn preamble(&self, client: Client<'_>) -> Preamble {
        Preamble {
            view: self.shared.leadership.image().number(),
            listener: client.listener.to_owned(),
            client: client.address,
            security: client.security,
            principal: String::new(),
        }
    }
}

/// Of the connection's window of 16 MiB (`mesh/config.rs`), what requests that wait for a store may take.
const ROOM_BYTES: usize = 12 * 1024 * 1024;

/// Whose request it is when it is the broker's own.
const NOBODY: Client<'static> = Client {
    listener: "",
    address: SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0),
    security: ClientSecurity::Encrypted,
};

impl fmt::Debug for Peers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.shared.known.load().keys()).finish()
    }
}

impl Shared {
    /// A handle to a session. One that the view has just brought may not be known to the task yet.
    fn peer(&self, session: SessionId) -> Result<Peer, NotSent> {
        if let Some(peer) = self.known.load().get(&session) {
            return Ok(peer.clone());
        }
        let endpoint = self.endpoint.lock().clone();
        let address = self.address(session).ok_or(ConnectError::Address {
            address: session.to_string(),
            reason: "its standing tells no address".to_owned(),
        });
        match endpoint {
            Some(endpoint) => Ok(endpoint.peer(address?)),
            None => Err(ConnectError::Stopped.into()),
        }
    }

    /// A session that there is a connection to. One that has ended, or is no longer a member, is not waited for: a request
    /// that is not sent can go to who leads by then.
    async fn ready(&self, session: SessionId, deadline: Instant) -> Result<Peer, NotSent> {
        let peer = self.peer(session)?;
        let mut sighting = peer.sighting();
        let is_gone = |seen: &Sighting| matches!(seen.reachability, Reachability::Gone { .. });
        tokio::select! {
            biased;
            ready = peer.ready(deadline) => ready?,
            _ = sighting.wait_for(is_gone) => return Err(ConnectError::Refused.into()),
            () = self.left(session) => return Err(ConnectError::Stopped.into()),
        }
        Ok(peer)
    }

    /// Waits until a session is no longer a member.
    async fn left(&self, session: SessionId) {
        let mut changes = self.leadership.changes();
        while self.leadership.image().members().iter().any(|member| member.session == session) {
            // The sender lives in `self`.
            if changes.changed().await.is_err() {
                return;
            }
        }
    }

    fn address(&self, session: SessionId) -> Option<PeerAddress> {
        let image = self.leadership.image();
        let said = image.session(session)?;
        Some(PeerAddress { broker: said.broker_id, session, address: said.mesh.clone()? })
    }

    /// The sessions that there have to be connections to.
    fn wanted(&self) -> BTreeMap<SessionId, PeerAddress> {
        let image = self.leadership.image();
        let members = image.members().iter().map(|member| member.session);
        let others = members.chain(self.leadership.waits_for()).filter(|id| *id != self.leadership.own());
        others.filter_map(|session| Some((session, self.address(session)?))).collect()
    }

    /// Makes handles to those that came and drops those of the others; the new ones are to be watched.
    fn reconcile(&self) -> Vec<(SessionId, watch::Receiver<Sighting>)> {
        let Some(endpoint) = self.endpoint.lock().clone() else { return Vec::new() };
        let before = self.known.load_full();
        let (mut known, mut new) = (BTreeMap::new(), Vec::new());
        for (session, address) in self.wanted() {
            let peer = before.get(&session).cloned().unwrap_or_else(|| {
                let peer = endpoint.peer(address);
                new.push((session, peer.sighting()));
                peer
            });
            known.insert(session, peer);
        }
        if new.is_empty() && known.len() == before.len() {
            return new;
        }
        for (session, peer) in before.iter().filter(|(session, _)| !known.contains_key(session)) {
            // One that only leads nothing any more finishes what it has. One that was sealed may be a process that stands
            // still: whoever waits for its answers would wait until the connection is given up.
            if self.leadership.image().session(*session).is_none() {
                peer.close();
            }
        }
        self.rooms.lock().retain(|session, _| known.contains_key(session));
        let sightings = known.iter().map(|(session, peer)| (*session, *peer.sighting().borrow())).collect();
        self.known.store(Arc::new(known));
        self.sightings.send_replace(Arc::new(sightings));
        new
    }

    fn on_sighting(&self, session: SessionId, sighting: Sighting) {
        self.sightings.send_if_modified(|sightings| {
            let is_news = sightings.get(&session).is_some_and(|before| *before != sighting);
            if is_news {
                Arc::make_mut(sightings).insert(session, sighting);
            }
            is_news
        });
    }
}

/// Follows the view until the room is closed.
async fn follow(shared: Arc<Shared>) {
    let mut changes = shared.leadership.changes();
    let mut watched: FuturesUnordered<Watch> = FuturesUnordered::new();
    loop {
        watched.extend(shared.reconcile().into_iter().map(next_sighting));
        // Whoever closes the room between the two has it end here.
        if shared.stop.is_cancelled() {
            shared.known.store(Arc::default());
            return;
        }
        let mut changed = false;
        while !changed {
            tokio::select! {
                biased;
                () = shared.stop.cancelled() => {
                    shared.known.store(Arc::default());
                    return;
                }
                result = changes.changed() => match result {
                    Ok(()) => changed = true,
                    // The leadership lives in `shared`.
                    Err(_) => return,
                },
                Some(seen) = watched.next(), if !watched.is_empty() => {
                    // A peer that is no longer wanted says nothing more.
                    if let Some((session, mut receiver)) = seen {
                        let sighting = *receiver.borrow_and_update();
                        shared.on_sighting(session, sighting);
                        watched.push(next_sighting((session, receiver)));
                    }
                }
            }
        }
    }
}

fn next_sighting((session, mut receiver): (SessionId, watch::Receiver<Sighting>)) -> Watch {
    Box::pin(async move { receiver.changed().await.ok().map(|()| (session, receiver)) })
}
