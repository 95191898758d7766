//! Looks at the first bytes of each connection to the HTTP port, and says in the log when they are Kafka's or TLS's:
//! whoever mistook the port would see nothing but a closed connection. Never changes or holds back a byte.

use axum::serve::Listener;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

/// A listener whose connections are looked at.
pub(super) struct Attentive {
    listener: TcpListener,
    strangers: Arc<AtomicU64>,
}

/// A connection that is looked at once.
pub(super) struct Heard {
    stream: TcpStream,
    peer: SocketAddr,
    /// Nothing when its first bytes have come.
    strangers: Option<Arc<AtomicU64>>,
}

impl Attentive {
    pub(super) fn new(listener: TcpListener) -> Attentive {
        Attentive { listener, strangers: Arc::default() }
    }
}

impl Listener for Attentive {
    type Io = Heard;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Heard, SocketAddr) {
        let (stream, peer) = Listener::accept(&mut self.listener).await;
        (Heard { stream, peer, strangers: Some(Arc::clone(&self.strangers)) }, peer)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// What a connection speaks that begins so, if not HTTP. A Kafka frame begins with its length in four bytes, the
/// first of which is zero below 16 MiB; HTTP begins with a letter.
pub(super) fn other_protocol(first: &[u8]) -> Option<&'static str> {
    match first {
        [0, ..] => Some("Kafka"),
        [0x16] | [0x16, 0x03, ..] => Some("TLS"),
        _ => None,
    }
}

/// Logs the first, second, fourth, eighth … stranger: one that comes again and again does not fill the log.
fn on_first_bytes(first: &[u8], peer: SocketAddr, strangers: &AtomicU64) {
    let Some(protocol) = other_protocol(first) else { return };
    let number = strangers.fetch_add(1, Ordering::Relaxed) + 1;
    if number.is_power_of_two() {
        tracing::warn!(%peer, protocol, number, "not HTTP came to the HTTP port; Kafka is spoken where --listen says");
    }
}

impl AsyncRead for Heard {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        if let Some(strangers) = self.strangers.take() {
            on_first_bytes(&buffer.filled()[before..], self.peer, &strangers);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Heard {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
