//! The reader rule: a sealed session claims nothing that only a standing one can know.

use super::archive::stamped;
use super::versions::{end_of_epoch, fetch, list_offsets, produce};
use super::world::{World, code, topic_name};
use crate::journal::{Partitions, recover};
use crate::topic::Topic;
use crate::wire::ErrorCode;
use crate::wire::messages::create_topics_request::CreatableTopic;
use crate::wire::messages::fetch_response::PartitionData;
use crate::wire::messages::{CreateTopicsRequest, ProduceResponse};
use futures_util::TryStreamExt;
use std::sync::Arc;

const BY_NAME: i16 = 12;

/// A broker with three records, and what happened to it after.
async fn world() -> (World, Arc<Topic>) {
    let world = World::new().await;
    let topic = world.create("a", 1).await;
    assert_eq!(produced(&world, &topic).await, None);
    (world, topic)
}

async fn produced(world: &World, topic: &Topic) -> Option<ErrorCode> {
    let response = world.ask(BY_NAME, &produce(topic, BY_NAME, -1)).await;
    code(response.responses[0].partition_responses[0].error_code)
}

async fn listed(world: &World, topic: &Topic, timestamp: i64) -> (Option<ErrorCode>, i64) {
    let response = world.ask(10, &list_offsets(topic, timestamp)).await;
    let partition = &response.topics[0].partitions[0];
    (code(partition.error_code), partition.offset)
}

async fn fetched(world: &World, topic: &Topic, offset: i64) -> PartitionData {
    let mut response = world.ask(BY_NAME, &fetch(topic, BY_NAME, offset)).await;
    response.responses.remove(0).partitions.remove(0)
}

fn bytes_of(partition: &PartitionData) -> usize {
    partition.records.as_ref().map_or(0, |records| records.len())
}

#[tokio::test]
async fn a_standing_session_names_its_ends() {
    let (world, topic) = world().await;
    assert_eq!(listed(&world, &topic, -1).await, (None, 3));
    assert_eq!(listed(&world, &topic, -2).await, (None, 0));
    let empty = fetched(&world, &topic, 3).await;
    assert_eq!((code(empty.error_code), empty.high_watermark, bytes_of(&empty)), (None, 3, 0));
    let beyond = fetched(&world, &topic, 4).await;
    assert_eq!(code(beyond.error_code), Some(ErrorCode::OffsetOutOfRange));
}

#[tokio::test]
async fn a_sealed_session_names_no_end() {
    let (world, topic) = world().await;
    world.seal().await;
    let unknown = Some(ErrorCode::OffsetNotAvailable);
    for timestamp in [-1, -2, -3, -4, 0, i64::MAX] {
        assert_eq!(listed(&world, &topic, timestamp).await, (unknown, -1), "{timestamp}");
    }
    for offset in [3, 4, 1_000] {
        let partition = fetched(&world, &topic, offset).await;
        assert_eq!((code(partition.error_code), partition.high_watermark), (unknown, -1), "{offset}");
    }
    let epoch = world.ask(4, &end_of_epoch(&topic, 1)).await;
    let epoch = &epoch.topics[0].partitions[0];
    assert_eq!((code(epoch.error_code), epoch.end_offset), (unknown, -1));
}

#[tokio::test]
async fn a_sealed_session_still_serves_the_records_it_knows_to_be_committed() {
    let (world, topic) = world().await;
    world.seal().await;
    let partition = fetched(&world, &topic, 0).await;
    assert_eq!(code(partition.error_code), None);
    assert!(bytes_of(&partition) > 0);
    let ends = (partition.high_watermark, partition.last_stable_offset, partition.log_start_offset);
    assert_eq!(ends, (-1, -1, -1));
}

#[tokio::test]
async fn a_sealed_session_acknowledges_nothing_and_what_it_took_is_never_seen() {
    let (world, topic) = world().await;
    let ended = world.seal().await;
    for _ in 0..2 {
        assert_eq!(produced(&world, &topic).await, Some(ErrorCode::NotLeaderOrFollower));
    }
    let objects =
        recover(&world.store, &ended, Partitions::All).try_collect::<Vec<_>>().await.expect("all there");
    let rows: Vec<_> = objects.iter().flat_map(|object| &object.index.rows).collect();
    assert_eq!(rows.len(), 1, "the batch from before");
    assert_eq!(world.context.partition(&topic, 0).expect("there").ends().high_watermark.get(), 3);
}

/// What is missing here may have come where the partition is led since.
#[tokio::test]
async fn a_sealed_session_does_not_say_that_a_batch_follows_nothing() {
    let (world, _) = world().await;
    let outcome = |response: ProduceResponse| code(response.responses[0].partition_responses[0].error_code);
    assert_eq!(outcome(world.ask(BY_NAME, &stamped(0)).await), None);
    let too_early = stamped(2);
    assert_eq!(
        outcome(world.ask(BY_NAME, &too_early).await),
        Some(ErrorCode::OutOfOrderSequenceNumber),
        "who stands knows all that came"
    );
    world.seal().await;
    assert_eq!(outcome(world.ask(BY_NAME, &too_early).await), Some(ErrorCode::NotLeaderOrFollower));
}

#[tokio::test]
async fn a_sealed_session_creates_no_topic() {
    let (world, _) = world().await;
    world.seal().await;
    let creatable = CreatableTopic::default().with_name(topic_name("b"));
    let creatable = creatable.with_num_partitions(1).with_replication_factor(1);
    let response = world.ask(7, &CreateTopicsRequest::default().with_topics(vec![creatable])).await;
    assert_eq!(code(response.topics[0].error_code), Some(ErrorCode::NotController));
    assert_eq!(world.context.catalog.by_name("b"), None);
}
