//! What was sent to a topic, in the order of its log, and what of it was committed.

use super::Told;
use crate::support::Record;
use crate::support::batches::SOME_TIME_MS;
use crate::support::requests::Topic;
use crate::transactions::{DEADLINE, TransactionalProducer};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer};

/// Whose clock a timestamp is of; the numbers are Kafka's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    Producer = 0,
    Broker = 1,
}

/// Sends records and notes them. Whoever sends waits until all are in the log, so the order is that of the log.
pub struct Ledger {
    /// The topic's, now.
    pub clock: Clock,
    partitions: Vec<Vec<Entry>>,
    /// Whether a transaction was committed, once it ended.
    verdicts: Vec<Option<bool>>,
    /// Makes records different.
    number: i64,
}

struct Entry {
    record: Record,
    clock: Clock,
    transaction: Option<usize>,
}

impl Ledger {
    pub fn of(partitions: i32) -> Ledger {
        let partitions = (0..partitions).map(|_| Vec::new()).collect();
        Ledger { clock: Clock::Producer, partitions, verdicts: Vec::new(), number: 0 }
    }

    /// Sends one record of each shape to each partition.
    pub fn send(&mut self, producer: &TransactionalProducer, topic: &Topic, transaction: Option<usize>) {
        for partition in 0..self.partitions.len() {
            let records = self.shapes();
            let partition = i32::try_from(partition).expect("few partitions");
            deliver(producer, topic, partition, &records);
            self.note(partition, &records, transaction);
        }
    }

    /// Sends these records, outside of a transaction.
    pub fn send_to(
        &mut self,
        producer: &TransactionalProducer,
        topic: &Topic,
        partition: i32,
        records: &[Record],
    ) {
        deliver(producer, topic, partition, records);
        self.note(partition, records, None);
    }

    /// Notes what was sent otherwise.
    pub fn note(&mut self, partition: i32, records: &[Record], transaction: Option<usize>) {
        let clock = self.clock;
        let entries = records.iter().map(|record| Entry { record: record.clone(), clock, transaction });
        self.partitions[usize::try_from(partition).expect("a partition")].extend(entries);
    }

    pub fn begin(&mut self, producer: &TransactionalProducer) -> usize {
        producer.begin_transaction().expect("begun");
        self.verdicts.push(None);
        self.verdicts.len() - 1
    }

    pub fn end(&mut self, producer: &TransactionalProducer, transaction: usize, commits: bool) {
        if commits {
            producer.commit_transaction(DEADLINE).expect("committed");
        } else {
            producer.abort_transaction(DEADLINE).expect("aborted");
        }
        self.verdicts[transaction] = Some(commits);
    }

    /// How many records were committed.
    pub fn committed(&self) -> usize {
        self.entries().count()
    }

    /// Sees that what a reader told is what was committed, in the order of each partition.
    pub fn check(&self, told: &[Told]) {
        for (told, (partition, entry)) in told.iter().zip(self.entries()) {
            let mut expected =
                Told { partition, offset: told.offset, clock: entry.clock, record: entry.record.clone() };
            if entry.clock == Clock::Broker {
                assert!(told.record.timestamp > SOME_TIME_MS, "the broker's clock: {told:?}");
                expected.record.timestamp = told.record.timestamp;
            }
            assert_eq!(*told, expected, "offset {}", told.offset);
        }
        assert_eq!(told.len(), self.committed(), "no more than was committed");
        let ascend =
            |pair: &[Told]| (pair[0].partition, pair[0].offset) < (pair[1].partition, pair[1].offset);
        assert!(told.windows(2).all(ascend), "each offset once");
    }

    fn entries(&self) -> impl Iterator<Item = (i32, &Entry)> {
        let is_committed = |entry: &&Entry| {
            entry.transaction.is_none_or(|transaction| self.verdicts[transaction] == Some(true))
        };
        (0..).zip(&self.partitions).flat_map(move |(partition, entries)| {
            entries.iter().filter(is_committed).map(move |entry| (partition, entry))
        })
    }

    /// Records of every shape that a client can send.
    pub fn shapes(&mut self) -> Vec<Record> {
        let bytes = |bytes: &[u8]| Some(bytes.to_vec());
        let none: &[(&str, Option<&[u8]>)] = &[];
        let not_text = [0xff, 0x00, 0xc3, 0x28, 0x80];
        let repeated: &[(&str, Option<&[u8]>)] =
            &[("trace", Some(b"1")), ("trace", Some(b"2")), ("other", Some(b"3")), ("trace", Some(b"1"))];
        let hollow: &[(&str, Option<&[u8]>)] =
            &[("null", None), ("empty", Some(b"")), ("", Some(b"no name")), ("null", None), ("", None)];
        let bare = |key, value, headers: &[(&str, Option<&[u8]>)]| (key, value, owned(headers));
        let shapes = [
            bare(bytes(b"key"), bytes(b"value"), none),
            bare(None, bytes(b"without a key"), none),
            bare(bytes(b"tombstone"), None, none),
            bare(None, None, none),
            bare(bytes(b""), bytes(b""), none),
            bare(bytes(b""), None, repeated),
            bare(None, bytes(b""), hollow),
            bare(bytes(&not_text), bytes(&not_text), &[("binary", Some(&not_text)), ("\u{e6}\u{f8}", None)]),
            bare(bytes("\u{c6}r\u{f8}".as_bytes()), bytes(b"{\"dep\": 7}"), repeated),
            bare(bytes(b"long"), Some(b"a text that can be compressed ".repeat(700)), hollow),
        ];
        shapes.into_iter().map(|(key, value, headers)| self.record(key, value, headers)).collect()
    }

    /// Gives a record a time, which does not only go up, and a last header that nobody else has.
    fn record(&mut self, key: Option<Vec<u8>>, value: Option<Vec<u8>>, mut headers: Fields) -> Record {
        self.number += 1;
        if self.number % 3 > 0 {
            headers.push(("number".to_owned(), Some(self.number.to_string().into_bytes())));
        }
        let timestamp = SOME_TIME_MS + self.number * 1_000 - self.number % 7 * 5_000;
        Record { key, value, headers, timestamp }
    }
}

type Fields = Vec<(String, Option<Vec<u8>>)>;

fn owned(headers: &[(&str, Option<&[u8]>)]) -> Fields {
    headers.iter().map(|(name, value)| ((*name).to_owned(), value.map(<[u8]>::to_vec))).collect()
}

/// A record whose key is text and whose value is JSON.
pub fn text_record(number: i64) -> Record {
    let value = format!("{{\"number\":{number},\"name\":\"\u{c6}r\u{f8}sk\u{f8}bing\"}}");
    let key = Some(format!("key {number}").into_bytes());
    let timestamp = SOME_TIME_MS + number;
    Record { key, value: Some(value.into_bytes()), headers: Vec::new(), timestamp }
}

fn deliver(producer: &TransactionalProducer, topic: &Topic, partition: i32, records: &[Record]) {
    for record in records {
        let mut sent =
            BaseRecord::<[u8], [u8]>::to(&topic.name).partition(partition).timestamp(record.timestamp);
        if let Some(key) = &record.key {
            sent = sent.key(key);
        }
        if let Some(value) = &record.value {
            sent = sent.payload(value);
        }
        if !record.headers.is_empty() {
            let headers = record.headers.iter().fold(OwnedHeaders::new(), |headers, (key, value)| {
                headers.insert(Header { key, value: value.as_deref() })
            });
            sent = sent.headers(headers);
        }
        producer.send(sent).map_err(|(error, _)| error).expect("room in the queue");
    }
    producer.flush(DEADLINE).expect("all delivered");
}
