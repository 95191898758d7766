//! Brokers in two zones and librdkafka in one of them: what it reads comes from a broker of its own zone, which has it from its
//! own cache and the store, and not from the leader.

use crate::support::archive::{await_that, metric};
use crate::support::cluster::{Cluster, Plan};
use crate::support::drill::await_topic;
use crate::support::requests::Topic;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

const DEADLINE: Duration = Duration::from_secs(60);
const PARTITIONS: i32 = 8;
/// In each partition.
const RECORDS: i32 = 50;
/// The broker of zone `a`, and that of zone `b`, where the clients are.
const FAR: usize = 0;
const NEAR: usize = 1;

type Settings<'a> = &'a [(&'a str, &'a str)];

/// Two brokers that see each other, and a topic that both know.
fn start(what: &str) -> Option<(Cluster, Topic)> {
    let cluster = Cluster::start(what, Plan::in_zones(&["a", "b"]))?;
    for number in [FAR, NEAR] {
        let broker = cluster.broker(number);
        await_that(broker, "the other is seen", || metric(broker, "cenote_mesh_peers_up") == 1);
    }
    let topic = cluster.broker(FAR).connect().create_topic_with("zones", PARTITIONS, &[]);
    [FAR, NEAR].into_iter().for_each(|number| await_topic(&cluster, number, &topic));
    Some((cluster, topic))
}

fn config(cluster: &Cluster, settings: Settings<'_>) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", cluster.bootstrap());
    config.set("topic.metadata.refresh.interval.ms", "1000");
    for (name, value) in settings {
        config.set(*name, *value);
    }
    config
}

/// Numbers from `first` on into each partition.
fn produce(cluster: &Cluster, topic: &Topic, first: i32, settings: Settings<'_>) {
    let producer: BaseProducer =
        config(cluster, settings).set("enable.idempotence", "true").create().expect("a producer");
    for number in first..first + RECORDS {
        for partition in 0..PARTITIONS {
            let value = number.to_string();
            let record = BaseRecord::<(), _>::to(&topic.name).partition(partition).payload(&value);
            producer.send(record).map_err(|(error, _)| error).expect("queued");
        }
    }
    producer.flush(DEADLINE).expect("acknowledged");
}

fn consumer(cluster: &Cluster, topic: &Topic, settings: Settings<'_>) -> BaseConsumer {
    let consumer: BaseConsumer = config(cluster, settings)
        .set("group.id", "zones")
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "error")
        .set("check.crcs", "true")
        .set("fetch.wait.max.ms", "100")
        .create()
        .expect("a consumer");
    let mut list = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        list.add_partition_offset(&topic.name, partition, Offset::Beginning).expect("a partition");
    }
    consumer.assign(&list).expect("an assignment");
    consumer
}

/// Reads what `produce` wrote from `first` on: each number once, in its order.
fn check(consumer: &BaseConsumer, first: i32) {
    let end = Instant::now() + DEADLINE;
    let mut next: BTreeMap<i32, i32> = (0..PARTITIONS).map(|partition| (partition, first)).collect();
    while next.values().any(|next| *next < first + RECORDS) {
        assert!(Instant::now() < end, "not within {DEADLINE:?}: {next:?}");
        // Brokers that are gone are told of as errors.
        let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) else { continue };
        let value = String::from_utf8_lossy(message.payload().unwrap_or_default()).into_owned();
        let expected = next.get_mut(&message.partition()).expect("a partition of the topic");
        assert_eq!(value, expected.to_string(), "in partition {}", message.partition());
        *expected += 1;
    }
}

/// All bytes came from the broker of the zone, and those of other leaders from its cache or the store.
fn check_zones(cluster: &Cluster) {
    let figure = |number: usize, name: &str| metric(cluster.broker(number), name);
    assert_eq!(figure(FAR, "cenote_fetch_bytes_total"), 0, "nothing was read in the other zone");
    assert!(figure(NEAR, "cenote_zone_fetch_bytes_total") > 0);
    assert_eq!(figure(NEAR, "cenote_zone_fetches_from_leader_total"), 0);
    assert!(figure(NEAR, "cenote_cache_misses_total") > 0, "it read from the store");
}

#[test]
fn a_consumer_with_a_rack_reads_in_its_own_zone() {
    let Some((cluster, topic)) = start("a consumer in a zone") else { return };
    produce(&cluster, &topic, 0, &[]);
    let consumer = consumer(&cluster, &topic, &[("client.rack", "b")]);
    check(&consumer, 0);
    produce(&cluster, &topic, RECORDS, &[]);
    check(&consumer, RECORDS);
    check_zones(&cluster);
}

#[test]
fn a_client_whose_id_names_its_zone_speaks_with_brokers_there_as_long_as_there_are_any() {
    let Some((mut cluster, topic)) = start("clients that name their zone") else { return };
    let hint = [("client.id", "it,zone=b")];
    produce(&cluster, &topic, 0, &hint);
    let consumer = consumer(&cluster, &topic, &hint);
    let metadata = consumer.fetch_metadata(Some(&topic.name), DEADLINE).expect("metadata");
    let leaders: Vec<i32> =
        metadata.topics()[0].partitions().iter().map(|partition| partition.leader()).collect();
    assert_eq!(leaders, [2; PARTITIONS as usize]);
    check(&consumer, 0);
    check_zones(&cluster);
    cluster.kill(NEAR);
    produce(&cluster, &topic, RECORDS, &hint);
    check(&consumer, RECORDS);
}
