//! The task that owns one partition of one share group: it takes what is in the mailbox, reads the log for members,
//! stores what has changed, and answers.

use super::call::{Acquire, Call, Delivered, DeliveryError, Reply};
use super::{ShareKey, Shared, stored};
use crate::group::settings::AutoOffsetReset;
use crate::group::share::{AcknowledgeError, Acquired, LogRead, SharePartition, Unsaved};
use crate::group::stored::UnreadableGroup;
use crate::limits::{MemoryPermit, Purpose};
use crate::log::{
    DataBatches, IsolationLevel, Partition, PartitionRead, ReadError, ReadLimit, TimeQuery, Waiters,
    data_batches,
};
use crate::meta::{Change, Compare, MetadataError, Revision, SettleError, Settled, StandingError, Write};
use crate::types::{Offset, Timestamp};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// One share partition's task.
pub(super) struct DeliveryTask {
    key: ShareKey,
    shared: Arc<Shared>,
    /// Answers that go out once what has changed is stored.
    after: Vec<Box<dyn FnOnce() + Send>>,
    /// Whether one of them tells what is stored already: then the standing is confirmed first.
    tells: bool,
    /// Fetches that found nothing.
    waiters: Waiters,
    /// Whether they may find something once what has changed is stored.
    gives_back: bool,
}

/// The state, and what of it is stored.
#[derive(Default)]
struct Kept {
    /// None: no member has fetched yet.
    share: Option<SharePartition>,
    revision: Option<Revision>,
}

/// Why a share partition cannot be read or written. What was asked of it meanwhile is not known to have happened.
#[derive(Debug, thiserror::Error)]
enum KeepError {
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    #[error(transparent)]
    Unreadable(#[from] UnreadableGroup),
    #[error(transparent)]
    Settle(#[from] SettleError),
    #[error(transparent)]
    Standing(#[from] StandingError),
    #[error("another broker has changed the share partition")]
    Changed,
}

/// What woke the task.
enum Woken {
    By(Box<Call>),
    Time,
    Closed,
}

/// Requests that are looked at before the state is stored.
const BURST_MAX: usize = 64;
/// A share partition that nobody asks for anything ends its task after this, unless somebody has records or waits.
const QUIET_MAX: Duration = Duration::from_secs(60);
/// What is read of the log at once, in bytes: members get more by asking again.
const READ_BYTES_MAX: u64 = 1024 * 1024;
/// Reads of one request that bring nothing: markers, and what was aborted.
const READS_MAX: usize = 64;
/// How long a member waits for memory; it asks again.
const MEMORY_WAIT_MAX: Duration = Duration::from_secs(1);

impl DeliveryTask {
    pub fn new(key: ShareKey, shared: Arc<Shared>) -> DeliveryTask {
        DeliveryTask {
            key,
            shared,
            after: Vec::new(),
            tells: false,
            waiters: Waiters::default(),
            gives_back: false,
        }
    }

    /// Runs until nobody needs it, or delivery is closed.
    pub async fn run(mut self, mut calls: mpsc::Receiver<Call>) {
        let mut kept = None;
        let mut quiet_since = Instant::now();
        loop {
            let woken = self.wake(&mut calls, kept.as_ref(), quiet_since).await;
            if matches!(woken, Woken::Closed) {
                return;
            }
            let own = match self.loaded(&mut kept).await {
                Ok(own) => own,
                Err(error) => {
                    tracing::error!(group = %self.key.group_id, %error, "a share partition cannot be read");
                    // The call that woke it is dropped, which answers it; so are those behind it.
                    while calls.try_recv().is_ok() {}
                    if self.shared.mailboxes.retire(&self.key, &calls) {
                        return;
                    }
                    continue;
                }
            };
            if let Woken::By(call) = woken {
                quiet_since = Instant::now();
                self.on_calls(own, *call, &mut calls).await;
            } else {
                self.on_time(own);
            }
            if let Err(error) = self.store(own).await {
                tracing::warn!(group = %self.key.group_id, %error, "a share partition could not be stored, it is read again");
                self.after.clear();
                self.tells = false;
                self.waiters.wake();
                kept = None;
            }
            let is_quiet = quiet_since.elapsed() >= QUIET_MAX && !self.waiters.any();
            let has_records = kept.as_ref().is_some_and(|kept| kept.next_deadline().is_some());
            if is_quiet && !has_records && self.shared.mailboxes.retire(&self.key, &calls) {
                return;
            }
        }
    }

    async fn wake(
        &mut self,
        calls: &mut mpsc::Receiver<Call>,
        kept: Option<&Kept>,
        quiet_since: Instant,
    ) -> Woken {
        let quiet = (quiet_since + QUIET_MAX).max(Instant::now() + QUIET_MAX / 4);
        let deadline = kept.and_then(Kept::next_deadline);
        let deadline = deadline.map_or(quiet, |at| self.shared.origin + at.0);
        tokio::select! {
            call = calls.recv() => call.map_or(Woken::Closed, |call| Woken::By(Box::new(call))),
            () = tokio::time::sleep_until(deadline) => Woken::Time,
        }
    }

    async fn loaded<'a>(&mut self, kept: &'a mut Option<Kept>) -> Result<&'a mut Kept, KeepError> {
        if kept.is_none() {
            let mut loaded = Kept::default();
            if let Some(entry) = self.shared.store.get(&stored::key(&self.key)).await? {
                let (_, stored) = stored::decode(&entry)?;
                let settings = self.shared.settings.of(&self.key.group_id);
                let unreadable =
                    |error| UnreadableGroup { key: entry.key.clone(), reason: format!("{error}") };
                let share = SharePartition::restore(&stored, settings.share_partition());
                loaded.share = Some(share.map_err(unreadable)?);
                loaded.revision = Some(entry.mod_revision);
            }
            *kept = Some(loaded);
        }
        Ok(kept.as_mut().expect("it was just loaded"))
    }

    /// Takes the call that woke it, and those that came with it.
    async fn on_calls(&mut self, own: &mut Kept, first: Call, calls: &mut mpsc::Receiver<Call>) {
        if let Some(share) = &mut own.share {
            share.configure(self.shared.settings.of(&self.key.group_id).share_partition());
        }
        self.on_time(own);
        self.on_call(own, first).await;
        for _ in 1..BURST_MAX {
            let Ok(call) = calls.try_recv() else { break };
            self.on_call(own, call).await;
        }
    }

    async fn on_call(&mut self, own: &mut Kept, call: Call) {
        match call {
            Call::Acquire(request, reply) => {
                if let Some(waiter) = &request.waiter {
                    self.waiters.register(waiter);
                }
                let delivered = self.acquire(own, &request).await;
                self.answer(reply, delivered);
            }
            Call::Acknowledge(member_id, acknowledgements, reply) => {
                self.tells = true;
                let now = self.shared.now();
                let done = match (&mut own.share, acknowledgements.first()) {
                    (Some(share), _) => share.acknowledge(now, &member_id, &acknowledgements),
                    (None, None) => Ok(()),
                    (None, Some(first)) => {
                        Err(AcknowledgeError::InvalidRecordState { at: first.offsets().start })
                    }
                };
                self.answer_changed(reply, done.map_err(DeliveryError::from));
            }
            Call::Release(member_id, attempt, reply) => {
                if let Some(share) = &mut own.share {
                    share.release_all(&member_id, attempt);
                }
                self.answer_changed(reply, Ok(()));
            }
            Call::Alter(start, reply) => {
                match &mut own.share {
                    Some(share) => share.alter(start),
                    none => *none = Some(self.new_share(start)),
                }
                self.answer_changed(reply, Ok(()));
            }
            Call::Delete(reply) => {
                own.share = None;
                self.answer_changed(reply, Ok(()));
            }
        }
    }

    fn on_time(&mut self, own: &mut Kept) {
        let Some(share) = &mut own.share else { return };
        let now = self.shared.now();
        if share.next_deadline().is_some_and(|deadline| deadline <= now) {
            share.on_time(now);
            self.gives_back = true;
        }
    }

    async fn acquire(&mut self, own: &mut Kept, request: &Acquire) -> Result<Delivered, DeliveryError> {
        let partition =
            self.shared.log.partition(self.key.partition).ok_or(DeliveryError::UnknownPartition)?;
        let isolation = self.shared.settings.of(&self.key.group_id).share_isolation_level;
        if own.share.is_none() {
            let start = self.first_start(&partition).await?;
            own.share = Some(self.new_share(start));
        }
        let share = own.share.as_mut().expect("it was just put there");
        for _ in 0..READS_MAX {
            let ends = partition.ends();
            share.on_log_start(ends.log_start_offset);
            let end = match isolation {
                IsolationLevel::ReadUncommitted => ends.high_watermark,
                IsolationLevel::ReadCommitted => ends.last_stable_offset,
            };
            let from = share.next_fetch_offset();
            if from >= end || !share.deliverable_now(end) {
                break;
            }
            let Some((read, permit)) = Self::read(&self.shared, &partition, from, isolation, request).await?
            else {
                break;
            };
            let batches = data_of(&partition, &read, from, isolation)?;
            let log_read = LogRead { offsets: from..read.end, batches: &batches.offsets, holes: &[] };
            let acquired = share.acquire(self.shared.now(), &request.member_id, &log_read, request.limit);
            if !acquired.is_empty() {
                return Ok(Delivered::new(acquired, batches, permit));
            }
            if share.next_fetch_offset() <= from {
                break;
            }
        }
        Ok(Delivered::default())
    }

    /// What there is from `from` on; nothing, if there is no memory for it now or no room in the answer.
    async fn read(
        shared: &Shared,
        partition: &Partition,
        from: Offset,
        isolation: IsolationLevel,
        request: &Acquire,
    ) -> Result<Option<(PartitionRead, MemoryPermit)>, DeliveryError> {
        let bytes_max = request.bytes_max.min(READ_BYTES_MAX);
        let Ok(mut plan) = partition.read_plan(from, isolation, bytes_max) else { return Ok(None) };
        let limit = ReadLimit { bytes_max, first_batch: request.first_batch };
        plan.trim(limit);
        let bytes = usize::try_from(plan.bytes).unwrap_or(usize::MAX);
        let reserving = shared.memory.reserve(bytes, Purpose::Other);
        let Ok(permit) = tokio::time::timeout(MEMORY_WAIT_MAX, reserving).await else { return Ok(None) };
        let read = shared.reader.read(&plan, limit).await?;
        Ok((read.bytes > 0).then_some((read, permit)))
    }

    /// Where a group begins that never fetched from this partition: Kafka's `share.auto.offset.reset`.
    async fn first_start(&mut self, partition: &Partition) -> Result<Offset, DeliveryError> {
        let ends = partition.ends();
        Ok(match self.shared.settings.of(&self.key.group_id).share_auto_offset_reset {
            AutoOffsetReset::Earliest => ends.log_start_offset,
            AutoOffsetReset::Latest => ends.high_watermark,
            AutoOffsetReset::ByDuration(age) => {
                let age = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
                let since = Timestamp(self.shared.clock.now().0.saturating_sub(age));
                let found = self.shared.reader.find(partition, TimeQuery::AtOrAfter(since)).await?;
                found.map_or(ends.high_watermark, |found| found.offset)
            }
        })
    }

    fn new_share(&self, start: Offset) -> SharePartition {
        SharePartition::new(start, self.shared.settings.of(&self.key.group_id).share_partition())
    }

    async fn store(&mut self, own: &mut Kept) -> Result<(), KeepError> {
        let unsaved = own.share.as_mut().map_or(Unsaved::Nothing, SharePartition::take_unsaved);
        let gone = own.share.is_none() && own.revision.is_some();
        if unsaved != Unsaved::Nothing || gone {
            own.revision = self.write(own).await?;
        } else if self.tells {
            self.shared.standing.confirm().await?;
        }
        self.tells = false;
        self.after.drain(..).for_each(|answer| answer());
        if std::mem::take(&mut self.gives_back) {
            self.waiters.wake();
        }
        Ok(())
    }

    async fn write(&mut self, own: &Kept) -> Result<Option<Revision>, KeepError> {
        let key = stored::key(&self.key);
        let compare = match own.revision {
            Some(revision) => Compare::Unchanged(key.clone(), revision),
            None => Compare::Absent(key.clone()),
        };
        let write = match &own.share {
            Some(share) => Write::Put(key, stored::encode(share)),
            None => Write::Delete(key),
        };
        let change = Change { compares: vec![compare], writes: vec![write], reads: Vec::new() };
        match self.shared.gatherer.settle(change).await? {
            Settled::Applied(revision) => Ok(own.share.is_some().then_some(revision)),
            Settled::Refused(_) => Err(KeepError::Changed),
        }
    }

    /// Answers once what has changed is stored.
    fn answer<T: Send + 'static>(&mut self, reply: Reply<T>, answer: Result<T, DeliveryError>) {
        self.after.push(Box::new(move || reply.send(answer)));
    }

    /// The same; and those that wait look again.
    fn answer_changed<T: Send + 'static>(&mut self, reply: Reply<T>, answer: Result<T, DeliveryError>) {
        self.answer(reply, answer);
        self.gives_back = true;
    }
}

fn data_of(
    partition: &Partition,
    read: &PartitionRead,
    from: Offset,
    isolation: IsolationLevel,
) -> Result<DataBatches, DeliveryError> {
    let aborted = match isolation {
        IsolationLevel::ReadUncommitted => Vec::new(),
        IsolationLevel::ReadCommitted if !read.archived => partition.aborted_in(from..read.end),
        IsolationLevel::ReadCommitted => Vec::new(),
    };
    data_batches(&read.batches, aborted).map_err(|error| DeliveryError::Damaged(error.to_string()))
}

impl Kept {
    fn next_deadline(&self) -> Option<crate::types::Moment> {
        self.share.as_ref().and_then(SharePartition::next_deadline)
    }
}

impl Delivered {
    fn new(acquired: Vec<Acquired>, batches: DataBatches, permit: MemoryPermit) -> Delivered {
        let wanted: Vec<_> = acquired.iter().map(|acquired| acquired.offsets.clone()).collect();
        let batches = batches.with(&wanted);
        let bytes = batches.iter().map(|batch| batch.len() as u64).sum();
        Delivered { acquired, batches, bytes, permit: Some(permit) }
    }
}

impl From<ReadError> for DeliveryError {
    fn from(error: ReadError) -> DeliveryError {
        match error {
            ReadError::Unavailable(why) => DeliveryError::Storage(why),
            ReadError::Damaged(why) => DeliveryError::Damaged(why),
        }
    }
}
