//! What earlier sessions committed: where each journal ends, and the rows of its objects.
//!
//! Of a journal its merged objects are read first, then the numbered ones from the first that is needed on. What lies
//! before that is never looked at: it is in merged objects, in segments, or gone with its topic, and its objects may be
//! on their way out. So every row is read once, and those of a partition come together without a hole from its archived
//! offset on. The log start does not matter here: rows below it are kept until they are archived, as they tell what the
//! producers of the partition did.
//!
//! Objects are handed on one by one, as there may be more of them than memory for their rows; a few are read ahead, and
//! none twice but the first of each journal.
//! *In which order.* Within a journal the rows of a partition ascend: a merged object stands in the list where what it was
//! made of stood, and all of them before what is numbered. A session writes under its view, which is its rows' leader
//! epoch, and a later session's view is greater; so journals come in the order of the epochs that they begin with. Where
//! sessions serve side by side one journal may have to wait for rows of another: who takes the rows in (`log/recovery.rs`)
//! has to bear with that, and sees to it that no row is missing and none comes twice.
//!
//! On one machine a stored object is itself the record of its commit, as the lock makes the broker the only
//! writer. A journal's end is then found in this order, which differs from the obvious one on purpose: the
//! objects past the last known commit are verified, *then made durable* (they may be in the page cache
//! alone), then the end is written, and only then anything is served. Written first, the end could name an
//! object that a power cut takes away.

use super::decode::{DecodeError, ObjectIndex, PREFIX_BYTES, decode_index};
use super::row::{ObjectId, ObjectName, PUT_MILLIONTHS};
use super::session::EndedJournal;
use crate::store::{ObjectStore, StoreError, paths};
use crate::types::SessionId;
use crate::wire::batch::BatchHeader;
use futures_util::future::try_join_all;
use futures_util::stream::{self, BoxStream, StreamExt, TryStreamExt};
use std::collections::BTreeMap;

/// A committed object of an ended journal.
#[derive(Clone, Debug)]
pub struct RecoveredObject {
    /// Which object.
    pub name: ObjectName,
    /// What it holds.
    pub index: ObjectIndex,
    /// Its length.
    pub bytes: u64,
    /// How many PUTs of flushes its rows stand for, in millionths.
    pub puts: u64,
}

/// Why the log cannot be recovered. Serving a shorter one would be worse than not starting.
#[derive(Debug, thiserror::Error)]
pub enum RecoveryError {
    /// The store did not answer.
    #[error("the journal cannot be read: {0}")]
    Store(#[from] StoreError),
    /// A committed object is not there.
    #[error(
        "journal object {}, which session {} committed, is missing from the object store; a log without it would be \
         shorter than what was acknowledged, so nothing is served: put the object back from a copy; cenote fsck lists \
         all that is missing",
        .0.path(),
        .0.session
    )]
    Missing(ObjectName),
    /// A committed object is not what was written.
    #[error("journal object {name}: {why}")]
    Damaged {
        /// Which object.
        name: ObjectName,
        /// What is wrong.
        why: String,
    },
}

/// Objects whose index is read at the same time.
const READS_AT_ONCE: usize = 32;
/// And their bytes together, if one is not larger: an index takes up to as much memory as its object has bytes.
const BYTES_AT_ONCE: u64 = 64 * 1024 * 1024;
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

/// Reads what the ended journals hold: the rows of each journal in their order, and journals by their epochs.
pub fn recover<'a>(
    store: &'a ObjectStore,
    ended: &'a [EndedJournal],
) -> BoxStream<'a, Result<RecoveredObject, RecoveryError>> {
    let read = move |together: Vec<Wanted>| async move {
        let reads = together.into_iter().map(|wanted| read_index(store, wanted));
        let read: Vec<RecoveredObject> = try_join_all(reads).await?;
        Ok::<_, RecoveryError>(stream::iter(read.into_iter().map(Ok::<_, RecoveryError>)))
    };
    let planned = async move {
        Ok::<_, RecoveryError>(stream::iter(
            plan(store, ended).await?.into_iter().map(Ok::<_, RecoveryError>),
        ))
    };
    stream::once(planned).try_flatten().and_then(read).try_flatten().boxed()
}

/// The objects that are to be read, those together that are read at the same time.
async fn plan(store: &ObjectStore, ended: &[EndedJournal]) -> Result<Vec<Vec<Wanted>>, RecoveryError> {
    let mut journals = Vec::new();
    for journal in ended {
        let objects = wanted(store, journal).await?;
        if let Some(first) = objects.first() {
            let first = read_index(store, *first).await?;
            let epoch = first.index.rows.iter().map(|row| row.leader_epoch).min();
            journals.push((epoch, objects));
        }
    }
    journals.sort_by_key(|(epoch, _)| *epoch);
    let mut planned: Vec<Vec<Wanted>> = Vec::new();
    let mut bytes = 0;
    for wanted in journals.into_iter().flat_map(|(_, objects)| objects) {
        bytes += wanted.bytes;
        match planned.last_mut() {
            Some(together) if together.len() < READS_AT_ONCE && bytes <= BYTES_AT_ONCE => {
                together.push(wanted);
            }
            _ => {
                bytes = wanted.bytes;
                planned.push(vec![wanted]);
            }
        }
    }
    Ok(planned)
}

/// An object whose index is to be read.
#[derive(Clone, Copy, Debug)]
struct Wanted {
    name: ObjectName,
    bytes: u64,
    puts: u64,
}

/// The objects of a journal that are needed, merged ones first.
async fn wanted(store: &ObjectStore, journal: &EndedJournal) -> Result<Vec<Wanted>, RecoveryError> {
    let session = journal.session;
    let merged = journal.start.merged.iter().map(|merged| Wanted {
        name: ObjectName::merged(session, merged.number),
        bytes: merged.bytes,
        puts: merged.puts,
    });
    let mut wanted: Vec<Wanted> = merged.collect();
    let first = journal.start.first;
    if journal.final_seq >= first {
        let sizes = sizes(store, session).await?;
        for seq in first..=journal.final_seq {
            let name = ObjectName::from(ObjectId { session, seq });
            let bytes = *sizes.get(&seq).ok_or(RecoveryError::Missing(name))?;
            wanted.push(Wanted { name, bytes, puts: PUT_MILLIONTHS });
        }
    }
    Ok(wanted)
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

async fn read_index(store: &ObjectStore, wanted: Wanted) -> Result<RecoveredObject, RecoveryError> {
    let Wanted { name, bytes: size, puts } = wanted;
    let path = name.path();
    let mut length = PREFIX_BYTES.min(size);
    loop {
        let prefix = store.get_range(&path, 0..length).await.map_err(|error| match error {
            StoreError::Missing { .. } => RecoveryError::Missing(name),
            error => RecoveryError::Store(error),
        })?;
        match decode_index(name, &prefix) {
            Ok(index) if index.byte_ranges.last().is_none_or(|last| last.end <= size) => {
                return Ok(RecoveredObject { name, index, bytes: size, puts });
            }
            Err(DecodeError::NeedsMore { bytes }) if length < size => {
                length = bytes.max(length * 2).min(size);
            }
            Ok(_) => return Err(RecoveryError::Damaged { name, why: "it is cut short".to_owned() }),
            Err(error) => return Err(RecoveryError::Damaged { name, why: error.to_string() }),
        }
    }
}

/// Reads an object as a whole, and sees that it is what was written: its index, and every batch in it.
pub async fn read_object(
    store: &ObjectStore,
    name: impl Into<ObjectName>,
) -> Result<ObjectIndex, RecoveryError> {
    let name = name.into();
    let bytes = store.get(&name.path()).await?;
    let damaged = |why: &str| RecoveryError::Damaged { name, why: why.to_owned() };
    let index = decode_index(name, &bytes).map_err(|error| damaged(&error.to_string()))?;
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
