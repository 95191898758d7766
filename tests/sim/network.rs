//! The network: which lines between nodes are there, who listens where, and connections of clients.

use crate::dice::Dice;
use crate::lines::{PlaceCore, SimPlace};
use crate::machine;
use crate::pipe::{AGAIN, Flow, Receiver, Sender, pipe};
use cenote::mesh::MeshName;
use cenote::mesh::simulated::{Network, Place};
use parking_lot::Mutex;
use quinn::ConnectionError;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::sleep;

/// A broker from 1 on, or a client from [`CLIENTS`] on; the stores have numbers of their own.
pub type Node = u32;
pub const METADATA: Node = 50;
pub const OBJECTS: Node = 51;
pub const CLIENTS: Node = 100;

/// Whether a process is still there: what one that was killed would do at its end is not done.
#[derive(Clone, Debug)]
pub struct Life(Arc<AtomicBool>);

impl Life {
    pub fn new() -> Life {
        Life(Arc::new(AtomicBool::new(true)))
    }

    pub fn is_alive(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    pub fn end(&self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

/// Lines between nodes, each in one direction.
pub struct Links {
    cut: Mutex<BTreeSet<(Node, Node)>>,
    /// Processes that stand still.
    paused: Mutex<BTreeSet<Node>>,
    slow_permille: Mutex<u64>,
    dice: Dice,
}

impl Links {
    pub fn is_open(&self, from: Node, to: Node) -> bool {
        !self.cut.lock().contains(&(from, to))
    }

    pub fn set(&self, from: Node, to: Node, open: bool) {
        let mut cut = self.cut.lock();
        if open {
            cut.remove(&(from, to))
        } else {
            cut.insert((from, to))
        };
    }

    pub fn set_paused(&self, node: Node, paused: bool) {
        let mut all = self.paused.lock();
        if paused {
            all.insert(node)
        } else {
            all.remove(&node)
        };
    }

    /// Whether bytes go there and answers come back.
    pub fn answers(&self, from: Node, to: Node) -> bool {
        self.is_open(from, to) && self.is_open(to, from) && !self.paused.lock().contains(&to)
    }

    /// How many bytes in a thousand are late.
    pub fn set_slow(&self, permille: u64) {
        *self.slow_permille.lock() = permille;
    }

    pub fn heal(&self) {
        self.cut.lock().clear();
        self.set_slow(0);
    }

    /// Nanoseconds that something is on its way.
    pub fn latency(&self, _from: Node, _to: Node) -> u64 {
        let slow = *self.slow_permille.lock();
        if self.dice.permille(slow) {
            return self.dice.between(20_000_000..600_000_000);
        }
        self.dice.between(1_000_000..3_000_000)
    }
}

/// One connection of a client, as one side has it.
pub type Stream = (Receiver, Sender);

/// The network of one simulation.
pub struct Net {
    pub links: Arc<Links>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    doors: BTreeMap<Node, Door>,
    places: BTreeMap<Node, Arc<PlaceCore>>,
    clients: Vec<Connected>,
    lines: usize,
}

/// A client, its broker, and what flows either way.
type Connected = (Node, Node, [Weak<Mutex<Flow>>; 2]);

/// Where a broker takes clients in.
struct Door {
    life: Life,
    guests: mpsc::UnboundedSender<(Node, Stream)>,
}

/// Nobody listens there.
#[derive(Debug)]
pub struct Refused;

impl Net {
    pub fn new(dice: Dice) -> Arc<Net> {
        let links =
            Links { cut: Mutex::default(), paused: Mutex::default(), slow_permille: Mutex::default(), dice };
        Arc::new(Net { links: Arc::new(links), state: Mutex::default() })
    }

    /// A broker takes clients in from now on.
    pub fn open_door(&self, node: Node, life: Life) -> mpsc::UnboundedReceiver<(Node, Stream)> {
        let (guests, received) = mpsc::unbounded_channel();
        self.state.lock().doors.insert(node, Door { life, guests });
        received
    }

    /// A client connects. Where the line is cut that takes for ever.
    pub async fn connect(&self, from: (Node, Life), to: Node) -> Result<Stream, Refused> {
        loop {
            sleep(Duration::from_nanos(2 * self.links.latency(from.0, to))).await;
            if self.links.is_open(from.0, to) && self.links.is_open(to, from.0) {
                break;
            }
            sleep(AGAIN).await;
        }
        let mut state = self.state.lock();
        let door = state.doors.get(&to).filter(|door| door.life.is_alive()).ok_or(Refused)?;
        let (client, broker) = (from, (to, door.life.clone()));
        let (out, in_there) = pipe(&self.links, client.clone(), broker.clone());
        let (out_there, back) = pipe(&self.links, broker, client.clone());
        let flows = [Arc::downgrade(&out.flow()), Arc::downgrade(&out_there.flow())];
        door.guests.send((client.0, (in_there, out_there))).map_err(|_| Refused)?;
        state.clients.retain(|(_, _, flows)| flows.iter().any(|flow| flow.strong_count() > 0));
        state.clients.push((client.0, to, flows));
        Ok((back, out))
    }

    /// A process has ended, in whatever way: its sockets are closed by the system.
    pub fn on_ended(&self, node: Node) {
        let mut state = self.state.lock();
        state.doors.remove(&node);
        if let Some(place) = state.places.remove(&node) {
            place.end();
        }
        for (client, broker, flows) in &state.clients {
            if *client == node || *broker == node {
                for flow in flows.iter().filter_map(Weak::upgrade) {
                    flow.lock().lose(&ConnectionError::Reset);
                }
            }
        }
    }

    /// A connection of a client is lost; which one, `number` says.
    pub fn drop_connection(&self, number: u64) {
        let state = self.state.lock();
        let count = state.clients.len() as u64;
        if count > 0 {
            let index = usize::try_from(number % count).expect("an index");
            for flow in state.clients[index].2.iter().filter_map(Weak::upgrade) {
                flow.lock().lose(&ConnectionError::Reset);
            }
        }
    }

    /// Who listens for brokers at a node.
    pub fn place(&self, node: Node) -> Option<Arc<PlaceCore>> {
        self.state.lock().places.get(&node).cloned()
    }

    /// As of a real address: one session of a process at a time.
    pub fn take_place(&self, node: Node, place: Arc<PlaceCore>) {
        let before = self.state.lock().places.insert(node, place);
        assert!(before.is_none_or(|before| !before.is_taken()), "broker {node} listens for others twice");
    }

    pub fn leave_place(&self, node: Node, place: &Arc<PlaceCore>) {
        let mut state = self.state.lock();
        if state.places.get(&node).is_some_and(|known| Arc::ptr_eq(known, place)) {
            state.places.remove(&node);
        }
    }

    /// A number for a line.
    pub fn next_line(&self) -> usize {
        let mut state = self.state.lock();
        state.lines += 1;
        state.lines
    }
}

/// The network as one process has it.
pub struct NetOf {
    pub net: Arc<Net>,
    pub node: Node,
    pub life: Life,
}

impl fmt::Debug for NetOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NetOf({})", self.node)
    }
}

impl Network for NetOf {
    fn listen(&self, name: MeshName) -> Arc<dyn Place> {
        Arc::new(SimPlace::new(Arc::clone(&self.net), self.node, self.life.clone(), name))
    }
}

/// Waits until a line is there in both directions.
pub async fn reachable(links: &Links, from: Node, to: Node) {
    while !links.answers(from, to) {
        sleep(AGAIN).await;
    }
}

/// The nanoseconds now, for those that only need to compare.
pub fn moment() -> u64 {
    machine::now()
}

/// A pipe's two ends between two processes.
pub fn both(
    links: &Arc<Links>,
    one: &(Node, Life),
    other: &(Node, Life),
) -> ((Sender, Receiver), (Sender, Receiver)) {
    let (out, in_there) = pipe(links, one.clone(), other.clone());
    let (out_there, back) = pipe(links, other.clone(), one.clone());
    ((out, back), (out_there, in_there))
}
