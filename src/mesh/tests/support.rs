//! A broker's mesh whose server does what the test says, and a line between two that can be cut.

use crate::clock::random_id;
use crate::mesh::carrier::SendStream;
use crate::mesh::{
    CallError, ClientSecurity, ClusterSecret, MeshConfig, MeshEndpoint, MeshIdentity, MeshName, MeshReader,
    MeshStream, Peer, PeerAddress, Preamble, Reachability, ServeStream, Sighting,
};
use crate::metrics::{MeshMetrics, Metrics};
use crate::types::{BrokerId, ClusterId, SessionId, ViewNumber};
use bytes::{BufMut, Bytes, BytesMut};
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, interval, timeout};
use uuid::Uuid;

pub const SECRET: &[u8] = b"the secret of these tests";
pub const CLUSTER: ClusterId = ClusterId(Uuid::from_bytes([0xC1; 16]));
/// Longer than anything takes on a busy machine; reached only when a test fails.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// What a server does with the requests of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manners {
    /// Answers each, with what it said.
    Echo,
    /// Reads, and answers in order once the gate is open.
    Gate,
    /// Reads nothing after the preamble.
    Deaf,
    /// Reads one, then gives the stream up.
    Break,
    /// Answers with another correlation id.
    Confused,
}

/// A server, and what it has seen.
pub struct Server {
    pub manners: Mutex<Manners>,
    pub gate: watch::Sender<bool>,
    /// Correlation ids in the order of their coming.
    pub seen: Mutex<Vec<i32>>,
    /// Who the streams came from, and their preambles.
    pub streams: Mutex<Vec<(MeshName, Preamble)>>,
    /// Told at each stream's end: requests that were read of it.
    pub ended: mpsc::UnboundedSender<usize>,
}

impl ServeStream for Arc<Server> {
    fn serve(&self, stream: MeshStream) -> BoxFuture<'static, ()> {
        let server = Arc::clone(self);
        Box::pin(async move {
            server.streams.lock().push((stream.peer, stream.preamble.clone()));
            let read = server.run(stream).await;
            let _ = server.ended.send(read);
        })
    }
}

impl Server {
    async fn run(&self, mut stream: MeshStream) -> usize {
        let manners = *self.manners.lock();
        let (mut read, mut held) = (0, VecDeque::new());
        if manners == Manners::Deaf {
            if let SendStream::Quic(sending) = &mut stream.writer.0 {
                let _ = sending.stopped().await;
            }
            return 0;
        }
        let mut gate = self.gate.subscribe();
        loop {
            let opened = *gate.borrow_and_update();
            while let Some(answer) = opened.then(|| held.pop_front()).flatten() {
                if write(&mut stream, answer).await.is_err() {
                    return read;
                }
            }
            let request = tokio::select! {
                request = next_request(&mut stream.reader) => request,
                _ = gate.changed() => continue,
            };
            let Some(mut request) = request else {
                let _ = gate.wait_for(|open| *open).await;
                for answer in held {
                    if write(&mut stream, answer).await.is_err() {
                        break;
                    }
                }
                return read;
            };
            read += 1;
            self.seen.lock().push(i32::from_be_bytes(request[4..8].try_into().unwrap()));
            match manners {
                Manners::Break => {
                    stream.writer.0.reset(9_u32.into());
                    return read;
                }
                Manners::Confused => request[7] ^= 1,
                _ => {}
            }
            held.push_back(request.split_off(4));
        }
    }
}

async fn write(stream: &mut MeshStream, answer: Vec<u8>) -> std::io::Result<()> {
    stream.writer.write_u32(u32::try_from(answer.len()).unwrap()).await?;
    AsyncWriteExt::write_all(&mut stream.writer, &answer).await
}

/// Cancelled only between two requests that the gate lies between.
async fn next_request(reader: &mut MeshReader) -> Option<Vec<u8>> {
    let length = reader.read_u32().await.ok()?;
    let mut request = vec![0; length as usize];
    AsyncReadExt::read_exact(reader, &mut request).await.ok()?;
    Some(request)
}

/// A broker.
pub struct Node {
    pub mesh: MeshEndpoint,
    pub name: MeshName,
    pub server: Arc<Server>,
    pub metrics: MeshMetrics,
    pub ended: mpsc::UnboundedReceiver<usize>,
}

pub fn name(broker: i32) -> MeshName {
    MeshName { cluster: CLUSTER, broker: BrokerId(broker), session: SessionId(random_id()) }
}

pub fn identity(secret: &[u8], name: MeshName) -> MeshIdentity {
    MeshIdentity::from_secret(&ClusterSecret::new(secret).unwrap(), name).unwrap()
}

pub async fn node(broker: i32, manners: Manners) -> Node {
    let identity = identity(SECRET, name(broker));
    node_at("127.0.0.1:0".parse().unwrap(), &identity, MeshConfig::default(), manners).await
}

pub async fn node_with(broker: i32, manners: Manners, config: MeshConfig) -> Node {
    node_at("127.0.0.1:0".parse().unwrap(), &identity(SECRET, name(broker)), config, manners).await
}

pub async fn node_at(
    address: SocketAddr,
    identity: &MeshIdentity,
    config: MeshConfig,
    manners: Manners,
) -> Node {
    let (ended, ends) = mpsc::unbounded_channel();
    let server = Arc::new(Server {
        manners: Mutex::new(manners),
        gate: watch::Sender::new(manners != Manners::Gate),
        seen: Mutex::default(),
        streams: Mutex::default(),
        ended,
    });
    let metrics = Metrics::new().mesh;
    let handler: Arc<Arc<Server>> = Arc::new(Arc::clone(&server));
    let bind = || {
        let handler: Arc<dyn ServeStream> = Arc::clone(&handler) as Arc<dyn ServeStream>;
        MeshEndpoint::bind(address, identity, config.clone(), handler, metrics.clone())
    };
    // A socket that was just dropped may take a moment to be closed.
    let mut tries = interval(Duration::from_millis(2));
    let binding = async {
        loop {
            tries.tick().await;
            if let Ok(mesh) = bind().await {
                return mesh;
            }
        }
    };
    let mesh = timeout(PATIENCE, binding).await.expect("the port is free in time");
    Node { mesh, name: identity.name(), server, metrics, ended: ends }
}

impl Node {
    /// Our handle to `other`.
    pub fn peer(&self, other: &Node) -> Peer {
        self.peer_at(other, other.mesh.address())
    }

    /// The same, by way of another address.
    pub fn peer_at(&self, other: &Node, address: SocketAddr) -> Peer {
        let MeshName { broker, session, .. } = other.name;
        self.mesh.peer(PeerAddress { broker, session, address: address.to_string() })
    }
}

pub fn preamble() -> Preamble {
    Preamble {
        view: ViewNumber(7),
        listener: "public".to_owned(),
        client: "192.0.2.7:40001".parse().unwrap(),
        security: ClientSecurity::Encrypted,
        principal: "User:anna".to_owned(),
    }
}

/// A Kafka request without its length: header as far as the correlation id, then a filling.
pub fn request(correlation_id: i32, filling: usize) -> Bytes {
    let mut bytes = BytesMut::with_capacity(8 + filling);
    bytes.put_i16(0);
    bytes.put_i16(9);
    bytes.put_i32(correlation_id);
    bytes.put_bytes(7, filling);
    bytes.freeze()
}

/// What a server that echoes answers to it.
pub fn echo(correlation_id: i32, filling: usize) -> Bytes {
    request(correlation_id, filling).slice(4..)
}

/// Whether an answer is that, without showing megabytes when it is not.
pub fn is_echo(answer: &Result<Bytes, CallError>, correlation_id: i32, filling: usize) -> bool {
    if let Err(error) = answer {
        println!("no answer: {error}");
    }
    *answer == Ok(echo(correlation_id, filling))
}

pub fn soon() -> Instant {
    Instant::now() + PATIENCE
}

pub fn in_ms(millis: u64) -> Instant {
    Instant::now() + Duration::from_millis(millis)
}

/// Waits for what is known of a peer.
pub async fn seen(peer: &Peer, wanted: impl FnMut(&Sighting) -> bool) -> Sighting {
    let mut sighting = peer.sighting();
    let found = timeout(PATIENCE, sighting.wait_for(wanted)).await.expect("it is seen in time");
    *found.expect("somebody looks")
}

/// Waits until the peer answers and its tell-tale is open.
pub async fn seen_up(peer: &Peer) {
    use crate::mesh::TellTale::Open;
    seen(peer, |sighting| sighting.reachability == Reachability::Up && sighting.tell_tale == Open).await;
}

/// Waits until a figure is as it should be.
pub async fn becomes(mut is_so: impl FnMut() -> bool) {
    let mut looks = interval(Duration::from_millis(2));
    let looking = async {
        while !is_so() {
            looks.tick().await;
        }
    };
    timeout(PATIENCE, looking).await.expect("it becomes so in time");
}

/// A line to a broker: UDP that can be cut without a word, TCP that can be reset.
pub struct Line {
    pub address: SocketAddr,
    cut: Arc<AtomicBool>,
    tcp: watch::Sender<u64>,
    _tasks: JoinSet<()>,
}

impl Line {
    pub async fn to(target: SocketAddr) -> Line {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let front = Arc::new(UdpSocket::bind(address).await.unwrap());
        let back = Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
        back.connect(target).await.unwrap();
        let (cut, tcp) = (Arc::new(AtomicBool::new(false)), watch::Sender::new(0));
        let client = Arc::new(Mutex::new(None));
        let mut tasks = JoinSet::new();
        let (there, from, dropping, caller) =
            (Arc::clone(&back), Arc::clone(&front), Arc::clone(&cut), Arc::clone(&client));
        tasks.spawn(async move {
            let mut packet = vec![0; 65_536];
            while let Ok((length, sender)) = from.recv_from(&mut packet).await {
                *caller.lock() = Some(sender);
                if !dropping.load(Ordering::SeqCst) {
                    let _ = there.send(&packet[..length]).await;
                }
            }
        });
        let dropping = Arc::clone(&cut);
        tasks.spawn(async move {
            let mut packet = vec![0; 65_536];
            loop {
                let Ok(length) = back.recv(&mut packet).await else { continue };
                let caller = *client.lock();
                if let Some(caller) = caller.filter(|_| !dropping.load(Ordering::SeqCst)) {
                    let _ = front.send_to(&packet[..length], caller).await;
                }
            }
        });
        let resets = tcp.clone();
        tasks.spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                tokio::spawn(relay(near, target, resets.subscribe()));
            }
        });
        Line { address, cut, tcp, _tasks: tasks }
    }

    /// From now on no UDP packet arrives.
    pub fn cut(&self) {
        self.cut.store(true, Ordering::SeqCst);
    }

    pub fn mend(&self) {
        self.cut.store(false, Ordering::SeqCst);
    }

    /// Ends every TCP connection.
    pub fn reset_tcp(&self) {
        self.tcp.send_modify(|resets| *resets += 1);
    }
}

async fn relay(mut near: TcpStream, target: SocketAddr, mut resets: watch::Receiver<u64>) {
    let Ok(mut far) = TcpStream::connect(target).await else { return };
    tokio::select! {
        _ = copy_bidirectional(&mut near, &mut far) => {}
        _ = resets.changed() => {}
    }
}

/// A task's outcome, in time.
pub async fn finished<T>(task: JoinHandle<T>) -> T {
    timeout(PATIENCE, task).await.expect("in time").expect("without a panic")
}
