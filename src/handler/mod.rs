//! Requests to answers: one file per API, named as Kafka names it.
//!
//! A handler authorizes, splits, asks a room, and translates back. No rule of the log lives here.

use crate::limits::MemoryPermit;
use crate::wire::{RequestFrame, ResponseFrame};
use futures_util::future::BoxFuture;
use std::net::SocketAddr;

/// What a handler may know of the connection that a request came on.
#[derive(Clone, Debug)]
pub struct ConnectionInfo {
    /// Number of the connection in this process, from 1.
    pub connection_id: u64,
    /// The name of the listener it came in by: answers that name brokers use its advertised addresses.
    pub listener: String,
    /// The other side.
    pub peer: SocketAddr,
}

/// What became of a request once its turn came.
pub enum Admitted {
    /// The answer is ready.
    Answer(ResponseFrame),
    /// It was taken in, in its order, and its answer comes later (Produce and Fetch only).
    Waiting(BoxFuture<'static, ResponseFrame>),
    /// Kafka gives no answer to this request (Produce with acks 0).
    Silent,
    /// The request cannot be read, so nothing after it can be trusted: the connection is closed.
    Close,
}

/// Answers requests. One for the whole broker.
pub trait Handle: Send + Sync + 'static {
    /// Takes a request in. The permit is held for as long as the request's bytes are.
    fn admit<'a>(
        &'a self,
        connection: &'a ConnectionInfo,
        request: RequestFrame,
        permit: MemoryPermit,
    ) -> BoxFuture<'a, Admitted>;
}
