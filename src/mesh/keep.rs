//! Keeps the connections to a peer, and looks whether it answers.
//!
//! ```text
//! keep_connected   QUIC: make, tell names, wait for its end, again     ─▶ link: whoever calls waits for it
//! keep_tell_tale   TCP: make, tell names, wait for its end, again      ─┐
//! look             every few milliseconds: has the peer answered?       ├─▶ watchman ─▶ sighting
//! ```
//! The three run for as long as there is a handle, with pauses that grow while nothing answers.

use super::accept::Counted;
use super::backoff::Backoff;
use super::call::NotSent;
use super::carrier::Connection;
use super::cause::ConnectError;
use super::name::MeshName;
use super::peer::Dialer;
use super::reachability::{Reachability, Sighting, TellTale, Watchman};
use super::tell_tale;
use super::transport::code;
use futures_util::FutureExt;
use parking_lot::Mutex;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

/// The QUIC connection.
#[derive(Clone, Debug)]
enum Link {
    Connecting,
    Up(Connection),
    Down(ConnectError),
}

/// What the peer's handles and its task share.
pub(super) struct Shared {
    pub(super) peer: MeshName,
    pub(super) address: String,
    pub(super) dialer: Arc<Dialer>,
    link: watch::Sender<Link>,
    watched: Mutex<Watched>,
    pub(super) sighting: watch::Sender<Sighting>,
}

struct Watched {
    watchman: Watchman,
    up: Option<Counted>,
}

/// Looks within the time that makes a silence.
const LOOKS: u32 = 8;
/// So many looks that were missed are a pause of our own.
const LOOKS_MISSED: u32 = 4;

fn look_every(silence: Duration) -> Duration {
    (silence / LOOKS).max(Duration::from_millis(1))
}

impl Shared {
    pub(super) fn new(peer: MeshName, address: String, dialer: Arc<Dialer>) -> Shared {
        let silence = dialer.config.timing.silence;
        let watchman = Watchman::new(Instant::now(), silence, look_every(silence) * LOOKS_MISSED);
        Shared {
            peer,
            address,
            dialer,
            link: watch::Sender::new(Link::Connecting),
            sighting: watch::Sender::new(watchman.sighting()),
            watched: Mutex::new(Watched { watchman, up: None }),
        }
    }

    /// Keeps the connections until nobody wants them.
    pub(super) async fn run(self: Arc<Self>, stop: CancellationToken) {
        let keeping = AssertUnwindSafe(async {
            tokio::join!(self.keep_connected(), self.keep_tell_tale(), self.look());
        });
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            ended = keeping.catch_unwind() => {
                let panicked = ended.is_err();
                tracing::error!(peer = %self.peer, panicked, "the connections to a broker are no longer kept");
            }
        }
        self.end();
    }

    /// The connection, once the attempt that is under way has ended.
    pub(super) async fn connection(&self, deadline: Instant) -> Result<Connection, NotSent> {
        let mut links = self.link.subscribe();
        let ready = timeout_at(deadline, links.wait_for(|link| !matches!(link, Link::Connecting))).await;
        let link = ready.map_err(|_| NotSent::Deadline)?.map_or(Link::Connecting, |link| link.clone());
        match link {
            Link::Up(connection) => Ok(connection),
            Link::Down(error) => Err(error.into()),
            Link::Connecting => Err(ConnectError::Stopped.into()),
        }
    }

    async fn keep_connected(&self) {
        let mut backoff = self.backoff(0);
        let mut last = None;
        loop {
            match self.within(self.connect()).await {
                Ok(connection) => {
                    last = None;
                    let began = Instant::now();
                    let error = self.hold(connection).await;
                    let is_old = began.elapsed() >= self.dialer.config.timing.retry_max;
                    tracing::debug!(peer = %self.peer, address = self.address, %error, "connection to a broker lost");
                    if is_old {
                        backoff.reset();
                        self.link.send_replace(Link::Connecting);
                        continue;
                    }
                    self.link.send_replace(Link::Down(error));
                }
                Err(error) => {
                    self.dialer.metrics.connects_failed.inc();
                    self.log_once(&mut last, &error);
                    if matches!(error, ConnectError::Replaced(_)) {
                        self.watch(|watchman| watchman.on_ended(Instant::now(), TellTale::Replaced));
                    }
                    self.link.send_replace(Link::Down(error));
                }
            }
            sleep(backoff.next_pause()).await;
            self.link.send_replace(Link::Connecting);
        }
    }

    /// Lends the connection to whoever calls until it ends; why it did.
    async fn hold(&self, connection: Connection) -> ConnectError {
        let _counted = Counted::new(&self.dialer.metrics.connections_out);
        self.dialer.metrics.connects.inc();
        tracing::debug!(peer = %self.peer, address = self.address, "connected to a broker");
        self.watch(|watchman| watchman.on_heard(Instant::now()));
        self.link.send_replace(Link::Up(connection.clone()));
        connection.closed().await.into()
    }

    async fn connect(&self) -> Result<Connection, ConnectError> {
        let connection = self.dialer.carrier.connect(&self.peer, &self.address).await?;
        match self.greet(&connection).await {
            Ok(()) => Ok(connection),
            Err(error) => {
                connection.close(code::WRONG_NAME, error.to_string().as_bytes());
                Err(error)
            }
        }
    }

    /// Tells who we are, and sees that the session that answers is the one that is wanted.
    async fn greet(&self, connection: &Connection) -> Result<(), ConnectError> {
        let (mut send, mut receive) = connection.open_bi().await?;
        let lost =
            |error| connection.close_reason().map_or_else(|| ConnectError::from(error), ConnectError::from);
        self.dialer.name.tell(&mut send).await.map_err(lost)?;
        let peer = self.dialer.name.hear(&mut receive, &connection.proof()).await.map_err(lost)??;
        if peer == self.peer { Ok(()) } else { Err(ConnectError::Replaced(peer.session)) }
    }

    async fn keep_tell_tale(&self) {
        let timing = self.dialer.config.timing;
        let mut backoff = self.backoff(1);
        loop {
            match self.within(self.connect_tell_tale()).await {
                Ok(stream) => {
                    let began = Instant::now();
                    self.watch(|watchman| watchman.on_open(Instant::now()));
                    stream.ended(timing.beat).await;
                    self.watch(|watchman| watchman.on_ended(Instant::now(), TellTale::Closed));
                    tracing::debug!(peer = %self.peer, address = self.address, "a broker's tell-tale has ended");
                    if began.elapsed() >= timing.retry_max {
                        backoff.reset();
                        continue;
                    }
                }
                Err(ConnectError::Refused) => {
                    self.watch(|watchman| watchman.on_ended(Instant::now(), TellTale::Refused));
                }
                Err(ConnectError::Replaced(_)) => {
                    self.watch(|watchman| watchman.on_ended(Instant::now(), TellTale::Replaced));
                }
                // It tells nothing about the peer's life.
                Err(error) => {
                    tracing::debug!(peer = %self.peer, address = self.address, %error, "no tell-tale");
                }
            }
            sleep(backoff.next_pause()).await;
        }
    }

    async fn connect_tell_tale(&self) -> Result<tell_tale::TellTaleStream, ConnectError> {
        self.dialer.carrier.tell_tale(&self.dialer.name, &self.peer, &self.address).await
    }

    /// Looks again and again whether the peer has answered since.
    async fn look(&self) {
        let mut looks = interval(look_every(self.dialer.config.timing.silence));
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut before = None;
        loop {
            looks.tick().await;
            let heard = self.answers();
            let is_news = heard.is_some() && heard != before;
            before = heard;
            let now = Instant::now();
            self.watch(|watchman| {
                if is_news {
                    watchman.on_heard(now);
                }
                watchman.on_look(now);
            });
        }
    }

    /// A figure that changes when the peer's process answers: acknowledgements of what we sent, and what it sends.
    fn answers(&self) -> Option<(usize, u64)> {
        let Link::Up(connection) = &*self.link.borrow() else { return None };
        Some(connection.answers())
    }

    fn watch(&self, saw: impl FnOnce(&mut Watchman)) {
        let mut watched = self.watched.lock();
        saw(&mut watched.watchman);
        let sighting = watched.watchman.sighting();
        if *self.sighting.borrow() == sighting {
            return;
        }
        // The lock that is held keeps the order; whoever hears of the change finds it counted.
        let is_up = sighting.reachability == Reachability::Up;
        watched.up = match watched.up.take() {
            _ if !is_up => None,
            None => Some(Counted::new(&self.dialer.metrics.peers_up)),
            counted => counted,
        };
        self.sighting.send_replace(sighting);
        tracing::debug!(peer = %self.peer, address = self.address, ?sighting, "a broker is seen otherwise");
    }

    fn end(&self) {
        if let Link::Up(connection) = self.link.send_replace(Link::Down(ConnectError::Stopped)) {
            connection.close(code::CLOSED, b"no longer needed");
        }
        self.watched.lock().up = None;
    }

    async fn within<T>(
        &self,
        attempt: impl Future<Output = Result<T, ConnectError>>,
    ) -> Result<T, ConnectError> {
        timeout(self.dialer.config.timing.handshake, attempt).await.unwrap_or(Err(ConnectError::TimedOut))
    }

    /// Says why there is no connection when it is another reason than before.
    fn log_once(&self, last: &mut Option<ConnectError>, error: &ConnectError) {
        if last.as_ref() != Some(error) {
            tracing::warn!(peer = %self.peer, address = self.address, %error, "no connection to a broker");
            *last = Some(error.clone());
        }
    }

    fn backoff(&self, which: u64) -> Backoff {
        let timing = &self.dialer.config.timing;
        let (high, low) = self.peer.session.0.as_u64_pair();
        let seed = self.dialer.config.seed ^ high.rotate_left(17) ^ low ^ which;
        Backoff::new(timing.retry_first, timing.retry_max, seed)
    }
}
