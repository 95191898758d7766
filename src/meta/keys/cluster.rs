//! `cluster`: which cluster this metadata store belongs to; the bucket's marker says the same.
//!
//! `{"v":1,"cluster_id":"0123456789abcdef0123456789abcdef"}`

use super::{DecodeKeyError, text};
use crate::meta::Entry;
use crate::types::ClusterId;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// The key.
pub const KEY: &str = "cluster";

/// The value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cluster {
    /// Made once, at the first start.
    #[serde(with = "text")]
    pub cluster_id: ClusterId,
}

impl Cluster {
    /// The stored form.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        super::encode(self)
    }

    /// From the stored form.
    pub fn decode(entry: &Entry) -> Result<Cluster, DecodeKeyError> {
        super::decode(entry)
    }
}
