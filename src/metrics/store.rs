//! What is asked of the object store, by operation and by what the object is: what a cloud sends the bill for.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::{Registry, Unit};

/// The object store's numbers. What the library repeats by itself is not counted again; a listing is one, whatever
/// its pages.
#[derive(Clone, Debug)]
pub struct StoreMetrics {
    /// By operation, and in it by what the object is.
    requests: Vec<Vec<Counter>>,
    /// Bytes of PUTs, by what the object is.
    put_bytes: Vec<Counter>,
}

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreOperation {
    /// A whole object is stored.
    Put,
    /// An object or a part of it is read.
    Get,
    /// The size of one is asked for.
    Head,
    /// The names below a prefix.
    List,
    /// One is removed.
    Delete,
}

/// What the object is, by the first level of its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObjectKind {
    /// A journal object.
    Journal,
    /// A segment of a topic.
    Segment,
    /// A part of a partition's manifest.
    Manifest,
    /// The cluster's mark, and probes.
    Other,
}

const OPERATIONS: [&str; 5] = ["put", "get", "head", "list", "delete"];
const KINDS: [&str; 4] = ["journal", "segment", "manifest", "other"];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    operation: &'static str,
    object: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ObjectLabel {
    object: &'static str,
}

impl StoreMetrics {
    pub(super) fn register(registry: &mut Registry) -> StoreMetrics {
        let requests = Family::<RequestLabels, Counter>::default();
        let put_bytes = Family::<ObjectLabel, Counter>::default();
        registry.register("store_requests", "Requests to the object store", requests.clone());
        registry.register_with_unit(
            "store_put",
            "Bytes put into the object store",
            Unit::Bytes,
            put_bytes.clone(),
        );
        let of = |operation| {
            let counter = |object| requests.get_or_create_owned(&RequestLabels { operation, object });
            KINDS.into_iter().map(counter).collect()
        };
        StoreMetrics {
            requests: OPERATIONS.into_iter().map(of).collect(),
            put_bytes: KINDS.map(|object| put_bytes.get_or_create_owned(&ObjectLabel { object })).into(),
        }
    }

    /// One more request.
    pub fn asked(&self, operation: StoreOperation, object: ObjectKind) {
        self.requests[operation as usize][object as usize].inc();
    }

    /// Bytes that were put.
    pub fn put(&self, object: ObjectKind, bytes: u64) {
        self.put_bytes[object as usize].inc_by(bytes);
    }
}
