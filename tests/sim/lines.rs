//! Connections between brokers, as QUIC has them: streams both ways, an end with a reason, and silence that ends a connection.

use crate::network::{Life, Net, Node, both, moment, reachable};
use crate::pipe::{AGAIN, Flow};
use bytes::Bytes;
use cenote::mesh::simulated::{Line, Place, Stream};
use cenote::mesh::{ConnectError, MeshName};
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use quinn::{ApplicationClose, ConnectionError, VarInt};
use std::collections::VecDeque;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

/// Silence that ends a connection, in nanoseconds: as `mesh/config.rs` has it.
const IDLE: u64 = 3_000_000_000;
/// How often silence is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(250);
const PORT: u16 = 9094;

pub fn address_of(node: Node) -> SocketAddr {
    let last = u8::try_from(node).expect("few brokers");
    SocketAddr::new(Ipv4Addr::new(10, 0, 0, last).into(), PORT)
}

fn node_of(address: &str) -> Option<Node> {
    let address: SocketAddr = address.parse().ok()?;
    match address {
        SocketAddr::V4(address) => Some(Node::from(address.ip().octets()[3])),
        SocketAddr::V6(_) => None,
    }
}

/// A session's place, as others see it.
pub struct PlaceCore {
    name: MeshName,
    owner: (Node, Life),
    incoming: Mutex<VecDeque<Arc<SimLine>>>,
    news: Notify,
    over: CancellationToken,
    lines: Mutex<Vec<Weak<LineCore>>>,
}

impl PlaceCore {
    /// The process is gone: tell-tales end, lines fall silent.
    pub fn end(&self) {
        self.over.cancel();
    }

    /// Whether the process that listens there still runs.
    pub fn is_taken(&self) -> bool {
        self.owner.1.is_alive()
    }
}

/// The same, as its owner has it.
pub struct SimPlace {
    net: Arc<Net>,
    core: Arc<PlaceCore>,
}

impl SimPlace {
    pub fn new(net: Arc<Net>, node: Node, life: Life, name: MeshName) -> SimPlace {
        let core = Arc::new(PlaceCore {
            name,
            owner: (node, life),
            incoming: Mutex::default(),
            news: Notify::new(),
            over: CancellationToken::new(),
            lines: Mutex::default(),
        });
        net.take_place(node, Arc::clone(&core));
        SimPlace { net, core }
    }
}

impl Drop for SimPlace {
    fn drop(&mut self) {
        self.net.leave_place(self.core.owner.0, &self.core);
    }
}

impl Place for SimPlace {
    fn address(&self) -> SocketAddr {
        address_of(self.core.owner.0)
    }

    fn dial(&self, address: &str) -> BoxFuture<'static, Result<Arc<dyn Line>, ConnectError>> {
        let (net, core, to) = (Arc::clone(&self.net), Arc::clone(&self.core), node_of(address));
        let address = address.to_owned();
        Box::pin(async move {
            let to = to.ok_or(ConnectError::Address { address, reason: "no address".to_owned() })?;
            let from = core.owner.0;
            loop {
                sleep(Duration::from_nanos(2 * net.links.latency(from, to))).await;
                let place = net.place(to).filter(|place| place.owner.1.is_alive());
                if let Some(place) = place.filter(|_| net.links.answers(from, to)) {
                    return Ok(connect(&net, &core, &place) as Arc<dyn Line>);
                }
                // Nobody says that nobody is there.
                sleep(AGAIN).await;
            }
        })
    }

    fn dial_tell_tale(
        &self,
        address: &str,
    ) -> BoxFuture<'static, Result<(MeshName, BoxFuture<'static, ()>), ConnectError>> {
        let (net, from, to) = (Arc::clone(&self.net), self.core.owner.0, node_of(address));
        let address = address.to_owned();
        Box::pin(async move {
            let to = to.ok_or(ConnectError::Address { address, reason: "no address".to_owned() })?;
            sleep(Duration::from_nanos(2 * net.links.latency(from, to))).await;
            reachable(&net.links, from, to).await;
            let place = net.place(to).filter(|place| place.owner.1.is_alive());
            let place = place.ok_or(ConnectError::Refused)?;
            let name = place.name;
            let ended: BoxFuture<'static, ()> = Box::pin(async move {
                place.over.cancelled().await;
                while !net.links.is_open(to, from) {
                    sleep(AGAIN).await;
                }
            });
            Ok((name, ended))
        })
    }

    fn accept(&self) -> BoxFuture<'_, Option<Arc<dyn Line>>> {
        Box::pin(async {
            loop {
                if self.core.over.is_cancelled() {
                    return None;
                }
                if let Some(line) = self.core.incoming.lock().pop_front() {
                    return Some(line as Arc<dyn Line>);
                }
                self.core.news.notified().await;
            }
        })
    }

    fn close(&self, code: VarInt, reason: &[u8]) {
        if !self.core.owner.1.is_alive() || self.core.over.is_cancelled() {
            return;
        }
        self.core.over.cancel();
        self.core.news.notify_one();
        self.net.leave_place(self.core.owner.0, &self.core);
        for line in self.core.lines.lock().drain(..).filter_map(|line| line.upgrade()) {
            let side = usize::from(line.owners[1].0 == self.core.owner.0);
            line.close(side, code, reason);
        }
    }
}

fn connect(net: &Arc<Net>, from: &Arc<PlaceCore>, to: &Arc<PlaceCore>) -> Arc<SimLine> {
    let core = Arc::new(LineCore {
        id: net.next_line(),
        net: Arc::clone(net),
        owners: [from.owner.clone(), to.owner.clone()],
        state: Mutex::default(),
        news: [Notify::new(), Notify::new()],
    });
    for place in [from, to] {
        let mut lines = place.lines.lock();
        lines.retain(|line| line.strong_count() > 0);
        lines.push(Arc::downgrade(&core));
    }
    to.incoming.lock().push_back(Arc::new(SimLine { core: Arc::clone(&core), side: 1 }));
    to.news.notify_one();
    Arc::new(SimLine { core, side: 0 })
}

struct LineCore {
    id: usize,
    net: Arc<Net>,
    owners: [(Node, Life); 2],
    state: Mutex<LineState>,
    news: [Notify; 2],
}

#[derive(Default)]
struct LineState {
    /// Streams for either side, and when they come.
    incoming: [VecDeque<(u64, Stream)>; 2],
    flows: Vec<Weak<Mutex<Flow>>>,
    closed: [Option<ConnectionError>; 2],
    answers: [u64; 2],
    silent_since: [Option<u64>; 2],
}

/// One side of a connection.
pub struct SimLine {
    core: Arc<LineCore>,
    side: usize,
}

impl LineCore {
    fn end(&self, errors: [ConnectionError; 2]) {
        let mut state = self.state.lock();
        if state.closed[0].is_some() {
            return;
        }
        // A reader and a writer of the same bytes learn the same; who closed knows it already.
        let told = if errors[0] == ConnectionError::LocallyClosed { &errors[1] } else { &errors[0] };
        for flow in state.flows.iter().filter_map(Weak::upgrade) {
            flow.lock().lose(told);
        }
        state.closed = errors.map(Some);
        drop(state);
        self.news.iter().for_each(Notify::notify_waiters);
        self.news.iter().for_each(Notify::notify_one);
    }

    fn close(&self, side: usize, code: VarInt, reason: &[u8]) {
        let close = ApplicationClose { error_code: code, reason: Bytes::copy_from_slice(reason) };
        let told = ConnectionError::ApplicationClosed(close);
        let own = ConnectionError::LocallyClosed;
        self.end(if side == 0 { [own, told] } else { [told, own] });
    }

    /// Whether the other side has answered lately; if not for too long, the connection is over.
    fn look(&self, side: usize) -> Option<ConnectionError> {
        let (own, other) = (&self.owners[side], &self.owners[1 - side]);
        let answers = other.1.is_alive() && self.net.links.answers(own.0, other.0);
        let over = {
            let mut state = self.state.lock();
            if state.closed[side].is_some() {
                return state.closed[side].clone();
            }
            if answers {
                state.silent_since[side] = None;
                false
            } else {
                moment() - *state.silent_since[side].get_or_insert_with(moment) >= IDLE
            }
        };
        if over {
            self.end([ConnectionError::TimedOut, ConnectionError::TimedOut]);
        }
        self.state.lock().closed[side].clone()
    }
}

impl Line for SimLine {
    fn open(&self) -> BoxFuture<'_, Result<Stream, ConnectionError>> {
        Box::pin(async {
            let core = &self.core;
            let mut state = core.state.lock();
            if let Some(error) = &state.closed[self.side] {
                return Err(error.clone());
            }
            let other = 1 - self.side;
            let (here, there) = both(&core.net.links, &core.owners[self.side], &core.owners[other]);
            state.flows.retain(|flow| flow.strong_count() > 0);
            state.flows.extend([Arc::downgrade(&here.0.flow()), Arc::downgrade(&there.0.flow())]);
            let at = moment() + core.net.links.latency(core.owners[self.side].0, core.owners[other].0);
            state.incoming[other].push_back((at, (Box::new(there.0), Box::new(there.1))));
            drop(state);
            core.news[other].notify_one();
            let stream: Stream = (Box::new(here.0), Box::new(here.1));
            Ok(stream)
        })
    }

    fn accept(&self) -> BoxFuture<'_, Result<Stream, ConnectionError>> {
        Box::pin(async {
            loop {
                if let Some(error) = self.core.look(self.side) {
                    return Err(error);
                }
                let wait = {
                    let mut state = self.core.state.lock();
                    let (now, [one, other]) = (moment(), [&self.core.owners[0], &self.core.owners[1]]);
                    let open = if self.side == 1 {
                        self.core.net.links.is_open(one.0, other.0)
                    } else {
                        self.core.net.links.is_open(other.0, one.0)
                    };
                    match state.incoming[self.side].front() {
                        Some((at, _)) if *at > now => Duration::from_nanos(*at - now),
                        Some(_) if !open => AGAIN,
                        Some(_) => {
                            let (_, stream) = state.incoming[self.side].pop_front().expect("there is one");
                            return Ok(stream);
                        }
                        None => LOOK_EVERY,
                    }
                };
                let _news = timeout(wait, self.core.news[self.side].notified()).await;
            }
        })
    }

    fn closed(&self) -> BoxFuture<'_, ConnectionError> {
        Box::pin(async {
            loop {
                if let Some(error) = self.core.look(self.side) {
                    return error;
                }
                let _news = timeout(LOOK_EVERY, self.core.news[self.side].notified()).await;
            }
        })
    }

    fn close_reason(&self) -> Option<ConnectionError> {
        self.core.state.lock().closed[self.side].clone()
    }

    fn close(&self, code: VarInt, reason: &[u8]) {
        if self.core.owners[self.side].1.is_alive() {
            self.core.close(self.side, code, reason);
        }
    }

    fn remote_address(&self) -> SocketAddr {
        address_of(self.core.owners[1 - self.side].0)
    }

    fn answers(&self) -> (usize, u64) {
        let (own, other) = (&self.core.owners[self.side], &self.core.owners[1 - self.side]);
        let answers = other.1.is_alive() && self.core.net.links.answers(own.0, other.0);
        let mut state = self.core.state.lock();
        if answers && state.closed[self.side].is_none() {
            state.answers[self.side] += 1;
        }
        (self.core.id, state.answers[self.side])
    }
}

impl fmt::Debug for SimLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SimLine({})", self.core.id)
    }
}
