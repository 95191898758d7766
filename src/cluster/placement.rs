//! Who leads what: rendezvous over the members' broker ids, in integers only.
//!
//! Every member draws a number for a key, as often as its weight says; the greatest number wins. So the chance of a member is
//! its weight's part of all weights, a member that comes takes from the others and nothing moves between those, and
//! one that goes leaves what others have where it is. A draw hangs on key, broker id and the draw's number, not on the
//! session: a broker that starts again leads what it has in its cache.
//!
//! Two brokers that disagree about one partition both lead it. So there are no floating point numbers here, the hash is our
//! own (`hash.rs`), golden vectors hold it in a test, and a view says by number which function it means.

use super::hash::{Domain, Hash, mix};
use crate::meta::keys::view::{Member, PlacementNumber};
use crate::types::{SessionId, TopicPartition};

/// A view asks for a function that this release does not have: whoever reads it must leave the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the view wants placement {}, which this release does not know", .0.0)]
pub struct UnknownPlacement(pub PlacementNumber);

/// The leaders of one view. It has its draws ready, so that asking costs a few nanoseconds for each of them.
#[derive(Clone, Debug)]
pub struct Placement {
    /// In the order of broker ids: of two equal draws the first wins.
    members: Vec<Member>,
    draws: Vec<Draw>,
}

#[derive(Clone, Copy, Debug)]
struct Draw {
    seed: u64,
    member: usize,
}

/// What has a leader, hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PlacementKey(u64);

impl PlacementKey {
    /// A partition: its leader also archives it.
    #[must_use]
    pub fn partition(partition: TopicPartition) -> PlacementKey {
        let index = u64::from(partition.partition.0.cast_unsigned());
        PlacementKey(Hash::of(Domain::Partition).id(partition.topic_id.0).word(index).finish())
    }

    /// A group: its leader coordinates it.
    #[must_use]
    pub fn group(group_id: &str) -> PlacementKey {
        PlacementKey(Hash::of(Domain::Group).text(group_id).finish())
    }

    /// A transactional id: its leader coordinates it.
    #[must_use]
    pub fn transactional_id(transactional_id: &str) -> PlacementKey {
        PlacementKey(Hash::of(Domain::TransactionalId).text(transactional_id).finish())
    }

    /// An ended session: its leader releases the objects of its journal.
    #[must_use]
    pub fn undertaker(session: SessionId) -> PlacementKey {
        PlacementKey(Hash::of(Domain::Undertaker).id(session.0).finish())
    }

    /// A session that is suspected: its leader seals it, and if nothing comes of that the next in rank.
    #[must_use]
    pub fn sealer(session: SessionId) -> PlacementKey {
        PlacementKey(Hash::of(Domain::Sealer).id(session.0).finish())
    }
}

impl Placement {
    /// The placement of a view's members.
    pub fn new(number: PlacementNumber, members: &[Member]) -> Result<Placement, UnknownPlacement> {
        if !number.is_known() {
            return Err(UnknownPlacement(number));
        }
        let mut members = members.to_vec();
        members.sort_by_key(|member| member.broker_id);
        let mut draws = Vec::new();
        for (index, member) in members.iter().enumerate() {
            let broker = Hash::of(Domain::Draw).word(u64::from(member.broker_id.0.cast_unsigned()));
            let seeds = (0..member.weight).map(|draw| broker.word(draw.into()).finish());
            draws.extend(seeds.map(|seed| Draw { seed, member: index }));
        }
        Ok(Placement { members, draws })
    }

    /// Who leads `key`; none if there are no members.
    #[must_use]
    pub fn leader(&self, key: PlacementKey) -> Option<&Member> {
        self.leader_index(key).map(|index| &self.members[index])
    }

    /// The place in [`Placement::members`] of who leads `key`.
    pub(super) fn leader_index(&self, key: PlacementKey) -> Option<usize> {
        let mut best: Option<(u64, usize)> = None;
        for draw in &self.draws {
            let score = mix(key.0 ^ draw.seed);
            if best.is_none_or(|(greatest, _)| score > greatest) {
                best = Some((score, draw.member));
            }
        }
        best.map(|(_, member)| member)
    }

    /// All members, the leader of `key` first, then who would lead without those before.
    #[must_use]
    pub fn rank(&self, key: PlacementKey) -> Vec<&Member> {
        let mut best = vec![0; self.members.len()];
        for draw in &self.draws {
            best[draw.member] = mix(key.0 ^ draw.seed).max(best[draw.member]);
        }
        let mut order: Vec<usize> = (0..self.members.len()).collect();
        // The sort is stable: equal ones stay in the order of broker ids.
        order.sort_by_key(|&index| std::cmp::Reverse(best[index]));
        order.into_iter().map(|index| &self.members[index]).collect()
    }

    /// The members, in the order of their broker ids.
    #[must_use]
    pub fn members(&self) -> &[Member] {
        &self.members
    }
}
