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
use std::collections::BTreeSet;

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
    /// Names without regard to case, in order; none if there are more than [`ZONES_MAX`].
    zones: Vec<String>,
}

/// Zones of one view at most, to be of use: each has a broker that reads a partition for the consumers there.
pub const ZONES_MAX: usize = 16;

#[derive(Clone, Copy, Debug)]
struct Draw {
    seed: u64,
    member: usize,
    /// The member's place among the zones.
    zone: Option<usize>,
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
        let zones = zones(&members);
        let mut draws = Vec::new();
        for (index, member) in members.iter().enumerate() {
            let zone = member.zone.as_ref().and_then(|zone| zones.binary_search(&zone.to_lowercase()).ok());
            let broker = Hash::of(Domain::Draw).word(u64::from(member.broker_id.0.cast_unsigned()));
            let seeds = (0..member.weight).map(|draw| broker.word(draw.into()).finish());
            draws.extend(seeds.map(|seed| Draw { seed, member: index, zone }));
        }
        Ok(Placement { members, draws, zones })
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

    /// Who of the members of `zone` would lead `key` if there were no others; none if it has no members. In the leader's own
    /// zone that is the leader.
    #[must_use]
    pub fn leader_in(&self, zone: &str, key: PlacementKey) -> Option<&Member> {
        let zone = self.zones.binary_search(&zone.to_lowercase()).ok()?;
        self.best_by_zone(key)[zone]
    }

    /// The same of each zone.
    pub fn leaders_in_zones(&self, key: PlacementKey) -> impl Iterator<Item = &Member> {
        self.best_by_zone(key).into_iter().flatten()
    }

    /// Whether `zone` has members.
    #[must_use]
    pub fn has_zone(&self, zone: &str) -> bool {
        self.zones.binary_search(&zone.to_lowercase()).is_ok()
    }

    fn best_by_zone(&self, key: PlacementKey) -> Vec<Option<&Member>> {
        if self.zones.is_empty() {
            return Vec::new();
        }
        let mut best: Vec<Option<(u64, usize)>> = vec![None; self.zones.len()];
        for (draw, zone) in self.draws.iter().filter_map(|draw| Some((draw, draw.zone?))) {
            let score = mix(key.0 ^ draw.seed);
            if best[zone].is_none_or(|(greatest, _)| score > greatest) {
                best[zone] = Some((score, draw.member));
            }
        }
        best.into_iter().map(|best| best.map(|(_, member)| &self.members[member])).collect()
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

fn zones(members: &[Member]) -> Vec<String> {
    let zones: BTreeSet<String> =
        members.iter().filter_map(|member| member.zone.as_ref().map(|zone| zone.to_lowercase())).collect();
    if zones.len() <= ZONES_MAX { zones.into_iter().collect() } else { Vec::new() }
}
