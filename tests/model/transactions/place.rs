//! What a leader checks: a batch of a transaction, and a marker.

use super::World;
use super::bugs::Bug;
use super::state::*;

/// Of the answer to a batch, what matters here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Admission {
    /// The transaction is open here with this epoch: append under its ordinal.
    Append(Ordinal),
    /// Nothing is open: ask the coordinator.
    Ask,
    Refuse,
}

/// An ordinal that a leader with `Bug::OrdinalForgotten` takes for any.
const UNKNOWN: Ordinal = Ordinal::MAX;

impl World {
    pub fn on_batch(&self, place: &Place, epoch: ProducerEpoch) -> Admission {
        let known = place.producer;
        if epoch < known.producer_epoch {
            Admission::Refuse
        } else if known.open == 0 {
            Admission::Ask
        } else if epoch == known.producer_epoch {
            Admission::Append(known.open)
        } else {
            // A later epoch while an older one is open: its marker is still on its way.
            Admission::Refuse
        }
    }

    /// The coordinator has answered; much may have happened since it was asked.
    pub fn may_append(&self, place: &Place, epoch: ProducerEpoch, ordinal: Ordinal) -> bool {
        let known = place.producer;
        let after_the_last = ordinal > known.ended || self.has(Bug::AppendAfterMarker);
        let none_other = known.open == 0 || known.open == ordinal || self.has(Bug::BeginWhileEnding);
        epoch >= known.producer_epoch && none_other && after_the_last
    }

    pub fn append(&self, place: &mut Place, from: Source, epoch: ProducerEpoch, ordinal: Ordinal) {
        if place.producer.open == 0 {
            place.producer.open_from = place.log.len() as u8;
        }
        place.log.push(Row::Batch { from, ordinal, producer_epoch: epoch });
        place.producer.open = ordinal;
        place.producer.producer_epoch = epoch;
    }

    /// Whether the marker is answered with success; it is written at most once.
    pub fn on_marker(&self, place: &mut Place, marker: Marker) -> bool {
        let known = place.producer;
        if marker.coordinator_view < known.coordinator_view && !self.stale_markers_pass {
            return false;
        }
        if marker.producer_epoch < known.producer_epoch {
            return false;
        }
        if self.has(Bug::RepeatedMarkerRefused)
            && known.open == 0
            && marker.producer_epoch == known.producer_epoch
            && known.ended > 0
        {
            return false;
        }
        let is_for_open = match self.has(Bug::NoOrdinalCheck) {
            true => known.open > 0,
            false => known.open == marker.ordinal || known.open == UNKNOWN,
        };
        if is_for_open || (known.open == 0 && marker.ordinal > known.ended) {
            self.write_marker(place, marker);
            return true;
        }
        marker.ordinal == known.ended && known.open == 0
    }

    fn write_marker(&self, place: &mut Place, marker: Marker) {
        place.log.push(Row::Marker(marker));
        place.producer = ProducerState {
            producer_epoch: marker.producer_epoch,
            open: 0,
            open_from: 0,
            ended: marker.ordinal,
            coordinator_view: marker.coordinator_view,
        };
    }

    /// A new leader: what it knows, it has read in the log.
    pub fn rebuild(&self, place: &mut Place) {
        let mut fresh = ProducerState::default();
        for (offset, row) in place.log.iter().enumerate() {
            match row {
                Row::Batch { ordinal, producer_epoch, .. } => {
                    if fresh.open == 0 {
                        fresh.open_from = offset as u8;
                    }
                    (fresh.open, fresh.producer_epoch) = (*ordinal, *producer_epoch);
                }
                Row::Marker(marker) => {
                    (fresh.open, fresh.open_from) = (0, 0);
                    (fresh.ended, fresh.producer_epoch) = (marker.ordinal, marker.producer_epoch);
                    fresh.coordinator_view = marker.coordinator_view;
                }
            }
        }
        if self.has(Bug::OrdinalForgotten) {
            fresh.ended = 0;
            fresh.open = if fresh.open > 0 { UNKNOWN } else { 0 };
        }
        place.producer = fresh;
        place.verified = Default::default();
    }
}
