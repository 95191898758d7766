//! The gateway: every broker takes every request, and sends on what others lead.
//!
//! ```text
//! request ─▶ route: whose? ─┬─ here                  ─▶ its handler, as ever
//!                           ├─ one other             ─▶ whole: the client's own bytes there, the answer's bytes back
//!                           ├─ several               ─▶ split: a part to each, answers merged in the request's order
//!                           └─ all (lists)           ─▶ everywhere: the same to each, answers merged by name
//! Produce: `produce.rs`, on streams that keep the order.  Fetch: `fetch.rs`, with one long poll; `nearby.rs` between zones.
//! ```
//!
//! *What came from another broker is never sent on*: it is answered here, or refused as not led here. So a request crosses
//! the mesh once, and two brokers that disagree do not play ball.
//!
//! *What is refused.* Produce is never sent twice: what was not sent is answered NOT_LEADER_OR_FOLLOWER, what may have been
//! carried out REQUEST_TIMED_OUT, which claims nothing. Everything else that finds no answer elsewhere is answered by its handler
//! here, which says in the API's own form that it does not lead. Should this broker have begun to lead meanwhile, it carries
//! it out: that is the repeat that its client would make.
//!
//! *What is led here and not served yet* waits a moment (`route.rs`).
//!
//! *Versions.* A request goes on in the version in which it came. A leader of another release that does not know it says so, and
//! the client hears that.

mod everywhere;
pub(super) mod fetch;
mod groups;
mod nearby;
mod partitions;
pub(super) mod produce;
pub(super) mod route;
mod share;
mod split;
mod streams;
mod transactions;
mod whole;

pub use streams::Streams;

use super::context::Context;
use super::{Admitted, ConnectionInfo, Origin};
use crate::peers::Client;
use crate::wire::api::ApiKey;
use crate::wire::messages::{
    AddPartitionsToTxnRequest, ConsumerGroupDescribeRequest, DeleteGroupsRequest, DeleteRecordsRequest,
    DescribeGroupsRequest, DescribeLogDirsRequest, DescribeProducersRequest,
    DescribeShareGroupOffsetsRequest, DescribeTransactionsRequest, ListGroupsRequest, ListOffsetsRequest,
    ListTransactionsRequest, OffsetFetchRequest, OffsetForLeaderEpochRequest, ShareGroupDescribeRequest,
};
use crate::wire::{RequestFrame, ResponseFrame};
use bytes::{BufMut, Bytes, BytesMut};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// From here on OffsetFetch names several groups.
const MANY_GROUPS_VERSION: i16 = 8;
/// From here on AddPartitionsToTxn names several transactions.
const MANY_TRANSACTIONS_VERSION: i16 = 4;

/// Answers a request with the help of others; none if it is to be answered here alone. Not for Produce and Fetch.
pub(super) async fn admit(
    context: &Arc<Context>,
    connection: &ConnectionInfo,
    api_key: ApiKey,
    frame: &RequestFrame,
) -> Option<Admitted> {
    let version = frame.header.api_version;
    let at = At { context, connection };
    match api_key {
        // What is led here may have to be waited for, also without others.
        ApiKey::ListOffsets => split::split::<ListOffsetsRequest>(at, frame).await,
        ApiKey::OffsetForLeaderEpoch => split::split::<OffsetForLeaderEpochRequest>(at, frame).await,
        ApiKey::DeleteRecords => split::split::<DeleteRecordsRequest>(at, frame).await,
        ApiKey::DescribeProducers => split::split::<DescribeProducersRequest>(at, frame).await,
        _ if !at.may_forward() => None,
        ApiKey::DescribeGroups => split::split::<DescribeGroupsRequest>(at, frame).await,
        ApiKey::DeleteGroups => split::split::<DeleteGroupsRequest>(at, frame).await,
        ApiKey::ConsumerGroupDescribe => split::split::<ConsumerGroupDescribeRequest>(at, frame).await,
        ApiKey::ShareGroupDescribe => split::split::<ShareGroupDescribeRequest>(at, frame).await,
        ApiKey::DescribeShareGroupOffsets => {
            split::split::<DescribeShareGroupOffsetsRequest>(at, frame).await
        }
        ApiKey::OffsetFetch if version >= MANY_GROUPS_VERSION => {
            split::split::<OffsetFetchRequest>(at, frame).await
        }
        ApiKey::DescribeTransactions => split::split::<DescribeTransactionsRequest>(at, frame).await,
        ApiKey::AddPartitionsToTxn if version >= MANY_TRANSACTIONS_VERSION => {
            split::split::<AddPartitionsToTxnRequest>(at, frame).await
        }
        ApiKey::ListGroups => everywhere::ask::<ListGroupsRequest>(at, frame).await,
        ApiKey::ListTransactions => everywhere::ask::<ListTransactionsRequest>(at, frame).await,
        ApiKey::DescribeLogDirs => everywhere::ask::<DescribeLogDirsRequest>(at, frame).await,
        ApiKey::ShareFetch | ApiKey::ShareAcknowledge => share::admit(at, api_key, frame).await,
        _ => whole::admit(at, api_key, frame).await,
    }
}

/// Where a request came in.
#[derive(Clone, Copy)]
pub(super) struct At<'a> {
    pub context: &'a Arc<Context>,
    pub connection: &'a ConnectionInfo,
}

impl<'a> At<'a> {
    /// Whether there are others, and this request may go to them.
    pub fn may_forward(self) -> bool {
        let is_clients = matches!(self.connection.origin, Origin::Client);
        is_clients && self.context.leadership.image().has_others()
    }

    /// Whose request it is.
    pub fn client(self) -> Client<'a> {
        let ConnectionInfo { listener, peer, security, .. } = self.connection;
        Client { listener, address: *peer, security: *security }
    }
}

/// Another broker's answer, as the client gets it.
fn passed_on(answer: Bytes) -> ResponseFrame {
    let mut length = BytesMut::with_capacity(4);
    length.put_u32(u32::try_from(answer.len()).expect("the mesh takes no answer of gigabytes"));
    ResponseFrame { chunks: vec![length.freeze(), answer], permit: None }
}

/// How long another broker may take, by what it may have to wait for.
fn deadline(api_key: ApiKey) -> Instant {
    Instant::now()
        + match api_key {
            // Until all members have come, or the group's leader has said who gets what.
            ApiKey::JoinGroup | ApiKey::SyncGroup => REBALANCE_TIME_MAX,
            ApiKey::DeleteRecords | ApiKey::ShareAcknowledge => LONG_TIME_MAX,
            _ => ANSWER_TIME_MAX,
        }
}

/// Longer than a coordinator waits for its store, and for the session that coordinated before it.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(30);
const LONG_TIME_MAX: Duration = Duration::from_secs(70);
/// As long as a connection may be idle.
const REBALANCE_TIME_MAX: Duration = Duration::from_secs(600);
