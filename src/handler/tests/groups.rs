//! Groups as clients see them, in every version: joined, kept, left, described, deleted; offsets committed and fetched.

use super::world::{World, text, topic_name};
use crate::topic::Topic;
use crate::wire::ErrorCode;
use crate::wire::StrBytes;
use crate::wire::api::ApiKey;
use crate::wire::messages::join_group_request::JoinGroupRequestProtocol;
use crate::wire::messages::leave_group_request::MemberIdentity;
use crate::wire::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use crate::wire::messages::offset_delete_request::{OffsetDeleteRequestPartition, OffsetDeleteRequestTopic};
use crate::wire::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use crate::wire::messages::sync_group_request::SyncGroupRequestAssignment;
use crate::wire::messages::{
    ConsumerGroupDescribeRequest, ConsumerGroupHeartbeatRequest, DeleteGroupsRequest, DescribeGroupsRequest,
    FindCoordinatorRequest, GroupId, HeartbeatRequest, JoinGroupRequest, JoinGroupResponse,
    LeaveGroupRequest, ListGroupsRequest, OffsetCommitRequest, OffsetDeleteRequest, OffsetFetchRequest,
    SyncGroupRequest,
};
use bytes::Bytes;

fn group(name: &str) -> GroupId {
    GroupId(text(name))
}

fn join(name: &str, member_id: StrBytes) -> JoinGroupRequest {
    let protocol = JoinGroupRequestProtocol::default().with_name(text("range")).with_metadata(Bytes::new());
    JoinGroupRequest::default()
        .with_group_id(group(name))
        .with_session_timeout_ms(10_000)
        .with_member_id(member_id)
        .with_protocol_type(text("test"))
        .with_protocols(vec![protocol])
}

fn commit(name: &str, topic: &Topic, offset: i64) -> OffsetCommitRequest {
    let partition = OffsetCommitRequestPartition::default()
        .with_committed_offset(offset)
        .with_committed_metadata(Some(text("note")));
    let of_topic = OffsetCommitRequestTopic::default().with_name(topic_name(topic.name.as_str()));
    OffsetCommitRequest::default()
        .with_group_id(group(name))
        .with_generation_id_or_member_epoch(-1)
        .with_topics(vec![of_topic.with_partitions(vec![partition])])
}

/// A group with one member of the classic protocol that knows its assignment.
pub async fn member(world: &World, name: &str) -> JoinGroupResponse {
    let joined = joined(world, name, 9).await;
    let assignment = SyncGroupRequestAssignment::default().with_member_id(joined.member_id.clone());
    let sync = SyncGroupRequest::default()
        .with_group_id(group(name))
        .with_generation_id(joined.generation_id)
        .with_member_id(joined.member_id.clone())
        .with_assignments(vec![assignment.with_assignment(Bytes::from_static(b"all"))]);
    assert_eq!(world.ask(5, &sync).await.assignment.as_ref(), b"all");
    joined
}

/// Joins, again with the id that it was given if there must be one (KIP-394).
async fn joined(world: &World, name: &str, version: i16) -> JoinGroupResponse {
    let first = world.ask(version, &join(name, StrBytes::default())).await;
    if version < 4 {
        return first;
    }
    assert_eq!(first.error_code, ErrorCode::MemberIdRequired.code());
    world.ask(version, &join(name, first.member_id)).await
}

/// Asks something sensible; gives the innermost error code.
pub async fn error_code(world: &World, topic: &Topic, api_key: ApiKey, version: i16) -> i16 {
    let name = format!("{api_key:?}-{version}");
    match api_key {
        ApiKey::FindCoordinator => find(world, version).await,
        ApiKey::JoinGroup => joined(world, &name, version).await.error_code,
        ApiKey::SyncGroup | ApiKey::Heartbeat | ApiKey::LeaveGroup => {
            of_member(world, &name, api_key, version).await
        }
        ApiKey::OffsetCommit | ApiKey::OffsetFetch | ApiKey::OffsetDelete => {
            of_offsets(world, &name, topic, api_key, version).await
        }
        ApiKey::ConsumerGroupHeartbeat | ApiKey::ConsumerGroupDescribe => {
            of_consumers(world, &name, topic, api_key, version).await
        }
        _ => of_list(world, &name, topic, api_key, version).await,
    }
}

async fn find(world: &World, version: i16) -> i16 {
    let request = match version {
        4.. => FindCoordinatorRequest::default().with_coordinator_keys(vec![text("g")]),
        _ => FindCoordinatorRequest::default().with_key(text("g")),
    };
    let found = world.ask(version, &request).await;
    match version {
        4.. => {
            assert_eq!((found.coordinators[0].node_id.0, &*found.coordinators[0].host), (1, "here"));
            found.coordinators[0].error_code
        }
        _ => {
            assert_eq!((found.node_id.0, &*found.host), (1, "here"));
            found.error_code
        }
    }
}

async fn of_member(world: &World, name: &str, api_key: ApiKey, version: i16) -> i16 {
    let member = member(world, name).await;
    match api_key {
        ApiKey::SyncGroup => {
            let request =
                SyncGroupRequest::default().with_group_id(group(name)).with_member_id(member.member_id);
            let answer = world.ask(version, &request.with_generation_id(member.generation_id)).await;
            assert_eq!(answer.assignment.as_ref(), b"all");
            answer.error_code
        }
        ApiKey::Heartbeat => {
            let request =
                HeartbeatRequest::default().with_group_id(group(name)).with_member_id(member.member_id);
            world.ask(version, &request.with_generation_id(member.generation_id)).await.error_code
        }
        _ => {
            let request = LeaveGroupRequest::default().with_group_id(group(name));
            let request = match version {
                3.. => {
                    let leaving = MemberIdentity::default().with_member_id(member.member_id);
                    request.with_members(vec![leaving])
                }
                _ => request.with_member_id(member.member_id),
            };
            let answer = world.ask(version, &request).await;
            answer.members.first().map_or(answer.error_code, |member| member.error_code)
        }
    }
}

async fn of_offsets(world: &World, name: &str, topic: &Topic, api_key: ApiKey, version: i16) -> i16 {
    let version_of_commit = if api_key == ApiKey::OffsetCommit { version } else { 9 };
    let committed = world.ask(version_of_commit, &commit(name, topic, 42)).await;
    let code = committed.topics[0].partitions[0].error_code;
    let topic_name = topic_name(topic.name.as_str());
    match api_key {
        ApiKey::OffsetCommit => code,
        ApiKey::OffsetFetch => {
            let (offset, code) = match version {
                8.. => {
                    let wanted = OffsetFetchRequestTopics::default().with_name(topic_name);
                    let of_group = OffsetFetchRequestGroup::default().with_group_id(group(name));
                    let topics = Some(vec![wanted.with_partition_indexes(vec![0])]);
                    let request =
                        OffsetFetchRequest::default().with_groups(vec![of_group.with_topics(topics)]);
                    let answer = world.ask(version, &request).await;
                    let partition = &answer.groups[0].topics[0].partitions[0];
                    (partition.committed_offset, partition.error_code)
                }
                _ => {
                    let wanted = OffsetFetchRequestTopic::default().with_name(topic_name);
                    let request = OffsetFetchRequest::default().with_group_id(group(name));
                    let topics = Some(vec![wanted.with_partition_indexes(vec![0])]);
                    let answer = world.ask(version, &request.with_topics(topics)).await;
                    let partition = &answer.topics[0].partitions[0];
                    (partition.committed_offset, partition.error_code)
                }
            };
            assert_eq!(offset, 42);
            code
        }
        _ => {
            let of_topic = OffsetDeleteRequestTopic::default().with_name(topic_name);
            let of_topic = of_topic.with_partitions(vec![OffsetDeleteRequestPartition::default()]);
            let request = OffsetDeleteRequest::default().with_group_id(group(name));
            let answer = world.ask(version, &request.with_topics(vec![of_topic])).await;
            answer.error_code | answer.topics[0].partitions[0].error_code
        }
    }
}

async fn of_consumers(world: &World, name: &str, topic: &Topic, api_key: ApiKey, version: i16) -> i16 {
    let request = ConsumerGroupHeartbeatRequest::default()
        .with_group_id(group(name))
        .with_member_id(text("me"))
        .with_rebalance_timeout_ms(30_000)
        .with_subscribed_topic_names(Some(vec![topic_name(topic.name.as_str())]))
        .with_topic_partitions(Some(Vec::new()));
    let version_of_heartbeat = if api_key == ApiKey::ConsumerGroupHeartbeat { version } else { 1 };
    let beat = world.ask(version_of_heartbeat, &request).await;
    if api_key == ApiKey::ConsumerGroupHeartbeat {
        return beat.error_code;
    }
    let request = ConsumerGroupDescribeRequest::default().with_group_ids(vec![group(name)]);
    let described = world.ask(version, &request).await.groups.remove(0);
    assert_eq!(&*described.members[0].member_id, "me");
    described.error_code
}

async fn of_list(world: &World, name: &str, topic: &Topic, api_key: ApiKey, version: i16) -> i16 {
    match api_key {
        ApiKey::DescribeGroups => {
            let member = member(world, name).await;
            let request = DescribeGroupsRequest::default().with_groups(vec![group(name)]);
            let described = world.ask(version, &request).await.groups.remove(0);
            assert_eq!(
                (&*described.group_state, &described.members[0].member_id),
                ("Stable", &member.member_id)
            );
            described.error_code
        }
        ApiKey::ListGroups => {
            member(world, name).await;
            let listed = world.ask(version, &ListGroupsRequest::default()).await;
            assert!(listed.groups.iter().any(|listed| listed.group_id == group(name)));
            listed.error_code
        }
        _ => {
            world.ask(9, &commit(name, topic, 1)).await;
            let request = DeleteGroupsRequest::default().with_groups_names(vec![group(name)]);
            world.ask(version, &request).await.results[0].error_code
        }
    }
}

#[tokio::test]
async fn committed_offsets_and_members_outlive_their_coordinator() {
    let mut world = World::new().await;
    let topic = world.create("a", 1).await;
    let before = member(&world, "g").await;
    world.ask(9, &commit("offsets", &topic, 7)).await;
    world.take_over().await;
    let heartbeat = HeartbeatRequest::default()
        .with_group_id(group("g"))
        .with_member_id(before.member_id)
        .with_generation_id(before.generation_id);
    assert_eq!(world.ask(4, &heartbeat).await.error_code, 0, "nobody has to join again");
    let wanted =
        OffsetFetchRequestTopic::default().with_name(topic_name("a")).with_partition_indexes(vec![0]);
    let request =
        OffsetFetchRequest::default().with_group_id(group("offsets")).with_topics(Some(vec![wanted]));
    let partition = &world.ask(7, &request).await.topics[0].partitions[0];
    assert_eq!((partition.committed_offset, partition.metadata.as_deref()), (7, Some("note")));
}

#[tokio::test]
async fn groups_are_refused_with_kafkas_codes() {
    let world = World::new().await;
    let topic = world.create("a", 1).await;
    let nameless = world.ask(9, &join("", StrBytes::default())).await;
    assert_eq!(nameless.error_code, ErrorCode::InvalidGroupId.code());
    let delete = DeleteGroupsRequest::default().with_groups_names(vec![group("none")]);
    assert_eq!(world.ask(2, &delete).await.results[0].error_code, ErrorCode::GroupIdNotFound.code());
    member(&world, "g").await;
    let delete = DeleteGroupsRequest::default().with_groups_names(vec![group("g")]);
    assert_eq!(world.ask(2, &delete).await.results[0].error_code, ErrorCode::NonEmptyGroup.code());
    let late = commit("g", &topic, 1);
    let code = world.ask(9, &late).await.topics[0].partitions[0].error_code;
    assert_eq!(code, ErrorCode::UnknownMemberId.code(), "a group with members takes offsets of members only");
    let mut large = commit("offsets", &topic, 1);
    large.topics[0].partitions[0].committed_metadata = Some(text(&"x".repeat(101)));
    let code = world.ask(9, &large).await.topics[0].partitions[0].error_code;
    assert_eq!(code, ErrorCode::OffsetMetadataTooLarge.code());
    let nowhere = commit("offsets", &topic, 1).with_generation_id_or_member_epoch(3);
    let code = world.ask(9, &nowhere).await.topics[0].partitions[0].error_code;
    assert_eq!(code, ErrorCode::IllegalGeneration.code());
}

#[tokio::test]
async fn a_coordinator_of_the_past_tells_no_offsets() {
    let world = World::new().await;
    let topic = world.create("a", 1).await;
    world.ask(9, &commit("offsets", &topic, 7)).await;
    world.seal().await;
    let wanted =
        OffsetFetchRequestTopic::default().with_name(topic_name("a")).with_partition_indexes(vec![0]);
    let request =
        OffsetFetchRequest::default().with_group_id(group("offsets")).with_topics(Some(vec![wanted]));
    let answer = world.ask(7, &request).await;
    assert_eq!(answer.error_code, ErrorCode::CoordinatorNotAvailable.code());
    assert!(answer.topics.is_empty());
}
