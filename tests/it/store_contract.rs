//! What every store does, over the public API alone: in memory, in a directory, and S3 over HTTP.

use crate::support::s3_server::{BUCKET, S3Server};
use bytes::Bytes;
use cenote::store::{ClusterHistory, ObjectPath, ObjectStore, StoreError, claim, read_claim};
use cenote::types::ClusterId;
use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::runtime::Runtime;
use url::Url;
use uuid::Uuid;

fn on_s3(server: &S3Server, url: &str, change: impl Fn(&str, String) -> (String, String)) -> ObjectStore {
    let variables = server.variables().map(|(name, value)| change(name, value));
    ObjectStore::open_with(&Url::parse(url).expect("a URL"), variables).expect("a store")
}

fn as_given(name: &str, value: String) -> (String, String) {
    (name.to_owned(), value)
}

/// Runs `check` on an empty store of each kind.
fn on_every_store(check: impl AsyncFn(ObjectStore)) {
    let runtime = Runtime::new().expect("a runtime");
    runtime.block_on(check(ObjectStore::in_memory()));

    let directory = tempfile::tempdir().expect("a temporary directory");
    let url = Url::from_directory_path(directory.path()).expect("an absolute path");
    runtime.block_on(check(ObjectStore::open(&url).expect("a directory")));

    let server = S3Server::start();
    let url = format!("s3://{BUCKET}/some/prefix");
    runtime.block_on(check(on_s3(&server, &url, as_given)));
}

fn path(text: &str) -> ObjectPath {
    ObjectPath::parse(text).expect("a legal path")
}

async fn put(store: &ObjectStore, text: &str, body: impl Into<Bytes>) {
    store.put(&path(text), body.into()).await.unwrap_or_else(|error| panic!("{store}: {error}"));
}

async fn listed(store: &ObjectStore, prefix: Option<&str>) -> Vec<(String, u64)> {
    let found = store.list_sorted(prefix.map(path).as_ref(), 10_000).await;
    let found = found.unwrap_or_else(|error| panic!("{store}: {error}"));
    found.into_iter().map(|object| (object.path.to_string(), object.size)).collect()
}

fn is_missing<T>(answer: &Result<T, StoreError>) -> bool {
    matches!(answer, Err(StoreError::Missing { .. }))
}

fn is_refused<T>(answer: &Result<T, StoreError>) -> bool {
    matches!(answer, Err(StoreError::Refused { .. }))
}

#[test]
fn what_was_put_last_is_what_is_read() {
    on_every_store(async |store| {
        for body in ["first", "second and longer", "3", ""] {
            put(&store, "a/b/c.arrow", body).await;
            assert_eq!(store.get(&path("a/b/c.arrow")).await, Ok(Bytes::from(body)), "{store}");
            assert_eq!(store.size(&path("a/b/c.arrow")).await, Ok(body.len() as u64), "{store}");
        }
    });
}

#[test]
fn a_range_gives_its_bytes_or_is_refused() {
    on_every_store(async |store| {
        put(&store, "a/b", "0123456789").await;
        for range in [0..1, 0..10, 3..7, 9..10] {
            let expected = Bytes::from("0123456789").slice(range.start as usize..range.end as usize);
            assert_eq!(store.get_range(&path("a/b"), range).await, Ok(expected), "{store}");
        }
        for range in [9..11, 0..11, 10..11, 11..20, 5..5] {
            let answer = store.get_range(&path("a/b"), range.clone()).await;
            assert!(is_refused(&answer), "{store} {range:?}: {answer:?}");
        }
        put(&store, "a/empty", "").await;
        let answer = store.get_range(&path("a/empty"), 0..1).await;
        assert!(is_refused(&answer), "{store}: {answer:?}");
    });
}

#[test]
fn a_prefix_is_as_long_as_it_can_be_and_tells_the_size() {
    on_every_store(async |store| {
        put(&store, "a/b", "0123456789").await;
        for (length, expected) in [(1, "0"), (9, "012345678"), (10, "0123456789"), (32_768, "0123456789")] {
            let read = store.get_prefix(&path("a/b"), length).await;
            assert_eq!(read, Ok((Bytes::from(expected), 10)), "{store} {length}");
        }
        assert!(is_refused(&store.get_prefix(&path("a/b"), 0).await), "{store}");
        let missing = store.get_prefix(&path("a/none"), 4).await;
        assert!(matches!(missing, Err(StoreError::Missing { .. })), "{store}: {missing:?}");
    });
}

#[test]
fn what_is_not_there_is_missing_and_can_be_deleted() {
    on_every_store(async |store| {
        put(&store, "a/b", "x").await;
        for text in ["none", "a/none", "none/at/all"] {
            assert!(is_missing(&store.get(&path(text)).await), "{store} {text}");
            assert!(is_missing(&store.get_range(&path(text), 0..1).await), "{store} {text}");
            assert!(is_missing(&store.size(&path(text)).await), "{store} {text}");
            assert_eq!(store.delete(&path(text)).await, Ok(()), "{store} {text}");
        }
    });
}

#[test]
fn what_was_deleted_is_gone_and_can_be_put_again() {
    on_every_store(async |store| {
        put(&store, "a/b", "x").await;
        put(&store, "a/c", "y").await;
        for _ in 0..2 {
            assert_eq!(store.delete(&path("a/b")).await, Ok(()), "{store}");
            assert!(is_missing(&store.get(&path("a/b")).await), "{store}");
            assert_eq!(listed(&store, None).await, [("a/c".to_owned(), 1)], "{store}");
        }
        put(&store, "a/b", "again").await;
        assert_eq!(store.get(&path("a/b")).await, Ok(Bytes::from("again")), "{store}");
    });
}

#[test]
fn a_list_is_sorted_and_has_whole_levels_only() {
    on_every_store(async |store| {
        assert_eq!(listed(&store, None).await, [], "{store}");
        assert_eq!(listed(&store, Some("j/none")).await, [], "{store}");
        for (text, body) in [("j/b/2", "22"), ("j/a/9", "9"), ("j/ab/1", ""), ("j/a/10", "10"), ("z", "z")] {
            put(&store, text, body).await;
        }
        let expect = |list: &[(&str, u64)]| -> Vec<(String, u64)> {
            list.iter().map(|(text, size)| ((*text).to_owned(), *size)).collect()
        };
        let below_a = expect(&[("j/a/10", 2), ("j/a/9", 1)]);
        assert_eq!(listed(&store, Some("j/a")).await, below_a, "{store}");
        let all = expect(&[("j/a/10", 2), ("j/a/9", 1), ("j/ab/1", 0), ("j/b/2", 2), ("z", 1)]);
        assert_eq!(listed(&store, None).await, all, "{store}");
        assert_eq!(listed(&store, Some("j/a/9")).await, [], "{store}: an object is not below itself");
        assert_eq!(store.list_sorted(None, 5).await.map(|found| found.len()), Ok(5), "{store}");
        assert!(is_refused(&store.list_sorted(None, 4).await), "{store}");
    });
}

#[test]
fn a_list_goes_on_behind_its_first_page() {
    const OBJECTS: u64 = 1_030;
    on_every_store(async |store| {
        let puts = stream::iter(0..OBJECTS).map(|number| {
            let store = store.clone();
            async move { store.put(&path(&format!("many/{number:06}")), Bytes::from("x")).await }
        });
        puts.buffer_unordered(16).try_collect::<Vec<()>>().await.expect("puts");
        let expected: Vec<_> = (0..OBJECTS).map(|number| (format!("many/{number:06}"), 1)).collect();
        assert_eq!(listed(&store, Some("many")).await, expected, "{store}");
        let streamed: Vec<_> = store.list(None).try_collect().await.expect("a list");
        assert_eq!(streamed.len() as u64, OBJECTS, "{store}");
    });
}

#[test]
fn a_large_object_comes_back_whole_and_in_parts() {
    const SIZE: u64 = 20 * 1024 * 1024;
    on_every_store(async |store| {
        let body: Bytes = (0..SIZE / 8).flat_map(u64::to_le_bytes).collect();
        put(&store, "large", body.clone()).await;
        assert_eq!(store.size(&path("large")).await, Ok(SIZE), "{store}");
        // No assert_eq: it would print them.
        assert!(store.get(&path("large")).await.expect("a get") == body, "{store}");
        let part = store.get_range(&path("large"), SIZE - 5_000_001..SIZE - 1).await.expect("a range");
        assert!(part == body[body.len() - 5_000_001..body.len() - 1], "{store}");
        assert!(is_refused(&store.get_range(&path("large"), SIZE - 1..SIZE + 1).await), "{store}");
    });
}

#[test]
fn every_store_stands_the_probe_and_can_be_claimed() {
    on_every_store(async |store| {
        store.probe().await.expect("a store");
        assert_eq!(listed(&store, None).await, [], "{store}");
        let ours = ClusterId(Uuid::from_u128(1));
        claim(&store, ours, ClusterHistory::NothingCommitted).await.expect("an empty store");
        claim(&store, ours, ClusterHistory::Committed).await.expect("our store");
        assert_eq!(read_claim(&store).await.expect("an answer"), Some(ours), "{store}");
        assert_eq!(store.settle(&[path("cluster.json")]).await, Ok(()), "{store}");
    });
}

#[test]
fn prefixes_of_one_bucket_are_apart() {
    let server = S3Server::start();
    let [first, second] =
        ["one", "two"].map(|name| on_s3(&server, &format!("s3://{BUCKET}/{name}"), as_given));
    Runtime::new().expect("a runtime").block_on(async {
        put(&first, "a", "x").await;
        assert!(is_missing(&second.get(&path("a")).await));
        assert_eq!(listed(&second, None).await, []);
    });
}

#[test]
fn a_wrong_key_is_refused() {
    let server = S3Server::start();
    let store = on_s3(&server, &format!("s3://{BUCKET}"), |name, value| match name {
        "AWS_SECRET_ACCESS_KEY" => (name.to_owned(), "wrong".to_owned()),
        _ => (name.to_owned(), value),
    });
    Runtime::new().expect("a runtime").block_on(async {
        let answer = store.put(&path("a"), Bytes::from("x")).await;
        assert!(is_refused(&answer), "{store}: {answer:?}");
        let answer = store.list_sorted(None, 10).await;
        assert!(is_refused(&answer), "{store}: {answer:?}");
        store.probe().await.expect_err("not a store");
    });
}

#[test]
fn the_endpoint_may_be_given_for_s3_alone() {
    let server = S3Server::start();
    let store = on_s3(&server, &format!("s3://{BUCKET}"), |name, value| match name {
        "AWS_ENDPOINT" => ("AWS_ENDPOINT_URL_S3".to_owned(), value),
        _ => (name.to_owned(), value),
    });
    Runtime::new().expect("a runtime").block_on(store.probe()).expect("a store");
}
