//! From an append to its commit: encoding, the PUT, the commit in the metadata store.
//!
//! On a local directory that is what a producer waits for, each fsync included; in memory, what our own
//! work costs. Bytes are those of record batches.

mod support;

use bytes::Bytes;
use cenote::config::JournalConfig;
use cenote::journal::{
    AppendRow, CommitTicket, CommittedObject, Journal, Outcome, Row, RowIndex, RowTransaction,
};
use cenote::limits::MemoryBudget;
use cenote::store::paths;
use cenote::types::{LeaderEpoch, Offset, PartitionIndex, TopicId, TopicPartition};
use cenote::wire::batch::BatchHeader;
use criterion::{BenchmarkId, Criterion, Throughput};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};
use support::batches::{KIB, MIB, batch};
use support::{Place, SESSION, Stores, permit};
use tokio::runtime::Runtime;
use uuid::Uuid;

/// As `cenote serve` has it for a local store.
const PACE: JournalConfig =
    JournalConfig { flush_interval: Duration::ZERO, flush_bytes: 8 * MIB, puts_in_flight: 4 };
const TOPIC: TopicId = TopicId(Uuid::from_u128(9));

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let runtime = Runtime::new().expect("threads");
    for (name, place) in [("directory", Place::Directory), ("memory", Place::Memory)] {
        one_producer(&mut criterion, &runtime, name, place);
        many_partitions(&mut criterion, &runtime, name, place);
    }
    criterion.final_summary();
}

/// One partition. With one batch in flight the time is that of a commit; with five, as Kafka's idempotent
/// producers have, it is that of a batch.
fn one_producer(criterion: &mut Criterion, runtime: &Runtime, name: &str, place: Place) {
    let mut group = criterion.benchmark_group(format!("journal/{name}/one producer"));
    for (size, bytes) in [("16 KiB", 16 * KIB), ("1 MiB", MIB)] {
        let batch = batch(bytes, KIB);
        group.throughput(Throughput::Bytes(batch.len() as u64));
        for in_flight in [1, 5] {
            let bench = Bench::start(runtime, place, &batch, 1);
            let id = BenchmarkId::new(size, format!("{in_flight} in flight"));
            group.bench_function(id, |bencher| {
                bencher.iter_custom(|rounds| runtime.block_on(bench.timed(rounds, in_flight)));
            });
        }
    }
    group.finish();
}

/// A batch for each of 1,000 partitions at once, 1 MiB in all: group commit, so few PUTs for all of them.
fn many_partitions(criterion: &mut Criterion, runtime: &Runtime, name: &str, place: Place) {
    let (batch, partitions) = (batch(KIB, 100), 1000_i32);
    let mut group = criterion.benchmark_group(format!("journal/{name}/1,000 partitions"));
    group.throughput(Throughput::Bytes(batch.len() as u64 * u64::from(partitions.unsigned_abs())));
    let bench = Bench::start(runtime, place, &batch, partitions);
    group.bench_function("1 KiB each", |bencher| {
        bencher.iter_custom(|rounds| runtime.block_on(bench.timed(rounds, 1)));
    });
    group.finish();
}

/// A journal that takes the same batch again and again, for each of its partitions.
struct Bench {
    journal: Journal,
    stores: Stores,
    batch: Bytes,
    header: BatchHeader,
    partitions: i32,
    budget: MemoryBudget,
    next_offset: Mutex<Offset>,
    /// Numbers of the objects that lie in the store.
    stored: Arc<Mutex<Vec<u64>>>,
}

impl Bench {
    fn start(runtime: &Runtime, place: Place, batch: &Bytes, partitions: i32) -> Bench {
        let stores = Stores::open(place);
        let stored = Arc::new(Mutex::new(Vec::new()));
        let committed = Arc::clone(&stored);
        let sink = Box::new(move |object: CommittedObject| committed.lock().push(object.id.seq));
        Bench {
            journal: stores.journal(runtime, PACE, sink),
            stores,
            batch: batch.clone(),
            header: BatchHeader::decode(batch).expect("a batch just built"),
            partitions,
            budget: MemoryBudget::new(64 * MIB),
            next_offset: Mutex::new(Offset::ZERO),
            stored,
        }
    }

    /// The time of so many rounds, each a batch for every partition, with so many rounds in flight.
    async fn timed(&self, rounds: u64, in_flight: usize) -> Duration {
        let started = Instant::now();
        let mut waiting = VecDeque::new();
        for _ in 0..rounds {
            waiting.push_back(self.append());
            if waiting.len() == in_flight {
                settle(waiting.pop_front()).await;
            }
        }
        while !waiting.is_empty() {
            settle(waiting.pop_front()).await;
        }
        let elapsed = started.elapsed();
        self.clear().await;
        elapsed
    }

    fn append(&self) -> Vec<CommitTicket> {
        let mut next_offset = self.next_offset.lock();
        let offsets = *next_offset..*next_offset + i64::from(self.header.record_count);
        *next_offset = offsets.end;
        (0..self.partitions).map(|partition| self.append_to(partition, offsets.clone())).collect()
    }

    fn append_to(&self, partition: i32, offsets: Range<Offset>) -> CommitTicket {
        let index = RowIndex {
            topic_partition: TopicPartition { topic_id: TOPIC, partition: PartitionIndex(partition) },
            offsets,
            leader_epoch: LeaderEpoch(1),
            max_timestamp: self.header.max_timestamp,
            producer_id: self.header.producer_id,
            producer_epoch: self.header.producer_epoch,
            base_sequence: self.header.base_sequence,
            attributes: self.header.attributes,
            transaction: RowTransaction::None,
        };
        let row = Row { index, batch: self.batch.clone() };
        let permit = permit(&self.budget, &self.batch);
        self.journal.append(AppendRow { row, permit }).expect("nobody seals the session")
    }

    /// Nobody reads what was written, and it would fill the machine.
    async fn clear(&self) {
        let stored = std::mem::take(&mut *self.stored.lock());
        for seq in stored {
            let deleted = self.stores.objects.delete(&paths::journal_object(SESSION, seq)).await;
            deleted.expect("the store is our own");
        }
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.journal.close();
    }
}

async fn settle(tickets: Option<Vec<CommitTicket>>) {
    for mut ticket in tickets.into_iter().flatten() {
        assert_eq!(ticket.settled().await, Outcome::Committed);
    }
}
