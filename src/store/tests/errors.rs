//! What an error means to the caller, whichever backend it comes from.

use super::http::{Does, Server, store_at};
use crate::store::{OPERATION_DEADLINE, ObjectPath, ObjectStore, StoreError};
use bytes::Bytes;
use object_store::memory::InMemory;
use object_store::throttle::{ThrottleConfig, ThrottledStore};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::net::TcpListener;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sort {
    Fine,
    Missing,
    Refused,
    Unavailable,
}

fn sort<T>(answer: &Result<T, StoreError>) -> Sort {
    let Err(error) = answer else { return Sort::Fine };
    let said = error.to_string();
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(!said.contains("Generic") && !said.contains("max_retries"), "{said}");
    match error {
        StoreError::Missing { .. } => Sort::Missing,
        StoreError::Refused { .. } => Sort::Refused,
        StoreError::Unavailable { .. } => Sort::Unavailable,
    }
}

fn path() -> ObjectPath {
    ObjectPath::parse("a/b").expect("legal")
}

/// Reads whole, reads a range, asks for the size, puts, lists, deletes.
async fn all(store: &ObjectStore) -> [Sort; 6] {
    [
        sort(&store.get(&path()).await),
        sort(&store.get_range(&path(), 0..3).await),
        sort(&store.size(&path()).await),
        sort(&store.put(&path(), Bytes::from_static(b"x")).await),
        sort(&store.list_sorted(None, 10).await),
        sort(&store.delete(&path()).await),
    ]
}

#[tokio::test]
async fn a_status_says_what_can_be_done_about_it() {
    use Sort::{Fine, Missing, Refused, Unavailable};
    for (status, reads, others) in [
        (301, Refused, Refused),
        (400, Refused, Refused),
        (401, Refused, Refused),
        (403, Refused, Refused),
        (404, Missing, Refused),
        (405, Refused, Refused),
        (408, Unavailable, Unavailable),
        (409, Unavailable, Unavailable),
        (412, Refused, Refused),
        (416, Refused, Refused),
        (429, Unavailable, Unavailable),
        (500, Unavailable, Unavailable),
        (502, Unavailable, Unavailable),
        (503, Unavailable, Unavailable),
        (504, Unavailable, Unavailable),
    ] {
        let body = "<Error>\n  <Code>Any</Code>\n  <Message>status code: 404, or 503</Message>\n</Error>";
        let server = Server::start(vec![Does::status(status, body)]).await;
        let delete = if status == 404 { Fine } else { others };
        let expected = [reads, reads, reads, others, others, delete];
        assert_eq!(all(&server.store(0)).await, expected, "{status}");
    }
}

#[tokio::test]
async fn a_request_is_repeated_while_the_server_is_away_and_no_longer() {
    let away = Does::status(503, "<Error><Code>SlowDown</Code></Error>");
    let server = Server::start(vec![away.clone(), away.clone(), Does::object(200, 4, "", "here")]).await;
    assert_eq!(server.store(8).get(&path()).await, Ok(Bytes::from_static(b"here")));
    assert_eq!(server.requests.load(Ordering::Relaxed), 3);

    let server = Server::start(vec![away]).await;
    assert_eq!(sort(&server.store(2).get(&path()).await), Sort::Unavailable);
    assert_eq!(server.requests.load(Ordering::Relaxed), 3);

    let server = Server::start(vec![Does::status(403, "")]).await;
    assert_eq!(sort(&server.store(8).get(&path()).await), Sort::Refused);
    assert_eq!(server.requests.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_server_that_says_nothing_or_is_not_there_is_unavailable() {
    for does in [Does::Waits, Does::Closes] {
        let server = Server::start(vec![does]).await;
        assert_eq!(all(&server.store(0)).await, [Sort::Unavailable; 6]);
    }
    let nobody = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
    let address = nobody.local_addr().expect("a bound port");
    drop(nobody);
    assert_eq!(all(&store_at(address, 0)).await, [Sort::Unavailable; 6]);
}

#[tokio::test]
async fn an_answer_that_is_cut_off_is_unavailable() {
    let whole = Server::start(vec![Does::object(200, 100, "", "ten bytes.")]).await;
    assert_eq!(sort(&whole.store(0).get(&path()).await), Sort::Unavailable);
    let range = "content-range: bytes 0-99/200\r\n";
    let part = Server::start(vec![Does::object(206, 100, range, "ten bytes.")]).await;
    assert_eq!(sort(&part.store(0).get_range(&path(), 0..100).await), Sort::Unavailable);
}

#[tokio::test]
async fn a_range_is_whole_or_refused() {
    for (extra, body) in [
        ("content-range: bytes 0-3/4\r\n", "abcd"),
        ("content-range: bytes 1-8/9\r\n", "abcdefgh"),
        ("", "abcdefgh"),
    ] {
        let server = Server::start(vec![Does::object(206, body.len(), extra, body)]).await;
        let answer = server.store(0).get_range(&path(), 0..8).await;
        assert_ne!(sort(&answer), Sort::Fine, "{extra}");
        assert_ne!(sort(&answer), Sort::Missing, "{extra}");
    }
    let short = Does::object(206, 4, "content-range: bytes 0-3/4\r\n", "abcd");
    let server = Server::start(vec![short]).await;
    assert_eq!(sort(&server.store(0).get_range(&path(), 0..8).await), Sort::Refused);
}

async fn check_ranges(store: &ObjectStore) {
    store.put(&path(), Bytes::from_static(b"0123456789")).await.expect("a put");
    for range in [10..11, 10..20, 11..12, 1_000_000..1_000_001, 9..11, 0..11, 5..5, 0..0] {
        assert_eq!(sort(&store.get_range(&path(), range.clone()).await), Sort::Refused, "{range:?}");
    }
    assert_eq!(store.get_range(&path(), 9..10).await, Ok(Bytes::from_static(b"9")));
}

#[tokio::test]
async fn a_range_past_the_end_is_refused_in_memory() {
    check_ranges(&ObjectStore::in_memory()).await;
}

#[tokio::test]
async fn a_range_past_the_end_is_refused_in_a_directory() {
    let root = tempfile::tempdir().expect("a temporary directory");
    check_ranges(&super::local::open(root.path())).await;
}

#[tokio::test(start_paused = true)]
async fn no_operation_outlasts_its_deadline() {
    let hour = Duration::from_secs(3600);
    let config = ThrottleConfig {
        wait_get_per_call: hour,
        wait_put_per_call: hour,
        wait_list_per_call: hour,
        wait_delete_per_call: hour,
        ..ThrottleConfig::default()
    };
    let slow = ThrottledStore::new(InMemory::new(), config);
    let store = ObjectStore::with_backend(Arc::new(slow), "slow:");
    let started = tokio::time::Instant::now();
    assert_eq!(all(&store).await, [Sort::Unavailable; 6]);
    assert!(started.elapsed() < OPERATION_DEADLINE * 7);
}
