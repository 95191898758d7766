//! Consume, transform, produce in transactions, under `kill -9` of the broker and of the worker: the output holds
//! every input exactly once.
//!
//! The worker is a process of its own: this test binary, started again with the test `worker` alone.

use crate::support::Broker;
use crate::support::requests::Topic;
use crate::transactions::{
    COMMITTED, DEADLINE, TransactionalProducer, UNCOMMITTED, producer_of, read_to_end, reader_of,
};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::Message;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use std::cell::Cell;
use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

const KILLS: usize = 50;
pub const PARTITIONS: i32 = 2;
/// Records of one transaction at most.
const BATCH_MAX: usize = 5;
/// The worker changes its mind so often: the output has records that nobody may see.
const ABORTS_EVERY: usize = 4;
/// Fed before each kill.
const FED_BETWEEN_KILLS: usize = 6;
/// Seen between two kills, so that each meets traffic.
const SEEN_BETWEEN_KILLS: usize = 6;
/// Longer than a broker is away.
const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(30);
/// A worker that has got no further for so long hangs. librdkafka from 2.10 on does where the group's coordinator is no longer
/// among the brokers that it is told of: it waits for a connection that it has given up (its issue 5511).
const STUCK: Duration = Duration::from_secs(15);
const BOOTSTRAP: &str = "IT_WORKER_BOOTSTRAP";
const INPUT: &str = "IT_WORKER_INPUT";
const OUTPUT: &str = "IT_WORKER_OUTPUT";
const TRANSACTIONAL_ID: &str = "worker";

/// What a worker does until it is killed, or cannot go on. It lives no longer than whoever started it; among the other
/// tests it has nothing to do.
#[test]
fn worker() {
    let Ok(bootstrap) = std::env::var(BOOTSTRAP) else { return };
    let (input, output) = (std::env::var(INPUT).expect("a topic"), std::env::var(OUTPUT).expect("a topic"));
    std::thread::spawn(|| {
        let _ended = std::io::stdin().read(&mut [0]);
        std::process::exit(0);
    });
    let chain = Chain::start(&bootstrap, &input, output);
    loop {
        match chain.step() {
            Ok(()) => {}
            Err(KafkaError::Transaction(error)) if error.txn_requires_abort() => {
                chain.abort().expect("aborted, and back to what is committed");
            }
            Err(error) => panic!("cannot go on: {error}"),
        }
    }
}

struct Chain {
    consumer: BaseConsumer,
    producer: TransactionalProducer,
    output: String,
    transactions: Cell<usize>,
}

impl Chain {
    fn start(bootstrap: &str, input: &str, output: String) -> Chain {
        let producer = producer_of(bootstrap, TRANSACTIONAL_ID, TRANSACTION_TIMEOUT);
        until_done(|| producer.init_transactions(DEADLINE)).expect("who it is");
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", bootstrap)
            .set("group.id", "chain")
            // Who comes again under this name goes on at once.
            .set("group.instance.id", "the-worker")
            .set("session.timeout.ms", "6000")
            .set("heartbeat.interval.ms", "200")
            .set("enable.auto.commit", "false")
            .set("auto.offset.reset", "earliest")
            .set("isolation.level", COMMITTED)
            .set("fetch.wait.max.ms", "20")
            .set("retry.backoff.ms", "20")
            .set("reconnect.backoff.ms", "20")
            .set("reconnect.backoff.max.ms", "100")
            .create()
            .expect("a consumer");
        consumer.subscribe(&[input]).expect("subscribed");
        Chain { consumer, producer, output, transactions: Cell::new(0) }
    }

    /// One transaction, if there is any input.
    fn step(&self) -> KafkaResult<()> {
        let mut next = TopicPartitionList::new();
        let mut records = Vec::new();
        while records.len() < BATCH_MAX {
            let patience = if records.is_empty() { Duration::from_millis(100) } else { Duration::ZERO };
            let Some(message) = self.consumer.poll(patience) else { break };
            // While the broker is away there are errors, after which the consumer goes on by itself.
            let Ok(message) = message else { continue };
            let (topic, partition) = (message.topic(), message.partition());
            let offset = Offset::Offset(message.offset() + 1);
            match next.find_partition(topic, partition) {
                Some(mut known) => known.set_offset(offset)?,
                None => next.add_partition_offset(topic, partition, offset)?,
            }
            records.push((partition, message.payload().unwrap_or_default().to_vec()));
        }
        if records.is_empty() { Ok(()) } else { self.transact(&records, &next) }
    }

    fn transact(&self, records: &[(i32, Vec<u8>)], next: &TopicPartitionList) -> KafkaResult<()> {
        self.producer.begin_transaction()?;
        for (partition, value) in records {
            let record = BaseRecord::<(), [u8]>::to(&self.output).partition(*partition).payload(value);
            self.producer.send(record).map_err(|(error, _)| error)?;
        }
        let group = self.consumer.group_metadata().expect("a member");
        until_done(|| self.producer.send_offsets_to_transaction(next, &group, DEADLINE))?;
        self.transactions.update(|count| count + 1);
        if self.transactions.get().is_multiple_of(ABORTS_EVERY) {
            return self.abort();
        }
        until_done(|| self.producer.commit_transaction(DEADLINE))
    }

    /// Drops what is open, and goes back to what is committed.
    fn abort(&self) -> KafkaResult<()> {
        until_done(|| self.producer.abort_transaction(DEADLINE))?;
        let mut committed = self.consumer.committed_offsets(self.consumer.assignment()?, DEADLINE)?;
        let places: Vec<_> = committed
            .elements()
            .iter()
            .map(|one| (one.topic().to_owned(), one.partition(), one.offset()))
            .collect();
        for (topic, partition, _) in places.iter().filter(|(_, _, offset)| *offset == Offset::Invalid) {
            committed.set_partition_offset(topic, *partition, Offset::Beginning)?;
        }
        self.consumer.seek_partitions(committed, DEADLINE).map(|_| ())
    }
}

/// What can be tried again is.
fn until_done(mut act: impl FnMut() -> KafkaResult<()>) -> KafkaResult<()> {
    let deadline = Instant::now() + DEADLINE;
    loop {
        match act() {
            Err(KafkaError::Transaction(error)) if error.is_retriable() && Instant::now() < deadline => {}
            outcome => return outcome,
        }
    }
}

/// The worker's process, killed with -9 when dropped.
pub struct Worker {
    process: Child,
    /// Ends of its own accord, because it could not go on.
    pub ends: usize,
    /// Ends that a supervisor made of it, as it did nothing for so long.
    pub stuck: usize,
    bootstrap: String,
    topics: [String; 2],
}

impl Worker {
    /// Starts it; the bootstrap names one broker or several.
    pub fn start(bootstrap: String, input: &Topic, output: &Topic) -> Worker {
        let topics = [input.name.clone(), output.name.clone()];
        Worker { process: spawn(&bootstrap, &topics), ends: 0, stuck: 0, bootstrap, topics }
    }

    pub fn kill(&mut self) {
        self.process.kill().expect("kill -9");
        self.process.wait().expect("the killed worker's status");
    }

    pub fn start_again(&mut self) {
        self.process = spawn(&self.bootstrap, &self.topics);
    }

    /// What whoever supervises such workers does when one of them hangs.
    fn end_it_as_stuck(&mut self) {
        self.stuck += 1;
        self.kill();
        self.start_again();
    }

    fn see_that_it_runs(&mut self) {
        if self.process.try_wait().expect("the worker's status").is_some() {
            self.ends += 1;
            self.start_again();
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn spawn(bootstrap: &str, [input, output]: &[String; 2]) -> Child {
    Command::new(std::env::current_exe().expect("this test binary"))
        .args(["exactly_once::worker", "--exact", "--nocapture"])
        .env(BOOTSTRAP, bootstrap)
        .env(INPUT, input)
        .env(OUTPUT, output)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("a process of this test binary")
}

/// Numbered records into the input, as an idempotent producer sends them.
pub struct Feed {
    producer: ThreadedProducer<DefaultProducerContext>,
    topic: String,
    pub fed: usize,
}

impl Feed {
    pub fn start(bootstrap: &str, topic: &Topic) -> Feed {
        let producer = ClientConfig::new()
            .set("bootstrap.servers", bootstrap)
            .set("enable.idempotence", "true")
            .set("linger.ms", "1")
            .set("message.timeout.ms", "120000")
            .set("retry.backoff.ms", "20")
            .set("reconnect.backoff.ms", "20")
            .set("reconnect.backoff.max.ms", "100")
            .create()
            .expect("a producer");
        Feed { producer, topic: topic.name.clone(), fed: 0 }
    }

    pub fn feed(&mut self, count: usize) {
        for number in self.fed..self.fed + count {
            let value = number.to_string();
            let partition = i32::try_from(number).expect("small") % PARTITIONS;
            let record = BaseRecord::<(), str>::to(&self.topic).partition(partition).payload(&value);
            self.producer.send(record).map_err(|(error, _)| error).expect("room in the queue");
        }
        self.fed += count;
    }
}

/// What a reader of committed records sees of the output while all this goes on.
pub struct Watch {
    seen: Receiver<String>,
    pub count: usize,
    stop: Arc<AtomicBool>,
}

impl Watch {
    pub fn start(bootstrap: &str, topic: &Topic) -> Watch {
        let reader = reader_of(bootstrap, &topic.name, PARTITIONS, COMMITTED);
        let (sender, seen) = channel();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                if let Some(Ok(message)) = reader.poll(Duration::from_millis(50)) {
                    let value = String::from_utf8(message.payload().unwrap_or_default().to_vec());
                    let _ = sender.send(value.expect("a text"));
                }
            }
        });
        Watch { seen, count: 0, stop }
    }

    /// Waits until so many were seen in all; a worker that has ended is started again, and so is one that hangs.
    pub fn await_count(&mut self, count: usize, worker: &mut Worker) {
        let deadline = Instant::now() + DEADLINE;
        let mut stuck_at = Instant::now() + STUCK;
        while self.count < count {
            assert!(Instant::now() < deadline, "{} of {count} within {DEADLINE:?}", self.count);
            match self.seen.recv_timeout(Duration::from_millis(200)) {
                Ok(_) => {
                    self.count += 1;
                    stuck_at = Instant::now() + STUCK;
                }
                Err(_) if Instant::now() > stuck_at => {
                    worker.end_it_as_stuck();
                    stuck_at = Instant::now() + STUCK;
                }
                Err(_) => worker.see_that_it_runs(),
            }
        }
    }

    /// Lets some time go, so that kills come at all stages of a transaction.
    pub fn linger(&mut self, time: Duration) {
        let deadline = Instant::now() + time;
        while self.seen.recv_timeout(deadline.saturating_duration_since(Instant::now())).is_ok() {
            self.count += 1;
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

#[test]
fn fifty_kills_lose_nothing_and_double_nothing() {
    let mut broker = Broker::options().arguments(&["--group-initial-rebalance-delay", "0ms"]).start();
    let mut client = broker.connect();
    let input = client.create_topic_with("input", PARTITIONS, &[]);
    let output = client.create_topic_with("output", PARTITIONS, &[]);
    let mut feed = Feed::start(&broker.bootstrap(), &input);
    let mut worker = Worker::start(broker.bootstrap(), &input, &output);
    let mut watch = Watch::start(&broker.bootstrap(), &output);
    for round in 0..KILLS {
        feed.feed(FED_BETWEEN_KILLS);
        let wanted = watch.count + SEEN_BETWEEN_KILLS;
        watch.await_count(wanted, &mut worker);
        feed.feed(BATCH_MAX);
        watch.linger(Duration::from_millis(u64::try_from(round * 7 % 41).expect("small")));
        match round % 5 {
            0 | 2 => broker.kill_and_restart(),
            1 | 3 => {
                worker.kill();
                worker.start_again();
            }
            _ => {
                worker.kill();
                broker.kill_and_restart();
                worker.start_again();
            }
        }
    }
    watch.await_count(feed.fed, &mut worker);
    worker.kill();
    check_exactly_once(&broker, &input, &output, feed.fed);
    let all: usize = read_to_end(&broker, &output, PARTITIONS, UNCOMMITTED).iter().map(Vec::len).sum();
    assert!(all > feed.fed, "aborted records are in the log as well");
    broker.kill_and_restart();
    check_exactly_once(&broker, &input, &output, feed.fed);
    assert_eq!(worker.stuck, 0, "the broker that comes back is the one that it was");
    assert!(worker.ends <= KILLS / 10, "the worker gave up {} times", worker.ends);
}

/// The output is the input, partition by partition, in order.
pub fn check_exactly_once(broker: &Broker, input: &Topic, output: &Topic, fed: usize) {
    // Whatever is open is ended first: nothing may hide behind it.
    let heir = producer_of(&broker.bootstrap(), TRANSACTIONAL_ID, TRANSACTION_TIMEOUT);
    heir.init_transactions(DEADLINE).expect("who it is");
    let expected = read_to_end(broker, input, PARTITIONS, COMMITTED);
    assert_eq!(expected.iter().map(Vec::len).sum::<usize>(), fed, "the input is whole");
    assert_eq!(read_to_end(broker, output, PARTITIONS, COMMITTED), expected);
}
