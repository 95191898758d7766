//! Turns at writing long answers: who reads megabytes must not be felt by who produces.
//!
//! A reader far behind takes an answer of some MiB as fast as its socket does, and every write of it is copied by the
//! thread that all other connections wait for. So what is long is written piece by piece, in turns: fewer at once than
//! there are threads, one after the other in the order of asking, and after each piece everybody else comes first,
//! those included whose requests lie unread in their sockets. Short answers, those of Produce and most at the tail,
//! know nothing of it.
//!
//! A turn is taken for one write and never kept while a peer is waited for.

use crate::background::Background;
use futures_util::future::BoxFuture;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::PollSemaphore;

/// What is written at once, in bytes; longer answers are written in turns.
pub(super) const PIECE_BYTES: usize = 256 * 1024;

/// The turns of all connections of a server.
pub(super) fn of_a_server() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(Background::share_of_processors()))
}

/// One connection's turns.
pub(super) struct Turns {
    of_all: PollSemaphore,
    turn: Option<OwnedSemaphorePermit>,
    /// Others come first.
    rest: Option<BoxFuture<'static, ()>>,
}

impl Turns {
    /// Of those that `of_all` has for everybody.
    pub fn new(of_all: Arc<Semaphore>) -> Turns {
        Turns { of_all: PollSemaphore::new(of_all), turn: None, rest: None }
    }

    /// Whether a piece may be written of the `bytes` that are due; then [`Turns::end`] follows.
    pub fn poll_begin(&mut self, cx: &mut Context<'_>, bytes: usize) -> Poll<()> {
        if let Some(rest) = &mut self.rest {
            ready!(rest.as_mut().poll(cx));
            self.rest = None;
        }
        if bytes > PIECE_BYTES && self.turn.is_none() {
            self.turn = ready!(self.of_all.poll_acquire(cx));
        }
        Poll::Ready(())
    }

    /// A piece was written, or cannot be now.
    pub fn end(&mut self) {
        if self.turn.take().is_some() {
            self.rest = Some(Box::pin(tokio::task::yield_now()));
        }
    }
}
