//! The tell-tale: a TCP connection on which nothing is said but who is there. Its end is the message.
//!
//! A kernel closes the sockets of a process that ends, however it ends, and tells the other side at once; QUIC lives in
//! the process and says nothing. The tell-tale goes to the port with the number of the mesh's own, TCP instead of UDP, and begins
//! with the same TLS and the same names, so that no stranger can pretend to be a broker that lives, nor hold a socket:
//! until it has proven who it is it has a place among few, and a short time. Now and then whoever made it sends a byte, so that
//! no box on the way forgets it.

use super::accept::Doorway;
use super::cause::ConnectError;
use super::name::MeshName;
use rustls::pki_types::ServerName;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};
use tokio_util::sync::CancellationToken;

/// What is read at once of the bytes that mean nothing.
const BEAT_BYTES_MAX: usize = 64;
/// Out of file descriptors, nothing tells when one is free again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The end that is made by whoever wants to know.
pub(super) enum TellTaleStream {
    Tls(Box<client::TlsStream<TcpStream>>),
    /// A future that is over when the peer's process is.
    #[cfg(feature = "simulation")]
    Simulated(futures_util::future::BoxFuture<'static, ()>),
}

/// Makes a tell-tale to a peer. The session at its other end is `wanted`'s, or it is an error.
pub(super) async fn connect(
    connector: &TlsConnector,
    own: &MeshName,
    wanted: &MeshName,
    address: SocketAddr,
) -> Result<TellTaleStream, ConnectError> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let mut stream = connector.connect(server_name(wanted), stream).await?;
    own.tell(&mut stream).await?;
    let proof = stream.get_ref().1.peer_certificates().into();
    let peer = own.hear(&mut stream, &proof).await??;
    if peer != *wanted {
        return Err(ConnectError::Replaced(peer.session));
    }
    Ok(TellTaleStream::Tls(Box::new(stream)))
}

/// What the peer's certificate has to be for.
fn server_name(peer: &MeshName) -> ServerName<'static> {
    ServerName::try_from(peer.broker_name()).expect("letters, digits, hyphens and dots")
}

impl TellTaleStream {
    /// Waits until it ends.
    pub(super) async fn ended(self, beat: Duration) {
        #[cfg(not(feature = "simulation"))]
        let TellTaleStream::Tls(mut stream) = self;
        #[cfg(feature = "simulation")]
        let mut stream = match self {
            TellTaleStream::Tls(stream) => stream,
            TellTaleStream::Simulated(ended) => return ended.await,
        };
        let mut buffer = [0; BEAT_BYTES_MAX];
        let mut beat_at = Instant::now() + beat;
        loop {
            match timeout_at(beat_at, stream.read(&mut buffer)).await {
                Ok(Ok(0) | Err(_)) => return,
                Ok(Ok(_)) => {}
                Err(_) => {
                    beat_at = Instant::now() + beat;
                    if send_beat(&mut stream).await.is_err() {
                        return;
                    }
                }
            }
        }
    }
}

async fn send_beat(stream: &mut client::TlsStream<TcpStream>) -> io::Result<()> {
    stream.write_all(&[0]).await?;
    stream.flush().await
}

/// What the accepting side needs besides the doorway.
pub(super) struct TellTaleDoor {
    pub listener: TcpListener,
    pub acceptor: TlsAcceptor,
    pub doorway: Doorway,
    pub handshakes: Arc<Semaphore>,
    pub places: Arc<Semaphore>,
}

impl TellTaleDoor {
    /// Accepts tell-tales until the endpoint is closed.
    pub(super) async fn accept(self) {
        let stop = self.doorway.stop.clone();
        loop {
            let accepted = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                accepted = self.listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, address)) => self.on_accepted(stream, address),
                Err(error) => {
                    tracing::debug!(%error, "a tell-tale could not be accepted");
                    if timeout(ACCEPT_PAUSE, stop.cancelled()).await.is_ok() {
                        return;
                    }
                }
            }
        }
    }

    fn on_accepted(&self, stream: TcpStream, address: SocketAddr) {
        let handshake = Arc::clone(&self.handshakes).try_acquire_owned();
        let place = Arc::clone(&self.places).try_acquire_owned();
        let (Ok(handshake), Ok(place)) = (handshake, place) else {
            return self.doorway.turn_away(address, "too many tell-tales");
        };
        let (acceptor, doorway) = (self.acceptor.clone(), self.doorway.clone());
        self.doorway.tasks.spawn(async move {
            let _place = place;
            let timing = doorway.config.timing;
            let greeting = timeout(timing.handshake, greet(&acceptor, &doorway.name, stream)).await;
            drop(handshake);
            match greeting {
                Ok(Ok(stream)) => hold(stream, timing.beat_missing, &doorway.stop).await,
                Ok(Err(error)) => doorway.turn_away(address, &error.to_string()),
                Err(_) => doorway.turn_away(address, "not in time"),
            }
        });
    }
}

async fn greet(
    acceptor: &TlsAcceptor,
    own: &MeshName,
    stream: TcpStream,
) -> Result<server::TlsStream<TcpStream>, ConnectError> {
    stream.set_nodelay(true)?;
    let mut stream = acceptor.accept(stream).await?;
    let proof = stream.get_ref().1.peer_certificates().into();
    own.hear(&mut stream, &proof).await??;
    own.tell(&mut stream).await?;
    Ok(stream)
}

/// Holds it until its other side ends, or says nothing for too long.
async fn hold(mut stream: server::TlsStream<TcpStream>, beat_missing: Duration, stop: &CancellationToken) {
    let mut buffer = [0; BEAT_BYTES_MAX];
    loop {
        let read = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            read = timeout(beat_missing, stream.read(&mut buffer)) => read,
        };
        if !matches!(read, Ok(Ok(1..))) {
            return;
        }
    }
}
