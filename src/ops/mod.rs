//! Health, readiness, metrics, archives and the cluster over HTTP. Never a way to change a record, a setting or an offset.

mod admin;
mod first_bytes;
mod http;
mod readiness;

pub use admin::{
    Admin, ArchivePage, BrokerAnswer, ClusterAnswer, ListenerAnswer, OrderAnswer, OwnArchives,
    PartitionAnswer, PartitionError, SegmentAnswer, SegmentsPage, TopicArchive,
};
pub use http::{BindHttpError, HttpServer};
pub use readiness::Readiness;

#[cfg(test)]
mod tests;
