//! Fetches what this session leads: waits for it, reads it, and says where it ends.
//!
//! Every answer names an end (the high watermark), so each is given only after the session's standing was
//! confirmed by a read that began after the request came. Without the metadata store committed records are
//! still served, and the ends are answered as unknown.

use super::context::Context;
use super::fetch::{Fetched, Terms};
use super::fetch_session::{PartitionRef, TopicRef, Wanted};
use super::forward;
use crate::limits::{MemoryPermit, Purpose};
use crate::log::{
    Ends, FirstBatch, IsolationLevel, Partition, PartitionRead, ReadError, ReadLimit, ReadPlan, Waiter,
};
use crate::topic::Topic;
use crate::types::{Offset, TopicId};
use crate::wire::{AbortedTransaction, ErrorCode, FetchAnswerPartition};
use futures_util::{StreamExt, stream};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Partitions of one fetch that are read at the same time.
const READS_AT_ONCE: usize = 8;

/// A partition on its way to an answer.
struct Sought {
    partition_ref: PartitionRef,
    wanted: Wanted,
    found: Result<Arc<Partition>, ErrorCode>,
}

/// What one look at the log gave for a partition.
enum Look {
    Plan(ReadPlan),
    Refused(ErrorCode),
}

/// Fetches what this session leads, and refuses what it does not.
pub(super) async fn fetch_here(
    context: &Context,
    terms: Terms,
    wanted: &[(PartitionRef, Wanted)],
) -> Fetched {
    let sought = seek(context, wanted, terms.deadline).await;
    let mut looks = look_until_enough(context, &sought, terms).await;
    let permit = reserve(context, planned_bytes(&looks).min(terms.bytes_max)).await;
    if permit.is_none() {
        looks.iter_mut().for_each(Look::hold_back);
    }
    let (reads, confirmed) =
        tokio::join!(read_all(context, &sought, looks, terms), context.standing.confirm());
    let ends_known = confirmed.is_ok();
    let mut parts = Vec::with_capacity(sought.len());
    for (sought, read) in sought.iter().zip(reads) {
        if let (Ok(partition), Ok(read)) = (&sought.found, &read)
            && read.bytes > 0
        {
            context.metrics.fetch_bytes.inc_by(read.bytes);
            context.reader.read_ahead(partition, read.next_span);
        }
        parts.push(answer_partition(sought, read, terms, ends_known));
    }
    Fetched { parts, permit }
}

/// Memory for an answer. Not for ever: the answers before this one on its connection may hold what is wanted,
/// and are written only after those before them. The client is told that there is nothing yet, and asks again.
async fn reserve(context: &Context, bytes: u64) -> Option<MemoryPermit> {
    let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
    tokio::time::timeout(MEMORY_WAIT_MAX, context.fetch_memory.reserve(bytes, Purpose::Other)).await.ok()
}

const MEMORY_WAIT_MAX: Duration = Duration::from_secs(2);

impl Look {
    /// Leaves out the records that were planned.
    fn hold_back(&mut self) {
        if let Look::Plan(plan) = self {
            plan.hold_back();
        }
    }
}

/// Finds the partitions that the fetch wants. What is led here and not served yet is waited for a moment.
async fn seek(context: &Context, wanted: &[(PartitionRef, Wanted)], deadline: Instant) -> Vec<Sought> {
    let mut sought: Vec<Sought> = Vec::with_capacity(wanted.len());
    let mut last: Option<(&TopicRef, Result<Arc<Topic>, ErrorCode>)> = None;
    for (partition_ref, wanted) in wanted {
        let (topic_ref, index) = partition_ref;
        let topic = match &last {
            Some((known, topic)) if *known == topic_ref => topic.clone(),
            _ => resolve(context, topic_ref).await,
        };
        if let Ok(topic) = &topic {
            forward::route::hold(context, [(topic, *index)], deadline).await;
        }
        let found = topic.as_ref().map_err(|code| *code);
        let found = found.and_then(|topic| find(context, topic, *index, wanted.current_leader_epoch));
        last = Some((topic_ref, topic));
        sought.push(Sought { partition_ref: partition_ref.clone(), wanted: *wanted, found });
    }
    sought
}

pub(super) async fn resolve(context: &Context, topic_ref: &TopicRef) -> Result<Arc<Topic>, ErrorCode> {
    match topic_ref {
        TopicRef::Name(name) => context.topic_by_name(name).await,
        TopicRef::Id(id) => context.topic_by_id(TopicId(*id)).await,
    }
}

fn find(
    context: &Context,
    topic: &Topic,
    index: i32,
    leader_epoch: i32,
) -> Result<Arc<Partition>, ErrorCode> {
    let partition = context.partition(topic, index)?;
    context.check_leader_epoch(&partition, leader_epoch)?;
    Ok(partition)
}

/// Looks, and looks again after each commit, until there is enough, something to refuse, or no time.
async fn look_until_enough(context: &Context, sought: &[Sought], terms: Terms) -> Vec<Look> {
    let waiter = Waiter::default();
    if Instant::now() < terms.deadline {
        let partitions = sought.iter().filter_map(|sought| sought.found.as_ref().ok());
        partitions.for_each(|partition| partition.register(&waiter));
    }
    loop {
        let looks: Vec<Look> = sought.iter().map(|sought| look(sought, terms)).collect();
        let refused = looks.iter().any(|look| matches!(look, Look::Refused(_)));
        let enough = planned_bytes(&looks) >= terms.bytes_min || refused;
        if enough || Instant::now() >= terms.deadline || context.stopping.is_cancelled() {
            return looks;
        }
        tokio::select! {
            () = waiter.woken() => {}
            () = context.stopping.cancelled() => {}
            () = tokio::time::sleep_until(terms.deadline) => {}
        }
    }
}

fn look(sought: &Sought, terms: Terms) -> Look {
    let bytes_max = u64::try_from(sought.wanted.bytes_max).unwrap_or(0).min(terms.bytes_max);
    match &sought.found {
        Err(code) => Look::Refused(*code),
        // It is led elsewhere by now, or its topic is gone: the client looks for its leader.
        Ok(partition) if !partition.term().is_open() => Look::Refused(ErrorCode::NotLeaderOrFollower),
        Ok(partition) => {
            let from = Offset(sought.wanted.fetch_offset);
            match partition.read_plan(from, terms.isolation, bytes_max) {
                Ok(plan) => Look::Plan(plan),
                Err(_out_of_range) => Look::Refused(ErrorCode::OffsetOutOfRange),
            }
        }
    }
}

fn planned_bytes(looks: &[Look]) -> u64 {
    looks.iter().map(|look| if let Look::Plan(plan) = look { plan.bytes } else { 0 }).sum()
}

/// Reads what was planned, each partition within its share of the whole answer.
async fn read_all(
    context: &Context,
    sought: &[Sought],
    looks: Vec<Look>,
    terms: Terms,
) -> Vec<Result<PartitionRead, ErrorCode>> {
    let mut left = terms.bytes_max;
    let mut first_batch = FirstBatch::WhateverItsSize;
    let shares = sought.iter().zip(looks).map(|(sought, look)| {
        let mut plan = match look {
            Look::Plan(plan) => plan,
            Look::Refused(code) => return Err(code),
        };
        let partition = sought.found.clone()?;
        let bytes_max = u64::try_from(sought.wanted.bytes_max).unwrap_or(0).min(left);
        let limit = ReadLimit { bytes_max, first_batch };
        // What will not be sent is not read either.
        plan.trim(limit);
        if plan.bytes > 0 {
            // A first batch over the limits is sent all the same, so that the reader gets on (KIP-74).
            first_batch = FirstBatch::WithinLimit;
            left = left.saturating_sub(plan.bytes.min(bytes_max));
        }
        Ok((partition, plan, limit))
    });
    let shares: Vec<_> = shares.collect();
    let reads = shares.into_iter().map(|share| async move {
        let (partition, plan, limit) = share?;
        let read = context.reader.read_or_plan_again(&partition, terms.isolation, &plan, limit).await;
        read.map_err(|error| code_of(&error))?.ok_or(ErrorCode::OffsetOutOfRange)
    });
    stream::iter(reads).buffered(READS_AT_ONCE).collect().await
}

fn code_of(error: &ReadError) -> ErrorCode {
    match error {
        ReadError::Unavailable(_) => ErrorCode::KafkaStorageError,
        ReadError::Missing(_) | ReadError::Damaged(_) => ErrorCode::CorruptMessage,
    }
}

fn answer_partition(
    sought: &Sought,
    read: Result<PartitionRead, ErrorCode>,
    terms: Terms,
    ends_known: bool,
) -> FetchAnswerPartition {
    let partition_index = sought.partition_ref.1;
    // Null for who reads all; a list, be it empty, for who reads what is committed.
    let aborted_transactions = (terms.isolation == IsolationLevel::ReadCommitted).then(Vec::new);
    let refuse = |code: ErrorCode| FetchAnswerPartition {
        partition_index,
        error_code: code.code(),
        aborted_transactions: aborted_transactions.clone(),
        ..FetchAnswerPartition::default()
    };
    let (partition, read) = match (&sought.found, read) {
        (Ok(partition), Ok(read)) => (partition, read),
        (Ok(partition), Err(code)) if names_an_end(code) && !partition.term().is_open() => {
            return refuse(ErrorCode::NotLeaderOrFollower);
        }
        (_, Err(code)) if names_an_end(code) && !ends_known => return refuse(ErrorCode::OffsetNotAvailable),
        (Err(code), _) => return refuse(*code),
        (_, Err(code)) => return refuse(code),
    };
    // Looked at after the standing was confirmed: where the term is open now, nobody else led when this fetch came.
    if !partition.term().is_open() {
        return refuse(ErrorCode::NotLeaderOrFollower);
    }
    if read.batches.is_empty() && !ends_known {
        return refuse(ErrorCode::OffsetNotAvailable);
    }
    let answer = FetchAnswerPartition {
        partition_index,
        aborted_transactions: aborted_transactions.map(|_| aborted(&read)),
        records: read.batches,
        ..FetchAnswerPartition::default()
    };
    if ends_known { with_ends(answer, partition.ends()) } else { answer }
}

/// What the reader has to leave out of the batches that it gets.
fn aborted(read: &PartitionRead) -> Vec<AbortedTransaction> {
    let aborted = read.aborted.iter().map(|transaction| AbortedTransaction {
        producer_id: transaction.producer_id.0,
        first_offset: transaction.first_offset.get(),
    });
    aborted.collect()
}

fn names_an_end(code: ErrorCode) -> bool {
    code == ErrorCode::OffsetOutOfRange
}

fn with_ends(answer: FetchAnswerPartition, ends: Ends) -> FetchAnswerPartition {
    FetchAnswerPartition {
        high_watermark: ends.high_watermark.get(),
        last_stable_offset: ends.last_stable_offset.get(),
        log_start_offset: ends.log_start_offset.get(),
        ..answer
    }
}
