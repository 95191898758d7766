//! Reads the indexes of journal objects, of each journal a few ahead of who takes them.
//!
//! Each read is a task, so that those of all journals go on while one journal is taken; how many do at a time has a limit, and so
//! has the memory of what one of them reads.
//!
//! An index object that is damaged, or goes meanwhile, is of no use: its objects are read themselves.

use super::decode::{DecodeError, ObjectIndex, PREFIX_BYTES, decode_index};
use super::index_object::decode_index_object;
use super::recovery::{RecoveredObject, RecoveryError};
use super::row::{ObjectId, ObjectName, PUT_MILLIONTHS, Partitions};
use crate::hashing::HashMap;
use crate::meta::keys::journal_starts::MergedObject;
use crate::store::{ObjectStore, StoreError, paths};
use crate::types::SessionId;
use crate::wire::batch::BatchHeader;
use futures_util::future::try_join_all;
use futures_util::stream::{self, BoxStream, StreamExt, TryStreamExt};
use std::ops::Range;
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio_util::task::AbortOnDropHandle;

/// What is to be read.
#[derive(Clone, Debug)]
pub(super) enum Wanted {
    /// A merged object.
    Merged(SessionId, MergedObject),
    /// Numbered objects, each for itself.
    Numbered { session: SessionId, seqs: Range<u64> },
    /// Some of the block that ends with `last`, as its index object of so many bytes has them.
    Block { session: SessionId, last: u64, seqs: Range<u64>, bytes: u64 },
}

/// How things are read. Clones share what is allowed.
#[derive(Clone, Debug)]
pub(super) struct ObjectReads {
    store: ObjectStore,
    partitions: Partitions,
    requests: Arc<Semaphore>,
    large: Arc<Semaphore>,
}

/// What is left of a journal, object by object.
pub(super) struct WholeJournal {
    objects: BoxStream<'static, Result<RecoveredObject, RecoveryError>>,
}

/// Of each journal so much is read ahead.
const AHEAD: usize = 3;
/// Requests at a time, of all journals.
const REQUESTS_MAX: usize = 48;
/// Of those, such as read more than this.
const LARGE_BYTES: u64 = 1 << 20;
const LARGE_MAX: usize = 4;
/// An index object of so many bytes comes to this many times as much, about.
const INDEX_RATIO: u64 = 16;
/// An index object of more bytes is not read.
const INDEX_BYTES_MAX: u64 = 64 << 20;

impl ObjectReads {
    pub fn new(store: ObjectStore, partitions: Partitions) -> ObjectReads {
        let (requests, large) = (Semaphore::new(REQUESTS_MAX), Semaphore::new(LARGE_MAX));
        ObjectReads { store, partitions, requests: Arc::new(requests), large: Arc::new(large) }
    }

    /// A journal of which these are wanted, in this order.
    pub fn journal(&self, wanted: Vec<Wanted>) -> WholeJournal {
        let reads = self.clone();
        let read = move |wanted| {
            let reads = reads.clone();
            AbortOnDropHandle::new(tokio::spawn(async move { reads.read(wanted).await }))
        };
        let read = stream::iter(wanted).map(read).buffered(AHEAD);
        let objects = read.map(|read| match read {
            Ok(Ok(objects)) => Ok(stream::iter(objects.into_iter().map(Ok))),
            Ok(Err(error)) => Err(error),
            Err(error) => Err(StoreError::unavailable(&"journal", &error).into()),
        });
        WholeJournal { objects: objects.try_flatten().boxed() }
    }

    async fn read(&self, wanted: Wanted) -> Result<Vec<RecoveredObject>, RecoveryError> {
        match wanted {
            Wanted::Merged(session, merged) => {
                let name = ObjectName::merged(session, merged.number);
                let object = self.read_index(name, merged.puts).await?;
                if object.bytes != merged.bytes {
                    let why = format!("it has {} bytes instead of {}", object.bytes, merged.bytes);
                    return Err(RecoveryError::Damaged { name, why });
                }
                Ok(vec![object])
            }
            Wanted::Block { session, last, seqs, bytes } => {
                let mut told = match self.read_block(session, last, bytes).await {
                    Ok(told) => told,
                    Err(why) => {
                        let object = paths::index_object(session, last);
                        tracing::warn!(%object, why, "an index object is of no use, the objects themselves are read");
                        HashMap::default()
                    }
                };
                let told = |seq| (seq, told.remove(&seq));
                self.read_all(session, seqs.map(told)).await
            }
            Wanted::Numbered { session, seqs } => self.read_all(session, seqs.map(|seq| (seq, None))).await,
        }
    }

    /// Objects in their order, of which some were told of.
    async fn read_all(
        &self,
        session: SessionId,
        objects: impl Iterator<Item = (u64, Option<RecoveredObject>)>,
    ) -> Result<Vec<RecoveredObject>, RecoveryError> {
        let read = async |(seq, told)| match told {
            Some(told) => Ok(told),
            None => self.read_index(ObjectName::from(ObjectId { session, seq }), PUT_MILLIONTHS).await,
        };
        try_join_all(objects.map(read)).await
    }

    /// What an index object tells of, by number; an error says why it cannot be used.
    async fn read_block(
        &self,
        session: SessionId,
        last: u64,
        bytes: u64,
    ) -> Result<HashMap<u64, RecoveredObject>, String> {
        if bytes > INDEX_BYTES_MAX {
            return Err(format!("it has more than {INDEX_BYTES_MAX} bytes"));
        }
        let large = if bytes > LARGE_BYTES / INDEX_RATIO { Some(permit(&self.large).await) } else { None };
        let request = permit(&self.requests).await;
        let bytes = self.store.get(&paths::index_object(session, last)).await;
        drop(request);
        let bytes = bytes.map_err(|error| error.to_string())?;
        let objects = decode_index_object(session, last, &bytes, &self.partitions);
        drop(large);
        let objects = objects.map_err(|error| error.to_string())?.into_iter();
        let recovered = objects.filter(|(_, bytes, _)| *bytes > 0).map(|(id, bytes, index)| {
            let name = ObjectName::from(id);
            (id.seq, RecoveredObject { name, index, bytes, puts: PUT_MILLIONTHS, is_told: true })
        });
        Ok(recovered.collect())
    }

    async fn read_index(&self, name: ObjectName, puts: u64) -> Result<RecoveredObject, RecoveryError> {
        let path = name.path();
        let mut length = PREFIX_BYTES;
        loop {
            let large = if length > LARGE_BYTES { Some(permit(&self.large).await) } else { None };
            let request = permit(&self.requests).await;
            let read = self.store.get_prefix(&path, length).await;
            drop(request);
            let (prefix, size) = read.map_err(|error| match error {
                StoreError::Missing { .. } => RecoveryError::Missing(name),
                error => RecoveryError::Store(error),
            })?;
            let decoded = decode_index(name, &prefix);
            drop(large);
            match decoded {
                Ok(index) if index.byte_ranges.last().is_none_or(|last| last.end <= size) => {
                    return Ok(RecoveredObject { name, index, bytes: size, puts, is_told: false });
                }
                Err(DecodeError::NeedsMore { bytes }) if length < size => {
                    length = bytes.max(length * 2).min(size);
                }
                Ok(_) => return Err(RecoveryError::Damaged { name, why: "it is cut short".to_owned() }),
                Err(error) => return Err(RecoveryError::Damaged { name, why: error.to_string() }),
            }
        }
    }
}

impl WholeJournal {
    /// The next object, in the journal's order; none after the last.
    pub async fn next(&mut self) -> Result<Option<RecoveredObject>, RecoveryError> {
        self.objects.try_next().await
    }
}

async fn permit(semaphore: &Semaphore) -> tokio::sync::SemaphorePermit<'_> {
    semaphore.acquire().await.expect("it is never closed")
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
    decode_index_object(session, last, &bytes, &Partitions::All).map(drop).map_err(|error| {
        RecoveryError::Damaged {
            name: ObjectName::from(ObjectId { session, seq: last }),
            why: format!("its index object is of no use: {error}"),
        }
    })
}
