//! Leases of the embedded store: they live as long as the process, or until they are revoked or dropped.

use super::{Shared, on_blocking_thread, tables};
use crate::meta::lease::{LeaseKeeper, LeaseState, Revocation};
use crate::meta::{Durability, LeaseId, MetadataError, Transaction, Write};
use parking_lot::Mutex;
use std::collections::HashSet;
use std::sync::{Arc, Weak};

/// The leases of this run.
#[derive(Debug, Default)]
pub(super) struct Leases {
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    last: i64,
    live: HashSet<LeaseId>,
}

impl Leases {
    pub(super) fn grant(&self) -> LeaseId {
        let mut known = self.known.lock();
        known.last += 1;
        let id = LeaseId(known.last);
        known.live.insert(id);
        id
    }

    /// Refuses what would go with a lease that is over.
    pub(super) fn check(&self, transaction: &Transaction) -> Result<(), MetadataError> {
        let known = self.known.lock();
        for write in &transaction.writes {
            if let Write::PutLeased(key, _, lease) = write
                && !known.live.contains(lease)
            {
                return Err(MetadataError::Refused(format!("the lease of key {key} is over")));
            }
        }
        Ok(())
    }
}

/// Waits for the end of one lease: its revocation, or its being dropped.
pub(super) async fn keep(store: Weak<Shared>, id: LeaseId, mut keeper: LeaseKeeper) {
    let answer = keeper.revocations.recv().await;
    end(&store, id, answer).await;
    keeper.state.send_replace(LeaseState::Lost);
}

async fn end(store: &Weak<Shared>, id: LeaseId, answer: Option<Revocation>) {
    let revoked = match store.upgrade() {
        Some(store) => remove_keys(store, id).await,
        None => Err(MetadataError::Unknown("the store is closed".to_owned())),
    };
    match (answer, revoked) {
        // Whoever asked may be gone.
        (Some(answer), revoked) => drop(answer.send(revoked)),
        (None, Err(error)) => tracing::debug!(%error, "the keys of a lease stay until the next start"),
        (None, Ok(())) => {}
    }
}

async fn remove_keys(store: Arc<Shared>, id: LeaseId) -> Result<(), MetadataError> {
    let guard = Arc::clone(&store.writer).lock_owned().await;
    store.leases.known.lock().live.remove(&id);
    on_blocking_thread(move || {
        let writes: Vec<Write> =
            tables::keys_of(&store.database, id)?.into_iter().map(Write::Delete).collect();
        if !writes.is_empty() {
            let transaction = Transaction { writes, ..Transaction::default() };
            store.write(&transaction, Durability::Immediate, &guard)?;
        }
        Ok(())
    })
    .await
}
