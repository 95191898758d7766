//! All doors together: bound first, then served, then closed in an orderly way.

use super::admission::{Admission, Guest};
use super::certificate::{Identity, IdentityError};
use super::connection::Context;
use super::{quic, tcp, tls};
use crate::config::{LimitsConfig, Listener, Transport};
use crate::handler::{ConnectionInfo, Handle};
use crate::limits::MemoryBudget;
use crate::mesh::ClientSecurity;
use crate::metrics::Metrics;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Listeners that are bound and do not accept yet.
#[derive(Debug)]
pub struct Server {
    doors: Vec<Door>,
    bound: Vec<BoundListener>,
}

/// Where a listener ended up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoundListener {
    /// Kafka's listener name.
    pub name: String,
    /// How bytes travel.
    pub transport: Transport,
    /// What is bound, with the port that the system chose.
    pub address: SocketAddr,
    /// What clients of this listener are told.
    pub advertised: (String, u16),
}

/// Why a listener cannot be bound.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The address is taken, not ours, or not allowed.
    #[error("{listener} cannot listen on {host}:{port}: {error}")]
    Address {
        /// The listener's name.
        listener: String,
        /// As configured.
        host: String,
        /// As configured.
        port: u16,
        /// The system's reason.
        error: io::Error,
    },
    /// The certificate or the key cannot be used.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// A TLS or QUIC listener without an identity.
    #[error("{listener} needs a certificate")]
    NoIdentity {
        /// The listener's name.
        listener: String,
    },
}

#[derive(Debug)]
struct Door {
    name: String,
    socket: Socket,
}

enum Socket {
    Tcp(TcpListener),
    Tls(TcpListener, TlsAcceptor),
    Quic(quinn::Endpoint),
}

impl std::fmt::Debug for Socket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Socket::Tcp(_) => "Tcp",
            Socket::Tls(..) => "Tls",
            Socket::Quic(_) => "Quic",
        })
    }
}

impl Server {
    /// Binds every listener, or none. `identity` is needed when one of them is TLS or QUIC.
    pub async fn bind(listeners: &[Listener], identity: Option<&Identity>) -> Result<Server, BindError> {
        let mut server = Server { doors: Vec::new(), bound: Vec::new() };
        for listener in listeners {
            let (socket, address) = bind_one(listener, identity).await?;
            server.bound.push(BoundListener {
                name: listener.name.clone(),
                transport: listener.transport,
                address,
                advertised: advertised(listener, address),
            });
            server.doors.push(Door { name: listener.name.clone(), socket });
        }
        Ok(server)
    }

    /// What is bound, in the order of the configuration.
    #[must_use]
    pub fn bound(&self) -> &[BoundListener] {
        &self.bound
    }

    /// Starts to accept; `handler` answers.
    #[must_use]
    pub fn serve(
        self,
        handler: Arc<dyn Handle>,
        limits: LimitsConfig,
        budget: MemoryBudget,
        metrics: Arc<Metrics>,
    ) -> Serving {
        let admission = Arc::new(Admission::new(limits.connections_max, budget, metrics));
        let stop = CancellationToken::new();
        let context = Context { handler, admission, limits, stop: stop.clone() };
        let tasks = TaskTracker::new();
        let mut endpoints = Vec::new();
        for Door { name, socket } in self.doors {
            let (context, tasks_within) = (context.clone(), tasks.clone());
            match socket {
                Socket::Tcp(listener) => {
                    tasks.spawn(accept(listener, None, name, context, tasks_within));
                }
                Socket::Tls(listener, acceptor) => {
                    tasks.spawn(accept(listener, Some(acceptor), name, context, tasks_within));
                }
                Socket::Quic(endpoint) => {
                    endpoints.push(endpoint.clone());
                    tasks.spawn(quic::accept(endpoint, name, context, tasks_within));
                }
            }
        }
        Serving { stop, tasks, endpoints }
    }
}

/// A server at work.
#[derive(Debug)]
pub struct Serving {
    stop: CancellationToken,
    tasks: TaskTracker,
    endpoints: Vec<quinn::Endpoint>,
}

impl Serving {
    /// Stops accepting and reading, lets what was admitted be answered for up to `time_max`, then closes.
    /// True if everything was answered.
    pub async fn shutdown(self, time_max: Duration) -> bool {
        self.stop.cancel();
        self.tasks.close();
        let all_answered = tokio::time::timeout(time_max, self.tasks.wait()).await.is_ok();
        for endpoint in &self.endpoints {
            endpoint.close(quinn::VarInt::from_u32(0), b"stopped");
            // The close has to leave the socket before the process does.
            let _: Result<(), _> = tokio::time::timeout(QUIC_CLOSE_TIME_MAX, endpoint.wait_idle()).await;
        }
        all_answered
    }
}

const QUIC_CLOSE_TIME_MAX: Duration = Duration::from_millis(500);

async fn bind_one(
    listener: &Listener,
    identity: Option<&Identity>,
) -> Result<(Socket, SocketAddr), BindError> {
    let address = (listener.host.as_str(), listener.port);
    let failed = |error| BindError::Address {
        listener: listener.name.clone(),
        host: listener.host.clone(),
        port: listener.port,
        error,
    };
    let identity = || identity.ok_or_else(|| BindError::NoIdentity { listener: listener.name.clone() });
    match listener.transport {
        Transport::Tcp => {
            let socket = TcpListener::bind(address).await.map_err(failed)?;
            let bound = socket.local_addr().map_err(failed)?;
            Ok((Socket::Tcp(socket), bound))
        }
        Transport::Tls => {
            let acceptor = tls::acceptor(identity()?)?;
            let socket = TcpListener::bind(address).await.map_err(failed)?;
            let bound = socket.local_addr().map_err(failed)?;
            Ok((Socket::Tls(socket, acceptor), bound))
        }
        Transport::Quic => {
            let identity = identity()?;
            let socket = UdpSocket::bind(address).map_err(failed)?;
            let bound = socket.local_addr().map_err(failed)?;
            let endpoint = quic::endpoint(socket, identity).map_err(|error| match error {
                quic::EndpointError::Identity(error) => BindError::Identity(error),
                quic::EndpointError::Io(error) => failed(error),
            })?;
            Ok((Socket::Quic(endpoint), bound))
        }
    }
}

/// What is bound, unless told otherwise. Nobody can connect to "every address", so that becomes this machine.
fn advertised(listener: &Listener, bound: SocketAddr) -> (String, u16) {
    if let Some((host, port)) = &listener.advertised {
        return (host.clone(), if *port == 0 { bound.port() } else { *port });
    }
    let host = if bound.ip().is_unspecified() { "localhost" } else { &listener.host };
    (host.to_owned(), bound.port())
}

async fn accept(
    listener: TcpListener,
    acceptor: Option<TlsAcceptor>,
    name: String,
    context: Context,
    tasks: TaskTracker,
) {
    let connections = &context.admission.metrics.connections;
    let (gauge, security) = match acceptor {
        Some(_) => (connections.tls.clone(), ClientSecurity::Encrypted),
        None => (connections.tcp.clone(), ClientSecurity::Plain),
    };
    loop {
        let (stream, peer) = tokio::select! {
            biased;
            () = context.stop.cancelled() => return,
            accepted = tcp::accept(&listener, &context) => accepted,
        };
        let Some(guest) = context.admission.admit(&gauge, &peer) else { continue };
        let info = ConnectionInfo::of_client(guest.connection_id, name.clone(), peer, security);
        tasks.spawn(serve_one(context.clone(), info, stream, acceptor.clone(), guest));
    }
}

async fn serve_one(
    context: Context,
    info: ConnectionInfo,
    stream: TcpStream,
    acceptor: Option<TlsAcceptor>,
    _guest: Guest,
) {
    match acceptor {
        None => tcp::serve(context, info, stream).await,
        Some(acceptor) => tls::serve(context, info, stream, acceptor).await,
    }
}
