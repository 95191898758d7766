//! Two and three sessions on loopback: they reach each other as the view says, see who is gone, and begin again at their port.

use super::*;
use crate::clock::random_id;
use crate::leadership::Leadership;
use crate::mesh::{
    CallError, ClusterSecret, MeshConfig, MeshEndpoint, MeshIdentity, MeshName, MeshStream, NotSent,
    Reachability, ServeStream,
};
use crate::meta::Revision;
use crate::meta::keys::sessions::Session;
use crate::meta::keys::view::{Member, View};
use crate::metrics::Metrics;
use crate::types::{BrokerId, ClusterId, SessionId, ViewNumber};
use crate::wire::private::{PrivateAnswer, encode_answer, number_of};
use crate::wire::{RequestFrame, decode_frame};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout};
use uuid::Uuid;

/// Longer than anything takes on a busy machine; reached only when a test fails.
const PATIENCE: Duration = Duration::from_secs(20);
const CLUSTER: ClusterId = ClusterId(Uuid::from_bytes([0xC1; 16]));

/// Answers private requests as `services` says.
struct Answering(PrivateServices);

impl ServeStream for Answering {
    fn serve(&self, stream: MeshStream) -> BoxFuture<'static, ()> {
        let services = self.0.clone();
        Box::pin(async move { drop(answer(stream, services).await) })
    }
}

async fn answer(mut stream: MeshStream, services: PrivateServices) -> std::io::Result<()> {
    loop {
        let length = stream.reader.read_u32().await?;
        let mut bytes = vec![0; length as usize];
        stream.reader.read_exact(&mut bytes).await?;
        let RequestFrame { header, body, .. } = decode_frame(bytes.into()).expect("a frame");
        let number = number_of(&header).expect("a private request");
        let served = services.serve(number, stream.peer, body).await;
        let answer = served.map_or(PrivateAnswer::NotServed, PrivateAnswer::Served);
        stream.writer.write_all(&encode_answer(&header, answer).chunks.concat()).await?;
    }
}

/// Answers with the asking broker's id before what was asked.
struct Echo;

impl ServePrivate for Echo {
    fn serve(&self, from: MeshName, request: Bytes) -> BoxFuture<'static, Option<Bytes>> {
        Box::pin(async move { Some([&from.broker.0.to_be_bytes()[..], &request].concat().into()) })
    }
}

struct Node {
    name: MeshName,
    address: SocketAddr,
    leadership: Leadership,
    peers: Peers,
}

async fn endpoint(name: MeshName, address: SocketAddr) -> MeshEndpoint {
    let secret = ClusterSecret::new(b"the secret of these tests").expect("long enough");
    let services = PrivateServices::default().with(PrivateApi::Reports, Arc::new(Echo));
    let start = MeshStart {
        address,
        identity: MeshIdentity::from_secret(&secret, name).expect("made"),
        config: MeshConfig::default(),
        serve: Arc::new(Answering(services)),
        metrics: Metrics::new().mesh,
    };
    listen(start).await.expect("the port is free in time")
}

async fn node(broker: i32, address: SocketAddr) -> Node {
    let name = MeshName { cluster: CLUSTER, broker: BrokerId(broker), session: SessionId(random_id()) };
    let endpoint = endpoint(name, address).await;
    let address = endpoint.address();
    let view = View::new(ViewNumber(1), vec![Member::new(name.session, name.broker)]);
    let leadership = Leadership::new(&view, Revision(1), name.session).expect("known");
    let peers = Peers::start(PeersStart { leadership: leadership.clone(), endpoint: Some(endpoint) });
    Node { name, address, leadership, peers }
}

fn any() -> SocketAddr {
    "127.0.0.1:0".parse().expect("an address")
}

/// All learn of a view with these members.
fn view(number: i32, nodes: &[&Node], members: &[&Node]) {
    let of_view = members.iter().map(|node| Member::new(node.name.session, node.name.broker)).collect();
    let view = View::new(ViewNumber(number), of_view);
    let said = members.iter().map(|node| {
        let mut said = Session::new(node.name.broker, view.number, 0);
        said.mesh = Some(node.address.to_string());
        (node.name.session, Arc::new(said))
    });
    let said = Arc::new(said.collect());
    for node in nodes {
        node.leadership.on_view(&view, Revision(number.unsigned_abs().into())).expect("known");
        node.leadership.on_sessions(Arc::clone(&said));
    }
}

impl Node {
    async fn asks(&self, other: &Node, what: &[u8]) -> Result<Bytes, CallError> {
        let deadline = Instant::now() + PATIENCE;
        self.peers.ask(other.name.session, PrivateApi::Reports, what, deadline).await
    }

    async fn sees(&self, wanted: impl FnMut(&Sightings) -> bool) -> Sightings {
        let mut sightings = self.peers.sightings();
        let seen = timeout(PATIENCE, sightings.wait_for(wanted)).await.expect("it is seen in time");
        seen.expect("somebody looks").clone()
    }

    async fn sees_up(&self, others: &[&Node]) {
        let is_up = |sightings: &Sightings, node: &Node| {
            let seen = sightings.get(&node.name.session);
            seen.is_some_and(|seen| seen.reachability == Reachability::Up)
        };
        self.sees(|sightings| {
            sightings.len() == others.len() && others.iter().all(|node| is_up(sightings, node))
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_of_the_view_reach_each_other() {
    let nodes = [node(1, any()).await, node(2, any()).await, node(3, any()).await];
    let [one, two, three] = &nodes;
    view(2, &[one, two, three], &[one, two, three]);
    // Also at once, before anybody has seen the other.
    assert_eq!(one.asks(two, b"hello").await, Ok(Bytes::from_static(b"\0\0\0\x01hello")));
    one.sees_up(&[two, three]).await;
    two.sees_up(&[one, three]).await;
    assert_eq!(three.asks(one, b"").await, Ok(Bytes::from_static(b"\0\0\0\x03")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_member_is_not_sent_to() {
    let (one, two) = (node(1, any()).await, node(2, any()).await);
    let asked = one.asks(&two, b"hello").await;
    assert!(matches!(asked, Err(CallError::NotSent(NotSent::Unreachable(_)))), "{asked:?}");
    view(2, &[&one, &two], &[&one, &two]);
    one.sees_up(&[&two]).await;
    view(3, &[&one, &two], &[&one]);
    one.sees_up(&[]).await;
    let asked = one.asks(&two, b"hello").await;
    assert!(matches!(asked, Err(CallError::NotSent(NotSent::Unreachable(_)))), "{asked:?}");
    let alone = Peers::none(one.leadership.clone());
    let deadline = Instant::now() + PATIENCE;
    let asked = alone.ask(two.name.session, PrivateApi::Reports, b"", deadline).await;
    assert!(matches!(asked, Err(CallError::NotSent(_))), "{asked:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_other_does_not_serve_is_not_sent() {
    let (one, two) = (node(1, any()).await, node(2, any()).await);
    view(2, &[&one, &two], &[&one, &two]);
    let deadline = Instant::now() + PATIENCE;
    let asked = one.peers.ask(two.name.session, PrivateApi::Coordinators, b"", deadline).await;
    assert_eq!(asked, Err(CallError::NotSent(NotSent::Refused)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_ended_is_seen_as_gone_and_the_next_has_its_port() {
    let (one, two) = (node(1, any()).await, node(2, any()).await);
    view(2, &[&one, &two], &[&one, &two]);
    one.sees_up(&[&two]).await;
    two.sees_up(&[&one]).await;
    two.peers.close().await;
    let session = two.name.session;
    one.sees(|seen| {
        seen.get(&session).is_some_and(|seen| matches!(seen.reachability, Reachability::Gone { .. }))
    })
    .await;
    let again = node(2, two.address).await;
    assert_eq!(again.address, two.address);
    view(3, &[&one, &again], &[&one, &again]);
    one.sees_up(&[&again]).await;
    assert_eq!(one.asks(&again, b"!").await, Ok(Bytes::from_static(b"\0\0\0\x01!")));
}
