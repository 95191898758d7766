//! Groups with their members, of whichever protocol.

use super::share::describe_share;
use super::{GroupDescription, GroupMember, GroupType, refuse};
use crate::client::admin::text;
use crate::client::coordinator::Coordinator;
use crate::client::embedded::{AssignedPartitions, decode_assignment};
use crate::client::{Admin, ClientError};
use crate::types::PartitionIndex;
use crate::wire::ErrorCode;
use crate::wire::messages::consumer_group_describe_response::{self as consumer, Assignment};
use crate::wire::messages::describe_groups_response::{DescribedGroup, DescribedGroupMember};
use crate::wire::messages::{ConsumerGroupDescribeRequest, DescribeGroupsRequest, GroupId};
use std::time::Duration;

/// The state that older brokers give a group that is not there.
const DEAD: &str = "Dead";

impl Admin {
    /// A group with its members, of whichever protocol it is.
    pub async fn describe_group(&self, group: &str) -> Result<GroupDescription, ClientError> {
        for group_type in [GroupType::Consumer, GroupType::Classic, GroupType::Share] {
            match self.describe_group_of(group, &group_type).await {
                Err(ClientError::UnknownGroup { .. } | ClientError::Unsupported { .. }) => {}
                outcome => return outcome,
            }
        }
        Err(ClientError::UnknownGroup { group: group.to_owned() })
    }

    /// A group whose protocol is known from [`Admin::list_groups`].
    pub async fn describe_group_of(
        &self,
        group: &str,
        group_type: &GroupType,
    ) -> Result<GroupDescription, ClientError> {
        let coordinator = Coordinator::new(&self.cluster, group);
        match group_type {
            GroupType::Consumer => describe_consumer(&coordinator).await,
            GroupType::Classic => describe_classic(&coordinator).await,
            GroupType::Share => describe_share(&coordinator).await,
            GroupType::Other(name) => {
                let what = format!("group {group:?} of type {name}");
                let code = ErrorCode::InvalidRequest;
                let message = "only classic, consumer and share groups can be described".to_owned();
                Err(ClientError::Refused { what, code, message })
            }
        }
    }
}

async fn describe_classic(coordinator: &Coordinator) -> Result<GroupDescription, ClientError> {
    let group = coordinator.key();
    let request = DescribeGroupsRequest::default().with_groups(vec![GroupId(text(group))]);
    let answer = coordinator
        .call(&request, Duration::ZERO, |answer| answer.groups.first().map_or(0, |group| group.error_code))
        .await?;
    let described = answer.groups.into_iter().next();
    let Some(described) =
        described.filter(|found| found.error_code != 0 || found.group_state.as_str() != DEAD)
    else {
        return Err(ClientError::UnknownGroup { group: group.to_owned() });
    };
    refuse(group, described.error_code, || format!("describe group {group:?}"))?;
    Ok(of_classic(described))
}

fn of_classic(described: DescribedGroup) -> GroupDescription {
    let is_consumer = described.protocol_type.as_str() == "consumer";
    let member = |member: DescribedGroupMember| GroupMember {
        member_id: member.member_id.to_string(),
        group_instance_id: member.group_instance_id.map(|id| id.to_string()),
        client_id: member.client_id.to_string(),
        client_host: host(&member.client_host),
        member_epoch: None,
        // Other things than consumers (Connect's workers) share groups, too: theirs are not partitions.
        assigned: decode_assignment(&member.member_assignment).filter(|_| is_consumer).unwrap_or_default(),
    };
    sorted(GroupDescription {
        group_id: described.group_id.to_string(),
        group_type: GroupType::Classic,
        state: described.group_state.to_string(),
        assignor: described.protocol_data.to_string(),
        group_epoch: None,
        members: described.members.into_iter().map(member).collect(),
    })
}

async fn describe_consumer(coordinator: &Coordinator) -> Result<GroupDescription, ClientError> {
    let group = coordinator.key();
    let request = ConsumerGroupDescribeRequest::default().with_group_ids(vec![GroupId(text(group))]);
    let answer = coordinator
        .call(&request, Duration::ZERO, |answer| answer.groups.first().map_or(0, |group| group.error_code))
        .await?;
    let Some(described) = answer.groups.into_iter().next() else {
        return Err(ClientError::UnknownGroup { group: group.to_owned() });
    };
    refuse(group, described.error_code, || format!("describe group {group:?}"))?;
    Ok(of_consumer(described))
}

fn of_consumer(described: consumer::DescribedGroup) -> GroupDescription {
    let member = |member: consumer::Member| GroupMember {
        member_id: member.member_id.to_string(),
        group_instance_id: member.instance_id.map(|id| id.to_string()),
        client_id: member.client_id.to_string(),
        client_host: host(&member.client_host),
        member_epoch: Some(member.member_epoch),
        assigned: assigned(&member.assignment),
    };
    sorted(GroupDescription {
        group_id: described.group_id.to_string(),
        group_type: GroupType::Consumer,
        state: described.group_state.to_string(),
        assignor: described.assignor_name.to_string(),
        group_epoch: Some(described.group_epoch),
        members: described.members.into_iter().map(member).collect(),
    })
}

fn assigned(assignment: &Assignment) -> AssignedPartitions {
    let topics = assignment.topic_partitions.iter().map(|topic| {
        let mut partitions: Vec<_> = topic.partitions.iter().copied().map(PartitionIndex).collect();
        partitions.sort_unstable();
        (topic.topic_name.to_string(), partitions)
    });
    topics.collect()
}

/// Kafka writes addresses as Java does, with a slash before them.
pub(super) fn host(client_host: &str) -> String {
    client_host.trim_start_matches('/').to_owned()
}

pub(super) fn sorted(mut description: GroupDescription) -> GroupDescription {
    description.members.sort_by(|a, b| a.member_id.cmp(&b.member_id));
    description
}
