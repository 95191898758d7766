//! What every metadata store promises, written against the trait. Each check uses keys of its own.

use super::{
    Compare, Durability, KeyChange, MetadataError, MetadataStore, Mirror, Revision, Transaction, Watch,
    WatchEvent, Write,
};
use super::{OPERATIONS_MAX, TRANSACTION_BYTES_MAX};
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;

/// Runs the whole suite.
pub(crate) async fn check(store: Arc<dyn MetadataStore>) {
    compares_decide(&*store).await;
    a_transaction_is_all_or_nothing(&*store).await;
    reads_see_the_writes(&*store).await;
    a_listing_is_in_the_order_of_keys(&*store).await;
    a_deleted_key_is_gone(&*store).await;
    deferred_writes_are_seen_at_once(&*store).await;
    limits_are_those_of_etcd(&*store).await;
    a_long_listing_is_whole(&*store).await;
    compares_alone_are_decided(&*store).await;
    a_watch_tells_each_change_in_order(&*store).await;
    a_watch_from_an_old_revision_misses_nothing(&*store).await;
    keys_go_with_their_lease(&*store).await;
    a_lease_that_is_dropped_ends(&*store).await;
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
    let of_nothing = vec![Compare::Unchanged("c/none".into(), Revision(0))];
    assert_eq!(applied(store, writing(of_nothing, vec![put("c/b", "1")])).await, None);
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
    let big = |bytes: usize| Write::Put("big".into(), Bytes::from(vec![0; bytes]));
    let own = super::OPERATION_BYTES + "big".len();
    let biggest = writing(vec![], vec![big(TRANSACTION_BYTES_MAX - own)]);
    assert!(applied(store, biggest).await.is_some(), "what is within the limit is taken");
    let big = big(TRANSACTION_BYTES_MAX - own + 1);
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

/// Longer than one answer of gRPC may be, as a whole and in single entries.
async fn a_long_listing_is_whole(store: &dyn MetadataStore) {
    let long = "x".repeat(3_000);
    for first in (0..1_500).step_by(100) {
        let writes = (first..first + 100).map(|number| put(&format!("long/{number:05}"), &long)).collect();
        assert!(applied(store, writing(vec![], writes)).await.is_some());
    }
    let longest = "y".repeat(1_400_000);
    for number in 0..4 {
        assert!(
            applied(store, writing(vec![], vec![put(&format!("long/z{number}"), &longest)])).await.is_some()
        );
    }
    let listing = store.list("long/").await.expect("the store answers");
    assert_eq!(listing.entries.len(), 1_504);
    assert!(listing.entries.is_sorted_by(|one, other| one.key < other.key));
    assert_eq!(listing.entries[1_503].value.len(), longest.len());
    let writes = |from: usize| {
        let keys = listing.entries[from..].iter().take(100).map(|entry| Write::Delete(entry.key.clone()));
        keys.collect::<Vec<_>>()
    };
    for from in (0..listing.entries.len()).step_by(100) {
        assert!(applied(store, writing(vec![], writes(from))).await.is_some());
    }
    assert!(store.list("long/").await.expect("the store answers").entries.is_empty());
}

async fn compares_alone_are_decided(store: &dyn MetadataStore) {
    let compares = || vec![Compare::Absent("alone".into())];
    assert!(applied(store, writing(compares(), vec![])).await.is_some());
    assert!(applied(store, writing(vec![], vec![put("alone", "1")])).await.is_some());
    assert!(applied(store, writing(compares(), vec![])).await.is_none());
}

const EVENT_MAX: Duration = Duration::from_secs(20);

pub(crate) async fn next(watch: &mut Watch) -> WatchEvent {
    let event = tokio::time::timeout(EVENT_MAX, watch.next()).await.expect("an event in time");
    event.expect("the store is open")
}

/// Reads a watch until nothing up to `revision` is missing.
pub(crate) async fn follow(watch: &mut Watch, mirror: &mut Mirror, revision: Revision) {
    while mirror.revision < revision {
        mirror.apply(next(watch).await);
    }
}

/// What there is below a prefix, as a mirror.
pub(crate) async fn listed(store: &dyn MetadataStore, prefix: &str) -> Mirror {
    Mirror::of(store.list(prefix).await.expect("the store answers"))
}

async fn a_watch_tells_each_change_in_order(store: &dyn MetadataStore) {
    let before = listed(store, "w/").await;
    let mut watch = store.watch("w/", before.revision);
    let write = async |writes| applied(store, writing(vec![], writes)).await.expect("nothing is compared");
    let begun = write(vec![put("w/begun", "1")]).await;
    follow(&mut watch, &mut before.clone(), begun).await;
    let first = write(vec![put("w/a", "1")]).await;
    let second = write(vec![put("w/a", "2"), put("w/b", "1"), put("elsewhere", "1")]).await;
    write(vec![put("elsewhere", "2"), Write::Delete("w/none".into())]).await;
    let third = write(vec![Write::Delete("w/a".into()), put("w/c", "1")]).await;
    let expected = [
        (first, vec![("w/a", Some("1"))]),
        (second, vec![("w/a", Some("2")), ("w/b", Some("1"))]),
        (third, vec![("w/a", None), ("w/c", Some("1"))]),
    ];
    for (at, expected) in expected {
        let event = next(&mut watch).await;
        let WatchEvent::Changed { revision, changes } = event else { panic!("{event:?}") };
        assert_eq!(revision, at);
        let mut told: Vec<_> = changes.iter().map(told).collect();
        told.sort();
        let expected: Vec<_> = expected
            .into_iter()
            .map(|(key, value)| (key, value.map(|value| (value.as_bytes(), at))))
            .collect();
        assert_eq!(told, expected);
    }
}

fn told(change: &KeyChange) -> (&str, Option<(&[u8], Revision)>) {
    match change {
        KeyChange::Put(entry) => (&entry.key, Some((&entry.value, entry.mod_revision))),
        KeyChange::Deleted(key) => (key, None),
    }
}

async fn a_watch_from_an_old_revision_misses_nothing(store: &dyn MetadataStore) {
    let mut mirror = listed(store, "old/").await;
    let before = mirror.revision;
    for number in 0..100 {
        let write = match number % 5 {
            4 => Write::Delete(format!("old/{}", number - 1)),
            _ => put(&format!("old/{number}"), &number.to_string()),
        };
        applied(store, writing(vec![], vec![write])).await.expect("nothing is compared");
    }
    let now = listed(store, "old/").await;
    follow(&mut store.watch("old/", before), &mut mirror, now.revision).await;
    assert_eq!(mirror.entries, now.entries);
}

async fn keys_go_with_their_lease(store: &dyn MetadataStore) {
    let lease = store.lease(Duration::from_secs(30)).await.expect("the store answers");
    assert!(lease.is_valid());
    let leased = |key: &str| Write::PutLeased(key.into(), "1".into(), lease.id());
    let writes = vec![leased("lease/goes"), leased("lease/stays"), put("lease/other", "1")];
    applied(store, writing(vec![], writes)).await.expect("nothing is compared");
    let freed = applied(store, writing(vec![], vec![put("lease/stays", "2")])).await.expect("applied");
    let mut mirror = listed(store, "lease/").await;
    assert_eq!(mirror.entries.len(), 3);
    let mut watch = store.watch("lease/", freed);
    let id = lease.id();
    lease.revoke().await.expect("the store answers");
    let after = listed(store, "lease/").await;
    assert!(after.entries.keys().eq(["lease/other", "lease/stays"]));
    follow(&mut watch, &mut mirror, after.revision).await;
    assert_eq!(mirror.entries, after.entries);
    let late = Write::PutLeased("lease/late".into(), "1".into(), id);
    let answer = store.transact(writing(vec![], vec![late, put("lease/too", "1")])).await;
    assert!(matches!(answer, Err(MetadataError::Refused(_))), "{answer:?}");
    assert_eq!(value(store, "lease/too").await, None);
}

async fn a_lease_that_is_dropped_ends(store: &dyn MetadataStore) {
    let lease = store.lease(Duration::from_secs(2)).await.expect("the store answers");
    let write = Write::PutLeased("dropped/key".into(), "1".into(), lease.id());
    let written = applied(store, writing(vec![], vec![write])).await.expect("nothing is compared");
    let mut mirror = listed(store, "dropped/").await;
    let mut watch = store.watch("dropped/", written);
    drop(lease);
    while !mirror.entries.is_empty() {
        mirror.apply(next(&mut watch).await);
    }
    assert_eq!(value(store, "dropped/key").await, None);
}
