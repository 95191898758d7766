//! Whose bucket this is: a marker that must name the same cluster as the metadata store.
//!
//! Otherwise a broker with another metadata store, or with an empty one, would see all objects as litter.
//!
//! | metadata                       | marker: none             | marker: ours | marker: another's |
//! |--------------------------------|--------------------------|--------------|-------------------|
//! | new, or nothing committed yet  | mark, if no journal lies there | fine   | `Foreign`         |
//! | something was committed        | `Vanished`               | fine         | `Foreign`         |
//!
//! The metadata store is given its id first, durably; then the bucket is marked. A crash between the two leaves
//! the first row and first column, so the next start goes on.

use super::{ObjectStore, StoreError, paths};
use crate::types::ClusterId;
use futures_util::TryStreamExt;
use serde::{Deserialize, Serialize};

/// What the metadata store knows of its cluster's past.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClusterHistory {
    /// No session ever committed an object: the bucket may be empty.
    NothingCommitted,
    /// Objects were committed: they must be there.
    Committed,
}

/// Why the bucket is not this cluster's.
#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    /// The marker names another cluster.
    #[error(
        "the store belongs to cluster {found}, the metadata to {ours}: use the metadata that belongs to this store, or an empty store"
    )]
    Foreign {
        /// Whom the store belongs to.
        found: ClusterId,
        /// Whom the metadata store belongs to.
        ours: ClusterId,
    },
    /// The metadata speaks of objects, and the store has no marker.
    #[error(
        "the metadata of cluster {ours} speaks of committed objects, but the store has no cluster.json: is it the right store?"
    )]
    Vanished {
        /// Whom the metadata store belongs to.
        ours: ClusterId,
    },
    /// The store has journals and no marker.
    #[error("the store has journals but no cluster.json that says whose they are: use an empty store")]
    Unmarked,
    /// The marker is not one.
    #[error("cluster.json cannot be read: {reason}")]
    Unreadable {
        /// What is wrong with it.
        reason: String,
    },
    /// The store gave no answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The marker's stored form: `{"v":1,"cluster_id":"0123456789abcdef0123456789abcdef"}`.
#[derive(Serialize, Deserialize)]
struct Marker {
    v: u32,
    cluster_id: String,
}

const FORMAT: u32 = 1;

/// Checks that the store belongs to `ours`, the id in the metadata store, and marks one that is new.
pub async fn claim(store: &ObjectStore, ours: ClusterId, history: ClusterHistory) -> Result<(), ClaimError> {
    match (read_claim(store).await?, history) {
        (Some(found), _) if found == ours => Ok(()),
        (Some(found), _) => Err(ClaimError::Foreign { found, ours }),
        (None, ClusterHistory::Committed) => Err(ClaimError::Vanished { ours }),
        (None, ClusterHistory::NothingCommitted) => mark(store, ours).await,
    }
}

/// Whom the store belongs to, if anybody.
pub async fn read_claim(store: &ObjectStore) -> Result<Option<ClusterId>, ClaimError> {
    match store.get(&paths::cluster_marker()).await {
        Ok(body) => decode(&body).map(Some),
        Err(StoreError::Missing { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

async fn mark(store: &ObjectStore, ours: ClusterId) -> Result<(), ClaimError> {
    if store.list(Some(&paths::journals_prefix())).try_next().await?.is_some() {
        return Err(ClaimError::Unmarked);
    }
    store.put(&paths::cluster_marker(), encode(ours).into()).await?;
    // Another cluster may have marked it in the same moment: the last one has it.
    match read_claim(store).await? {
        Some(found) if found != ours => Err(ClaimError::Foreign { found, ours }),
        _ => Ok(()),
    }
}

pub(super) fn encode(cluster_id: ClusterId) -> Vec<u8> {
    let marker = Marker { v: FORMAT, cluster_id: cluster_id.to_string() };
    serde_json::to_vec(&marker).expect("a number and a string are always JSON")
}

pub(super) fn decode(body: &[u8]) -> Result<ClusterId, ClaimError> {
    let unreadable = |reason: String| ClaimError::Unreadable { reason };
    let marker: Marker = serde_json::from_slice(body).map_err(|error| unreadable(error.to_string()))?;
    match marker.v {
        FORMAT => marker.cluster_id.parse().map_err(|_| unreadable("its cluster id is not one".into())),
        other => Err(unreadable(format!("format {other} of a newer release"))),
    }
}
