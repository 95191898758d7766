//! Streams of other brokers, each a Kafka connection whose client is elsewhere: the same loop.
//!
//! What comes so is answered here or refused, never sent on (`handler::Origin`). So a stream never waits for another broker
//! for the memory of its frames, which is a budget of its own: were it the clients', two brokers that are full of each
//! other's requests would wait for each other.
//!
//! The door is there before the first session is, and outlives sessions. A stream that comes before it is opened waits
//! a moment.

use super::admission::Admission;
use super::connection::{self, Context};
use crate::config::LimitsConfig;
use crate::handler::{ConnectionInfo, Handle, Origin};
use crate::limits::MemoryBudget;
use crate::mesh::{MeshStream, ServeStream};
use crate::metrics::Metrics;
use futures_util::future::BoxFuture;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// Serves other brokers' streams. Clones are the same door.
#[derive(Clone)]
pub struct MeshDoor {
    opened: Arc<watch::Sender<Option<Context>>>,
    stop: CancellationToken,
}

/// How long a stream waits for the door.
const OPEN_TIME_MAX: Duration = Duration::from_secs(5);
/// Of the memory for clients' requests, brokers' requests may take as much again as one part in so many.
const MEMORY_PART: usize = 2;

impl MeshDoor {
    /// A door that nobody answers behind yet.
    #[must_use]
    pub fn new() -> MeshDoor {
        MeshDoor { opened: Arc::new(watch::Sender::new(None)), stop: CancellationToken::new() }
    }

    /// From now on `handler` answers.
    pub fn open(&self, handler: Arc<dyn Handle>, limits: LimitsConfig, metrics: Arc<Metrics>) {
        let budget = MemoryBudget::new(limits.request_memory_bytes / MEMORY_PART);
        let admission = Arc::new(Admission::of_brokers(budget, metrics));
        let context = Context { handler, admission, limits, stop: self.stop.clone() };
        self.opened.send_replace(Some(context));
    }

    /// Takes no further requests in; what was admitted is answered.
    pub fn close(&self) {
        self.stop.cancel();
    }
}

impl Default for MeshDoor {
    fn default() -> MeshDoor {
        MeshDoor::new()
    }
}

impl std::fmt::Debug for MeshDoor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MeshDoor").field("is_open", &self.opened.borrow().is_some()).finish_non_exhaustive()
    }
}

impl ServeStream for MeshDoor {
    fn serve(&self, stream: MeshStream) -> BoxFuture<'static, ()> {
        let door = self.clone();
        Box::pin(async move {
            let mut opened = door.opened.subscribe();
            let opening = timeout(OPEN_TIME_MAX, opened.wait_for(Option::is_some)).await;
            let context = opening.ok().and_then(Result::ok).and_then(|context| context.clone());
            let Some(context) = context else {
                return tracing::debug!(peer = %stream.peer, "a broker's stream came before there was a session");
            };
            let MeshStream { preamble, peer, reader, writer, .. } = stream;
            let info = ConnectionInfo {
                connection_id: context.admission.next_number(),
                listener: preamble.listener,
                peer: preamble.client,
                security: preamble.security,
                origin: Origin::Broker { name: peer, view: preamble.view },
                ended: CancellationToken::new(),
            };
            connection::run(context, info, reader, writer).await;
        })
    }
}
