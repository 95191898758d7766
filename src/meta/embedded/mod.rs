//! The embedded metadata store of a single machine: one redb file and an exclusive lock.
//!
//! ```text
//! transact ──▶ writer lock ──▶ tables.rs: compare, write, read ──▶ commit ──▶ answer
//!                  ▲               immediate: on a blocking thread, fsync before the answer
//!                  │               deferred: inline, microseconds, not yet on disk
//!               syncer.rs: at most a second later an empty immediate commit takes the deferred ones along
//! ```
//!
//! Invariants: one writer at a time; revisions grow, also over a crash that loses deferred writes; no more than
//! [`DEFERRED_MAX`] deferred writes are ever not yet on disk. It never waits for the disk on an async thread.

mod leases;
mod lock;
mod syncer;
mod tables;
#[cfg(test)]
mod tests;
mod watches;

pub use lock::Holder;

use super::lease::Lease;
use super::{
    Durability, Entry, Fullness, KeyChange, Listing, MetadataError, MetadataStore, Revision, Transaction,
    TransactionAnswer, Watch,
};
use futures_util::future::BoxFuture;
use leases::Leases;
use lock::DirectoryLock;
use redb::backends::InMemoryBackend;
use redb::{Builder, Database};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use syncer::{Progress, Syncer};
use tokio::sync::{Mutex, OwnedMutexGuard};
use watches::{Watches, Watching};

/// Why a store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process, or another store of this one, has it open.
    #[error("{} is in use by {holder}", directory.display())]
    InUse {
        /// The directory.
        directory: PathBuf,
        /// Who has it.
        holder: Holder,
    },
    /// The disk or the file does not allow it.
    #[error("cannot use {} for metadata: {reason}", directory.display())]
    Unusable {
        /// The directory.
        directory: PathBuf,
        /// What the system or the database said.
        reason: String,
    },
}

impl OpenError {
    fn unusable(directory: &Path, reason: &dyn std::fmt::Display) -> OpenError {
        OpenError::Unusable { directory: directory.to_path_buf(), reason: reason.to_string() }
    }
}

/// The [`MetadataStore`] of one broker on one machine.
#[derive(Debug)]
pub struct EmbeddedStore {
    shared: Arc<Shared>,
    // Dropped after the syncer's last sync (see Drop), so that nobody opens the file before it is closed.
    _lock: Option<DirectoryLock>,
    syncer: Option<Syncer>,
}

/// What the store's callers and its syncer share.
struct Shared {
    database: Database,
    writer: Arc<Mutex<()>>,
    progress: Progress,
    watches: Watches,
    leases: Leases,
}

/// What became of a transaction, and what is to be told of it.
#[derive(Debug)]
struct Applied {
    answer: TransactionAnswer,
    changes: Vec<KeyChange>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("progress", &self.progress).finish_non_exhaustive()
    }
}

/// Deferred writes that a power cut may take at most; the next one is made durable at once.
pub(crate) const DEFERRED_MAX: u64 = 1024;
const FILE_NAME: &str = "metadata.redb";
/// redb would take a GiB; metadata is small and an idle broker should be too.
const CACHE_BYTES: usize = 4 << 20;

impl EmbeddedStore {
    /// Opens the store in `directory`, or makes it, and holds its lock until dropped. Blocks for a few fsyncs.
    pub fn open(directory: &Path) -> Result<EmbeddedStore, OpenError> {
        crate::disk::create_directory(directory).map_err(|error| OpenError::unusable(directory, &error))?;
        let lock = DirectoryLock::take(directory)?;
        let database = Builder::new()
            .set_cache_size(CACHE_BYTES)
            .create(directory.join(FILE_NAME))
            .map_err(|error| OpenError::unusable(directory, &error))?;
        let store = EmbeddedStore::start(database, Some(lock))
            .map_err(|error| OpenError::unusable(directory, &error))?;
        // The new file's name must last as long as what is in it.
        crate::disk::sync_directory(directory).map_err(|error| OpenError::unusable(directory, &error))?;
        Ok(store)
    }

    /// A store that ends with the process: for tests and `memory:`.
    #[must_use]
    pub fn in_memory() -> EmbeddedStore {
        let database = Builder::new()
            .set_cache_size(CACHE_BYTES)
            .create_with_backend(InMemoryBackend::new())
            .expect("memory has no I/O errors and starts empty");
        EmbeddedStore::start(database, None).expect("memory has no I/O errors and starts empty")
    }

    fn start(database: Database, lock: Option<DirectoryLock>) -> Result<EmbeddedStore, MetadataError> {
        tables::prepare(&database, DEFERRED_MAX)?;
        let shared = Arc::new(Shared {
            database,
            writer: Arc::default(),
            progress: Progress::default(),
            watches: Watches::default(),
            leases: Leases::default(),
        });
        let syncer = Syncer::start(Arc::clone(&shared))
            .map_err(|error| MetadataError::Refused(format!("no thread: {error}")))?;
        Ok(EmbeddedStore { shared, _lock: lock, syncer: Some(syncer) })
    }

    /// Makes all that was answered durable.
    pub async fn flush(&self) -> Result<(), MetadataError> {
        let guard = Arc::clone(&self.shared.writer).lock_owned().await;
        let shared = Arc::clone(&self.shared);
        on_blocking_thread(move || shared.sync(&guard)).await
    }

    async fn write(&self, transaction: Transaction) -> Result<TransactionAnswer, MetadataError> {
        let guard = Arc::clone(&self.shared.writer).lock_owned().await;
        self.shared.leases.check(&transaction)?;
        let full = self.shared.progress.deferred() >= DEFERRED_MAX;
        if transaction.durability == Durability::Deferred && !full {
            return self.shared.write(&transaction, Durability::Deferred, &guard);
        }
        let shared = Arc::clone(&self.shared);
        on_blocking_thread(move || shared.write(&transaction, Durability::Immediate, &guard)).await
    }
}

impl Drop for EmbeddedStore {
    fn drop(&mut self) {
        // The syncer syncs once more when it is stopped, and then lets go of the database.
        self.syncer.take();
    }
}

impl Shared {
    fn write(
        &self,
        transaction: &Transaction,
        durability: Durability,
        _writer: &OwnedMutexGuard<()>,
    ) -> Result<TransactionAnswer, MetadataError> {
        let mut applied = tables::write(&self.database, transaction, durability);
        self.watches.tell(&mut applied);
        let answer = applied?.answer;
        match durability {
            Durability::Deferred if answer.applied => self.progress.on_deferred(),
            Durability::Immediate if answer.applied => self.progress.on_durable(),
            _ => {}
        }
        Ok(answer)
    }

    /// Takes all deferred writes along to the disk.
    fn sync(&self, _writer: &OwnedMutexGuard<()>) -> Result<(), MetadataError> {
        if self.progress.deferred() > 0 {
            tables::sync(&self.database)?;
            self.progress.on_durable();
        }
        Ok(())
    }
}

impl MetadataStore for EmbeddedStore {
    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Entry>, MetadataError>> {
        Box::pin(async move { tables::get(&self.shared.database, key) })
    }

    fn list<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<Listing, MetadataError>> {
        let (shared, prefix) = (Arc::clone(&self.shared), prefix.to_owned());
        Box::pin(on_blocking_thread(move || tables::list(&shared.database, &prefix)))
    }

    fn transact(&self, transaction: Transaction) -> BoxFuture<'_, Result<TransactionAnswer, MetadataError>> {
        Box::pin(async move {
            transaction.check_limits()?;
            match transaction.writes.is_empty() {
                true => tables::read(&self.shared.database, &transaction),
                false => self.write(transaction).await,
            }
        })
    }

    fn watch(&self, prefix: &str, after: Revision) -> Watch {
        let watching = Watching {
            store: Arc::downgrade(&self.shared),
            told: self.shared.watches.subscribe(),
            prefix: prefix.to_owned(),
            seen: after,
        };
        Watch::start(|events| watching.run(events))
    }

    fn lease(&self, _ttl: Duration) -> BoxFuture<'_, Result<Lease, MetadataError>> {
        let id = self.shared.leases.grant();
        let (lease, keeper) = Lease::new(id, None);
        tokio::spawn(leases::keep(Arc::downgrade(&self.shared), id, keeper));
        Box::pin(std::future::ready(Ok(lease)))
    }

    fn fullness(&self) -> Option<Fullness> {
        None
    }

    fn sole_writer(&self) -> bool {
        true
    }
}

async fn on_blocking_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, MetadataError> + Send + 'static,
) -> Result<T, MetadataError> {
    match crate::background::blocking(work).await {
        Ok(answer) => answer,
        // The runtime is ending, or redb panicked: the work may have been done.
        Err(error) => Err(MetadataError::Unknown(error.to_string())),
    }
}
