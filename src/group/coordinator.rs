//! The groups that this session coordinates: each has a task of its own, which begins with the first request for the group
//! and ends when the group has been quiet for a while, or is coordinated elsewhere.
//!
//! ```text
//! handler ─▶ GroupCoordinator ─▶ mailbox ─▶ GroupTask: core, offsets ─▶ Gatherer ─▶ metadata store
//!        ◀──────────────────── answers, once what they tell is stored ◀──┘
//! ```

use super::call::{Call, CallOf, Reply};
use super::classic::ClassicGroupConfig;
use super::consumer::{ConsumerGroupConfig, TopicsImage};
use super::delivery::{ShareDelivery, ShareKey};
use super::pace::PacedMembers;
use super::settings::GroupSettingsCatalog;
use super::share::ShareGroupConfig;
use super::stored::{GROUPS, StoredGroup};
use super::summary::{GroupSummary, GroupType};
use super::task::GroupTask;
use super::topics::watch_topics;
use super::{GroupError, GroupId};
use crate::clock::Clock;
use crate::cluster::PlacementKey;
use crate::leadership::{Leader, Leadership};
use crate::mailboxes::{Gains, Mailboxes, NoTerm, Undelivered, term_of};
use crate::meta::{Gatherer, MetadataStore, Standing, Term};
use crate::remote::RemoteBrokers;
use crate::topic::Catalog;
use crate::types::TopicId;
use futures_util::stream::{self, StreamExt};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;

/// What groups may be and how long they are remembered.
#[derive(Clone, Debug, Default)]
pub struct GroupsConfig {
    /// Groups of the classic protocol.
    pub classic: ClassicGroupConfig,
    /// Groups of the consumer protocol (KIP-848).
    pub consumer: ConsumerGroupConfig,
    /// Share groups (KIP-932).
    pub share: ShareGroupConfig,
    /// How long the offsets of a group outlive its members: Kafka's `offsets.retention.minutes`.
    pub offsets_retention: Duration,
    /// The longest text that may be committed with an offset, in bytes: Kafka's `offset.metadata.max.bytes`.
    pub offset_metadata_bytes_max: usize,
}

/// Answers for groups. Clones are the same coordinator.
#[derive(Clone, Debug)]
pub struct GroupCoordinator {
    shared: Arc<Shared>,
}

#[derive(Debug)]
pub(super) struct Shared {
    pub config: GroupsConfig,
    pub store: Arc<dyn MetadataStore>,
    pub standing: Standing,
    pub leadership: Leadership,
    pub remote: Arc<dyn RemoteBrokers>,
    pub gatherer: Gatherer,
    pub clock: Clock,
    pub topics: watch::Receiver<Arc<TopicsImage>>,
    /// Where members of share groups have records.
    pub delivery: ShareDelivery,
    pub settings: Arc<GroupSettingsCatalog>,
    /// Members of groups whose heartbeats the broker sets the pace of.
    pub paced: PacedMembers,
    /// Moments are counted from here.
    pub origin: Instant,
    pub mailboxes: Mailboxes<GroupId, Call>,
}

/// Groups that are at hand at once.
const GROUPS_MAX: usize = 100_000;
/// Kafka's `offsets.retention.check.interval.ms`.
const EXPIRE_EVERY: Duration = Duration::from_secs(600);
/// Groups that are read at the same time, of those that this session coordinates since a view.
const READ_AT_ONCE: usize = 16;

/// What a coordinator runs on.
#[derive(Debug)]
pub struct GroupsStart {
    /// The rules.
    pub config: GroupsConfig,
    /// The session's right to write, and where groups are stored.
    pub standing: Standing,
    /// Which groups this session coordinates.
    pub leadership: Leadership,
    /// Who leads the partitions of share groups, or coordinates share groups, if this session does not.
    pub remote: Arc<dyn RemoteBrokers>,
    /// Wall-clock time, for commits and their retention.
    pub clock: Clock,
    /// The topics.
    pub catalog: Arc<Catalog>,
    /// What operators have set for groups, and where members of share groups have records.
    pub delivery: ShareDelivery,
}

impl GroupCoordinator {
    /// A coordinator without groups at hand; they are read when they are asked for. Its tasks end when it is closed.
    #[must_use]
    pub fn start(start: GroupsStart) -> GroupCoordinator {
        let GroupsStart { config, standing, leadership, remote, clock, catalog, delivery } = start;
        let settings = Arc::clone(delivery.settings());
        let store = Arc::clone(standing.store());
        let (gatherer, gather) = Gatherer::new(standing.clone());
        let (topics, follow_topics) = watch_topics(&catalog);
        let mailboxes = Mailboxes::new(GROUPS_MAX);
        let origin = Instant::now();
        let shared = Shared {
            config,
            store,
            standing,
            leadership,
            remote,
            gatherer,
            clock,
            topics,
            settings,
            delivery,
            paced: PacedMembers::default(),
            origin,
            mailboxes,
        };
        let groups = GroupCoordinator { shared: Arc::new(shared) };
        tokio::spawn(gather);
        tokio::spawn(follow_topics);
        tokio::spawn(groups.clone().keep());
        groups
    }

    /// The rules it goes by.
    #[must_use]
    pub fn config(&self) -> &GroupsConfig {
        &self.shared.config
    }

    /// Asks one group, and waits for its answer. An answer is given only when what it tells is stored; without one the
    /// outcome is not known, and the error says only that the client should ask again. A group that this session is about to
    /// coordinate is waited for, for five seconds.
    pub async fn call<C: CallOf>(&self, group_id: &GroupId, request: C) -> Result<C::Answer, GroupError> {
        match term_of(&self.shared.leadership, placement(group_id)).await {
            Ok(term) => self.call_under(&term, group_id, request).await,
            Err(none) => Err(refused(none)),
        }
    }

    pub(super) async fn call_under<C: CallOf>(
        &self,
        term: &Term,
        group_id: &GroupId,
        request: C,
    ) -> Result<C::Answer, GroupError> {
        let (reply, answered) = oneshot::channel();
        let call = request.call(Reply::new(reply));
        let begin = |calls| {
            let task = GroupTask::new(group_id.clone(), Arc::clone(&self.shared), term.clone());
            tokio::spawn(task.run(calls));
        };
        match self.shared.mailboxes.send(group_id, term, call, begin).await {
            Ok(()) => answered.await.unwrap_or_else(|_| Err(dropped(term))),
            Err(Undelivered::Closed) => Err(GroupError::NotCoordinator),
            Err(Undelivered::TooMany) => Err(GroupError::CoordinatorNotAvailable),
        }
    }

    /// How many groups have a task.
    #[cfg(test)]
    pub(super) fn at_hand(&self) -> usize {
        self.shared.mailboxes.keys().len()
    }

    /// The groups that this session coordinates, in the order of their names, those at hand as they are now and the others
    /// as they are stored.
    pub async fn list(&self) -> Result<Vec<GroupSummary>, GroupError> {
        let stored = self.list_stored().await?;
        let image = self.shared.leadership.image();
        let is_own = |group: &GroupSummary| image.leader(placement(&group.group_id)) == Leader::Own;
        let own = stored.into_iter().filter(is_own);
        let mut groups: BTreeMap<_, _> = own.map(|group| (group.group_id.clone(), group)).collect();
        let at_hand: Vec<GroupId> = self.shared.mailboxes.keys();
        for group_id in at_hand {
            match self.call(&group_id, super::call::Summarize).await {
                Ok(Some(summary)) => {
                    groups.insert(group_id, summary);
                }
                Ok(None) => {
                    groups.remove(&group_id);
                }
                // It has ended since, and is as it is stored; or it is coordinated elsewhere.
                Err(_) => {}
            }
        }
        Ok(groups.into_values().collect())
    }

    async fn list_stored(&self) -> Result<Vec<GroupSummary>, GroupError> {
        let listing = self.shared.store.list(GROUPS).await;
        let listing = listing.map_err(|error| {
            // A stop cuts off whatever is under way.
            if !*self.shared.mailboxes.closed().borrow() {
                tracing::warn!(%error, "the groups cannot be listed");
            }
            GroupError::CoordinatorNotAvailable
        })?;
        let mut groups = Vec::with_capacity(listing.entries.len());
        for entry in &listing.entries {
            match StoredGroup::decode(entry) {
                Ok(stored) => groups.push(GroupSummary::of_stored(&stored)),
                Err(error) => tracing::error!(%error, "a group is left out of a list"),
            }
        }
        Ok(groups)
    }

    /// Keeps the groups going: those that this session coordinates since a view and that were stored with members are read
    /// at once, so that members that never come back are missed; and now and then offsets go that nobody needs. Runs until
    /// the coordinator is closed.
    async fn keep(self) {
        let mut closed = self.shared.mailboxes.closed();
        let mut gains = Gains::new(self.shared.leadership.clone());
        let mut expire_at = Instant::now() + EXPIRE_EVERY;
        loop {
            tokio::select! {
                () = async { drop(closed.wait_for(|closed| *closed).await) } => return,
                gained = gains.due() => match self.wake_gained().await {
                    Ok(waits) => gains.looked(gained, waits),
                    Err(_unavailable) => gains.failed(),
                },
                () = tokio::time::sleep_until(expire_at) => {
                    self.expire().await;
                    expire_at = Instant::now() + EXPIRE_EVERY;
                }
            }
        }
    }

    /// Reads the groups with members that this session coordinates and has not at hand. Tells whether there are others that
    /// it is about to coordinate.
    async fn wake_gained(&self) -> Result<bool, GroupError> {
        let stored = self.list_stored().await?;
        let awake = stored.into_iter().filter(|group| group.state != "Empty");
        let awake = awake.map(|group| (placement(&group.group_id), group.group_id));
        let (own, waits) = self.shared.leadership.servable(awake);
        let woken = stream::iter(own).for_each_concurrent(READ_AT_ONCE, async |group_id| {
            let Ok(term) = term_of(&self.shared.leadership, placement(&group_id)).await else { return };
            let is_at_hand = self.shared.mailboxes.has(&group_id, &term);
            if !is_at_hand && self.call_under(&term, &group_id, super::call::Summarize).await.is_err() {
                tracing::warn!(group = %group_id, "a group could not be read");
            }
        });
        woken.await;
        Ok(waits)
    }

    async fn expire(&self) {
        let image = self.shared.leadership.image();
        for group in self.list_stored().await.unwrap_or_default() {
            if image.leader(placement(&group.group_id)) != Leader::Own {
                continue;
            }
            if self.call(&group.group_id, super::call::Expire).await.is_err() {
                tracing::debug!(group = %group.group_id, "a group could not be looked through");
            }
            if group.group_type == GroupType::Share {
                self.forget_deleted_topics(&group.group_id).await;
            }
        }
    }

    /// Which groups this session coordinates.
    pub(super) fn leadership(&self) -> &Leadership {
        &self.shared.leadership
    }

    /// The other brokers.
    pub(super) fn remote(&self) -> &dyn RemoteBrokers {
        self.shared.remote.as_ref()
    }

    /// The records that members of share groups have.
    #[must_use]
    pub fn delivery(&self) -> &ShareDelivery {
        &self.shared.delivery
    }

    /// What a share group did with topics that exist no more goes.
    async fn forget_deleted_topics(&self, group_id: &GroupId) {
        let topics: BTreeSet<TopicId> =
            self.shared.topics.borrow().values().map(|topic| topic.topic_id).collect();
        let delivery = &self.shared.delivery;
        let Ok(stored) = delivery.stored(group_id).await else { return };
        for partition in stored.into_keys().filter(|partition| !topics.contains(&partition.topic_id)) {
            let key = ShareKey { group_id: group_id.clone(), partition };
            if let Err(error) = delivery.delete(&key).await {
                tracing::debug!(group = %group_id, %error, "the state of a deleted topic could not be removed");
            }
        }
    }

    /// Answers for no group any more: whoever waits is told to look for another coordinator.
    pub fn close(&self) {
        self.shared.mailboxes.close();
        self.shared.delivery.close();
    }
}

/// By which the coordinator of a group is found.
pub(super) fn placement(group_id: &GroupId) -> PlacementKey {
    PlacementKey::group(group_id.as_str())
}

pub(super) fn refused(none: NoTerm) -> GroupError {
    match none {
        NoTerm::Loading => GroupError::CoordinatorLoadInProgress,
        NoTerm::Elsewhere(_) | NoTerm::Nobody => GroupError::NotCoordinator,
    }
}

/// What a call is told whose answer was dropped: what became of it is not known, or it was not looked at.
fn dropped(term: &Term) -> GroupError {
    if term.is_open() { GroupError::CoordinatorNotAvailable } else { GroupError::NotCoordinator }
}
