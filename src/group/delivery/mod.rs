//! Delivery of a partition's records to the members of share groups (KIP-932).
//!
//! ```text
//! ShareFetch ───────┐                       ┌─▶ log: what there is
//! ShareAcknowledge ─┼▶ ShareDelivery ─▶ DeliveryTask (one per group and partition): SharePartition
//! a member is gone ─┘   sessions            └─▶ metadata store: what became of it, before anybody is told
//! ```
//!
//! A partition's records are delivered where the partition is led, under a term of its own for all groups: it is closed
//! when the partition moves, as the partition's own is. What an operator changes by the group's coordinator is done there.
//!
//! Never: no rule of the queue lives here (that is `share`), and nothing is told that is not stored.

mod call;
#[cfg(any(test, fuzzing))]
pub(super) mod fuzzing;
mod sessions;
mod stored;
mod task;

pub use call::{Acquire, Delivered, DeliveryError};

use super::remote::{ShareAnswer, ShareRequest};
use super::settings::GroupSettingsCatalog;
use super::share::{Acknowledgement, Attempt, ShareSessions, StoredSharePartition};
use super::{GroupId, MemberId};
use crate::clock::Clock;
use crate::cluster::PlacementKey;
use crate::leadership::Leadership;
use crate::limits::MemoryBudget;
use crate::log::{BrokerLog, Reader};
use crate::mailboxes::{Mailboxes, NoTerm, Undelivered, term_of};
use crate::meta::{Gatherer, MetadataStore, Standing, Term};
use crate::remote::RemoteBrokers;
use crate::types::{Moment, Offset, TopicPartition};
use call::{Call, Reply};
use futures_util::stream::{self, StreamExt};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use task::DeliveryTask;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// A partition as one share group consumes it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShareKey {
    /// The group.
    pub group_id: GroupId,
    /// The partition.
    pub partition: TopicPartition,
}

/// Delivers records to members of share groups. Clones are the same.
#[derive(Clone, Debug)]
pub struct ShareDelivery {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    store: Arc<dyn MetadataStore>,
    standing: Standing,
    leadership: Leadership,
    remote: Arc<dyn RemoteBrokers>,
    gatherer: Gatherer,
    settings: Arc<GroupSettingsCatalog>,
    clock: Clock,
    log: Arc<BrokerLog>,
    reader: Reader,
    memory: MemoryBudget,
    /// Moments are counted from here.
    origin: Instant,
    mailboxes: Mailboxes<ShareKey, Call>,
    sessions: Mutex<ShareSessions>,
}

/// What delivery runs on.
#[derive(Debug)]
pub struct DeliveryStart {
    /// The session's right to write, and where states are stored.
    pub standing: Standing,
    /// Which partitions this session leads.
    pub leadership: Leadership,
    /// Who leads the others.
    pub remote: Arc<dyn RemoteBrokers>,
    /// What operators have set for groups.
    pub settings: Arc<GroupSettingsCatalog>,
    /// Wall-clock time, to begin at records of some age.
    pub clock: Clock,
    /// The partitions led here.
    pub log: Arc<BrokerLog>,
    /// Reads them.
    pub reader: Reader,
    /// What answers may hold.
    pub memory: MemoryBudget,
}

/// Partitions of groups that are at hand at once.
const PARTITIONS_MAX: usize = 200_000;
/// Partitions whose records are released, or whose states are deleted, at the same time.
const AT_ONCE: usize = 64;

impl ShareDelivery {
    /// Delivery without partitions at hand; they are read when they are asked for. Its tasks end when it is closed.
    #[must_use]
    pub fn start(start: DeliveryStart) -> ShareDelivery {
        let DeliveryStart { standing, leadership, remote, settings, clock, log, reader, memory } = start;
        let (gatherer, gather) = Gatherer::new(standing.clone());
        tokio::spawn(gather);
        let shared = Shared {
            store: Arc::clone(standing.store()),
            standing,
            leadership,
            remote,
            gatherer,
            settings,
            clock,
            log,
            reader,
            memory,
            origin: Instant::now(),
            mailboxes: Mailboxes::new(PARTITIONS_MAX),
            sessions: Mutex::default(),
        };
        ShareDelivery { shared: Arc::new(shared) }
    }

    /// What operators have set for groups.
    #[must_use]
    pub fn settings(&self) -> &Arc<GroupSettingsCatalog> {
        &self.shared.settings
    }

    /// Gives a member records that it may have, if there are any now.
    pub async fn acquire(&self, key: &ShareKey, acquire: Acquire) -> Result<Delivered, DeliveryError> {
        self.ask(key, |reply| Call::Acquire(acquire.clone(), reply)).await
    }

    /// Does what a member says of records that it has: of all of them, or of none.
    pub async fn acknowledge(
        &self,
        key: &ShareKey,
        member_id: &MemberId,
        acknowledgements: Vec<Acknowledgement>,
    ) -> Result<(), DeliveryError> {
        self.ask(key, |reply| Call::Acknowledge(member_id.clone(), acknowledgements.clone(), reply)).await
    }

    /// Takes from a member what it has in these partitions.
    pub async fn release(
        &self,
        (group_id, member_id): &(GroupId, MemberId),
        partitions: Vec<TopicPartition>,
        attempt: Attempt,
    ) {
        let released = stream::iter(partitions).for_each_concurrent(AT_ONCE, async |partition| {
            let key = ShareKey { group_id: group_id.clone(), partition };
            let call = Call::Release(member_id.clone(), None, attempt);
            // Where no task runs, nobody has anything.
            self.shared.mailboxes.send_if_open(&key, call).await;
        });
        released.await;
    }

    /// Takes back records that a member was given and will never see.
    pub async fn take_back(&self, key: &ShareKey, member_id: &MemberId, records: Vec<Range<Offset>>) {
        let call = Call::Release(member_id.clone(), Some(records), Attempt::DoesNotCount);
        self.shared.mailboxes.send_if_open(key, call).await;
    }

    /// Has the group begin at `start` in a partition, whatever was delivered, wherever it is led.
    pub async fn alter(&self, key: &ShareKey, start: Offset) -> Result<(), DeliveryError> {
        match self.term(key).await {
            Ok(term) => self.ask_under(&term, key, |reply| Call::Alter(start, reply)).await,
            Err(none) => self.ask_elsewhere(none, ShareRequest::Alter(key.clone(), start)).await,
        }
    }

    /// The same, if this session leads the partition.
    pub(super) async fn alter_here(&self, key: &ShareKey, start: Offset) -> Result<(), DeliveryError> {
        self.ask(key, |reply| Call::Alter(start, reply)).await
    }

    /// Forgets all that the group did in a partition, wherever it is led.
    pub async fn delete(&self, key: &ShareKey) -> Result<(), DeliveryError> {
        match self.term(key).await {
            Ok(term) => self.ask_under(&term, key, Call::Delete).await,
            Err(none) => self.ask_elsewhere(none, ShareRequest::Delete(key.clone())).await,
        }
    }

    /// The same, if this session leads the partition.
    pub(super) async fn delete_here(&self, key: &ShareKey) -> Result<(), DeliveryError> {
        self.ask(key, Call::Delete).await
    }

    /// What is stored of a group, by partition.
    pub async fn stored(
        &self,
        group_id: &GroupId,
    ) -> Result<BTreeMap<TopicPartition, StoredSharePartition>, DeliveryError> {
        let listing = self.shared.store.list(&stored::prefix(group_id)).await;
        let listing = listing.map_err(|error| stored::unavailable(group_id, &error))?;
        self.shared.standing.confirm().await.map_err(|error| stored::unavailable(group_id, &error))?;
        let decoded = listing.entries.iter().map(stored::decode);
        decoded.collect::<Result<_, _>>().map_err(|error| stored::unavailable(group_id, &error))
    }

    /// Forgets all that a group did.
    pub async fn delete_group(&self, group_id: &GroupId) -> Result<(), DeliveryError> {
        let partitions: Vec<TopicPartition> = self.stored(group_id).await?.into_keys().collect();
        let deleted = stream::iter(partitions)
            .map(async |partition| self.delete(&ShareKey { group_id: group_id.clone(), partition }).await);
        deleted.buffer_unordered(AT_ONCE).collect::<Vec<_>>().await.into_iter().collect()
    }

    /// Delivers nothing any more.
    pub fn close(&self) {
        self.shared.mailboxes.close();
    }

    /// Under which records of the partition are delivered here.
    async fn term(&self, key: &ShareKey) -> Result<Term, NoTerm> {
        term_of(&self.shared.leadership, PlacementKey::partition(key.partition)).await
    }

    async fn ask<T>(&self, key: &ShareKey, call: impl Fn(Reply<T>) -> Call) -> Result<T, DeliveryError> {
        let term = self.term(key).await.map_err(|_| DeliveryError::NotLeader)?;
        self.ask_under(&term, key, call).await
    }

    async fn ask_under<T>(
        &self,
        term: &Term,
        key: &ShareKey,
        call: impl Fn(Reply<T>) -> Call,
    ) -> Result<T, DeliveryError> {
        let (reply, answered) = oneshot::channel();
        let begin = |calls| {
            let task = DeliveryTask::new(key.clone(), Arc::clone(&self.shared), term.clone());
            tokio::spawn(task.run(calls));
        };
        match self.shared.mailboxes.send(key, term, call(Reply(reply)), begin).await {
            Ok(()) => answered.await.unwrap_or_else(|_| Err(dropped(term))),
            Err(Undelivered::Closed) => Err(DeliveryError::NotLeader),
            Err(Undelivered::TooMany) => Err(DeliveryError::Unavailable),
        }
    }

    async fn ask_elsewhere(&self, none: NoTerm, request: ShareRequest) -> Result<(), DeliveryError> {
        let NoTerm::Elsewhere(leader) = none else { return Err(DeliveryError::NotLeader) };
        match request.ask(self.shared.remote.as_ref(), leader).await {
            Ok(ShareAnswer::Yes) => Ok(()),
            Ok(ShareAnswer::NotHere) => Err(DeliveryError::NotLeader),
            Ok(ShareAnswer::No | ShareAnswer::Unavailable) => Err(DeliveryError::Unavailable),
            Err(error) => {
                tracing::debug!(%error, "a share partition that is led elsewhere could not be changed");
                Err(DeliveryError::Unavailable)
            }
        }
    }
}

/// What a call is told whose answer was dropped: what became of it is not known, or it was not looked at.
fn dropped(term: &Term) -> DeliveryError {
    if term.is_open() { DeliveryError::Unavailable } else { DeliveryError::NotLeader }
}

impl Shared {
    fn now(&self) -> Moment {
        Moment(self.origin.elapsed())
    }
}
