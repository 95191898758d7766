//! What goes between brokers.

use super::{bytes, counter, gauge, seconds};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// The mesh's numbers.
#[derive(Clone, Debug)]
pub struct MeshMetrics {
    /// QUIC connections that other brokers made to this one.
    pub connections_in: Gauge,
    /// QUIC connections that this broker made to others.
    pub connections_out: Gauge,
    /// Connections that were made to others, again and again counted.
    pub connects: Counter,
    /// Connections that could not be made to others.
    pub connects_failed: Counter,
    /// Connections from outside that were turned away or did not prove to be of the cluster.
    pub strangers: Counter,
    /// Streams of other brokers that are being served.
    pub streams_in: Gauge,
    /// Requests to others that were answered.
    pub answered: Counter,
    /// Requests that did not leave.
    pub not_sent: Counter,
    /// Requests that may have been carried out, without an answer.
    pub unknown: Counter,
    /// From the call to its answer.
    pub seconds: Histogram,
    /// Requests sent to others, in bytes.
    pub request_bytes: Counter,
    /// Answers received, in bytes.
    pub answer_bytes: Counter,
    /// Peers that are not silent and not gone.
    pub peers_up: Gauge,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DirectionLabel {
    direction: &'static str,
}

impl MeshMetrics {
    pub(super) fn register(registry: &mut Registry) -> MeshMetrics {
        let requests = Family::<OutcomeLabel, Counter>::default();
        let connections = Family::<DirectionLabel, Gauge>::default();
        registry.register("mesh_requests", "Requests sent to other brokers", requests.clone());
        registry.register("mesh_connections", "QUIC connections between brokers", connections.clone());
        let of_outcome = |outcome| requests.get_or_create_owned(&OutcomeLabel { outcome });
        let of_direction = |direction| connections.get_or_create_owned(&DirectionLabel { direction });
        MeshMetrics {
            connections_in: of_direction("in"),
            connections_out: of_direction("out"),
            connects: counter(registry, "mesh_connects", "Connections made to other brokers"),
            connects_failed: counter(
                registry,
                "mesh_connects_failed",
                "Connections that could not be made to other brokers",
            ),
            strangers: counter(
                registry,
                "mesh_strangers",
                "Connections to the mesh that were turned away or did not prove to be of the cluster",
            ),
            streams_in: gauge(registry, "mesh_streams", "Streams of other brokers that are being served"),
            answered: of_outcome("answered"),
            not_sent: of_outcome("not_sent"),
            unknown: of_outcome("unknown"),
            seconds: seconds(registry, "mesh_request", "From a request to another broker to its answer"),
            request_bytes: bytes(registry, "mesh_request", "Requests sent to other brokers"),
            answer_bytes: bytes(registry, "mesh_answer", "Answers received from other brokers"),
            peers_up: gauge(registry, "mesh_peers_up", "Other brokers that answer"),
        }
    }
}
