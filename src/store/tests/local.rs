//! What is particular to a directory of this machine.

use crate::store::{ObjectPath, ObjectStore, StoreError, UnfinishedFile, paths};
use crate::types::{SessionId, Timestamp};
use bytes::Bytes;
use std::path::Path;
use url::Url;
use uuid::Uuid;

const BODY: Bytes = Bytes::from_static(b"what was put");

/// A store in `directory`.
pub fn open(directory: &Path) -> ObjectStore {
    let url = Url::from_directory_path(directory).expect("an absolute path");
    ObjectStore::open_with(&url, []).expect("a directory")
}

fn path(text: &str) -> ObjectPath {
    ObjectPath::parse(text).expect("a legal path")
}

async fn listed(store: &ObjectStore, prefix: Option<&str>) -> Vec<String> {
    let found = store.list_sorted(prefix.map(path).as_ref(), 100).await.expect("a list");
    found.into_iter().map(|object| object.path.to_string()).collect()
}

#[tokio::test]
async fn many_puts_into_a_fresh_directory_all_arrive() {
    let root = tempfile::tempdir().expect("a temporary directory");
    let store = open(root.path());
    let session = SessionId(Uuid::from_u128(7));
    let puts = (0..32).map(|seq| {
        let store = store.clone();
        async move { store.put(&paths::journal_object(session, seq), BODY).await }
    });
    for answer in futures_util::future::join_all(puts).await {
        answer.expect("a put");
    }
    assert_eq!(listed(&store, Some("journal")).await.len(), 32);
}

#[tokio::test]
async fn a_put_makes_its_directory_again_if_somebody_removed_it() {
    let root = tempfile::tempdir().expect("a temporary directory");
    let store = open(root.path());
    store.put(&path("a/b/c"), BODY).await.expect("a put");
    std::fs::remove_dir_all(root.path().join("a")).expect("removed");
    store.put(&path("a/b/c"), BODY).await.expect("a put");
    assert_eq!(store.get(&path("a/b/c")).await, Ok(BODY));
}

#[tokio::test]
async fn what_a_killed_process_left_of_a_put_is_found_and_goes_and_nothing_else_does() {
    let root = tempfile::tempdir().expect("a temporary directory");
    let store = open(root.path());
    let object = paths::journal_object(SessionId(Uuid::from_u128(7)), 1);
    store.put(&object, BODY).await.expect("a put");
    let half = root.path().join(format!("{object}#12"));
    std::fs::write(&half, BODY).expect("written");
    let strangers =
        [root.path().join("notes#1"), half.with_file_name("notes#1"), root.path().join("journal/x#2")];
    strangers.iter().for_each(|stranger| std::fs::write(stranger, BODY).expect("written"));
    assert_eq!(listed(&store, None).await, [object.as_str()], "no listing shows it");
    assert_eq!(store.unfinished(Timestamp(0)).await, Ok(vec![]), "it is younger");
    let found = store.unfinished(Timestamp(i64::MAX)).await.expect("a look");
    assert_eq!(found, [UnfinishedFile { path: half.clone(), bytes: BODY.len() as u64 }]);
    store.delete_unfinished(found.clone()).await.expect("deleted");
    assert!(!half.exists());
    assert_eq!(store.delete_unfinished(found).await, Ok(()), "what is gone is gone");
    assert_eq!(store.get(&object).await, Ok(BODY));
    assert!(strangers.iter().all(|stranger| stranger.exists()));
    assert_eq!(ObjectStore::in_memory().unfinished(Timestamp(i64::MAX)).await, Ok(vec![]));
}

#[tokio::test]
async fn a_directory_that_does_not_exist_lists_as_empty() {
    let root = tempfile::tempdir().expect("a temporary directory");
    let store = open(root.path());
    assert_eq!(listed(&store, Some("journal")).await, Vec::<String>::new());
    assert_eq!(listed(&store, Some("journal/a/b")).await, Vec::<String>::new());
    assert_eq!(listed(&store, None).await, Vec::<String>::new());
}

#[tokio::test]
async fn files_that_are_not_objects_are_not_listed() {
    let root = tempfile::tempdir().expect("a temporary directory");
    let store = open(root.path());
    store.put(&path("a/b"), BODY).await.expect("a put");
    for name in ["a/b#1", "a/c#27", "a/with space", "a/ü", "a/x#"] {
        std::fs::write(root.path().join(name), b"no object").expect(name);
    }
    std::fs::create_dir(root.path().join("a/empty")).expect("a directory");
    assert_eq!(listed(&store, Some("a")).await, ["a/b"]);
    assert_eq!(listed(&store, None).await, ["a/b"]);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_list_that_would_be_short_is_refused() {
    use std::os::unix::ffi::OsStrExt;
    let root = tempfile::tempdir().expect("a temporary directory");
    let store = open(root.path());
    store.put(&path("a/b"), BODY).await.expect("a put");
    for name in [&b"a/\xff\xfe"[..], b"a/tab\t"] {
        let file = root.path().join(std::ffi::OsStr::from_bytes(name));
        std::fs::write(&file, b"no object").expect("a file");
        let answer = store.list_sorted(None, 10).await;
        assert!(matches!(answer, Err(StoreError::Refused { .. })), "{answer:?}");
        std::fs::remove_file(&file).expect("removed");
    }
    assert_eq!(listed(&store, None).await, ["a/b"]);
}

#[tokio::test]
async fn a_file_that_was_staged_by_a_put_that_died_is_no_object() {
    let root = tempfile::tempdir().expect("a temporary directory");
    let store = open(root.path());
    std::fs::write(root.path().join("cluster.json#1"), b"half").expect("a file");
    let missing = Err(StoreError::Missing { path: "cluster.json".into() });
    assert_eq!(store.get(&paths::cluster_marker()).await, missing);
    assert_eq!(listed(&store, None).await, Vec::<String>::new());
    store.put(&paths::cluster_marker(), BODY).await.expect("a put");
    assert_eq!(store.get(&paths::cluster_marker()).await, Ok(BODY));
    assert_eq!(listed(&store, None).await, ["cluster.json"]);
}

#[tokio::test]
async fn what_is_there_can_be_settled_and_what_is_not_is_missing() {
    let root = tempfile::tempdir().expect("a temporary directory");
    let store = open(root.path());
    let (first, second, none) = (path("a/b/c"), path("d"), path("a/b/none"));
    store.put(&first, BODY).await.expect("a put");
    // As a broker that died has left it.
    std::fs::write(root.path().join("d"), b"x").expect("a file");
    assert_eq!(store.settle(&[first.clone(), second.clone()]).await, Ok(()));
    assert_eq!(store.settle(&[]).await, Ok(()));
    let missing = Err(StoreError::Missing { path: "a/b/none".into() });
    assert_eq!(store.settle(&[first, none, second]).await, missing);
    assert_eq!(store.get(&path("d")).await, Ok(Bytes::from_static(b"x")));
}

#[tokio::test]
async fn a_store_that_is_no_directory_has_nothing_to_settle() {
    assert_eq!(ObjectStore::in_memory().settle(&[path("none")]).await, Ok(()));
}

#[tokio::test]
async fn what_lies_below_a_file_or_is_a_directory_is_missing_and_cannot_be_put() {
    let root = tempfile::tempdir().expect("a temporary directory");
    let store = open(root.path());
    store.put(&path("a"), BODY).await.expect("a put");
    store.put(&path("d/e"), BODY).await.expect("a put");
    for text in ["a/b", "a/b/c", "d"] {
        let is_missing = |error: StoreError| matches!(error, StoreError::Missing { .. });
        assert!(store.get(&path(text)).await.is_err_and(is_missing), "{text}");
        assert!(store.get_range(&path(text), 0..1).await.is_err_and(is_missing), "{text}");
        assert!(store.size(&path(text)).await.is_err_and(is_missing), "{text}");
        assert_eq!(store.delete(&path(text)).await, Ok(()), "{text}");
        let refused = store.put(&path(text), BODY).await;
        assert!(matches!(refused, Err(StoreError::Refused { .. })), "{text}: {refused:?}");
    }
    assert_eq!(listed(&store, None).await, ["a", "d/e"]);
}

#[tokio::test]
async fn a_name_longer_than_the_file_system_takes_is_refused() {
    let root = tempfile::tempdir().expect("a temporary directory");
    let store = open(root.path());
    let long = path(&format!("a/{}", "x".repeat(300)));
    let refused = store.put(&long, BODY).await;
    assert!(matches!(refused, Err(StoreError::Refused { .. })), "{refused:?}");
}

#[tokio::test]
async fn two_handles_on_one_directory_see_the_same() {
    let root = tempfile::tempdir().expect("a temporary directory");
    open(root.path()).put(&path("a"), BODY).await.expect("a put");
    let again = open(root.path());
    assert_eq!(again.get(&path("a")).await, Ok(BODY));
    again.probe().await.expect("a directory is a store");
    assert_eq!(listed(&again, None).await, ["a"]);
    again.probe().await.expect("once more");
    assert!(!root.path().join("probe").exists(), "nothing of the probe is left");
}
