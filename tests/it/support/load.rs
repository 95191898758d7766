//! Idempotent producers that go on over kills of the broker and note what was acknowledged to them.

use super::Broker;
use super::requests::Topic;
use rdkafka::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Acknowledgements come within this time, kills and all.
const DEADLINE: Duration = Duration::from_secs(120);

/// One acknowledged record: where the broker said it lies.
#[derive(Clone, Copy, Debug)]
pub struct Acknowledged {
    pub number: usize,
    pub partition: i32,
    pub offset: i64,
}

/// What the record of a number is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    pub partition: i32,
    pub key: Option<String>,
    pub value: Option<String>,
}

/// Makes the record of a number: always the same.
pub type Shape = fn(usize) -> Sent;

/// A producer that sends records one after the other until it is told to stop.
pub struct Load {
    reports: Receiver<Acknowledged>,
    failed: Arc<Mutex<Vec<String>>>,
    stop: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<usize>,
}

/// Notes every delivery report.
struct Reports {
    acknowledged: Mutex<Sender<Acknowledged>>,
    failed: Arc<Mutex<Vec<String>>>,
    in_flight: Mutex<Receiver<()>>,
}

impl ClientContext for Reports {
    fn log(&self, _: rdkafka::config::RDKafkaLogLevel, _: &str, _: &str) {}
    fn error(&self, _: rdkafka::error::KafkaError, _: &str) {}
}

impl ProducerContext for Reports {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, number: usize) {
        let _ = self.in_flight.lock().expect("the reports").try_recv();
        match result {
            Ok(message) => {
                let partition = message.partition();
                let acknowledged = Acknowledged { number, partition, offset: message.offset() };
                let _ = self.acknowledged.lock().expect("the reports").send(acknowledged);
            }
            Err((error, _)) => self.failed.lock().expect("the reports").push(format!("{number}: {error}")),
        }
    }
}

impl Load {
    /// Begins to send. At most `in_flight` records are sent and not yet reported, so that a broker that is away does not
    /// find a mountain when it is back.
    pub fn start(broker: &Broker, topic: &Topic, in_flight: usize, shape: Shape) -> Load {
        let (sender, reports) = channel();
        let (place, taken) = sync_channel(in_flight);
        let failed = Arc::new(Mutex::new(Vec::new()));
        let context = Reports {
            acknowledged: Mutex::new(sender),
            failed: Arc::clone(&failed),
            in_flight: Mutex::new(taken),
        };
        let producer = producer(broker, context);
        let stop = Arc::new(AtomicBool::new(false));
        let (topic, stopped) = (topic.name.clone(), Arc::clone(&stop));
        let thread = std::thread::spawn(move || send_all(&producer, &topic, shape, &place, &stopped));
        Load { reports, failed, stop, thread }
    }

    /// Takes the reports of `count` more acknowledged records.
    pub fn await_acknowledged(&self, count: usize, into: &mut Vec<Acknowledged>) {
        let deadline = Instant::now() + DEADLINE;
        for _ in 0..count {
            let left = deadline.saturating_duration_since(Instant::now());
            into.push(self.reports.recv_timeout(left).expect("acknowledgements go on after a restart"));
        }
    }

    /// Takes the reports that are there.
    pub fn take_acknowledged(&self, into: &mut Vec<Acknowledged>) {
        into.extend(self.reports.try_iter());
    }

    /// Stops the load and returns how many records were sent.
    pub fn finish(self, into: &mut Vec<Acknowledged>) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        let sent = self.thread.join().expect("the load");
        into.extend(self.reports.iter());
        assert_eq!(*self.failed.lock().expect("the reports"), Vec::<String>::new(), "no delivery failed");
        sent
    }
}

fn producer(broker: &Broker, context: Reports) -> ThreadedProducer<Reports> {
    ClientConfig::new()
        .set("bootstrap.servers", broker.bootstrap())
        .set("enable.idempotence", "true")
        .set("linger.ms", "1")
        .set("batch.num.messages", "10")
        .set("message.timeout.ms", "120000")
        .set("retry.backoff.ms", "20")
        .set("retry.backoff.max.ms", "100")
        .set("reconnect.backoff.ms", "20")
        .set("reconnect.backoff.max.ms", "100")
        .create_with_context(context)
        .expect("a producer")
}

/// Sends numbered records until told to stop, then flushes; how many there were.
fn send_all(
    producer: &ThreadedProducer<Reports>,
    topic: &str,
    shape: Shape,
    place: &SyncSender<()>,
    stopped: &AtomicBool,
) -> usize {
    let mut number = 0;
    while !stopped.load(Ordering::Relaxed) {
        place.send(()).expect("the producer holds the other end");
        let Sent { partition, key, value } = shape(number);
        let mut record = BaseRecord::<str, str, usize>::with_opaque_to(topic, number).partition(partition);
        record.key = key.as_deref();
        record.payload = value.as_deref();
        producer.send(record).map_err(|(error, _)| error).expect("room in the queue");
        number += 1;
    }
    producer.flush(DEADLINE).expect("all delivered in the end");
    number
}
