//! Fetch, versions 4 to 18, with sessions (KIP-227) and long polls.
//!
//! Here requests are read and answers are named; what goes into them comes from `fetch_here.rs` and from other brokers
//! (`forward/fetch.rs`).

use super::context::Context;
use super::fetch_session::{
    FetchContext, PartitionRef, SessionFault, SessionRequest, Told, TopicRef, Wanted,
};
use super::forward::{self, At};
use super::nearer::Nearer;
use super::{Admitted, ConnectionInfo};
use crate::clock;
use crate::limits::MemoryPermit;
use crate::log::IsolationLevel;
use crate::wire::messages::FetchRequest;
use crate::wire::{
    ErrorCode, FetchAnswer, FetchAnswerPartition, FetchAnswerTopic, RequestFrame, RequestHeader,
    ResponseFrame,
};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Kafka's broker-side `fetch.max.bytes`.
const ANSWER_BYTES_MAX: u64 = 55 * 1024 * 1024;
/// A long poll ends here whatever the client asks for.
const WAIT_MAX: Duration = Duration::from_secs(300);

/// What a request asks for, apart from partitions.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms<'a> {
    pub bytes_min: u64,
    pub bytes_max: u64,
    pub deadline: Instant,
    pub isolation: IsolationLevel,
    /// Whom a consumer of another zone is sent to (KIP-392).
    pub nearer: Option<&'a Nearer>,
}

/// What was fetched: a part for each partition in the order in which they were wanted, and the memory that it takes.
pub(super) struct Fetched {
    pub parts: Vec<FetchAnswerPartition>,
    pub permit: Option<MemoryPermit>,
}

/// Takes a request in; its answer may wait for records.
pub async fn admit(
    context: &Arc<Context>,
    connection: &ConnectionInfo,
    frame: RequestFrame,
    permit: MemoryPermit,
) -> Admitted {
    let request = match frame.decode::<FetchRequest>() {
        Ok(request) => request,
        Err(error) => return super::unreadable(&frame.header, &error),
    };
    let header = frame.header;
    let now = Instant::now();
    let terms = Terms {
        bytes_min: u64::try_from(request.min_bytes).unwrap_or(0),
        bytes_max: u64::try_from(request.max_bytes).unwrap_or(0).min(ANSWER_BYTES_MAX),
        deadline: now + Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0)).min(WAIT_MAX),
        isolation: isolation(request.isolation_level),
        nearer: None,
    };
    let rack = request.rack_id.clone();
    let session = session_request(header.api_version, request);
    match context.fetch_sessions.context(now, clock::random_session_id(), session) {
        Ok(fetch) => {
            let (context, connection) = (Arc::clone(context), connection.clone());
            Admitted::Waiting(Box::pin(async move {
                let at = At { context: &context, connection: &connection };
                let fetched = forward::fetch::fetch(at, &header, terms, &rack, &fetch.wanted).await;
                drop(permit);
                let (answer, permit) = named(&fetch, fetched);
                match answer.encode(&header) {
                    Ok(frame) => frame.holding(permit),
                    Err(error) => super::unencodable(&header, &error),
                }
            }))
        }
        Err(fault) => refuse(&header, fault),
    }
}

/// The protocol's number; anything but 1 shows all, as in Apache Kafka.
pub(super) fn isolation(level: i8) -> IsolationLevel {
    match level {
        1 => IsolationLevel::ReadCommitted,
        _ => IsolationLevel::ReadUncommitted,
    }
}

fn refuse(header: &RequestHeader, fault: SessionFault) -> Admitted {
    let code = match fault {
        SessionFault::Unknown => ErrorCode::FetchSessionIdNotFound,
        SessionFault::WrongEpoch => ErrorCode::InvalidFetchSessionEpoch,
    };
    let answer = FetchAnswer { error_code: code.code(), ..FetchAnswer::default() };
    let frame = answer.encode(header).unwrap_or_else(|error| super::unencodable(header, &error));
    Admitted::Waiting(Box::pin(std::future::ready(frame)))
}

fn session_request(api_version: i16, request: FetchRequest) -> SessionRequest {
    let by_id = api_version >= 13;
    let topic_ref = |name: &str, id| if by_id { TopicRef::Id(id) } else { TopicRef::Name(name.into()) };
    let mut wanted = Vec::new();
    for topic in &request.topics {
        let topic_ref = topic_ref(&topic.topic, topic.topic_id);
        for partition in &topic.partitions {
            let terms = Wanted {
                fetch_offset: partition.fetch_offset,
                bytes_max: partition.partition_max_bytes,
                current_leader_epoch: partition.current_leader_epoch,
            };
            wanted.push(((topic_ref.clone(), partition.partition), terms));
        }
    }
    let forgotten = request.forgotten_topics_data.iter().flat_map(|topic| {
        let topic_ref = topic_ref(&topic.topic, topic.topic_id);
        topic.partitions.iter().map(move |partition| (topic_ref.clone(), *partition))
    });
    let forgotten = forgotten.collect();
    // Sessions came with version 7; before it the fields have values that mean "none".
    SessionRequest { session_id: request.session_id, session_epoch: request.session_epoch, wanted, forgotten }
}

/// The parts that an answer has to name.
fn named(fetch: &FetchContext, fetched: Fetched) -> (FetchAnswer, Option<MemoryPermit>) {
    let mut answer = FetchAnswer { session_id: fetch.session_id, ..FetchAnswer::default() };
    for ((partition_ref, _), part) in fetch.wanted.iter().zip(fetched.parts) {
        let has_records = !part.records.is_empty();
        if fetch.names(partition_ref, told(&part), has_records) {
            push(&mut answer, partition_ref, part);
        }
    }
    (answer, fetched.permit)
}

/// What a fetch session remembers of a part; none of one that has to be named in any case.
fn told(part: &FetchAnswerPartition) -> Option<Told> {
    (part.error_code == 0 && part.preferred_read_replica < 0).then_some(Told {
        high_watermark: part.high_watermark,
        last_stable_offset: part.last_stable_offset,
        log_start_offset: part.log_start_offset,
    })
}

fn push(answer: &mut FetchAnswer, (topic_ref, _): &PartitionRef, part: FetchAnswerPartition) {
    let (name, topic_id) = match topic_ref {
        TopicRef::Name(name) => (&**name, uuid::Uuid::nil()),
        TopicRef::Id(id) => ("", *id),
    };
    match answer.topics.last_mut() {
        Some(topic) if topic.name == name && topic.topic_id == topic_id => topic.partitions.push(part),
        _ => answer.topics.push(FetchAnswerTopic { name: name.to_owned(), topic_id, partitions: vec![part] }),
    }
}

/// So that an answer's bytes count against the memory of fetches until they are written.
trait Holding {
    fn holding(self, permit: Option<MemoryPermit>) -> ResponseFrame;
}

impl Holding for ResponseFrame {
    fn holding(mut self, permit: Option<MemoryPermit>) -> ResponseFrame {
        self.permit = permit.map(Arc::new);
        self
    }
}
