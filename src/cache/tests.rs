use super::{Cache, CacheKey, Inner};
use crate::config::CacheConfig;
use crate::metrics::Metrics;
use crate::types::SessionId;
use bytes::Bytes;
use foyer::Code;
use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use uuid::Uuid;

fn key(seq: u64) -> CacheKey {
    CacheKey::new(SessionId(Uuid::from_u128(1)), seq, &(10..20))
}

async fn open(directory: &Path, memory_bytes: usize, disk_bytes: usize) -> Cache {
    let config = CacheConfig { memory_bytes, disk_bytes };
    Cache::open(config, directory, Arc::new(Metrics::new())).await.expect("opens")
}

#[tokio::test]
async fn bytes_are_loaded_once_for_all_who_ask() {
    let cache = open(Path::new("unused"), 1 << 20, 0).await;
    let loads = Arc::new(AtomicUsize::new(0));
    let ask = || {
        let loads = Arc::clone(&loads);
        cache.get_or_load(key(1), move || async move {
            loads.fetch_add(1, Ordering::SeqCst);
            tokio::task::yield_now().await;
            Ok::<_, Infallible>(Bytes::from_static(b"bytes"))
        })
    };
    let (first, second) = tokio::join!(ask(), ask());
    assert_eq!(
        (first.expect("loaded"), second.expect("loaded")),
        (Bytes::from("bytes"), Bytes::from("bytes"))
    );
    ask().await.expect("cached");
    assert_eq!(loads.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn memory_stays_within_its_limit() {
    let cache = open(Path::new("unused"), 64 * 1024, 0).await;
    for seq in 0..1000 {
        cache.insert(key(seq), Bytes::from(vec![0; 1024]));
    }
    let Inner::Foyer(foyer) = &cache.inner else { unreachable!("nothing is simulated here") };
    assert!(foyer.memory().usage() <= 64 * 1024);
}

#[tokio::test]
async fn the_disk_part_outlives_the_process_and_may_be_deleted() {
    let directory = tempfile::tempdir().expect("a directory");
    let cache = open(directory.path(), 1 << 20, 64 << 20).await;
    cache.insert(key(1), Bytes::from_static(b"kept"));
    cache.close().await;
    drop(cache);
    let reopened = open(directory.path(), 1 << 20, 64 << 20).await;
    let load = || async { Ok::<_, Infallible>(Bytes::from_static(b"loaded")) };
    assert_eq!(reopened.get_or_load(key(1), load).await.expect("from disk"), Bytes::from("kept"));
    drop(reopened);
    std::fs::remove_dir_all(directory.path()).expect("may be deleted");
    let fresh = open(directory.path(), 1 << 20, 64 << 20).await;
    assert_eq!(fresh.get_or_load(key(1), load).await.expect("from the store"), Bytes::from("loaded"));
}

#[test]
fn a_key_is_read_back_as_written() {
    let mut bytes = Vec::new();
    key(7).encode(&mut bytes).expect("into memory");
    assert_eq!(bytes.len(), key(7).estimated_size());
    assert_eq!(CacheKey::decode(&mut bytes.as_slice()).expect("as written"), key(7));
}
