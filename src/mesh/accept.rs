//! Connections of other brokers: who they are, then their streams, each to whoever serves them.
//!
//! Before a peer has proven to be of the cluster it holds a place among the handshakes, and a time; nothing of what it sends is
//! kept beyond what a handshake needs.

use super::carrier::{Connection, RecvStream, SendStream};
use super::config::MeshConfig;
use super::name::MeshName;
use super::preamble::Preamble;
use super::stream::{MeshReader, MeshWriter};
use super::transport::code;
use crate::metrics::MeshMetrics;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use prometheus_client::metrics::gauge::Gauge;
use quinn::{Endpoint, Incoming};
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Answers the requests of other brokers' streams.
pub trait ServeStream: Send + Sync + 'static {
    /// Serves a stream to its end. Must not outlive it: when the connection is lost, reading and writing say so.
    fn serve(&self, stream: MeshStream) -> BoxFuture<'static, ()>;
}

/// A stream of another broker. Frames come in and answers go out, as on a Kafka connection.
#[derive(Debug)]
pub struct MeshStream {
    /// Whose requests it carries.
    pub preamble: Preamble,
    /// Which broker sends it. Proven, the session too if the certificate has it.
    pub peer: MeshName,
    /// That broker's address.
    pub address: SocketAddr,
    /// Requests.
    pub reader: MeshReader,
    /// Answers.
    pub writer: MeshWriter,
}

/// What all accepted connections share.
#[derive(Clone)]
pub(super) struct Doorway {
    pub name: MeshName,
    pub config: Arc<MeshConfig>,
    pub handler: Arc<dyn ServeStream>,
    pub metrics: MeshMetrics,
    pub handshakes: Arc<Semaphore>,
    pub places: Arc<Semaphore>,
    pub stop: CancellationToken,
    pub tasks: TaskTracker,
}

/// With fewer places than this left among the handshakes, a peer first has to prove its address: one in so many.
const PROVE_ADDRESS_BELOW: usize = 2;

/// Accepts connections until the endpoint is closed.
pub(super) async fn accept(endpoint: Endpoint, doorway: Doorway) {
    loop {
        let incoming = tokio::select! {
            biased;
            () = doorway.stop.cancelled() => return,
            incoming = endpoint.accept() => incoming,
        };
        let Some(incoming) = incoming else { return };
        on_incoming(incoming, &doorway);
    }
}

fn on_incoming(incoming: Incoming, doorway: &Doorway) {
    let crowded =
        doorway.handshakes.available_permits() < doorway.config.limits.handshakes_max / PROVE_ADDRESS_BELOW;
    if crowded && incoming.may_retry() {
        return incoming.retry().unwrap_or_else(|_| tracing::debug!("a retry was not possible"));
    }
    let handshake = Arc::clone(&doorway.handshakes).try_acquire_owned();
    let place = Arc::clone(&doorway.places).try_acquire_owned();
    let (Ok(handshake), Ok(place)) = (handshake, place) else {
        doorway.metrics.strangers.inc();
        return incoming.refuse();
    };
    let task = doorway.clone();
    doorway.tasks.spawn(async move {
        let _place = place;
        let address = incoming.remote_address();
        let greeting = async {
            let connection = incoming.await.map_err(|error| error.to_string())?;
            greet(Connection::Quic(connection), &task).await
        };
        let greeting = timeout(task.config.timing.handshake, greeting).await;
        drop(handshake);
        match greeting {
            Ok(Ok((connection, peer))) => serve(&connection, peer, &task).await,
            Ok(Err(reason)) => task.turn_away(address, &reason),
            Err(_) => task.turn_away(address, "not in time"),
        }
    });
}

/// Accepts connections of a simulation, which has no strangers, until its place is closed.
#[cfg(feature = "simulation")]
pub(super) async fn accept_simulated(place: Arc<dyn super::simulated::Place>, doorway: Doorway) {
    loop {
        let line = tokio::select! {
            biased;
            () = doorway.stop.cancelled() => return,
            line = place.accept() => line,
        };
        let Some(line) = line else { return };
        let task = doorway.clone();
        doorway.tasks.spawn(async move {
            let connection = Connection::Simulated(line);
            let address = connection.remote_address();
            match timeout(task.config.timing.handshake, greet(connection, &task)).await {
                Ok(Ok((connection, peer))) => serve(&connection, peer, &task).await,
                Ok(Err(reason)) => task.turn_away(address, &reason),
                Err(_) => task.turn_away(address, "not in time"),
            }
        });
    }
}

/// Names on the first stream of a connection.
async fn greet(connection: Connection, doorway: &Doorway) -> Result<(Connection, MeshName), String> {
    let (mut send, mut receive) = connection.accept_bi().await.map_err(|error| error.to_string())?;
    let heard = doorway.name.hear(&mut receive, &connection.proof()).await;
    let peer = match heard.map_err(|error| error.to_string())? {
        Ok(peer) => peer,
        Err(error) => {
            connection.close(code::WRONG_NAME, error.to_string().as_bytes());
            return Err(error.to_string());
        }
    };
    doorway.name.tell(&mut send).await.map_err(|error| error.to_string())?;
    // The last that is said on this stream.
    send.finish();
    Ok((connection, peer))
}

async fn serve(connection: &Connection, peer: MeshName, doorway: &Doorway) {
    let _counted = Counted::new(&doorway.metrics.connections_in);
    let address = connection.remote_address();
    tracing::debug!(%peer, %address, "a broker has connected");
    loop {
        let stream = tokio::select! {
            biased;
            () = doorway.stop.cancelled() => return connection.close(code::CLOSED, b"stopping"),
            stream = connection.accept_bi() => stream,
        };
        let (writer, reader) = match stream {
            Ok(stream) => stream,
            Err(error) => return tracing::debug!(%peer, %address, %error, "a broker's connection has ended"),
        };
        // QUIC bounds how many there are.
        let task = doorway.clone();
        doorway.tasks.spawn(async move { task.serve_stream(peer, address, reader, writer).await });
    }
}

impl Doorway {
    async fn serve_stream(
        &self,
        peer: MeshName,
        address: SocketAddr,
        mut reader: RecvStream,
        mut writer: SendStream,
    ) {
        let _counted = Counted::new(&self.metrics.streams_in);
        let reading = timeout(self.config.timing.handshake, Preamble::read(&mut reader)).await;
        let preamble = match reading {
            Ok(Ok(Ok(preamble))) => preamble,
            Ok(Ok(Err(error))) => {
                tracing::warn!(%peer, %error, "a broker's stream is refused");
                return refuse(&mut reader, &mut writer);
            }
            // Nothing of a request was read, and the stream may have ended.
            Ok(Err(_)) | Err(_) => return refuse(&mut reader, &mut writer),
        };
        let (reader, writer) = (MeshReader(reader), MeshWriter(writer));
        let stream = MeshStream { preamble, peer, address, reader, writer };
        let serving = AssertUnwindSafe(async { self.handler.serve(stream).await });
        if serving.catch_unwind().await.is_err() {
            tracing::error!(%peer, "panic in a broker's stream, which is closed");
        }
    }

    pub(super) fn turn_away(&self, address: SocketAddr, reason: &str) {
        self.metrics.strangers.inc();
        tracing::debug!(%address, reason, "a connection to the mesh is turned away");
    }
}

fn refuse(reader: &mut RecvStream, writer: &mut SendStream) {
    reader.stop(code::REFUSED);
    writer.reset(code::REFUSED);
}

/// One on a gauge, for as long as it lives.
#[derive(Debug)]
pub(super) struct Counted {
    gauge: Gauge,
}

impl Counted {
    pub(super) fn new(gauge: &Gauge) -> Counted {
        gauge.inc();
        Counted { gauge: gauge.clone() }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.gauge.dec();
    }
}
