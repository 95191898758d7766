//! The task that owns one partition of one share group under one term: it takes what is in the mailbox, stores what has changed, and
//! answers. What it reads of the log for a member comes beside that: acknowledgements do not wait for it.

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
use crate::meta::{
    Change, Compare, MetadataError, Revision, SettleError, Settled, StandingError, Term, Write,
};
use crate::types::{Moment, Offset, Timestamp};
use futures_util::future::BoxFuture;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// One share partition's task.
pub(super) struct DeliveryTask {
    key: ShareKey,
    shared: Arc<Shared>,
    term: Term,
    /// Who wants records, in turn. What is read is for the first.
    wanting: VecDeque<Wanting>,
    reading: Option<BoxFuture<'static, Done>>,
    /// Answers that go out once what has changed is stored.
    after: Vec<Box<dyn FnOnce() + Send>>,
    /// Whether one of them tells what is stored already: then the standing is confirmed first.
    tells: bool,
    /// Fetches that found nothing.
    waiters: Waiters,
    /// Whether they may find something once what has changed is stored.
    gives_back: bool,
}

/// A member that wants records.
struct Wanting {
    request: Acquire,
    reply: Reply<Delivered>,
    /// Reads for it that brought nothing.
    reads: usize,
}

/// What came of the log.
enum Done {
    /// Where a group begins that never fetched.
    Start(Result<Offset, DeliveryError>),
    /// Batches from that offset on; none, if there is no room for one in the answer.
    Read(Offset, Result<Option<(PartitionRead, MemoryPermit)>, DeliveryError>),
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
    Done(Done),
    Time,
    Closed,
    /// The term was closed.
    Lost,
}

/// Requests that are looked at before the state is stored.
const BURST_MAX: usize = 64;
/// Members that wait for their turn.
const WANTING_MAX: usize = 1_024;
/// A share partition that nobody asks for anything ends its task after this, unless somebody has records or waits.
const QUIET_MAX: Duration = Duration::from_secs(60);
/// What is read of the log at once, in bytes: members get more by asking again.
const READ_BYTES_MAX: u64 = 1024 * 1024;
/// Reads for one request that bring nothing: markers, and what was aborted.
const READS_MAX: usize = 64;
/// How long a member waits for memory; it asks again.
const MEMORY_WAIT_MAX: Duration = Duration::from_secs(1);

impl DeliveryTask {
    pub fn new(key: ShareKey, shared: Arc<Shared>, term: Term) -> DeliveryTask {
        DeliveryTask {
            key,
            shared,
            term,
            wanting: VecDeque::new(),
            reading: None,
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
            match woken {
                Woken::Closed => return self.waiters.wake(),
                Woken::Lost => {
                    self.shared.mailboxes.abandon(&self.key, &self.term);
                    return self.waiters.wake();
                }
                _ => {}
            }
            let own = match self.loaded(&mut kept).await {
                Ok(own) => own,
                Err(error) => {
                    tracing::error!(group = %self.key.group_id, %error, "a share partition cannot be read");
                    // The call that woke it is dropped, which answers it; so are those behind it.
                    while calls.try_recv().is_ok() {}
                    self.drop_answers();
                    if self.shared.mailboxes.retire(&self.key, &self.term, &calls) {
                        return;
                    }
                    continue;
                }
            };
            let before = own.share.as_ref().map(SharePartition::openings);
            self.on_time(own);
            match woken {
                Woken::By(call) => {
                    quiet_since = Instant::now();
                    self.on_calls(own, *call, &mut calls);
                }
                Woken::Done(done) => self.on_done(own, done),
                Woken::Time | Woken::Closed | Woken::Lost => {}
            }
            self.read_for_the_next(own);
            self.gives_back |= opens(before, own.share.as_ref().map(SharePartition::openings));
            if let Err(error) = self.store(own).await {
                if self.term.is_open() {
                    tracing::warn!(group = %self.key.group_id, %error, "a share partition could not be stored");
                }
                self.drop_answers();
                match error {
                    KeepError::Standing(_) => {}
                    // It may be stored: the next write tells.
                    KeepError::Settle(_) => own.unsave(),
                    _ => kept = None,
                }
            }
            if self.is_idle(kept.as_ref(), quiet_since)
                && self.shared.mailboxes.retire(&self.key, &self.term, &calls)
            {
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
        let (term, under_way) = (&self.term, &mut self.reading);
        let is_reading = under_way.is_some();
        let reading = async {
            match under_way {
                Some(reading) => reading.await,
                None => std::future::pending().await,
            }
        };
        let woken = async {
            tokio::select! {
                call = calls.recv() => call.map_or(Woken::Closed, |call| Woken::By(Box::new(call))),
                done = reading, if is_reading => Woken::Done(done),
                () = tokio::time::sleep_until(deadline) => Woken::Time,
            }
        };
        let woken = tokio::select! {
            biased;
            () = term.closed() => Woken::Lost,
            woken = woken => woken,
        };
        if matches!(woken, Woken::Done(_)) {
            self.reading = None;
        }
        woken
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
    fn on_calls(&mut self, own: &mut Kept, first: Call, calls: &mut mpsc::Receiver<Call>) {
        if let Some(share) = &mut own.share {
            share.configure(self.shared.settings.of(&self.key.group_id).share_partition());
        }
        self.on_call(own, first);
        for _ in 1..BURST_MAX {
            let Ok(call) = calls.try_recv() else { break };
            self.on_call(own, call);
        }
    }

    fn on_call(&mut self, own: &mut Kept, call: Call) {
        match call {
            Call::Acquire(request, reply) => {
                if let Some(waiter) = &request.waiter {
                    self.waiters.register_once(waiter);
                }
                if self.wanting.len() < WANTING_MAX {
                    self.wanting.push_back(Wanting { request, reply, reads: 0 });
                }
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
                self.answer(reply, done.map_err(DeliveryError::from));
            }
            Call::Release(member_id, records, attempt) => {
                let Some(share) = &mut own.share else { return };
                match records {
                    None => {
                        share.release_all(&member_id, attempt);
                    }
                    Some(records) => records.iter().for_each(|offsets| {
                        share.release(&member_id, offsets, attempt);
                    }),
                }
            }
            Call::Alter(start, reply) => {
                match &mut own.share {
                    Some(share) => share.alter(start),
                    none => *none = Some(self.new_share(start)),
                }
                self.gives_back = true;
                self.answer(reply, Ok(()));
            }
            Call::Delete(reply) => {
                self.tells = true;
                own.share = None;
                self.answer(reply, Ok(()));
            }
        }
    }

    fn on_time(&mut self, own: &mut Kept) {
        let Some(share) = &mut own.share else { return };
        let now = self.shared.now();
        if share.next_deadline().is_some_and(|deadline| deadline <= now) {
            share.on_time(now);
        }
    }

    /// Has the log read for whoever is next, and answers those for whom there is nothing to read.
    fn read_for_the_next(&mut self, own: &mut Kept) {
        while self.reading.is_none()
            && let Some(next) = self.wanting.front()
        {
            match self.plan(own, &next.request) {
                Ok(Some(reading)) => self.reading = Some(reading),
                Ok(None) => self.answer_next(Ok(Delivered::default())),
                Err(error) => self.answer_next(Err(error)),
            }
        }
    }

    /// What is to be read for a request; nothing, if there is nothing for it now.
    fn plan(
        &self,
        own: &mut Kept,
        request: &Acquire,
    ) -> Result<Option<BoxFuture<'static, Done>>, DeliveryError> {
        let partition =
            self.shared.log.partition(self.key.partition).ok_or(DeliveryError::UnknownPartition)?;
        let shared = Arc::clone(&self.shared);
        let Some(share) = &mut own.share else {
            let reset = self.shared.settings.of(&self.key.group_id).share_auto_offset_reset;
            let start = async move { Done::Start(first_start(&shared, &partition, reset).await) };
            return Ok(Some(Box::pin(start)));
        };
        let ends = partition.ends();
        share.on_log_start(ends.log_start_offset);
        let isolation = self.isolation();
        let end = match isolation {
            IsolationLevel::ReadUncommitted => ends.high_watermark,
            IsolationLevel::ReadCommitted => ends.last_stable_offset,
        };
        let from = share.next_fetch_offset();
        if from >= end || !share.deliverable_now(end) {
            return Ok(None);
        }
        let bytes_max = request.bytes_max.min(READ_BYTES_MAX);
        let limit = ReadLimit { bytes_max, first_batch: request.first_batch };
        let read = async move { Done::Read(from, read(&shared, &partition, from, isolation, limit).await) };
        Ok(Some(Box::pin(read)))
    }

    fn on_done(&mut self, own: &mut Kept, done: Done) {
        match done {
            Done::Start(Ok(start)) => {
                own.share.get_or_insert_with(|| self.new_share(start));
            }
            Done::Read(from, Ok(Some((read, permit)))) => match self.acquire(own, from, &read) {
                Ok(Some((acquired, batches))) => {
                    self.answer_next(Ok(Delivered::new(acquired, batches, permit)));
                }
                Ok(None) => self.read_again(own, from),
                Err(error) => self.answer_next(Err(error)),
            },
            Done::Read(_, Ok(None)) => self.answer_next(Ok(Delivered::default())),
            Done::Start(Err(error)) | Done::Read(_, Err(error)) => self.answer_next(Err(error)),
        }
    }

    /// Gives the next member what it may have of what was read. Others may have changed the state meanwhile.
    fn acquire(
        &mut self,
        own: &mut Kept,
        from: Offset,
        read: &PartitionRead,
    ) -> Result<Option<(Vec<Acquired>, DataBatches)>, DeliveryError> {
        self.shared.log.partition(self.key.partition).ok_or(DeliveryError::UnknownPartition)?;
        let batches = data_of(read)?;
        let (Some(share), Some(next)) = (&mut own.share, self.wanting.front()) else { return Ok(None) };
        let log_read = LogRead { offsets: from..read.end, batches: &batches.offsets, holes: &[] };
        let acquired =
            share.acquire(self.shared.now(), &next.request.member_id, &log_read, next.request.limit);
        Ok((!acquired.is_empty()).then_some((acquired, batches)))
    }

    /// A read has brought nothing: it goes on behind it, but not for ever.
    fn read_again(&mut self, own: &Kept, from: Offset) {
        let moved = own.share.as_ref().is_some_and(|share| share.next_fetch_offset() != from);
        let may_go_on = self.wanting.front_mut().is_some_and(|next| {
            next.reads += 1;
            next.reads < READS_MAX
        });
        if !moved || !may_go_on {
            self.answer_next(Ok(Delivered::default()));
        }
    }

    fn answer_next(&mut self, answer: Result<Delivered, DeliveryError>) {
        if let Some(Wanting { reply, .. }) = self.wanting.pop_front() {
            self.answer(reply, answer);
        }
    }

    fn isolation(&self) -> IsolationLevel {
        self.shared.settings.of(&self.key.group_id).share_isolation_level
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
        // See `GroupTask::store`.
        if !self.term.is_open() {
            return Err(SettleError::Closed.into());
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
        let terms = vec![self.term.clone()];
        let change = Change { compares: vec![compare], writes: vec![write], reads: Vec::new(), terms };
        match self.shared.gatherer.settle(change).await? {
            Settled::Applied(revision) => Ok(own.share.is_some().then_some(revision)),
            Settled::Refused(_) => Err(KeepError::Changed),
        }
    }

    /// Answers once what has changed is stored.
    fn answer<T: Send + 'static>(&mut self, reply: Reply<T>, answer: Result<T, DeliveryError>) {
        self.after.push(Box::new(move || reply.send(answer)));
    }

    /// What was to be answered may not be stored: whoever waits is told so, and asks again.
    fn drop_answers(&mut self) {
        self.after.clear();
        self.wanting.clear();
        self.reading = None;
        self.tells = false;
        self.waiters.wake();
    }

    fn is_idle(&self, kept: Option<&Kept>, quiet_since: Instant) -> bool {
        let has_records = kept.is_some_and(|kept| kept.next_deadline().is_some());
        let is_wanted = !self.wanting.is_empty() || self.waiters.any();
        quiet_since.elapsed() >= QUIET_MAX && !is_wanted && !has_records
    }
}

/// What there is from `from` on; nothing, if there is no room for it in the answer.
async fn read(
    shared: &Shared,
    partition: &Partition,
    from: Offset,
    isolation: IsolationLevel,
    limit: ReadLimit,
) -> Result<Option<(PartitionRead, MemoryPermit)>, DeliveryError> {
    let Ok(mut plan) = partition.read_plan(from, isolation, limit.bytes_max) else { return Ok(None) };
    plan.trim(limit);
    // Twice: what is read, and the answer made of it.
    let bytes = usize::try_from(plan.bytes.saturating_mul(2)).unwrap_or(usize::MAX);
    let reserving = shared.memory.reserve(bytes, Purpose::Other);
    let permit = tokio::time::timeout(MEMORY_WAIT_MAX, reserving).await;
    let permit = permit.map_err(|_| DeliveryError::NoMemory)?;
    let read = shared.reader.read_or_plan_again(partition, isolation, &plan, limit).await?;
    Ok(read.filter(|read| read.bytes > 0).map(|read| (read, permit)))
}

/// Where a group begins that never fetched from this partition: Kafka's `share.auto.offset.reset`.
async fn first_start(
    shared: &Shared,
    partition: &Partition,
    reset: AutoOffsetReset,
) -> Result<Offset, DeliveryError> {
    let ends = partition.ends();
    Ok(match reset {
        AutoOffsetReset::Earliest => ends.log_start_offset,
        AutoOffsetReset::Latest => ends.high_watermark,
        AutoOffsetReset::ByDuration(age) => {
            let age = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
            let since = Timestamp(shared.clock.now().0.saturating_sub(age));
            let found = shared.reader.find(partition, TimeQuery::AtOrAfter(since)).await?;
            found.map_or(ends.high_watermark, |found| found.offset)
        }
    })
}

fn data_of(read: &PartitionRead) -> Result<DataBatches, DeliveryError> {
    data_batches(&read.batches, read.aborted.clone())
        .map_err(|error| DeliveryError::Damaged(error.to_string()))
}

/// Whether members that found nothing may find something now.
fn opens(before: Option<(i64, bool)>, now: Option<(i64, bool)>) -> bool {
    let (Some((available, has_room)), Some((available_now, has_room_now))) = (before, now) else {
        return false;
    };
    available_now > available || (has_room_now && !has_room)
}

impl Kept {
    fn next_deadline(&self) -> Option<Moment> {
        self.share.as_ref().and_then(SharePartition::next_deadline)
    }

    fn unsave(&mut self) {
        if let Some(share) = &mut self.share {
            share.unsave();
        }
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
            ReadError::Missing(why) | ReadError::Damaged(why) => DeliveryError::Damaged(why),
        }
    }
}
