//! What the tests share: a broker as a process, a client that sends what it is told, batches made by hand, producers that
//! go on over kills, and what is looked at of an archive.

pub mod archive;
pub mod batches;
pub mod broker;
pub mod chance;
pub mod clocks;
pub mod cluster;
pub mod drill;
pub mod engines;
#[allow(dead_code, reason = "some of it is for the tests of the metadata store")]
pub mod etcd;
pub mod history;
pub mod link;
pub mod load;
pub mod ports;
pub mod quic;
pub mod raw;
pub mod reading;
pub mod requests;
pub mod s3_server;
pub mod skip;
pub mod slow_link;

pub use batches::{Batch, Codec, Record, parse_batches};
pub use broker::Broker;
pub use kafka_protocol::ResponseError;
pub use raw::Client;

/// The code that stands on the wire for no error.
pub const NONE: i16 = 0;

/// A topic name nobody else has used, also when the broker outlives the test.
pub fn unique_name(theme: &str) -> String {
    format!("{theme}-{}", uuid::Uuid::new_v4().simple())
}
