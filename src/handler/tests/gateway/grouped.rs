//! Groups and transactions whose coordinator is the other broker.

use super::super::world::{code, text, topic_name};
use super::pair::Pair;
use crate::cluster::PlacementKey;
use crate::wire::ErrorCode;
use crate::wire::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use crate::wire::messages::join_group_request::JoinGroupRequestProtocol;
use crate::wire::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use crate::wire::messages::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use crate::wire::messages::sync_group_request::SyncGroupRequestAssignment;
use crate::wire::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use crate::wire::messages::{
    AddPartitionsToTxnRequest, DeleteGroupsRequest, DescribeGroupsRequest, DescribeTransactionsRequest,
    GroupId, HeartbeatRequest, InitProducerIdRequest, JoinGroupRequest, ListGroupsRequest,
    ListTransactionsRequest, OffsetCommitRequest, OffsetFetchRequest, SyncGroupRequest, TransactionalId,
    TxnOffsetCommitRequest,
};
use bytes::Bytes;
use std::sync::atomic::Ordering;

fn group(name: &str) -> GroupId {
    GroupId(text(name))
}

fn join(name: &str, member_id: &str) -> JoinGroupRequest {
    let protocol = JoinGroupRequestProtocol::default().with_name(text("range")).with_metadata(Bytes::new());
    JoinGroupRequest::default()
        .with_group_id(group(name))
        .with_session_timeout_ms(10_000)
        .with_member_id(text(member_id))
        .with_protocol_type(text("test"))
        .with_protocols(vec![protocol])
}

/// A member of one name, by way of the first broker.
async fn member(pair: &Pair, name: &str) {
    let asked = pair.one.ask(9, &join(name, "")).await;
    assert_eq!(code(asked.error_code), Some(ErrorCode::MemberIdRequired));
    let joined = pair.one.ask(9, &join(name, asked.member_id.as_str())).await;
    assert_eq!(code(joined.error_code), None);
    let assignment = SyncGroupRequestAssignment::default().with_member_id(joined.member_id.clone());
    let sync = SyncGroupRequest::default()
        .with_group_id(group(name))
        .with_generation_id(joined.generation_id)
        .with_member_id(joined.member_id.clone())
        .with_assignments(vec![assignment.with_assignment(Bytes::from_static(b"all"))]);
    assert_eq!(pair.one.ask(5, &sync).await.assignment.as_ref(), b"all");
    let heartbeat = HeartbeatRequest::default()
        .with_group_id(group(name))
        .with_generation_id(joined.generation_id)
        .with_member_id(joined.member_id);
    for world in [&pair.one, &pair.two] {
        assert_eq!(code(world.ask(4, &heartbeat).await.error_code), None, "whoever is asked");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_lives_with_its_coordinator_whoever_is_asked() {
    let pair = Pair::new().await;
    let (one, two) = (pair.name_of_one("g", PlacementKey::group), pair.name_of_two("g", PlacementKey::group));
    member(&pair, &one).await;
    member(&pair, &two).await;
    let names = [&two, &one].map(|name| group(name));
    let describe = DescribeGroupsRequest::default().with_groups(names.to_vec());
    for world in [&pair.one, &pair.two] {
        let described = world.ask(6, &describe).await;
        let states: Vec<_> = described
            .groups
            .iter()
            .map(|group| (group.group_id.to_string(), group.group_state.to_string()))
            .collect();
        assert_eq!(states, [(two.clone(), "Stable".to_owned()), (one.clone(), "Stable".to_owned())]);
        assert_eq!(described.groups[0].members[0].client_host.as_str(), "/127.0.0.1");
        let listed = world.ask(5, &ListGroupsRequest::default()).await;
        assert_eq!(code(listed.error_code), None);
        let mut listed: Vec<_> = listed
            .groups
            .iter()
            .map(|group| (group.group_id.to_string(), group.group_state.to_string()))
            .collect();
        listed.sort();
        let mut expected = vec![(one.clone(), "Stable".to_owned()), (two.clone(), "Stable".to_owned())];
        expected.sort();
        assert_eq!(listed, expected);
    }
    let missing =
        [pair.name_of_two("none", PlacementKey::group), pair.name_of_one("none", PlacementKey::group)];
    let delete =
        DeleteGroupsRequest::default().with_groups_names(missing.iter().map(|name| group(name)).collect());
    let deleted = pair.one.ask(2, &delete).await;
    let codes: Vec<_> =
        deleted.results.iter().map(|result| (result.group_id.to_string(), code(result.error_code))).collect();
    assert_eq!(codes, missing.map(|name| (name, Some(ErrorCode::GroupIdNotFound))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn offsets_of_groups_of_two_coordinators_come_in_one_answer() {
    let pair = Pair::new().await;
    let topic = pair.create("a", 1).await;
    let names = [pair.name_of_two("g", PlacementKey::group), pair.name_of_one("g", PlacementKey::group)];
    for (offset, name) in (7..).zip(&names) {
        let partition = OffsetCommitRequestPartition::default().with_committed_offset(offset);
        let of_topic = OffsetCommitRequestTopic::default().with_name(topic_name(topic.name.as_str()));
        let commit = OffsetCommitRequest::default()
            .with_group_id(group(name))
            .with_generation_id_or_member_epoch(-1)
            .with_topics(vec![of_topic.with_partitions(vec![partition])]);
        let committed = pair.one.ask(8, &commit).await;
        assert_eq!(code(committed.topics[0].partitions[0].error_code), None);
    }
    let wanted = names.iter().map(|name| {
        let of_topic = OffsetFetchRequestTopics::default().with_name(topic_name(topic.name.as_str()));
        OffsetFetchRequestGroup::default()
            .with_group_id(group(name))
            .with_member_epoch(-1)
            .with_topics(Some(vec![of_topic.with_partition_indexes(vec![0])]))
    });
    let request = OffsetFetchRequest::default().with_groups(wanted.collect());
    for world in [&pair.one, &pair.two] {
        let fetched = world.ask(8, &request).await;
        let offsets: Vec<_> = fetched
            .groups
            .iter()
            .map(|group| (group.group_id.to_string(), group.topics[0].partitions[0].committed_offset))
            .collect();
        assert_eq!(offsets, [(names[0].clone(), 7), (names[1].clone(), 8)]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transactional_ids_of_two_coordinators_come_in_one_answer() {
    let pair = Pair::new().await;
    let key = PlacementKey::transactional_id;
    let names = [pair.name_of_two("t", key), pair.name_of_one("t", key)];
    let ids: Vec<_> = names.iter().map(|name| TransactionalId(text(name))).collect();
    for id in &ids {
        let init = InitProducerIdRequest::default()
            .with_transactional_id(Some(id.clone()))
            .with_transaction_timeout_ms(60_000);
        assert_eq!(code(pair.one.ask(4, &init).await.error_code), None);
    }
    let described =
        pair.one.ask(0, &DescribeTransactionsRequest::default().with_transactional_ids(ids.clone())).await;
    let states: Vec<_> = described
        .transaction_states
        .iter()
        .map(|state| (state.transactional_id.to_string(), code(state.error_code)))
        .collect();
    assert_eq!(states, names.clone().map(|name| (name, None)));
    let listed = pair.two.ask(1, &ListTransactionsRequest::default().with_duration_filter(-1)).await;
    let mut listed: Vec<_> =
        listed.transaction_states.iter().map(|state| state.transactional_id.to_string()).collect();
    listed.sort();
    let mut expected = names.to_vec();
    expected.sort();
    assert_eq!(listed, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_offset_is_not_said_to_be_none_while_nobody_can_say_whether_its_topic_is_there() {
    let pair = Pair::new().await;
    let name = pair.name_of_two("g", PlacementKey::group);
    let wanted = OffsetFetchRequestTopics::default()
        .with_name(topic_name("unheard-of"))
        .with_partition_indexes(vec![0]);
    let of_group = OffsetFetchRequestGroup::default().with_group_id(group(&name));
    let request = OffsetFetchRequest::default().with_groups(vec![of_group.with_topics(Some(vec![wanted]))]);
    // The coordinator has not heard of such a topic, and cannot look.
    pair.metadata.reads_to_fail.store(1, Ordering::SeqCst);
    let answer = pair.two.ask(8, &request).await;
    assert_eq!(code(answer.groups[0].error_code), Some(ErrorCode::CoordinatorLoadInProgress));
    let answer = pair.two.ask(8, &request).await;
    assert_eq!(code(answer.groups[0].error_code), None);
    assert_eq!(answer.groups[0].topics[0].partitions[0].committed_offset, -1);
}

/// LEADER_NOT_AVAILABLE would end the Java client's `commitSync` with an exception, and its transactional producer for good.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_is_to_be_repeated_while_nobody_can_say_whether_its_topic_is_there() {
    let pair = Pair::new().await;
    let name = topic_name("unheard-of");
    let plain = OffsetCommitRequestTopic::default()
        .with_name(name.clone())
        .with_partitions(vec![OffsetCommitRequestPartition::default()]);
    let plain = OffsetCommitRequest::default()
        .with_group_id(group(&pair.name_of_two("g", PlacementKey::group)))
        .with_generation_id_or_member_epoch(-1)
        .with_topics(vec![plain]);
    let in_transaction = TxnOffsetCommitRequestTopic::default()
        .with_name(name.clone())
        .with_partitions(vec![TxnOffsetCommitRequestPartition::default()]);
    let in_transaction = TxnOffsetCommitRequest::default()
        .with_group_id(plain.group_id.clone())
        .with_transactional_id(TransactionalId(text("t")))
        .with_topics(vec![in_transaction]);
    let id = TransactionalId(text(&pair.name_of_two("t", PlacementKey::transactional_id)));
    let added = AddPartitionsToTxnTopic::default().with_name(name).with_partitions(vec![0]);
    let added = AddPartitionsToTxnRequest::default()
        .with_v3_and_below_transactional_id(id)
        .with_v3_and_below_topics(vec![added]);
    let repeated = Some(ErrorCode::CoordinatorLoadInProgress);
    for (reads_to_fail, expected) in [(1, repeated), (0, Some(ErrorCode::UnknownTopicOrPartition))] {
        let fail = || pair.metadata.reads_to_fail.store(reads_to_fail, Ordering::SeqCst);
        fail();
        let answer = pair.two.ask(8, &plain).await;
        assert_eq!(code(answer.topics[0].partitions[0].error_code), expected);
        fail();
        let answer = pair.two.ask(3, &in_transaction).await;
        assert_eq!(code(answer.topics[0].partitions[0].error_code), expected);
        fail();
        let answer = pair.two.ask(3, &added).await;
        let result = &answer.results_by_topic_v3_and_below[0].results_by_partition[0];
        assert_eq!(code(result.partition_error_code), expected);
    }
}
