//! Streams that keep the order of what one client's connection sends to one leader.
//!
//! They end with the client's connection, which the leader sees as the end of a connection of its own.

use super::At;
use super::route::Route;
use crate::handler::ConnectionInfo;
use crate::hashing::HashMap;
use crate::mesh::{NotSent, OrderedStream, PendingAnswer};
use crate::types::SessionId;
use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::hash_map::Entry;
use std::fmt;
use std::sync::Arc;
use tokio::sync::Mutex as AsyncMutex;
use tokio::time::Instant;

/// What a stream carries: each has its own, as answers come in the order of their requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Carries {
    /// Produce.
    Produce,
    /// What a member of a share group asks and says.
    Share,
}

/// The streams of one client's connection.
type Open = HashMap<(SessionId, Carries), OrderedStream>;

/// What is known of one client's connection.
struct Of {
    streams: Arc<AsyncMutex<Open>>,
    /// Where its last request of a share group went that named a partition.
    share: Route,
}

impl Default for Of {
    fn default() -> Of {
        Of { streams: Arc::default(), share: Route::Here }
    }
}

/// The streams of all clients' connections.
#[derive(Default)]
pub struct Streams {
    by_connection: Mutex<HashMap<u64, Of>>,
}

impl Streams {
    /// Sends `request` to `session` after all that this connection has sent there before.
    pub(super) async fn send(
        &self,
        at: At<'_>,
        to: (SessionId, Carries),
        request: Bytes,
        deadline: Instant,
    ) -> Result<PendingAnswer, NotSent> {
        let streams = self.of(at.connection);
        let mut streams = streams.lock().await;
        let stream = open(&mut streams, at, to, deadline).await?;
        stream.send(request, deadline).await
    }

    /// Sends a request that has no answer.
    pub(super) async fn send_unanswered(
        &self,
        at: At<'_>,
        to: (SessionId, Carries),
        request: Bytes,
        deadline: Instant,
    ) -> Result<(), NotSent> {
        let streams = self.of(at.connection);
        let mut streams = streams.lock().await;
        open(&mut streams, at, to, deadline).await?.send_unanswered(request, deadline).await
    }

    /// The connection has ended, and its streams do.
    pub fn on_disconnect(&self, connection_id: u64) {
        self.by_connection.lock().remove(&connection_id);
    }

    /// Where a request of a share group goes: as its partition says, or with the one before it.
    pub(super) fn share_route(&self, connection: &ConnectionInfo, named: Option<Route>) -> Route {
        match named {
            Some(named) => self.with(connection, |of| of.share = named).map_or(Route::Here, |()| named),
            None => self.with(connection, |of| of.share).unwrap_or(Route::Here),
        }
    }

    fn of(&self, connection: &ConnectionInfo) -> Arc<AsyncMutex<Open>> {
        self.with(connection, |of| Arc::clone(&of.streams)).unwrap_or_default()
    }

    /// What is known of a connection; none of one that has ended, as nobody would let go of it.
    fn with<T>(&self, connection: &ConnectionInfo, use_it: impl FnOnce(&mut Of) -> T) -> Option<T> {
        let mut by_connection = self.by_connection.lock();
        if connection.ended.is_cancelled() {
            return None;
        }
        Some(use_it(by_connection.entry(connection.connection_id).or_default()))
    }
}

/// The stream there is, or a new one. Those that are over are let go of.
async fn open<'a>(
    streams: &'a mut Open,
    at: At<'_>,
    to: (SessionId, Carries),
    deadline: Instant,
) -> Result<&'a mut OrderedStream, NotSent> {
    streams.retain(|_, stream| !stream.is_over());
    match streams.entry(to) {
        Entry::Occupied(there) => Ok(there.into_mut()),
        Entry::Vacant(place) => {
            Ok(place.insert(at.context.peers.open_ordered(to.0, at.client(), deadline).await?))
        }
    }
}

impl fmt::Debug for Streams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Streams").field("connections", &self.by_connection.lock().len()).finish()
    }
}
