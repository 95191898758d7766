//! What earlier sessions committed: where each journal ends, and the rows of its objects.
//!
//! On one machine a stored object is itself the record of its commit, as the lock makes the broker the only
//! writer. A journal's end is then found in this order, which differs from the obvious one on purpose: the
//! objects past the last known commit are verified, *then made durable* (they may be in the page cache
//! alone), then the end is written, and only then anything is served. Written first, the end could name an
//! object that a power cut takes away.

use super::decode::{DecodeError, ObjectIndex, PREFIX_BYTES, decode_index};
use super::row::ObjectId;
use super::session::EndedJournal;
use crate::store::{ObjectStore, StoreError, paths};
use crate::types::SessionId;
use crate::wire::batch::BatchHeader;
use futures_util::{StreamExt, TryStreamExt, stream};
use std::collections::BTreeMap;

/// A committed object of an ended journal.
#[derive(Clone, Debug)]
pub struct RecoveredObject {
    /// Which object.
    pub id: ObjectId,
    /// What it holds.
    pub index: ObjectIndex,
}

/// Why the log cannot be recovered. Serving a shorter one would be worse than not starting.
#[derive(Debug, thiserror::Error)]
pub enum RecoveryError {
    /// The store did not answer.
    #[error("the journal cannot be read: {0}")]
    Store(#[from] StoreError),
    /// A committed object is not there.
    #[error("journal object {0} was committed and is missing from the object store")]
    Missing(ObjectId),
    /// A committed object is not what was written.
    #[error("journal object {id}: {why}")]
    Damaged {
        /// Which object.
        id: ObjectId,
        /// What is wrong.
        why: String,
    },
}

/// Objects whose index is read at the same time.
const READS_AT_ONCE: usize = 32;
/// Objects of one session, so that a listing has a limit.
const OBJECTS_MAX: usize = 50_000_000;

/// The last object of the journal of a session that will never write again.
pub(super) async fn find_end(
    store: &ObjectStore,
    objects_are_commits: bool,
    session: SessionId,
    committed: u64,
) -> Result<u64, RecoveryError> {
    if !objects_are_commits {
        return Ok(committed);
    }
    let sizes = sizes(store, session).await?;
    let follows = |seq: &u64| sizes.contains_key(seq);
    let tail: Vec<u64> = (committed + 1..).take_while(follows).collect();
    for seq in &tail {
        read_object(store, ObjectId { session, seq: *seq }).await?;
    }
    let tail_paths: Vec<_> = tail.iter().map(|seq| paths::journal_object(session, *seq)).collect();
    store.settle(&tail_paths).await?;
    Ok(tail.last().copied().unwrap_or(committed))
}

/// Reads what the ended journals hold, in the order of their sessions and objects.
pub async fn recover(
    store: &ObjectStore,
    ended: &[EndedJournal],
) -> Result<Vec<RecoveredObject>, RecoveryError> {
    let mut objects = Vec::new();
    for journal in ended.iter().filter(|journal| journal.final_seq >= journal.first_seq) {
        let session = journal.session;
        let sizes = sizes(store, session).await?;
        let mut wanted = Vec::with_capacity(sizes.len());
        for seq in journal.first_seq..=journal.final_seq {
            let id = ObjectId { session, seq };
            wanted.push((id, *sizes.get(&seq).ok_or(RecoveryError::Missing(id))?));
        }
        let reads = wanted.into_iter().map(|(id, size)| read_index(store, id, size));
        let read: Vec<_> = stream::iter(reads).buffered(READS_AT_ONCE).try_collect().await?;
        objects.extend(read);
    }
    Ok(objects)
}

/// The sizes of a session's objects, by number.
async fn sizes(store: &ObjectStore, session: SessionId) -> Result<BTreeMap<u64, u64>, StoreError> {
    let listed = store.list_sorted(Some(&paths::journal_prefix(session)), OBJECTS_MAX).await?;
    let numbered = listed.iter().filter_map(|listed| {
        let (owner, seq) = paths::parse_journal_object(&listed.path)?;
        (owner == session).then_some((seq, listed.size))
    });
    Ok(numbered.collect())
}

async fn read_index(store: &ObjectStore, id: ObjectId, size: u64) -> Result<RecoveredObject, RecoveryError> {
    let path = paths::journal_object(id.session, id.seq);
    let mut length = PREFIX_BYTES.min(size);
    loop {
        let prefix = store.get_range(&path, 0..length).await?;
        match decode_index(id, &prefix) {
            Ok(index) if index.byte_ranges.last().is_none_or(|last| last.end <= size) => {
                return Ok(RecoveredObject { id, index });
            }
            Err(DecodeError::NeedsMore { bytes }) if length < size => {
                length = bytes.max(length * 2).min(size);
            }
            Ok(_) => return Err(RecoveryError::Damaged { id, why: "it is cut short".to_owned() }),
            Err(error) => return Err(RecoveryError::Damaged { id, why: error.to_string() }),
        }
    }
}

/// Reads an object as a whole, and sees that it is what was written: its index, and every batch in it.
pub async fn read_object(store: &ObjectStore, id: ObjectId) -> Result<ObjectIndex, RecoveryError> {
    let bytes = store.get(&paths::journal_object(id.session, id.seq)).await?;
    let damaged = |why: &str| RecoveryError::Damaged { id, why: why.to_owned() };
    let index = decode_index(id, &bytes).map_err(|error| damaged(&error.to_string()))?;
    for (row, byte_range) in index.rows.iter().zip(&index.byte_ranges) {
        let range = byte_range.start as usize..byte_range.end as usize;
        let batch = bytes.get(range).ok_or_else(|| damaged("it is cut short"))?;
        let header = BatchHeader::decode(batch).map_err(|error| damaged(&error.to_string()))?;
        let is_it = header.offsets() == row.offsets && header.total_bytes() == batch.len();
        if !is_it || !header.crc_matches(batch) {
            return Err(damaged("a batch is not what was written"));
        }
    }
    Ok(index)
}
