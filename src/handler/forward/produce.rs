//! Produce by way of a gateway: each leader gets its partitions on a stream of this client's connection to it, in the order
//! in which requests came.
//!
//! Nothing is sent twice. A part that was not sent is answered NOT_LEADER_OR_FOLLOWER, and of one whose outcome is not known
//! REQUEST_TIMED_OUT is said: the error that clients repeat with the same sequence and that claims nothing. (Not Kafka's
//! NETWORK_EXCEPTION: librdkafka takes that for final, and for "not stored".) Repeats are found out by the leader, as always.

use super::At;
use super::route::{self, Route};
use super::streams::Carries;
use crate::handler::{ConnectionInfo, context::Context};
use crate::limits::MemoryPermit;
use crate::mesh::{CallError, NotSent, PendingAnswer};
use crate::topic::Topic;
use crate::types::{SessionId, TopicId};
use crate::wire::messages::produce_request::TopicProduceData;
use crate::wire::messages::produce_response::{PartitionProduceResponse, TopicProduceResponse};
use crate::wire::messages::{ProduceRequest, ProduceResponse};
use crate::wire::{ErrorCode, RequestFrame, RequestHeader, StrBytes, decode_response, encode_request};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// The leader answers by itself when the client's time is over; what it says may take a moment.
const LATE_MAX: Duration = Duration::from_secs(1);
/// From here on topics are named by id.
const TOPIC_ID_VERSION: i16 = 13;
/// The version's length field.
const LENGTH_BYTES: usize = 4;

/// What of a request others have.
#[derive(Default)]
pub(in crate::handler) struct Elsewhere {
    sent: Vec<Sent>,
}

/// What one of them has.
struct Sent {
    /// Topics by their place in the client's request, with the partitions of each.
    topics: Vec<(usize, Vec<i32>)>,
    /// Nothing where no answer comes.
    answer: Result<Option<(PendingAnswer, MemoryPermit)>, NotSent>,
}

/// Sends on what others lead, and takes it out of the request; a topic of which nothing is left stays in its place.
pub(in crate::handler) async fn send(
    context: &Arc<Context>,
    connection: &ConnectionInfo,
    frame: &RequestFrame,
    request: &mut ProduceRequest,
    deadline: Instant,
) -> Elsewhere {
    let at = At { context, connection };
    if !at.may_forward() {
        return Elsewhere::default();
    }
    let parts = take_parts(at, frame.header.api_version, request).await;
    let is_all = parts.len() == 1 && request.topic_data.iter().all(|topic| topic.partition_data.is_empty());
    let mut sent = Vec::with_capacity(parts.len());
    for (session, topics) in parts {
        let places = topics.iter().map(|(place, topic)| {
            (*place, topic.partition_data.iter().map(|partition| partition.index).collect())
        });
        let places = places.collect();
        let bytes = if is_all { Some(frame.whole.clone()) } else { encode(&frame.header, request, topics) };
        let answer = match bytes {
            Some(bytes) => send_one(at, session, bytes, request.acks, deadline).await,
            None => Err(NotSent::Frame(0)),
        };
        if let Err(error) = &answer {
            tracing::debug!(%session, %error, "a part of a Produce request was not sent to its leader");
        }
        sent.push(Sent { topics: places, answer });
    }
    Elsewhere { sent }
}

/// Topics by their place, for each leader.
type Parts = BTreeMap<SessionId, Vec<(usize, TopicProduceData)>>;

async fn take_parts(at: At<'_>, api_version: i16, request: &mut ProduceRequest) -> Parts {
    let mut parts = Parts::new();
    for (place, topic) in request.topic_data.iter_mut().enumerate() {
        // One that is not known is refused by its own way.
        let Ok(known) = find(at.context, api_version, topic).await else { continue };
        let route_of = |index| route::of_partition(at, &known, index);
        if topic.partition_data.iter().all(|data| route_of(data.index) == Route::Here) {
            continue;
        }
        for data in std::mem::take(&mut topic.partition_data) {
            let Route::Other(session) = route_of(data.index) else {
                topic.partition_data.push(data);
                continue;
            };
            let of_leader = parts.entry(session).or_default();
            match of_leader.last_mut().filter(|(last, _)| *last == place) {
                Some((_, part)) => part.partition_data.push(data),
                None => {
                    let part = TopicProduceData::default()
                        .with_name(topic.name.clone())
                        .with_topic_id(topic.topic_id)
                        .with_partition_data(vec![data]);
                    of_leader.push((place, part));
                }
            }
        }
    }
    parts
}

async fn find(
    context: &Context,
    api_version: i16,
    topic: &TopicProduceData,
) -> Result<Arc<Topic>, ErrorCode> {
    if api_version >= TOPIC_ID_VERSION {
        context.topic_by_id(TopicId(topic.topic_id)).await
    } else {
        context.topic_by_name(&topic.name).await
    }
}

/// The request with these topics alone.
fn encode(
    header: &RequestHeader,
    request: &ProduceRequest,
    topics: Vec<(usize, TopicProduceData)>,
) -> Option<Bytes> {
    let part = ProduceRequest::default()
        .with_transactional_id(request.transactional_id.clone())
        .with_acks(request.acks)
        .with_timeout_ms(request.timeout_ms)
        .with_topic_data(topics.into_iter().map(|(_, topic)| topic).collect());
    encode_request(header, &part).ok().map(|frame| frame.slice(LENGTH_BYTES..))
}

async fn send_one(
    at: At<'_>,
    session: SessionId,
    request: Bytes,
    acks: i16,
    deadline: Instant,
) -> Result<Option<(PendingAnswer, MemoryPermit)>, NotSent> {
    let (streams, to) = (&at.context.streams, (session, Carries::Produce));
    let room = at.context.peers.room(session, request.len(), deadline).await?;
    if acks == 0 {
        return streams.send_unanswered(at, to, request, deadline).await.map(|()| None);
    }
    let pending = streams.send(at, to, request, deadline).await?;
    Ok(Some((pending, room)))
}

impl Elsewhere {
    /// Whether everything has left that had to.
    pub(in crate::handler) fn is_all_sent(&self) -> bool {
        self.sent.iter().all(|sent| sent.answer.is_ok())
    }

    /// Adds what the others answer to `responses`, which has the client's topics in their places.
    pub(in crate::handler) async fn add_to(
        self,
        responses: &mut [TopicProduceResponse],
        api_version: i16,
        deadline: Instant,
    ) {
        for sent in self.sent {
            for (place, answers) in sent.answers(api_version, deadline + LATE_MAX).await {
                responses[place].partition_responses.extend(answers);
            }
        }
    }
}

impl Sent {
    async fn answers(
        self,
        api_version: i16,
        deadline: Instant,
    ) -> Vec<(usize, Vec<PartitionProduceResponse>)> {
        let answered = match self.answer {
            Ok(Some((pending, _room))) => pending.wait(deadline).await,
            Ok(None) => Err(NotSent::Deadline.into()),
            Err(error) => Err(error.into()),
        };
        let said = answered.map(|bytes| decode_response::<ProduceResponse>(bytes, api_version));
        let (mut said, code) = match said {
            Ok(Ok((_, response))) => (response.responses, ErrorCode::RequestTimedOut),
            Ok(Err(error)) => {
                tracing::warn!(%error, "a leader's answer to Produce cannot be read");
                (Vec::new(), ErrorCode::RequestTimedOut)
            }
            Err(CallError::NotSent(_)) => (Vec::new(), ErrorCode::NotLeaderOrFollower),
            Err(CallError::Unknown(error)) => {
                tracing::debug!(%error, "what became of a part of a Produce request is not known");
                (Vec::new(), ErrorCode::RequestTimedOut)
            }
        };
        said.reverse();
        let topics = self.topics.into_iter().map(|(place, indexes)| {
            let said = said.pop().map(|topic| topic.partition_responses).unwrap_or_default();
            (place, complete(indexes, said, code))
        });
        topics.collect()
    }
}

/// What is said of each partition; `code` where nothing is.
fn complete(
    indexes: Vec<i32>,
    mut said: Vec<PartitionProduceResponse>,
    code: ErrorCode,
) -> Vec<PartitionProduceResponse> {
    let answers = indexes.into_iter().map(|index| match said.iter().position(|said| said.index == index) {
        Some(found) => said.swap_remove(found),
        None => PartitionProduceResponse::default()
            .with_index(index)
            .with_error_code(code.code())
            .with_base_offset(-1)
            .with_log_append_time_ms(-1)
            .with_log_start_offset(-1)
            .with_error_message(Some(StrBytes::from_static_str(why(code)))),
    });
    answers.collect()
}

fn why(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::NotLeaderOrFollower => "the partition's leader could not be reached",
        _ => "not known to be stored: the partition's leader has not answered",
    }
}
