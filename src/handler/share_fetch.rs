//! ShareFetch, version 1: a member of a share group gets records that nobody else has, and says what became of others
//! (KIP-932).

use super::ConnectionInfo;
use super::context::Context;
use super::group_error::{code, text};
use super::share_session::{
    Acknowledged, Named, acknowledge, by_partition, client, fault_code, fetch_code, find, of_fetch, place,
    release,
};
use crate::group::GroupError;
use crate::group::delivery::{Acquire, Delivered, ShareKey};
use crate::group::share::{
    AcquireLimit, AcquireMode, SHARE_SESSION_OPEN_EPOCH, ShareClient, ShareFetchContext, ShareSessionChange,
};
use crate::limits::MemoryPermit;
use crate::log::{FirstBatch, Waiter};
use crate::types::TopicPartition;
use crate::wire::ErrorCode;
use crate::wire::messages::share_fetch_response::{
    AcquiredRecords, PartitionData, ShareFetchableTopicResponse,
};
use crate::wire::messages::{ShareFetchRequest, ShareFetchResponse};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// An answer never holds more records than this many bytes; with its other parts it must fit a frame.
const ANSWER_BYTES_MAX: u64 = 50 * 1024 * 1024;
/// A long poll ends here whatever the client asks for.
const WAIT_MAX: Duration = Duration::from_secs(300);

/// An answer, and what its records take of the memory for answers.
pub type Answered = (ShareFetchResponse, Option<Arc<MemoryPermit>>);

/// What was found in a partition.
type Found = Result<Delivered, ErrorCode>;

/// What a request asks for, apart from partitions.
struct Terms {
    records_max: usize,
    bytes_max: u64,
    deadline: Instant,
}

/// Answers the request; the answer may wait for records.
pub async fn handle(context: &Context, request: ShareFetchRequest, connection: &ConnectionInfo) -> Answered {
    match answer(context, request, connection).await {
        Ok(answered) => answered,
        Err((code, message)) => {
            let response = ShareFetchResponse::default().with_error_code(code.code());
            (response.with_error_message(Some(text(message))), None)
        }
    }
}

async fn answer(
    context: &Context,
    request: ShareFetchRequest,
    connection: &ConnectionInfo,
) -> Result<Answered, (ErrorCode, String)> {
    let client = client(request.group_id.as_ref(), request.member_id.as_ref(), connection)?;
    let change = change(&request);
    if change.session_epoch == SHARE_SESSION_OPEN_EPOCH {
        check_member(context, &client).await?;
    }
    let fetch = context.groups.delivery().on_fetch(&client, &change);
    let fetch = fetch.map_err(|fault| (fault_code(fault), fault.to_string()))?;
    let acknowledged = acknowledge(context, &client, named(&request)).await;
    let found = match fetch {
        ShareFetchContext::Close { partitions } => {
            release(context, &client, partitions).await;
            Vec::new()
        }
        ShareFetchContext::Fetch { partitions, .. } => {
            let found = fetch_until_found(context, &client, &partitions, &terms(&request)).await;
            keep_only_for_the_living(context, &client, found).await
        }
    };
    let locks = context.groups.delivery().settings().of(&client.key.0).share_partition().lock_duration;
    let (response, permit) = respond(found, acknowledged);
    let locks_ms = i32::try_from(locks.as_millis()).unwrap_or(i32::MAX);
    Ok((response.with_acquisition_lock_timeout_ms(locks_ms), permit))
}

/// Who opens a session is in the group: else it would leave states behind that nobody asked for.
async fn check_member(context: &Context, client: &ShareClient) -> Result<(), (ErrorCode, String)> {
    let (group_id, member_id) = &client.key;
    let refused = |error: GroupError| (code(&error), error.to_string());
    match context.groups.has_share_member(group_id, member_id.clone()).await {
        Ok(true) => Ok(()),
        Ok(false) => Err(refused(GroupError::UnknownMemberId)),
        Err(error) => Err(refused(error)),
    }
}

fn terms(request: &ShareFetchRequest) -> Terms {
    let wait = Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0)).min(WAIT_MAX);
    Terms {
        records_max: usize::try_from(request.max_records).unwrap_or(0),
        bytes_max: u64::try_from(request.max_bytes).unwrap_or(0).min(ANSWER_BYTES_MAX),
        deadline: Instant::now() + wait,
    }
}

fn change(request: &ShareFetchRequest) -> ShareSessionChange {
    let named = request.topics.iter().flat_map(|topic| {
        topic.partitions.iter().map(|partition| place(topic.topic_id, partition.partition_index))
    });
    let forgotten = request
        .forgotten_topics_data
        .iter()
        .flat_map(|topic| topic.partitions.iter().map(|partition| place(topic.topic_id, *partition)));
    let partitions = || request.topics.iter().flat_map(|topic| &topic.partitions);
    ShareSessionChange {
        session_epoch: request.share_session_epoch,
        named: named.collect(),
        forgotten: forgotten.collect(),
        acknowledges: partitions().any(|partition| !partition.acknowledgement_batches.is_empty()),
    }
}

fn named(request: &ShareFetchRequest) -> Named {
    by_partition(request.topics.iter().flat_map(|topic| {
        let acknowledging =
            topic.partitions.iter().filter(|partition| !partition.acknowledgement_batches.is_empty());
        acknowledging.map(|partition| {
            let batches = partition.acknowledgement_batches.iter().map(of_fetch);
            (place(topic.topic_id, partition.partition_index), batches.collect())
        })
    }))
}

/// Looks, and looks again after each commit and whenever others give records back, until there is something, or no
/// time.
async fn fetch_until_found(
    context: &Context,
    client: &ShareClient,
    partitions: &[TopicPartition],
    terms: &Terms,
) -> Vec<(TopicPartition, Found)> {
    let waiter = Waiter::default();
    let mut led = Vec::with_capacity(partitions.len());
    let mut found = Vec::new();
    for partition in partitions {
        match find(context, *partition).await {
            Ok(()) => led.push(*partition),
            Err(code) => found.push((*partition, Err(code))),
        }
    }
    for partition in led.iter().filter_map(|which| context.log.partition(*which)) {
        partition.register(&waiter);
    }
    loop {
        // Another connection may have taken the session over while this one waited.
        if !context.groups.delivery().has_session(client) {
            return found;
        }
        found.extend(fetch_once(context, client, &led, terms, &waiter).await);
        let is_over = Instant::now() >= terms.deadline || context.stopping.is_cancelled();
        if !found.is_empty() || is_over {
            return found;
        }
        tokio::select! {
            () = waiter.woken() => {}
            () = context.stopping.cancelled() => {}
            () = tokio::time::sleep_until(terms.deadline) => {}
        }
    }
}

/// One look at each partition, while there is room in the answer.
async fn fetch_once(
    context: &Context,
    client: &ShareClient,
    partitions: &[TopicPartition],
    terms: &Terms,
    waiter: &Waiter,
) -> Vec<(TopicPartition, Found)> {
    let (group_id, member_id) = &client.key;
    let mut found = Vec::new();
    let (mut records_left, mut bytes_left) = (terms.records_max, terms.bytes_max);
    for partition in partitions {
        if records_left == 0 || bytes_left == 0 {
            break;
        }
        let is_first = bytes_left == terms.bytes_max;
        let acquire = Acquire {
            member_id: member_id.clone(),
            limit: AcquireLimit { records_max: records_left, mode: AcquireMode::BatchOptimized },
            bytes_max: bytes_left,
            first_batch: if is_first { FirstBatch::WhateverItsSize } else { FirstBatch::WithinLimit },
            waiter: Some(waiter.clone()),
        };
        let key = ShareKey { group_id: group_id.clone(), partition: *partition };
        match context.groups.delivery().acquire(&key, acquire).await {
            Ok(delivered) if delivered.acquired.is_empty() => {}
            Ok(delivered) => {
                records_left = records_left.saturating_sub(delivered.records());
                bytes_left = bytes_left.saturating_sub(delivered.bytes);
                context.metrics.fetch_bytes.inc_by(delivered.bytes);
                found.push((*partition, Ok(delivered)));
            }
            Err(error) => found.push((*partition, Err(fetch_code(&error)))),
        }
    }
    found
}

/// A member whose session ended meanwhile will never see this answer: others shall have the records.
async fn keep_only_for_the_living(
    context: &Context,
    client: &ShareClient,
    found: Vec<(TopicPartition, Found)>,
) -> Vec<(TopicPartition, Found)> {
    let delivery = context.groups.delivery();
    if found.is_empty() || delivery.has_session(client) {
        return found;
    }
    let (group_id, member_id) = &client.key;
    for (partition, delivered) in found {
        let Ok(delivered) = delivered else { continue };
        let records = delivered.acquired.into_iter().map(|acquired| acquired.offsets).collect();
        let key = ShareKey { group_id: group_id.clone(), partition };
        delivery.take_back(&key, member_id, records).await;
    }
    Vec::new()
}

fn respond(found: Vec<(TopicPartition, Found)>, acknowledged: Acknowledged) -> Answered {
    let mut partitions: BTreeMap<TopicPartition, PartitionData> = BTreeMap::new();
    let mut permits = Vec::new();
    for (partition, outcome) in acknowledged {
        let data = PartitionData::default().with_partition_index(partition.partition.0);
        let data = match outcome {
            Ok(()) => data,
            Err((code, message)) => data
                .with_acknowledge_error_code(code.code())
                .with_acknowledge_error_message(Some(text(message))),
        };
        partitions.insert(partition, data);
    }
    for (partition, found) in found {
        let data = partitions.remove(&partition).unwrap_or_default();
        let data = data.with_partition_index(partition.partition.0);
        let data = match found {
            Ok(mut delivered) => {
                permits.extend(delivered.permit.take());
                with_records(data, delivered)
            }
            Err(code) => data.with_error_code(code.code()).with_error_message(Some(text(code))),
        };
        partitions.insert(partition, data);
    }
    let permit = MemoryPermit::merged(permits).map(Arc::new);
    (ShareFetchResponse::default().with_responses(by_topic(partitions)), permit)
}

fn with_records(data: PartitionData, delivered: Delivered) -> PartitionData {
    let acquired = delivered.acquired.into_iter().map(|acquired| {
        AcquiredRecords::default()
            .with_first_offset(acquired.offsets.start.get())
            .with_last_offset(acquired.offsets.end.get() - 1)
            .with_delivery_count(acquired.delivery_count)
    });
    data.with_acquired_records(acquired.collect()).with_records(Some(Bytes::from(delivered.batches.concat())))
}

fn by_topic(partitions: BTreeMap<TopicPartition, PartitionData>) -> Vec<ShareFetchableTopicResponse> {
    let mut topics: Vec<ShareFetchableTopicResponse> = Vec::new();
    for (TopicPartition { topic_id, .. }, data) in partitions {
        match topics.last_mut().filter(|topic| topic.topic_id == topic_id.0) {
            Some(topic) => topic.partitions.push(data),
            None => topics.push(
                ShareFetchableTopicResponse::default().with_topic_id(topic_id.0).with_partitions(vec![data]),
            ),
        }
    }
    topics
}
