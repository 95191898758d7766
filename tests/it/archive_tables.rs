//! An archived topic is a table: what Kafka's readers get of it is, record for record, what was sent and committed, and
//! what DuckDB, pyarrow and polars read in its files.

mod ledger;

use crate::cli::{over_tcp, run};
use crate::cli_archive::{at_the_door, json};
use crate::support::batches::CODECS;
use crate::support::engines::{ENGINES, Engines, Reading};
use crate::support::requests::Topic;
use crate::support::{Batch, Broker, Record};
use crate::transactions::{COMMITTED, DEADLINE, TransactionalProducer, reader_of};
use ledger::{Clock, Ledger, text_record};
use rdkafka::config::ClientConfig;
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Headers, Message, Timestamp};
use rdkafka::producer::Producer;
use std::fmt;
use std::time::{Duration, Instant};

const PARTITIONS: i32 = 2;
/// As librdkafka names them.
const CODEC_NAMES: [&str; 5] = ["none", "gzip", "snappy", "lz4", "zstd"];

/// A record as every reader has to tell it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    pub partition: i32,
    pub offset: i64,
    pub clock: Clock,
    pub record: Record,
}

impl Told {
    fn of(message: &BorrowedMessage<'_>) -> Told {
        let (clock, timestamp) = match message.timestamp() {
            // Of a record without a timestamp.
            Timestamp::NotAvailable => (Clock::Producer, -1),
            Timestamp::CreateTime(at) => (Clock::Producer, at),
            Timestamp::LogAppendTime(at) => (Clock::Broker, at),
        };
        let header = |header: rdkafka::message::Header<'_, &[u8]>| {
            (header.key.to_owned(), header.value.map(<[u8]>::to_vec))
        };
        let record = Record {
            key: message.key().map(<[u8]>::to_vec),
            value: message.payload().map(<[u8]>::to_vec),
            headers: message.headers().into_iter().flat_map(Headers::iter).map(header).collect(),
            timestamp,
        };
        Told { partition: message.partition(), offset: message.offset(), clock, record }
    }
}

/// The line that the engines' script writes of the same record.
impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Told { partition, offset, clock, record } = self;
        let (micros, kind) = (record.timestamp * 1_000, *clock as i32);
        let (key, value) = (digits(record.key.as_deref()), digits(record.value.as_deref()));
        let header = |(name, value): &(String, Option<Vec<u8>>)| {
            format!("{}={}", digits(Some(name.as_bytes())), digits(value.as_deref()))
        };
        let headers: Vec<String> = record.headers.iter().map(header).collect();
        write!(f, "{partition}\t{offset}\t{micros}\t{kind}\t{key}\t{value}\t{}", headers.join(","))
    }
}

fn digits(bytes: Option<&[u8]>) -> String {
    bytes.map_or("-".to_owned(), |bytes| bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// What a reader of committed records gets up to the ends of all partitions, by partition and offset.
fn read(broker: &Broker, topic: &Topic) -> Vec<Told> {
    let reader = reader_of(&broker.bootstrap(), &topic.name, PARTITIONS, COMMITTED);
    let (mut told, mut ended) = (Vec::new(), 0);
    let deadline = Instant::now() + DEADLINE;
    while ended < PARTITIONS {
        assert!(Instant::now() < deadline, "the ends within {DEADLINE:?}");
        match reader.poll(Duration::from_millis(100)) {
            Some(Ok(message)) => told.push(Told::of(&message)),
            Some(Err(KafkaError::PartitionEOF(_))) => ended += 1,
            Some(Err(error)) => panic!("{error}"),
            None => {}
        }
    }
    told.sort_by_key(|told| (told.partition, told.offset));
    told
}

/// The same, once all that was committed is there: markers are written after the answer to who ends a transaction.
fn read_all(broker: &Broker, topic: &Topic, ledger: &Ledger) -> Vec<Told> {
    let deadline = Instant::now() + DEADLINE;
    loop {
        let told = read(broker, topic);
        if told.len() >= ledger.committed() {
            ledger.check(&told);
            return told;
        }
        assert!(Instant::now() < deadline, "{} of {} records", told.len(), ledger.committed());
    }
}

fn producer(broker: &Broker, settings: &[(&str, &str)]) -> TransactionalProducer {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", broker.bootstrap()).set("linger.ms", "2");
    for (name, value) in settings {
        config.set(*name, *value);
    }
    config.create().expect("a producer")
}

fn transactional(broker: &Broker, name: &str, codec: &str) -> TransactionalProducer {
    let id = format!("{name}-{codec}");
    let producer = producer(broker, &[("transactional.id", &id), ("compression.type", codec)]);
    producer.init_transactions(DEADLINE).expect("who it is");
    producer
}

/// Archives what is stable, as `cenote archive flush` does.
fn flush(broker: &Broker, topic: &Topic) -> i64 {
    let flushed = json(at_the_door(broker, &["archive", "flush", &topic.name, "--output", "json"]));
    flushed[0]["lag_records"].as_i64().expect("a number")
}

/// Plain and idempotent producers of every codec, and batches made by hand, of which some have no timestamps.
fn send_plainly(broker: &Broker, topic: &Topic, ledger: &mut Ledger) {
    for codec in CODEC_NAMES {
        for idempotent in ["false", "true"] {
            let settings = [("compression.type", codec), ("enable.idempotence", idempotent)];
            ledger.send(&producer(broker, &settings), topic, None);
        }
    }
    for codec in CODECS {
        let mut records = ledger.shapes();
        if codec == crate::support::Codec::Gzip {
            records = records.into_iter().map(|record| record.at(-1)).collect();
        }
        broker.connect().produce(topic, &Batch::of(records.clone()).compressed(codec));
        ledger.note(0, &records, None);
    }
}

/// Two transactions at a time with a plain producer between them: one of them is aborted, in one round both.
/// The archive goes on while they are open.
fn send_in_transactions(broker: &Broker, topic: &Topic, ledger: &mut Ledger) {
    let plain = producer(broker, &[]);
    for (round, codec) in CODEC_NAMES.into_iter().enumerate() {
        let producers = [transactional(broker, "first", codec), transactional(broker, "second", codec)];
        let [first, second] = producers.each_ref().map(|producer| ledger.begin(producer));
        ledger.send(&producers[0], topic, Some(first));
        ledger.send(&producers[1], topic, Some(second));
        ledger.send(&plain, topic, None);
        if round % 2 == 1 {
            assert!(flush(broker, topic) > 0, "what is open is not archived");
        }
        ledger.end(&producers[0], first, round % 2 == 0);
        ledger.send(&producers[1], topic, Some(second));
        ledger.end(&producers[1], second, round % 2 == 1 && round != 3);
    }
    ledger.send(&plain, topic, None);
}

/// Archives all of the topic, and starts anew with nothing in memory and nothing in the cache on the disk.
fn archive_and_restart(broker: &mut Broker, topic: &Topic) {
    assert_eq!(flush(broker, topic), 0, "all of it");
    broker.kill();
    std::fs::remove_dir_all(broker.data().join("cache")).expect("its cache");
    broker.start_again();
}

fn files_of(broker: &Broker, topic: &Topic) -> String {
    run(at_the_door(broker, &["topic", "files", &topic.name]), "")
}

fn check_engine(engine: &str, lines: &[String], told: &[Told]) {
    let expected: Vec<String> = told.iter().map(ToString::to_string).collect();
    for (number, (line, expected)) in lines.iter().zip(&expected).enumerate() {
        assert_eq!(line, expected, "row {number} by {engine}");
    }
    assert_eq!(lines.len(), expected.len(), "rows by {engine}");
}

#[test]
fn an_archived_topic_is_the_same_to_kafka_and_to_every_engine() {
    let mut broker = Broker::options().arguments(&["--cache-disk", "64MiB"]).start();
    let mut client = broker.connect();
    let topic = client.create_topic_with("table", PARTITIONS, &[("retention.ms", "-1")]);
    let mut ledger = Ledger::of(PARTITIONS);
    send_plainly(&broker, &topic, &mut ledger);
    flush(&broker, &topic);
    send_in_transactions(&broker, &topic, &mut ledger);
    let by_the_broker = "message.timestamp.type=LogAppendTime";
    run(over_tcp(&broker, &["topic", "alter", &topic.name, "--set", by_the_broker]), "");
    ledger.clock = Clock::Broker;
    for codec in CODEC_NAMES {
        ledger.send(&producer(&broker, &[("compression.type", codec)]), &topic, None);
    }
    let from_the_journal = read_all(&broker, &topic, &ledger);
    archive_and_restart(&mut broker, &topic);
    let told = read(&broker, &topic);
    assert!(told == from_the_journal, "an offset never changes its record");
    let files = files_of(&broker, &topic);
    assert!(files.lines().count() > 2 * 2, "several segments a partition: {files}");
    let Some(engines) = Engines::find("an archived topic read by DuckDB, pyarrow and polars") else { return };
    for engine in ENGINES {
        check_engine(engine, &engines.read(engine, &files, Reading::AsTheyAre), &told);
    }
}

#[test]
fn text_is_text_to_every_engine_and_other_bytes_stay_what_they_are() {
    let mut broker = Broker::options().arguments(&["--cache-disk", "64MiB"]).start();
    let settings = [("retention.ms", "-1"), ("cenote.parquet.text", "true")];
    let topic = broker.connect().create_topic_with("text", PARTITIONS, &settings);
    let mut ledger = Ledger::of(PARTITIONS);
    let text: Vec<Record> = (1..=100).map(text_record).collect();
    let settings = [("compression.type", "zstd")];
    for partition in 0..PARTITIONS {
        ledger.send_to(&producer(&broker, &settings), &topic, partition, &text);
    }
    read_all(&broker, &topic, &ledger);
    assert_eq!(flush(&broker, &topic), 0);
    let of_text = files_of(&broker, &topic);
    ledger.send(&producer(&broker, &settings), &topic, None);
    let from_the_journal = read_all(&broker, &topic, &ledger);
    archive_and_restart(&mut broker, &topic);
    let told = read(&broker, &topic);
    assert!(told == from_the_journal, "an offset never changes its record");
    let Some(engines) = Engines::find("text read by DuckDB, pyarrow and polars") else { return };
    assert_eq!(engines.sum("number", &of_text), 2 * (1..=100).sum::<i64>(), "JSON without a cast");
    let files = files_of(&broker, &topic);
    let told_of_text: Vec<Told> = told.iter().filter(|told| told.offset < 100).cloned().collect();
    for engine in ENGINES {
        check_engine(engine, &engines.read(engine, &of_text, Reading::AsTheyAre), &told_of_text);
        check_engine(engine, &engines.read(engine, &files, Reading::AsBytes), &told);
    }
}
