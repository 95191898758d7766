//! Offsets of a group in a transaction: pending until its end, and only of who is a member now.

use super::super::groups::member;
use super::super::world::{World, text, topic_name};
use super::{
    Abort, COMMIT_OFFSETS_1, COMMIT_OFFSETS_2, Client, Commit, END_1, END_2, PRODUCE_2, read_committed,
};
use crate::topic::Topic;
use crate::wire::ErrorCode;
use crate::wire::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use crate::wire::messages::offset_fetch_request::OffsetFetchRequestTopic;
use crate::wire::messages::{GroupId, OffsetCommitRequest, OffsetFetchRequest, TxnOffsetCommitRequest};

/// TxnOffsetCommit of one partition.
async fn commit(world: &World, version: i16, request: &TxnOffsetCommitRequest) -> Option<ErrorCode> {
    super::code(world.ask(version, request).await.topics[0].partitions[0].error_code)
}

/// What is committed for partition 0, in the eyes of who wants it stable and of who does not.
async fn fetched(world: &World, group: &str, topic: &Topic) -> [Result<i64, ErrorCode>; 2] {
    let mut fetched = [Ok(0); 2];
    for (stable, fetched) in [true, false].into_iter().zip(&mut fetched) {
        let wanted = OffsetFetchRequestTopic::default().with_name(topic_name(topic.name.as_str()));
        let request = OffsetFetchRequest::default()
            .with_group_id(GroupId(text(group)))
            .with_topics(Some(vec![wanted.with_partition_indexes(vec![0])]))
            .with_require_stable(stable);
        let answer = world.ask(7, &request).await;
        let partition = &answer.topics[0].partitions[0];
        *fetched = super::code(partition.error_code).map_or(Ok(partition.committed_offset), Err);
    }
    fetched
}

const UNSTABLE: Result<i64, ErrorCode> = Err(ErrorCode::UnstableOffsetCommit);

#[tokio::test]
async fn offsets_of_an_open_transaction_are_unstable() {
    let world = World::new().await;
    let topic = world.create("a", 1).await;
    let mut client = Client::start(&world, "t").await;
    assert_eq!(commit(&world, COMMIT_OFFSETS_2, &client.offsets("g", &topic, 5)).await, None);
    assert_eq!(fetched(&world, "g", &topic).await, [UNSTABLE, Ok(-1)]);
    client.end(&world, END_2, Commit).await;
    assert_eq!(fetched(&world, "g", &topic).await, [Ok(5), Ok(5)]);
    assert_eq!(commit(&world, COMMIT_OFFSETS_2, &client.offsets("g", &topic, 9)).await, None);
    assert_eq!(fetched(&world, "g", &topic).await, [UNSTABLE, Ok(5)]);
    client.end(&world, END_2, Abort).await;
    assert_eq!(fetched(&world, "g", &topic).await, [Ok(5), Ok(5)], "aborted");
}

#[tokio::test]
async fn records_and_offsets_of_a_transaction_end_alike() {
    for (end, expected) in [(Commit, 5), (Abort, -1)] {
        let world = World::new().await;
        let topic = world.create("a", 1).await;
        let mut client = Client::start(&world, "t").await;
        client.produce(&world, &topic, PRODUCE_2).await.expect("taken");
        assert_eq!(commit(&world, COMMIT_OFFSETS_2, &client.offsets("g", &topic, 5)).await, None);
        client.end(&world, END_2, end).await;
        assert_eq!(fetched(&world, "g", &topic).await, [Ok(expected); 2]);
        let aborted = read_committed(&world, &topic).await.aborted_transactions.expect("a list");
        assert_eq!(aborted.is_empty(), end == Commit);
    }
}

#[tokio::test]
async fn version_1_adds_the_group_first() {
    let world = World::new().await;
    let topic = world.create("a", 1).await;
    let mut client = Client::start(&world, "t").await;
    let request = client.offsets("g", &topic, 5);
    assert_eq!(commit(&world, COMMIT_OFFSETS_1, &request).await, Some(ErrorCode::InvalidTxnState));
    assert_eq!(client.add_offsets(&world, "g", 3).await, None);
    assert_eq!(commit(&world, COMMIT_OFFSETS_1, &request).await, None);
    assert_eq!(fetched(&world, "g", &topic).await, [UNSTABLE, Ok(-1)]);
    client.end(&world, END_1, Commit).await;
    assert_eq!(fetched(&world, "g", &topic).await, [Ok(5), Ok(5)]);
}

#[tokio::test]
async fn offsets_of_a_stale_generation_are_refused() {
    let world = World::new().await;
    let topic = world.create("a", 1).await;
    let mut client = Client::start(&world, "t").await;
    let member = member(&world, "g").await;
    for version in [COMMIT_OFFSETS_1, COMMIT_OFFSETS_2] {
        assert_eq!(client.add_offsets(&world, "g", 3).await, None);
        let of = |generation_id| {
            let request = client.offsets("g", &topic, 5).with_generation_id(generation_id);
            request.with_member_id(member.member_id.clone())
        };
        let stale = of(member.generation_id - 1);
        assert_eq!(commit(&world, version, &stale).await, Some(ErrorCode::IllegalGeneration));
        let stranger = of(member.generation_id).with_member_id(text("stranger"));
        assert_eq!(commit(&world, version, &stranger).await, Some(ErrorCode::UnknownMemberId));
        assert_eq!(fetched(&world, "g", &topic).await, [Ok(-1), Ok(-1)], "nothing is pending");
        assert_eq!(commit(&world, version, &of(member.generation_id)).await, None);
        client.end(&world, END_2, Abort).await;
    }
}

#[tokio::test]
async fn who_does_not_say_which_member_it_is_may_commit() {
    let world = World::new().await;
    let topic = world.create("a", 1).await;
    let mut client = Client::start(&world, "t").await;
    member(&world, "g").await;
    assert_eq!(client.add_offsets(&world, "g", 3).await, None);
    assert_eq!(commit(&world, 2, &client.offsets("g", &topic, 5)).await, None, "before KIP-447");
    client.end(&world, END_2, Commit).await;
    assert_eq!(fetched(&world, "g", &topic).await, [Ok(5); 2]);
}

#[tokio::test]
async fn a_later_plain_commit_is_not_undone_by_the_end_of_a_transaction() {
    let world = World::new().await;
    let topic = world.create("a", 1).await;
    let mut client = Client::start(&world, "t").await;
    assert_eq!(commit(&world, COMMIT_OFFSETS_2, &client.offsets("g", &topic, 5)).await, None);
    let partition = OffsetCommitRequestPartition::default().with_committed_offset(8);
    let of_topic = OffsetCommitRequestTopic::default().with_name(topic_name("a"));
    let plain = OffsetCommitRequest::default()
        .with_group_id(GroupId(text("g")))
        .with_generation_id_or_member_epoch(-1)
        .with_topics(vec![of_topic.with_partitions(vec![partition])]);
    assert_eq!(world.ask(9, &plain).await.topics[0].partitions[0].error_code, 0);
    assert_eq!(fetched(&world, "g", &topic).await, [UNSTABLE, Ok(8)]);
    client.end(&world, END_2, Commit).await;
    assert_eq!(fetched(&world, "g", &topic).await, [Ok(8); 2]);
}

#[tokio::test]
async fn pending_offsets_outlive_a_session() {
    let mut world = World::new().await;
    let topic = world.create("a", 1).await;
    let mut client = Client::start(&world, "t").await;
    assert_eq!(commit(&world, COMMIT_OFFSETS_2, &client.offsets("g", &topic, 5)).await, None);
    world.take_over().await;
    assert_eq!(fetched(&world, "g", &topic).await, [UNSTABLE, Ok(-1)]);
    client.end(&world, END_2, Commit).await;
    assert_eq!(fetched(&world, "g", &topic).await, [Ok(5); 2]);
}
