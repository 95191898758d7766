//! What readers get while records leave the journal: nothing skipped, nothing of what was aborted, nothing of what is
//! below the log start.

use super::archive::{delete_records, flush, partition, put};
use super::isolation::{self, end};
use super::versions::list_offsets;
use super::world::World;
use crate::log::{FirstBatch, IsolationLevel, ReadLimit};
use crate::types::{Offset, Verdict};

#[tokio::test]
async fn who_has_no_room_for_an_archived_batch_gets_nothing_and_not_what_lies_behind_it() {
    let world = World::new().await;
    let topic = world.create("a", 1).await;
    put(&world, &topic).await;
    flush(&world, &topic).await;
    put(&world, &topic).await;
    let log = partition(&world, &topic);
    let plan = log.read_plan(Offset(0), IsolationLevel::ReadUncommitted, 1 << 20).expect("in range");
    assert!(!plan.segments.is_empty() && !plan.spans.is_empty());
    for bytes_max in [0, 1, 60] {
        let limit = ReadLimit { bytes_max, first_batch: FirstBatch::WithinLimit };
        let read = world.context.reader.read(&plan, limit).await.expect("read");
        assert_eq!((read.bytes, read.end), (0, Offset(0)), "{bytes_max}");
    }
}

#[tokio::test]
async fn a_plan_that_was_made_before_records_were_archived_still_knows_what_was_aborted() {
    let (world, topic, log) = isolation::world().await;
    end(&world, &log, Verdict::Abort).await;
    let plan = log.read_plan(Offset(0), IsolationLevel::ReadCommitted, 1 << 20).expect("in range");
    flush(&world, &topic).await;
    put(&world, &topic).await;
    let limit = ReadLimit { bytes_max: 1 << 20, first_batch: FirstBatch::WhateverItsSize };
    let read = world.context.reader.read(&plan, limit).await.expect("the journal objects stay for a while");
    let aborted: Vec<_> = read.aborted.iter().map(|aborted| aborted.first_offset.get()).collect();
    assert_eq!(aborted, [3]);
}

#[tokio::test]
async fn what_is_below_the_log_start_counts_and_is_found_no_more_though_the_journal_has_it() {
    let world = World::new().await;
    let topic = world.create("a", 1).await;
    let log = partition(&world, &topic);
    let mut sizes = vec![log.bytes()];
    for _ in 0..5 {
        put(&world, &topic).await;
        sizes.push(log.bytes());
    }
    // Into the fourth of five batches of three records.
    assert_eq!(delete_records(&world, 2, 10).await.low_watermark, 10);
    assert_eq!(log.bytes(), sizes[5] - sizes[3]);
    for archived in [false, true] {
        if archived {
            flush(&world, &topic).await;
        }
        for (timestamp, offset) in [(0, 10), (-2, 10), (-3, 10)] {
            let response = world.ask(7, &list_offsets(&topic, timestamp)).await;
            assert_eq!(response.topics[0].partitions[0].offset, offset, "{timestamp}, archived: {archived}");
        }
    }
}
