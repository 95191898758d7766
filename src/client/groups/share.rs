//! Share groups (KIP-932): their members, and where in each partition they start.

use super::describe::{host, sorted};
use super::{GroupDescription, GroupMember, GroupType, OffsetsByPartition, refuse};
use crate::client::admin::text;
use crate::client::coordinator::Coordinator;
use crate::client::{Admin, ClientError};
use crate::types::{Offset, PartitionIndex};
use crate::wire::messages::alter_share_group_offsets_request::{
    AlterShareGroupOffsetsRequestPartition, AlterShareGroupOffsetsRequestTopic,
};
use crate::wire::messages::describe_share_group_offsets_request::DescribeShareGroupOffsetsRequestGroup;
use crate::wire::messages::describe_share_group_offsets_response::DescribeShareGroupOffsetsResponseTopic;
use crate::wire::messages::share_group_describe_response::{DescribedGroup, Member};
use crate::wire::messages::{
    AlterShareGroupOffsetsRequest, AlterShareGroupOffsetsResponse, DescribeShareGroupOffsetsRequest,
    DescribeShareGroupOffsetsResponse, GroupId, ShareGroupDescribeRequest, TopicName,
};
use std::collections::BTreeMap;
use std::time::Duration;

impl Admin {
    /// Where a share group starts, in the partitions that it has begun to read: all records before that are done,
    /// and of those behind it some may be.
    pub async fn share_start_offsets(&self, group: &str) -> Result<OffsetsByPartition, ClientError> {
        let wanted = DescribeShareGroupOffsetsRequestGroup::default()
            .with_group_id(GroupId(text(group)))
            .with_topics(None);
        let request = DescribeShareGroupOffsetsRequest::default().with_groups(vec![wanted]);
        let code_of = |answer: &DescribeShareGroupOffsetsResponse| {
            answer.groups.first().map_or(0, |group| group.error_code)
        };
        let answer = Coordinator::new(&self.cluster, group).call(&request, Duration::ZERO, code_of).await?;
        refuse(group, code_of(&answer), || format!("start offsets of group {group:?}"))?;
        let mut offsets = OffsetsByPartition::new();
        for topic in answer.groups.iter().flat_map(|group| &group.topics) {
            note_starts(group, topic, &mut offsets)?;
        }
        Ok(offsets)
    }

    /// Has a share group without members start elsewhere: what it has acknowledged in these partitions is forgotten.
    pub async fn alter_share_start_offsets(
        &self,
        group: &str,
        offsets: &OffsetsByPartition,
    ) -> Result<(), ClientError> {
        let mut by_topic: BTreeMap<&str, Vec<AlterShareGroupOffsetsRequestPartition>> = BTreeMap::new();
        for ((topic, partition), offset) in offsets {
            let partition = AlterShareGroupOffsetsRequestPartition::default()
                .with_partition_index(partition.0)
                .with_start_offset(offset.get());
            by_topic.entry(topic).or_default().push(partition);
        }
        let topics = by_topic.into_iter().map(|(topic, partitions)| {
            AlterShareGroupOffsetsRequestTopic::default()
                .with_topic_name(TopicName(text(topic)))
                .with_partitions(partitions)
        });
        let request = AlterShareGroupOffsetsRequest::default()
            .with_group_id(GroupId(text(group)))
            .with_topics(topics.collect());
        let code_of = |answer: &AlterShareGroupOffsetsResponse| answer.error_code;
        let answer = Coordinator::new(&self.cluster, group).call(&request, Duration::ZERO, code_of).await?;
        refuse(group, answer.error_code, || format!("start offsets of group {group:?}"))?;
        answer.responses.iter().try_for_each(|topic| {
            topic.partitions.iter().try_for_each(|altered| {
                ClientError::check(altered.error_code, altered.error_message.as_deref(), || {
                    let (topic, partition) = (topic.topic_name.as_str(), altered.partition_index);
                    format!("start offset of group {group:?} in {topic}-{partition}")
                })
            })
        })
    }
}

/// A partition that was not read yet has no start: -1.
fn note_starts(
    group: &str,
    topic: &DescribeShareGroupOffsetsResponseTopic,
    offsets: &mut OffsetsByPartition,
) -> Result<(), ClientError> {
    let name = topic.topic_name.as_str();
    for partition in &topic.partitions {
        let index = PartitionIndex(partition.partition_index);
        ClientError::check(partition.error_code, partition.error_message.as_deref(), || {
            format!("start offset of group {group:?} in {name}-{index}")
        })?;
        if partition.start_offset >= 0 {
            offsets.insert((name.to_owned(), index), Offset(partition.start_offset));
        }
    }
    Ok(())
}

pub(super) async fn describe_share(coordinator: &Coordinator) -> Result<GroupDescription, ClientError> {
    let group = coordinator.key();
    let request = ShareGroupDescribeRequest::default().with_group_ids(vec![GroupId(text(group))]);
    let answer = coordinator
        .call(&request, Duration::ZERO, |answer| answer.groups.first().map_or(0, |group| group.error_code))
        .await?;
    let Some(described) = answer.groups.into_iter().next() else {
        return Err(ClientError::UnknownGroup { group: group.to_owned() });
    };
    refuse(group, described.error_code, || format!("describe group {group:?}"))?;
    Ok(of_share(described))
}

fn of_share(described: DescribedGroup) -> GroupDescription {
    let member = |member: Member| GroupMember {
        member_id: member.member_id.to_string(),
        group_instance_id: None,
        client_id: member.client_id.to_string(),
        client_host: host(&member.client_host),
        member_epoch: Some(member.member_epoch),
        assigned: assigned(&member),
    };
    sorted(GroupDescription {
        group_id: described.group_id.to_string(),
        group_type: GroupType::Share,
        state: described.group_state.to_string(),
        assignor: described.assignor_name.to_string(),
        group_epoch: Some(described.group_epoch),
        members: described.members.into_iter().map(member).collect(),
    })
}

fn assigned(member: &Member) -> BTreeMap<String, Vec<PartitionIndex>> {
    let topics = member.assignment.topic_partitions.iter().map(|topic| {
        let mut partitions: Vec<_> = topic.partitions.iter().copied().map(PartitionIndex).collect();
        partitions.sort_unstable();
        (topic.topic_name.to_string(), partitions)
    });
    topics.collect()
}
