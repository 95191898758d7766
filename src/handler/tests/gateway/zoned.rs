//! Brokers in two zones: who does not lead reads by itself what the leader names, and answers what the leader would.

use super::super::isolation::{begin, end};
use super::super::world::{World, code, text};
use super::fetched::{fetch, filled, parts};
use super::pair::{PATIENCE, Pair, produce};
use crate::handler::{Admitted, ConnectionInfo, Handle};
use crate::limits::MemoryPermit;
use crate::mesh::Reachability;
use crate::metrics::Metrics;
use crate::peers::Sightings;
use crate::store::ObjectPath;
use crate::topic::Topic;
use crate::types::{PartitionIndex, TopicPartition, Verdict};
use crate::wire::batch::NO_PRODUCER;
use crate::wire::messages::{FetchRequest, FetchResponse, MetadataRequest};
use crate::wire::private::{self, PrivateAnswer};
use crate::wire::{ErrorCode, RequestFrame};
use futures_util::TryStreamExt;
use futures_util::future::BoxFuture;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout};

const BY_NAME: i16 = 12;
const PRODUCE: i16 = 9;
const AT_ONCE: Duration = Duration::ZERO;

async fn zones() -> Pair {
    Pair::in_zones([Some("a"), Some("b")]).await
}

/// Bytes that a broker has read of what others lead.
fn read_here(world: &World) -> u64 {
    world.context.metrics.zones.read_bytes.get()
}

fn asked_leader(world: &World) -> u64 {
    world.context.metrics.zones.asked_leader.get()
}

/// What the first broker answers to a fetch of what the second leads, which is what the second answers.
async fn compared(pair: &Pair, request: &FetchRequest) -> FetchResponse {
    let by_one = pair.one.ask(BY_NAME, request).await;
    let by_two = pair.two.ask(BY_NAME, request).await;
    assert_eq!(by_one, by_two);
    by_one
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_led_in_another_zone_is_read_here() {
    let pair = zones().await;
    let topic = filled(&pair, 8).await;
    let (_, others) = pair.led(&topic);
    let wanted: Vec<(i32, i64)> = (0..8).map(|index| (index, 0)).collect();
    let all = (0..8).map(|index| (index, 0, 1, 1)).collect::<Vec<_>>();
    let response = pair.one.ask(BY_NAME, &fetch(&topic, &wanted, PATIENCE)).await;
    assert_eq!(parts(&response), all);
    let read = read_here(&pair.one);
    assert!(read > 0);
    assert_eq!((asked_leader(&pair.one), pair.two.context.metrics.fetch_bytes.get()), (0, 0));
    let gets = pair.one.context.metrics.cache.misses.get();
    assert!(gets > 0);
    let response = pair.one.ask(BY_NAME, &fetch(&topic, &wanted, PATIENCE)).await;
    assert_eq!(parts(&response), all);
    assert_eq!(read_here(&pair.one), 2 * read);
    assert_eq!(pair.one.context.metrics.cache.misses.get(), gets, "they are in its own cache now");
    // By id as well.
    let by_id = fetch(&topic, &[(others[0], 0)], AT_ONCE);
    let topics =
        by_id.topics.iter().map(|of| of.clone().with_topic_id(topic.id.0).with_topic(<_>::default()));
    let by_id = by_id.clone().with_topics(topics.collect());
    assert_eq!(parts(&pair.one.ask(16, &by_id).await), vec![(others[0], 0, 1, 1)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn brokers_of_one_zone_or_of_none_fetch_from_the_leader() {
    for zones in [[None, None], [Some("a"), Some("A")], [None, Some("b")]] {
        let pair = Pair::in_zones(zones).await;
        let topic = filled(&pair, 8).await;
        let (_, others) = pair.led(&topic);
        let response = pair.one.ask(BY_NAME, &fetch(&topic, &[(others[0], 0)], PATIENCE)).await;
        assert_eq!(parts(&response), vec![(others[0], 0, 1, 1)]);
        assert_eq!((read_here(&pair.one), asked_leader(&pair.one)), (0, 0));
    }
    let pair = Pair::in_zones([Some("a"), None]).await;
    let topic = filled(&pair, 8).await;
    let (_, others) = pair.led(&topic);
    pair.one.ask(BY_NAME, &fetch(&topic, &[(others[0], 0)], PATIENCE)).await;
    assert!(read_here(&pair.one) > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_answer_is_what_the_leader_would_answer() {
    let pair = zones().await;
    let topic = filled(&pair, 8).await;
    let (_, others) = pair.led(&topic);
    for _ in 0..3 {
        pair.two.ask(PRODUCE, &produce(&topic, &others, -1, NO_PRODUCER)).await;
    }
    for offset in [0, 1, 2, 3, 4, 5, -1] {
        for bytes_max in [0, 100, 1 << 20] {
            let request = fetch(&topic, &[(others[0], offset), (others[1], offset)], AT_ONCE);
            compared(&pair, &request.with_max_bytes(bytes_max)).await;
        }
    }
    let with_epoch = |epoch: i32| {
        let mut request = fetch(&topic, &[(others[0], 0)], AT_ONCE);
        request.topics[0].partitions[0].current_leader_epoch = epoch;
        request
    };
    for (epoch, refused) in
        [(0, Some(ErrorCode::FencedLeaderEpoch)), (9, None), (10, Some(ErrorCode::UnknownLeaderEpoch))]
    {
        let response = compared(&pair, &with_epoch(epoch)).await;
        assert_eq!(code(parts(&response)[0].1), refused, "{epoch}");
    }
    assert_eq!(asked_leader(&pair.one), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_of_committed_records_leave_out_what_the_leader_says() {
    let pair = zones().await;
    let topic = filled(&pair, 8).await;
    let (_, others) = pair.led(&topic);
    let partition = pair.two.context.partition(&topic, others[0]).expect("it leads it");
    begin(&pair.two, &partition).await;
    let request = |isolation| fetch(&topic, &[(others[0], 0)], AT_ONCE).with_isolation_level(isolation);
    let open = compared(&pair, &request(1)).await;
    assert_eq!(open.responses[0].partitions[0].last_stable_offset, 1);
    end(&pair.two, &partition, Verdict::Abort).await;
    let ended = compared(&pair, &request(1)).await;
    let aborted = ended.responses[0].partitions[0].aborted_transactions.as_ref();
    assert_eq!(aborted.map(Vec::len), Some(1));
    assert_eq!(compared(&pair, &request(0)).await.responses[0].partitions[0].aborted_transactions, None);
    assert_eq!(asked_leader(&pair.one), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_poll_waits_in_the_other_zone() {
    let pair = zones().await;
    let topic = filled(&pair, 8).await;
    let (_, others) = pair.led(&topic);
    let request = fetch(&topic, &[(others[0], 1), (others[1], 1)], PATIENCE);
    let committing = async { pair.two.ask(PRODUCE, &produce(&topic, &others[1..2], -1, NO_PRODUCER)).await };
    let both = async { tokio::join!(pair.one.ask(BY_NAME, &request), committing) };
    let (response, _) = timeout(PATIENCE / 2, both).await.expect("in time");
    let mut expected = vec![(others[0], 0, 1, 0), (others[1], 0, 2, 1)];
    expected.sort_unstable();
    assert_eq!(parts(&response), expected);
    assert!(read_here(&pair.one) > 0);
}

async fn delete_journal(pair: &Pair) {
    let store = pair.one.context.reader.store();
    let listed: Vec<_> = store.list(None).try_collect().await.expect("listed");
    let journal: Vec<ObjectPath> = listed
        .into_iter()
        .map(|object| object.path)
        .filter(|path| path.as_str().starts_with("journal/"))
        .collect();
    assert!(!journal.is_empty());
    for path in journal {
        store.delete(&path).await.expect("deleted");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_read_here_is_fetched_from_the_leader() {
    let pair = zones().await;
    let topic = filled(&pair, 8).await;
    let (_, others) = pair.led(&topic);
    pair.one.ask(BY_NAME, &fetch(&topic, &[(others[0], 0)], PATIENCE)).await;
    // What is in the cache of each is all that is left.
    delete_journal(&pair).await;
    let wanted: Vec<(i32, i64)> = others.iter().map(|index| (*index, 0)).collect();
    let response = pair.one.ask(BY_NAME, &fetch(&topic, &wanted, PATIENCE)).await;
    assert_eq!(parts(&response), others.iter().map(|index| (*index, 0, 1, 1)).collect::<Vec<_>>());
    assert_eq!(asked_leader(&pair.one), others.len() as u64 - 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn segments_are_read_here_too() {
    let pair = zones().await;
    let topic = filled(&pair, 8).await;
    let (_, others) = pair.led(&topic);
    let archived = TopicPartition { topic_id: topic.id, partition: PartitionIndex(others[0]) };
    pair.two.context.archive.flush(vec![archived]).await.expect("archived");
    pair.two.ask(PRODUCE, &produce(&topic, &others[..1], -1, NO_PRODUCER)).await;
    for offset in [0, 1, 2] {
        compared(&pair, &fetch(&topic, &[(others[0], offset)], AT_ONCE)).await;
    }
    assert!(read_here(&pair.one) > 0);
    assert_eq!(asked_leader(&pair.one), 0);
}

/// A broker of a release that tells nobody where to read.
struct Older(Arc<dyn Handle>);

impl Handle for Older {
    fn admit<'a>(
        &'a self,
        connection: &'a ConnectionInfo,
        request: RequestFrame,
        permit: MemoryPermit,
    ) -> BoxFuture<'a, Admitted> {
        if private::is_private(request.header.api_key) {
            let answer = private::encode_answer(&request.header, PrivateAnswer::NotServed);
            return Box::pin(std::future::ready(Admitted::Answer(answer)));
        }
        self.0.admit(connection, request, permit)
    }

    fn on_disconnect(&self, connection: &ConnectionInfo) {
        self.0.on_disconnect(connection);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_of_an_older_release_gives_the_records_itself() {
    let pair = zones().await;
    let topic = filled(&pair, 8).await;
    let handler: Arc<dyn Handle> = Arc::clone(&pair.two.handler) as Arc<dyn Handle>;
    let limits = pair.two.context.config.limits;
    pair.door_of_two.open(Arc::new(Older(handler)), limits, Arc::new(Metrics::new()));
    let (_, others) = pair.led(&topic);
    let response = pair.one.ask(BY_NAME, &fetch(&topic, &[(others[0], 0)], PATIENCE)).await;
    assert_eq!(parts(&response), vec![(others[0], 0, 1, 1)]);
    assert_eq!(read_here(&pair.one), 0);
}

/// What is answered to a consumer in `rack`: its code, who it is sent to, batches.
async fn sent_to(world: &World, topic: &Topic, (index, offset): (i32, i64), rack: &str) -> (i16, i32, usize) {
    let request = fetch(topic, &[(index, offset)], PATIENCE).with_rack_id(text(rack));
    let response = timeout(PATIENCE / 2, world.ask(BY_NAME, &request)).await.expect("at once");
    let preferred = response.responses[0].partitions[0].preferred_read_replica.0;
    let (_, code, _, batches) = parts(&response)[0];
    (code, preferred, batches)
}

/// Waits until the second broker sees the first.
async fn seen(pair: &Pair) {
    let mut sightings = pair.two.context.peers.sightings();
    let session = pair.one.context.leadership.own();
    let is_up =
        |seen: &Sightings| seen.get(&session).is_some_and(|seen| seen.reachability == Reachability::Up);
    timeout(PATIENCE, sightings.wait_for(is_up)).await.expect("in time").expect("the room is there");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_sends_consumers_of_another_zone_to_who_reads_there() {
    let pair = zones().await;
    let topic = filled(&pair, 8).await;
    let (_, others) = pair.led(&topic);
    let led_by_two = others[0];
    seen(&pair).await;
    // Also one who waits at the end of the log, and at once.
    for offset in [0, 1] {
        assert_eq!(sent_to(&pair.two, &topic, (led_by_two, offset), "A").await, (0, 1, 0));
    }
    assert_eq!(sent_to(&pair.one, &topic, (led_by_two, 0), "A").await, (0, -1, 1));
    for elsewhere in ["b", "", "c"] {
        assert_eq!(sent_to(&pair.two, &topic, (led_by_two, 0), elsewhere).await, (0, -1, 1), "{elsewhere}");
    }
    let out_of_range = ErrorCode::OffsetOutOfRange.code();
    assert_eq!(sent_to(&pair.two, &topic, (led_by_two, 7), "a").await, (out_of_range, -1, 0));
    let metadata = pair.two.ask(12, &MetadataRequest::default().with_topics(None)).await;
    for partition in &metadata.topics[0].partitions {
        let replicas: Vec<i32> = partition.replica_nodes.iter().map(|id| id.0).collect();
        let leader = partition.leader_id.0;
        assert_eq!(replicas, [leader, 3 - leader], "clients know who they are sent to");
    }
    // Who is not reached would send them back.
    pair.one.context.peers.close().await;
    let mut sightings = pair.two.context.peers.sightings();
    let session = pair.one.context.leadership.own();
    let is_gone =
        |seen: &Sightings| seen.get(&session).is_some_and(|seen| seen.reachability != Reachability::Up);
    timeout(PATIENCE, sightings.wait_for(is_gone)).await.expect("in time").expect("the room is there");
    assert_eq!(sent_to(&pair.two, &topic, (led_by_two, 0), "a").await, (0, -1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fetch_session_names_who_a_consumer_is_sent_to_each_time() {
    let pair = zones().await;
    let topic = filled(&pair, 8).await;
    let (_, others) = pair.led(&topic);
    seen(&pair).await;
    let rack = text("a");
    let first = fetch(&topic, &[(others[0], 0)], AT_ONCE).with_rack_id(rack.clone()).with_session_epoch(0);
    let first = pair.two.ask(BY_NAME, &first).await;
    assert_eq!(first.responses[0].partitions[0].preferred_read_replica.0, 1);
    // Brokers that lose sight of each other for a moment send nobody away.
    let began = Instant::now();
    for epoch in 1.. {
        let next = fetch(&topic, &[], AT_ONCE).with_topics(vec![]).with_rack_id(rack.clone());
        let next = next.with_session_id(first.session_id).with_session_epoch(epoch);
        let next = pair.two.ask(BY_NAME, &next).await;
        let told = next.responses.first().map(|told| told.partitions[0].preferred_read_replica.0);
        if told == Some(1) {
            break;
        }
        assert!(began.elapsed() < PATIENCE, "it is told again, without a change");
    }
}
