//! Lines between the processes of a cluster that can be cut, held up or made to swallow: TCP by direction, UDP by who
//! sends to whom. What is held is delivered late, as after a partition of the network.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream, UdpSocket};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::task::AbortOnDropHandle;

/// What becomes of bytes in one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    Pass,
    /// They wait, also the end of the connection, and go on later.
    Hold,
    /// They are gone. The connection is closed when bytes pass again, as there would be a hole.
    Swallow,
}

/// What a line does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// `up` to the server, `down` to the client.
    Carry { up: Flow, down: Flow },
    /// Connections go on, and new ones are refused.
    Closed,
    /// Connections are closed, and new ones refused.
    Cut,
}

impl Rule {
    pub const PASS: Rule = Rule::Carry { up: Flow::Pass, down: Flow::Pass };
    /// The network is parted.
    pub const HOLD: Rule = Rule::Carry { up: Flow::Hold, down: Flow::Hold };
    /// Requests come late.
    pub const HOLD_REQUESTS: Rule = Rule::Carry { up: Flow::Hold, down: Flow::Pass };
    /// Requests arrive, and nobody hears of it.
    pub const SWALLOW_ANSWERS: Rule = Rule::Carry { up: Flow::Pass, down: Flow::Swallow };

    fn flow(self, way: Way) -> Option<Flow> {
        match (self, way) {
            (Rule::Carry { up, .. }, Way::Up) => Some(up),
            (Rule::Carry { down, .. }, Way::Down) => Some(down),
            (Rule::Closed, _) => Some(Flow::Pass),
            (Rule::Cut, _) => None,
        }
    }

    fn lets_in(self) -> bool {
        matches!(self, Rule::Carry { .. })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Up,
    Down,
}

/// A line to a TCP server of this machine.
pub struct TcpLine {
    port: u16,
    rule: watch::Sender<Rule>,
    /// Whether nobody listens any more, or listens again.
    listening: watch::Receiver<bool>,
    _task: AbortOnDropHandle<()>,
}

impl TcpLine {
    /// Listens at one port for another.
    pub fn open(runtime: &Handle, port: u16, server: u16) -> TcpLine {
        let (rule, rules) = watch::channel(Rule::PASS);
        let (listens, listening) = watch::channel(false);
        let task = runtime.spawn(accept(port, server, rules, listens));
        let line = TcpLine { port, rule, listening, _task: AbortOnDropHandle::new(task) };
        line.await_listening(runtime, true);
        line
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// From now on, for old connections and new ones. When this returns nobody is let in who must not be, nor the other
    /// way round.
    pub fn set(&self, runtime: &Handle, rule: Rule) {
        self.rule.send_replace(rule);
        self.await_listening(runtime, rule.lets_in());
    }

    fn await_listening(&self, runtime: &Handle, wanted: bool) {
        let mut listening = self.listening.clone();
        runtime.block_on(async {
            // The task ends with the line alone.
            let _ = listening.wait_for(|listens| *listens == wanted).await;
        });
    }
}

async fn accept(port: u16, server: u16, mut rules: watch::Receiver<Rule>, listens: watch::Sender<bool>) {
    let mut connections = JoinSet::new();
    let for_connections = rules.clone();
    loop {
        let listener = listen(port).expect("the port is ours");
        listens.send_replace(true);
        loop {
            tokio::select! {
                biased;
                _ = rules.wait_for(|rule| !rule.lets_in()) => break,
                accepted = listener.accept() => {
                    let Ok((client, _)) = accepted else { continue };
                    connections.spawn(carry(client, server, for_connections.clone()));
                }
            }
            while connections.try_join_next().is_some() {}
        }
        drop(listener);
        listens.send_replace(false);
        if rules.wait_for(|rule| rule.lets_in()).await.is_err() {
            return;
        }
    }
}

fn listen(port: u16) -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
    socket.listen(1024)
}

async fn carry(client: TcpStream, server: u16, rules: watch::Receiver<Rule>) {
    let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, server)).await else { return };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    // Either end of a connection ends it.
    tokio::select! {
        () = pass(from_client, to_server, rules.clone(), Way::Up) => {}
        () = pass(from_server, to_client, rules.clone(), Way::Down) => {}
    }
}

async fn pass(
    mut from: impl AsyncReadExt + Unpin,
    mut to: impl AsyncWriteExt + Unpin,
    mut rules: watch::Receiver<Rule>,
    way: Way,
) {
    let mut buffer = vec![0; 1 << 16];
    let mut has_swallowed = false;
    loop {
        let over = |rule: &Rule| match rule.flow(way) {
            None => true,
            Some(flow) => flow == Flow::Pass && has_swallowed,
        };
        let count = tokio::select! {
            biased;
            _ = rules.wait_for(over) => return,
            read = from.read(&mut buffer) => read.unwrap_or(0),
        };
        let flow = match rules.wait_for(|rule| rule.flow(way) != Some(Flow::Hold)).await {
            Ok(rule) => rule.flow(way),
            Err(_) => return,
        };
        match flow {
            Some(Flow::Swallow) if count > 0 => has_swallowed = true,
            Some(Flow::Pass) if count > 0 && !has_swallowed => {
                if to.write_all(&buffer[..count]).await.is_err() {
                    return;
                }
            }
            _ => return,
        }
    }
}

/// Who cannot send to whom, by their numbers.
pub type Cuts = Arc<Mutex<BTreeSet<(usize, usize)>>>;

/// Who sends from which port.
pub type Senders = Arc<Mutex<HashMap<u16, usize>>>;

/// A line to the UDP port of one member of a mesh.
pub struct UdpLine {
    _task: AbortOnDropHandle<()>,
}

/// What all lines of a mesh share.
#[derive(Clone, Default)]
pub struct MeshLines {
    pub cuts: Cuts,
    pub senders: Senders,
}

impl UdpLine {
    /// Listens at one port for another, which is that of `owner`.
    pub fn open(runtime: &Handle, port: u16, server: u16, owner: usize, mesh: &MeshLines) -> UdpLine {
        let bound = runtime.block_on(UdpSocket::bind((Ipv4Addr::LOCALHOST, port)));
        let socket = Arc::new(bound.expect("the port is ours"));
        mesh.senders.lock().expect("the senders").insert(server, owner);
        let task = runtime.spawn(forward(socket, server, owner, mesh.clone()));
        UdpLine { _task: AbortOnDropHandle::new(task) }
    }
}

async fn forward(socket: Arc<UdpSocket>, server: u16, owner: usize, mesh: MeshLines) {
    let mut ways: HashMap<SocketAddr, Arc<UdpSocket>> = HashMap::new();
    let mut returning = JoinSet::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        let Ok((count, source)) = socket.recv_from(&mut buffer).await else { continue };
        let sender = mesh.senders.lock().expect("the senders").get(&source.port()).copied();
        if mesh.is_cut(sender, Some(owner)) {
            continue;
        }
        let way = match ways.get(&source) {
            Some(way) => Arc::clone(way),
            None => {
                let Ok(way) = way_to(server).await else { continue };
                let (way, socket) = (Arc::new(way), Arc::clone(&socket));
                ways.insert(source, Arc::clone(&way));
                let back = WayBack { way: Arc::clone(&way), socket, source, sender, owner };
                returning.spawn(back.carry(mesh.clone()));
                way
            }
        };
        // Nobody may listen there just now: a datagram is lost.
        let _ = way.send(&buffer[..count]).await;
    }
}

async fn way_to(server: u16) -> io::Result<UdpSocket> {
    let way = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    way.connect((Ipv4Addr::LOCALHOST, server)).await?;
    Ok(way)
}

/// The way back to one sender.
struct WayBack {
    way: Arc<UdpSocket>,
    socket: Arc<UdpSocket>,
    source: SocketAddr,
    sender: Option<usize>,
    owner: usize,
}

impl WayBack {
    async fn carry(self, mesh: MeshLines) {
        let mut buffer = vec![0; 1 << 16];
        loop {
            // An error tells of an earlier datagram that nobody took.
            let Ok(count) = self.way.recv(&mut buffer).await else { continue };
            if !mesh.is_cut(Some(self.owner), self.sender) {
                let _ = self.socket.send_to(&buffer[..count], self.source).await;
            }
        }
    }
}

impl MeshLines {
    fn is_cut(&self, from: Option<usize>, to: Option<usize>) -> bool {
        from.zip(to).is_some_and(|pair| self.cuts.lock().expect("the cuts").contains(&pair))
    }
}
