//! What is kept up over time: watches over compactions, leases over silence, and etcd's space.

use super::proxy::{Proxy, Rule};
use super::{Etcd, open, open_busy};
use crate::meta::contract::{applied, follow, listed, next, put, value, writing};
use crate::meta::etcd::api::{CompactionRequest, Nothing, method};
use crate::meta::etcd::call::Repeat;
use crate::meta::etcd::{EtcdStore, translate};
use crate::meta::{MetadataError, MetadataStore, Revision, WatchEvent, Write};
use std::time::{Duration, Instant};

async fn compact(store: &EtcdStore, before: Revision) {
    let request = CompactionRequest { revision: translate::number(before) };
    let compacted: Result<Nothing, _> = store.client.call(method::COMPACT, request, Repeat::Freely).await;
    compacted.expect("etcd answers");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_that_missed_a_compaction_lists_anew() {
    let Some(etcd) = Etcd::start("a watch on etcd over a compaction", 1) else { return };
    let direct = open(&etcd.members()).await;
    let proxy = Proxy::start(etcd.ports()[0]).await;
    let store = open(&proxy.member()).await;
    applied(&direct, writing(vec![], vec![put("w/a", "0"), put("w/b", "0")])).await.expect("applied");
    let mut mirror = listed(&store, "w/").await;
    let mut watch = store.watch("w/", mirror.revision);
    let begun = applied(&direct, writing(vec![], vec![put("w/a", "1")])).await.expect("applied");
    follow(&mut watch, &mut mirror, begun).await;
    // A lost connection alone: it goes on where it was.
    proxy.rule(Rule::Cut);
    let missed = applied(&direct, writing(vec![], vec![put("w/a", "2")])).await.expect("applied");
    proxy.rule(Rule::Forward);
    let event = next(&mut watch).await;
    assert!(matches!(event, WatchEvent::Changed { revision, .. } if revision == missed), "{event:?}");
    mirror.apply(event);
    proxy.rule(Rule::Cut);
    applied(&direct, writing(vec![], vec![Write::Delete("w/b".into())])).await.expect("applied");
    let last = applied(&direct, writing(vec![], vec![put("w/c", "1")])).await.expect("applied");
    compact(&direct, last).await;
    proxy.rule(Rule::Forward);
    let event = next(&mut watch).await;
    assert!(matches!(event, WatchEvent::Listed(_)), "{event:?}");
    mirror.apply(event);
    assert_eq!(mirror.entries, listed(&direct, "w/").await.entries);
    // And goes on from there.
    let after = applied(&direct, writing(vec![], vec![put("w/c", "2")])).await.expect("applied");
    follow(&mut watch, &mut mirror, after).await;
    assert_eq!(mirror, listed(&direct, "w/").await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_brokers_compact_the_history_and_watch_the_size() {
    let Some(etcd) = Etcd::start("the compaction of etcd", 1) else { return };
    let (one, _other) = (open_busy(&etcd.members()).await, open_busy(&etcd.members()).await);
    let first = applied(&one, writing(vec![], vec![put("h/a", "0")])).await.expect("applied");
    applied(&one, writing(vec![], vec![put("h/a", "1")])).await.expect("applied");
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        assert!(Instant::now() < deadline, "nothing was compacted");
        // As long as the history is there, a watch tells it.
        if let WatchEvent::Listed(listing) = next(&mut one.watch("h/", Revision(first.0 - 1))).await {
            assert_eq!(listing.entries.len(), 1);
            break;
        }
    }
    let fullness = one.fullness().expect("etcd tells");
    assert!(fullness.bytes > 0 && fullness.in_use_bytes > 0 && fullness.in_use_bytes <= fullness.bytes);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_etcd_without_space_refuses_in_clear_words() {
    let arguments = ["--quota-backend-bytes", "16777216"];
    let Some(etcd) = Etcd::start_with("an etcd that is full", 1, &arguments) else { return };
    let store = open_busy(&etcd.members()).await;
    let long = "x".repeat(1_000_000);
    let mut refused = None;
    for number in 0..64 {
        match store.transact(writing(vec![], vec![put(&format!("f/{number}"), &long)])).await {
            Ok(answer) => assert!(answer.applied),
            Err(error) => {
                refused = Some(error);
                break;
            }
        }
    }
    let refused = refused.expect("64 MB do not fit in 16 MiB");
    assert!(matches!(&refused, MetadataError::Refused(why) if why.contains("out of space")), "{refused}");
    assert_eq!(value(&store, "f/0").await, Some(long), "it still reads");
    assert!(store.fullness().is_some_and(|fullness| fullness.is_full()));
    // Room is made, and found by itself.
    etcd.make_room("AA==", "AA==");
    let deadline = Instant::now() + Duration::from_secs(30);
    while store.fullness().is_none_or(|fullness| fullness.is_full()) {
        assert!(Instant::now() < deadline, "nobody sees that there is room");
        value(&store, "f/0").await;
    }
    applied(&store, writing(vec![], vec![put("f/0", "short")])).await.expect("applied");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_is_kept_while_it_is_held() {
    let Some(etcd) = Etcd::start("leases on etcd", 1) else { return };
    let store = open(&etcd.members()).await;
    let lease = store.lease(Duration::from_secs(2)).await.expect("etcd answers");
    let write = Write::PutLeased("alive/x".into(), "1".into(), lease.id());
    applied(&store, writing(vec![], vec![write])).await.expect("applied");
    let first = lease.valid_until().expect("etcd's leases end");
    let lost = tokio::time::timeout(Duration::from_secs(5), lease.lost()).await;
    assert!(lost.is_err() && lease.is_valid());
    assert!(lease.valid_until() > Some(first + Duration::from_secs(3)));
    assert_eq!(value(&store, "alive/x").await.as_deref(), Some("1"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_is_lost_to_its_owner_while_its_key_is_still_there() {
    let Some(etcd) = Etcd::start("leases on etcd over silence", 1) else { return };
    let proxy = Proxy::start(etcd.ports()[0]).await;
    let (store, direct) = (open(&proxy.member()).await, open(&etcd.members()).await);
    let ttl = Duration::from_secs(4);
    let lease = store.lease(ttl).await.expect("etcd answers");
    let write = Write::PutLeased("alive/x".into(), "1".into(), lease.id());
    let written = applied(&store, writing(vec![], vec![write])).await.expect("applied");
    let mut watch = direct.watch("alive/", written);
    proxy.rule(Rule::Cut);
    let cut = Instant::now();
    tokio::time::timeout(ttl, lease.lost()).await.expect("it is told within the lease's time");
    assert!(!lease.is_valid());
    println!("told after {:?}", cut.elapsed());
    assert_eq!(value(&direct, "alive/x").await.as_deref(), Some("1"));
    let event = next(&mut watch).await;
    assert!(matches!(event, WatchEvent::Changed { .. }), "{event:?}");
    println!("gone after {:?}", cut.elapsed());
    assert_eq!(value(&direct, "alive/x").await, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_reader_misses_nothing_and_holds_up_nobody() {
    let Some(etcd) = Etcd::start("slow readers of watches on etcd", 1) else { return };
    let store = open(&etcd.members()).await;
    let mut mirror = listed(&store, "slow/").await;
    // More than a connection has room for, if nobody reads it: 300 times 100 kB, ten watches.
    let mut watches: Vec<_> = (0..10).map(|_| store.watch("slow/", mirror.revision)).collect();
    let long = "x".repeat(100_000);
    let mut last = mirror.revision;
    for number in 0..300 {
        let write = writing(vec![], vec![put("slow/n", &number.to_string()), put("slow/long", &long)]);
        last = applied(&store, write).await.expect("calls go on");
    }
    let mut watch = watches.pop().expect("ten");
    let mut numbers = Vec::new();
    while mirror.revision < last {
        let event = next(&mut watch).await;
        assert!(matches!(event, WatchEvent::Changed { .. }), "nothing was compacted: {event:?}");
        mirror.apply(event);
        numbers.push(mirror.entries["slow/n"].value.clone());
    }
    let expected: Vec<String> = (0..300).map(|number| number.to_string()).collect();
    assert_eq!(numbers, expected);
}
