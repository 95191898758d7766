//! Who is not of the cluster gets nothing, holds little, and is told why.

use super::support::{
    CLUSTER, Manners, Node, SECRET, becomes, identity, is_echo, name, node, node_at, node_with, preamble,
    request, seen_up, soon,
};
use crate::mesh::identity::ALPN;
use crate::mesh::{
    CallError, ConnectError, MeshConfig, MeshIdentity, MeshLimits, MeshName, MeshTiming, NotSent, PeerAddress,
};
use crate::types::{BrokerId, ClusterId};
use quinn::crypto::rustls::QuicClientConfig;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::timeout;
use uuid::Uuid;

const OTHER_SECRET: &[u8] = b"the secret of somebody else";

async fn node_of(identity: MeshIdentity) -> Node {
    node_at("127.0.0.1:0".parse().unwrap(), &identity, MeshConfig::default(), Manners::Echo).await
}

/// Why `one` cannot reach `two`.
async fn cause(one: &Node, two: &Node) -> ConnectError {
    let answer = one.peer(two).call(&preamble(), request(1, 0), soon()).await;
    let Err(CallError::NotSent(NotSent::Unreachable(error))) = answer else { panic!("{answer:?}") };
    assert!(two.server.streams.lock().is_empty(), "nothing is served");
    error
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_secret_is_refused_both_ways_and_said_to_be_that() {
    let ours = node(1, Manners::Echo).await;
    let theirs = node_of(identity(OTHER_SECRET, name(2))).await;
    assert_eq!(cause(&ours, &theirs).await, ConnectError::PeerSecret);
    assert_eq!(cause(&theirs, &ours).await, ConnectError::PeerSecret);
    becomes(|| ours.metrics.strangers.get() > 0 && theirs.metrics.strangers.get() > 0).await;
    assert_eq!(ours.metrics.connections_in.get(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_that_trusts_us_is_refused_all_the_same() {
    let ours = node(1, Manners::Echo).await;
    let trusting = identity(OTHER_SECRET, name(2)).trusting(&identity(SECRET, name(3)));
    let stranger = node_of(trusting).await;
    assert_eq!(cause(&stranger, &ours).await, ConnectError::OurSecret);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_cluster_with_the_same_secret_is_named() {
    let ours = node(1, Manners::Echo).await;
    let other = MeshName { cluster: ClusterId(Uuid::from_bytes([0xC2; 16])), ..name(2) };
    let theirs = node_of(identity(SECRET, other)).await;
    let error = cause(&ours, &theirs).await;
    assert!(matches!(error, ConnectError::Name(_)), "{error:?}");
    assert!(error.to_string().contains(&other.cluster.to_string()), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_broker_at_the_address_is_named() {
    let (one, two) = (node(1, Manners::Echo).await, node(2, Manners::Echo).await);
    let wrong = PeerAddress {
        broker: BrokerId(3),
        session: two.name.session,
        address: two.mesh.address().to_string(),
    };
    let answer = one.mesh.peer(wrong).call(&preamble(), request(1, 0), soon()).await;
    let Err(CallError::NotSent(NotSent::Unreachable(error))) = answer else { panic!("{answer:?}") };
    assert!(matches!(error, ConnectError::Name(_)), "{error:?}");
    assert!(error.to_string().contains("broker-2"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_without_a_certificate_gets_no_stream() {
    let ours = node(1, Manners::Echo).await;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(identity(SECRET, name(2)).roots())
        .with_no_client_auth();
    tls.alpn_protocols = vec![ALPN.to_vec()];
    let config = quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls).unwrap()));
    let endpoint = quinn::Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
    let connecting = endpoint.connect_with(config, ours.mesh.address(), &ours.name.broker_name()).unwrap();
    let error = match connecting.await {
        // TLS 1.3 lets a client believe in success until the server has looked.
        Ok(connection) => timeout(super::support::PATIENCE, connection.closed()).await.expect("closed soon"),
        Err(error) => error,
    };
    assert_eq!(ConnectError::from(error), ConnectError::NoCertificate);
    becomes(|| ours.metrics.strangers.get() == 1).await;
    assert!(ours.server.streams.lock().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sockets_that_say_nothing_are_few_and_short() {
    let limits = MeshLimits { handshakes_max: 4, ..MeshLimits::default() };
    let timing = MeshTiming { handshake: Duration::from_millis(500), ..MeshTiming::default() };
    let ours = node_with(1, Manners::Echo, MeshConfig { limits, timing, seed: 1 }).await;
    let mut sockets = Vec::new();
    for _ in 0..20 {
        sockets.push(TcpStream::connect(ours.mesh.address()).await.unwrap());
    }
    becomes(|| ours.metrics.strangers.get() >= 16).await;
    for socket in &mut sockets {
        let read = timeout(super::support::PATIENCE, socket.read(&mut [0; 8])).await.expect("closed soon");
        assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
    }
    becomes(|| ours.metrics.strangers.get() == 20).await;
    // Then brokers come in again.
    let two = node(2, Manners::Echo).await;
    let peer = two.peer(&ours);
    seen_up(&peer).await;
    assert!(is_echo(&peer.call(&preamble(), request(1, 0), soon()).await, 1, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_more_connections_are_held_than_may_be() {
    let limits = MeshLimits { connections_max: 1, ..MeshLimits::default() };
    let ours = node_with(1, Manners::Echo, MeshConfig { limits, ..MeshConfig::default() }).await;
    let (two, three) = (node(2, Manners::Echo).await, node(3, Manners::Echo).await);
    let first = two.peer(&ours);
    assert!(is_echo(&first.call(&preamble(), request(1, 0), soon()).await, 1, 0));
    let second = three.peer(&ours);
    let answer = second.call(&preamble(), request(2, 0), soon()).await;
    assert!(matches!(answer, Err(CallError::NotSent(NotSent::Unreachable(_)))), "{answer:?}");
    drop(first);
    becomes(|| ours.metrics.connections_in.get() == 0).await;
    let mut tries = tokio::time::interval(Duration::from_millis(20));
    let in_the_end = async {
        while second.call(&preamble(), request(3, 0), soon()).await.is_err() {
            tries.tick().await;
        }
    };
    timeout(super::support::PATIENCE, in_the_end).await.expect("a place is free again");
    assert_eq!(CLUSTER, ours.name.cluster);
}
