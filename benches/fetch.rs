//! Reads of 1 MiB, planned and read as a fetch has it: from memory, from the disk cache, and from the store.
//!
//! The store is a local directory, so "cold" is our cache alone: the pages may still be the system's. A store
//! in memory shows what is left without a file: the check of what came, and the cache. A read goes around a
//! ring of spans larger than the cache's memory, which leaves by age; so none is ever found there, and each is
//! found where the bench says. The cache's own counters prove it.

mod support;

use bytes::Bytes;
use cenote::cache::Cache;
use cenote::config::{CacheConfig, JournalConfig};
use cenote::journal::Journal;
use cenote::limits::MemoryBudget;
use cenote::log::{BrokerLog, FirstBatch, Incoming, IsolationLevel, Partition, ReadLimit, Reader};
use cenote::metrics::Metrics;
use cenote::types::{LeaderEpoch, Offset, PartitionIndex, Timestamp, TopicId, TopicPartition};
use cenote::wire::batch::BatchHeader;
use criterion::{Criterion, Throughput};
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use support::batches::{KIB, MIB, batch};
use support::{Place, Stores, directory, permit};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use uuid::Uuid;

const TOPIC: TopicId = TopicId(Uuid::from_u128(9));
/// Of a span, which is all that a read takes.
const BATCHES: usize = 64;
const SPANS: usize = 64;
const ALL_IN_MEMORY: CacheConfig = CacheConfig { memory_bytes: 256 * MIB, disk_bytes: 0 };
const ON_DISK: CacheConfig = CacheConfig { memory_bytes: 16 * MIB, disk_bytes: 512 * MIB };
const NOWHERE: CacheConfig = CacheConfig { memory_bytes: 16 * MIB, disk_bytes: 0 };

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let runtime = Runtime::new().expect("threads");
    read(&mut criterion, &runtime, "from memory", (ALL_IN_MEMORY, Place::Directory));
    read(&mut criterion, &runtime, "from the disk cache", (ON_DISK, Place::Directory));
    read(&mut criterion, &runtime, "from the store, a directory", (NOWHERE, Place::Directory));
    read(&mut criterion, &runtime, "from the store, in memory", (NOWHERE, Place::Memory));
    criterion.final_summary();
}

fn read(criterion: &mut Criterion, runtime: &Runtime, name: &str, (config, place): (CacheConfig, Place)) {
    let ring = Ring::fill(runtime, config, place);
    let mut group = criterion.benchmark_group("fetch/1 MiB");
    group.throughput(Throughput::Bytes(ring.span_bytes));
    let mut before = None;
    group.bench_function(name, |bencher| {
        before.get_or_insert_with(|| ring.found());
        bencher.to_async(runtime).iter(|| ring.read_next());
    });
    group.finish();
    // Nothing, when a filter on the command line left it out.
    if let Some(before) = before {
        let now = ring.found();
        let found = (now.in_memory > before.in_memory, now.in_store > before.in_store);
        assert_eq!(found, (config == ALL_IN_MEMORY, config == NOWHERE), "{name}: {before:?} to {now:?}");
    }
}

/// A partition of some spans, read one after the other, again and again.
struct Ring {
    partition: Arc<Partition>,
    reader: Reader,
    metrics: Arc<Metrics>,
    journal: Journal,
    span_offsets: i64,
    span_bytes: u64,
    next_span: AtomicI64,
    _stores: Stores,
    _cache_directory: TempDir,
}

/// How many reads found their span where. What is in neither was in the disk cache.
#[derive(Clone, Copy, Debug, Default)]
struct Found {
    in_memory: u64,
    in_store: u64,
}

impl Ring {
    fn fill(runtime: &Runtime, config: CacheConfig, place: Place) -> Ring {
        let (stores, cache_directory, metrics) = (Stores::open(place), directory(), Arc::default());
        let cache = Cache::open(config, cache_directory.path(), Arc::clone(&metrics));
        let cache = runtime.block_on(cache).expect("an empty directory");
        let reader = Reader::new(cache.clone(), stores.objects.clone());
        let log = Arc::new(BrokerLog::new(LeaderEpoch(1), cache));
        let first = TopicPartition { topic_id: TOPIC, partition: PartitionIndex(0) };
        let partition = Arc::new(Partition::new(first, LeaderEpoch(1)));
        log.on_gained(Arc::clone(&partition)).expect("it is new");

        let batch = batch(16 * KIB, KIB);
        let span_bytes = batch.len() * BATCHES;
        let pace = JournalConfig { flush_interval: NEVER, flush_bytes: span_bytes, puts_in_flight: 1 };
        let journal = stores.journal(runtime, pace, Box::new(move |object| log.on_committed(&object)));
        let ring = Ring {
            partition,
            reader,
            metrics,
            journal,
            span_offsets: i64::from(incoming(&batch).record_count) * BATCHES as i64,
            span_bytes: span_bytes as u64,
            next_span: AtomicI64::new(0),
            _stores: stores,
            _cache_directory: cache_directory,
        };
        runtime.block_on(ring.append_all(&batch));
        runtime.block_on(ring.settle(config));
        ring
    }

    /// An object is cut at the size of a span, so that each has exactly one.
    async fn append_all(&self, batch: &Bytes) {
        let budget = MemoryBudget::new(4 * MIB);
        for _ in 0..SPANS {
            let mut last = None;
            for _ in 0..BATCHES {
                let permit = permit(&budget, batch);
                let appended = self.partition.append(&self.journal, incoming(batch), &permit, Timestamp(0));
                last = Some(appended.expect("nobody seals the session"));
            }
            last.expect("a span has batches").ticket.settled().await;
        }
    }

    /// Reads until every span is where it will be found: the disk cache is filled beside what fills it.
    async fn settle(&self, config: CacheConfig) {
        for _ in 0..ROUNDS_MAX {
            let before = self.found().in_store;
            for _ in 0..SPANS {
                self.read_next().await;
            }
            if config.disk_bytes == 0 || self.found().in_store == before {
                return;
            }
        }
        panic!("the disk cache did not take the spans in");
    }

    async fn read_next(&self) {
        let span = self.next_span.fetch_add(1, Ordering::Relaxed) % SPANS as i64;
        let from = Offset(span * self.span_offsets);
        let plan = self
            .partition
            .read_plan(from, IsolationLevel::ReadUncommitted, self.span_bytes)
            .expect("the span is in the log");
        let limit = ReadLimit { bytes_max: self.span_bytes, first_batch: FirstBatch::WhateverItsSize };
        let read = self.reader.read(&plan, limit).await.expect("the span is in the store");
        assert_eq!(black_box(read).bytes, self.span_bytes);
    }

    fn found(&self) -> Found {
        Found { in_memory: self.metrics.cache.hits.get(), in_store: self.metrics.cache.misses.get() }
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        self.journal.close();
    }
}

const NEVER: Duration = Duration::from_secs(3600);
const ROUNDS_MAX: usize = 100;

fn incoming(batch: &Bytes) -> Incoming {
    let header = BatchHeader::decode(batch).expect("a batch just built");
    Incoming {
        batch: batch.clone(),
        record_count: header.record_count,
        max_timestamp: header.max_timestamp,
        identity: None,
        attributes: header.attributes,
    }
}
