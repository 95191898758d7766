use super::{Change, SettleError, Settled};
use crate::meta::contract::{applied, put, writing};
use crate::meta::faults::FaultyStore;
use crate::meta::{Compare, MetadataStore, Revision, Standing, Write};
use std::sync::Arc;
use std::sync::atomic::Ordering;

const STANDING: &str = "sessions/x";
const KEY: &str = "a";

/// A store whose answers can be lost, and a session that stands in it.
async fn world() -> (Arc<FaultyStore>, Standing) {
    let store = Arc::new(FaultyStore::new(1_000));
    let revision = applied(&store.inner, writing(vec![], vec![put(STANDING, "{}")])).await.expect("applied");
    let of_standing: Arc<dyn MetadataStore> = store.clone();
    (store, Standing::new(of_standing, STANDING.into(), revision))
}

async fn value(store: &FaultyStore) -> Option<(String, Revision)> {
    let entry = store.inner.get(KEY).await.expect("in memory")?;
    Some((String::from_utf8(entry.value.to_vec()).expect("text"), entry.mod_revision))
}

fn change(compare: Compare, value: &str) -> Change {
    Change {
        compares: vec![compare],
        writes: vec![put(KEY, value)],
        reads: vec![KEY.to_owned()],
        terms: Vec::new(),
    }
}

fn absent() -> Compare {
    Compare::Absent(KEY.to_owned())
}

#[tokio::test]
async fn a_change_whose_answer_is_lost_is_made_once() {
    let (store, standing) = world().await;
    for lost in 0..=2 {
        let compare = match value(&store).await {
            Some((_, revision)) => Compare::Unchanged(KEY.to_owned(), revision),
            None => absent(),
        };
        store.answers_to_lose.store(lost, Ordering::SeqCst);
        let settled = standing.settle(&change(compare, &lost.to_string())).await;
        let (stored, revision) = value(&store).await.expect("it was made");
        assert_eq!((settled, stored), (Ok(Settled::Applied(revision)), lost.to_string()));
    }
}

#[tokio::test]
async fn a_compare_that_does_not_hold_writes_nothing_and_tells_what_is_there() {
    let (store, standing) = world().await;
    standing.settle(&change(absent(), "1")).await.expect("made");
    let settled = standing.settle(&change(absent(), "2")).await.expect("answered");
    let Settled::Refused(reads) = settled else { panic!("{settled:?}") };
    assert_eq!(reads.len(), 1);
    assert_eq!(reads[0].as_ref().map(|entry| entry.value.as_ref()), Some(&b"1"[..]));
    assert_eq!(value(&store).await.expect("there").0, "1");
}

#[tokio::test]
async fn the_same_value_as_before_is_no_proof_that_a_change_was_made() {
    let (store, standing) = world().await;
    standing.settle(&change(absent(), "1")).await.expect("made");
    let (_, before) = value(&store).await.expect("there");
    let unchanged = Compare::Unchanged(KEY.to_owned(), before);
    let mut same = change(unchanged, "1");
    same.compares.push(Compare::Absent(KEY.to_owned()));
    store.answers_to_lose.store(1, Ordering::SeqCst);
    let settled = standing.settle(&same).await.expect("answered");
    assert!(matches!(settled, Settled::Refused(_)), "{settled:?}");
}

#[tokio::test]
async fn a_sealed_session_changes_nothing() {
    let (store, standing) = world().await;
    applied(&store.inner, writing(vec![], vec![Write::Delete(STANDING.into())])).await.expect("applied");
    assert_eq!(standing.settle(&change(absent(), "1")).await, Err(SettleError::Sealed));
    assert_eq!(value(&store).await, None);
}

#[tokio::test]
async fn a_store_that_never_answers_leaves_it_unknown() {
    let (store, standing) = world().await;
    store.answers_to_lose.store(1_000, Ordering::SeqCst);
    let settled = standing.settle(&change(absent(), "1")).await;
    assert!(matches!(settled, Err(SettleError::Unavailable(_))), "{settled:?}");
}
