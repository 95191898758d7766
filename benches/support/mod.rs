//! A journal on two stores, without a broker around it.

pub mod batches;

use bytes::Bytes;
use cenote::config::JournalConfig;
use cenote::journal::{BrokerSession, CommitSink, Joining, Journal, JournalStart};
use cenote::limits::{MemoryBudget, MemoryPermit, Purpose};
use cenote::meta::{EmbeddedStore, MetadataStore};
use cenote::metrics::Metrics;
use cenote::store::ObjectStore;
use cenote::types::{BrokerId, SessionId, Timestamp};
use std::path::Path;
use std::sync::Arc;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use url::Url;
use uuid::Uuid;

/// Where objects and metadata go.
#[derive(Clone, Copy, Debug)]
pub enum Place {
    /// A local directory, with every fsync.
    Directory,
    /// Memory.
    Memory,
}

/// The two stores of a broker. A directory is removed at the end.
pub struct Stores {
    pub objects: ObjectStore,
    metadata: Arc<dyn MetadataStore>,
    _directory: Option<TempDir>,
}

impl Stores {
    pub fn open(place: Place) -> Stores {
        match place {
            Place::Directory => Stores::in_directory(directory()),
            Place::Memory => Stores {
                objects: ObjectStore::in_memory(),
                metadata: Arc::new(EmbeddedStore::in_memory()),
                _directory: None,
            },
        }
    }

    fn in_directory(directory: TempDir) -> Stores {
        let metadata = EmbeddedStore::open(&directory.path().join("metadata")).expect("an empty directory");
        Stores {
            objects: ObjectStore::open(&url_of(&directory.path().join("store"))).expect("an empty directory"),
            metadata: Arc::new(metadata),
            _directory: Some(directory),
        }
    }

    /// A session's journal, whose tasks run on `runtime`.
    pub fn journal(&self, runtime: &Runtime, config: JournalConfig, sink: CommitSink) -> Journal {
        let joining = Joining::new(SESSION, BrokerId(1), Timestamp(0));
        let joined = runtime.block_on(BrokerSession::join(&self.metadata, &self.objects, joining));
        let session = joined.expect("the stores are new");
        let metrics = Arc::new(Metrics::new());
        let store = self.objects.clone();
        let (journal, run) = Journal::start(JournalStart { session, store, config, metrics }, sink);
        runtime.spawn(run);
        journal
    }
}

pub const SESSION: SessionId = SessionId(Uuid::from_u128(1));

/// A fresh directory where cargo builds: `/tmp` may be memory, where an fsync costs nothing.
pub fn directory() -> TempDir {
    TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).expect("cargo made its directory")
}

fn url_of(directory: &Path) -> Url {
    Url::from_directory_path(directory).expect("cargo's directory is absolute")
}

/// The memory that `batch` came in.
pub fn permit(budget: &MemoryBudget, batch: &Bytes) -> Arc<MemoryPermit> {
    Arc::new(budget.try_reserve(batch.len(), Purpose::Write).expect("the budget holds all that is in flight"))
}
