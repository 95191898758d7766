//! What consumers fetch of partitions that are led in another zone.

use super::{bytes, counter};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;

/// The numbers.
#[derive(Clone, Debug)]
pub struct ZoneMetrics {
    /// Record bytes that were read from this broker's own cache or the object store.
    pub read_bytes: Counter,
    /// Partitions whose leader gave the records all the same, in another zone.
    pub asked_leader: Counter,
}

impl ZoneMetrics {
    pub(super) fn register(registry: &mut Registry) -> ZoneMetrics {
        ZoneMetrics {
            read_bytes: bytes(
                registry,
                "zone_fetch",
                "Record bytes given out here of partitions that are led in another zone",
            ),
            asked_leader: counter(
                registry,
                "zone_fetches_from_leader",
                "Partitions of fetches whose records came from a leader in another zone",
            ),
        }
    }
}
