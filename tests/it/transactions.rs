//! Transactions with librdkafka: what readers see of them, who is fenced, and offsets that go with the records.

use crate::cli::{check_fails, over_tcp, run};
use crate::support::requests::Topic;
use crate::support::{Batch, Broker};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use std::time::{Duration, Instant};

pub const DEADLINE: Duration = Duration::from_secs(60);

pub const COMMITTED: &str = "read_committed";
pub const UNCOMMITTED: &str = "read_uncommitted";

pub type TransactionalProducer = ThreadedProducer<DefaultProducerContext>;

/// A transactional producer that does not yet know who it is.
pub fn producer_of(bootstrap: &str, transactional_id: &str, timeout: Duration) -> TransactionalProducer {
    ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("transactional.id", transactional_id)
        .set("transaction.timeout.ms", timeout.as_millis().to_string())
        .set("message.timeout.ms", timeout.as_millis().to_string())
        .set("linger.ms", "1")
        .set("retry.backoff.ms", "20")
        .set("retry.backoff.max.ms", "100")
        .set("reconnect.backoff.ms", "20")
        .set("reconnect.backoff.max.ms", "100")
        .create()
        .expect("a producer")
}

/// A consumer of all partitions from their beginnings, which says where they end.
pub fn reader_of(bootstrap: &str, topic: &str, partitions: i32, isolation: &str) -> BaseConsumer {
    let reader: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("group.id", "reader")
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "error")
        .set("isolation.level", isolation)
        .set("enable.partition.eof", "true")
        .set("check.crcs", "true")
        .set("fetch.wait.max.ms", "50")
        .set("reconnect.backoff.ms", "20")
        .set("reconnect.backoff.max.ms", "100")
        .create()
        .expect("a consumer");
    let mut list = TopicPartitionList::new();
    for partition in 0..partitions {
        list.add_partition_offset(topic, partition, Offset::Beginning).expect("a partition");
    }
    reader.assign(&list).expect("an assignment");
    reader
}

/// All that a reader sees up to the end of each partition, in the order of offsets.
pub fn read_to_end(broker: &Broker, topic: &Topic, partitions: i32, isolation: &str) -> Vec<Vec<String>> {
    let reader = reader_of(&broker.bootstrap(), &topic.name, partitions, isolation);
    let count = usize::try_from(partitions).expect("positive");
    let (mut values, mut ended) = (vec![Vec::new(); count], vec![false; count]);
    let deadline = Instant::now() + DEADLINE;
    while ended.contains(&false) {
        assert!(Instant::now() < deadline, "the ends within {DEADLINE:?}");
        match reader.poll(Duration::from_millis(100)) {
            Some(Ok(message)) => {
                let value = String::from_utf8(message.payload().unwrap_or_default().to_vec());
                values[usize::try_from(message.partition()).expect("positive")].push(value.expect("a text"));
            }
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                ended[usize::try_from(partition).expect("positive")] = true;
            }
            Some(Err(error)) => panic!("{error}"),
            None => {}
        }
    }
    values
}

fn read(broker: &Broker, topic: &Topic, isolation: &str) -> Vec<String> {
    read_to_end(broker, topic, 1, isolation).remove(0)
}

fn started(broker: &Broker, transactional_id: &str) -> TransactionalProducer {
    let producer = producer_of(&broker.bootstrap(), transactional_id, DEADLINE);
    producer.init_transactions(DEADLINE).expect("who it is");
    producer
}

/// Three records, such as `a-0`; they are in the log when this returns.
fn send(producer: &TransactionalProducer, topic: &Topic, name: &str) -> Vec<String> {
    let values: Vec<String> = (0..3).map(|number| format!("{name}-{number}")).collect();
    for value in &values {
        let record = BaseRecord::<(), str>::to(&topic.name).partition(0).payload(value);
        producer.send(record).map_err(|(error, _)| error).expect("room in the queue");
    }
    producer.flush(DEADLINE).expect("all delivered");
    values
}

fn is_fenced(error: &KafkaError) -> bool {
    let fenced =
        [RDKafkaErrorCode::Fenced, RDKafkaErrorCode::ProducerFenced, RDKafkaErrorCode::InvalidProducerEpoch];
    error.rdkafka_error_code().is_some_and(|code| fenced.contains(&code))
}

#[test]
fn committed_records_are_seen_by_all_and_aborted_ones_by_who_reads_all() {
    let broker = Broker::start();
    let topic = broker.connect().create_topic("visible");
    let producer = started(&broker, "t");
    let (mut committed, mut all) = (Vec::new(), Vec::new());
    for (name, commits) in [("a", true), ("b", false), ("c", true), ("d", false)] {
        producer.begin_transaction().expect("begun");
        let values = send(&producer, &topic, name);
        all.extend(values.clone());
        assert_eq!(read(&broker, &topic, COMMITTED), committed, "{name} is open");
        assert_eq!(read(&broker, &topic, UNCOMMITTED), all);
        if commits {
            producer.commit_transaction(DEADLINE).expect("committed");
            committed.extend(values);
            await_committed(&broker, &topic, &committed);
        } else {
            producer.abort_transaction(DEADLINE).expect("aborted");
        }
    }
    broker.connect().produce(&topic, &Batch::numbered("plain", 1));
    committed.push("plain-0".to_owned());
    all.push("plain-0".to_owned());
    await_committed(&broker, &topic, &committed);
    assert_eq!(read(&broker, &topic, UNCOMMITTED), all);
}

#[test]
fn the_command_line_shows_what_is_committed_or_all() {
    let broker = Broker::start();
    let topic = broker.connect().create_topic("shown");
    let producer = started(&broker, "t");
    let (mut committed, mut all) = (Vec::new(), Vec::new());
    for (name, commits) in [("a", false), ("b", true), ("c", false)] {
        producer.begin_transaction().expect("begun");
        let values = send(&producer, &topic, name);
        all.extend(values.clone());
        if commits {
            producer.commit_transaction(DEADLINE).expect("committed");
            committed.extend(values);
            await_committed(&broker, &topic, &committed);
        } else {
            producer.abort_transaction(DEADLINE).expect("aborted");
        }
    }
    broker.connect().produce(&topic, &Batch::numbered("plain", 1));
    committed.push("plain-0".to_owned());
    all.push("plain-0".to_owned());
    await_committed(&broker, &topic, &committed);
    producer.begin_transaction().expect("begun");
    all.extend(send(&producer, &topic, "open"));
    let shown = |arguments: &[&str]| -> Vec<String> {
        let arguments: Vec<_> =
            ["consume", &topic.name, "--until", "end"].iter().chain(arguments).copied().collect();
        run(over_tcp(&broker, &arguments), "").lines().map(str::to_owned).collect()
    };
    assert_eq!(shown(&[]), committed);
    assert_eq!(shown(&["--isolation", "committed", "--group", "readers"]), committed);
    assert_eq!(shown(&["--group", "readers"]), Vec::<String>::new(), "it goes on behind what was aborted");
    assert_eq!(shown(&["--from", "latest"]), Vec::<String>::new());
    assert_eq!(shown(&["--isolation", "all"]), all);
}

#[test]
fn an_abort_from_outside_leaves_a_producer_alone_that_has_nothing_open() {
    let broker = Broker::start();
    let topic = broker.connect().create_topic("abort");
    let producer = started(&broker, "t");
    let abort = || run(over_tcp(&broker, &["transaction", "abort", "t"]), "");
    assert_eq!(abort(), "nothing was open of transactional id t; nothing was done\n");
    producer.begin_transaction().expect("begun");
    let values = send(&producer, &topic, "first");
    producer.commit_transaction(DEADLINE).expect("it is not fenced");
    await_committed(&broker, &topic, &values);
    producer.begin_transaction().expect("begun");
    send(&producer, &topic, "second");
    assert_eq!(abort(), "aborted what was open of transactional id t\n");
    let error = producer.commit_transaction(DEADLINE).expect_err("it is fenced");
    assert!(is_fenced(&error), "{error:?}");
    let unknown = over_tcp(&broker, &["transaction", "describe", "nope"]);
    check_fails(unknown, 1, &["transactional id \"nope\" does not exist"]);
}

/// Markers are written after the answer: waits for them.
fn await_committed(broker: &Broker, topic: &Topic, expected: &[String]) {
    let deadline = Instant::now() + DEADLINE;
    loop {
        let seen = read(broker, topic, COMMITTED);
        if seen == expected {
            return;
        }
        assert!(expected.starts_with(&seen), "only what is committed, in order: {seen:?}");
        assert!(Instant::now() < deadline, "within {DEADLINE:?}: {seen:?} are not {expected:?}");
    }
}

#[test]
fn a_second_producer_with_the_same_id_fences_the_first() {
    let broker = Broker::start();
    let topic = broker.connect().create_topic("fenced");
    let first = started(&broker, "t");
    first.begin_transaction().expect("begun");
    send(&first, &topic, "first");
    let second = started(&broker, "t");
    let error = first.commit_transaction(DEADLINE).expect_err("the first is fenced");
    assert!(is_fenced(&error), "{error:?}");
    second.begin_transaction().expect("begun");
    let values = send(&second, &topic, "second");
    second.commit_transaction(DEADLINE).expect("committed");
    await_committed(&broker, &topic, &values);
}

#[test]
fn a_fenced_producer_writes_nothing_more() {
    let broker = Broker::start();
    let topic = broker.connect().create_topic("zombie");
    let first = started(&broker, "t");
    let second = started(&broker, "t");
    first.begin_transaction().expect("begun");
    let record = BaseRecord::<(), str>::to(&topic.name).partition(0).payload("zombie");
    first.send(record).map_err(|(error, _)| error).expect("room in the queue");
    let error = first.commit_transaction(DEADLINE).expect_err("the first is fenced");
    assert!(is_fenced(&error), "{error:?}");
    assert_eq!(read(&broker, &topic, UNCOMMITTED), Vec::<String>::new());
    second.begin_transaction().expect("begun");
    let values = send(&second, &topic, "second");
    second.commit_transaction(DEADLINE).expect("committed");
    await_committed(&broker, &topic, &values);
}

#[test]
fn offsets_are_committed_with_the_records_or_not_at_all() {
    let broker = Broker::start();
    let topic = broker.connect().create_topic("offsets");
    broker.connect().produce(&topic, &Batch::numbered("in", 10));
    let producer = started(&broker, "t");
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", broker.bootstrap())
        .set("group.id", "g")
        .set("enable.auto.commit", "false")
        .create()
        .expect("a consumer");
    let place = |offset| {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&topic.name, 0, offset).expect("a partition");
        list
    };
    consumer.assign(&place(Offset::Beginning)).expect("an assignment");
    let committed = || {
        let list = consumer.committed_offsets(place(Offset::Invalid), DEADLINE).expect("the offsets");
        list.elements()[0].offset()
    };
    let metadata = consumer.group_metadata().expect("a group");
    let mut expected = Offset::Invalid;
    for (number, commits) in [(4, false), (5, true), (7, false), (9, true)] {
        producer.begin_transaction().expect("begun");
        let offsets = place(Offset::Offset(number));
        producer.send_offsets_to_transaction(&offsets, &metadata, DEADLINE).expect("sent");
        if commits {
            producer.commit_transaction(DEADLINE).expect("committed");
            expected = Offset::Offset(number);
        } else {
            producer.abort_transaction(DEADLINE).expect("aborted");
        }
        // This asks for stable offsets, and so waits for the end of the transaction.
        assert_eq!(committed(), expected);
    }
}

#[test]
fn a_transaction_whose_producer_is_gone_ends_by_its_time_out() {
    let broker = Broker::start();
    let topic = broker.connect().create_topic("gone");
    let producer = producer_of(&broker.bootstrap(), "t", Duration::from_secs(2));
    producer.init_transactions(DEADLINE).expect("who it is");
    producer.begin_transaction().expect("begun");
    send(&producer, &topic, "lost");
    broker.connect().produce(&topic, &Batch::numbered("plain", 1));
    assert_eq!(read(&broker, &topic, COMMITTED), Vec::<String>::new(), "held back by what is open");
    await_committed(&broker, &topic, &["plain-0".to_owned()]);
    let error = producer.commit_transaction(DEADLINE).expect_err("too late");
    assert!(is_fenced(&error), "{error:?}");
}

#[test]
fn a_transaction_goes_on_over_a_kill_of_the_broker() {
    let mut broker = Broker::start();
    let topic = broker.connect().create_topic("kill");
    let producer = started(&broker, "t");
    let mut committed = Vec::new();
    for (round, commits) in [true, false, true].into_iter().enumerate() {
        producer.begin_transaction().expect("begun");
        let mut values = send(&producer, &topic, &format!("{round}-before"));
        broker.kill_and_restart();
        values.extend(send(&producer, &topic, &format!("{round}-after")));
        if commits {
            producer.commit_transaction(DEADLINE).expect("committed");
            committed.extend(values);
        } else {
            producer.abort_transaction(DEADLINE).expect("aborted");
        }
    }
    await_committed(&broker, &topic, &committed);
    broker.kill_and_restart();
    assert_eq!(read(&broker, &topic, COMMITTED), committed);
}

#[test]
fn what_is_deleted_under_an_open_transaction_leaves_no_end_before_the_start() {
    let broker = Broker::start();
    let topic = broker.connect().create_topic("deleted-under-a-transaction");
    let producer = started(&broker, "deletes");
    producer.begin_transaction().expect("begun");
    send(&producer, &topic, "a");
    run(
        over_tcp(&broker, &["topic", "delete-records", &topic.name, "--partition", "0", "--before", "3"]),
        "",
    );
    let reader = reader_of(&broker.bootstrap(), &topic.name, 1, COMMITTED);
    let ends = reader.fetch_watermarks(&topic.name, 0, DEADLINE).expect("both ends");
    assert_eq!(ends, (3, 3), "the last stable offset is not before the log start");
    assert!(read(&broker, &topic, COMMITTED).is_empty());
    let late = send(&producer, &topic, "b");
    producer.commit_transaction(DEADLINE).expect("committed");
    assert_eq!(read(&broker, &topic, COMMITTED), late);
}
