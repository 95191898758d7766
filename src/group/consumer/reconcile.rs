//! How a member comes from what it holds to what it shall hold, one heartbeat at a time.
//!
//! ```text
//!            something to give up                     acknowledged by a heartbeat
//!   Stable ──────────────────────▶ UnrevokedPartitions ───────────┐
//!     ▲  ▲                                                        │
//!     │  └────────────── everything wanted is free ───────────────┤
//!     └── the rest became free ── UnreleasedPartitions ◀──────────┘ others still hold some of it
//! ```
//!
//! A member stays at its member epoch until it has given up what it must; only then it goes to the epoch of the
//! target. It is given a partition only when nobody else may still hold it. No I/O, no timers: one pure function.

use super::partitions::PartitionSet;
use crate::types::{TopicId, TopicPartition};
use std::collections::{BTreeMap, BTreeSet};

/// Where a member is on its way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MemberState {
    /// It was told all there is for it.
    #[default]
    Stable,
    /// It was told to give up partitions, and has not said that it did.
    UnrevokedPartitions,
    /// It waits for partitions that others hold.
    UnreleasedPartitions,
}

/// Partitions, and the epoch at which the member got each of them.
pub(super) type HeldPartitions = BTreeMap<TopicPartition, i32>;

/// What a member holds, and at which epoch: all that `step` changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Holding {
    pub(super) state: MemberState,
    pub(super) member_epoch: i32,
    /// The epoch that the member knew when it was moved to `member_epoch`: should the answer be lost, it comes with
    /// this one.
    pub(super) previous_member_epoch: i32,
    /// What it was told to own.
    pub(super) assigned: HeldPartitions,
    /// What it was told to give up and may still own.
    pub(super) revoking: HeldPartitions,
}

/// Where a member shall come to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Goal<'a> {
    pub(super) assignment_epoch: i32,
    pub(super) target: &'a PartitionSet,
    /// The target may be older than the subscription: of it counts only what is subscribed to.
    pub(super) subscribed: &'a BTreeSet<TopicId>,
}

impl Holding {
    /// Everything the member may own as far as anybody can know.
    pub(super) fn all(&self) -> impl Iterator<Item = &TopicPartition> {
        self.assigned.keys().chain(self.revoking.keys())
    }

    /// Whether there is nothing left to do for `assignment_epoch`.
    pub(super) fn is_at(&self, assignment_epoch: i32) -> bool {
        self.state == MemberState::Stable && self.member_epoch == assignment_epoch
    }

    /// The next holding. `owned` is what the heartbeat says the member owns, if it says so; `shown_epoch` the epoch it
    /// came with; `is_free` whether nobody *else* may hold a partition.
    pub(super) fn step(
        &self,
        goal: &Goal<'_>,
        owned: Option<&PartitionSet>,
        shown_epoch: i32,
        is_free: impl Fn(&TopicPartition) -> bool,
    ) -> Holding {
        let wanted: PartitionSet =
            goal.target.iter().filter(|which| goal.subscribed.contains(&which.topic_id)).copied().collect();
        if self.still_owns(&self.revoking, owned) {
            return self.give_up_unsubscribed(goal.subscribed);
        }
        let (kept, leaving): (HeldPartitions, HeldPartitions) = self
            .assigned
            .iter()
            .map(|(which, epoch)| (*which, *epoch))
            .partition(|(which, _)| wanted.contains(which));
        if self.still_owns(&leaving, owned) {
            let state = MemberState::UnrevokedPartitions;
            return Holding { state, assigned: kept, revoking: leaving, ..self.clone() };
        }
        let missing = wanted.into_iter().filter(|which| !kept.contains_key(which));
        let (free, unreleased): (Vec<_>, Vec<_>) = missing.partition(&is_free);
        let state =
            if unreleased.is_empty() { MemberState::Stable } else { MemberState::UnreleasedPartitions };
        let mut assigned = kept;
        assigned.extend(free.into_iter().map(|which| (which, goal.assignment_epoch)));
        let moved = goal.assignment_epoch != self.member_epoch;
        Holding {
            state,
            member_epoch: goal.assignment_epoch,
            previous_member_epoch: if moved { shown_epoch } else { self.previous_member_epoch },
            assigned,
            revoking: HeldPartitions::new(),
        }
    }

    /// Nothing said means nothing given up.
    fn still_owns(&self, leaving: &HeldPartitions, owned: Option<&PartitionSet>) -> bool {
        match owned {
            None => !leaving.is_empty(),
            Some(owned) => leaving.keys().any(|which| owned.contains(which)),
        }
    }

    /// While a revocation is under way only one thing is added to it: what the member subscribes to no longer.
    fn give_up_unsubscribed(&self, subscribed: &BTreeSet<TopicId>) -> Holding {
        let mut next = self.clone();
        let (kept, leaving): (HeldPartitions, HeldPartitions) =
            next.assigned.into_iter().partition(|(which, _)| subscribed.contains(&which.topic_id));
        next.assigned = kept;
        next.revoking.extend(leaving);
        next
    }
}
