//! At start: does the store do what the log rests on?

use super::{ObjectPath, ObjectStore, StoreError, paths};
use crate::clock::random_id;
use bytes::Bytes;

/// What the store does not do.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// An operation failed.
    #[error("the store {store} cannot be used: {step} failed: {reason}", reason = .error.reason())]
    Failed {
        /// Which store.
        store: String,
        /// What was tried.
        step: &'static str,
        /// What came of it.
        error: StoreError,
    },
    /// An operation answered, and wrongly.
    #[error("the store {store} cannot be used: {step} gave a wrong answer")]
    Wrong {
        /// Which store.
        store: String,
        /// What was tried.
        step: &'static str,
    },
}

const FIRST: &[u8] = b"a cenote is fed by a river that nobody sees";
const SECOND: &[u8] = b"what was put last is what is read";

impl ObjectStore {
    /// Puts, reads, overwrites, lists and deletes one small object of a random name; the first thing that is
    /// not as it must be is the error.
    pub async fn probe(&self) -> Result<(), ProbeError> {
        let path = paths::legal(&format!("probe/{}", random_id().simple()));
        let outcome = self.probe_at(&path).await;
        if outcome.is_err()
            && let Err(error) = self.delete(&path).await
        {
            tracing::debug!(%path, %error, "the probe's object was not removed");
        }
        self.clear_folder_of(&path).await;
        outcome
    }

    async fn probe_at(&self, path: &ObjectPath) -> Result<(), ProbeError> {
        self.answered("a first put", self.put(path, Bytes::from_static(FIRST)).await)?;
        let read = self.answered("a read after a put", self.get(path).await)?;
        self.expect("a read after a put", read == FIRST)?;
        self.answered("an overwrite", self.put(path, Bytes::from_static(SECOND)).await)?;
        let read = self.answered("a read after an overwrite", self.get(path).await)?;
        self.expect("a read after an overwrite", read == SECOND)?;
        let read = self.answered("a read of a range", self.get_range(path, 5..13).await)?;
        self.expect("a read of a range", read == SECOND[5..13])?;
        self.probe_list(path).await?;
        self.answered("a delete", self.delete(path).await)?;
        let gone = matches!(self.get(path).await, Err(StoreError::Missing { .. }));
        self.expect("a read after a delete", gone)
    }

    async fn probe_list(&self, path: &ObjectPath) -> Result<(), ProbeError> {
        let step = "a list after a put";
        let listed = self.answered(step, self.list_sorted(Some(&paths::legal("probe")), PROBES_MAX).await)?;
        self.expect(step, listed.iter().any(|object| object.path == *path && object.size == SIZE))
    }

    fn answered<T>(&self, step: &'static str, answer: Result<T, StoreError>) -> Result<T, ProbeError> {
        answer.map_err(|error| ProbeError::Failed { store: self.to_string(), step, error })
    }

    fn expect(&self, step: &'static str, holds: bool) -> Result<(), ProbeError> {
        if holds { Ok(()) } else { Err(ProbeError::Wrong { store: self.to_string(), step }) }
    }
}

const SIZE: u64 = SECOND.len() as u64;
/// Probes that died and left their object.
const PROBES_MAX: usize = 10_000;
