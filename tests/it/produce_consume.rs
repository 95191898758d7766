//! A real client, librdkafka: what it produces comes back once, in order, whole.

use crate::support::requests::{AT_ONCE, Topic};
use crate::support::{Broker, parse_batches};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{BorrowedMessage, Header, Headers, Message, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

const DEADLINE: Duration = Duration::from_secs(60);

/// A consumer by assignment, from the log start of every partition.
pub fn consumer_of(bootstrap: &str, topic: &str, partitions: i32) -> BaseConsumer {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("group.id", "it")
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "error")
        .set("check.crcs", "true")
        .set("fetch.wait.max.ms", "100")
        .create()
        .expect("a consumer");
    let mut list = TopicPartitionList::new();
    for partition in 0..partitions {
        list.add_partition_offset(topic, partition, Offset::Beginning).expect("a partition");
    }
    consumer.assign(&list).expect("an assignment");
    consumer
}

/// Reads until `count` records came, in the order of their arrival.
pub fn consume<T>(consumer: &BaseConsumer, count: usize, read: impl Fn(&BorrowedMessage<'_>) -> T) -> Vec<T> {
    let deadline = Instant::now() + DEADLINE;
    let mut records = Vec::with_capacity(count);
    while records.len() < count {
        assert!(Instant::now() < deadline, "{} of {count} records within {DEADLINE:?}", records.len());
        if let Some(message) = consumer.poll(Duration::from_millis(100)) {
            records.push(read(&message.expect("a record")));
        }
    }
    records
}

fn producer_of(bootstrap: &str, settings: &[(&str, &str)]) -> BaseProducer {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap).set("linger.ms", "5");
    for (name, value) in settings {
        config.set(*name, *value);
    }
    config.create().expect("a producer")
}

/// The place of a record and its text.
fn placed(message: &BorrowedMessage<'_>) -> (i32, i64, String) {
    let text = message.payload().unwrap_or_default().to_vec();
    (message.partition(), message.offset(), String::from_utf8(text).expect("a text"))
}

fn check_round_trip(settings: &[(&str, &str)]) {
    const COUNT: usize = 3_000;
    const PARTITIONS: i32 = 3;
    let broker = Broker::start();
    let topic = broker.connect().create_topic_with("roundtrip", PARTITIONS, &[]);
    let producer = producer_of(&broker.bootstrap(), settings);
    for number in 0..COUNT {
        let partition = i32::try_from(number).expect("small") % PARTITIONS;
        let payload = format!("record {number}");
        let record = BaseRecord::<(), str>::to(&topic.name).partition(partition).payload(&payload);
        producer.send(record).map_err(|(error, _)| error).expect("room in the queue");
        producer.poll(Duration::ZERO);
    }
    producer.flush(DEADLINE).expect("all delivered");

    let consumer = consumer_of(&broker.bootstrap(), &topic.name, PARTITIONS);
    let mut by_partition: BTreeMap<i32, Vec<(i64, String)>> = BTreeMap::new();
    for (partition, offset, text) in consume(&consumer, COUNT, placed) {
        by_partition.entry(partition).or_default().push((offset, text));
    }
    assert!(consumer.poll(Duration::from_millis(200)).is_none(), "each record once");
    for (partition, records) in by_partition {
        let expected: Vec<(i64, String)> = (0..COUNT / 3)
            .map(|row| (row, row * 3 + usize::try_from(partition).expect("positive")))
            .map(|(row, number)| (i64::try_from(row).expect("small"), format!("record {number}")))
            .collect();
        assert_eq!(records, expected, "partition {partition}");
    }
}

#[test]
fn plain_records_come_back_once_and_in_order() {
    check_round_trip(&[]);
}

#[test]
fn snappy_records_come_back_once_and_in_order() {
    check_round_trip(&[("compression.codec", "snappy")]);
}

#[test]
fn lz4_records_come_back_once_and_in_order() {
    check_round_trip(&[("compression.codec", "lz4")]);
}

#[test]
fn idempotent_records_come_back_once_and_in_order() {
    check_round_trip(&[("enable.idempotence", "true")]);
}

#[test]
fn records_acknowledged_by_the_leader_alone_come_back_once_and_in_order() {
    check_round_trip(&[("acks", "1")]);
}

#[test]
fn keys_headers_and_timestamps_come_back_as_sent() {
    let broker = Broker::start();
    let topic = broker.connect().create_topic("whole");
    let producer = producer_of(&broker.bootstrap(), &[]);
    let headers = OwnedHeaders::new()
        .insert(Header { key: "trace", value: Some("1") })
        .insert(Header { key: "trace", value: Some("2") })
        .insert(Header::<&str> { key: "null", value: None });
    let full = BaseRecord::to(&topic.name)
        .key("Ærøskøbing")
        .payload("{\"dep\": 7}")
        .timestamp(1_600_000_000_123)
        .headers(headers);
    producer.send(full).map_err(|(error, _)| error).expect("room");
    let tombstone = BaseRecord::<str, str>::to(&topic.name).key("gone").timestamp(1_600_000_000_124);
    producer.send(tombstone).map_err(|(error, _)| error).expect("room");
    producer.flush(DEADLINE).expect("all delivered");

    let consumer = consumer_of(&broker.bootstrap(), &topic.name, 1);
    let records = consume(&consumer, 2, |message| message.detach());
    assert_eq!(records[0].key(), Some("Ærøskøbing".as_bytes()));
    assert_eq!(records[0].payload(), Some(&b"{\"dep\": 7}"[..]));
    assert_eq!(records[0].timestamp().to_millis(), Some(1_600_000_000_123));
    let headers: Vec<(&str, Option<&[u8]>)> =
        records[0].headers().expect("headers").iter().map(|header| (header.key, header.value)).collect();
    assert_eq!(headers, [("trace", Some(&b"1"[..])), ("trace", Some(&b"2"[..])), ("null", None)]);
    assert_eq!((records[1].key(), records[1].payload()), (Some(&b"gone"[..]), None));
}

#[test]
fn a_consumer_from_inside_a_batch_misses_nothing() {
    let broker = Broker::start();
    let topic = broker.connect().create_topic("inside");
    let mut client = broker.connect();
    for name in ["a", "b", "c"] {
        client.produce(&topic, &crate::support::Batch::numbered(name, 10));
    }
    let consumer = consumer_of(&broker.bootstrap(), &topic.name, 1);
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(&topic.name, 0, Offset::Offset(5)).expect("a partition");
    consumer.assign(&list).expect("an assignment");
    let offsets = consume(&consumer, 25, |message| message.offset());
    assert_eq!(offsets, (5..30).collect::<Vec<i64>>());
}

#[test]
fn the_ends_are_what_librdkafka_is_told() {
    let broker = Broker::start();
    let mut client = broker.connect();
    let topic = client.create_topic("ends");
    client.produce(&topic, &crate::support::Batch::numbered("a", 10));
    client.produce(&topic, &crate::support::Batch::numbered("b", 10));
    let consumer = consumer_of(&broker.bootstrap(), &topic.name, 1);
    assert_eq!(consumer.fetch_watermarks(&topic.name, 0, DEADLINE).expect("the ends"), (0, 20));
}

#[test]
fn a_large_load_is_read_back_after_a_kill() {
    const COUNT: usize = 20_000;
    let mut broker = Broker::start();
    let topic = broker.connect().create_topic("load");
    let producer = producer_of(&broker.bootstrap(), &[("enable.idempotence", "true")]);
    for number in 0..COUNT {
        let payload = format!("{number:0>500}");
        let mut record = BaseRecord::<(), str>::to(&topic.name).payload(&payload);
        while let Err((_, back)) = producer.send(record) {
            producer.poll(Duration::from_millis(10));
            record = back;
        }
    }
    producer.flush(DEADLINE).expect("all delivered");
    broker.kill_and_restart();
    let consumer = consumer_of(&broker.bootstrap(), &topic.name, 1);
    let read = consume(&consumer, COUNT, |message| {
        let text = String::from_utf8(message.payload().unwrap_or_default().to_vec()).expect("a text");
        (message.offset(), text)
    });
    for (number, (offset, text)) in read.iter().enumerate() {
        assert_eq!((*offset, text), (i64::try_from(number).expect("small"), &format!("{number:0>500}")));
    }
    check_batches_are_dense(&broker, &topic, COUNT);
}

/// Base offsets follow each other without a hole, whatever the size of the batches.
fn check_batches_are_dense(broker: &Broker, topic: &Topic, count: usize) {
    let mut client = broker.connect();
    let mut next = 0;
    while next < i64::try_from(count).expect("small") {
        let data = client.fetch(topic, next, AT_ONCE);
        for batch in parse_batches(&data.records.unwrap_or_default()) {
            assert_eq!(batch.base_offset, next);
            next = batch.last_offset + 1;
        }
    }
}
