//! ShareGroupDescribe, version 1: share groups with their members (KIP-932).

use super::authorized;
use super::consumer_group_heartbeat::by_topic;
use super::context::Context;
use super::group_error::{code, group, text};
use crate::group::consumer::PartitionSet;
use crate::group::share::{ShareGroupView, ShareMemberView};
use crate::group::{DescribeShare, GroupError};
use crate::types::TopicId;
use crate::wire::StrBytes;
use crate::wire::messages::share_group_describe_response::{
    Assignment, DescribedGroup, Member, TopicPartitions,
};
use crate::wire::messages::{ShareGroupDescribeRequest, ShareGroupDescribeResponse, TopicName};

/// Answers the request, group by group.
pub async fn handle(context: &Context, request: ShareGroupDescribeRequest) -> ShareGroupDescribeResponse {
    let mut groups = Vec::with_capacity(request.group_ids.len());
    for name in request.group_ids {
        let operations = authorized::on_group(request.include_authorized_operations);
        let of_group = DescribedGroup::default().with_authorized_operations(operations);
        let described = match describe(context, &name).await {
            Ok(view) => found(context, of_group, view),
            Err(error) => {
                let message = match &error {
                    GroupError::GroupIdNotFound => format!("Group {} not found.", name.as_str()),
                    other => other.to_string(),
                };
                of_group.with_error_code(code(&error).code()).with_error_message(Some(text(message)))
            }
        };
        groups.push(described.with_group_id(name));
    }
    ShareGroupDescribeResponse::default().with_groups(groups)
}

/// What is known of a share group.
pub async fn describe(context: &Context, name: &str) -> Result<ShareGroupView, GroupError> {
    let view = context.groups.call(&group(name)?, DescribeShare).await?;
    view.ok_or(GroupError::GroupIdNotFound)
}

fn found(context: &Context, of_group: DescribedGroup, view: ShareGroupView) -> DescribedGroup {
    let members = view.members.into_iter().map(|view| member(context, view));
    of_group
        .with_group_state(StrBytes::from_static_str(view.state.as_str()))
        .with_group_epoch(view.group_epoch)
        .with_assignment_epoch(view.assignment_epoch)
        .with_assignor_name(StrBytes::from_static_str(view.assignor))
        .with_members(members.collect())
}

fn member(context: &Context, view: ShareMemberView) -> Member {
    let names = view.subscribed_topic_names.iter().map(|name| TopicName(text(name)));
    Member::default()
        .with_member_id(text(view.member_id))
        .with_rack_id(view.rack_id.map(text))
        .with_member_epoch(view.member_epoch)
        .with_client_id(text(view.client_id))
        .with_client_host(text(view.client_host))
        .with_subscribed_topic_names(names.collect())
        .with_assignment(assignment(context, &view.assignment))
}

/// A topic that was deleted meanwhile is left out.
fn assignment(context: &Context, partitions: &PartitionSet) -> Assignment {
    let topics = by_topic(partitions).into_iter().filter_map(|(topic_id, indexes)| {
        let topic = context.catalog.by_id(TopicId(topic_id))?;
        let of_topic = TopicPartitions::default().with_topic_id(topic_id).with_partitions(indexes);
        Some(of_topic.with_topic_name(TopicName(text(&topic.name))))
    });
    Assignment::default().with_topic_partitions(topics.collect())
}
