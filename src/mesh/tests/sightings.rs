//! Whether a peer is there: killed, cut off, replaced, back again.

use super::support::{
    Line, Manners, Node, SECRET, becomes, identity, in_ms, is_echo, node, node_at, preamble, request, seen,
    seen_up, soon,
};
use crate::mesh::{CallError, MeshConfig, MeshName, NotSent, PeerAddress, Reachability, TellTale};
use crate::types::SessionId;
use std::time::Duration;
use tokio::time::Instant;
use uuid::Uuid;

async fn pair() -> (Node, Node) {
    (node(1, Manners::Echo).await, node(2, Manners::Echo).await)
}

fn is_gone(reachability: Reachability) -> bool {
    matches!(reachability, Reachability::Gone { .. })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_ends_is_gone_at_once() {
    let (one, two) = pair().await;
    let peer = one.peer(&two);
    seen_up(&peer).await;
    assert_eq!(one.metrics.peers_up.get(), 1);
    let ended_at = Instant::now();
    drop(two);
    let sighting = seen(&peer, |sighting| is_gone(sighting.reachability)).await;
    let Reachability::Gone { at } = sighting.reachability else { panic!("as awaited") };
    let took = at.saturating_duration_since(ended_at);
    println!("gone after {took:?}");
    // Sooner than silence could tell, on a busy machine too.
    assert!(took < MeshConfig::default().timing.silence, "{took:?}");
    seen(&peer, |sighting| sighting.tell_tale == TellTale::Refused).await;
    assert_eq!(one.metrics.peers_up.get(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_that_is_cut_makes_a_silence_and_not_an_end() {
    let (one, two) = pair().await;
    let line = Line::to(two.mesh.address()).await;
    let peer = one.peer_at(&two, line.address);
    seen_up(&peer).await;
    let cut_at = Instant::now();
    line.cut();
    let sighting = seen(&peer, |sighting| sighting.reachability != Reachability::Up).await;
    let took = cut_at.elapsed();
    println!("silent after {took:?}");
    assert!(matches!(sighting.reachability, Reachability::Silent { .. }), "{sighting:?}");
    assert_eq!(sighting.tell_tale, TellTale::Open);
    // 600 milliseconds, and what a busy machine adds.
    assert!(took < Duration::from_millis(1500), "{took:?}");
    let answer = peer.call(&preamble(), request(1, 0), in_ms(200)).await;
    assert!(answer.is_err());
    line.mend();
    seen_up(&peer).await;
    assert!(is_echo(&peer.call(&preamble(), request(2, 0), soon()).await, 2, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_long_cut_the_connection_is_made_again() {
    let (one, two) = pair().await;
    let line = Line::to(two.mesh.address()).await;
    let peer = one.peer_at(&two, line.address);
    seen_up(&peer).await;
    let first = peer.connection(soon()).await.unwrap();
    line.cut();
    // QUIC gives it up; calls are not sent, and say so.
    first.closed().await;
    becomes(|| one.metrics.connections_out.get() == 0).await;
    let answer = peer.call(&preamble(), request(1, 0), in_ms(200)).await;
    assert!(matches!(answer, Err(CallError::NotSent(_))), "{answer:?}");
    line.mend();
    seen(&peer, |sighting| sighting.reachability == Reachability::Up).await;
    assert!(is_echo(&peer.call(&preamble(), request(2, 0), soon()).await, 2, 0));
    assert_eq!(one.metrics.connects.get(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tell_tale_that_a_box_resets_is_made_again() {
    let (one, two) = pair().await;
    let line = Line::to(two.mesh.address()).await;
    let peer = one.peer_at(&two, line.address);
    seen_up(&peer).await;
    let reset_at = Instant::now();
    line.reset_tcp();
    let sighting = seen(&peer, |sighting| is_gone(sighting.reachability)).await;
    let Reachability::Gone { at } = sighting.reachability else { panic!("as awaited") };
    println!("reset seen after {:?}", at.saturating_duration_since(reset_at));
    assert!(at.saturating_duration_since(reset_at) < MeshConfig::default().timing.silence);
    // The session proves that it lives.
    seen_up(&peer).await;
    assert!(is_echo(&peer.call(&preamble(), request(1, 0), soon()).await, 1, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_session_is_found_again_and_another_is_not_taken_for_it() {
    let (one, two) = pair().await;
    let peer = one.peer(&two);
    seen_up(&peer).await;
    let (address, name) = (two.mesh.address(), two.name);
    two.mesh.close().await;
    drop(two);
    seen(&peer, |sighting| sighting.tell_tale == TellTale::Refused).await;
    // As if only the way to it had been gone.
    let same = node_at(address, &identity(SECRET, name), MeshConfig::default(), Manners::Echo).await;
    seen_up(&peer).await;
    // The tell-tale may be there before the connection is.
    becomes(|| one.metrics.connects.get() >= 2).await;
    assert!(is_echo(&peer.call(&preamble(), request(1, 0), soon()).await, 1, 0));
    same.mesh.close().await;
    drop(same);

    let next = MeshName { session: SessionId(Uuid::from_bytes([9; 16])), ..name };
    let _next = node_at(address, &identity(SECRET, next), MeshConfig::default(), Manners::Echo).await;
    let sighting = seen(&peer, |sighting| sighting.tell_tale == TellTale::Replaced).await;
    assert!(is_gone(sighting.reachability));
    becomes(|| one.metrics.connects_failed.get() > 0).await;
    let answer = peer.call(&preamble(), request(2, 0), soon()).await;
    assert!(matches!(answer, Err(CallError::NotSent(NotSent::Unreachable(_)))), "{answer:?}");
    // Whoever means the new one gets it.
    let new = PeerAddress { broker: next.broker, session: next.session, address: address.to_string() };
    let new = one.mesh.peer(new);
    assert!(is_echo(&new.call(&preamble(), request(3, 0), soon()).await, 3, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_end_with_the_last_handle() {
    let (one, two) = pair().await;
    let peer = one.peer(&two);
    let another = one.peer(&two);
    seen_up(&peer).await;
    drop(peer);
    assert!(is_echo(&another.call(&preamble(), request(1, 0), soon()).await, 1, 0));
    assert_eq!(two.metrics.connections_in.get(), 1);
    drop(another);
    becomes(|| two.metrics.connections_in.get() == 0).await;
    becomes(|| one.metrics.connections_out.get() == 0).await;
    assert_eq!(one.metrics.connects.get(), 1, "both had the same");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_closed_mesh_sends_nothing() {
    let (one, two) = pair().await;
    let peer = one.peer(&two);
    seen_up(&peer).await;
    one.mesh.close().await;
    let answer = peer.call(&preamble(), request(1, 0), soon()).await;
    assert!(matches!(answer, Err(CallError::NotSent(_))), "{answer:?}");
    becomes(|| two.metrics.connections_in.get() == 0).await;
}
