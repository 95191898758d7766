//! Fetch by way of a gateway: the session of the client (KIP-227) is the gateway's; leaders are asked without one.
//!
//! ```text
//! first look   everybody at once, without waiting     enough, or something to refuse? ─▶ the answer
//! long poll    everybody, with what time is left      the first who has enough ends it ─▶ its part, and the others' first look
//! ```
//! The first look is what makes it fair: a leader that always has records at once would otherwise end every poll before
//! another's answer comes. If one leader has all that is asked for, it is asked once, with the client's own terms.
//!
//! Who leads in another zone says where to read, and it is read here (`nearby.rs`).
//!
//! `fetch.min.bytes` is waited for by each leader alone, less what the first look had of all; when the time is over there
//! is what all have together. `fetch.max.bytes` is shared among the leaders in equal parts.

use super::At;
use super::route::{self, Route};
use crate::handler::fetch::{Fetched, Terms};
use crate::handler::fetch_here::{fetch_here, part, resolve};
use crate::handler::fetch_session::{PartitionRef, TopicRef, Wanted};
use crate::handler::nearer::Nearer;
use crate::hashing::HashMap;
use crate::limits::MemoryPermit;
use crate::log::IsolationLevel;
use crate::mesh::{CallError, Unknown};
use crate::types::SessionId;
use crate::wire::messages::fetch_request::{FetchPartition, FetchTopic};
use crate::wire::messages::fetch_response::PartitionData;
use crate::wire::messages::{FetchRequest, FetchResponse, TopicName};
use crate::wire::{
    AbortedTransaction, CurrentLeader, ErrorCode, FetchAnswerPartition, RequestHeader, StrBytes,
    decode_response, encode_request,
};
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream::FuturesUnordered;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// A leader reads from the object store for so long at most, when its wait is over.
const READ_TIME_MAX: Duration = Duration::from_secs(30);
/// A leader that is there answers a long poll so soon after its end, unless it has much to read.
const LATE_MAX: Duration = Duration::from_secs(1);
/// A client that is told at once that a leader is not reached would ask again at once.
const REFUSAL_PAUSE: Duration = Duration::from_millis(200);
const LENGTH_BYTES: usize = 4;

/// What is asked of one leader.
pub(super) struct Ask {
    route: Route,
    /// Partitions by their place in the client's fetch.
    places: Vec<usize>,
    pub(super) wanted: Vec<(PartitionRef, Wanted)>,
}

impl Ask {
    /// Some of it.
    pub(super) fn only(&self, some: &[usize]) -> Ask {
        let places = some.iter().map(|place| self.places[*place]).collect();
        let wanted = some.iter().map(|place| self.wanted[*place].clone()).collect();
        Ask { route: self.route, places, wanted }
    }
}

/// Fetches what is wanted from whoever leads it, for a consumer in `rack`, which may be empty. Parts are in the order of `wanted`.
pub(in crate::handler) async fn fetch(
    at: At<'_>,
    header: &RequestHeader,
    terms: Terms<'_>,
    rack: &str,
    wanted: &[(PartitionRef, Wanted)],
) -> Fetched {
    if !at.may_forward() {
        return fetch_here(at.context, terms, wanted).await;
    }
    let nearer = Nearer::of(at, rack);
    let terms = Terms { nearer: nearer.as_ref(), ..terms };
    let asks = asks(at, wanted).await;
    let gateway = Gateway { at, header, asks: &asks };
    match asks.as_slice() {
        [] => fetch_here(at.context, terms, wanted).await,
        [ask] => {
            let fetched = gateway.ask(ask, terms).await;
            gateway.pause(&fetched.parts, terms.deadline).await;
            fetched
        }
        _ => gateway.fetch(terms, wanted.len()).await,
    }
}

async fn asks(at: At<'_>, wanted: &[(PartitionRef, Wanted)]) -> Vec<Ask> {
    let mut by_route: BTreeMap<Route, Ask> = BTreeMap::new();
    let mut last: Option<(&TopicRef, _)> = None;
    for (place, (partition_ref, of_partition)) in wanted.iter().enumerate() {
        let (topic_ref, index) = partition_ref;
        let topic = match &last {
            Some((known, topic)) if *known == topic_ref => Option::clone(topic),
            _ => resolve(at.context, topic_ref).await.ok(),
        };
        let route = topic.as_ref().map_or(Route::Here, |topic| route::of_partition(at, topic, *index));
        last = Some((topic_ref, topic));
        let ask = by_route.entry(route);
        let ask = ask.or_insert_with(|| Ask { route, places: Vec::new(), wanted: Vec::new() });
        ask.places.push(place);
        ask.wanted.push((partition_ref.clone(), *of_partition));
    }
    by_route.into_values().collect()
}

/// A fetch from several.
pub(super) struct Gateway<'a> {
    pub(super) at: At<'a>,
    header: &'a RequestHeader,
    asks: &'a [Ask],
}

impl Gateway<'_> {
    async fn fetch(&self, terms: Terms<'_>, partitions: usize) -> Fetched {
        let share = terms.bytes_max / u64::try_from(self.asks.len()).unwrap_or(1);
        let terms = Terms { bytes_max: share, ..terms };
        let look = Terms { bytes_min: 0, deadline: Instant::now().min(terms.deadline), ..terms };
        let looks = join_all(self.asks.iter().map(|ask| self.ask(ask, look))).await;
        let mut answers: Vec<Fetched> = looks;
        let found: u64 = answers.iter().map(bytes_of).sum();
        let refused = answers.iter().any(|fetched| is_refused(&fetched.parts));
        if found < terms.bytes_min && !refused && Instant::now() < terms.deadline {
            self.poll(Terms { bytes_min: terms.bytes_min - found, ..terms }, &mut answers).await;
        }
        let mut parts: Vec<Option<FetchAnswerPartition>> = (0..partitions).map(|_| None).collect();
        let mut permits = Vec::new();
        for (ask, fetched) in self.asks.iter().zip(answers) {
            permits.extend(fetched.permit);
            for (place, part) in ask.places.iter().zip(fetched.parts) {
                parts[*place] = Some(part);
            }
        }
        let parts: Vec<_> = parts.into_iter().flatten().collect();
        self.pause(&parts, terms.deadline).await;
        Fetched { parts, permit: MemoryPermit::merged(permits) }
    }

    /// Waits until somebody has enough, or for all; for one that does not answer no longer than a moment after its time. What
    /// comes takes the place of what the first look had.
    async fn poll(&self, terms: Terms<'_>, answers: &mut [Fetched]) {
        let ask = |(place, ask)| async move { (place, self.ask(ask, terms).await) };
        let mut polls: FuturesUnordered<_> = self.asks.iter().enumerate().map(ask).collect();
        while let Ok(Some((place, fetched))) = timeout_at(terms.deadline + LATE_MAX, polls.next()).await {
            let is_enough = bytes_of(&fetched) >= terms.bytes_min || is_refused(&fetched.parts);
            answers[place] = fetched;
            if is_enough {
                return;
            }
        }
    }

    async fn ask(&self, ask: &Ask, terms: Terms<'_>) -> Fetched {
        match ask.route {
            Route::Here => fetch_here(self.at.context, terms, &ask.wanted).await,
            Route::Other(session) if self.at.context.leadership.image().is_in_another_zone(session) => {
                self.ask_nearby(session, ask, terms).await
            }
            Route::Other(session) => self.ask_other(session, ask, terms).await,
        }
    }

    pub(super) async fn ask_other(&self, session: SessionId, ask: &Ask, terms: Terms<'_>) -> Fetched {
        let request = request(ask, terms, self.header.api_version);
        let Ok(frame) = encode_request(self.header, &request) else {
            return refused(ask, terms, ErrorCode::UnknownServerError);
        };
        let (frame, until) =
            (frame.slice(LENGTH_BYTES..), terms.deadline.max(Instant::now()) + READ_TIME_MAX);
        let (context, client) = (self.at.context, self.at.client());
        let called = context.peers.call_within(session, client, frame, until, &context.fetch_memory).await;
        let (answer, permit) = match called {
            Ok(answered) => answered,
            Err(CallError::Unknown(Unknown::Memory)) => {
                return refused(ask, terms, ErrorCode::OffsetNotAvailable);
            }
            Err(error) => {
                tracing::debug!(%session, %error, "a leader has not answered a Fetch");
                return refused(ask, terms, ErrorCode::NotLeaderOrFollower);
            }
        };
        let Some(parts) = read(answer, ask, self.header.api_version) else {
            tracing::warn!(%session, "a leader's answer to Fetch cannot be read");
            return refused(ask, terms, ErrorCode::NotLeaderOrFollower);
        };
        let fetched = Fetched { parts, permit: None };
        // The answer is as long as what it has of records, and a little more.
        if bytes_of(&fetched) > 0 { Fetched { permit, ..fetched } } else { fetched }
    }

    /// Does not send a client away at once when all there is to say is that somebody does not lead: it would be back at once.
    async fn pause(&self, parts: &[FetchAnswerPartition], deadline: Instant) {
        let code = ErrorCode::NotLeaderOrFollower.code();
        let is_refusal = parts.iter().any(|part| part.error_code == code);
        if !is_refusal || parts.iter().any(|part| !part.records.is_empty()) {
            return;
        }
        let mut changes = self.at.context.leadership.changes();
        let until = deadline.min(Instant::now() + REFUSAL_PAUSE);
        // Either way there is something to look at again.
        let _ = timeout_at(until, changes.changed()).await;
    }
}

fn bytes_of(fetched: &Fetched) -> u64 {
    let records = fetched.parts.iter().flat_map(|part| &part.records);
    records.map(|bytes| bytes.len() as u64).sum()
}

fn is_refused(parts: &[FetchAnswerPartition]) -> bool {
    parts.iter().any(|part| part.error_code != 0)
}

pub(super) fn refused(ask: &Ask, terms: Terms<'_>, code: ErrorCode) -> Fetched {
    let refused = |((_, index), _): &(PartitionRef, Wanted)| part(*index, terms.isolation, Err(code));
    Fetched { parts: ask.wanted.iter().map(refused).collect(), permit: None }
}

/// A fetch without a session.
fn request(ask: &Ask, terms: Terms<'_>, api_version: i16) -> FetchRequest {
    let wait = terms.deadline.saturating_duration_since(Instant::now());
    let number = |bytes: u64| i32::try_from(bytes).unwrap_or(i32::MAX);
    let request = FetchRequest::default()
        .with_max_wait_ms(i32::try_from(wait.as_millis()).unwrap_or(i32::MAX))
        .with_min_bytes(number(terms.bytes_min))
        .with_max_bytes(number(terms.bytes_max))
        .with_isolation_level(match terms.isolation {
            IsolationLevel::ReadUncommitted => 0,
            IsolationLevel::ReadCommitted => 1,
        })
        .with_topics(topics(ask));
    // Version 7 brought sessions; before it the fields have these values by default.
    if api_version >= 7 { request.with_session_id(0).with_session_epoch(-1) } else { request }
}

fn topics(ask: &Ask) -> Vec<FetchTopic> {
    let mut topics: Vec<(&TopicRef, FetchTopic)> = Vec::new();
    for ((topic_ref, index), wanted) in &ask.wanted {
        let partition = FetchPartition::default()
            .with_partition(*index)
            .with_current_leader_epoch(wanted.current_leader_epoch)
            .with_fetch_offset(wanted.fetch_offset)
            .with_partition_max_bytes(wanted.bytes_max);
        match topics.last_mut().filter(|(last, _)| *last == topic_ref) {
            Some((_, topic)) => topic.partitions.push(partition),
            None => {
                let topic = FetchTopic::default().with_partitions(vec![partition]);
                let topic = match topic_ref {
                    TopicRef::Name(name) => {
                        topic.with_topic(TopicName(StrBytes::from_string((**name).into())))
                    }
                    TopicRef::Id(id) => topic.with_topic_id(*id),
                };
                topics.push((topic_ref, topic));
            }
        }
    }
    topics.into_iter().map(|(_, topic)| topic).collect()
}

/// What a leader says of each partition, in the order in which it was asked.
fn read(answer: Bytes, ask: &Ask, api_version: i16) -> Option<Vec<FetchAnswerPartition>> {
    let (_, response) = decode_response::<FetchResponse>(answer, api_version).ok()?;
    if response.error_code != 0 {
        return None;
    }
    let mut parts: HashMap<PartitionRef, FetchAnswerPartition> = HashMap::default();
    for topic in response.responses {
        let topic_ref = if api_version >= TOPIC_ID_VERSION {
            TopicRef::Id(topic.topic_id)
        } else {
            TopicRef::Name(topic.topic.as_str().into())
        };
        for data in topic.partitions {
            parts.insert((topic_ref.clone(), data.partition_index), said(data));
        }
    }
    ask.wanted.iter().map(|(partition_ref, _)| parts.remove(partition_ref)).collect()
}

/// From here on topics are named by id.
const TOPIC_ID_VERSION: i16 = 13;

fn said(data: PartitionData) -> FetchAnswerPartition {
    let aborted = data.aborted_transactions.map(|aborted| {
        let aborted = aborted.into_iter().map(|transaction| AbortedTransaction {
            producer_id: transaction.producer_id.0,
            first_offset: transaction.first_offset,
        });
        aborted.collect()
    });
    let leader = data.current_leader;
    FetchAnswerPartition {
        partition_index: data.partition_index,
        error_code: data.error_code,
        high_watermark: data.high_watermark,
        last_stable_offset: data.last_stable_offset,
        log_start_offset: data.log_start_offset,
        aborted_transactions: aborted,
        preferred_read_replica: data.preferred_read_replica.0,
        current_leader: (leader.leader_id.0 >= 0)
            .then_some(CurrentLeader { leader_id: leader.leader_id.0, leader_epoch: leader.leader_epoch }),
        records: data.records.filter(|records| !records.is_empty()).into_iter().collect(),
    }
}
