use super::{EmbeddedStore, OpenError};
use crate::meta::contract::{self, applied, put, value, writing};
use crate::meta::{CountedStore, Durability, MetadataStore, Transaction, Write};
use crate::metrics::Metrics;
use std::sync::Arc;

#[tokio::test]
async fn the_store_in_memory_keeps_the_contract() {
    contract::check(Arc::new(EmbeddedStore::in_memory())).await;
}

#[tokio::test]
async fn a_counted_store_keeps_the_contract() {
    let store = Arc::new(EmbeddedStore::in_memory());
    contract::check(Arc::new(CountedStore::new(store, Arc::new(Metrics::new())))).await;
}

#[tokio::test]
async fn the_store_on_disk_keeps_the_contract() {
    let directory = tempfile::tempdir().expect("a directory");
    contract::check(Arc::new(EmbeddedStore::open(directory.path()).expect("it opens"))).await;
}

#[tokio::test]
async fn a_second_open_names_the_directory_and_the_holder() {
    let directory = tempfile::tempdir().expect("a directory");
    let first = EmbeddedStore::open(directory.path()).expect("it opens");
    let error = EmbeddedStore::open(directory.path()).expect_err("it is held");
    assert!(matches!(error, OpenError::InUse { .. }));
    let pid = std::process::id();
    let expected = format!("{} is in use by another broker (pid {pid})", directory.path().display());
    assert_eq!(error.to_string(), expected);
    drop(first);
    EmbeddedStore::open(directory.path()).expect("it was let go");
}

fn deferred(key: &str, text: &str) -> Transaction {
    Transaction { durability: Durability::Deferred, ..writing(vec![], vec![put(key, text)]) }
}

#[tokio::test]
async fn a_clean_close_keeps_deferred_writes_and_revisions_grow() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = EmbeddedStore::open(directory.path()).expect("it opens");
    let before = applied(&store, deferred("a", "1")).await.expect("applied");
    drop(store);
    let store = EmbeddedStore::open(directory.path()).expect("it opens again");
    assert_eq!(value(&store, "a").await.as_deref(), Some("1"));
    assert!(applied(&store, deferred("a", "2")).await.expect("applied") > before);
}

/// A copy of the file while the store is open is what a crash leaves.
#[tokio::test]
async fn a_crash_keeps_immediate_writes_and_tears_no_deferred_one() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = EmbeddedStore::open(directory.path()).expect("it opens");
    applied(&store, writing(vec![], vec![put("kept", "1")])).await.expect("applied");
    let mut last = None;
    for number in 0..50 {
        let text = number.to_string();
        let writes = vec![put("x", &text), put("y", &text)];
        let transaction = Transaction { durability: Durability::Deferred, ..writing(vec![], writes) };
        last = applied(&store, transaction).await;
    }
    let crashed = tempfile::tempdir().expect("a directory");
    std::fs::copy(directory.path().join("metadata.redb"), crashed.path().join("metadata.redb"))
        .expect("copied");
    let after = EmbeddedStore::open(crashed.path()).expect("it is repaired");
    assert_eq!(value(&after, "kept").await.as_deref(), Some("1"));
    assert_eq!(value(&after, "x").await, value(&after, "y").await);
    assert!(applied(&after, deferred("x", "new")).await > last, "no revision is given twice");
    store.flush().await.expect("flushed");
    std::fs::copy(directory.path().join("metadata.redb"), crashed.path().join("flushed")).expect("copied");
    let flushed = tempfile::tempdir().expect("a directory");
    std::fs::rename(crashed.path().join("flushed"), flushed.path().join("metadata.redb")).expect("moved");
    let after = EmbeddedStore::open(flushed.path()).expect("it is repaired");
    assert_eq!(value(&after, "x").await.as_deref(), Some("49"));
}

#[tokio::test]
async fn no_more_than_the_limit_is_ever_deferred() {
    let store = EmbeddedStore::in_memory();
    for number in 0..super::DEFERRED_MAX * 2 {
        applied(&store, deferred("a", &number.to_string())).await.expect("applied");
        assert!(store.shared.progress.deferred() <= super::DEFERRED_MAX);
    }
    assert!(store.sole_writer());
}

#[tokio::test]
async fn leased_keys_live_as_long_as_the_process() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = EmbeddedStore::open(directory.path()).expect("it opens");
    let lease = store.lease(std::time::Duration::from_millis(1)).await.expect("the store answers");
    let leased = |key: &str| Write::PutLeased(key.into(), "1".into(), lease.id());
    let writes = vec![leased("goes"), leased("freed")];
    applied(&store, writing(vec![], writes)).await.expect("applied");
    applied(&store, writing(vec![], vec![put("freed", "2")])).await.expect("applied");
    assert!(lease.is_valid() && lease.valid_until().is_none());
    let crashed = tempfile::tempdir().expect("a directory");
    std::fs::copy(directory.path().join("metadata.redb"), crashed.path().join("metadata.redb"))
        .expect("copied");
    let after = EmbeddedStore::open(crashed.path()).expect("it is repaired");
    assert_eq!(value(&after, "goes").await, None);
    assert_eq!(value(&after, "freed").await.as_deref(), Some("2"));
    assert_eq!(value(&store, "goes").await.as_deref(), Some("1"));
}

#[tokio::test]
async fn a_reader_that_is_too_slow_gets_a_listing() {
    let store = EmbeddedStore::in_memory();
    let begun = applied(&store, writing(vec![], vec![put("slow/a", "0")])).await.expect("applied");
    let mut mirror = contract::listed(&store, "slow/").await;
    let mut watch = store.watch("slow/", begun);
    let mut last = begun;
    for number in 0..5_000 {
        let text = number.to_string();
        last = applied(&store, deferred("slow/a", &text)).await.expect("applied");
    }
    contract::follow(&mut watch, &mut mirror, last).await;
    assert_eq!(mirror.entries, contract::listed(&store, "slow/").await.entries);
    drop(store);
    assert_eq!(watch.next().await, None, "a watch ends with its store");
}
