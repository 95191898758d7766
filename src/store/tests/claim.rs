//! Whose bucket it is, after every order of events; and what the probe finds.

use crate::store::{
    ClaimError, ClusterHistory, ObjectStore, ProbeError, StoreError, claim, paths, read_claim,
};
use crate::types::{ClusterId, SessionId};
use bytes::Bytes;
use object_store::memory::InMemory;
use object_store::throttle::{ThrottleConfig, ThrottledStore};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

use ClusterHistory::{Committed, NothingCommitted};

const OURS: ClusterId = ClusterId(Uuid::from_u128(1));
const THEIRS: ClusterId = ClusterId(Uuid::from_u128(2));

async fn put_marker(store: &ObjectStore, body: &'static str) {
    store.put(&paths::cluster_marker(), Bytes::from_static(body.as_bytes())).await.expect("a put");
}

async fn put_journal(store: &ObjectStore) {
    let path = paths::journal_object(SessionId(Uuid::from_u128(3)), 0);
    store.put(&path, Bytes::from_static(b"x")).await.expect("a put");
}

#[tokio::test]
async fn an_empty_store_is_marked_and_stays_ours() {
    let store = ObjectStore::in_memory();
    assert_eq!(read_claim(&store).await.expect("an answer"), None);
    claim(&store, OURS, NothingCommitted).await.expect("it is empty");
    assert_eq!(read_claim(&store).await.expect("an answer"), Some(OURS));
    put_journal(&store).await;
    claim(&store, OURS, NothingCommitted).await.expect("it is ours");
    claim(&store, OURS, Committed).await.expect("it is ours");
    let marker = store.get(&paths::cluster_marker()).await.expect("the marker");
    assert_eq!(marker, r#"{"v":1,"cluster_id":"00000000000000000000000000000001"}"#);
}

#[tokio::test]
async fn a_store_of_another_cluster_is_refused_and_left_as_it_is() {
    let store = ObjectStore::in_memory();
    claim(&store, THEIRS, NothingCommitted).await.expect("it is empty");
    for history in [NothingCommitted, Committed] {
        let error = claim(&store, OURS, history).await.expect_err("it is theirs");
        assert!(matches!(error, ClaimError::Foreign { found: THEIRS, ours: OURS }), "{error}");
        let message = error.to_string();
        assert!(message.contains(&OURS.to_string()) && message.contains(&THEIRS.to_string()), "{message}");
    }
    assert_eq!(read_claim(&store).await.expect("an answer"), Some(THEIRS));
}

#[tokio::test]
async fn a_marker_that_vanished_is_not_made_again() {
    let store = ObjectStore::in_memory();
    claim(&store, OURS, NothingCommitted).await.expect("it is empty");
    store.delete(&paths::cluster_marker()).await.expect("a delete");
    let error = claim(&store, OURS, Committed).await.expect_err("there must be a marker");
    assert!(matches!(error, ClaimError::Vanished { ours: OURS }), "{error}");
    assert_eq!(read_claim(&store).await.expect("an answer"), None);
}

#[tokio::test]
async fn journals_that_nobody_marked_are_not_taken() {
    let store = ObjectStore::in_memory();
    put_journal(&store).await;
    let error = claim(&store, OURS, NothingCommitted).await.expect_err("whose are they?");
    assert!(matches!(error, ClaimError::Unmarked), "{error}");
    assert_eq!(read_claim(&store).await.expect("an answer"), None);
}

/// The metadata has its id, the bucket no marker yet: the first put was never made, or died in the middle.
#[tokio::test]
async fn a_crash_between_the_two_writes_is_made_good_at_the_next_start() {
    let root = tempfile::tempdir().expect("a temporary directory");
    std::fs::write(root.path().join("cluster.json#1"), br#"{"v":1,"clus"#).expect("a file");
    std::fs::create_dir_all(root.path().join("journal/left-empty")).expect("a directory");
    let store = super::local::open(root.path());
    claim(&store, OURS, NothingCommitted).await.expect("nothing lies there");
    assert_eq!(read_claim(&store).await.expect("an answer"), Some(OURS));
}

#[tokio::test]
async fn other_things_in_a_new_store_do_not_matter() {
    let store = ObjectStore::in_memory();
    let other = crate::store::ObjectPath::parse("probe/left").expect("legal");
    store.put(&other, Bytes::from_static(b"x")).await.expect("a put");
    claim(&store, OURS, NothingCommitted).await.expect("no journal lies there");
}

#[tokio::test]
async fn a_marker_that_cannot_be_read_is_never_overwritten() {
    for body in [
        "",
        "{",
        "null",
        "{}",
        r#"{"v":1}"#,
        r#"{"v":1,"cluster_id":7}"#,
        r#"{"v":1,"cluster_id":"not one"}"#,
        r#"{"v":2,"cluster_id":"00000000000000000000000000000001"}"#,
    ] {
        let store = ObjectStore::in_memory();
        put_marker(&store, body).await;
        for history in [NothingCommitted, Committed] {
            let error = claim(&store, OURS, history).await.expect_err(body);
            assert!(matches!(error, ClaimError::Unreadable { .. }), "{body}: {error}");
            assert_eq!(error.to_string().lines().count(), 1, "{error}");
        }
        assert_eq!(store.get(&paths::cluster_marker()).await.expect("the marker"), body);
    }
}

#[tokio::test]
async fn the_probe_leaves_nothing_behind() {
    let store = ObjectStore::in_memory();
    store.probe().await.expect("memory is a store");
    assert_eq!(store.list_sorted(None, 10).await, Ok(vec![]));
}

#[tokio::test(start_paused = true)]
async fn a_store_that_gives_no_answer_is_neither_marked_nor_good() {
    let config = ThrottleConfig {
        wait_get_per_call: Duration::from_secs(3600),
        wait_put_per_call: Duration::from_secs(3600),
        ..ThrottleConfig::default()
    };
    let slow = ThrottledStore::new(InMemory::new(), config);
    let store = ObjectStore::with_backend(Arc::new(slow), "slow:");
    let error = claim(&store, OURS, NothingCommitted).await.expect_err("no answer");
    assert!(matches!(error, ClaimError::Store(StoreError::Unavailable { .. })), "{error}");
    let error = store.probe().await.expect_err("no answer");
    assert!(matches!(error, ProbeError::Failed { step: "a first put", .. }), "{error}");
    assert!(error.to_string().contains("slow:"), "{error}");
}
