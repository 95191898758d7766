//! A broker's place on the mesh: one UDP port for QUIC both ways, and the TCP port of the same number for tell-tales.

use super::accept::{self, Doorway, ServeStream};
use super::carrier::{Carrier, QuicCarrier};
use super::config::MeshConfig;
use super::drivers::Drivers;
use super::identity::{MeshIdentity, MeshIdentityError, TELL_TALE_ALPN};
use super::name::MeshName;
use super::peer::{Dialer, Peer, PeerAddress, Peers};
use super::tell_tale::TellTaleDoor;
use super::transport::{self, code};
use crate::metrics::MeshMetrics;
use quinn::Endpoint;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;
use std::{fmt, io};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_rustls::{TlsAcceptor, TlsConnector};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

/// Accepts other brokers and knows those that we speak to. Dropped, everything ends at once.
#[derive(Debug)]
pub struct MeshEndpoint {
    end: End,
    address: SocketAddr,
    peers: Peers,
    tasks: TaskTracker,
    stop: CancellationToken,
    _stop_on_drop: DropGuard,
}

/// What is closed at last.
enum End {
    Quic {
        endpoint: Endpoint,
        /// Ends what drives connections, those that were closed and drain as well.
        drivers_end: CancellationToken,
    },
    #[cfg(feature = "simulation")]
    Simulated(Arc<dyn super::simulated::Place>),
}

/// Why there is no endpoint.
#[derive(Debug, thiserror::Error)]
pub enum MeshBindError {
    /// The identity cannot be used.
    #[error(transparent)]
    Identity(#[from] MeshIdentityError),
    /// A port cannot be had, for UDP or for TCP.
    #[error("cannot listen for the mesh at {address}: {error}")]
    Bind {
        /// Where.
        address: SocketAddr,
        /// The system's reason.
        error: io::Error,
    },
}

/// How often any free port is tried whose number has to be free for UDP and for TCP.
const PORT_TRIES_MAX: usize = 32;
/// How long peers are given to hear that this broker leaves.
const CLOSE_TIME_MAX: Duration = Duration::from_secs(1);

impl MeshEndpoint {
    /// Listens at `address`; port 0 takes any that is free. Must be called within a runtime.
    pub async fn bind(
        address: SocketAddr,
        identity: &MeshIdentity,
        config: MeshConfig,
        handler: Arc<dyn ServeStream>,
        metrics: MeshMetrics,
    ) -> Result<MeshEndpoint, MeshBindError> {
        let server = transport::server(identity, &config)?;
        let client = transport::client(identity, &config)?;
        let acceptor = TlsAcceptor::from(Arc::new(identity.server_tls(TELL_TALE_ALPN)?));
        let connector = TlsConnector::from(Arc::new(identity.client_tls(TELL_TALE_ALPN)?));
        let failed = |error| MeshBindError::Bind { address, error };
        let (socket, listener) = bind_both(address).await.map_err(failed)?;
        let drivers_end = CancellationToken::new();
        let runtime = Arc::new(Drivers::new(drivers_end.clone()));
        let endpoint = Endpoint::new(transport::endpoint(), Some(server), socket, runtime).map_err(failed)?;
        let address = endpoint.local_addr().map_err(failed)?;
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let config = Arc::new(config);
        let carrier = Carrier::Quic(QuicCarrier { endpoint: endpoint.clone(), client, connector, address });
        let dialer =
            Dialer { name: identity.name(), carrier, config: Arc::clone(&config), metrics: metrics.clone() };
        let doorway = doorway(identity.name(), config, handler, metrics, &stop, &tasks);
        tasks.spawn(tell_tale_door(listener, acceptor, &doorway).accept());
        tasks.spawn(accept::accept(endpoint.clone(), doorway));
        let peers = Peers::new(dialer, stop.clone(), tasks.clone());
        let guard = stop.clone().drop_guard();
        let end = End::Quic { endpoint, drivers_end };
        Ok(MeshEndpoint { end, address, peers, tasks, stop, _stop_on_drop: guard })
    }

    /// A session's place on a simulated network. Must be called within a runtime.
    #[cfg(feature = "simulation")]
    pub fn simulated(
        network: &dyn super::simulated::Network,
        name: MeshName,
        config: MeshConfig,
        handler: Arc<dyn ServeStream>,
        metrics: MeshMetrics,
    ) -> MeshEndpoint {
        let place = network.listen(name);
        let (stop, tasks, config) = (CancellationToken::new(), TaskTracker::new(), Arc::new(config));
        let carrier = Carrier::Simulated(Arc::clone(&place));
        let dialer = Dialer { name, carrier, config: Arc::clone(&config), metrics: metrics.clone() };
        let doorway = doorway(name, config, handler, metrics, &stop, &tasks);
        tasks.spawn(accept::accept_simulated(Arc::clone(&place), doorway));
        let peers = Peers::new(dialer, stop.clone(), tasks.clone());
        let (address, guard) = (place.address(), stop.clone().drop_guard());
        MeshEndpoint { end: End::Simulated(place), address, peers, tasks, stop, _stop_on_drop: guard }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The session at `address`. The first handle makes connections to it, which last until the last handle is dropped.
    #[must_use]
    pub fn peer(&self, address: PeerAddress) -> Peer {
        self.peers.peer(address)
    }

    /// Ends everything, and gives peers a moment to hear of it.
    pub async fn close(&self) {
        self.stop.cancel();
        self.end.close(b"this broker is leaving");
        self.tasks.close();
        let closing = async {
            self.tasks.wait().await;
            self.end.wait_idle().await;
        };
        if timeout(CLOSE_TIME_MAX, closing).await.is_err() {
            tracing::debug!("the mesh did not end in time");
        }
        self.end.end_drivers();
    }
}

impl Drop for MeshEndpoint {
    fn drop(&mut self) {
        self.end.close(b"this broker has ended");
    }
}

impl End {
    fn close(&self, reason: &[u8]) {
        match self {
            End::Quic { endpoint, .. } => endpoint.close(code::CLOSED, reason),
            #[cfg(feature = "simulation")]
            End::Simulated(place) => place.close(code::CLOSED, reason),
        }
    }

    /// Waits until the other sides know.
    async fn wait_idle(&self) {
        match self {
            End::Quic { endpoint, .. } => endpoint.wait_idle().await,
            #[cfg(feature = "simulation")]
            End::Simulated(_) => {}
        }
    }

    fn end_drivers(&self) {
        match self {
            End::Quic { drivers_end, .. } => drivers_end.cancel(),
            #[cfg(feature = "simulation")]
            End::Simulated(_) => {}
        }
    }
}

impl fmt::Debug for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            End::Quic { .. } => "Quic",
            #[cfg(feature = "simulation")]
            End::Simulated(_) => "Simulated",
        })
    }
}

fn doorway(
    name: MeshName,
    config: Arc<MeshConfig>,
    handler: Arc<dyn ServeStream>,
    metrics: MeshMetrics,
    stop: &CancellationToken,
    tasks: &TaskTracker,
) -> Doorway {
    let limits = &config.limits;
    Doorway {
        name,
        handler,
        metrics,
        handshakes: semaphore(limits.handshakes_max),
        places: semaphore(limits.connections_max),
        stop: stop.clone(),
        tasks: tasks.clone(),
        config,
    }
}

/// As many tell-tales as connections, and as many handshakes of their own.
fn tell_tale_door(listener: TcpListener, acceptor: TlsAcceptor, doorway: &Doorway) -> TellTaleDoor {
    let limits = &doorway.config.limits;
    TellTaleDoor {
        listener,
        acceptor,
        handshakes: semaphore(limits.handshakes_max),
        places: semaphore(limits.connections_max),
        doorway: doorway.clone(),
    }
}

fn semaphore(places: usize) -> Arc<Semaphore> {
    Arc::new(Semaphore::new(places.min(Semaphore::MAX_PERMITS)))
}

/// The same port for UDP and for TCP.
async fn bind_both(address: SocketAddr) -> io::Result<(UdpSocket, TcpListener)> {
    let mut tries = if address.port() == 0 { PORT_TRIES_MAX } else { 1 };
    loop {
        tries -= 1;
        let socket = UdpSocket::bind(address)?;
        match TcpListener::bind(socket.local_addr()?).await {
            Ok(listener) => return Ok((socket, listener)),
            Err(error) if tries > 0 && error.kind() == io::ErrorKind::AddrInUse => {}
            Err(error) => return Err(error),
        }
    }
}
