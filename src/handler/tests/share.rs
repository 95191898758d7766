//! Share groups as members and tools see them: records go to one member at a time, and come back until one is done.

use super::versions::produce;
use super::world::{World, code, text, topic_name};
use crate::topic::Topic;
use crate::wire::ErrorCode;
use crate::wire::api::ApiKey;
use crate::wire::messages::alter_share_group_offsets_request::{
    AlterShareGroupOffsetsRequestPartition, AlterShareGroupOffsetsRequestTopic,
};
use crate::wire::messages::delete_share_group_offsets_request::DeleteShareGroupOffsetsRequestTopic;
use crate::wire::messages::describe_share_group_offsets_request::DescribeShareGroupOffsetsRequestGroup;
use crate::wire::messages::share_acknowledge_request::{self, AcknowledgePartition, AcknowledgeTopic};
use crate::wire::messages::share_fetch_request::{AcknowledgementBatch, FetchPartition, FetchTopic};
use crate::wire::messages::share_fetch_response::PartitionData;
use crate::wire::messages::{
    AlterShareGroupOffsetsRequest, DeleteGroupsRequest, DeleteShareGroupOffsetsRequest,
    DescribeShareGroupOffsetsRequest, GroupId, ListGroupsRequest, ShareAcknowledgeRequest, ShareFetchRequest,
    ShareFetchResponse, ShareGroupDescribeRequest, ShareGroupHeartbeatRequest, ShareGroupHeartbeatResponse,
};
use std::sync::Arc;

const ACCEPT: i8 = 1;
const RELEASE: i8 = 2;
const REJECT: i8 = 3;

fn group(name: &str) -> GroupId {
    GroupId(text(name))
}

/// Joins, opens a session, and fetches what there is.
async fn open(world: &World, name: &str, member: &str, topic: &Topic) -> ShareFetchResponse {
    assert_eq!(code(heartbeat(world, name, member, 0).await.error_code), None);
    world.ask(1, &fetch(name, member, 0, topic)).await
}

async fn heartbeat(world: &World, name: &str, member: &str, epoch: i32) -> ShareGroupHeartbeatResponse {
    let names = (epoch == 0).then(|| vec![topic_name("a")]);
    let request = ShareGroupHeartbeatRequest::default()
        .with_group_id(group(name))
        .with_member_id(text(member))
        .with_member_epoch(epoch)
        .with_subscribed_topic_names(names);
    world.ask(1, &request).await
}

fn fetch(name: &str, member: &str, session_epoch: i32, topic: &Topic) -> ShareFetchRequest {
    let partitions = if session_epoch == 0 { vec![FetchPartition::default()] } else { Vec::new() };
    let topics = vec![FetchTopic::default().with_topic_id(topic.id.0).with_partitions(partitions)];
    ShareFetchRequest::default()
        .with_group_id(Some(group(name)))
        .with_member_id(Some(text(member)))
        .with_share_session_epoch(session_epoch)
        .with_min_bytes(1)
        .with_max_bytes(1 << 20)
        .with_max_records(100)
        .with_topics(topics)
}

fn acknowledge(
    name: &str,
    member: &str,
    session_epoch: i32,
    topic: &Topic,
    (first, last, kind): (i64, i64, i8),
) -> ShareAcknowledgeRequest {
    let batch = share_acknowledge_request::AcknowledgementBatch::default()
        .with_first_offset(first)
        .with_last_offset(last)
        .with_acknowledge_types(vec![kind]);
    let partition = AcknowledgePartition::default().with_acknowledgement_batches(vec![batch]);
    let of_topic = AcknowledgeTopic::default().with_topic_id(topic.id.0).with_partitions(vec![partition]);
    ShareAcknowledgeRequest::default()
        .with_group_id(Some(group(name)))
        .with_member_id(Some(text(member)))
        .with_share_session_epoch(session_epoch)
        .with_topics(vec![of_topic])
}

/// What partition 0 says in an answer.
fn partition(response: &ShareFetchResponse) -> PartitionData {
    assert_eq!(code(response.error_code), None);
    let partition = response.responses.first().and_then(|topic| topic.partitions.first()).cloned();
    let partition = partition.unwrap_or_default();
    assert_eq!(code(partition.error_code), None);
    partition
}

/// First offset, last offset, delivery count.
fn acquired(response: &ShareFetchResponse) -> Vec<(i64, i64, i16)> {
    let acquired = partition(response).acquired_records;
    acquired.iter().map(|run| (run.first_offset, run.last_offset, run.delivery_count)).collect()
}

/// A broker with topic `a`, whose group `g` begins at its first record; three records are there.
async fn world() -> (World, Arc<Topic>) {
    let world = World::new().await;
    let topic = world.create("a", 1).await;
    begin_at_the_first(&world, "g").await;
    put_three(&world, &topic).await;
    (world, topic)
}

async fn begin_at_the_first(world: &World, name: &str) {
    let name = crate::group::GroupId::new(name);
    let changed = world.context.group_settings.alter(&name, |overrides| {
        let mut changed = overrides.clone();
        changed.insert("share.auto.offset.reset".to_owned(), "earliest".to_owned());
        Ok(changed)
    });
    changed.await.expect("legal");
}

async fn put_three(world: &World, topic: &Topic) {
    let response = world.ask(12, &produce(topic, 12, -1)).await;
    assert_eq!(code(response.responses[0].partition_responses[0].error_code), None);
}

#[tokio::test]
async fn records_go_to_one_member_at_a_time() {
    let (world, topic) = world().await;
    for member in ["m", "n"] {
        let joined = heartbeat(&world, "g", member, 0).await;
        assert_eq!(code(joined.error_code), None);
        let assigned = joined.assignment.expect("what to fetch").topic_partitions;
        assert_eq!((assigned[0].topic_id, assigned[0].partitions.as_slice()), (topic.id.0, [0].as_slice()));
    }
    let first = open(&world, "g", "m", &topic).await;
    assert_eq!(acquired(&first), [(0, 2, 1)]);
    assert_eq!(first.acquisition_lock_timeout_ms, 30_000);
    let records = partition(&first).records.expect("the batch");
    assert_eq!(crate::wire::batch::BatchHeader::decode(&records).expect("whole").record_count, 3);
    let second = open(&world, "g", "n", &topic).await;
    assert_eq!(acquired(&second), []);
    put_three(&world, &topic).await;
    assert_eq!(acquired(&world.ask(1, &fetch("g", "n", 1, &topic)).await), [(3, 5, 1)]);
}

#[tokio::test]
async fn what_is_released_comes_again_with_its_count_and_what_is_done_does_not() {
    let (world, topic) = world().await;
    assert_eq!(acquired(&open(&world, "g", "m", &topic).await), [(0, 2, 1)]);
    for (epoch, what, outcome) in [
        (1, (0, 0, ACCEPT), None),
        (2, (0, 0, RELEASE), None), // Before the start: passed over.
        (3, (1, 1, RELEASE), None),
        (4, (1, 1, ACCEPT), Some(ErrorCode::InvalidRecordState)),
        (5, (2, 9, ACCEPT), Some(ErrorCode::InvalidRequest)),
        (6, (2, 2, 4), Some(ErrorCode::InvalidRequest)), // Renewing came with version 2.
    ] {
        let answer = world.ask(1, &acknowledge("g", "m", epoch, &topic, what)).await;
        assert_eq!(code(answer.error_code), None);
        assert_eq!(code(answer.responses[0].partitions[0].error_code), outcome, "{what:?}");
    }
    assert_eq!(acquired(&open(&world, "g", "n", &topic).await), [(1, 1, 2)]);

    // Acknowledgements may come with a fetch; the rest was accepted by neither.
    let batch = AcknowledgementBatch::default().with_first_offset(1).with_last_offset(1);
    let named = FetchPartition::default()
        .with_acknowledgement_batches(vec![batch.with_acknowledge_types(vec![REJECT])]);
    let of_topic = FetchTopic::default().with_topic_id(topic.id.0).with_partitions(vec![named]);
    let request = fetch("g", "n", 1, &topic).with_topics(vec![of_topic]);
    let answer = world.ask(1, &request).await;
    assert_eq!(code(partition(&answer).acknowledge_error_code), None);
    assert_eq!(acquired(&answer), []);
}

#[tokio::test]
async fn sessions_are_counted_and_end_in_good_order() {
    let (world, topic) = world().await;
    let refused = async |request: ShareFetchRequest| code(world.ask(1, &request).await.error_code);
    assert_eq!(refused(fetch("g", "m", 1, &topic)).await, Some(ErrorCode::ShareSessionNotFound));
    assert_eq!(refused(fetch("g", "m", 0, &topic)).await, Some(ErrorCode::UnknownMemberId));
    assert_eq!(refused(fetch("", "m", 0, &topic)).await, Some(ErrorCode::InvalidGroupId));
    assert_eq!(refused(fetch("g", "", 0, &topic)).await, Some(ErrorCode::InvalidRequest));
    assert_eq!(acquired(&open(&world, "g", "m", &topic).await), [(0, 2, 1)]);
    assert_eq!(refused(fetch("g", "m", 2, &topic)).await, Some(ErrorCode::InvalidShareSessionEpoch));
    let closing = acknowledge("g", "m", -1, &topic, (0, 0, ACCEPT));
    assert_eq!(code(world.ask(1, &closing).await.responses[0].partitions[0].error_code), None);
    // What it never looked at was not delivered.
    assert_eq!(acquired(&open(&world, "g", "n", &topic).await), [(1, 2, 1)]);
    let unknown = FetchTopic::default().with_partitions(vec![FetchPartition::default()]);
    heartbeat(&world, "g", "o", 0).await;
    let answer = world.ask(1, &fetch("g", "o", 0, &topic).with_topics(vec![unknown])).await;
    let partition = &answer.responses[0].partitions[0];
    assert_eq!(code(partition.error_code), Some(ErrorCode::UnknownTopicId));
}

#[tokio::test]
async fn others_get_what_a_member_had_that_left_or_was_cut_off() {
    let (world, topic) = world().await;
    heartbeat(&world, "g", "m", 0).await;
    assert_eq!(acquired(&open(&world, "g", "m", &topic).await), [(0, 2, 1)]);
    let left = heartbeat(&world, "g", "m", -1).await;
    assert_eq!((code(left.error_code), left.member_epoch), (None, -1));
    heartbeat(&world, "g", "n", 0).await;
    let waiting = fetch("g", "n", 0, &topic).with_max_wait_ms(60_000);
    assert_eq!(acquired(&world.ask(1, &waiting).await), [(0, 2, 2)]);
    world.disconnect();
    heartbeat(&world, "g", "o", 0).await;
    let waiting = fetch("g", "o", 0, &topic).with_max_wait_ms(60_000);
    assert_eq!(acquired(&world.ask(1, &waiting).await), [(0, 2, 3)]);
}

#[tokio::test(start_paused = true)]
async fn a_lock_runs_out_and_a_record_is_given_up_after_its_last_attempt() {
    let (world, topic) = world().await;
    assert_eq!(acquired(&open(&world, "g", "m", &topic).await), [(0, 2, 1)]);
    for attempt in 2..=5 {
        heartbeat(&world, "g", "n", 0).await;
        let waiting = fetch("g", "n", 0, &topic).with_max_wait_ms(60_000);
        assert_eq!(acquired(&world.ask(1, &waiting).await), [(0, 2, attempt)]);
    }
    heartbeat(&world, "g", "n", 0).await;
    let waiting = fetch("g", "n", 0, &topic).with_max_wait_ms(60_000);
    assert_eq!(acquired(&world.ask(1, &waiting).await), []);
    put_three(&world, &topic).await;
    assert_eq!(acquired(&open(&world, "g", "n", &topic).await), [(3, 5, 1)]);
}

#[tokio::test]
async fn a_broker_that_takes_over_knows_what_is_done_and_how_often_the_rest_was_tried() {
    let (mut world, topic) = world().await;
    heartbeat(&world, "g", "m", 0).await;
    assert_eq!(acquired(&open(&world, "g", "m", &topic).await), [(0, 2, 1)]);
    let accepted = world.ask(1, &acknowledge("g", "m", 1, &topic, (1, 1, ACCEPT))).await;
    assert_eq!(code(accepted.responses[0].partitions[0].error_code), None);
    world.take_over().await;
    assert_eq!(code(heartbeat(&world, "g", "m", 1).await.error_code), None, "it need not join again");
    let lost = world.ask(1, &fetch("g", "m", 2, &topic)).await;
    assert_eq!(code(lost.error_code), Some(ErrorCode::ShareSessionNotFound));
    assert_eq!(acquired(&open(&world, "g", "m", &topic).await), [(0, 0, 2), (2, 2, 2)]);
}

#[tokio::test]
async fn a_coordinator_of_the_past_acquires_and_acknowledges_nothing() {
    let (world, topic) = world().await;
    assert_eq!(acquired(&open(&world, "g", "m", &topic).await), [(0, 2, 1)]);
    heartbeat(&world, "g", "n", 0).await;
    world.seal().await;
    let answer = world.ask(1, &acknowledge("g", "m", 1, &topic, (0, 2, ACCEPT))).await;
    let outcome = code(answer.responses[0].partitions[0].error_code);
    assert_eq!(outcome, Some(ErrorCode::CoordinatorNotAvailable));
    let answer = world.ask(1, &fetch("g", "n", 0, &topic)).await;
    let refused = code(answer.responses[0].partitions[0].error_code);
    assert_eq!(refused, Some(ErrorCode::KafkaStorageError));
}

#[tokio::test]
async fn operators_move_a_group_that_nobody_is_in() {
    let (world, topic) = world().await;
    heartbeat(&world, "g", "m", 0).await;
    assert_eq!(acquired(&open(&world, "g", "m", &topic).await), [(0, 2, 1)]);
    let answer = world.ask(1, &acknowledge("g", "m", -1, &topic, (0, 1, ACCEPT))).await;
    assert_eq!(code(answer.error_code), None);
    assert_eq!(start_of(&world, "g").await, Ok(Some(2)));
    assert_eq!(alter(&world, "g", 1).await, Some(ErrorCode::NonEmptyGroup));
    assert_eq!(delete_offsets(&world, "g").await, Some(ErrorCode::NonEmptyGroup));
    assert_eq!(delete_group(&world, "g").await, Some(ErrorCode::NonEmptyGroup));
    heartbeat(&world, "g", "m", -1).await;
    assert_eq!(alter(&world, "g", 1).await, None);
    assert_eq!(start_of(&world, "g").await, Ok(Some(1)));
    assert_eq!(acquired(&open(&world, "g", "m", &topic).await), [(1, 2, 1)]);
    heartbeat(&world, "g", "m", -1).await;
    assert_eq!(delete_offsets(&world, "g").await, None);
    assert_eq!(delete_offsets(&world, "g").await, Some(ErrorCode::UnknownTopicOrPartition));
    assert_eq!(start_of(&world, "g").await, Ok(None));
    assert_eq!(alter(&world, "g", 2).await, None);
    assert_eq!(delete_group(&world, "g").await, None);
    assert_eq!(start_of(&world, "g").await, Err(ErrorCode::GroupIdNotFound));
    assert_eq!(alter(&world, "g", 1).await, Some(ErrorCode::GroupIdNotFound));
    // One of that name later does not go on from there.
    heartbeat(&world, "g", "m", 0).await;
    assert_eq!(start_of(&world, "g").await, Ok(None));
}

#[tokio::test]
async fn a_share_group_and_others_are_strangers() {
    let (world, _topic) = world().await;
    super::groups::member(&world, "classic").await;
    let refused = heartbeat(&world, "classic", "m", 0).await;
    assert_eq!(code(refused.error_code), Some(ErrorCode::GroupIdNotFound));
    heartbeat(&world, "g", "m", 0).await;
    let listed = world.ask(5, &ListGroupsRequest::default().with_types_filter(vec![text("share")])).await;
    let groups: Vec<_> =
        listed.groups.iter().map(|group| (&*group.group_id.0, &*group.group_state)).collect();
    assert_eq!(groups, [("g", "Stable")]);
    let request = ShareGroupDescribeRequest::default().with_group_ids(vec![group("g"), group("classic")]);
    let described = world.ask(1, &request).await.groups;
    assert_eq!((&*described[0].group_state, described[0].members.len()), ("Stable", 1));
    assert_eq!(code(described[1].error_code), Some(ErrorCode::GroupIdNotFound));
}

async fn start_of(world: &World, name: &str) -> Result<Option<i64>, ErrorCode> {
    let wanted =
        DescribeShareGroupOffsetsRequestGroup::default().with_group_id(group(name)).with_topics(None);
    let answer = world.ask(0, &DescribeShareGroupOffsetsRequest::default().with_groups(vec![wanted])).await;
    match code(answer.groups[0].error_code) {
        Some(code) => Err(code),
        None => Ok(answer.groups[0].topics.first().map(|topic| topic.partitions[0].start_offset)),
    }
}

async fn alter(world: &World, name: &str, start: i64) -> Option<ErrorCode> {
    let wanted = AlterShareGroupOffsetsRequestPartition::default().with_start_offset(start);
    let of_topic = AlterShareGroupOffsetsRequestTopic::default().with_topic_name(topic_name("a"));
    let request = AlterShareGroupOffsetsRequest::default()
        .with_group_id(group(name))
        .with_topics(vec![of_topic.with_partitions(vec![wanted])]);
    let answer = world.ask(0, &request).await;
    let of_partition = answer.responses.first().map_or(0, |topic| topic.partitions[0].error_code);
    code(answer.error_code).or(code(of_partition))
}

async fn delete_offsets(world: &World, name: &str) -> Option<ErrorCode> {
    let of_topic = DeleteShareGroupOffsetsRequestTopic::default().with_topic_name(topic_name("a"));
    let request =
        DeleteShareGroupOffsetsRequest::default().with_group_id(group(name)).with_topics(vec![of_topic]);
    let answer = world.ask(0, &request).await;
    code(answer.error_code).or(code(answer.responses.first().map_or(0, |topic| topic.error_code)))
}

async fn delete_group(world: &World, name: &str) -> Option<ErrorCode> {
    let request = DeleteGroupsRequest::default().with_groups_names(vec![group(name)]);
    code(world.ask(2, &request).await.results[0].error_code)
}

/// Asks something sensible; gives the innermost error code.
pub async fn error_code(world: &World, topic: &Topic, api_key: ApiKey) -> i16 {
    match api_key {
        ApiKey::ShareGroupHeartbeat => heartbeat(world, "shared", "m", 0).await.error_code,
        ApiKey::ShareGroupDescribe => {
            heartbeat(world, "shared", "m", 0).await;
            let request = ShareGroupDescribeRequest::default().with_group_ids(vec![group("shared")]);
            world.ask(1, &request).await.groups[0].error_code
        }
        ApiKey::ShareFetch => open(world, "shared", "m", topic).await.error_code,
        ApiKey::ShareAcknowledge => {
            open(world, "shared", "m", topic).await;
            let request = acknowledge("shared", "m", 1, topic, (0, 0, ACCEPT)).with_topics(Vec::new());
            world.ask(1, &request).await.error_code
        }
        ApiKey::DescribeShareGroupOffsets => {
            heartbeat(world, "shared", "m", 0).await;
            start_of(world, "shared").await.err().map_or(0, |error| error.code())
        }
        ApiKey::AlterShareGroupOffsets | ApiKey::DeleteShareGroupOffsets => {
            heartbeat(world, "shared", "m", 0).await;
            heartbeat(world, "shared", "m", -1).await;
            let changed = match api_key {
                ApiKey::AlterShareGroupOffsets => alter(world, "shared", 0).await,
                _ => alter(world, "shared", 0).await.or(delete_offsets(world, "shared").await),
            };
            changed.map_or(0, |error| error.code())
        }
        _ => panic!("{api_key:?} is no API of share groups"),
    }
}
