//! What carries the mesh's connections and streams: QUIC, with TCP for tell-tales; in a simulation, its network. All else of
//! this room knows only this.

use super::cause::ConnectError;
use super::name::{MeshName, Proof};
#[cfg(feature = "simulation")]
use super::simulated;
use super::tell_tale::{self, TellTaleStream};
use bytes::Bytes;
use quinn::{ConnectionError, Endpoint, ReadError, VarInt, WriteError};
use rustls::pki_types::CertificateDer;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
#[cfg(feature = "simulation")]
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::TlsConnector;

/// What makes connections.
pub(super) enum Carrier {
    Quic(QuicCarrier),
    #[cfg(feature = "simulation")]
    Simulated(Arc<dyn simulated::Place>),
}

pub(super) struct QuicCarrier {
    pub endpoint: Endpoint,
    pub client: quinn::ClientConfig,
    pub connector: TlsConnector,
    pub address: SocketAddr,
}

/// A connection to a broker, or from one. Clones are the same.
#[derive(Clone, Debug)]
pub(super) enum Connection {
    Quic(quinn::Connection),
    #[cfg(feature = "simulation")]
    Simulated(Arc<dyn simulated::Line>),
}

/// Bytes that leave by a stream. Dropped, it ends in the ordinary way.
#[derive(Debug)]
pub(super) enum SendStream {
    Quic(quinn::SendStream),
    #[cfg(feature = "simulation")]
    Simulated(Box<dyn simulated::Sending>),
}

/// Bytes that come by a stream. Dropped, it takes no more.
#[derive(Debug)]
pub(super) enum RecvStream {
    Quic(quinn::RecvStream),
    #[cfg(feature = "simulation")]
    Simulated(Box<dyn simulated::Receiving>),
}

impl Carrier {
    /// A connection to `peer` at `address`, before either side has said who it is.
    pub(super) async fn connect(&self, peer: &MeshName, address: &str) -> Result<Connection, ConnectError> {
        match self {
            Carrier::Quic(quic) => quic.connect(peer, address).await.map(Connection::Quic),
            #[cfg(feature = "simulation")]
            Carrier::Simulated(place) => place.dial(address).await.map(Connection::Simulated),
        }
    }

    /// A tell-tale of `own` to `peer`, which is at its other end.
    pub(super) async fn tell_tale(
        &self,
        own: &MeshName,
        peer: &MeshName,
        address: &str,
    ) -> Result<TellTaleStream, ConnectError> {
        match self {
            Carrier::Quic(quic) => {
                let at = quic.resolve(address).await?;
                tell_tale::connect(&quic.connector, own, peer, at).await
            }
            #[cfg(feature = "simulation")]
            Carrier::Simulated(place) => {
                let (met, ended) = place.dial_tell_tale(address).await?;
                if met == *peer {
                    Ok(TellTaleStream::Simulated(ended))
                } else {
                    Err(ConnectError::Replaced(met.session))
                }
            }
        }
    }
}

impl QuicCarrier {
    async fn connect(&self, peer: &MeshName, address: &str) -> Result<quinn::Connection, ConnectError> {
        let address = self.resolve(address).await?;
        let connecting = self
            .endpoint
            .connect_with(self.client.clone(), address, &peer.broker_name())
            .map_err(|error| ConnectError::Other(error.to_string()))?;
        Ok(connecting.await?)
    }

    /// An address of the kind that our socket can send to.
    async fn resolve(&self, address: &str) -> Result<SocketAddr, ConnectError> {
        let failed = |reason: String| ConnectError::Address { address: address.to_owned(), reason };
        let found = tokio::net::lookup_host(address).await.map_err(|error| failed(error.to_string()))?;
        let v4_only = self.address.is_ipv4();
        let mut usable = found.filter(|address| address.is_ipv4() || !v4_only);
        usable.next().ok_or_else(|| failed("it has no address that this broker's mesh can reach".to_owned()))
    }
}

impl Connection {
    /// A stream that we begin.
    pub(super) async fn open_bi(&self) -> Result<(SendStream, RecvStream), ConnectionError> {
        match self {
            Connection::Quic(connection) => connection.open_bi().await.map(of_quic),
            #[cfg(feature = "simulation")]
            Connection::Simulated(line) => line.open().await.map(of_simulation),
        }
    }

    /// The next stream that the other side begins.
    pub(super) async fn accept_bi(&self) -> Result<(SendStream, RecvStream), ConnectionError> {
        match self {
            Connection::Quic(connection) => connection.accept_bi().await.map(of_quic),
            #[cfg(feature = "simulation")]
            Connection::Simulated(line) => line.accept().await.map(of_simulation),
        }
    }

    /// Waits for its end; why it has ended.
    pub(super) async fn closed(&self) -> ConnectionError {
        match self {
            Connection::Quic(connection) => connection.closed().await,
            #[cfg(feature = "simulation")]
            Connection::Simulated(line) => line.closed().await,
        }
    }

    /// Why it has ended, if it has.
    pub(super) fn close_reason(&self) -> Option<ConnectionError> {
        match self {
            Connection::Quic(connection) => connection.close_reason(),
            #[cfg(feature = "simulation")]
            Connection::Simulated(line) => line.close_reason(),
        }
    }

    /// Ends it, and tells the other side.
    pub(super) fn close(&self, code: VarInt, reason: &[u8]) {
        match self {
            Connection::Quic(connection) => connection.close(code, reason),
            #[cfg(feature = "simulation")]
            Connection::Simulated(line) => line.close(code, reason),
        }
    }

    /// Where the other side is.
    pub(super) fn remote_address(&self) -> SocketAddr {
        match self {
            Connection::Quic(connection) => connection.remote_address(),
            #[cfg(feature = "simulation")]
            Connection::Simulated(line) => line.remote_address(),
        }
    }

    /// A figure that changes when the other side's process answers: acknowledgements of what we sent, and what it sends.
    pub(super) fn answers(&self) -> (usize, u64) {
        match self {
            Connection::Quic(connection) => {
                let frames = connection.stats().frame_rx;
                (connection.stable_id(), frames.acks + frames.stream)
            }
            #[cfg(feature = "simulation")]
            Connection::Simulated(line) => line.answers(),
        }
    }

    /// What the other side has proven to be.
    pub(super) fn proof(&self) -> Proof {
        match self {
            Connection::Quic(connection) => {
                let chain = connection.peer_identity();
                let chain = chain.and_then(|chain| chain.downcast::<Vec<CertificateDer<'static>>>().ok());
                Proof::from(chain.as_deref().map(Vec::as_slice))
            }
            #[cfg(feature = "simulation")]
            Connection::Simulated(_) => Proof::Simulated,
        }
    }
}

fn of_quic((send, receive): (quinn::SendStream, quinn::RecvStream)) -> (SendStream, RecvStream) {
    (SendStream::Quic(send), RecvStream::Quic(receive))
}

#[cfg(feature = "simulation")]
fn of_simulation(
    (send, receive): (Box<dyn simulated::Sending>, Box<dyn simulated::Receiving>),
) -> (SendStream, RecvStream) {
    (SendStream::Simulated(send), RecvStream::Simulated(receive))
}

impl SendStream {
    /// Gives all of the chunks to the connection.
    pub(super) async fn write_all_chunks(&mut self, chunks: &mut [Bytes]) -> Result<(), WriteError> {
        match self {
            SendStream::Quic(stream) => stream.write_all_chunks(chunks).await,
            #[cfg(feature = "simulation")]
            SendStream::Simulated(stream) => {
                for chunk in chunks {
                    while !chunk.is_empty() {
                        let taken = std::future::poll_fn(|cx| stream.poll_write(cx, chunk)).await?;
                        bytes::Buf::advance(chunk, taken);
                    }
                }
                Ok(())
            }
        }
    }

    /// Gives it up: what the other side has of it is not whole. Does nothing where the stream has ended.
    pub(super) fn reset(&mut self, code: VarInt) {
        match self {
            SendStream::Quic(stream) => drop(stream.reset(code)),
            #[cfg(feature = "simulation")]
            SendStream::Simulated(stream) => stream.reset(code),
        }
    }

    /// Nothing comes after this. Does nothing where the stream has ended.
    pub(super) fn finish(&mut self) {
        match self {
            SendStream::Quic(stream) => drop(stream.finish()),
            #[cfg(feature = "simulation")]
            SendStream::Simulated(stream) => stream.finish(),
        }
    }
}

impl RecvStream {
    /// The next bytes, `bytes_max` at most; none at the stream's end.
    pub(super) async fn read_chunk(&mut self, bytes_max: usize) -> Result<Option<Bytes>, ReadError> {
        match self {
            RecvStream::Quic(stream) => {
                let chunk = stream.read_chunk(bytes_max, true).await?;
                Ok(chunk.map(|chunk| chunk.bytes))
            }
            #[cfg(feature = "simulation")]
            RecvStream::Simulated(stream) => std::future::poll_fn(|cx| stream.poll_read(cx, bytes_max)).await,
        }
    }

    /// The next bytes, as many as there are and have room; none at the stream's end.
    pub(super) async fn read(&mut self, buffer: &mut [u8]) -> Result<Option<usize>, ReadError> {
        match self {
            RecvStream::Quic(stream) => stream.read(buffer).await,
            #[cfg(feature = "simulation")]
            RecvStream::Simulated(stream) => {
                let read = std::future::poll_fn(|cx| stream.poll_read(cx, buffer.len())).await?;
                Ok(read.map(|bytes| {
                    buffer[..bytes.len()].copy_from_slice(&bytes);
                    bytes.len()
                }))
            }
        }
    }

    /// Takes no more, and tells the other side. Does nothing where the stream has ended.
    pub(super) fn stop(&mut self, code: VarInt) {
        match self {
            RecvStream::Quic(stream) => drop(stream.stop(code)),
            #[cfg(feature = "simulation")]
            RecvStream::Simulated(stream) => stream.stop(code),
        }
    }
}

impl AsyncRead for RecvStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            RecvStream::Quic(stream) => AsyncRead::poll_read(Pin::new(stream), cx, buffer),
            #[cfg(feature = "simulation")]
            RecvStream::Simulated(stream) => stream.poll_read(cx, buffer.remaining()).map(|read| {
                if let Some(bytes) = read? {
                    buffer.put_slice(&bytes);
                }
                Ok(())
            }),
        }
    }
}

impl AsyncWrite for SendStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            SendStream::Quic(stream) => AsyncWrite::poll_write(Pin::new(stream), cx, bytes),
            #[cfg(feature = "simulation")]
            SendStream::Simulated(stream) => stream.poll_write(cx, bytes).map_err(io::Error::from),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            SendStream::Quic(stream) => AsyncWrite::poll_flush(Pin::new(stream), cx),
            #[cfg(feature = "simulation")]
            SendStream::Simulated(_) => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            SendStream::Quic(stream) => AsyncWrite::poll_shutdown(Pin::new(stream), cx),
            #[cfg(feature = "simulation")]
            SendStream::Simulated(stream) => {
                stream.finish();
                Poll::Ready(Ok(()))
            }
        }
    }
}
