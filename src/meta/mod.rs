//! The metadata store: a small ordered map with revisions that compares before it writes.
//!
//! It knows keys and values and nothing of Kafka. What compares decides; a watch only warms a cache.

use bytes::Bytes;
use futures_util::future::BoxFuture;

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
    /// Whether a lock makes this process the only writer, so that a stored journal object may itself be
    /// the record of its commit (then journal commits are [`Durability::Deferred`]).
    fn sole_writer(&self) -> bool;
}
