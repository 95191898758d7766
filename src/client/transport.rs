//! Opens the two halves of a byte stream to a broker: TCP, TLS, or a bidirectional stream of QUIC.

use super::{ClientError, Endpoint, Scheme, TlsTrust, tls};
use parking_lot::Mutex;
use quinn::crypto::rustls::QuicClientConfig;
use std::fmt::Display;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

pub(super) type ReadHalf = Box<dyn AsyncRead + Send + Unpin>;

/// The writing half, which knows how its transport ends.
pub(super) enum WriteHalf {
    /// TCP or TLS.
    Stream(Box<dyn AsyncWrite + Send + Unpin>),
    /// A QUIC stream and its connection, which closes when this is dropped.
    Quic(quinn::SendStream, quinn::Connection),
}

/// Opens connections; holds what they share.
pub(super) struct Dialer {
    trust: TlsTrust,
    tls: Mutex<Option<Arc<rustls::ClientConfig>>>,
    quic: Mutex<Option<quinn::ClientConfig>>,
}

/// Windows of the client: large, as it is the one that pays for them.
const STREAM_WINDOW_BYTES: u32 = 32 << 20;
const SEND_WINDOW_BYTES: u64 = 32 << 20;
const UDP_BUFFER_BYTES: u64 = 1452;
/// A broker that is killed closes nothing on UDP: its silence is the only word.
const IDLE_TIMEOUT: Duration = Duration::from_secs(6);
const KEEP_ALIVE: Duration = Duration::from_millis(1500);
/// How long the end of a QUIC stream may take to be acknowledged.
const FINISH_TIMEOUT: Duration = Duration::from_secs(5);

impl Dialer {
    pub(super) fn new(trust: TlsTrust) -> Dialer {
        Dialer { trust, tls: Mutex::new(None), quic: Mutex::new(None) }
    }

    pub(super) async fn dial(&self, endpoint: &Endpoint) -> Result<(ReadHalf, WriteHalf), ClientError> {
        match endpoint.scheme {
            Scheme::Tcp => {
                let (read, write) = dial_tcp(endpoint).await?.into_split();
                Ok((Box::new(read), WriteHalf::Stream(Box::new(write))))
            }
            Scheme::Tls => {
                let connector = TlsConnector::from(self.tls_config()?);
                let name = rustls::pki_types::ServerName::try_from(endpoint.host.clone());
                let name = name.map_err(|error| connect_error(endpoint, &error))?;
                let stream = connector.connect(name, dial_tcp(endpoint).await?).await;
                let (read, write) =
                    tokio::io::split(stream.map_err(|error| handshake_error(endpoint, &error))?);
                Ok((Box::new(read), WriteHalf::Stream(Box::new(write))))
            }
            Scheme::Quic => self.dial_quic(endpoint).await,
        }
    }

    async fn dial_quic(&self, endpoint: &Endpoint) -> Result<(ReadHalf, WriteHalf), ClientError> {
        let mut last = String::from("the name has no address");
        for address in resolve(endpoint).await? {
            let connecting = self.quic_endpoint(endpoint)?.connect(address, &endpoint.host);
            let connection = match connecting {
                Ok(connecting) => connecting.await,
                Err(error) => return Err(connect_error(endpoint, &error)),
            };
            match connection {
                Ok(connection) => {
                    let (send, receive) =
                        connection.open_bi().await.map_err(|error| connect_error(endpoint, &error))?;
                    return Ok((Box::new(receive), WriteHalf::Quic(send, connection)));
                }
                Err(error) => last = tls::handshake_failure(&error.to_string()),
            }
        }
        Err(connect_error(endpoint, &last))
    }

    fn tls_config(&self) -> Result<Arc<rustls::ClientConfig>, ClientError> {
        let mut shared = self.tls.lock();
        if let Some(config) = shared.as_ref() {
            return Ok(Arc::clone(config));
        }
        let config = Arc::new(tls::client_config(&self.trust, &[])?);
        *shared = Some(Arc::clone(&config));
        Ok(config)
    }

    /// An endpoint for one connection. Each has a port of its own: load balancers tell UDP clients apart by it, and one whose
    /// broker is gone may keep sending there what comes from the same port.
    fn quic_endpoint(&self, endpoint: &Endpoint) -> Result<quinn::Endpoint, ClientError> {
        let local: SocketAddr = "[::]:0".parse().expect("an address");
        let local_v4: SocketAddr = "0.0.0.0:0".parse().expect("an address");
        let mut quic = quinn::Endpoint::client(local)
            .or_else(|_| quinn::Endpoint::client(local_v4))
            .map_err(|error| connect_error(endpoint, &error))?;
        quic.set_default_client_config(self.quic_config(endpoint)?);
        Ok(quic)
    }

    fn quic_config(&self, endpoint: &Endpoint) -> Result<quinn::ClientConfig, ClientError> {
        let mut shared = self.quic.lock();
        if let Some(config) = shared.as_ref() {
            return Ok(config.clone());
        }
        let crypto = tls::client_config(&self.trust, &[b"kafka"])?;
        let crypto = QuicClientConfig::try_from(crypto).map_err(|error| connect_error(endpoint, &error))?;
        let mut config = quinn::ClientConfig::new(Arc::new(crypto));
        config.transport_config(Arc::new(quic_transport()));
        *shared = Some(config.clone());
        Ok(config)
    }
}

fn quic_transport() -> quinn::TransportConfig {
    let mut transport = quinn::TransportConfig::default();
    transport
        .stream_receive_window(STREAM_WINDOW_BYTES.into())
        .receive_window(STREAM_WINDOW_BYTES.into())
        .send_window(SEND_WINDOW_BYTES)
        .max_concurrent_bidi_streams(0u32.into())
        .max_concurrent_uni_streams(0u32.into())
        .initial_mtu(u16::try_from(UDP_BUFFER_BYTES).expect("it fits"))
        .max_idle_timeout(Some(IDLE_TIMEOUT.try_into().expect("seconds fit")))
        .keep_alive_interval(Some(KEEP_ALIVE));
    transport
}

async fn resolve(endpoint: &Endpoint) -> Result<Vec<SocketAddr>, ClientError> {
    let found = tokio::net::lookup_host((endpoint.host.as_str(), endpoint.port)).await;
    found.map(Iterator::collect).map_err(|error| connect_error(endpoint, &error))
}

async fn dial_tcp(endpoint: &Endpoint) -> Result<TcpStream, ClientError> {
    let stream = TcpStream::connect((endpoint.host.as_str(), endpoint.port)).await;
    let stream = stream.map_err(|error| connect_error(endpoint, &error))?;
    stream.set_nodelay(true).map_err(|error| connect_error(endpoint, &error))?;
    Ok(stream)
}

fn handshake_error(endpoint: &Endpoint, reason: &dyn Display) -> ClientError {
    connect_error(endpoint, &tls::handshake_failure(&reason.to_string()))
}

pub(super) fn connect_error(endpoint: &Endpoint, reason: &dyn Display) -> ClientError {
    ClientError::Connect { endpoint: endpoint.to_string(), reason: reason.to_string() }
}

impl WriteHalf {
    /// Writes all of `frame`. A QUIC stream takes it without a copy.
    pub(super) async fn write(&mut self, frame: bytes::Bytes) -> io::Result<()> {
        match self {
            WriteHalf::Stream(stream) => stream.write_all(&frame).await,
            WriteHalf::Quic(stream, _) => stream.write_chunk(frame).await.map_err(io::Error::other),
        }
    }

    /// Pushes out what TLS may hold back.
    pub(super) async fn flush(&mut self) -> io::Result<()> {
        match self {
            WriteHalf::Stream(stream) => stream.flush().await,
            WriteHalf::Quic(..) => Ok(()),
        }
    }

    /// Says that nothing follows, and waits until the peer's side has it all.
    pub(super) async fn finish(mut self) {
        match &mut self {
            WriteHalf::Stream(stream) => drop(stream.shutdown().await),
            WriteHalf::Quic(stream, connection) => {
                if stream.finish().is_ok() {
                    drop(tokio::time::timeout(FINISH_TIMEOUT, stream.stopped()).await);
                }
                connection.close(0u32.into(), b"done");
            }
        }
    }
}
