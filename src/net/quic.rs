//! QUIC: one Kafka connection per bidirectional stream, the same loop (RFC 9000, RFC 9001).
//!
//! Every window and every number of streams is bounded, addresses are validated when many handshakes are
//! open, and there is no 0-RTT: a replayed Produce would be stored twice.

use super::admission::Guest;
use super::certificate::{Identity, IdentityError};
use super::connection::{self, Context};
use super::tls::HANDSHAKE_TIME_MAX;
use crate::handler::ConnectionInfo;
use crate::mesh::ClientSecurity;
use futures_util::FutureExt;
use quinn::crypto::rustls::QuicServerConfig;
use quinn::{Connection, Endpoint, EndpointConfig, Incoming, MtuDiscoveryConfig, TransportConfig, VarInt};
use std::io;
use std::net::UdpSocket;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

/// The application protocol that a QUIC client names (RFC 7301).
pub const ALPN: &[u8] = b"kafka";

/// What one connection's streams together may have in flight to us, in bytes.
const CONNECTION_WINDOW_BYTES: u32 = 16 * 1024 * 1024;
/// The same for one stream.
const STREAM_WINDOW_BYTES: u32 = 2 * 1024 * 1024;
/// What we may have in flight to one connection, in bytes.
const SEND_WINDOW_BYTES: u64 = 16 * 1024 * 1024;
/// Kafka connections of one QUIC connection at once.
const STREAMS_MAX: u32 = 64;
/// Handshakes that wait to be looked at.
const INCOMING_MAX: usize = 1024;
/// With more handshakes than this under way, a client first has to prove its address.
const HANDSHAKES_BEFORE_RETRY: usize = 64;
/// Silence that ends a connection; keep-alives are sent well before.
const IDLE_TIMEOUT_MS: u32 = 30_000;
const KEEP_ALIVE: Duration = Duration::from_secs(10);
/// Largest packet that is tried. The internet's 1,500 is found by the same search; loopback and data
/// centres carry more, and every packet saved is an encryption and a wake-up saved.
const PACKET_BYTES_MAX: u16 = 8952;

/// A server's endpoint on `socket`.
pub fn endpoint(socket: UdpSocket, identity: &Identity) -> Result<Endpoint, EndpointError> {
    let mut config = EndpointConfig::default();
    config.max_udp_payload_size(PACKET_BYTES_MAX).expect("the constant is over QUIC's minimum of 1200");
    let runtime = Arc::new(quinn::TokioRuntime);
    Ok(Endpoint::new(config, Some(server_config(identity)?), socket, runtime)?)
}

/// Why there is no endpoint.
#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    /// The identity cannot be used.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The socket cannot be used.
    #[error(transparent)]
    Io(#[from] io::Error),
}

fn server_config(identity: &Identity) -> Result<quinn::ServerConfig, IdentityError> {
    let mut tls = identity.server_config(&[&rustls::version::TLS13])?;
    tls.alpn_protocols = vec![ALPN.to_vec()];
    tls.max_early_data_size = 0;
    let tls = QuicServerConfig::try_from(tls).expect("the provider has QUIC's initial cipher suite");
    let mut config = quinn::ServerConfig::with_crypto(Arc::new(tls));
    config.transport_config(Arc::new(transport()));
    config.max_incoming(INCOMING_MAX);
    Ok(config)
}

fn transport() -> TransportConfig {
    let mut mtu = MtuDiscoveryConfig::default();
    mtu.upper_bound(PACKET_BYTES_MAX);
    let mut transport = TransportConfig::default();
    transport
        .receive_window(VarInt::from_u32(CONNECTION_WINDOW_BYTES))
        .stream_receive_window(VarInt::from_u32(STREAM_WINDOW_BYTES))
        .send_window(SEND_WINDOW_BYTES)
        .max_concurrent_bidi_streams(VarInt::from_u32(STREAMS_MAX))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .datagram_receive_buffer_size(None)
        .max_idle_timeout(Some(VarInt::from_u32(IDLE_TIMEOUT_MS).into()))
        .keep_alive_interval(Some(KEEP_ALIVE))
        .mtu_discovery_config(Some(mtu));
    transport
}

/// Accepts connections until the server stops.
pub async fn accept(endpoint: Endpoint, listener: String, context: Context, tasks: TaskTracker) {
    let handshakes = Arc::new(AtomicUsize::new(0));
    loop {
        let incoming = tokio::select! {
            biased;
            () = context.stop.cancelled() => return,
            incoming = endpoint.accept() => incoming,
        };
        let Some(incoming) = incoming else { return };
        on_incoming(incoming, &handshakes, &listener, &context, &tasks);
    }
}

fn on_incoming(
    incoming: Incoming,
    handshakes: &Arc<AtomicUsize>,
    listener: &str,
    context: &Context,
    tasks: &TaskTracker,
) {
    let crowded = handshakes.load(Ordering::Relaxed) >= HANDSHAKES_BEFORE_RETRY;
    if crowded && incoming.may_retry() {
        let sent = incoming.retry();
        return sent.unwrap_or_else(|_| tracing::debug!("a retry was not possible"));
    }
    let gauge = &context.admission.metrics.connections.quic;
    let Some(guest) = context.admission.admit(gauge, &incoming.remote_address()) else {
        return incoming.refuse();
    };
    handshakes.fetch_add(1, Ordering::Relaxed);
    let opening = Opening { handshakes: Arc::clone(handshakes) };
    let (listener, context, stream_tasks) = (listener.to_owned(), context.clone(), tasks.clone());
    tasks.spawn(async move {
        let serving = AssertUnwindSafe(serve(incoming, opening, listener, &context, stream_tasks, guest));
        if let Err(panic) = serving.catch_unwind().await {
            context.admission.metrics.panics.inc();
            let message = connection::panic_message(&*panic);
            tracing::error!(message, "panic in a QUIC connection, which is closed");
        }
    });
}

/// A handshake that is under way.
struct Opening {
    handshakes: Arc<AtomicUsize>,
}

impl Drop for Opening {
    fn drop(&mut self) {
        self.handshakes.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn serve(
    incoming: Incoming,
    opening: Opening,
    listener: String,
    context: &Context,
    tasks: TaskTracker,
    _guest: Guest,
) {
    let peer = incoming.remote_address();
    let handshake = async { incoming.await };
    let connection = match timeout(HANDSHAKE_TIME_MAX, handshake).await {
        Ok(Ok(connection)) => connection,
        Ok(Err(error)) => return tracing::debug!(%peer, %error, "no QUIC handshake"),
        Err(_) => return tracing::debug!(%peer, "no QUIC handshake in time"),
    };
    drop(opening);
    let streams = TaskTracker::new();
    accept_streams(&connection, &listener, context, &tasks, &streams).await;
    streams.close();
    streams.wait().await;
    connection.close(VarInt::from_u32(0), b"closed");
}

/// Accepts streams until the peer or the server is done, or nothing was open for as long as Kafka allows.
async fn accept_streams(
    connection: &Connection,
    listener: &str,
    context: &Context,
    tasks: &TaskTracker,
    streams: &TaskTracker,
) {
    loop {
        let accepted = tokio::select! {
            biased;
            () = context.stop.cancelled() => return,
            accepted = timeout(connection::IDLE_TIME_MAX, connection.accept_bi()) => accepted,
        };
        let (send, receive) = match accepted {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return tracing::debug!(%error, "QUIC connection closed"),
            Err(_) if streams.is_empty() => return,
            Err(_) => continue,
        };
        let gauge = &context.admission.metrics.connections.quic_stream;
        let peer = connection.remote_address();
        let Some(guest) = context.admission.admit(gauge, &peer) else { continue };
        let (id, security) = (guest.connection_id, ClientSecurity::Encrypted);
        let info = ConnectionInfo::of_client(id, listener.to_owned(), peer, security);
        let context = context.clone();
        tasks.spawn(streams.track_future(async move {
            connection::run(context, info, receive, send).await;
            drop(guest);
        }));
    }
}
