//! Of share groups.

use super::{ID, Sample, group, name, sample, text};
use crate::wire::messages::alter_share_group_offsets_request::{
    AlterShareGroupOffsetsRequestPartition, AlterShareGroupOffsetsRequestTopic,
};
use crate::wire::messages::delete_share_group_offsets_request::DeleteShareGroupOffsetsRequestTopic;
use crate::wire::messages::describe_share_group_offsets_request::{
    DescribeShareGroupOffsetsRequestGroup, DescribeShareGroupOffsetsRequestTopic,
};
use crate::wire::messages::share_fetch_request::{FetchPartition, FetchTopic, ForgottenTopic};
use crate::wire::messages::{
    AlterShareGroupOffsetsRequest, DeleteShareGroupOffsetsRequest, DescribeShareGroupOffsetsRequest,
    ShareAcknowledgeRequest, ShareFetchRequest, ShareGroupDescribeRequest, ShareGroupHeartbeatRequest,
    share_acknowledge_request, share_fetch_request,
};

pub(super) fn add(all: &mut Vec<Sample>) {
    share_group_heartbeat(all);
    share_group_describe(all);
    share_fetch(all);
    share_acknowledge(all);
    describe_share_group_offsets(all);
    alter_share_group_offsets(all);
    delete_share_group_offsets(all);
}

fn share_group_heartbeat(all: &mut Vec<Sample>) {
    let request = ShareGroupHeartbeatRequest::default()
        .with_group_id(group())
        .with_member_id(text("member-1"))
        .with_member_epoch(3);
    all.push(sample(1, &request));
    let names = Some(vec![name(), name()]);
    all.push(sample(1, &request.with_rack_id(Some(text("rack"))).with_subscribed_topic_names(names)));
}

fn share_group_describe(all: &mut Vec<Sample>) {
    let request = ShareGroupDescribeRequest::default().with_include_authorized_operations(true);
    all.push(sample(1, &request.with_group_ids(vec![group(), group()])));
}

fn share_fetch(all: &mut Vec<Sample>) {
    let batch = share_fetch_request::AcknowledgementBatch::default()
        .with_first_offset(5)
        .with_last_offset(7)
        .with_acknowledge_types(vec![1, 2, 3]);
    let partition = FetchPartition::default()
        .with_partition_index(1)
        .with_acknowledgement_batches(vec![batch.clone(), batch]);
    let topic = FetchTopic::default().with_topic_id(ID).with_partitions(vec![partition.clone(), partition]);
    let forgotten = ForgottenTopic::default().with_topic_id(ID).with_partitions(vec![1, 2]);
    let request = ShareFetchRequest::default().with_group_id(None).with_member_id(None);
    all.push(sample(1, &request));
    let request = request
        .with_group_id(Some(group()))
        .with_member_id(Some(text("member-1")))
        .with_share_session_epoch(2)
        .with_max_wait_ms(500)
        .with_min_bytes(1)
        .with_max_bytes(1 << 20)
        .with_max_records(500)
        .with_batch_size(100)
        .with_topics(vec![topic.clone(), topic])
        .with_forgotten_topics_data(vec![forgotten.clone(), forgotten]);
    all.push(sample(1, &request));
}

fn share_acknowledge(all: &mut Vec<Sample>) {
    use share_acknowledge_request::{AcknowledgePartition, AcknowledgeTopic, AcknowledgementBatch};
    let batch = AcknowledgementBatch::default()
        .with_first_offset(5)
        .with_last_offset(7)
        .with_acknowledge_types(vec![1, 2, 3]);
    let partition = AcknowledgePartition::default()
        .with_partition_index(1)
        .with_acknowledgement_batches(vec![batch.clone(), batch]);
    let topic =
        AcknowledgeTopic::default().with_topic_id(ID).with_partitions(vec![partition.clone(), partition]);
    let request = ShareAcknowledgeRequest::default().with_group_id(None).with_member_id(None);
    all.push(sample(1, &request));
    let request = request
        .with_group_id(Some(group()))
        .with_member_id(Some(text("member-1")))
        .with_share_session_epoch(2)
        .with_topics(vec![topic.clone(), topic]);
    all.push(sample(1, &request));
}

fn describe_share_group_offsets(all: &mut Vec<Sample>) {
    let topic =
        DescribeShareGroupOffsetsRequestTopic::default().with_topic_name(name()).with_partitions(vec![1, 2]);
    let of =
        |topics| DescribeShareGroupOffsetsRequestGroup::default().with_group_id(group()).with_topics(topics);
    let groups = vec![of(Some(vec![topic.clone(), topic])), of(None)];
    all.push(sample(0, &DescribeShareGroupOffsetsRequest::default().with_groups(groups)));
}

fn alter_share_group_offsets(all: &mut Vec<Sample>) {
    let partition =
        AlterShareGroupOffsetsRequestPartition::default().with_partition_index(1).with_start_offset(99);
    let topic = AlterShareGroupOffsetsRequestTopic::default()
        .with_topic_name(name())
        .with_partitions(vec![partition.clone(), partition]);
    let request = AlterShareGroupOffsetsRequest::default().with_group_id(group());
    all.push(sample(0, &request.with_topics(vec![topic.clone(), topic])));
}

fn delete_share_group_offsets(all: &mut Vec<Sample>) {
    let topic = DeleteShareGroupOffsetsRequestTopic::default().with_topic_name(name());
    let request = DeleteShareGroupOffsetsRequest::default().with_group_id(group());
    all.push(sample(0, &request.with_topics(vec![topic.clone(), topic])));
}
