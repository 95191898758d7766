//! What every metadata store promises, written against the trait. Each check uses keys of its own.

use super::{Compare, Durability, MetadataError, MetadataStore, Revision, Transaction, Write};
use super::{OPERATIONS_MAX, TRANSACTION_BYTES_MAX};
use bytes::Bytes;
use std::sync::Arc;

/// Runs the whole suite.
pub(crate) async fn check(store: Arc<dyn MetadataStore>) {
    compares_decide(&*store).await;
    a_transaction_is_all_or_nothing(&*store).await;
    reads_see_the_writes(&*store).await;
    a_listing_is_in_the_order_of_keys(&*store).await;
    a_deleted_key_is_gone(&*store).await;
    deferred_writes_are_seen_at_once(&*store).await;
    limits_are_those_of_etcd(&*store).await;
    of_concurrent_writers_one_wins(store).await;
}

pub(crate) fn put(key: &str, value: &str) -> Write {
    Write::Put(key.into(), Bytes::copy_from_slice(value.as_bytes()))
}

pub(crate) fn writing(compares: Vec<Compare>, writes: Vec<Write>) -> Transaction {
    Transaction { compares, writes, ..Transaction::default() }
}

pub(crate) async fn applied(store: &dyn MetadataStore, transaction: Transaction) -> Option<Revision> {
    let answer = store.transact(transaction).await.expect("the store answers");
    answer.applied.then_some(answer.revision)
}

pub(crate) async fn value(store: &dyn MetadataStore, key: &str) -> Option<String> {
    let entry = store.get(key).await.expect("the store answers");
    entry.map(|entry| String::from_utf8(entry.value.to_vec()).expect("tests write text"))
}

async fn compares_decide(store: &dyn MetadataStore) {
    let absent = || vec![Compare::Absent("c/a".into())];
    let first = applied(store, writing(absent(), vec![put("c/a", "1")])).await.expect("it is absent");
    assert_eq!(applied(store, writing(absent(), vec![put("c/a", "2")])).await, None);
    let unchanged = |revision| vec![Compare::Unchanged("c/a".into(), revision)];
    let second = applied(store, writing(unchanged(first), vec![put("c/a", "3")])).await.expect("unchanged");
    assert!(second > first);
    assert_eq!(applied(store, writing(unchanged(first), vec![put("c/a", "4")])).await, None);
    assert_eq!(value(store, "c/a").await.as_deref(), Some("3"));
    let entry = store.get("c/a").await.expect("the store answers").expect("it was written");
    assert_eq!(entry.mod_revision, second);
    let of_absent = vec![Compare::Unchanged("c/none".into(), second)];
    assert_eq!(applied(store, writing(of_absent, vec![])).await, None);
}

async fn a_transaction_is_all_or_nothing(store: &dyn MetadataStore) {
    let half = vec![Compare::Absent("n/a".into()), Compare::Unchanged("n/b".into(), Revision(1))];
    assert_eq!(applied(store, writing(half, vec![put("n/a", "1"), put("n/b", "1")])).await, None);
    assert_eq!((value(store, "n/a").await, value(store, "n/b").await), (None, None));
    let whole = writing(vec![], vec![put("n/a", "1"), put("n/b", "2"), Write::Delete("n/none".into())]);
    let revision = applied(store, whole).await.expect("nothing is compared");
    for entry in store.list("n/").await.expect("the store answers").entries {
        assert_eq!(entry.mod_revision, revision);
    }
}

async fn reads_see_the_writes(store: &dyn MetadataStore) {
    let reads = vec!["r/a".to_owned(), "r/none".to_owned()];
    let transaction =
        Transaction { writes: vec![put("r/a", "1")], reads: reads.clone(), ..Transaction::default() };
    let answer = store.transact(transaction).await.expect("the store answers");
    let read = answer.reads[0].as_ref().expect("it was just written");
    assert_eq!((read.value.as_ref(), read.mod_revision), (b"1".as_slice(), answer.revision));
    assert_eq!(answer.reads[1], None);
    let refused = Transaction {
        compares: vec![Compare::Absent("r/a".into())],
        writes: vec![put("r/a", "2")],
        reads,
        ..Transaction::default()
    };
    let refused = store.transact(refused).await.expect("the store answers");
    assert!(!refused.applied);
    assert_eq!((refused.reads, refused.revision), (answer.reads, answer.revision));
}

async fn a_listing_is_in_the_order_of_keys(store: &dyn MetadataStore) {
    let writes = ["l/b", "l/a", "l/a/x", "l0", "l"].map(|key| put(key, key)).to_vec();
    let revision = applied(store, writing(vec![], writes)).await.expect("nothing is compared");
    let listing = store.list("l/").await.expect("the store answers");
    let keys: Vec<&str> = listing.entries.iter().map(|entry| entry.key.as_str()).collect();
    assert_eq!(keys, ["l/a", "l/a/x", "l/b"]);
    assert_eq!(listing.revision, revision);
    assert!(store.list("nothing/").await.expect("the store answers").entries.is_empty());
}

async fn a_deleted_key_is_gone(store: &dyn MetadataStore) {
    let written = applied(store, writing(vec![], vec![put("d", "1")])).await.expect("nothing is compared");
    let deleted = applied(store, writing(vec![], vec![Write::Delete("d".into())])).await;
    assert!(deleted > Some(written));
    assert_eq!(value(store, "d").await, None);
    let again = applied(store, writing(vec![Compare::Absent("d".into())], vec![put("d", "2")])).await;
    assert!(again > deleted);
}

async fn deferred_writes_are_seen_at_once(store: &dyn MetadataStore) {
    for number in 0..20 {
        let writes = vec![put("deferred", &number.to_string())];
        let transaction = Transaction { writes, durability: Durability::Deferred, ..Transaction::default() };
        assert!(applied(store, transaction).await.is_some());
        assert_eq!(value(store, "deferred").await, Some(number.to_string()));
    }
}

async fn limits_are_those_of_etcd(store: &dyn MetadataStore) {
    let many = |count: usize| (0..count).map(|n| put(&format!("m/{n:03}"), "")).collect::<Vec<_>>();
    assert!(applied(store, writing(vec![], many(OPERATIONS_MAX))).await.is_some());
    let big = Write::Put("big".into(), Bytes::from(vec![0; TRANSACTION_BYTES_MAX]));
    for refused in [many(OPERATIONS_MAX + 1), vec![big], vec![put("t", "1"), Write::Delete("t".into())]] {
        let answer = store.transact(writing(vec![], refused)).await;
        assert!(matches!(answer, Err(MetadataError::Refused(_))));
    }
}

async fn of_concurrent_writers_one_wins(store: Arc<dyn MetadataStore>) {
    let mut writers = tokio::task::JoinSet::new();
    for number in 0..16 {
        let store = Arc::clone(&store);
        writers.spawn(async move {
            let value = number.to_string();
            let transaction = writing(vec![Compare::Absent("race".into())], vec![put("race", &value)]);
            applied(&*store, transaction).await.map(|_| value)
        });
    }
    let winners: Vec<String> = writers.join_all().await.into_iter().flatten().collect();
    assert_eq!(winners.len(), 1);
    assert_eq!(value(&*store, "race").await, winners.into_iter().next());
}
