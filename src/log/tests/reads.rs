//! Reads of what has moved since they were planned, and of a store that is slow.

use super::super::archived::SegmentRef;
use super::super::index::IndexEntry;
use super::super::{BrokerLog, FirstBatch, IsolationLevel, ReadError, ReadLimit, ReadPlan, Reader};
use super::partition::{TOPIC, bytes, cache, partition};
use crate::journal::{
    ObjectId, ObjectName, PUT_MILLIONTHS, RecoveredObject, Row, RowIndex, RowTransaction, decode_index,
    encode,
};
use crate::segment::manifest::{Made, Segment};
use crate::segment::{SegmentOptions, SegmentWriter};
use crate::store::{ObjectStore, paths};
use crate::types::{
    LeaderEpoch, MergeNumber, Offset, ProducerEpoch, ProducerId, SessionId, Timestamp, TopicName, ViewNumber,
};
use crate::wire::batch::{BatchBuilder, Codec, NO_PRODUCER};
use object_store::memory::InMemory;
use object_store::throttle::{ThrottleConfig, ThrottledStore};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

const SESSION: SessionId = SessionId(Uuid::from_u128(1));
const ALL: IsolationLevel = IsolationLevel::ReadUncommitted;
const LIMIT: ReadLimit = ReadLimit { bytes_max: 1 << 20, first_batch: FirstBatch::WhateverItsSize };

fn row() -> Row {
    let index = RowIndex {
        topic_partition: partition(0),
        offsets: Offset(0)..Offset(2),
        leader_epoch: LeaderEpoch(1),
        max_timestamp: Timestamp(0),
        producer_id: ProducerId(-1),
        producer_epoch: ProducerEpoch(-1),
        base_sequence: -1,
        attributes: 0,
        transaction: RowTransaction::None,
    };
    Row { index, batch: bytes(2) }
}

#[tokio::test]
async fn what_has_moved_since_a_read_was_planned_is_found_where_it_lies_now() {
    let (store, log) = (ObjectStore::in_memory(), BrokerLog::new(LeaderEpoch(9), cache().await));
    log.ensure(TOPIC, 1);
    let id = ObjectId { session: SESSION, seq: 1 };
    let object = encode(id, vec![row()]);
    store.put(&ObjectName::from(id).path(), object.bytes.clone()).await.expect("in memory");
    let index = decode_index(id, &object.bytes).expect("just encoded");
    let recovered = RecoveredObject {
        name: id.into(),
        index,
        bytes: object.bytes.len() as u64,
        puts: PUT_MILLIONTHS,
        is_told: false,
    };
    log.recover(&[recovered], Timestamp(0)).expect("no hole");
    let led = log.partition(partition(0)).expect("ensured");
    let plan = led.read_plan(Offset(0), ALL, 1 << 20).expect("in range");

    let merged = ObjectName::merged(SESSION, MergeNumber { view: ViewNumber(2), attempt: 0 });
    let object = encode(merged, vec![row()]);
    store.put(&merged.path(), object.bytes).await.expect("in memory");
    let new: Vec<IndexEntry> = object.spans.iter().map(|span| IndexEntry::new(merged, span)).collect();
    led.on_merged(&plan.spans, &new);
    store.delete(&ObjectName::from(id).path()).await.expect("in memory");

    let reader = || async { Reader::new(cache().await, store.clone()) };
    let missing = reader().await.read(&plan, LIMIT).await.expect_err("the plan is old");
    assert!(matches!(missing, ReadError::Missing(_)), "{missing}");
    let read = reader().await.read_or_plan_again(&led, ALL, &plan, LIMIT).await;
    let read = read.expect("planned again").expect("in the log");
    assert_eq!((read.end, read.bytes), (Offset(2), plan.bytes));

    store.delete(&merged.path()).await.expect("in memory");
    let missing = reader().await.read_or_plan_again(&led, ALL, &plan, LIMIT).await;
    let missing = missing.expect_err("what the log names is gone");
    assert!(matches!(missing, ReadError::Missing(_)), "never an empty answer: {missing}");
}

async fn segment(store: &ObjectStore) -> SegmentRef {
    let mut builder = BatchBuilder::new();
    builder.append(Timestamp(0), None, Some(b"a record"), &[]);
    let mut writer = SegmentWriter::new(partition(0), SegmentOptions::default()).expect("legal options");
    writer.append(&builder.finish(Codec::None, NO_PRODUCER)).expect("a right batch");
    let written = writer.finish(Offset(0)..Offset(1)).expect("a row");
    let made = Made { unique: Uuid::from_u128(2), leader_epoch: LeaderEpoch(0), level: 0 };
    let segment = Segment::written(written.summary, made);
    let path = paths::segment(&TopicName::parse("a").expect("legal"), partition(0), &segment.name());
    store.put(&path, written.bytes).await.expect("stored");
    SegmentRef { topic_partition: partition(0), path, segment }
}

/// Each answer comes within the store's own limit; all of them together do not.
#[tokio::test(start_paused = true)]
async fn a_reader_waits_for_all_that_it_reads_of_segments_as_long_as_for_a_span() {
    let config = ThrottleConfig { wait_get_per_call: Duration::from_secs(9), ..ThrottleConfig::default() };
    let slow = ThrottledStore::new(InMemory::new(), config);
    let store = ObjectStore::with_backend(Arc::new(slow), "slow:");
    let wanted = segment(&store).await;
    let reader = Reader::new(cache().await, store);
    let segments = vec![wanted];
    let plan = ReadPlan { end: Offset(1), segments, archived_to: Offset(1), bytes: 1, ..ReadPlan::default() };
    let begun = tokio::time::Instant::now();
    let late = reader.read(&plan, LIMIT).await.expect_err("the footer and the rows take 18 seconds");
    assert!(matches!(late, ReadError::Unavailable(_)), "{late}");
    assert_eq!(begun.elapsed().as_secs(), 15);
    let read = reader.read(&plan, LIMIT).await.expect("the footer is known");
    assert_eq!(read.end, Offset(1));
}
