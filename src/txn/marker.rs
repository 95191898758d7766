//! Markers at the places of a transaction: in the logs of partitions, and in the offsets of groups. Those that are led
//! elsewhere are written by their leader.

use super::places::Place;
use super::remote::{PLACES_AT_ONCE, RemoteMarkers, decode_written};
use super::request::Markers;
use crate::clock::Clock;
use crate::cluster::PlacementKey;
use crate::group::{EndOffsets, GroupCoordinator, GroupError, GroupId};
use crate::journal::{Journal, Outcome};
use crate::leadership::{Leader, Leadership};
use crate::limits::{MemoryBudget, Purpose};
use crate::log::{BrokerLog, Marker, MarkerError, MarkerTaken};
use crate::remote::RemoteBrokers;
use crate::topic::Catalog;
use crate::types::{SessionId, TopicPartition};
use futures_util::stream::{self, StreamExt};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Writes markers where this session leads, and has the others written.
#[derive(Debug)]
pub(super) struct MarkerWriter {
    pub log: Arc<BrokerLog>,
    pub journal: Journal,
    pub catalog: Arc<Catalog>,
    pub groups: GroupCoordinator,
    pub clock: Clock,
    pub memory: MemoryBudget,
    pub leadership: Leadership,
    pub remote: Arc<dyn RemoteBrokers>,
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

/// How long another leader has time to write markers. They are sent again then, also to that one.
const WRITE_MAX: Duration = Duration::from_secs(3);

impl MarkerWriter {
    /// The markers in parts that may be written one beside the other, and who leads the places of each. They carry the newest
    /// view that is known here: whoever calls has seen since that this session still coordinates.
    pub fn parts(&self, markers: &Markers, places_max: usize) -> Vec<(Leader, RemoteMarkers)> {
        let image = self.leadership.image();
        let mut elsewhere: BTreeMap<SessionId, Vec<Place>> = BTreeMap::new();
        let mut parts = Vec::new();
        let part = |leader, places| {
            let &Markers { producer_id, producer_epoch, verdict, ordinal, .. } = markers;
            let markers = Markers { producer_id, producer_epoch, verdict, ordinal, places };
            (leader, RemoteMarkers { markers, coordinator_view: image.number() })
        };
        for place in markers.places.iter().take(places_max).cloned() {
            match image.leader(placement(&place)) {
                Leader::Other(session) => elsewhere.entry(session).or_default().push(place),
                leader => parts.push(part(leader, vec![place])),
            }
        }
        for (session, places) in elsewhere {
            let chunks = places.chunks(PLACES_AT_ONCE);
            parts.extend(chunks.map(|places| part(Leader::Other(session), places.to_vec())));
        }
        parts
    }

    /// Writes markers, and waits until they are durable; what became of each place.
    pub async fn write(&self, leader: Leader, markers: &RemoteMarkers) -> Vec<Written> {
        match leader {
            Leader::Own => self.write_all_here(markers).await,
            Leader::Other(session) => self.write_elsewhere(session, markers).await,
            Leader::Nobody => not_yet(markers),
        }
    }

    async fn write_elsewhere(&self, leader: SessionId, markers: &RemoteMarkers) -> Vec<Written> {
        let asked = self.remote.ask(leader, markers.encode(), WRITE_MAX).await.and_then(decode_written);
        match asked {
            Ok(written) if written.len() == markers.markers.places.len() => written,
            Ok(_) => {
                tracing::error!(%leader, "another broker answers for other places than it was asked for");
                not_yet(markers)
            }
            Err(error) => {
                tracing::debug!(%leader, %error, "markers of a transaction are sent again");
                not_yet(markers)
            }
        }
    }

    /// Writes markers at places that this session leads; others are not written yet.
    pub async fn write_all_here(&self, markers: &RemoteMarkers) -> Vec<Written> {
        let places = stream::iter(0..markers.markers.places.len());
        let written = places.map(|place| self.write_at(markers, place));
        written.buffered(PLACES_AT_ONCE).collect().await
    }

    async fn write_at(&self, markers: &RemoteMarkers, place: usize) -> Written {
        match &markers.markers.places[place] {
            Place::Partition(partition) => self.write_to_partition(markers, *partition).await,
            Place::Group(group) => self.write_to_group(markers, &GroupId::new(group)).await,
        }
    }

    /// What is to be done where nothing is led: the topic of the place may be gone, or the partition is not taken over yet.
    async fn without_partition(&self, place: TopicPartition) -> Written {
        if self.leadership.image().leader(PlacementKey::partition(place)) != Leader::Own {
            return Written::NotYet;
        }
        match self.catalog.resolve_id(place.topic_id).await {
            Ok(None) => Written::Yes,
            // It is not taken over yet.
            Ok(Some(_)) | Err(_) => Written::NotYet,
        }
    }

    async fn write_to_partition(&self, markers: &RemoteMarkers, place: TopicPartition) -> Written {
        let Some(partition) = self.log.partition(place) else {
            return self.without_partition(place).await;
        };
        let RemoteMarkers { markers, coordinator_view } = markers;
        let marker = Marker {
            producer_id: markers.producer_id,
            producer_epoch: markers.producer_epoch,
            verdict: markers.verdict,
            coordinator_view: *coordinator_view,
            ordinal: markers.ordinal,
        };
        let permit = Arc::new(self.memory.reserve(MARKER_BYTES, Purpose::Other).await);
        let taken = partition.append_marker(&self.journal, marker, &permit, self.clock.now());
        let mut ticket = match taken {
            Ok(MarkerTaken::Written { ticket } | MarkerTaken::AlreadyDone { ticket }) => ticket,
            // It has moved, or its topic was deleted: the next attempt finds out.
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

    async fn write_to_group(&self, markers: &RemoteMarkers, group_id: &GroupId) -> Written {
        let RemoteMarkers { markers, coordinator_view } = markers;
        let end = EndOffsets {
            producer_id: markers.producer_id,
            producer_epoch: markers.producer_epoch,
            ordinal: markers.ordinal,
            verdict: markers.verdict,
            coordinator_view: *coordinator_view,
        };
        match self.groups.call(group_id, end).await {
            Ok(()) => Written::Yes,
            Err(
                GroupError::CoordinatorNotAvailable
                | GroupError::CoordinatorLoadInProgress
                | GroupError::NotCoordinator,
            ) => Written::NotYet,
            Err(error) => {
                tracing::error!(group = %group_id, %error, "a group refuses the end of a transaction");
                Written::NotYet
            }
        }
    }
}

/// By which the leader of a place is found.
fn placement(place: &Place) -> PlacementKey {
    match place {
        Place::Partition(partition) => PlacementKey::partition(*partition),
        Place::Group(group) => PlacementKey::group(group),
    }
}

fn not_yet(markers: &RemoteMarkers) -> Vec<Written> {
    vec![Written::NotYet; markers.markers.places.len()]
}
