//! Many who read one segment at once: all get on, and no chunk is decoded twice.

use super::super::archived::SegmentRef;
use super::super::read_plan::ReadPlan;
use super::super::reader::{FirstBatch, ReadLimit, Reader};
use super::super::segments::Segments;
use crate::cache::Cache;
use crate::config::CacheConfig;
use crate::metrics::Metrics;
use crate::segment::manifest::{Made, Segment};
use crate::segment::{SegmentOptions, SegmentWriter};
use crate::store::{ObjectStore, paths};
use crate::types::{LeaderEpoch, Offset, PartitionIndex, Timestamp, TopicId, TopicName, TopicPartition};
use crate::wire::batch::{BatchBuilder, BatchHeader, Codec, NO_PRODUCER};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use uuid::Uuid;

/// Two rows a chunk, 32 chunks a group: more groups than may be on their way at once.
const ROWS: i64 = 2_560;
const PAGE_ROWS: usize = 2;
const GROUP_CHUNKS: i64 = 32;
/// More than any reader takes from its start to where it waits.
const SETTLED_TURNS: usize = 1_000;

async fn segment(store: &ObjectStore) -> SegmentRef {
    let topic_partition =
        TopicPartition { topic_id: TopicId(Uuid::from_u128(1)), partition: PartitionIndex(0) };
    let mut builder = BatchBuilder::new();
    for row in 0..ROWS {
        builder.append(Timestamp(row), None, Some(b"a record"), &[]);
    }
    let options = SegmentOptions { page_rows: PAGE_ROWS, ..SegmentOptions::default() };
    let mut writer = SegmentWriter::new(topic_partition, options).expect("legal options");
    writer.append(&builder.finish(Codec::None, NO_PRODUCER)).expect("a right batch");
    let written = writer.finish(Offset(0)..Offset(ROWS)).expect("rows");
    let made = Made { unique: Uuid::from_u128(2), leader_epoch: LeaderEpoch(0), level: 0 };
    let segment = Segment::written(written.summary, made);
    let topic = TopicName::parse("a").expect("legal");
    let path = paths::segment(&topic, topic_partition, &segment.name());
    store.put(&path, written.bytes).await.expect("stored");
    SegmentRef { topic_partition, path, segment }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn readers_of_all_chunks_at_once_all_get_on_and_no_chunk_is_decoded_twice() {
    let (store, metrics) = (ObjectStore::in_memory(), Arc::new(Metrics::new()));
    let config = CacheConfig { memory_bytes: 64 << 20, disk_bytes: 0 };
    let cache = Cache::open(config, Path::new("unused"), Arc::clone(&metrics)).await.expect("opens");
    let wanted = segment(&store).await;
    let segments = Segments::new(cache, store);
    // From the end, so that chunks are asked for before those in front of them are read ahead of.
    let readers = (0..ROWS).rev().map(|offset| {
        let (segments, wanted) = (segments.clone(), wanted.clone());
        tokio::spawn(async move { segments.read(&wanted, Offset(offset)).await.map(|read| (offset, read)) })
    });
    let readers: Vec<_> = readers.collect();
    for reader in readers {
        let read =
            tokio::time::timeout(Duration::from_secs(60), reader).await.expect("nobody waits for ever");
        let (offset, read) = read.expect("no panic").expect("readable");
        let end = read.expect("every offset has a row").end.get();
        assert_eq!(end, offset - offset % PAGE_ROWS as i64 + PAGE_ROWS as i64);
    }
    let chunks = u64::try_from(ROWS).expect("positive") / PAGE_ROWS as u64;
    assert_eq!(metrics.cache.misses.get(), chunks, "each chunk was decoded once");
}

#[tokio::test]
async fn a_read_takes_chunks_up_to_its_limit_and_the_next_goes_on_there() {
    const BYTES_MAX: u64 = 1_000;
    let (store, metrics) = (ObjectStore::in_memory(), Arc::new(Metrics::new()));
    let config = CacheConfig { memory_bytes: 64 << 20, disk_bytes: 0 };
    let cache = Cache::open(config, Path::new("unused"), metrics).await.expect("opens");
    let wanted = segment(&store).await;
    let reader = Reader::new(cache, store);
    let (mut from, mut reads) = (Offset(0), 0);
    while from < Offset(ROWS) {
        let segments = vec![wanted.clone()];
        let (end, archived_to) = (Offset(ROWS), Offset(ROWS));
        let plan = ReadPlan { from, end, segments, archived_to, bytes: 1, ..ReadPlan::default() };
        let limit = ReadLimit { bytes_max: BYTES_MAX, first_batch: FirstBatch::WhateverItsSize };
        let read = reader.read(&plan, limit).await.expect("readable");
        assert!(read.bytes <= BYTES_MAX, "{}", read.bytes);
        for batch in &read.batches {
            let header = BatchHeader::decode(batch).expect("a batch");
            assert_eq!((header.base_offset, header.total_bytes()), (from, batch.len()));
            from = header.offsets().end;
        }
        assert_eq!(read.end, from);
        reads += 1;
    }
    assert!(reads * 5 < ROWS / PAGE_ROWS as i64, "{reads} reads");
}

/// The order in which it is needed: whoever has the only room reads a group, and finds that each of its other chunks is
/// asked for by one reader, who came before and waits for room.
#[tokio::test]
async fn who_reads_a_group_never_keeps_its_room_from_those_that_it_waits_for() {
    let (store, metrics) = (ObjectStore::in_memory(), Arc::new(Metrics::new()));
    let config = CacheConfig { memory_bytes: 64 << 20, disk_bytes: 0 };
    let cache = Cache::open(config, Path::new("unused"), metrics).await.expect("opens");
    let wanted = segment(&store).await;
    let groups = Arc::new(Semaphore::new(1));
    let segments = Segments::with_groups(cache, store, Arc::clone(&groups));
    let behind = segments.read(&wanted, Offset(ROWS)).await.expect("a footer, which is kept");
    assert!(behind.is_none(), "there is no chunk behind the last row");

    let room = groups.acquire().await.expect("nobody closes it");
    let chunks = (0..GROUP_CHUNKS).map(|chunk| {
        let (segments, wanted) = (segments.clone(), wanted.clone());
        let first = Offset(chunk * PAGE_ROWS as i64);
        tokio::spawn(async move { segments.read(&wanted, first).await })
    });
    let readers: Vec<_> = chunks.collect();
    // One thread, where whoever can go on does so at each of these: in the end all wait for room.
    for _ in 0..SETTLED_TURNS {
        tokio::task::yield_now().await;
    }
    assert!(readers.iter().all(|reader| !reader.is_finished()));
    drop(room);
    for reader in readers {
        let read =
            tokio::time::timeout(Duration::from_secs(20), reader).await.expect("nobody waits for ever");
        assert!(read.expect("no panic").expect("readable").is_some());
    }
}
