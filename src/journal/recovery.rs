//! What earlier sessions committed: where each journal ends, and the rows of its objects.
//!
//! Of a journal its merged objects are read first, then the numbered ones from the first that is needed on. What lies
//! before that is never looked at: it is in merged objects, in segments, or gone with its topic, and its objects may be
//! on their way out. So every row is read once, and those of a partition come together without a hole from its archived
//! offset on. The log start does not matter here: rows below it are kept until they are archived, as they tell what the
//! producers of the partition did.
//!
//! Objects are handed on one by one, as there may be more of them than memory for their rows; of each journal a few are read
//! ahead (`object_reads.rs`). Where there is an index object (`index_object.rs`), it is read for all that it tells of.
//!
//! *In which order.* Within a journal the rows of a partition ascend: a merged object stands in the list where what it was
//! made of stood, and all of them before what is numbered. A session's rows have the number of a view as their leader epoch,
//! and where sessions serve side by side a partition may go from one to another and back. So of the next objects of all
//! journals that with the earliest epoch comes first, and few rows come before their time: who takes the rows in
//! (`log/recovery.rs`) has to bear with those, and sees to it that no row is missing and none comes twice.
//!
//! On one machine a stored object is itself the record of its commit, as the lock makes the broker the only
//! writer. A journal's end is then found in this order, which differs from the obvious one on purpose: the
//! objects past the last known commit are verified, *then made durable* (they may be in the page cache
//! alone), then the end is written, and only then anything is served. Written first, the end could name an
//! object that a power cut takes away.

use super::decode::ObjectIndex;
use super::index_object::{block_of, last_of_block};
use super::object_reads::{ObjectReads, Wanted, WholeJournal, read_object};
use super::row::{ObjectId, ObjectName, Partitions};
use super::session::EndedJournal;
use crate::store::{ObjectStore, StoreError, paths};
use crate::types::{LeaderEpoch, SessionId};
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
    /// Whether an index object told of it, so that it was not read itself.
    pub is_told: bool,
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

/// Numbered objects that are read together where no index object tells of them.
const OBJECTS_TOGETHER: u64 = 16;
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

/// Reads what the ended journals hold of `partitions`: the rows of each journal in their order, and of several journals the
/// earlier epochs first.
pub fn recover<'a>(
    store: &'a ObjectStore,
    ended: &'a [EndedJournal],
    partitions: Partitions,
) -> BoxStream<'a, Result<RecoveredObject, RecoveryError>> {
    let begun = async move {
        let indexes = indexes(store, ended).await?;
        let reads = ObjectReads::new(store.clone(), partitions);
        let mut journals: Vec<WholeJournal> =
            ended.iter().map(|journal| reads.journal(wanted(journal, &indexes))).collect();
        let heads = try_join_all(journals.iter_mut().map(WholeJournal::next)).await?;
        Ok::<_, RecoveryError>(stream::try_unfold((journals, heads, None), next_of_all))
    };
    stream::once(begun).try_flatten().boxed()
}

/// The next objects of some journals, and the one that was taken of them last.
type Heads = (Vec<WholeJournal>, Vec<Option<RecoveredObject>>, Option<usize>);

async fn next_of_all(
    (mut journals, mut heads, taken): Heads,
) -> Result<Option<(RecoveredObject, Heads)>, RecoveryError> {
    if let Some(place) = taken {
        heads[place] = journals[place].next().await?;
    }
    let known = heads.iter().enumerate();
    let known = known.filter_map(|(place, head)| Some((first_epoch(head.as_ref()?), place)));
    let Some((_, first)) = known.min() else { return Ok(None) };
    let object = heads[first].take();
    Ok(object.map(|object| (object, (journals, heads, Some(first)))))
}

/// The epoch that an object begins with; the earliest of all if nothing of it is wanted.
fn first_epoch(object: &RecoveredObject) -> Option<LeaderEpoch> {
    object.index.rows.iter().map(|row| row.leader_epoch).min()
}

/// The objects of a journal that are needed, merged ones first.
fn wanted(journal: &EndedJournal, indexes: &BTreeMap<(SessionId, u64), u64>) -> Vec<Wanted> {
    let session = journal.session;
    let merged = journal.start.merged.iter();
    let mut wanted: Vec<Wanted> = merged.map(|merged| Wanted::Merged(session, *merged)).collect();
    let (mut first, end) = (journal.start.first, journal.final_seq + 1);
    while first < end {
        let last = last_of_block(first);
        let until = (last + 1).min(end);
        if let Some(bytes) = indexes.get(&(session, last)) {
            wanted.push(Wanted::Block { session, last, seqs: first..until, bytes: *bytes });
        } else {
            let starts = (first..until).step_by(OBJECTS_TOGETHER as usize);
            wanted.extend(starts.map(|start| Wanted::Numbered {
                session,
                seqs: start..(start + OBJECTS_TOGETHER).min(until),
            }));
        }
        first = until;
    }
    wanted
}

/// The sizes of the index objects that have something of what is needed, by session and last object.
async fn indexes(
    store: &ObjectStore,
    ended: &[EndedJournal],
) -> Result<BTreeMap<(SessionId, u64), u64>, StoreError> {
    let needed: BTreeMap<SessionId, Range<u64>> = ended
        .iter()
        .map(|journal| (journal.session, journal.start.first..journal.final_seq + 1))
        .filter(|(_, needed)| !needed.is_empty())
        .collect();
    let prefix = match needed.len() {
        0 => return Ok(BTreeMap::new()),
        // One listing for all: a request for each would cost more than what it leaves out.
        1 => paths::index_prefix(*needed.keys().next().expect("there is one")),
        _ => paths::indexes_prefix(),
    };
    let listed = store.list_sorted(Some(&prefix), OBJECTS_MAX).await?;
    let found = listed.iter().filter_map(|listed| {
        let (session, last) = paths::parse_index_object(&listed.path)?;
        let needed = needed.get(&session)?;
        let has_some = last >= needed.start && *block_of(last).start() < needed.end;
        (last == last_of_block(last) && has_some).then_some(((session, last), listed.size))
    });
    Ok(found.collect())
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
