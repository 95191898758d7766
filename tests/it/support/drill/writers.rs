//! Idempotent producers, one for each partition: numbered records at an even pace, for as long as the drill lasts. What a
//! writer was not told of is sent again by its client, for minutes.

use super::observed::Observed;
use crate::support::history::{Acknowledged, RecordId};
use crate::support::requests::Topic;
use rdkafka::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

const RECORD_BYTES: usize = 1024;
/// Sent and not reported, at most.
const IN_FLIGHT_MAX: usize = 400;
const DELIVERED_WITHIN: Duration = Duration::from_secs(120);

/// How much each writes.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Between two records of a writer.
    pace: Duration,
    /// Of a record's value, at least.
    record_bytes: usize,
}

impl Load {
    /// As the environment says, or little.
    pub fn named() -> Load {
        let pace = |rate: u64| {
            let all = u32::try_from(super::PARTITIONS).expect("a number") * Duration::from_secs(1);
            all.mul_f64(RECORD_BYTES as f64 / rate as f64)
        };
        match super::number("CENOTE_DRILL_RATE") {
            Some(rate) => Load { pace: pace(rate), record_bytes: RECORD_BYTES },
            None => Load { pace: Duration::from_millis(4), record_bytes: 0 },
        }
    }
}

/// All writers.
pub struct Writers {
    observed: Arc<Observed>,
    threads: Vec<JoinHandle<u64>>,
}

impl Writers {
    /// One for each partition.
    pub fn start(bootstrap: &str, topic: &Topic, load: Load, observed: &Arc<Observed>) -> Writers {
        let writer = |partition: i32| {
            let (place, taken) = sync_channel(IN_FLIGHT_MAX);
            let reports = Reports { observed: Arc::clone(observed), taken: Mutex::new(taken) };
            let producer = producer(bootstrap, reports);
            let writer =
                Writer { topic: topic.name.clone(), partition, load, place, observed: Arc::clone(observed) };
            std::thread::spawn(move || writer.write(&producer))
        };
        Writers { observed: Arc::clone(observed), threads: (0..super::PARTITIONS).map(writer).collect() }
    }

    /// Stops them when everything was delivered; how many records were sent.
    pub fn finish(self) -> u64 {
        self.observed.end();
        self.threads.into_iter().map(|thread| thread.join().expect("a writer")).sum()
    }
}

struct Reports {
    observed: Arc<Observed>,
    taken: Mutex<Receiver<()>>,
}

impl ClientContext for Reports {
    fn log(&self, _: rdkafka::config::RDKafkaLogLevel, _: &str, _: &str) {}
    fn error(&self, error: rdkafka::error::KafkaError, why: &str) {
        if error.rdkafka_error_code() == Some(rdkafka::types::RDKafkaErrorCode::Fatal) {
            self.observed.failed(format!("{error}: {why}"));
        }
    }
}

impl ProducerContext for Reports {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, number: usize) {
        let at = self.observed.now();
        let _ = self.taken.lock().expect("the places").try_recv();
        match result {
            Ok(message) => {
                let (partition, offset) = (message.partition(), message.offset());
                // librdkafka has a negative number for an offset that it was not told.
                let offset = (offset >= 0).then_some(offset);
                let record = record_of(partition, number);
                self.observed.acknowledged(Acknowledged { record, partition, offset, at });
            }
            Err((error, _)) => self.observed.failed(format!("{number}: {error}")),
        }
    }
}

fn record_of(partition: i32, number: usize) -> RecordId {
    let writer = u32::try_from(partition).expect("not negative");
    RecordId { writer, number: u64::try_from(number).expect("64 bits") }
}

/// The value of a record, with spaces behind it.
fn text(record: RecordId, bytes: usize) -> String {
    format!("{:<bytes$}", format!("{}/{}", record.writer, record.number))
}

/// The record that has this value, if one of ours has.
pub fn parse(value: &[u8]) -> Option<RecordId> {
    let (writer, number) = std::str::from_utf8(value).ok()?.trim_end().split_once('/')?;
    Some(RecordId { writer: writer.parse().ok()?, number: number.parse().ok()? })
}

fn producer(bootstrap: &str, context: Reports) -> ThreadedProducer<Reports> {
    ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("enable.idempotence", "true")
        .set("linger.ms", "1")
        .set("batch.num.messages", "10")
        .set("message.timeout.ms", "120000")
        // A broker that was stopped does not say so; the client asks another one soon, with the same sequence.
        .set("socket.timeout.ms", "3000")
        .set("request.timeout.ms", "2000")
        .set("topic.metadata.refresh.interval.ms", "1000")
        .set("retry.backoff.ms", "20")
        .set("retry.backoff.max.ms", "100")
        .set("reconnect.backoff.ms", "20")
        .set("reconnect.backoff.max.ms", "100")
        .create_with_context(context)
        .expect("a producer")
}

struct Writer {
    topic: String,
    partition: i32,
    load: Load,
    place: SyncSender<()>,
    observed: Arc<Observed>,
}

impl Writer {
    /// Writes until the load is over; how many records there were. Who came late writes the next ones at once.
    fn write(self, producer: &ThreadedProducer<Reports>) -> u64 {
        let began = Instant::now();
        let mut number = 0;
        loop {
            let due = self.load.pace * u32::try_from(number).expect("few records");
            let early = due.saturating_sub(began.elapsed());
            if self.observed.wait(early) {
                break;
            }
            self.place.send(()).expect("the producer holds the other end");
            let value = text(record_of(self.partition, number), self.load.record_bytes);
            let record = BaseRecord::<str, str, usize>::with_opaque_to(&self.topic, number);
            let record = record.partition(self.partition).payload(&value);
            producer.send(record).map_err(|(error, _)| error).expect("room in the queue");
            number += 1;
        }
        producer.flush(DELIVERED_WITHIN).expect("all delivered in the end");
        u64::try_from(number).expect("64 bits")
    }
}
