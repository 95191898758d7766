//! Fetch and what is asked of partitions besides: one answer, whoever leads what.

use super::super::world::{World, code, topic_name};
use super::pair::{PATIENCE, Pair, produce};
use crate::topic::Topic;
use crate::wire::ErrorCode;
use crate::wire::batch::NO_PRODUCER;
use crate::wire::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use crate::wire::messages::fetch_request::{FetchPartition, FetchTopic};
use crate::wire::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use crate::wire::messages::{
    DeleteRecordsRequest, DescribeLogDirsRequest, FetchRequest, FetchResponse, ListOffsetsRequest,
};
use std::time::Duration;
use tokio::time::{Instant, timeout};

const BY_NAME: i16 = 12;
const PRODUCE: i16 = 9;
const ENDS: i64 = -1;

pub(super) fn fetch(topic: &Topic, wanted: &[(i32, i64)], wait: Duration) -> FetchRequest {
    let partitions = wanted.iter().map(|(index, offset)| {
        FetchPartition::default()
            .with_partition(*index)
            .with_current_leader_epoch(-1)
            .with_fetch_offset(*offset)
            .with_partition_max_bytes(1 << 16)
    });
    let of_topic = FetchTopic::default()
        .with_topic(topic_name(topic.name.as_str()))
        .with_partitions(partitions.collect());
    FetchRequest::default()
        .with_max_wait_ms(i32::try_from(wait.as_millis()).expect("short"))
        .with_min_bytes(1)
        .with_max_bytes(1 << 16)
        .with_session_epoch(-1)
        .with_topics(vec![of_topic])
}

/// Of each partition in the answer: index, code, high watermark, batches.
pub(super) fn parts(response: &FetchResponse) -> Vec<(i32, i16, i64, usize)> {
    let partitions = response.responses.iter().flat_map(|topic| &topic.partitions);
    let batches = |records: &Option<bytes::Bytes>| {
        let batches: Result<Vec<_>, _> =
            crate::wire::batch::split(records.clone().unwrap_or_default()).collect();
        batches.expect("whole").len()
    };
    let part = |part: &crate::wire::messages::fetch_response::PartitionData| {
        (part.partition_index, part.error_code, part.high_watermark, batches(&part.records))
    };
    let mut parts: Vec<_> = partitions.map(part).collect();
    parts.sort_unstable();
    parts
}

pub(super) async fn filled(pair: &Pair, partitions: i32) -> std::sync::Arc<Topic> {
    let topic = pair.create("a", partitions).await;
    let all: Vec<i32> = (0..partitions).collect();
    pair.one.ask(PRODUCE, &produce(&topic, &all, -1, NO_PRODUCER)).await;
    topic
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_answer_has_what_all_lead() {
    let pair = Pair::new().await;
    let topic = filled(&pair, 8).await;
    let wanted: Vec<(i32, i64)> = (0..8).map(|index| (index, 0)).collect();
    for world in [&pair.one, &pair.two] {
        let response = world.ask(BY_NAME, &fetch(&topic, &wanted, PATIENCE)).await;
        assert_eq!(parts(&response), (0..8).map(|index| (index, 0, 1, 1)).collect::<Vec<_>>());
    }
    let (_, others) = pair.led(&topic);
    let response = pair.one.ask(BY_NAME, &fetch(&topic, &[(others[0], 0)], PATIENCE)).await;
    assert_eq!(parts(&response), vec![(others[0], 0, 1, 1)]);
    let response = pair.one.ask(BY_NAME, &fetch(&topic, &[(others[0], 7)], PATIENCE)).await;
    assert_eq!(code(parts(&response)[0].1), Some(ErrorCode::OffsetOutOfRange));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_of_the_client_leaves_out_what_has_not_changed_wherever_it_is_led() {
    let pair = Pair::new().await;
    let topic = filled(&pair, 8).await;
    let wanted: Vec<(i32, i64)> = (0..8).map(|index| (index, 1)).collect();
    let first = fetch(&topic, &wanted, Duration::ZERO).with_session_epoch(0);
    let first = pair.one.ask(BY_NAME, &first).await;
    assert_eq!(parts(&first).len(), 8);
    assert_ne!(first.session_id, 0);
    let next = |epoch| {
        fetch(&topic, &[], Duration::ZERO).with_session_id(first.session_id).with_session_epoch(epoch)
    };
    assert_eq!(parts(&pair.one.ask(BY_NAME, &next(1).with_topics(vec![])).await), vec![]);
    let (_, others) = pair.led(&topic);
    pair.two.ask(PRODUCE, &produce(&topic, &others[..1], -1, NO_PRODUCER)).await;
    let after = pair.one.ask(BY_NAME, &next(2).with_topics(vec![])).await;
    assert_eq!(parts(&after), vec![(others[0], 0, 2, 1)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_poll_ends_when_any_leader_has_records() {
    let pair = Pair::new().await;
    let topic = filled(&pair, 8).await;
    let (own, others) = pair.led(&topic);
    for commits_in in [others[0], own[0]] {
        let wanted: Vec<(i32, i64)> = (0..8).map(|index| (index, pair.end(&topic, index))).collect();
        let began = Instant::now();
        let request = fetch(&topic, &wanted, PATIENCE);
        let polling = pair.one.ask(BY_NAME, &request);
        let committing = async {
            // Whether it comes before the first look or in the poll, the answer has it.
            pair.two.ask(PRODUCE, &produce(&topic, &[commits_in], -1, NO_PRODUCER)).await
        };
        let (response, _) =
            timeout(PATIENCE, async { tokio::join!(polling, committing) }).await.expect("in time");
        assert!(began.elapsed() < PATIENCE / 2);
        let got: Vec<_> = parts(&response).into_iter().filter(|part| part.3 > 0).collect();
        assert_eq!(got, vec![(commits_in, 0, pair.end(&topic, commits_in), 1)]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ends_and_beginnings_are_told_in_the_order_of_the_request() {
    let pair = Pair::new().await;
    let topic = filled(&pair, 8).await;
    let (own, others) = pair.led(&topic);
    let delete = DeleteRecordsPartition::default().with_offset(-1);
    let both = [others[0], own[0]].map(|index| delete.clone().with_partition_index(index));
    let name = topic_name(topic.name.as_str());
    let of_topic = DeleteRecordsTopic::default().with_name(name.clone()).with_partitions(both.to_vec());
    let request = DeleteRecordsRequest::default().with_timeout_ms(20_000).with_topics(vec![of_topic]);
    let deleted = pair.one.ask(2, &request).await;
    let deleted: Vec<_> = deleted.topics[0]
        .partitions
        .iter()
        .map(|part| (part.partition_index, part.error_code, part.low_watermark))
        .collect();
    assert_eq!(deleted, vec![(others[0], 0, 1), (own[0], 0, 1)]);
    let order = [own[0], 77, others[0], own[0] + 100, others[1]];
    let partitions = order.map(|index| {
        ListOffsetsPartition::default()
            .with_partition_index(index)
            .with_current_leader_epoch(-1)
            .with_timestamp(ENDS)
    });
    let of_topic = ListOffsetsTopic::default().with_name(name).with_partitions(partitions.to_vec());
    let request = ListOffsetsRequest::default().with_topics(vec![of_topic]);
    let unknown = ErrorCode::UnknownTopicOrPartition.code();
    for world in [&pair.one, &pair.two] {
        let listed = world.ask(7, &request).await;
        let listed: Vec<_> = listed.topics[0]
            .partitions
            .iter()
            .map(|part| (part.partition_index, part.error_code, part.offset))
            .collect();
        let expected = [
            (own[0], 0, 1),
            (77, unknown, -1),
            (others[0], 0, 1),
            (own[0] + 100, unknown, -1),
            (others[1], 0, 1),
        ];
        assert_eq!(listed, expected);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sizes_are_told_of_all_partitions() {
    let pair = Pair::new().await;
    let topic = filled(&pair, 8).await;
    assert_eq!(sizes(&pair.one, &topic).await, (0..8).collect::<Vec<_>>());
    assert_eq!(sizes(&pair.two, &topic).await, (0..8).collect::<Vec<_>>());
}

async fn sizes(world: &World, topic: &Topic) -> Vec<i32> {
    let response = world.ask(4, &DescribeLogDirsRequest::default().with_topics(None)).await;
    let topics = response.results[0].topics.iter().filter(|told| told.name.as_str() == topic.name.as_str());
    let partitions = topics.flat_map(|told| &told.partitions);
    let mut indexes: Vec<_> = partitions.map(|part| part.partition_index).collect();
    indexes.sort_unstable();
    indexes
}
