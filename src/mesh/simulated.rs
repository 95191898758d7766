//! What a simulation has to be in place of QUIC and TCP. The words are QUIC's: what a connection or a stream ends with is told by
//! the same errors, so that whoever judges them is the same.

use super::cause::ConnectError;
use super::name::MeshName;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use quinn::{ConnectionError, ReadError, VarInt, WriteError};
use std::fmt::Debug;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};

/// A network as one broker has it.
pub trait Network: Send + Sync + Debug {
    /// Takes this broker's place for a session, which has it until it is closed.
    fn listen(&self, name: MeshName) -> Arc<dyn Place>;
}

/// A session's place on the network.
pub trait Place: Send + Sync {
    /// Where others reach it.
    fn address(&self) -> SocketAddr;
    /// A connection to whoever listens at `address`.
    fn dial(&self, address: &str) -> BoxFuture<'static, Result<Arc<dyn Line>, ConnectError>>;
    /// A tell-tale: who is at its other end, and what is over when that process is.
    fn dial_tell_tale(
        &self,
        address: &str,
    ) -> BoxFuture<'static, Result<(MeshName, BoxFuture<'static, ()>), ConnectError>>;
    /// The next connection that somebody makes; none once it is closed.
    fn accept(&self) -> BoxFuture<'_, Option<Arc<dyn Line>>>;
    /// Ends all connections, and tells the other sides.
    fn close(&self, code: VarInt, reason: &[u8]);
}

/// What a line opens or accepts.
pub type Stream = (Box<dyn Sending>, Box<dyn Receiving>);

/// One side of a connection.
pub trait Line: Send + Sync + Debug {
    /// A stream that we begin.
    fn open(&self) -> BoxFuture<'_, Result<Stream, ConnectionError>>;
    /// The next that the other side begins.
    fn accept(&self) -> BoxFuture<'_, Result<Stream, ConnectionError>>;
    /// Waits for its end.
    fn closed(&self) -> BoxFuture<'_, ConnectionError>;
    /// Why it has ended, if it has.
    fn close_reason(&self) -> Option<ConnectionError>;
    /// Ends it.
    fn close(&self, code: VarInt, reason: &[u8]);
    /// Where the other side is.
    fn remote_address(&self) -> SocketAddr;
    /// Which line this is, and a figure that changes when the other side's process answers.
    fn answers(&self) -> (usize, u64);
}

/// Bytes that leave. Dropped, it finishes.
pub trait Sending: Send + Sync + Debug {
    /// Takes some of `bytes`.
    fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize, WriteError>>;
    /// Gives the stream up.
    fn reset(&mut self, code: VarInt);
    /// Nothing comes after this.
    fn finish(&mut self);
}

/// Bytes that come. Dropped, it stops.
pub trait Receiving: Send + Sync + Debug {
    /// Some bytes, `bytes_max` at most; none at the end.
    fn poll_read(&mut self, cx: &mut Context<'_>, bytes_max: usize)
    -> Poll<Result<Option<Bytes>, ReadError>>;
    /// Takes no more.
    fn stop(&mut self, code: VarInt);
}
