//! The redb file: two tables, and a transaction upon them.
//!
//! `entries`: key (UTF-8) -> mod revision (8 bytes, big-endian), then the value.
//! `state`: `"revision"` -> the last transaction's revision; `"format"` -> 1.
//! `leases`: key -> the lease it goes with. Leases end with the process, so those of an earlier run are over: their keys
//! are removed when the store is opened.

use super::Applied;
use crate::meta::{
    Compare, Durability, Entry, KeyChange, LeaseId, Listing, MetadataError, Revision, Transaction,
    TransactionAnswer, Write,
};
use bytes::Bytes;
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction};

const ENTRIES: TableDefinition<&str, &[u8]> = TableDefinition::new("entries");
const STATE: TableDefinition<&str, u64> = TableDefinition::new("state");
const LEASES: TableDefinition<&str, i64> = TableDefinition::new("leases");
const REVISION: &str = "revision";
const FORMAT: &str = "format";
const FORMAT_NUMBER: u64 = 1;
const REVISION_BYTES: usize = 8;

/// Makes the tables, or checks their format. A crash may have taken up to `lost_max` deferred writes with
/// it, so the revision goes on that much higher: no revision ever names two transactions.
pub(super) fn prepare(database: &Database, lost_max: u64) -> Result<(), MetadataError> {
    let transaction = database.begin_write().map_err(not_done)?;
    {
        let mut entries = transaction.open_table(ENTRIES).map_err(not_done)?;
        let mut leases = transaction.open_table(LEASES).map_err(not_done)?;
        while let Some((key, _lease)) = leases.pop_first().map_err(not_done)? {
            entries.remove(key.value()).map_err(not_done)?;
        }
        let mut state = transaction.open_table(STATE).map_err(not_done)?;
        let format = state.get(FORMAT).map_err(not_done)?.map(|format| format.value());
        if let Some(other) = format.filter(|format| *format != FORMAT_NUMBER) {
            return Err(MetadataError::Refused(format!("format {other} of a newer release")));
        }
        let revision = revision_of(&state)?;
        let next = if format.is_some() { revision.0 + lost_max } else { 0 };
        state.insert(FORMAT, FORMAT_NUMBER).map_err(not_done)?;
        state.insert(REVISION, next).map_err(not_done)?;
    }
    transaction.commit().map_err(maybe_done)
}

pub(super) fn get(database: &Database, key: &str) -> Result<Option<Entry>, MetadataError> {
    let snapshot = database.begin_read().map_err(not_done)?;
    entry_of(&snapshot.open_table(ENTRIES).map_err(not_done)?, key)
}

pub(super) fn list(database: &Database, prefix: &str) -> Result<Listing, MetadataError> {
    let snapshot = database.begin_read().map_err(not_done)?;
    let table = snapshot.open_table(ENTRIES).map_err(not_done)?;
    let revision = revision_of(&snapshot.open_table(STATE).map_err(not_done)?)?;
    let mut entries = Vec::new();
    for row in table.range(prefix..).map_err(not_done)? {
        let (key, stored) = row.map_err(not_done)?;
        if !key.value().starts_with(prefix) {
            break;
        }
        entries.push(decode(key.value(), stored.value())?);
    }
    Ok(Listing { entries, revision })
}

/// A transaction without writes, at one revision.
pub(super) fn read(
    database: &Database,
    transaction: &Transaction,
) -> Result<TransactionAnswer, MetadataError> {
    let snapshot = database.begin_read().map_err(not_done)?;
    let table = snapshot.open_table(ENTRIES).map_err(not_done)?;
    let revision = revision_of(&snapshot.open_table(STATE).map_err(not_done)?)?;
    let applied = holds(&table, &transaction.compares)?;
    Ok(TransactionAnswer { applied, revision, reads: read_all(&table, &transaction.reads)? })
}

/// A transaction with writes.
pub(super) fn write(
    database: &Database,
    transaction: &Transaction,
    durability: Durability,
) -> Result<Applied, MetadataError> {
    let writing = begin(database, durability)?;
    let applied = apply(&writing, transaction)?;
    match applied.answer.applied {
        true => writing.commit().map_err(maybe_done)?,
        false => writing.abort().map_err(not_done)?,
    }
    Ok(applied)
}

/// An empty commit that is on disk, and with it all before it.
pub(super) fn sync(database: &Database) -> Result<(), MetadataError> {
    begin(database, Durability::Immediate)?.commit().map_err(maybe_done)
}

fn begin(database: &Database, durability: Durability) -> Result<WriteTransaction, MetadataError> {
    let mut transaction = database.begin_write().map_err(not_done)?;
    let durability = match durability {
        Durability::Immediate => redb::Durability::Immediate,
        Durability::Deferred => redb::Durability::None,
    };
    transaction.set_durability(durability).map_err(not_done)?;
    Ok(transaction)
}

fn apply(writing: &WriteTransaction, transaction: &Transaction) -> Result<Applied, MetadataError> {
    let mut entries = writing.open_table(ENTRIES).map_err(not_done)?;
    let mut state = writing.open_table(STATE).map_err(not_done)?;
    let mut revision = revision_of(&state)?;
    let mut changes = Vec::new();
    let applied = holds(&entries, &transaction.compares)?;
    if applied {
        let mut leases = writing.open_table(LEASES).map_err(not_done)?;
        revision = Revision(revision.0 + 1);
        state.insert(REVISION, revision.0).map_err(not_done)?;
        for write in &transaction.writes {
            let bound = match write {
                Write::PutLeased(key, _, lease) => leases.insert(key.as_str(), lease.0).map(drop),
                Write::Put(key, _) | Write::Delete(key) => leases.remove(key.as_str()).map(drop),
            };
            bound.map_err(not_done)?;
            match write {
                Write::Put(key, value) | Write::PutLeased(key, value, _) => {
                    entries.insert(key.as_str(), encode(revision, value).as_slice()).map_err(not_done)?;
                    let (key, value) = (key.clone(), value.clone());
                    changes.push(KeyChange::Put(Entry { key, value, mod_revision: revision }));
                }
                Write::Delete(key) => {
                    if entries.remove(key.as_str()).map_err(not_done)?.is_some() {
                        changes.push(KeyChange::Deleted(key.clone()));
                    }
                }
            }
        }
    }
    let reads = read_all(&entries, &transaction.reads)?;
    Ok(Applied { answer: TransactionAnswer { applied, revision, reads }, changes })
}

/// The keys that go with a lease.
pub(super) fn keys_of(database: &Database, lease: LeaseId) -> Result<Vec<String>, MetadataError> {
    let snapshot = database.begin_read().map_err(not_done)?;
    let mut keys = Vec::new();
    for row in snapshot.open_table(LEASES).map_err(not_done)?.iter().map_err(not_done)? {
        let (key, of) = row.map_err(not_done)?;
        if of.value() == lease.0 {
            keys.push(key.value().to_owned());
        }
    }
    Ok(keys)
}

fn holds(
    table: &impl ReadableTable<&'static str, &'static [u8]>,
    compares: &[Compare],
) -> Result<bool, MetadataError> {
    for compare in compares {
        let holds = match compare {
            Compare::Absent(key) => entry_of(table, key)?.is_none(),
            Compare::Unchanged(key, revision) => {
                entry_of(table, key)?.is_some_and(|entry| entry.mod_revision == *revision)
            }
        };
        if !holds {
            return Ok(false);
        }
    }
    Ok(true)
}

fn read_all(
    table: &impl ReadableTable<&'static str, &'static [u8]>,
    keys: &[String],
) -> Result<Vec<Option<Entry>>, MetadataError> {
    keys.iter().map(|key| entry_of(table, key)).collect()
}

fn entry_of(
    table: &impl ReadableTable<&'static str, &'static [u8]>,
    key: &str,
) -> Result<Option<Entry>, MetadataError> {
    let stored = table.get(key).map_err(not_done)?;
    stored.map(|stored| decode(key, stored.value())).transpose()
}

fn revision_of(table: &impl ReadableTable<&'static str, u64>) -> Result<Revision, MetadataError> {
    let stored = table.get(REVISION).map_err(not_done)?;
    Ok(Revision(stored.map_or(0, |revision| revision.value())))
}

fn encode(revision: Revision, value: &[u8]) -> Vec<u8> {
    let mut stored = Vec::with_capacity(REVISION_BYTES + value.len());
    stored.extend_from_slice(&revision.0.to_be_bytes());
    stored.extend_from_slice(value);
    stored
}

fn decode(key: &str, stored: &[u8]) -> Result<Entry, MetadataError> {
    let Some((revision, value)) = stored.split_first_chunk::<REVISION_BYTES>() else {
        return Err(MetadataError::Refused(format!("the entry of {key} is damaged")));
    };
    Ok(Entry {
        key: key.to_owned(),
        value: Bytes::copy_from_slice(value),
        mod_revision: Revision(u64::from_be_bytes(*revision)),
    })
}

#[allow(clippy::needless_pass_by_value, reason = "for map_err")]
fn not_done(error: impl std::fmt::Display) -> MetadataError {
    MetadataError::Refused(error.to_string())
}

#[allow(clippy::needless_pass_by_value, reason = "for map_err")]
fn maybe_done(error: impl std::fmt::Display) -> MetadataError {
    MetadataError::Unknown(error.to_string())
}
