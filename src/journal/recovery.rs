//! What earlier sessions committed: where each journal ends, and the rows of its objects.
//!
//! Of a journal its merged objects are read first, then the numbered ones from the first that is needed on. What lies
//! before that is never looked at: it is in merged objects, in segments, or gone with its topic, and its objects may be
//! on their way out. So every row is read once, and those of a partition come together without a hole from its archived
//! offset on. The log start does not matter here: rows below it are kept until they are archived, as they tell what the
//! producers of the partition did.
//!
//! Objects are handed on one by one, as there may be more of them than memory for their rows; a few are read ahead, and
//! none twice but the first of each journal. Where there is an index object (`index_object.rs`), it is read for all that
//! it tells of; if it is damaged, or goes meanwhile, its objects are read themselves.
//!
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
use super::index_object::{block_of, decode_index_object, last_of_block};
use super::row::{ObjectId, ObjectName, PUT_MILLIONTHS};
use super::session::EndedJournal;
use crate::store::{ObjectStore, StoreError, paths};
use crate::types::{LeaderEpoch, SessionId};
use crate::wire::batch::BatchHeader;
use futures_util::future::try_join_all;
use futures_util::stream::{self, BoxStream, StreamExt, TryStreamExt};
use std::collections::BTreeMap;
use std::ops::Range;

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

/// Journals that are listed at the same time.
const JOURNALS_AT_ONCE: usize = 8;
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
    let sizes = sizes(store, session, committed + 1).await?;
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
        let reads = together.into_iter().map(|wanted| read(store, wanted));
        let read: Vec<Vec<RecoveredObject>> = try_join_all(reads).await?;
        Ok::<_, RecoveryError>(stream::iter(read.into_iter().flatten().map(Ok::<_, RecoveryError>)))
    };
    let planned = async move {
        Ok::<_, RecoveryError>(stream::iter(
            plan(store, ended).await?.into_iter().map(Ok::<_, RecoveryError>),
        ))
    };
    stream::once(planned).try_flatten().and_then(read).try_flatten().boxed()
}

/// What is to be read, that together which is read at the same time.
async fn plan(store: &ObjectStore, ended: &[EndedJournal]) -> Result<Vec<Vec<Wanted>>, RecoveryError> {
    let mut journals = Vec::new();
    for together in ended.chunks(JOURNALS_AT_ONCE) {
        let plans: Vec<_> = together.iter().map(|journal| plan_journal(store, journal)).collect();
        journals.extend(try_join_all(plans).await?);
    }
    journals.sort_by_key(|(epoch, _)| *epoch);
    let mut planned: Vec<Vec<Wanted>> = Vec::new();
    let mut bytes = 0;
    for wanted in journals.into_iter().flat_map(|(_, wanted)| wanted) {
        bytes += wanted.bytes();
        match planned.last_mut() {
            Some(together) if together.len() < READS_AT_ONCE && bytes <= BYTES_AT_ONCE => {
                together.push(wanted);
            }
            _ => {
                bytes = wanted.bytes();
                planned.push(vec![wanted]);
            }
        }
    }
    Ok(planned)
}

/// The epoch that a journal begins with, and what of it is to be read.
async fn plan_journal(
    store: &ObjectStore,
    journal: &EndedJournal,
) -> Result<(Option<LeaderEpoch>, Vec<Wanted>), RecoveryError> {
    let wanted = wanted(store, journal).await?;
    let Some(first) = wanted.first() else { return Ok((None, wanted)) };
    let first = read(store, *first).await?;
    let rows = first.iter().flat_map(|object| &object.index.rows);
    Ok((rows.map(|row| row.leader_epoch).min(), wanted))
}

/// What is to be read.
#[derive(Clone, Copy, Debug)]
enum Wanted {
    /// An object's own index.
    Object { name: ObjectName, bytes: u64, puts: u64 },
    /// Those from `first` to `until` of the block that ends with `last`, as its index object has them.
    Block { session: SessionId, first: u64, until: u64, last: u64, bytes: u64 },
}

impl Wanted {
    fn bytes(&self) -> u64 {
        let (Wanted::Object { bytes, .. } | Wanted::Block { bytes, .. }) = self;
        *bytes
    }
}

/// The objects of a journal that are needed, merged ones first.
async fn wanted(store: &ObjectStore, journal: &EndedJournal) -> Result<Vec<Wanted>, RecoveryError> {
    let session = journal.session;
    let merged = journal.start.merged.iter().map(|merged| Wanted::Object {
        name: ObjectName::merged(session, merged.number),
        bytes: merged.bytes,
        puts: merged.puts,
    });
    let mut wanted: Vec<Wanted> = merged.collect();
    let needed = journal.start.first..journal.final_seq + 1;
    if needed.is_empty() {
        return Ok(wanted);
    }
    let indexes = indexes(store, session, needed.clone()).await?;
    let mut alone = Vec::new();
    let mut first = needed.start;
    while first < needed.end {
        let last = last_of_block(first);
        if let Some(bytes) = indexes.get(&last) {
            let until = last.min(needed.end - 1);
            wanted.push(Wanted::Block { session, first, until, last, bytes: *bytes });
        } else {
            alone.push((wanted.len(), first..(last + 1).min(needed.end)));
        }
        first = last + 1;
    }
    let Some((_, unindexed)) = alone.first() else { return Ok(wanted) };
    let sizes = sizes(store, session, unindexed.start).await?;
    // From the back, so that places stay what they are.
    for (place, seqs) in alone.into_iter().rev() {
        wanted.splice(place..place, numbered(session, seqs, &sizes)?);
    }
    Ok(wanted)
}

/// Objects that are read themselves.
fn numbered(
    session: SessionId,
    seqs: Range<u64>,
    sizes: &BTreeMap<u64, u64>,
) -> Result<Vec<Wanted>, RecoveryError> {
    let object = |seq| {
        let name = ObjectName::from(ObjectId { session, seq });
        let bytes = *sizes.get(&seq).ok_or(RecoveryError::Missing(name))?;
        Ok(Wanted::Object { name, bytes, puts: PUT_MILLIONTHS })
    };
    seqs.map(object).collect()
}

/// The sizes of a session's objects from number `first` on.
async fn sizes(
    store: &ObjectStore,
    session: SessionId,
    first: u64,
) -> Result<BTreeMap<u64, u64>, StoreError> {
    let (prefix, before) = (paths::journal_prefix(session), paths::journal_object(session, first.max(1) - 1));
    let listed = store.list_after(&prefix, &before, OBJECTS_MAX).await?;
    let numbered = listed.iter().filter_map(|listed| {
        let (owner, seq) = paths::parse_journal_object(&listed.path)?;
        (owner == session).then_some((seq, listed.size))
    });
    Ok(numbered.collect())
}

/// The sizes of the index objects of blocks that have some of `needed`, by their last object.
async fn indexes(
    store: &ObjectStore,
    session: SessionId,
    needed: Range<u64>,
) -> Result<BTreeMap<u64, u64>, StoreError> {
    let listed = store.list_sorted(Some(&paths::index_prefix(session)), OBJECTS_MAX).await?;
    let found = listed.iter().filter_map(|listed| {
        let (owner, last) = paths::parse_index_object(&listed.path)?;
        let has_some = last >= needed.start && *block_of(last).start() < needed.end;
        let is_one = owner == session && last == last_of_block(last) && has_some;
        (is_one && listed.size <= BYTES_AT_ONCE).then_some((last, listed.size))
    });
    Ok(found.collect())
}

async fn read(store: &ObjectStore, wanted: Wanted) -> Result<Vec<RecoveredObject>, RecoveryError> {
    match wanted {
        Wanted::Object { name, bytes, puts } => Ok(vec![read_index(store, name, bytes, puts).await?]),
        Wanted::Block { session, first, until, last, .. } => {
            let path = paths::index_object(session, last);
            let why = match store.get(&path).await {
                Ok(bytes) => match decode_index_object(session, last, &bytes) {
                    Ok(objects) => match recovered(objects, first, until) {
                        Some(recovered) => return Ok(recovered),
                        None => "it has nothing of objects that are needed".to_owned(),
                    },
                    Err(error) => error.to_string(),
                },
                Err(error) => error.to_string(),
            };
            tracing::warn!(object = %path, why, "an index object is of no use, the objects themselves are read");
            let sizes = sizes(store, session, first).await?;
            let mut objects = Vec::new();
            for wanted in numbered(session, first..until + 1, &sizes)? {
                let Wanted::Object { name, bytes, puts } = wanted else { continue };
                objects.push(read_index(store, name, bytes, puts).await?);
            }
            Ok(objects)
        }
    }
}

/// Those from `first` to `until`; none if one of them is told of as if it were not there.
fn recovered(
    objects: Vec<(ObjectId, u64, ObjectIndex)>,
    first: u64,
    until: u64,
) -> Option<Vec<RecoveredObject>> {
    let needed = objects.into_iter().filter(|(id, ..)| (first..=until).contains(&id.seq));
    let recovered = needed.map(|(id, bytes, index)| {
        let name = ObjectName::from(id);
        (bytes > 0).then_some(RecoveredObject { name, index, bytes, puts: PUT_MILLIONTHS })
    });
    recovered.collect()
}

async fn read_index(
    store: &ObjectStore,
    name: ObjectName,
    size: u64,
    puts: u64,
) -> Result<RecoveredObject, RecoveryError> {
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

/// Reads an index object, and sees that it can be used.
pub async fn check_index_object(
    store: &ObjectStore,
    session: SessionId,
    last: u64,
) -> Result<(), RecoveryError> {
    let bytes = store.get(&paths::index_object(session, last)).await?;
    decode_index_object(session, last, &bytes).map(drop).map_err(|error| RecoveryError::Damaged {
        name: ObjectName::from(ObjectId { session, seq: last }),
        why: format!("its index object is of no use: {error}"),
    })
}
