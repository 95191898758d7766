//! Leaders killed, etcd paused, answers swallowed: nothing is made twice, nothing acknowledged is lost, and every call ends.

use super::proxy::{Proxy, Rule};
use super::{Etcd, open};
use crate::meta::contract::{applied, next, put, value, writing};
use crate::meta::etcd::call::CALL_MAX;
use crate::meta::{
    Change, Compare, KeyChange, MetadataError, MetadataStore, Revision, SettleError, Settled, Standing,
    WatchEvent, Write,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;

const STANDING: &str = "sessions/x";

async fn stand(store: &Arc<dyn MetadataStore>) -> Standing {
    let revision = applied(&**store, writing(vec![], vec![put(STANDING, "{}")])).await.expect("applied");
    Standing::new(Arc::clone(store), STANDING.to_owned(), revision)
}

/// One key that is counted up, each number written once.
struct Counter {
    standing: Standing,
    key: String,
    compare: Compare,
    count: u64,
    slowest: Duration,
}

impl Counter {
    async fn run(
        mut self,
        stop: watch::Receiver<bool>,
        counted: watch::Sender<u64>,
    ) -> (String, u64, Duration) {
        while !*stop.borrow() {
            let value = (self.count + 1).to_string();
            let change = Change {
                compares: vec![self.compare.clone()],
                writes: vec![put(&self.key, &value)],
                reads: vec![self.key.clone()],
                terms: Vec::new(),
            };
            let started = Instant::now();
            let settled = self.standing.settle(&change).await;
            self.slowest = self.slowest.max(started.elapsed());
            let revision = match settled {
                Ok(Settled::Applied(revision)) => revision,
                // Only an attempt whose outcome stayed unknown may have been made before.
                Ok(Settled::Refused(reads)) => match reads.into_iter().next().flatten() {
                    Some(entry) if entry.value == value => entry.mod_revision,
                    other => panic!("{} has {other:?} after {}", self.key, self.count),
                },
                Err(SettleError::Unavailable(_)) => continue,
                Err(SettleError::Sealed | SettleError::Closed) => panic!("nobody sealed it"),
            };
            self.count += 1;
            self.compare = Compare::Unchanged(self.key.clone(), revision);
            counted.send_modify(|total| *total += 1);
        }
        (self.key, self.count, self.slowest)
    }
}

const COUNTERS: usize = 8;
/// Four attempts of a change, each with its standing rewritten, would take longer; none is so unlucky.
const SETTLE_MAX: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_made_twice_or_lost_while_leaders_are_killed() {
    let Some(mut etcd) = Etcd::start("etcd's leader killed", 3) else { return };
    let store: Arc<dyn MetadataStore> = Arc::new(open(&etcd.members()).await);
    let standing = stand(&store).await;
    let mut told = store.watch("counters/", store.list("counters/").await.expect("etcd answers").revision);
    let (stop, stopped) = watch::channel(false);
    let (counted, mut progress) = watch::channel(0);
    let counters = (0..COUNTERS).map(|number| {
        let key = format!("counters/{number}");
        let compare = Compare::Absent(key.clone());
        let counter = Counter { standing: standing.clone(), key, compare, count: 0, slowest: Duration::ZERO };
        tokio::spawn(counter.run(stopped.clone(), counted.clone()))
    });
    let counters: Vec<_> = counters.collect();
    let mut wanted = 0;
    for _ in 0..2 {
        wanted += 100;
        progress.wait_for(|total| *total >= wanted).await.expect("the counters run");
        let leader = etcd.leader();
        etcd.kill(leader);
        wanted = *progress.borrow_and_update() + 100;
        let killed = Instant::now();
        progress.wait_for(|total| *total >= wanted).await.expect("the counters run");
        println!("100 changes took {:?} with the leader killed", killed.elapsed());
        etcd.restart(leader);
    }
    stop.send_replace(true);
    let mut counts = BTreeMap::new();
    for counter in counters {
        let (key, count, slowest) = counter.await.expect("no panic");
        assert!(slowest < SETTLE_MAX, "{key}: {slowest:?}");
        assert_eq!(value(&*store, &key).await, Some(count.to_string()), "{key}");
        counts.insert(key, count);
    }
    check_history(&mut told, counts).await;
}

/// Each number of each key was written once, in order; and the watch told each of them.
async fn check_history(told: &mut crate::meta::Watch, counts: BTreeMap<String, u64>) {
    let mut seen: BTreeMap<String, u64> = counts.keys().map(|key| (key.clone(), 0)).collect();
    while seen != counts {
        let WatchEvent::Changed { changes, .. } = next(told).await else { panic!("nothing was compacted") };
        for change in changes {
            let KeyChange::Put(entry) = change else { panic!("nothing was deleted: {change:?}") };
            let last = seen.get_mut(&entry.key).expect("a counter");
            assert_eq!(entry.value, (*last + 1).to_string(), "{}", entry.key);
            *last += 1;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_end_while_etcd_is_paused_and_go_on_after() {
    let Some(etcd) = Etcd::start("etcd paused", 1) else { return };
    let store = open(&etcd.members()).await;
    applied(&store, writing(vec![], vec![put("a", "1")])).await.expect("applied");
    etcd.pause();
    for _ in 0..2 {
        let started = Instant::now();
        let write = writing(vec![Compare::Absent("b".to_owned())], vec![put("b", "1")]);
        let (written, read, listed) = tokio::join!(store.transact(write), store.get("a"), store.list("a"));
        assert!(matches!(written, Err(MetadataError::Unknown(_))), "{written:?}");
        assert!(matches!(read, Err(MetadataError::Unknown(_))), "{read:?}");
        assert!(matches!(listed, Err(MetadataError::Unknown(_))), "{listed:?}");
        assert!(started.elapsed() < CALL_MAX + Duration::from_secs(1), "{:?}", started.elapsed());
    }
    etcd.resume();
    let resumed = Instant::now();
    assert_eq!(value(&store, "a").await.as_deref(), Some("1"));
    applied(&store, writing(vec![], vec![put("a", "2")])).await.expect("applied");
    assert!(resumed.elapsed() < Duration::from_secs(1), "{:?}", resumed.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_member_is_left_for_another() {
    let Some(etcd) = Etcd::start("a member of etcd paused", 3) else { return };
    let store = open(&etcd.members()).await;
    for index in 0..3 {
        etcd.signal(index, "STOP");
        let started = Instant::now();
        let read = async {
            // A read may meet the election of a new leader; the next one does not.
            while store.get("a").await.is_err() {}
        };
        tokio::time::timeout(Duration::from_secs(10), read).await.expect("two of three serve");
        println!("member {index} paused: {:?} to the first answer", started.elapsed());
        etcd.signal(index, "CONT");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_whose_answer_is_swallowed_is_made_once() {
    let Some(etcd) = Etcd::start("answers of etcd swallowed", 1) else { return };
    let direct = open(&etcd.members()).await;
    let proxy = Proxy::start(etcd.ports()[0]).await;
    let store: Arc<dyn MetadataStore> = Arc::new(open(&proxy.member()).await);
    let standing = stand(&store).await;
    let mut told = direct.watch("k/", direct.list("k/").await.expect("etcd answers").revision);
    let (a, b) = ("k/a", "k/b");
    let mut compares = vec![Compare::Absent(a.to_owned()), Compare::Absent(b.to_owned())];
    let steps = [
        vec![put(a, "1"), put(b, "1")],
        vec![put(a, "1"), put(b, "2")],
        vec![Write::Delete(b.into()), put(a, "3")],
    ];
    for writes in steps {
        proxy.rule(Rule::SwallowAnswers);
        let change = Change { compares, writes, reads: vec![], terms: Vec::new() };
        let (settled, revision) = tokio::join!(standing.settle(&change), async {
            // It was made, and only we do not know.
            let WatchEvent::Changed { revision, .. } = next(&mut told).await else { panic!("no listing") };
            proxy.rule(Rule::Forward);
            revision
        });
        assert_eq!(settled, Ok(Settled::Applied(revision)));
        compares = [a, b].map(|key| Compare::Unchanged(key.to_owned(), revision)).to_vec();
    }
    let last = applied(&direct, writing(vec![], vec![put("k/last", "1")])).await.expect("applied");
    let event = next(&mut told).await;
    assert!(
        matches!(event, WatchEvent::Changed { revision, .. } if revision == last),
        "made twice: {event:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_that_never_arrived_is_made_when_etcd_is_back() {
    let Some(etcd) = Etcd::start("etcd cut off", 1) else { return };
    let proxy = Proxy::start(etcd.ports()[0]).await;
    let store: Arc<dyn MetadataStore> = Arc::new(open(&proxy.member()).await);
    let standing = stand(&store).await;
    proxy.rule(Rule::Cut);
    let change = Change {
        compares: vec![Compare::Absent("a".to_owned())],
        writes: vec![put("a", "1")],
        reads: vec![],
        terms: Vec::new(),
    };
    let first = standing.settle(&change).await;
    assert!(matches!(first, Err(SettleError::Unavailable(_))), "{first:?}");
    proxy.rule(Rule::Forward);
    let second = standing.settle(&change).await;
    assert!(matches!(second, Ok(Settled::Applied(Revision(_)))), "{second:?}");
    assert_eq!(value(&*store, "a").await.as_deref(), Some("1"));
}
