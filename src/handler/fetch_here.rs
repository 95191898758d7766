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
    Ends, FirstBatch, IsolationLevel, Partition, PartitionRead, ReadError, ReadLimit, ReadPlan, Reader,
    Waiter,
};
use crate::topic::Topic;
use crate::types::{BrokerId, Offset, TopicId};
use crate::wire::{AbortedTransaction, ErrorCode, FetchAnswerPartition};
use futures_util::{StreamExt, stream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// Partitions of one fetch that are read at the same time.
const READS_AT_ONCE: usize = 8;
/// No further read of a fetch begins after this time. A consumer of ten thousand partitions of which nothing is in the cache
/// would give up before all are read; what was not read it asks for next.
const READING_MAX: Duration = Duration::from_secs(5);

/// A partition on its way to an answer.
pub(super) struct Sought {
    pub partition_ref: PartitionRef,
    pub wanted: Wanted,
    pub found: Result<Arc<Partition>, ErrorCode>,
    /// Who the consumer is sent to instead (KIP-392).
    nearer: Option<BrokerId>,
}

/// What one look at the log gave for a partition: what to read, or a refusal.
pub(super) type Look = Result<ReadPlan, ErrorCode>;

/// What is read of a partition, within the limits of the whole answer.
pub(super) struct Share {
    pub plan: ReadPlan,
    pub limit: ReadLimit,
}

/// Fetches what this session leads, and refuses what it does not.
pub(super) async fn fetch_here(
    context: &Context,
    terms: Terms<'_>,
    wanted: &[(PartitionRef, Wanted)],
) -> Fetched {
    let sought = seek(context, wanted, terms).await;
    let looks = look_until_enough(context, &sought, terms).await;
    let mut shares = share_out(terms, sought.iter().map(|sought| sought.wanted).zip(looks));
    let permit = reserve(context, terms, &mut shares).await;
    let (reads, confirmed) =
        tokio::join!(read_all(context, &sought, shares, terms), context.standing.confirm());
    let ends_known = confirmed.is_ok();
    let mut parts = Vec::with_capacity(sought.len());
    for (sought, read) in sought.iter().zip(reads) {
        if let (Ok(partition), Ok(read)) = (&sought.found, &read)
            && read.bytes > 0
        {
            context.metrics.fetch_bytes.inc_by(read.bytes);
            context.reader.read_ahead(partition, read.next_span);
        }
        let ends = told_ends(sought, read.as_ref().err().copied(), ends_known);
        let said = ends.and_then(|ends| Ok((ends, read?)));
        let answer = part(sought.partition_ref.1, terms.isolation, said);
        parts.push(match sought.nearer.filter(|_| answer.error_code == 0) {
            Some(nearer) => FetchAnswerPartition { preferred_read_replica: nearer.0, ..answer },
            None => answer,
        });
    }
    Fetched { parts, permit }
}

/// Memory for an answer. Not for ever: the answers before this one on its connection may hold what is wanted,
/// and are written only after those before them. Without it nothing is read: the client is told that there is nothing yet, and
/// asks again.
pub(super) async fn reserve<E>(
    context: &Context,
    terms: Terms<'_>,
    shares: &mut [Result<Share, E>],
) -> Option<MemoryPermit> {
    let planned: u64 = shares.iter().flatten().map(|share| share.plan.bytes).sum();
    let bytes = usize::try_from(planned.min(terms.bytes_max)).unwrap_or(usize::MAX);
    let reserving = context.fetch_memory.reserve(bytes, Purpose::Other);
    let permit = tokio::time::timeout(MEMORY_WAIT_MAX, reserving).await.ok();
    if permit.is_none() {
        shares.iter_mut().flatten().for_each(|share| share.plan.hold_back());
    }
    permit
}

const MEMORY_WAIT_MAX: Duration = Duration::from_secs(2);

/// Finds the partitions that the fetch wants. What is led here and not served yet is waited for a moment.
pub(super) async fn seek(
    context: &Context,
    wanted: &[(PartitionRef, Wanted)],
    terms: Terms<'_>,
) -> Vec<Sought> {
    let mut sought: Vec<Sought> = Vec::with_capacity(wanted.len());
    let mut last: Option<(&TopicRef, Result<Arc<Topic>, ErrorCode>)> = None;
    for (partition_ref, wanted) in wanted {
        let (topic_ref, index) = partition_ref;
        let topic = match &last {
            Some((known, topic)) if *known == topic_ref => topic.clone(),
            _ => resolve(context, topic_ref).await,
        };
        if let Ok(topic) = &topic {
            forward::route::hold(context, [(topic, *index)], terms.deadline).await;
        }
        let found = topic.as_ref().map_err(|code| *code);
        let found = found.and_then(|topic| find(context, topic, *index, wanted.current_leader_epoch));
        let led = found.as_ref().ok();
        let nearer = led.and_then(|partition| terms.nearer?.broker(partition.topic_partition()));
        last = Some((topic_ref, topic));
        sought.push(Sought { partition_ref: partition_ref.clone(), wanted: *wanted, found, nearer });
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

/// Looks, and looks again after each commit, until there is enough, something to refuse, or no time. Who is sent elsewhere
/// does not wait.
pub(super) async fn look_until_enough(context: &Context, sought: &[Sought], terms: Terms<'_>) -> Vec<Look> {
    let waiter = Waiter::default();
    if Instant::now() < terms.deadline {
        let partitions = sought.iter().filter_map(|sought| sought.found.as_ref().ok());
        partitions.for_each(|partition| partition.register(&waiter));
    }
    let is_sent_away = sought.iter().any(|sought| sought.nearer.is_some());
    loop {
        let looks: Vec<Look> = sought.iter().map(|sought| look(sought, terms)).collect();
        let planned: u64 = looks.iter().flatten().map(|plan| plan.bytes).sum();
        let enough = planned >= terms.bytes_min || looks.iter().any(Result::is_err);
        let is_over = Instant::now() >= terms.deadline || context.stopping.is_cancelled();
        if enough || is_sent_away || is_over {
            return looks;
        }
        tokio::select! {
            () = waiter.woken() => {}
            () = context.stopping.cancelled() => {}
            () = tokio::time::sleep_until(terms.deadline) => {}
        }
    }
}

fn look(sought: &Sought, terms: Terms<'_>) -> Look {
    let partition = sought.found.as_ref().map_err(|code| *code)?;
    // It is led elsewhere by now, or its topic is gone: the client looks for its leader.
    if !partition.term().is_open() {
        return Err(ErrorCode::NotLeaderOrFollower);
    }
    let bytes_max = u64::try_from(sought.wanted.bytes_max).unwrap_or(0).min(terms.bytes_max);
    let plan = partition.read_plan(Offset(sought.wanted.fetch_offset), terms.isolation, bytes_max);
    let mut plan = plan.map_err(|_out_of_range| ErrorCode::OffsetOutOfRange)?;
    if sought.nearer.is_some() {
        plan.hold_back();
    }
    Ok(plan)
}

/// Gives each plan its share of the whole answer, and leaves out of it what there is no room for.
pub(super) fn share_out<E>(
    terms: Terms<'_>,
    plans: impl Iterator<Item = (Wanted, Result<ReadPlan, E>)>,
) -> Vec<Result<Share, E>> {
    let mut left = terms.bytes_max;
    let mut first_batch = FirstBatch::WhateverItsSize;
    let shares = plans.map(|(wanted, plan)| {
        let mut plan = plan?;
        let bytes_max = u64::try_from(wanted.bytes_max).unwrap_or(0).min(left);
        let limit = ReadLimit { bytes_max, first_batch };
        // What will not be sent is not read either.
        plan.trim(limit);
        if plan.bytes > 0 {
            // A first batch over the limits is sent all the same, so that the reader gets on (KIP-74).
            first_batch = FirstBatch::WithinLimit;
            left = left.saturating_sub(plan.bytes.min(bytes_max));
        }
        Ok(Share { plan, limit })
    });
    shares.collect()
}

/// Reads what was planned.
async fn read_all(
    context: &Context,
    sought: &[Sought],
    shares: Vec<Result<Share, ErrorCode>>,
    terms: Terms<'_>,
) -> Vec<Result<PartitionRead, ErrorCode>> {
    let read = |place: usize, Share { plan, limit }| async move {
        let partition = sought[place].found.as_ref().map_err(|code| *code)?;
        let read = context.reader.read_or_plan_again(partition, terms.isolation, &plan, limit).await;
        read.map_err(|error| code_of(&error))?.ok_or(ErrorCode::OffsetOutOfRange)
    };
    read_each(&context.reader, shares, read).await
}

/// Reads each share by `read`, which is told its place among all, a few at a time, for as long as a fetch may. What lies side by side
/// in an object is brought by one read of the store.
pub(super) async fn read_each<E, F>(
    reader: &Reader,
    shares: Vec<Result<Share, E>>,
    read: impl Fn(usize, Share) -> F,
) -> Vec<Result<PartitionRead, E>>
where
    F: Future<Output = Result<PartitionRead, E>>,
{
    let until = Instant::now() + READING_MAX;
    // Behind segments the journal is mostly not asked.
    let plans = shares.iter().flatten().map(|share| &share.plan).filter(|plan| plan.segments.is_empty());
    let spans = plans.flat_map(|plan| &plan.spans);
    let _gathered = timeout_at(until, reader.gather(spans)).await;
    let (begun, read) = (AtomicUsize::new(0), &read);
    let begin = |(place, share): (usize, Result<Share, E>)| {
        let begun = &begun;
        async move {
            let mut share = share?;
            // Some are read in any case, so that whoever asks always gets on.
            let is_one_of_many =
                share.plan.bytes > 0 && begun.fetch_add(1, Ordering::Relaxed) >= READS_AT_ONCE;
            if is_one_of_many && Instant::now() >= until {
                share.plan.hold_back();
            }
            read(place, share).await
        }
    };
    stream::iter(shares.into_iter().enumerate().map(begin)).buffered(READS_AT_ONCE).collect().await
}

fn code_of(error: &ReadError) -> ErrorCode {
    match error {
        ReadError::Unavailable(_) => ErrorCode::KafkaStorageError,
        ReadError::Missing(_) | ReadError::Damaged(_) => ErrorCode::CorruptMessage,
    }
}

/// What may be told of a partition's ends, now that the standing was confirmed, or could not be; or why nothing is told of it.
/// `refused` is what there would be to say without that.
pub(super) fn told_ends(
    sought: &Sought,
    refused: Option<ErrorCode>,
    ends_known: bool,
) -> Result<Option<Ends>, ErrorCode> {
    let partition = match (&sought.found, refused) {
        (Ok(partition), Some(code)) if names_an_end(code) && !partition.term().is_open() => {
            return Err(ErrorCode::NotLeaderOrFollower);
        }
        (_, Some(code)) if names_an_end(code) && !ends_known => return Err(ErrorCode::OffsetNotAvailable),
        (Err(code), _) => return Err(*code),
        (_, Some(code)) => return Err(code),
        (Ok(partition), None) => partition,
    };
    // Looked at after the standing was confirmed: where the term is open now, nobody else led when this fetch came.
    if !partition.term().is_open() {
        return Err(ErrorCode::NotLeaderOrFollower);
    }
    Ok(ends_known.then(|| partition.ends()))
}

/// A partition's part of an answer: what was read and its ends, if they are known, or a refusal.
pub(super) fn part(
    partition_index: i32,
    isolation: IsolationLevel,
    said: Result<(Option<Ends>, PartitionRead), ErrorCode>,
) -> FetchAnswerPartition {
    // Null for who reads all; a list, be it empty, for who reads what is committed.
    let is_committed = isolation == IsolationLevel::ReadCommitted;
    let empty = FetchAnswerPartition {
        partition_index,
        aborted_transactions: is_committed.then(Vec::new),
        ..FetchAnswerPartition::default()
    };
    let (ends, read) = match said {
        Ok((None, read)) if read.batches.is_empty() => {
            return FetchAnswerPartition { error_code: ErrorCode::OffsetNotAvailable.code(), ..empty };
        }
        Ok(said) => said,
        Err(code) => return FetchAnswerPartition { error_code: code.code(), ..empty },
    };
    let answer = FetchAnswerPartition {
        aborted_transactions: is_committed.then(|| aborted(&read)),
        records: read.batches,
        ..empty
    };
    match ends {
        Some(ends) => with_ends(answer, ends),
        None => answer,
    }
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
