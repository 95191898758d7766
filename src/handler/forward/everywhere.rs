//! Lists of which each broker has a part: all are asked, and what they say is put together by name.

use super::{At, deadline};
use crate::cluster::PlacementKey;
use crate::handler::{Admitted, answer_here};
use crate::wire::api::ApiKey;
use crate::wire::messages::describe_log_dirs_response::DescribeLogDirsTopic;
use crate::wire::messages::list_groups_response::ListedGroup;
use crate::wire::messages::list_transactions_response::TransactionState;
use crate::wire::messages::{
    DescribeLogDirsRequest, DescribeLogDirsResponse, ListGroupsRequest, ListGroupsResponse,
    ListTransactionsRequest, ListTransactionsResponse,
};
use crate::wire::{ErrorCode, HeaderVersion, Request, RequestFrame, decode_response};
use bytes::{Buf, Bytes};
use futures_util::future::join_all;
use std::collections::BTreeMap;

/// A request that each broker answers for itself.
pub(super) trait Everywhere: Request<Response: Send + HeaderVersion> {
    /// Adds what another broker says. `is_its` tells whether a name is the business of whoever says this.
    fn add(response: &mut Self::Response, said: Self::Response, is_its: &dyn Fn(PlacementKey) -> bool);
    /// Says that somebody has said nothing.
    fn lacks(response: &mut Self::Response);
}

/// Asks all members.
pub(super) async fn ask<Q: Everywhere>(at: At<'_>, frame: &RequestFrame) -> Option<Admitted> {
    let api_key = ApiKey::from_code(frame.header.api_key)?;
    let version = frame.header.api_version;
    let image = at.context.leadership.image();
    let own = at.context.leadership.own();
    let others = image.members().iter().map(|member| member.session).filter(|session| *session != own);
    let asked = others.map(|session| async move {
        let request = frame.whole.clone();
        let answer = at.context.peers.call(session, at.client(), request, deadline(api_key)).await;
        let read = |answer| decode_response::<Q::Response>(answer, version).ok();
        (session, answer.ok().and_then(read).map(|(_, said)| said))
    });
    let (here, others) =
        tokio::join!(Box::pin(answer_here(at.context, at.connection, api_key, frame)), join_all(asked));
    let Admitted::Answer(here) = here else { return Some(here) };
    let mut bytes = Bytes::from(here.chunks.concat());
    bytes.advance(LENGTH_BYTES);
    let (_, mut response) = decode_response::<Q::Response>(bytes, version).ok()?;
    for (session, said) in others {
        let is_its = |key| image.leading_member(key).is_some_and(|member| member.session == session);
        match said {
            Some(said) => Q::add(&mut response, said, &is_its),
            None => Q::lacks(&mut response),
        }
    }
    Some(Admitted::Answer(crate::handler::encode(&frame.header, &response)))
}

const LENGTH_BYTES: usize = 4;

/// Adds `said` to `listed`: a name that is there already is replaced by the word of whose business it is.
fn add_by_name<T>(
    listed: &mut Vec<T>,
    said: Vec<T>,
    name: impl Fn(&T) -> String,
    is_its: impl Fn(&str) -> bool,
) {
    let mut places: BTreeMap<String, usize> =
        listed.iter().enumerate().map(|(place, item)| (name(item), place)).collect();
    for item in said {
        let key = name(&item);
        match places.get(&key) {
            Some(place) if is_its(&key) => listed[*place] = item,
            Some(_) => {}
            None => {
                places.insert(key, listed.len());
                listed.push(item);
            }
        }
    }
}

impl Everywhere for ListGroupsRequest {
    fn add(
        response: &mut ListGroupsResponse,
        said: ListGroupsResponse,
        is_its: &dyn Fn(PlacementKey) -> bool,
    ) {
        if said.error_code != 0 {
            response.error_code = said.error_code;
        }
        let name = |group: &ListedGroup| group.group_id.to_string();
        add_by_name(&mut response.groups, said.groups, name, |group| is_its(PlacementKey::group(group)));
    }

    fn lacks(response: &mut ListGroupsResponse) {
        response.error_code = ErrorCode::CoordinatorNotAvailable.code();
    }
}

impl Everywhere for ListTransactionsRequest {
    fn add(
        response: &mut ListTransactionsResponse,
        said: ListTransactionsResponse,
        is_its: &dyn Fn(PlacementKey) -> bool,
    ) {
        if said.error_code != 0 {
            response.error_code = said.error_code;
        }
        let name = |state: &TransactionState| state.transactional_id.to_string();
        let is_its = |id: &str| is_its(PlacementKey::transactional_id(id));
        add_by_name(&mut response.transaction_states, said.transaction_states, name, is_its);
    }

    fn lacks(response: &mut ListTransactionsResponse) {
        response.error_code = ErrorCode::CoordinatorNotAvailable.code();
    }
}

impl Everywhere for DescribeLogDirsRequest {
    fn add(
        response: &mut DescribeLogDirsResponse,
        said: DescribeLogDirsResponse,
        _: &dyn Fn(PlacementKey) -> bool,
    ) {
        // There is one directory: the store.
        let Some(listed) = response.results.first_mut() else { return };
        for topic in said.results.into_iter().flat_map(|result| result.topics) {
            match listed.topics.iter_mut().find(|known| known.name == topic.name) {
                Some(known) => add_partitions(known, topic),
                None => listed.topics.push(topic),
            }
        }
    }

    /// What it leads is missing, as what is not there would be.
    fn lacks(_: &mut DescribeLogDirsResponse) {}
}

fn add_partitions(known: &mut DescribeLogDirsTopic, topic: DescribeLogDirsTopic) {
    for partition in topic.partitions {
        let index = partition.partition_index;
        if !known.partitions.iter().any(|known| known.partition_index == index) {
            known.partitions.push(partition);
        }
    }
}
