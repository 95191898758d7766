//! `producer-ids`: the first producer id that nobody has taken.
//!
//! `{"v":1,"next":2000}`

use super::DecodeKeyError;
use crate::meta::{
    Compare, Durability, Entry, MetadataError, MetadataStore, Standing, StandingError, Transaction, Write,
};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// The key.
pub const KEY: &str = "producer-ids";

/// The value.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProducerIds {
    /// The first id that nobody has taken.
    pub next: i64,
}

impl ProducerIds {
    /// The stored form.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        super::encode(self)
    }

    /// From the stored form.
    pub fn decode(entry: &Entry) -> Result<ProducerIds, DecodeKeyError> {
        super::decode(entry)
    }
}

/// Why no block was taken.
#[derive(Debug, thiserror::Error)]
pub enum TakeBlockError {
    /// The session was sealed, or its standing is unknown.
    #[error(transparent)]
    Standing(#[from] StandingError),
    /// The store refused or gave no answer, again and again.
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    /// What is stored cannot be understood.
    #[error(transparent)]
    Unreadable(#[from] DecodeKeyError),
    /// There are no ids left.
    #[error("no producer ids are left")]
    Exhausted,
}

/// Races lost or answers lost before giving up.
const ATTEMPTS: usize = 32;

/// Takes `size` producer ids that nobody else will ever get. An attempt whose outcome is unknown may have taken
/// a block: it is left unused and another one is taken.
pub async fn take_block(
    store: &dyn MetadataStore,
    standing: &Standing,
    size: u32,
) -> Result<Range<i64>, TakeBlockError> {
    let mut last = None;
    for _ in 0..ATTEMPTS {
        match attempt(store, standing, size).await {
            Ok(Some(block)) => return Ok(block),
            Ok(None) => {}
            Err(TakeBlockError::Metadata(error @ MetadataError::Unknown(_))) => last = Some(error),
            Err(error) => return Err(error),
        }
    }
    let lost = || MetadataError::Refused(format!("{ATTEMPTS} races for producer ids were lost"));
    Err(TakeBlockError::Metadata(last.unwrap_or_else(lost)))
}

/// None: somebody else was faster.
async fn attempt(
    store: &dyn MetadataStore,
    standing: &Standing,
    size: u32,
) -> Result<Option<Range<i64>>, TakeBlockError> {
    let entry = store.get(KEY).await?;
    let start = entry.as_ref().map(ProducerIds::decode).transpose()?.unwrap_or_default().next;
    let end = start.checked_add(size.into()).ok_or(TakeBlockError::Exhausted)?;
    let unchanged = match &entry {
        Some(entry) => Compare::Unchanged(KEY.into(), entry.mod_revision),
        None => Compare::Absent(KEY.into()),
    };
    let transaction = Transaction {
        compares: vec![standing.compare(), unchanged],
        writes: vec![Write::Put(KEY.into(), ProducerIds { next: end }.encode())],
        reads: vec![standing.key().to_owned()],
        durability: Durability::Immediate,
    };
    let answer = store.transact(transaction).await?;
    standing.judge(answer.reads.first().and_then(Option::as_ref))?;
    Ok(answer.applied.then_some(start..end))
}
