//! Markers at the places of a transaction: in the logs of partitions, and in the offsets of groups.

use super::places::Place;
use super::request::Markers;
use crate::clock::Clock;
use crate::group::{EndOffsets, GroupCoordinator, GroupError, GroupId};
use crate::journal::{Journal, Outcome};
use crate::limits::{MemoryBudget, Purpose};
use crate::log::{BrokerLog, Marker, MarkerError, MarkerTaken};
use crate::topic::Catalog;
use crate::types::{TopicPartition, ViewNumber};
use std::sync::Arc;

/// Writes markers where this broker leads, which is everywhere as long as it is alone.
#[derive(Debug)]
pub(super) struct MarkerWriter {
    pub log: Arc<BrokerLog>,
    pub journal: Journal,
    pub catalog: Arc<Catalog>,
    pub groups: GroupCoordinator,
    pub clock: Clock,
    pub memory: MemoryBudget,
    /// The view in which this broker coordinates.
    pub view: ViewNumber,
}

/// What became of one marker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// It is durable, or its place is gone for good.
    Yes,
    /// It is to be tried again.
    NotYet,
}

/// What one marker takes in the journal, in bytes, at most.
const MARKER_BYTES: usize = 256;

impl MarkerWriter {
    /// Writes the marker of `markers` at `place`, and waits until it is durable.
    pub async fn write(&self, markers: &Markers, place: &Place) -> Written {
        match place {
            Place::Partition(partition) => self.write_to_partition(markers, *partition).await,
            Place::Group(group) => self.write_to_group(markers, &GroupId::new(group)).await,
        }
    }

    async fn write_to_partition(&self, markers: &Markers, place: TopicPartition) -> Written {
        let Some(partition) = self.log.partition(place) else {
            return match self.catalog.resolve_id(place.topic_id).await {
                Ok(None) => Written::Yes,
                Ok(Some(topic)) => {
                    // Nobody has asked for it since this session began.
                    self.log.ensure(topic.id, topic.partitions);
                    Written::NotYet
                }
                Err(_) => Written::NotYet,
            };
        };
        let marker = Marker {
            producer_id: markers.producer_id,
            producer_epoch: markers.producer_epoch,
            verdict: markers.verdict,
            coordinator_view: self.view,
            ordinal: markers.ordinal,
        };
        let permit = Arc::new(self.memory.reserve(MARKER_BYTES, Purpose::Other).await);
        let taken = partition.append_marker(&self.journal, marker, &permit, self.clock.now());
        let mut ticket = match taken {
            Ok(MarkerTaken::Written { ticket } | MarkerTaken::AlreadyDone { ticket }) => ticket,
            // A deleted topic's partition is closed; the next attempt finds it gone.
            Err(MarkerError::NotLeading) => return Written::NotYet,
            Err(error) => {
                tracing::error!(%place, %error, "a partition refuses the end of a transaction");
                return Written::NotYet;
            }
        };
        match ticket.settled().await {
            Outcome::Committed => Written::Yes,
            Outcome::Lost | Outcome::Pending => Written::NotYet,
        }
    }

    async fn write_to_group(&self, markers: &Markers, group_id: &GroupId) -> Written {
        let end = EndOffsets {
            producer_id: markers.producer_id,
            producer_epoch: markers.producer_epoch,
            ordinal: markers.ordinal,
            verdict: markers.verdict,
            coordinator_view: self.view,
        };
        match self.groups.call(group_id, end).await {
            Ok(()) => Written::Yes,
            Err(GroupError::CoordinatorNotAvailable | GroupError::NotCoordinator) => Written::NotYet,
            Err(error) => {
                tracing::error!(group = %group_id, %error, "a group refuses the end of a transaction");
                Written::NotYet
            }
        }
    }
}
