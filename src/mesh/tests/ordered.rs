//! A stream that keeps the order.

use super::support::{Manners, becomes, finished, in_ms, is_echo, node, node_with, preamble, request, soon};
use crate::mesh::{CallError, MeshConfig, MeshLimits, NotSent, Unknown};
use std::time::Duration;
use tokio::time::timeout;

fn in_flight_max(ordered_in_flight_max: usize) -> MeshConfig {
    let limits = MeshLimits { ordered_in_flight_max, ..MeshLimits::default() };
    MeshConfig { limits, ..MeshConfig::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_requests_in_flight_keep_their_order() {
    let (one, two) = (node(1, Manners::Echo).await, node(2, Manners::Gate).await);
    let mut stream = one.peer(&two).open_ordered(&preamble(), soon()).await.unwrap();
    let mut pending = Vec::new();
    for id in 0..1000 {
        pending.push(stream.send(request(id, 100), soon()).await.unwrap());
    }
    becomes(|| two.server.seen.lock().len() == 1000).await;
    two.server.gate.send_replace(true);
    for (id, answer) in (0..).zip(pending) {
        assert!(is_echo(&answer.wait(soon()).await, id, 100));
    }
    assert_eq!(*two.server.seen.lock(), (0..1000).collect::<Vec<_>>());
    assert_eq!(two.server.streams.lock().len(), 1, "one preamble");
    assert_eq!(one.metrics.answered.get(), 1000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn past_the_limit_the_next_waits_and_the_stream_goes_on() {
    let (one, two) = (node_with(1, Manners::Echo, in_flight_max(2)).await, node(2, Manners::Gate).await);
    let mut stream = one.peer(&two).open_ordered(&preamble(), soon()).await.unwrap();
    let first = stream.send(request(1, 0), soon()).await.unwrap();
    let second = stream.send(request(2, 0), soon()).await.unwrap();
    assert_eq!(stream.send(request(3, 0), in_ms(100)).await.unwrap_err(), NotSent::Deadline);
    assert!(!stream.is_over());
    two.server.gate.send_replace(true);
    assert!(is_echo(&first.wait(soon()).await, 1, 0));
    let fourth = stream.send(request(4, 0), soon()).await.unwrap();
    assert!(is_echo(&fourth.wait(soon()).await, 4, 0));
    assert!(is_echo(&second.wait(soon()).await, 2, 0));
    assert_eq!(*two.server.seen.lock(), [1, 2, 4]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_the_peer_ends_what_has_no_answer_is_unknown_and_nothing_more_is_sent() {
    let (one, two) = (node(1, Manners::Echo).await, node(2, Manners::Gate).await);
    let mut stream = one.peer(&two).open_ordered(&preamble(), soon()).await.unwrap();
    let first = stream.send(request(1, 0), soon()).await.unwrap();
    let second = stream.send(request(2, 0), soon()).await.unwrap();
    becomes(|| two.server.seen.lock().len() == 2).await;
    drop(two.mesh);
    for pending in [first, second] {
        let answer = pending.wait(soon()).await;
        assert!(matches!(answer, Err(CallError::Unknown(Unknown::Lost(_)))), "{answer:?}");
    }
    let error = stream.send(request(3, 0), soon()).await.unwrap_err();
    assert!(matches!(error, NotSent::Lost(_)), "{error:?}");
    assert!(stream.is_over());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_breaks_in_the_middle_is_over_for_all_behind() {
    let (one, two) = (node(1, Manners::Echo).await, node(2, Manners::Confused).await);
    let mut stream = one.peer(&two).open_ordered(&preamble(), soon()).await.unwrap();
    let first = stream.send(request(1, 0), soon()).await.unwrap();
    let answer = first.wait(soon()).await;
    assert!(matches!(answer, Err(CallError::Unknown(Unknown::Answer(_)))), "{answer:?}");
    becomes(|| stream.is_over()).await;
    assert!(stream.send(request(2, 0), soon()).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_given_up_in_the_middle_is_never_seen_as_a_whole_one() {
    let (one, mut two) = (node(1, Manners::Echo).await, node(2, Manners::Deaf).await);
    let mut stream = one.peer(&two).open_ordered(&preamble(), soon()).await.unwrap();
    let big = stream.send(request(1, 64 * 1024 * 1024), in_ms(300)).await;
    assert_eq!(big.unwrap_err(), NotSent::Deadline);
    assert!(stream.is_over());
    let error = stream.send(request(2, 0), soon()).await.unwrap_err();
    assert!(matches!(error, NotSent::Lost(_)), "{error:?}");
    drop(stream);
    let read = timeout(super::support::PATIENCE, two.ended.recv()).await.expect("the stream ends");
    assert_eq!(read, Some(0));
    // Dropped halfway, the same.
    *two.server.manners.lock() = Manners::Echo;
    let mut stream = one.peer(&two).open_ordered(&preamble(), soon()).await.unwrap();
    let sending = stream.send(request(3, 64 * 1024 * 1024), soon());
    assert!(timeout(Duration::from_millis(20), sending).await.is_err(), "it takes longer");
    drop(stream);
    let read = timeout(super::support::PATIENCE, two.ended.recv()).await.expect("the stream ends");
    assert_eq!(read, Some(0));
    assert!(two.server.seen.lock().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_without_answer_keep_the_order_too() {
    let (one, two) = (node(1, Manners::Echo).await, node(2, Manners::Gate).await);
    let mut stream = one.peer(&two).open_ordered(&preamble(), soon()).await.unwrap();
    let answered = stream.send(request(1, 0), soon()).await.unwrap();
    for id in 2..100 {
        stream.send_unanswered(request(id, 0), soon()).await.unwrap();
    }
    drop(stream);
    becomes(|| two.server.seen.lock().len() == 99).await;
    assert_eq!(*two.server.seen.lock(), (1..100).collect::<Vec<_>>(), "what was sent before the end arrives");
    two.server.gate.send_replace(true);
    assert!(is_echo(&answered.wait(soon()).await, 1, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_come_after_the_sender_is_done() {
    let (one, two) = (node(1, Manners::Echo).await, node(2, Manners::Echo).await);
    let mut stream = one.peer(&two).open_ordered(&preamble(), soon()).await.unwrap();
    let pending = stream.send(request(1, 1_000_000), soon()).await.unwrap();
    let waiting = tokio::spawn(pending.wait(soon()));
    let answer = finished(waiting).await;
    drop(stream);
    assert!(is_echo(&answer, 1, 1_000_000));
}
