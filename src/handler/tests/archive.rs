//! What clients see of records that have left the journal: the same as before.

use super::isolation::{self, end};
use super::versions::{fetch, list_offsets, produce};
use super::world::{NOW, World, answered, code, decode, topic_name};
use crate::archive::{self, WaitsFor};
use crate::log::Partition;
use crate::store::paths;
use crate::topic::Topic;
use crate::types::{Offset, PartitionIndex, TopicPartition, Verdict};
use crate::wire::ErrorCode;
use crate::wire::batch::{BatchBuilder, BatchHeader, Codec, DecodedBatch, ProducerStamp, split};
use crate::wire::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use crate::wire::messages::delete_records_response::DeleteRecordsPartitionResult;
use crate::wire::messages::fetch_response::PartitionData;
use crate::wire::messages::produce_request::{PartitionProduceData, TopicProduceData};
use crate::wire::messages::{DeleteRecordsRequest, FetchResponse, ProduceRequest};
use futures_util::TryStreamExt;
use std::sync::Arc;

const BY_NAME: i16 = 12;

pub(super) async fn put(world: &World, topic: &Topic) {
    let response = world.ask(BY_NAME, &produce(topic, BY_NAME, -1)).await;
    assert_eq!(code(response.responses[0].partition_responses[0].error_code), None);
}

pub(super) async fn flush(world: &World, topic: &Topic) {
    let partition = TopicPartition { topic_id: topic.id, partition: PartitionIndex(0) };
    world.context.archive.flush(vec![partition]).await.expect("archived");
}

pub(super) fn partition(world: &World, topic: &Topic) -> Arc<Partition> {
    world.context.partition(topic, 0).expect("there")
}

pub(super) async fn read(world: &World, topic: &Topic, offset: i64) -> PartitionData {
    let admitted = world.admit(BY_NAME, &fetch(topic, BY_NAME, offset)).await;
    let response: FetchResponse = decode(answered(admitted).await, BY_NAME);
    response.responses[0].partitions[0].clone()
}

/// The offsets of the records of an answer, and where a reader goes on.
pub(super) fn offsets(data: &PartitionData) -> (Vec<i64>, Option<i64>) {
    assert_eq!(code(data.error_code), None);
    let mut found = Vec::new();
    let mut next = None;
    for batch in split(data.records.clone().unwrap_or_default()) {
        let (header, bytes) = batch.expect("whole");
        next = Some(header.offsets().end.get());
        let decoded = DecodedBatch::decode(&bytes, 1 << 20).expect("right");
        found.extend(decoded.records().map(|record| record.expect("right").offset.get()));
    }
    (found, next)
}

/// All records from the log's start, as a consumer that goes on reads them.
pub(super) async fn read_all(world: &World, topic: &Topic) -> Vec<i64> {
    let (mut at, mut all) = (partition(world, topic).ends().log_start_offset.get(), Vec::new());
    loop {
        let (found, next) = offsets(&read(world, topic, at).await);
        all.extend(found.into_iter().filter(|offset| *offset >= at));
        match next {
            Some(next) => at = next,
            None => return all,
        }
    }
}

pub(super) async fn objects(world: &World, what: &str) -> usize {
    let listed: Vec<_> = world.store.list(None).try_collect().await.expect("listed");
    listed.iter().filter(|object| object.path.as_str().starts_with(what)).count()
}

#[tokio::test]
async fn what_is_archived_is_read_as_before_from_every_offset_and_after_a_restart() {
    let mut world = World::new().await;
    let topic = world.create("a", 1).await;
    for _ in 0..3 {
        put(&world, &topic).await;
    }
    flush(&world, &topic).await;
    put(&world, &topic).await;
    assert_eq!(objects(&world, "topics/").await, 1);
    assert_eq!(read_all(&world, &topic).await, (0..12).collect::<Vec<_>>());
    world.take_over().await;
    assert_eq!(read_all(&world, &topic).await, (0..12).collect::<Vec<_>>());
    for offset in 0..12 {
        let (found, _) = offsets(&read(&world, &topic, offset).await);
        assert!(found.contains(&offset), "{offset}: {found:?}");
    }
    put(&world, &topic).await;
    flush(&world, &topic).await;
    assert_eq!(read_all(&world, &topic).await, (0..15).collect::<Vec<_>>());
    assert_eq!(objects(&world, "topics/").await, 2);
    let response = read(&world, &topic, 15).await;
    assert_eq!((response.high_watermark, offsets(&response)), (15, (vec![], None)));
}

/// What operators are told that the partition waits for.
fn waits_for(world: &World, topic: &Topic) -> Option<WaitsFor> {
    let context = &world.context;
    let partition = partition(world, topic);
    archive::waits_for(&context.config.archive, &topic.settings, context.log.needs(), &partition)
}

#[tokio::test]
async fn it_is_told_what_a_partition_waits_for() {
    let world = World::new().await;
    let topic = world.create("a", 1).await;
    assert_eq!(waits_for(&world, &topic), None, "there is nothing");
    put(&world, &topic).await;
    // Alone in an object it has paid for one PUT, and a segment costs two.
    let waiting = waits_for(&world, &topic);
    assert!(matches!(waiting, Some(WaitsFor::ShareOfPuts { paid_percent: 50, .. })), "{waiting:?}");
    put(&world, &topic).await;
    let waiting = waits_for(&world, &topic);
    assert!(matches!(waiting, Some(WaitsFor::SizeOrAge { .. })), "{waiting:?}");
    flush(&world, &topic).await;
    assert_eq!(waits_for(&world, &topic), None, "all is in a segment");

    let (world, topic, _) = isolation::world().await;
    flush(&world, &topic).await;
    assert_eq!(waits_for(&world, &topic), Some(WaitsFor::OpenTransaction));
}

#[tokio::test]
async fn offsets_are_found_by_time_in_segments_and_behind_them() {
    let world = World::new().await;
    let topic = world.create("a", 1).await;
    put(&world, &topic).await;
    flush(&world, &topic).await;
    for (timestamp, offset) in [(NOW.0, 0), (NOW.0 - 1, 0), (NOW.0 + 1, -1), (-1, 3), (-2, 0), (-3, 0)] {
        let response = world.ask(7, &list_offsets(&topic, timestamp)).await;
        let found = &response.topics[0].partitions[0];
        assert_eq!((code(found.error_code), found.offset), (None, offset), "{timestamp}");
    }
}

pub(super) fn stamped(base_sequence: i32) -> ProduceRequest {
    let mut builder = BatchBuilder::new();
    builder.append(NOW, None, Some(b"once"), &[]);
    let stamp = ProducerStamp {
        producer_id: crate::types::ProducerId(5),
        producer_epoch: crate::types::ProducerEpoch(0),
        base_sequence,
        transactional: false,
    };
    let data = PartitionProduceData::default().with_records(Some(builder.finish(Codec::None, stamp)));
    let of_topic = TopicProduceData::default().with_name(topic_name("a")).with_partition_data(vec![data]);
    ProduceRequest::default().with_transactional_id(None).with_acks(-1).with_topic_data(vec![of_topic])
}

#[tokio::test]
async fn a_batch_that_was_archived_is_recognised_when_it_comes_again_after_a_restart() {
    let mut world = World::new().await;
    let topic = world.create("a", 1).await;
    for sequence in 0..3 {
        world.ask(BY_NAME, &stamped(sequence)).await;
    }
    let log = partition(&world, &topic);
    let early = log.checkpoint_at(Offset(1)).producers(NOW);
    assert_ne!(log.checkpoint_at(Offset(3)).producers(NOW), early);
    assert_eq!(
        log.checkpoint_at(Offset(1)).producers(NOW),
        early,
        "an archive that came to nothing leaves no trace"
    );
    flush(&world, &topic).await;
    world.ask(BY_NAME, &stamped(3)).await;
    world.take_over().await;
    for (sequence, expected) in
        [(1, Ok(1)), (3, Ok(3)), (5, Err(ErrorCode::OutOfOrderSequenceNumber)), (4, Ok(4))]
    {
        let response = world.ask(BY_NAME, &stamped(sequence)).await;
        let answer = &response.responses[0].partition_responses[0];
        let outcome = code(answer.error_code).map_or(Ok(answer.base_offset), Err);
        assert_eq!(outcome, expected, "{sequence}");
    }
    assert_eq!(read_all(&world, &topic).await, [0, 1, 2, 3, 4]);
}

#[tokio::test]
async fn aborted_records_and_markers_stay_behind_and_nothing_above_an_open_transaction_goes() {
    for (verdict, expected) in [(Verdict::Commit, vec![0, 1, 2, 3, 4]), (Verdict::Abort, vec![0, 1, 2])] {
        let (mut world, topic, log) = isolation::world().await;
        flush(&world, &topic).await;
        let archived = log.archived().expect("the plain records are").manifest.archived_offset();
        assert_eq!(archived.get(), 3, "the transaction is open");
        end(&world, &log, verdict).await;
        flush(&world, &topic).await;
        world.take_over().await;
        let log = partition(&world, &topic);
        assert_eq!(log.archived().expect("all").manifest.archived_offset(), log.ends().high_watermark);
        assert_eq!(read_all(&world, &topic).await, expected);
        let data = read(&world, &topic, 3).await;
        assert_eq!(data.aborted_transactions.clone().unwrap_or_default().len(), 0);
        let next = offsets(&data).1.expect("a reader goes on, whether there are records or not");
        assert_eq!(next, log.ends().high_watermark.get());
    }
}

pub(super) async fn delete_records(world: &World, version: i16, offset: i64) -> DeleteRecordsPartitionResult {
    let wanted = DeleteRecordsPartition::default().with_offset(offset);
    let of_topic = DeleteRecordsTopic::default().with_name(topic_name("a")).with_partitions(vec![wanted]);
    let request = DeleteRecordsRequest::default().with_topics(vec![of_topic]);
    world.ask(version, &request).await.topics[0].partitions[0].clone()
}

#[tokio::test]
async fn records_are_deleted_in_segments_and_in_the_journal_for_good() {
    let mut world = World::new().await;
    let topic = world.create("a", 1).await;
    put(&world, &topic).await;
    put(&world, &topic).await;
    flush(&world, &topic).await;
    put(&world, &topic).await;
    for (offset, expected) in [(4, Ok(4)), (2, Ok(4)), (10, Err(ErrorCode::OffsetOutOfRange)), (7, Ok(7))] {
        let answer = delete_records(&world, 2, offset).await;
        assert_eq!(code(answer.error_code).map_or(Ok(answer.low_watermark), Err), expected, "{offset}");
    }
    for _ in 0..2 {
        assert_eq!(read_all(&world, &topic).await, [7, 8]);
        assert_eq!(code(read(&world, &topic, 6).await.error_code), Some(ErrorCode::OffsetOutOfRange));
        world.take_over().await;
    }
    put(&world, &topic).await;
    flush(&world, &topic).await;
    assert_eq!(delete_records(&world, 0, -1).await.low_watermark, 12);
    world.take_over().await;
    assert_eq!(read_all(&world, &topic).await, Vec::<i64>::new());
    put(&world, &topic).await;
    assert_eq!(read_all(&world, &topic).await, [12, 13, 14]);
}

/// Lets the archiver's rounds pass.
pub(super) async fn pass(world: &World, seconds: u64) {
    for _ in 0..seconds {
        let _elapsed =
            tokio::time::timeout(std::time::Duration::from_secs(1), std::future::pending::<()>()).await;
    }
    // A round that has begun is over when a call behind it is answered.
    world.context.archive.flush(Vec::new()).await.expect("it runs");
}

#[tokio::test(start_paused = true)]
async fn what_is_old_or_large_goes_by_itself_and_then_its_objects() {
    let world = World::new().await;
    let topic = world.create("a", 1).await;
    put(&world, &topic).await;
    assert_eq!(objects(&world, "journal/").await, 1);
    pass(&world, 599).await;
    assert_eq!(objects(&world, "topics/").await, 0);
    // One lone partition has paid for its segment only after a day; two PUTs are its own.
    put(&world, &topic).await;
    pass(&world, 2).await;
    assert_eq!(objects(&world, "topics/").await, 1, "both objects hold nothing else: it has paid");
    pass(&world, 70).await;
    assert_eq!(objects(&world, "journal/").await, 0);
    assert_eq!(read_all(&world, &topic).await, (0..6).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn old_records_end_and_so_do_the_objects_of_deleted_topics() {
    let world = World::new().await;
    let topic = world.create("a", 1).await;
    put(&world, &topic).await;
    flush(&world, &topic).await;
    put(&world, &topic).await;
    let week = std::time::Duration::from_secs(7 * 24 * 3600 + 1);
    world.advance(week);
    pass(&world, 12).await;
    assert_eq!(partition(&world, &topic).ends().log_start_offset.get(), 6);
    pass(&world, 70).await;
    assert_eq!(objects(&world, "topics/").await, 0);
    put(&world, &topic).await;
    flush(&world, &topic).await;
    assert_eq!(objects(&world, "topics/").await, 1);
    world.context.catalog.delete(topic.id).await.expect("deleted");
    world.context.log.remove(topic.id);
    world.context.archive.on_topic_deleted(topic.id).await;
    pass(&world, 70).await;
    assert_eq!((objects(&world, "topics/").await, objects(&world, "manifests/").await), (0, 0));
}

#[tokio::test]
async fn a_segment_has_the_name_that_any_engine_finds() {
    let world = World::new().await;
    let topic = world.create("a", 1).await;
    put(&world, &topic).await;
    flush(&world, &topic).await;
    let listed: Vec<_> = world.store.list(None).try_collect().await.expect("listed");
    let segment = listed.iter().find_map(|object| paths::parse_segment(&object.path)).expect("there");
    assert_eq!(segment.0, TopicPartition { topic_id: topic.id, partition: PartitionIndex(0) });
    let header =
        BatchHeader::decode(&read(&world, &topic, 0).await.records.expect("records")).expect("whole");
    assert_eq!(header.record_count, 3);
}
