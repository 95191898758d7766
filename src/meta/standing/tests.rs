use super::{Standing, StandingError};
use crate::meta::contract::{applied, put, writing};
use crate::meta::faults::FaultyStore;
use crate::meta::{MetadataStore, Write};
use futures_util::future::join_all;
use futures_util::{FutureExt, poll};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

const KEY: &str = "sessions/x";

async fn standing(gets_allowed: usize, deadline: Duration) -> (Arc<FaultyStore>, Standing) {
    let store = Arc::new(FaultyStore::new(gets_allowed));
    let revision = applied(&store.inner, writing(vec![], vec![put(KEY, "{}")])).await.expect("applied");
    let of_standing: Arc<dyn MetadataStore> = store.clone();
    (store, Standing::with_deadline(of_standing, KEY.into(), revision, deadline))
}

const LONG: Duration = Duration::from_secs(60);

/// The read is on its way, and its answer is not.
async fn until_begun(store: &FaultyStore, reads: usize) {
    while store.gets_begun.load(Ordering::SeqCst) < reads {
        tokio::task::yield_now().await;
    }
}

async fn seal(store: &FaultyStore) {
    applied(&store.inner, writing(vec![], vec![Write::Delete(KEY.into())])).await.expect("applied");
}

#[tokio::test]
async fn callers_during_a_read_share_the_next_one() {
    let (store, standing) = standing(0, LONG).await;
    let mut first = pin!(standing.confirm());
    assert!(poll!(&mut first).is_pending());
    until_begun(&store, 1).await;
    let mut others = pin!(join_all((0..100).map(|_| standing.confirm())));
    assert!(poll!(&mut others).is_pending());
    store.gets_allowed.add_permits(2);
    assert_eq!(first.await, Ok(()));
    assert!(others.await.iter().all(Result::is_ok));
    assert_eq!(store.gets_begun.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_read_that_began_before_the_call_confirms_nothing() {
    let (store, standing) = standing(0, LONG).await;
    let mut early = pin!(standing.confirm());
    assert!(poll!(&mut early).is_pending());
    until_begun(&store, 1).await;
    seal(&store).await;
    let mut late = pin!(standing.confirm());
    assert!(poll!(&mut late).is_pending());
    store.gets_allowed.add_permits(1);
    assert_eq!(early.await, Ok(()));
    store.gets_allowed.add_permits(1);
    assert_eq!(late.await, Err(StandingError::Lost));
}

#[tokio::test]
async fn a_lost_standing_stays_lost_and_is_told() {
    let (store, standing) = standing(1, LONG).await;
    assert!(standing.lost().now_or_never().is_none());
    seal(&store).await;
    assert_eq!(standing.confirm().await, Err(StandingError::Lost));
    applied(&store.inner, writing(vec![], vec![put(KEY, "again")])).await.expect("applied");
    assert_eq!(standing.clone().confirm().await, Err(StandingError::Lost));
    standing.lost().await;
    assert!(standing.is_lost());
}

#[tokio::test]
async fn a_lost_answer_is_not_a_lost_standing() {
    let (store, standing) = standing(2, LONG).await;
    store.gets_to_fail.store(1, Ordering::SeqCst);
    assert_eq!(standing.confirm().await, Err(StandingError::Unavailable));
    assert_eq!(standing.confirm().await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_store_that_does_not_answer_is_given_up_and_asked_anew() {
    let (store, standing) = standing(0, Duration::from_millis(1)).await;
    assert_eq!(standing.confirm().await, Err(StandingError::Unavailable));
    store.gets_allowed.add_permits(2);
    assert_eq!(standing.confirm().await, Ok(()));
}

#[tokio::test]
async fn a_caller_that_goes_away_leaves_the_others_their_read() {
    let (store, standing) = standing(0, LONG).await;
    let mut first = Box::pin(standing.confirm());
    assert!(poll!(&mut first).is_pending());
    until_begun(&store, 1).await;
    let mut second = pin!(standing.confirm());
    assert!(poll!(&mut second).is_pending());
    drop(first);
    store.gets_allowed.add_permits(2);
    assert_eq!(second.await, Ok(()));
}
