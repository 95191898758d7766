//! `cenote bench`: throughput and latency, through this program's own client.
//!
//! With a rate, latency counts from the moment a record was meant to be sent, so that a stall is seen by all
//! records that it held up (no coordinated omission).

mod report;

use super::error::CliError;
use super::options::{Common, Output, parse_acks, parse_codec, parse_duration, parse_size};
use super::stop::Stop;
use crate::client::{
    Acks, Admin, Assignment, Cluster, Consumer, ConsumerConfig, Delivery, NewRecord, NewTopic, Producer,
    ProducerConfig, StartAt, StopAt,
};
use crate::clock::random_id;
use crate::types::PartitionIndex;
use crate::wire::batch::Codec;
use clap::{Args, Subcommand};
use report::{Meter, Report};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

#[derive(Debug, Subcommand)]
pub(super) enum BenchCommand {
    /// Send records as fast as possible, or at a rate.
    Produce(BenchArgs),
    /// Fill a topic, then read it.
    Consume(BenchArgs),
    /// Measure the time from sending a record to reading it.
    EndToEnd(BenchArgs),
}

#[derive(Clone, Debug, Args)]
pub(super) struct BenchArgs {
    /// Use this topic, which stays, in place of one that is created and deleted.
    #[arg(long)]
    topic: Option<String>,
    /// Keep the topic that was created.
    #[arg(long)]
    keep: bool,
    /// Partitions of the topic that is created.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(i32).range(1..))]
    partitions: i32,
    /// How many records.
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    records: u64,
    /// Stop sending after this time.
    #[arg(long, value_parser = parse_duration, value_name = "DURATION")]
    duration: Option<Duration>,
    /// Bytes of a record's value.
    #[arg(long, default_value = "1KiB", value_parser = parse_size, value_name = "SIZE")]
    record_size: usize,
    /// Records a second, all producers together [default: no limit].
    #[arg(long, value_name = "N", conflicts_with = "rate_bytes")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    rate: Option<u64>,
    /// Bytes a second, all producers together, such as 10MiB [default: no limit].
    #[arg(long, value_parser = parse_size, value_name = "SIZE")]
    rate_bytes: Option<usize>,
    /// Producers, each with its own connection.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=1000))]
    producers: u64,
    /// How batches are compressed.
    #[arg(long, default_value = "none", value_parser = parse_codec, value_name = "none|gzip|snappy|lz4|zstd")]
    codec: Codec,
    /// What to wait for: all and 1 are the same, stored and committed; 0 is nothing.
    #[arg(long, default_value = "all", value_parser = parse_acks, value_name = "all|1|0")]
    acks: Acks,
    /// How long a batch waits for more records.
    #[arg(long, default_value = "5ms", value_parser = parse_duration, value_name = "DURATION")]
    linger: Duration,
    /// Size at which a batch is sent without waiting.
    #[arg(long, default_value = "256KiB", value_parser = parse_size, value_name = "SIZE")]
    batch_bytes: usize,
    #[command(flatten)]
    common: Common,
}

/// Records that wait to be read or answered, of one producer.
const WAITING_MAX: usize = 1 << 16;

pub(super) async fn run(command: BenchCommand) -> Result<(), CliError> {
    let (BenchCommand::Produce(args) | BenchCommand::Consume(args) | BenchCommand::EndToEnd(args)) = &command;
    let cluster = args.common.connect().await?;
    let admin = Admin::new(&cluster);
    let topic = match &args.topic {
        Some(topic) => topic.clone(),
        None => {
            let name = format!("cenote-bench-{}", random_id().simple());
            let topic = NewTopic { name, partitions: Some(args.partitions), ..NewTopic::default() };
            admin.create_topic(&topic).await?;
            topic.name
        }
    };
    let mut stop = Stop::listen()?;
    let outcome = tokio::select! {
        outcome = measure(&command, args, &cluster, &topic) => outcome,
        signal = stop.signalled() => Err(signal),
    };
    if args.topic.is_none() && !args.keep {
        admin.delete_topic(&topic).await?;
    }
    outcome?.print(args.common.output == Output::Json)
}

async fn measure(
    command: &BenchCommand,
    args: &BenchArgs,
    cluster: &Cluster,
    topic: &str,
) -> Result<Report, CliError> {
    match command {
        BenchCommand::Produce(_) => produce(args, topic, &Arc::new(Meter::new("produce"))).await,
        BenchCommand::Consume(_) => {
            if args.topic.is_none() {
                produce(args, topic, &Arc::new(Meter::new("fill"))).await?;
            }
            consume(args, cluster, topic).await
        }
        BenchCommand::EndToEnd(_) => end_to_end(args, cluster, topic).await,
    }
}

/// When each record is to be sent, and when to stop.
#[derive(Clone, Copy)]
struct Pace {
    start: Instant,
    interval: Option<Duration>,
    records: u64,
    end: Option<Instant>,
}

impl Pace {
    fn of(args: &BenchArgs, start: Instant) -> Pace {
        let bytes = args.rate_bytes.map(|bytes| bytes as f64 / args.record_size.max(1) as f64);
        let rate = args.rate.map(|rate| rate as f64).or(bytes).filter(|rate| *rate > 0.0);
        let interval = rate.map(|rate| Duration::from_secs_f64(args.producers as f64 / rate));
        let records = args.records.div_ceil(args.producers);
        Pace { start, interval, records, end: args.duration.map(|duration| start + duration) }
    }

    /// Waits for the turn of record `index`; the moment that latency counts from, `None` at the end.
    async fn turn(&self, index: u64) -> Option<Instant> {
        let intended = match self.interval {
            Some(interval) => self.start + interval.mul_f64(index as f64),
            None => Instant::now(),
        };
        if index >= self.records || self.end.is_some_and(|end| intended >= end) {
            return None;
        }
        if self.interval.is_some() && intended > Instant::now() {
            tokio::time::sleep_until(intended).await;
        }
        Some(intended)
    }
}

async fn produce(args: &BenchArgs, topic: &str, meter: &Arc<Meter>) -> Result<Report, CliError> {
    let start = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..args.producers {
        let (args, topic, meter) = (args.clone(), topic.to_owned(), Arc::clone(meter));
        tasks.spawn(async move { produce_one(&args, &topic, &meter, start).await });
    }
    let live = meter.show_each_second();
    while let Some(done) = tasks.join_next().await {
        done.map_err(|error| CliError::Failed(error.to_string()))??;
    }
    live.abort();
    Ok(meter.report(start.elapsed()))
}

async fn produce_one(
    args: &BenchArgs,
    topic: &str,
    meter: &Arc<Meter>,
    start: Instant,
) -> Result<(), CliError> {
    let producer = Producer::start(&args.common.connect().await?, producer_config(args)).await?;
    let (deliveries, mut waiting) = mpsc::channel::<(Instant, Delivery)>(WAITING_MAX);
    let (watched, bytes) = (Arc::clone(meter), args.record_size);
    let watcher = tokio::spawn(async move {
        while let Some((intended, delivery)) = waiting.recv().await {
            let delivered = delivery.wait().await?;
            watched.record(delivered.at.saturating_duration_since(intended), bytes);
        }
        Ok::<(), CliError>(())
    });
    let value = payload(args.record_size);
    let pace = Pace::of(args, start);
    let mut index = 0;
    while let Some(intended) = pace.turn(index).await {
        let delivery = producer.send(&NewRecord::of_value(topic, &value)).await?;
        if deliveries.send((intended, delivery)).await.is_err() {
            break;
        }
        index += 1;
    }
    drop(deliveries);
    producer.close().await?;
    watcher.await.map_err(|error| CliError::Failed(error.to_string()))?
}

async fn consume(args: &BenchArgs, cluster: &Cluster, topic: &str) -> Result<Report, CliError> {
    let meter = Arc::new(Meter::new("consume"));
    let start = Instant::now();
    let mut consumer = reader(cluster, topic, StartAt::Earliest, StopAt::End).await?;
    let live = meter.show_each_second();
    let mut asked = Instant::now();
    while let Some(batch) = consumer.next().await? {
        let waited = asked.elapsed();
        for record in batch.records()?.iter() {
            meter.record(waited, record?.value.map_or(0, <[u8]>::len));
        }
        asked = Instant::now();
    }
    live.abort();
    let _settings = args;
    Ok(meter.report(start.elapsed()))
}

async fn end_to_end(args: &BenchArgs, cluster: &Cluster, topic: &str) -> Result<Report, CliError> {
    let meter = Arc::new(Meter::new("end-to-end"));
    let mut consumer = reader(cluster, topic, StartAt::Latest, StopAt::Never).await?;
    let start = Instant::now();
    let (places, mut waiting) = mpsc::channel::<(Instant, Delivery)>(WAITING_MAX);
    let watched = Arc::clone(&meter);
    let bytes = args.record_size;
    let watcher = tokio::spawn(async move {
        let mut seen: HashMap<(PartitionIndex, i64), Instant> = HashMap::new();
        while let Some((intended, delivery)) = waiting.recv().await {
            let delivered = delivery.wait().await?;
            let place = (delivered.partition, delivered.offset.get());
            while !seen.contains_key(&place) {
                let Some(batch) = consumer.next().await? else { return Ok(()) };
                let now = Instant::now();
                for record in batch.records()?.iter() {
                    seen.insert((batch.partition, record?.offset.get()), now);
                }
            }
            let read = seen.remove(&place).expect("the loop ends when it is there");
            watched.record(read.saturating_duration_since(intended), bytes);
        }
        Ok::<(), CliError>(())
    });
    let live = meter.show_each_second();
    let producer = Producer::start(cluster, producer_config(args)).await?;
    let value = payload(args.record_size);
    let pace = Pace { records: args.records, ..Pace::of(&BenchArgs { producers: 1, ..args.clone() }, start) };
    let mut index = 0;
    while let Some(intended) = pace.turn(index).await {
        let delivery = producer.send(&NewRecord::of_value(topic, &value)).await?;
        if places.send((intended, delivery)).await.is_err() {
            break;
        }
        index += 1;
    }
    drop(places);
    producer.close().await?;
    watcher.await.map_err(|error| CliError::Failed(error.to_string()))??;
    live.abort();
    Ok(meter.report(start.elapsed()))
}

async fn reader(cluster: &Cluster, topic: &str, start: StartAt, stop: StopAt) -> Result<Consumer, CliError> {
    let assignment = Assignment { topic: topic.to_owned(), partitions: Vec::new(), start };
    Ok(Consumer::start(cluster, &[assignment], ConsumerConfig { stop, ..ConsumerConfig::default() }).await?)
}

fn producer_config(args: &BenchArgs) -> ProducerConfig {
    ProducerConfig {
        acks: args.acks,
        codec: args.codec,
        linger: args.linger,
        batch_bytes: args.batch_bytes,
        ..ProducerConfig::default()
    }
}

/// Bytes that compress about as text does: letters in an order without a pattern.
fn payload(bytes: usize) -> Vec<u8> {
    let mut chance: u32 = 0x2545_f491;
    let letter = |_| {
        chance ^= chance << 13;
        chance ^= chance >> 17;
        chance ^= chance << 5;
        b'a' + u8::try_from(chance % 26).expect("a letter")
    };
    (0..bytes).map(letter).collect()
}
