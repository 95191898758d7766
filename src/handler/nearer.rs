//! Whom a consumer is sent to that wants to read in its own zone (KIP-392): a broker there that reads the partition for all
//! consumers of the zone, so that one cache has it.
//!
//! Only the leader sends away, and only to who is told of in Metadata as a replica and is seen on the mesh: a broker that does not
//! reach the leader would send the consumer back.

use super::brokers::Brokers;
use super::forward::At;
use crate::cluster::PlacementKey;
use crate::mesh::Reachability;
use crate::peers::Sightings;
use crate::types::{BrokerId, TopicPartition};

/// The brokers of a consumer's zone.
#[derive(Debug)]
pub(super) struct Nearer {
    brokers: Brokers,
    own: BrokerId,
    sightings: Sightings,
    rack: String,
}

impl Nearer {
    /// For a consumer in `rack`; none if that is this broker's own zone, or not known to be a zone.
    pub fn of(at: At<'_>, rack: &str) -> Option<Nearer> {
        let image = at.context.leadership.image();
        if !image.has_zone(rack) || image.is_in_zone(at.context.leadership.own(), rack) {
            return None;
        }
        Some(Nearer {
            brokers: Brokers::of(at.context, at.connection),
            own: at.context.cluster.broker_id,
            sightings: at.context.peers.sightings().borrow().clone(),
            rack: rack.to_owned(),
        })
    }

    /// Who reads a partition there that this broker leads.
    pub fn broker(&self, partition: TopicPartition) -> Option<BrokerId> {
        let member = self.brokers.reader_in(&self.rack, PlacementKey::partition(partition))?;
        let seen = self.sightings.get(&member.session)?;
        let told_as = self.brokers.told_as(member.broker_id)?;
        // Behind one address there is nobody to be sent to.
        let is_elsewhere = self.brokers.told_as(self.own) != Some(told_as);
        (seen.reachability == Reachability::Up && is_elsewhere).then_some(told_as)
    }
}
