//! Requests about several groups.

use super::route::Key;
use super::split::Split;
use crate::wire::messages::offset_fetch_request::OffsetFetchRequestGroup;
use crate::wire::messages::offset_fetch_response::OffsetFetchResponseGroup;
use crate::wire::messages::{
    ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse, DeleteGroupsRequest, DeleteGroupsResponse,
    DescribeGroupsRequest, DescribeGroupsResponse, DescribeShareGroupOffsetsRequest,
    DescribeShareGroupOffsetsResponse, GroupId, OffsetFetchRequest, OffsetFetchResponse,
    ShareGroupDescribeRequest, ShareGroupDescribeResponse, consumer_group_describe_response,
    delete_groups_response, describe_groups_response, describe_share_group_offsets_request,
    describe_share_group_offsets_response, share_group_describe_response,
};

/// A list in the request, and one in the answer.
macro_rules! split_by_name {
    ($request:ty { $parts:ident: $part:ty } by $key:expr, $response:ty { $said:ident: $part_said:ty }) => {
        impl Split for $request {
            type Part = $part;
            type Said = $part_said;

            fn parts(&mut self) -> Vec<$part> {
                std::mem::take(&mut self.$parts)
            }

            fn key(part: &$part) -> Key<'_> {
                let key: fn(&$part) -> Key<'_> = $key;
                key(part)
            }

            fn set(&mut self, parts: Vec<$part>) {
                self.$parts = parts;
            }

            fn said(response: &mut $response) -> Vec<$part_said> {
                std::mem::take(&mut response.$said)
            }

            fn merge(response: &mut $response, said: Vec<$part_said>) {
                response.$said = said;
            }
        }
    };
}

pub(super) use split_by_name;

split_by_name!(
    DescribeGroupsRequest { groups: GroupId } by |name| Key::Group(name),
    DescribeGroupsResponse { groups: describe_groups_response::DescribedGroup }
);
split_by_name!(
    DeleteGroupsRequest { groups_names: GroupId } by |name| Key::Group(name),
    DeleteGroupsResponse { results: delete_groups_response::DeletableGroupResult }
);
split_by_name!(
    ConsumerGroupDescribeRequest { group_ids: GroupId } by |name| Key::Group(name),
    ConsumerGroupDescribeResponse { groups: consumer_group_describe_response::DescribedGroup }
);
split_by_name!(
    ShareGroupDescribeRequest { group_ids: GroupId } by |name| Key::Group(name),
    ShareGroupDescribeResponse { groups: share_group_describe_response::DescribedGroup }
);
split_by_name!(
    OffsetFetchRequest { groups: OffsetFetchRequestGroup } by |group| Key::Group(&group.group_id),
    OffsetFetchResponse { groups: OffsetFetchResponseGroup }
);
split_by_name!(
    DescribeShareGroupOffsetsRequest {
        groups: describe_share_group_offsets_request::DescribeShareGroupOffsetsRequestGroup
    } by |group| Key::Group(&group.group_id),
    DescribeShareGroupOffsetsResponse {
        groups: describe_share_group_offsets_response::DescribeShareGroupOffsetsResponseGroup
    }
);
