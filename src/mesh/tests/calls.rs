//! One request, one stream: answers, deadlines, and who may send it again.

use super::support::{Manners, in_ms, is_echo, node, node_with, preamble, request, seen, seen_up, soon};
use crate::mesh::call::{Answering, exchange};
use crate::mesh::carrier::Connection;
use crate::mesh::{CallError, ConnectError, MeshConfig, MeshLimits, NotSent, PeerAddress, TellTale, Unknown};
use bytes::Bytes;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_is_answered_and_the_server_knows_who_asks_for_whom() {
    let (one, two) = (node(1, Manners::Echo).await, node(2, Manners::Echo).await);
    let peer = one.peer(&two);
    for (correlation_id, filling) in [(1, 0), (2, 100), (3, 3_000_000)] {
        let answer = peer.call(&preamble(), request(correlation_id, filling), soon()).await;
        assert!(is_echo(&answer, correlation_id, filling));
    }
    assert_eq!(two.server.streams.lock().clone(), vec![(one.name, preamble()); 3]);
    assert_eq!(one.metrics.answered.get(), 3);
    assert_eq!(one.metrics.request_bytes.get(), 3 * 8 + 3_000_100);
    assert_eq!(one.metrics.answer_bytes.get(), 3 * 4 + 3_000_100);
    assert_eq!(one.metrics.connects.get(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_brokers_call_each_other() {
    let nodes = [node(1, Manners::Echo).await, node(2, Manners::Echo).await, node(3, Manners::Echo).await];
    for one in &nodes {
        for two in nodes.iter().filter(|two| two.name != one.name) {
            let answer = one.peer(two).call(&preamble(), request(5, 9), soon()).await;
            assert!(is_echo(&answer, 5, 9));
        }
    }
    for node in &nodes {
        let mut callers: Vec<i32> =
            node.server.streams.lock().iter().map(|(name, _)| name.broker.0).collect();
        callers.sort_unstable();
        let others: Vec<i32> = (1..=3).filter(|broker| *broker != node.name.broker.0).collect();
        assert_eq!(callers, others);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_an_answer_in_time_the_outcome_is_unknown() {
    let (one, two) = (node(1, Manners::Echo).await, node(2, Manners::Gate).await);
    let peer = one.peer(&two);
    seen_up(&peer).await;
    let answer = peer.call(&preamble(), request(1, 10), in_ms(200)).await;
    assert_eq!(answer, Err(CallError::Unknown(Unknown::Deadline)));
    assert_eq!(one.metrics.unknown.get(), 1);
    two.server.gate.send_replace(true);
    assert!(is_echo(&peer.call(&preamble(), request(2, 10), soon()).await, 2, 10));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_breaks_after_the_request_leaves_it_unknown() {
    let (one, two) = (node(1, Manners::Echo).await, node(2, Manners::Break).await);
    let answer = one.peer(&two).call(&preamble(), request(1, 10), soon()).await;
    assert!(matches!(answer, Err(CallError::Unknown(Unknown::Lost(_)))), "{answer:?}");
    *two.server.manners.lock() = Manners::Confused;
    let answer = one.peer(&two).call(&preamble(), request(2, 10), soon()).await;
    assert!(matches!(answer, Err(CallError::Unknown(Unknown::Answer(_)))), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_sent_to_where_nobody_listens() {
    let (one, two) = (node(1, Manners::Echo).await, node(2, Manners::Echo).await);
    let (address, name) = (two.mesh.address(), two.name);
    two.mesh.close().await;
    drop(two);
    let address = PeerAddress { broker: name.broker, session: name.session, address: address.to_string() };
    let peer = one.mesh.peer(address);
    let answer = peer.call(&preamble(), request(1, 10), in_ms(100)).await;
    assert_eq!(answer, Err(CallError::NotSent(NotSent::Deadline)));
    seen(&peer, |sighting| sighting.tell_tale == TellTale::Refused).await;
    assert_eq!(one.metrics.not_sent.get(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_that_means_nothing_is_told_at_once() {
    let one = node(1, Manners::Echo).await;
    let peer = one.mesh.peer(PeerAddress {
        broker: one.name.broker,
        session: one.name.session,
        address: "no port here".to_owned(),
    });
    let answer = peer.call(&preamble(), request(1, 10), soon()).await;
    let Err(CallError::NotSent(NotSent::Unreachable(error))) = answer else { panic!("{answer:?}") };
    assert!(matches!(error, ConnectError::Address { .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_does_not_read_holds_the_client_back() {
    let windows = 256 * 1024;
    let limits = MeshLimits { stream_window_bytes: windows, ..MeshLimits::default() };
    let config = MeshConfig { limits, ..MeshConfig::default() };
    let (one, two) =
        (node_with(1, Manners::Echo, config.clone()).await, node_with(2, Manners::Deaf, config).await);
    let peer = one.peer(&two);
    let connection = peer.connection(soon()).await.unwrap();
    let answer = peer.call(&preamble(), request(1, 32 * 1024 * 1024), in_ms(400)).await;
    assert_eq!(answer, Err(CallError::NotSent(NotSent::Deadline)), "its last byte never left");
    let Connection::Quic(connection) = connection else { unreachable!("nothing is simulated here") };
    let sent = connection.stats().udp_tx.bytes;
    // A busy machine sends some of it again.
    assert!(sent < u64::from(windows) * 16, "{sent} bytes sent to one who reads nothing");
    // Others on the connection do not feel it.
    *two.server.manners.lock() = Manners::Echo;
    assert!(is_echo(&peer.call(&preamble(), request(2, 100_000), soon()).await, 2, 100_000));
    assert_eq!(*two.server.seen.lock(), [2]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_is_refused_for_its_preamble_was_not_sent() {
    let (one, two) = (node(1, Manners::Echo).await, node(2, Manners::Echo).await);
    let connection = one.peer(&two).connection(soon()).await;
    // The handle is gone, and with it the connection.
    drop(connection);
    let peer = one.peer(&two);
    let connection = peer.connection(soon()).await.unwrap();
    let mut later = preamble().encode().unwrap().to_vec();
    later[2] = 2;
    let answering = Answering { bytes_max: 1000, memory: None };
    let answer = exchange(&connection, &later, request(1, 10), soon(), answering).await;
    let answer = answer.map(|(answer, _)| answer);
    assert_eq!(answer, Err(CallError::NotSent(NotSent::Refused)));
    assert!(two.server.seen.lock().is_empty());
    let long = crate::mesh::Preamble { principal: "x".repeat(300), ..preamble() };
    let answer = peer.call(&long, request(1, 10), soon()).await;
    assert!(matches!(answer, Err(CallError::NotSent(NotSent::Preamble(_)))), "{answer:?}");
    let answer = peer.call(&preamble(), Bytes::from_static(b"short"), soon()).await;
    assert_eq!(answer, Err(CallError::NotSent(NotSent::Frame(5))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_longer_than_allowed_is_not_read() {
    let limits = MeshLimits { answer_bytes_max: 1000, ..MeshLimits::default() };
    let config = MeshConfig { limits, ..MeshConfig::default() };
    let (one, two) = (node_with(1, Manners::Echo, config).await, node(2, Manners::Echo).await);
    let answer = one.peer(&two).call(&preamble(), request(1, 5000), soon()).await;
    assert!(matches!(answer, Err(CallError::Unknown(Unknown::Answer(_)))), "{answer:?}");
    let began = tokio::time::Instant::now();
    assert!(is_echo(&one.peer(&two).call(&preamble(), request(2, 500), soon()).await, 2, 500));
    assert!(began.elapsed() < Duration::from_secs(10));
}
