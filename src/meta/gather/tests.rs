use super::Gatherer;
use crate::meta::contract::{applied, put, writing};
use crate::meta::{Change, Compare, EmbeddedStore, MetadataStore, Settled, Standing};
use futures_util::future::join_all;
use std::collections::BTreeSet;
use std::sync::Arc;

const STANDING: &str = "sessions/x";

async fn world() -> (Arc<dyn MetadataStore>, Gatherer, impl Future<Output = ()> + Send + 'static) {
    let store = EmbeddedStore::in_memory();
    let revision = applied(&store, writing(vec![], vec![put(STANDING, "{}")])).await.expect("applied");
    let store: Arc<dyn MetadataStore> = Arc::new(store);
    let standing = Standing::new(Arc::clone(&store), STANDING.into(), revision);
    let (gatherer, run) = Gatherer::new(standing);
    (store, gatherer, run)
}

fn creating(key: &str, value: &str) -> Change {
    Change {
        compares: vec![Compare::Absent(key.to_owned())],
        writes: vec![put(key, value)],
        reads: Vec::new(),
        terms: Vec::new(),
    }
}

#[tokio::test]
async fn changes_that_come_together_share_transactions() {
    let (store, gatherer, run) = world().await;
    let keys: Vec<String> = (0..300).map(|number| format!("k{number}")).collect();
    let changes = keys.iter().map(|key| gatherer.settle(creating(key, key)));
    tokio::spawn(run);
    let settled = join_all(changes).await;
    let revisions: BTreeSet<_> = settled
        .into_iter()
        .map(|settled| match settled.expect("answered") {
            Settled::Applied(revision) => revision,
            refused => panic!("{refused:?}"),
        })
        .collect();
    assert!((3..=6).contains(&revisions.len()), "{} transactions", revisions.len());
    assert_eq!(store.list("k").await.expect("in memory").entries.len(), 300);
}

#[tokio::test]
async fn a_change_that_does_not_hold_takes_no_other_with_it() {
    let (store, gatherer, run) = world().await;
    store.transact(writing(vec![], vec![put("b", "old")])).await.expect("in memory");
    tokio::spawn(run);
    let changes = ["a", "b", "c"].map(|key| gatherer.settle(creating(key, "new")));
    let settled = join_all(changes).await;
    assert!(matches!(settled[0], Ok(Settled::Applied(_))));
    assert!(matches!(settled[1], Ok(Settled::Refused(_))));
    assert!(matches!(settled[2], Ok(Settled::Applied(_))));
    let old = store.get("b").await.expect("in memory").expect("there");
    assert_eq!(old.value.as_ref(), b"old");
}

#[tokio::test]
async fn without_its_task_a_change_is_unknown_and_nobody_waits() {
    let (_, gatherer, run) = world().await;
    drop(run);
    assert!(gatherer.settle(creating("a", "1")).await.is_err());
}
