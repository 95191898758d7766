//! ShareFetch and ShareAcknowledge: members of a share group speak with the leader of a partition, and have a session there.
//!
//! Clients name the partitions of one leader in a request, as they connect to each. Where all connections end at a gateway, the
//! first partition says which leader is meant; a request that names none goes where the one before it on its connection went.
//! All go on one stream for each leader, which is the member's connection there: when the client's ends, so does that, and
//! what the member had acquired is given back.

use super::route::{self, Route};
use super::streams::Carries;
use super::{ANSWER_TIME_MAX, At, passed_on};
use crate::cluster::PlacementKey;
use crate::handler::Admitted;
use crate::limits::Purpose;
use crate::types::{PartitionIndex, SessionId, TopicId, TopicPartition};
use crate::wire::RequestFrame;
use crate::wire::api::ApiKey;
use crate::wire::messages::{ShareAcknowledgeRequest, ShareFetchRequest};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout};
use uuid::Uuid;

/// A long poll at the leader ends after that.
const WAIT_MAX: Duration = Duration::from_secs(300);
/// How long memory for an answer is waited for. Then the client is told that there is no session, and asks again: what it had
/// acquired is free when its locks run out.
const MEMORY_WAIT_MAX: Duration = Duration::from_secs(2);

/// Sends it on if another leads what it is about, and answers.
pub(super) async fn admit(at: At<'_>, api_key: ApiKey, frame: &RequestFrame) -> Option<Admitted> {
    let (named, wait_ms) = match api_key {
        ApiKey::ShareFetch => {
            let request = frame.decode::<ShareFetchRequest>().ok()?;
            let mut topics = request.topics.iter();
            let named = topics.find_map(|topic| Some((topic.topic_id, topic.partitions.first()?)));
            (named.map(|(topic, partition)| place(topic, partition.partition_index)), request.max_wait_ms)
        }
        _ => {
            let request = frame.decode::<ShareAcknowledgeRequest>().ok()?;
            let mut topics = request.topics.iter();
            let named = topics.find_map(|topic| Some((topic.topic_id, topic.partitions.first()?)));
            (named.map(|(topic, partition)| place(topic, partition.partition_index)), 0)
        }
    };
    let named = named.map(|partition| route::of_key(at, PlacementKey::partition(partition)));
    let Route::Other(session) = at.context.streams.share_route(at.connection, named) else { return None };
    let wait = Duration::from_millis(u64::try_from(wait_ms).unwrap_or(0)).min(WAIT_MAX);
    send(at, session, frame, Instant::now() + wait + ANSWER_TIME_MAX).await
}

fn place(topic_id: Uuid, index: i32) -> TopicPartition {
    TopicPartition { topic_id: TopicId(topic_id), partition: PartitionIndex(index) }
}

async fn send(at: At<'_>, session: SessionId, frame: &RequestFrame, deadline: Instant) -> Option<Admitted> {
    let request = frame.whole.clone();
    let pending = at.context.streams.send(at, (session, Carries::Share), request, deadline).await;
    let answer = pending.ok()?.wait(deadline).await.ok()?;
    let reserving = at.context.fetch_memory.reserve(answer.len(), Purpose::Other);
    let permit = timeout(MEMORY_WAIT_MAX, reserving).await.ok()?;
    let mut frame = passed_on(answer);
    frame.permit = Some(Arc::new(permit));
    Some(Admitted::Answer(frame))
}
