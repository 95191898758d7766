//! Requests to answers: one file per API, named as Kafka names it.
//!
//! A handler authorizes, splits, asks a room, and translates back. No rule of the log lives here.

mod add_offsets_to_txn;
mod add_partitions_to_txn;
mod alter_configs;
mod alter_share_group_offsets;
mod api_versions;
mod authorized;
mod brokers;
mod catalog_error;
mod config_resource;
mod consumer_group_describe;
mod consumer_group_heartbeat;
mod context;
mod create_partitions;
mod create_topics;
mod delete_groups;
mod delete_records;
mod delete_share_group_offsets;
mod delete_topics;
mod describe_cluster;
mod describe_configs;
mod describe_groups;
mod describe_log_dirs;
mod describe_producers;
mod describe_share_group_offsets;
mod describe_topic_partitions;
mod describe_transactions;
mod end_txn;
mod fetch;
mod fetch_directions;
mod fetch_here;
mod fetch_session;
mod find_coordinator;
mod forward;
mod group_error;
mod group_settings_error;
mod heartbeat;
mod incremental_alter_configs;
mod init_producer_id;
mod join_group;
mod leave_group;
mod list_config_resources;
mod list_groups;
mod list_offsets;
mod list_transactions;
mod metadata;
mod nearer;
mod offset_commit;
mod offset_delete;
mod offset_fetch;
mod offset_for_leader_epoch;
mod produce;
mod share_acknowledge;
mod share_fetch;
mod share_group_describe;
mod share_group_heartbeat;
mod share_session;
mod sync_group;
mod txn_error;
mod txn_offset_commit;
mod verification;
mod zone_hint;

pub use brokers::{MissingListeners, SharedAddresses, follow_shared_addresses};
pub use context::{AdvertisedListener, ClusterInfo, Context};
pub use fetch_session::FetchSessions;
pub use forward::Streams;

use crate::limits::MemoryPermit;
use crate::mesh::{ClientSecurity, MeshName};
use crate::peers::PrivateApi;
use crate::types::ViewNumber;
use crate::wire::api::ApiKey;
use crate::wire::private::{self, PrivateAnswer};
use crate::wire::{
    Decodable, DecodeError, Encodable, EncodeError, HeaderVersion, Request, RequestFrame, RequestHeader,
    ResponseFrame,
};
use arc_swap::ArcSwap;
use futures_util::future::BoxFuture;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// What a handler may know of the connection that a request came on.
#[derive(Clone, Debug)]
pub struct ConnectionInfo {
    /// Number of the connection in this process, from 1.
    pub connection_id: u64,
    /// The name of the listener it came in by: answers that name brokers use its advertised addresses.
    pub listener: String,
    /// The other side: the client, also where another broker speaks for it.
    pub peer: SocketAddr,
    /// How the client's bytes came.
    pub security: ClientSecurity,
    /// Who speaks.
    pub origin: Origin,
    /// Cancelled when the connection has ended, before [`Handle::on_disconnect`].
    pub ended: CancellationToken,
}

/// Who speaks on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A client.
    Client,
    /// Another broker, for a client of its own or for itself. What comes so is answered here or not at all: it is
    /// never sent on.
    Broker {
        /// Which one.
        name: MeshName,
        /// The newest view it knew when the stream began.
        view: ViewNumber,
    },
}

impl ConnectionInfo {
    /// A client's connection.
    #[must_use]
    pub fn of_client(
        connection_id: u64,
        listener: String,
        peer: SocketAddr,
        security: ClientSecurity,
    ) -> ConnectionInfo {
        let (origin, ended) = (Origin::Client, CancellationToken::new());
        ConnectionInfo { connection_id, listener, peer, security, origin, ended }
    }

    /// Where the other side is, as Apache Kafka shows it in a group.
    #[must_use]
    pub fn host(&self) -> String {
        format!("/{}", self.peer.ip())
    }
}

/// What became of a request once its turn came.
pub enum Admitted {
    /// The answer is ready.
    Answer(ResponseFrame),
    /// It was taken in, in its order, and its answer comes later (Produce and Fetch only).
    Waiting(BoxFuture<'static, ResponseFrame>),
    /// Kafka gives no answer to this request (Produce with acks 0).
    Silent,
    /// The request cannot be read, so nothing after it can be trusted: the connection is closed.
    Close,
}

/// Answers requests. One for the whole broker.
pub trait Handle: Send + Sync + 'static {
    /// Takes a request in. The permit is held for as long as the request's bytes are.
    fn admit<'a>(
        &'a self,
        connection: &'a ConnectionInfo,
        request: RequestFrame,
        permit: MemoryPermit,
    ) -> BoxFuture<'a, Admitted>;

    /// The connection has ended; nothing of it will be written any more.
    fn on_disconnect(&self, connection: &ConnectionInfo);
}

/// The broker's answers.
#[derive(Debug)]
pub struct Handler {
    context: ArcSwap<Context>,
}

impl Handler {
    /// Answers from `context`.
    #[must_use]
    pub fn new(context: Arc<Context>) -> Handler {
        Handler { context: ArcSwap::new(context) }
    }

    /// What it answers from now.
    #[must_use]
    pub fn context(&self) -> Arc<Context> {
        self.context.load_full()
    }

    /// Answers from another session's context from now on.
    pub fn replace(&self, context: Arc<Context>) {
        self.context.store(context);
    }
}

impl Handle for Handler {
    fn admit<'a>(
        &'a self,
        connection: &'a ConnectionInfo,
        request: RequestFrame,
        permit: MemoryPermit,
    ) -> BoxFuture<'a, Admitted> {
        let context = self.context.load_full();
        match ApiKey::from_code(request.header.api_key) {
            Some(ApiKey::Produce | ApiKey::Fetch) => {
                Box::pin(async move { admit(&context, connection, request, permit).await })
            }
            _ => {
                let connection = connection.clone();
                Box::pin(to_its_end(async move { admit(&context, &connection, request, permit).await }))
            }
        }
    }

    fn on_disconnect(&self, connection: &ConnectionInfo) {
        let context = self.context.load();
        context.streams.on_disconnect(connection.connection_id);
        context.groups.delivery().on_disconnect(connection.connection_id);
    }
}

/// A change that has begun is carried through, in the metadata store and in memory alike, also when its
/// connection ends meanwhile. What runs on holds its request's memory, so that there cannot be too many.
async fn to_its_end(admitting: impl Future<Output = Admitted> + Send + 'static) -> Admitted {
    match tokio::spawn(admitting).await {
        Ok(admitted) => admitted,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is stopping.
            Err(_) => Admitted::Close,
        },
    }
}

/// One line for each API: read the request, ask its handler, write the answer.
async fn admit(
    context: &Arc<Context>,
    connection: &ConnectionInfo,
    frame: RequestFrame,
    permit: MemoryPermit,
) -> Admitted {
    let header = &frame.header;
    if private::is_private(header.api_key) {
        return answer_broker(context, connection, frame).await;
    }
    let Some(api_key) = ApiKey::from_code(header.api_key).filter(|_| header.is_supported()) else {
        return Admitted::Answer(ResponseFrame::unsupported_version(header));
    };
    forward::route::catch_up(context, connection).await;
    match api_key {
        ApiKey::Produce => produce::admit(context, connection, frame, permit).await,
        ApiKey::Fetch => fetch::admit(context, connection, frame, permit).await,
        _ => match forward::admit(context, connection, api_key, &frame).await {
            Some(admitted) => admitted,
            None => answer_here(context, connection, api_key, &frame).await,
        },
    }
}

/// Answers anything but Produce and Fetch with what this session has.
async fn answer_here(
    context: &Arc<Context>,
    connection: &ConnectionInfo,
    api_key: ApiKey,
    frame: &RequestFrame,
) -> Admitted {
    let header = &frame.header;
    let version = header.api_version;
    match api_key {
        ApiKey::ListOffsets => {
            answer(frame, async |request| list_offsets::handle(context, request, version).await).await
        }
        ApiKey::Metadata => {
            let client_id = header.client_id.as_deref();
            let respond =
                async |request| metadata::handle(context, request, version, client_id, connection).await;
            answer(frame, respond).await
        }
        ApiKey::ApiVersions => answer(frame, async |request| api_versions::handle(&request, version)).await,
        ApiKey::CreateTopics => {
            answer(frame, async |request| create_topics::handle(context, request, version, connection).await)
                .await
        }
        ApiKey::DeleteTopics => {
            answer(frame, async |request| delete_topics::handle(context, request).await).await
        }
        ApiKey::DeleteRecords => {
            answer(frame, async |request| delete_records::handle(context, request).await).await
        }
        ApiKey::InitProducerId => {
            answer(frame, async |request| init_producer_id::handle(context, &request, version).await).await
        }
        ApiKey::OffsetCommit => {
            answer(frame, async |request| offset_commit::handle(context, request, version).await).await
        }
        ApiKey::OffsetFetch => {
            answer(frame, async |request| offset_fetch::handle(context, request, version).await).await
        }
        ApiKey::FindCoordinator => {
            let respond = async |request| find_coordinator::handle(context, &request, version, connection);
            answer(frame, respond).await
        }
        ApiKey::JoinGroup => {
            let client_id = header.client_id.clone();
            let respond =
                async |request| join_group::handle(context, request, version, client_id, connection).await;
            answer(frame, respond).await
        }
        ApiKey::Heartbeat => answer(frame, async |request| heartbeat::handle(context, request).await).await,
        ApiKey::LeaveGroup => {
            answer(frame, async |request| leave_group::handle(context, request, version).await).await
        }
        ApiKey::SyncGroup => {
            answer(frame, async |request| sync_group::handle(context, request, version).await).await
        }
        ApiKey::DescribeGroups => {
            answer(frame, async |request| describe_groups::handle(context, request, version).await).await
        }
        ApiKey::ListGroups => {
            answer(frame, async |request| list_groups::handle(context, &request, version).await).await
        }
        ApiKey::DeleteGroups => {
            answer(frame, async |request| delete_groups::handle(context, request).await).await
        }
        ApiKey::OffsetDelete => {
            answer(frame, async |request| offset_delete::handle(context, request).await).await
        }
        ApiKey::ConsumerGroupHeartbeat => {
            let client_id = header.client_id.clone();
            let respond = async |request| {
                consumer_group_heartbeat::handle(context, request, version, client_id, connection).await
            };
            answer(frame, respond).await
        }
        ApiKey::ConsumerGroupDescribe => {
            answer(frame, async |request| consumer_group_describe::handle(context, request, version).await)
                .await
        }
        ApiKey::OffsetForLeaderEpoch => {
            answer(frame, async |request| offset_for_leader_epoch::handle(context, request).await).await
        }
        ApiKey::DescribeConfigs => {
            answer(frame, async |request| {
                describe_configs::handle(context, request, version, connection).await
            })
            .await
        }
        ApiKey::AlterConfigs => {
            answer(frame, async |request| alter_configs::handle(context, request).await).await
        }
        ApiKey::DescribeLogDirs => {
            answer(frame, async |request| describe_log_dirs::handle(context, request)).await
        }
        ApiKey::CreatePartitions => {
            answer(frame, async |request| create_partitions::handle(context, request, connection).await).await
        }
        ApiKey::IncrementalAlterConfigs => {
            answer(frame, async |request| incremental_alter_configs::handle(context, request).await).await
        }
        ApiKey::ListConfigResources => {
            answer(frame, async |request| {
                list_config_resources::handle(context, &request, version, connection)
            })
            .await
        }
        ApiKey::DescribeCluster => {
            let respond = async |request| describe_cluster::handle(context, &request, version, connection);
            answer(frame, respond).await
        }
        ApiKey::DescribeProducers => {
            answer(frame, async |request| describe_producers::handle(context, request).await).await
        }
        ApiKey::DescribeTopicPartitions => {
            let client_id = header.client_id.as_deref();
            let respond = async |request| {
                describe_topic_partitions::handle(context, request, client_id, connection).await
            };
            answer(frame, respond).await
        }
        ApiKey::AddPartitionsToTxn => {
            answer(frame, async |request| add_partitions_to_txn::handle(context, request, version).await)
                .await
        }
        ApiKey::AddOffsetsToTxn => {
            answer(frame, async |request| add_offsets_to_txn::handle(context, request, version).await).await
        }
        ApiKey::EndTxn => {
            answer(frame, async |request| end_txn::handle(context, &request, version).await).await
        }
        ApiKey::TxnOffsetCommit => {
            answer(frame, async |request| txn_offset_commit::handle(context, request, version).await).await
        }
        ApiKey::DescribeTransactions => {
            answer(frame, async |request| describe_transactions::handle(context, request).await).await
        }
        ApiKey::ListTransactions => {
            answer(frame, async |request| list_transactions::handle(context, &request).await).await
        }
        ApiKey::ShareGroupHeartbeat => {
            let client_id = header.client_id.clone();
            let respond =
                async |request| share_group_heartbeat::handle(context, request, client_id, connection).await;
            answer(frame, respond).await
        }
        ApiKey::ShareGroupDescribe => {
            answer(frame, async |request| share_group_describe::handle(context, request).await).await
        }
        ApiKey::ShareFetch => match frame.decode() {
            Ok(request) => {
                let (response, permit) = share_fetch::handle(context, request, connection).await;
                Admitted::Answer(ResponseFrame { permit, ..encode(header, &response) })
            }
            Err(error) => unreadable(header, &error),
        },
        ApiKey::ShareAcknowledge => {
            answer(frame, async |request| share_acknowledge::handle(context, request, connection).await).await
        }
        ApiKey::DescribeShareGroupOffsets => {
            answer(frame, async |request| describe_share_group_offsets::handle(context, request).await).await
        }
        ApiKey::AlterShareGroupOffsets => {
            answer(frame, async |request| alter_share_group_offsets::handle(context, request).await).await
        }
        ApiKey::DeleteShareGroupOffsets => {
            answer(frame, async |request| delete_share_group_offsets::handle(context, request).await).await
        }
        // Markers are not advertised: coordinators write them. The others have ways of their own.
        ApiKey::WriteTxnMarkers | ApiKey::Produce | ApiKey::Fetch => {
            Admitted::Answer(ResponseFrame::unsupported_version(header))
        }
    }
}

/// What Kafka does not know, which is answered to other brokers alone.
async fn answer_broker(context: &Arc<Context>, connection: &ConnectionInfo, frame: RequestFrame) -> Admitted {
    let RequestFrame { header, body, .. } = frame;
    let Origin::Broker { name, .. } = connection.origin else {
        return Admitted::Answer(ResponseFrame::unsupported_version(&header));
    };
    let number = private::number_of(&header).filter(|_| private::is_known(&header));
    if number == Some(PrivateApi::Directions.number()) {
        // It may wait for records, as a fetch does.
        let (context, connection) = (Arc::clone(context), connection.clone());
        return Admitted::Waiting(Box::pin(async move {
            let answer = fetch_directions::answer(&context, &connection, body).await;
            private::encode_answer(&header, PrivateAnswer::Served(answer))
        }));
    }
    let served = match number {
        Some(number) => context.private.serve(number, name, body).await,
        None => None,
    };
    let answer = served.map_or(PrivateAnswer::NotServed, PrivateAnswer::Served);
    Admitted::Answer(private::encode_answer(&header, answer))
}

/// Reads the request as `Q` and answers with what `respond` says.
async fn answer<Q, R>(frame: &RequestFrame, respond: impl AsyncFnOnce(Q) -> R) -> Admitted
where
    Q: Decodable + Request,
    R: Encodable + HeaderVersion,
{
    match frame.decode::<Q>() {
        Ok(request) => Admitted::Answer(encode(&frame.header, &respond(request).await)),
        Err(error) => unreadable(&frame.header, &error),
    }
}

/// Bytes that are not what their header says: nothing after them on the connection can be trusted.
fn unreadable(header: &RequestHeader, error: &DecodeError) -> Admitted {
    let RequestHeader { api_key, api_version, .. } = *header;
    tracing::warn!(api_key, api_version, %error, "a request cannot be read, its connection is closed");
    Admitted::Close
}

fn encode<R: Encodable + HeaderVersion>(header: &RequestHeader, response: &R) -> ResponseFrame {
    ResponseFrame::encode(header, response).unwrap_or_else(|error| unencodable(header, &error))
}

/// An answer that does not fit its version is a mistake of ours; the client is told so rather than nothing.
fn unencodable(header: &RequestHeader, error: &EncodeError) -> ResponseFrame {
    let RequestHeader { api_key, api_version, .. } = *header;
    tracing::error!(api_key, api_version, %error, "an answer cannot be written");
    ResponseFrame::unsupported_version(header)
}

#[cfg(test)]
mod tests;
