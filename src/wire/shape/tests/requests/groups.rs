//! Of groups: where they are, their offsets, their members, in both protocols.

use super::{ID, Sample, group, name, sample, since, text};
use crate::wire::StrBytes;
use crate::wire::messages::consumer_group_heartbeat_request::TopicPartitions;
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
    FindCoordinatorRequest, HeartbeatRequest, JoinGroupRequest, LeaveGroupRequest, ListGroupsRequest,
    OffsetCommitRequest, OffsetDeleteRequest, OffsetFetchRequest, SyncGroupRequest,
};
use bytes::Bytes;

pub(super) fn add(all: &mut Vec<Sample>) {
    (0..=6).for_each(|v| find_coordinator(v, all));
    (2..=9).for_each(|v| offset_commit(v, all));
    (1..=7).for_each(|v| offset_fetch_of_one(v, all));
    (8..=9).for_each(|v| offset_fetch_of_many(v, all));
    offset_delete(all);
    (0..=9).for_each(|v| join_group(v, all));
    (0..=5).for_each(|v| sync_group(v, all));
    (0..=4).for_each(|v| heartbeat(v, all));
    (0..=5).for_each(|v| leave_group(v, all));
    (0..=6).for_each(|v| describe_groups(v, all));
    (0..=5).for_each(|v| list_groups(v, all));
    (0..=2).for_each(|v| delete_groups(v, all));
    (0..=1).for_each(|v| consumer_group_heartbeat(v, all));
    (0..=1).for_each(|v| consumer_group_describe(v, all));
}

fn member() -> StrBytes {
    text("member-1")
}

/// In the versions that have it; null and absent are the same to `kafka_protocol`.
fn optional(version: i16, from: i16, value: &'static str) -> Option<StrBytes> {
    since(version, from, Some(text(value)), None)
}

fn find_coordinator(v: i16, all: &mut Vec<Sample>) {
    let request = FindCoordinatorRequest::default().with_key_type(since(v, 1, 1, 0));
    all.push(sample(v, &request));
    let request = if v >= 4 {
        request.with_coordinator_keys(vec![text("txn"), text("other")])
    } else {
        request.with_key(text("txn"))
    };
    all.push(sample(v, &request));
}

fn offset_commit(v: i16, all: &mut Vec<Sample>) {
    let partition = |metadata| {
        OffsetCommitRequestPartition::default()
            .with_partition_index(1)
            .with_committed_offset(99)
            .with_committed_leader_epoch(since(v, 6, 4, -1))
            .with_committed_metadata(metadata)
    };
    let topic = OffsetCommitRequestTopic::default()
        .with_name(name())
        .with_partitions(vec![partition(Some(text("note"))), partition(None)]);
    let request = OffsetCommitRequest::default().with_group_id(group());
    all.push(sample(v, &request));
    let request = request
        .with_generation_id_or_member_epoch(7)
        .with_member_id(member())
        .with_group_instance_id(optional(v, 7, "static-1"))
        .with_retention_time_ms(since(v, 5, -1, 3_600_000))
        .with_topics(vec![topic.clone(), topic]);
    all.push(sample(v, &request));
}

fn offset_fetch_of_one(v: i16, all: &mut Vec<Sample>) {
    let topic = OffsetFetchRequestTopic::default().with_name(name()).with_partition_indexes(vec![1, 2]);
    let request = OffsetFetchRequest::default().with_group_id(group()).with_require_stable(v >= 7);
    all.push(sample(v, &request));
    if v >= 2 {
        all.push(sample(v, &request.clone().with_topics(None)));
    }
    all.push(sample(v, &request.with_topics(Some(vec![topic.clone(), topic]))));
}

fn offset_fetch_of_many(v: i16, all: &mut Vec<Sample>) {
    let topic = OffsetFetchRequestTopics::default().with_name(name()).with_partition_indexes(vec![1, 2]);
    let of = OffsetFetchRequestGroup::default()
        .with_group_id(group())
        .with_member_id(optional(v, 9, "member-1"))
        .with_member_epoch(since(v, 9, 4, -1));
    let groups = vec![of.clone().with_topics(Some(vec![topic.clone(), topic])), of.with_topics(None)];
    let request = OffsetFetchRequest::default().with_require_stable(true);
    all.push(sample(v, &request));
    all.push(sample(v, &request.with_groups(groups)));
}

fn offset_delete(all: &mut Vec<Sample>) {
    let partition = OffsetDeleteRequestPartition::default().with_partition_index(4);
    let topic = OffsetDeleteRequestTopic::default()
        .with_name(name())
        .with_partitions(vec![partition.clone(), partition]);
    let request = OffsetDeleteRequest::default().with_group_id(group());
    all.push(sample(0, &request));
    all.push(sample(0, &request.with_topics(vec![topic.clone(), topic])));
}

fn join_group(v: i16, all: &mut Vec<Sample>) {
    let protocol = JoinGroupRequestProtocol::default()
        .with_name(text("range"))
        .with_metadata(Bytes::from_static(&[9; 40]));
    let request = JoinGroupRequest::default().with_group_id(group()).with_session_timeout_ms(45_000);
    all.push(sample(v, &request));
    let request = request
        .with_rebalance_timeout_ms(since(v, 1, 60_000, -1))
        .with_member_id(member())
        .with_group_instance_id(optional(v, 5, "static-1"))
        .with_protocol_type(text("consumer"))
        .with_protocols(vec![protocol.clone(), protocol])
        .with_reason(optional(v, 8, "rebalance"));
    all.push(sample(v, &request));
}

fn sync_group(v: i16, all: &mut Vec<Sample>) {
    let assignment = SyncGroupRequestAssignment::default()
        .with_member_id(member())
        .with_assignment(Bytes::from_static(&[9; 40]));
    let request = SyncGroupRequest::default().with_group_id(group()).with_generation_id(7);
    all.push(sample(v, &request));
    let request = request
        .with_member_id(member())
        .with_group_instance_id(optional(v, 3, "static-1"))
        .with_protocol_type(optional(v, 5, "consumer"))
        .with_protocol_name(optional(v, 5, "range"))
        .with_assignments(vec![assignment.clone(), assignment]);
    all.push(sample(v, &request));
}

fn heartbeat(v: i16, all: &mut Vec<Sample>) {
    let request =
        HeartbeatRequest::default().with_group_id(group()).with_generation_id(7).with_member_id(member());
    all.push(sample(v, &request));
    all.push(sample(v, &request.with_group_instance_id(optional(v, 3, "static-1"))));
}

fn leave_group(v: i16, all: &mut Vec<Sample>) {
    let request = LeaveGroupRequest::default().with_group_id(group());
    all.push(sample(v, &request));
    let by_instance = MemberIdentity::default()
        .with_member_id(member())
        .with_group_instance_id(Some(text("static-1")))
        .with_reason(optional(v, 5, "closed"));
    let plain = MemberIdentity::default().with_member_id(member());
    let request = request.with_member_id(since(v, 3, text(""), member())).with_members(since(
        v,
        3,
        vec![by_instance, plain],
        Vec::new(),
    ));
    all.push(sample(v, &request));
}

fn describe_groups(v: i16, all: &mut Vec<Sample>) {
    let request = DescribeGroupsRequest::default().with_include_authorized_operations(v >= 3);
    all.push(sample(v, &request));
    all.push(sample(v, &request.with_groups(vec![group(), group()])));
}

fn list_groups(v: i16, all: &mut Vec<Sample>) {
    all.push(sample(v, &ListGroupsRequest::default()));
    let request = ListGroupsRequest::default()
        .with_states_filter(since(v, 4, vec![text("Stable"), text("Empty")], Vec::new()))
        .with_types_filter(since(v, 5, vec![text("classic"), text("consumer")], Vec::new()));
    all.push(sample(v, &request));
}

fn delete_groups(v: i16, all: &mut Vec<Sample>) {
    all.push(sample(v, &DeleteGroupsRequest::default().with_groups_names(vec![group(), group()])));
}

fn consumer_group_heartbeat(v: i16, all: &mut Vec<Sample>) {
    let topic = TopicPartitions::default().with_topic_id(ID).with_partitions(vec![1, 2]);
    let request = ConsumerGroupHeartbeatRequest::default()
        .with_group_id(group())
        .with_member_id(member())
        .with_member_epoch(3);
    all.push(sample(v, &request));
    let request = request
        .with_instance_id(Some(text("static-1")))
        .with_rack_id(Some(text("rack")))
        .with_rebalance_timeout_ms(60_000)
        .with_subscribed_topic_names(Some(vec![name(), name()]))
        .with_subscribed_topic_regex(optional(v, 1, "orders.*"))
        .with_server_assignor(Some(text("uniform")))
        .with_topic_partitions(Some(vec![topic.clone(), topic]));
    all.push(sample(v, &request));
}

fn consumer_group_describe(v: i16, all: &mut Vec<Sample>) {
    let request = ConsumerGroupDescribeRequest::default().with_include_authorized_operations(true);
    all.push(sample(v, &request.with_group_ids(vec![group(), group()])));
}
