//! The metadata store: a small ordered map with revisions that compares before it writes.
//!
//! It knows keys and values and nothing of Kafka. What compares decides; a watch only warms a cache.

mod counted;
mod embedded;
mod etcd;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod gather;
pub mod keys;
mod lease;
mod settle;
mod standing;
mod term;
mod watch;

#[cfg(test)]
mod contract;
#[cfg(test)]
pub(crate) mod faults;

pub use counted::CountedStore;
pub use embedded::{EmbeddedStore, OpenError};
pub use etcd::{EtcdFileError, EtcdStore};
pub use gather::Gatherer;
pub use lease::{Lease, LeaseId};
#[cfg(feature = "simulation")]
pub use lease::{LeaseKeeper, LeaseState, Revocation};
pub use settle::{Change, SettleError, Settled};
pub use standing::{Standing, StandingError};
pub use term::Term;
pub use watch::{KeyChange, Mirror, Watch, WatchEvent};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use std::time::Duration;

/// A number that grows with every applied transaction of the store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(pub u64);

/// A key's value and the revision that last wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The key, UTF-8, levels parted by `/`.
    pub key: String,
    /// The value.
    pub value: Bytes,
    /// The transaction that wrote this value.
    pub mod_revision: Revision,
}

/// What must hold for a transaction to be applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Compare {
    /// The key does not exist.
    Absent(String),
    /// The key was last written by this revision (hence exists).
    Unchanged(String, Revision),
}

/// What an applied transaction does. No key twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// Sets the key.
    Put(String, Bytes),
    /// Sets the key, which goes with the lease; a later write without one frees it.
    PutLeased(String, Bytes, LeaseId),
    /// Removes the key; nothing if it is absent.
    Delete(String),
}

/// How soon an applied transaction survives a power cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// Before it is answered.
    #[default]
    Immediate,
    /// With the next immediate one: only for writes that recovery can redo from the object store.
    Deferred,
}

/// All or nothing: `writes` if every one of `compares` holds. `reads` are read at the same revision, after
/// the writes if they were applied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Transaction {
    /// Conditions.
    pub compares: Vec<Compare>,
    /// Effects.
    pub writes: Vec<Write>,
    /// Keys to read.
    pub reads: Vec<String>,
    /// When it must be on disk.
    pub durability: Durability,
}

/// Compares, or writes and reads together, of one transaction: etcd's own limit.
pub const OPERATIONS_MAX: usize = 128;
/// A transaction as it is sent: etcd's own limit, in bytes.
pub const TRANSACTION_BYTES_MAX: usize = 1_572_864;
/// What an operation takes besides its key and value: lengths, revisions, and the prefix of a cluster's keys.
const OPERATION_BYTES: usize = 128;

impl Transaction {
    /// Whether every store takes it: etcd's limits hold for all, so that what runs on one machine runs on many.
    pub fn check_limits(&self) -> Result<(), MetadataError> {
        let refused = |reason: String| Err(MetadataError::Refused(reason));
        let operations = self.compares.len().max(self.writes.len() + self.reads.len());
        if operations > OPERATIONS_MAX {
            return refused(format!("{operations} operations in a transaction, at most {OPERATIONS_MAX}"));
        }
        let bytes = self.bytes();
        if bytes > TRANSACTION_BYTES_MAX {
            return refused(format!("{bytes} bytes in a transaction, at most {TRANSACTION_BYTES_MAX}"));
        }
        let mut written = crate::hashing::HashSet::default();
        match self.writes.iter().find(|write| !written.insert(write.key())) {
            Some(write) => refused(format!("key {} is written twice in a transaction", write.key())),
            None => Ok(()),
        }
    }

    /// As it is sent; the reads go twice, for either outcome.
    fn bytes(&self) -> usize {
        let compares = self.compares.iter().map(Compare::bytes);
        let writes = self.writes.iter().map(Write::bytes);
        let reads = self.reads.iter().map(|key| 2 * (key.len() + OPERATION_BYTES));
        compares.chain(writes).chain(reads).sum()
    }
}

impl Compare {
    /// The key that is compared.
    #[must_use]
    pub fn key(&self) -> &str {
        match self {
            Compare::Absent(key) | Compare::Unchanged(key, _) => key,
        }
    }

    /// What it adds to a transaction.
    fn bytes(&self) -> usize {
        self.key().len() + OPERATION_BYTES
    }
}

impl Write {
    /// What it adds to a transaction.
    fn bytes(&self) -> usize {
        let value = match self {
            Write::Put(_, value) | Write::PutLeased(_, value, _) => value.len(),
            Write::Delete(_) => 0,
        };
        self.key().len() + value + OPERATION_BYTES
    }

    /// The key that is set or removed.
    #[must_use]
    pub fn key(&self) -> &str {
        match self {
            Write::Put(key, _) | Write::PutLeased(key, _, _) | Write::Delete(key) => key,
        }
    }
}

/// What became of a transaction that was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransactionAnswer {
    /// Whether the compares held and the writes were made.
    pub applied: bool,
    /// The store's revision at which it was decided; written keys now have it.
    pub revision: Revision,
    /// One for each of `reads`, in order.
    pub reads: Vec<Option<Entry>>,
}

/// The entries below a prefix, at one revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// In the order of their keys.
    pub entries: Vec<Entry>,
    /// The store's revision of this listing.
    pub revision: Revision,
}

/// How full a store is, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fullness {
    /// What it takes on disk.
    pub bytes: u64,
    /// What of it is in use; the rest comes back to the disk when the store is defragmented.
    pub in_use_bytes: u64,
    /// Past this it takes no more writes; none: it does not say.
    pub quota_bytes: Option<u64>,
    /// Whether it takes writes at all.
    pub takes_writes: bool,
}

/// Of a quota, in percent: past it what only adds waits, so that what makes room again is still taken.
const IN_USE_PERCENT_MAX: u64 = 90;

impl Fullness {
    /// Whether nothing should be begun that has to be written. What is in use counts, not what the store takes on disk:
    /// what is free in there is used again.
    #[must_use]
    pub fn is_full(&self) -> bool {
        let most = self.quota_bytes.map(|quota| quota / 100 * IN_USE_PERCENT_MAX);
        !self.takes_writes || most.is_some_and(|most| self.in_use_bytes >= most)
    }
}

/// Why an operation has no answer.
#[derive(Debug, thiserror::Error)]
pub enum MetadataError {
    /// It was not done and will not be.
    #[error("the metadata store refused: {0}")]
    Refused(String),
    /// It may have been done, or may still be: only a compare can tell.
    #[error("no answer from the metadata store: {0}")]
    Unknown(String),
}

/// The seam: embedded on one machine, etcd in a cluster. One contract suite holds for all.
pub trait MetadataStore: Send + Sync + std::fmt::Debug + 'static {
    /// Reads one key; linearizable: it sees every transaction answered before the call.
    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Entry>, MetadataError>>;
    /// Reads all keys that start with `prefix`, linearizable, at one revision.
    fn list<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<Listing, MetadataError>>;
    /// Compares and writes, atomically.
    fn transact(&self, transaction: Transaction) -> BoxFuture<'_, Result<TransactionAnswer, MetadataError>>;
    /// Tells what changes below `prefix`, from the first change after the revision `after` on. Where the store no longer
    /// knows all of it, a listing comes first.
    fn watch(&self, prefix: &str, after: Revision) -> Watch;
    /// A lease that is kept while what is returned lives, and whose keys go within about `ttl` of its end.
    fn lease(&self, ttl: Duration) -> BoxFuture<'_, Result<Lease, MetadataError>>;
    /// How full the store is, as it was last seen; none: not known, or without a limit.
    fn fullness(&self) -> Option<Fullness>;
    /// Whether a lock makes this process the only writer, so that a stored journal object may itself be
    /// the record of its commit (then journal commits are [`Durability::Deferred`]).
    fn sole_writer(&self) -> bool;
}

#[cfg(test)]
mod tests {
    use super::Fullness;

    #[test]
    fn a_store_is_full_at_nine_tenths_of_its_quota_or_when_it_says_so() {
        let of = |in_use_bytes, quota_bytes, takes_writes| {
            Fullness { bytes: 1_000, in_use_bytes, quota_bytes, takes_writes }.is_full()
        };
        assert!(!of(899, Some(1_000), true));
        assert!(of(900, Some(1_000), true));
        assert!(!of(u64::MAX, None, true));
        assert!(of(0, None, false));
    }
}
