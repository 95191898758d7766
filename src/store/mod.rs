//! The object store, narrowed to what the log rests on: whole-object PUT, ranged GET, LIST and DELETE.
//!
//! It never puts conditionally, never appends, never renames, and knows nothing of what objects hold. Every
//! operation ends within [`OPERATION_DEADLINE`], its retries included, but for [`ObjectStore::put_bulk`], which has a
//! second more for each MiB; every answer has as many bytes as was asked for, or is an error. On a local directory a
//! PUT that was answered survives a power cut.

mod claim;
mod error;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod local;
mod object_path;
mod open;
pub mod paths;
mod probe;
#[cfg(test)]
mod tests;
mod unfinished;

pub use claim::{ClaimError, ClusterHistory, claim, read_claim};
pub use error::StoreError;
pub use object_path::{ObjectPath, ObjectPathError};
pub use open::OpenError;
pub use probe::ProbeError;
pub use unfinished::UnfinishedFile;

use crate::metrics::{Metrics, ObjectKind, StoreOperation};
use crate::types::Timestamp;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt};
use local::LocalDirectory;
use object_store::{GetOptions, GetRange, ObjectMeta, ObjectStoreExt, PutPayload};
use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

/// How long one operation may take with all its retries; a listing: how long one page may take.
pub const OPERATION_DEADLINE: Duration = Duration::from_secs(15);
/// What a link to the store carries at least, in bytes a second.
const BYTES_PER_SECOND_MIN: usize = 1 << 20;

/// A handle to the store; all clones are one.
#[derive(Clone)]
pub struct ObjectStore {
    shared: Arc<Shared>,
}

struct Shared {
    backend: Arc<dyn object_store::ObjectStore>,
    /// The same for PUTs in bulk: a request takes as long as it has to, and the deadline is ours alone.
    bulk: Arc<dyn object_store::ObjectStore>,
    local: Option<Arc<LocalDirectory>>,
    name: String,
    metrics: Option<Arc<Metrics>>,
}

/// An object that a listing found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedObject {
    /// Its path.
    pub path: ObjectPath,
    /// Its size in bytes.
    pub size: u64,
}

impl ObjectStore {
    /// A store that ends with the process: for tests and `memory:`.
    #[must_use]
    pub fn in_memory() -> ObjectStore {
        ObjectStore::with_backend(Arc::new(object_store::memory::InMemory::new()), "memory:")
    }

    /// A store upon any backend, such as one that injects faults; `name` is for messages.
    #[must_use]
    pub fn with_backend(backend: Arc<dyn object_store::ObjectStore>, name: &str) -> ObjectStore {
        let bulk = Arc::clone(&backend);
        ObjectStore::with_backends(backend, bulk, name)
    }

    fn with_backends(
        backend: Arc<dyn object_store::ObjectStore>,
        bulk: Arc<dyn object_store::ObjectStore>,
        name: &str,
    ) -> ObjectStore {
        let name = name.to_owned();
        ObjectStore { shared: Arc::new(Shared { backend, bulk, local: None, name, metrics: None }) }
    }

    fn on_directory(
        backend: object_store::local::LocalFileSystem,
        local: LocalDirectory,
        name: &str,
    ) -> ObjectStore {
        let (backend, local) = (Arc::new(backend), Some(Arc::new(local)));
        let (bulk, name) = (Arc::clone(&backend), name.to_owned());
        ObjectStore { shared: Arc::new(Shared { backend, bulk, local, name, metrics: None }) }
    }

    /// The same store, whose requests are counted.
    #[must_use]
    pub fn counted(&self, metrics: Arc<Metrics>) -> ObjectStore {
        let Shared { backend, bulk, local, name, .. } = &*self.shared;
        let (backend, bulk) = (Arc::clone(backend), Arc::clone(bulk));
        let (local, name, metrics) = (local.clone(), name.clone(), Some(metrics));
        ObjectStore { shared: Arc::new(Shared { backend, bulk, local, name, metrics }) }
    }

    fn count(&self, operation: StoreOperation, path: Option<&ObjectPath>) {
        if let Some(metrics) = &self.shared.metrics {
            metrics.store.asked(operation, kind_of(path));
        }
    }

    /// Removes the folder of an object that is gone, where folders are directories of this machine and it is empty.
    async fn clear_folder_of(&self, path: &ObjectPath) {
        if let Some(local) = &self.shared.local {
            local.clear_folder_of(path).await;
        }
    }

    /// Whether objects are files of this machine.
    #[must_use]
    pub fn is_local(&self) -> bool {
        self.shared.local.is_some()
    }

    /// Stores an object, over whatever was there. An error says nothing about whether it is stored: repeat it
    /// with the same bytes.
    pub async fn put(&self, path: &ObjectPath, body: Bytes) -> Result<(), StoreError> {
        self.put_by(&self.shared.backend, OPERATION_DEADLINE, path, body).await
    }

    /// The same for objects that nobody waits for, such as segments: it has a second more for each MiB, so that slow links
    /// get there as well. One that hangs is found out later.
    pub async fn put_bulk(&self, path: &ObjectPath, body: Bytes) -> Result<(), StoreError> {
        let more = Duration::from_secs(body.len().div_ceil(BYTES_PER_SECOND_MIN) as u64);
        self.put_by(&self.shared.bulk, OPERATION_DEADLINE + more, path, body).await
    }

    async fn put_by(
        &self,
        backend: &Arc<dyn object_store::ObjectStore>,
        deadline: Duration,
        path: &ObjectPath,
        body: Bytes,
    ) -> Result<(), StoreError> {
        self.count(StoreOperation::Put, Some(path));
        if let Some(metrics) = &self.shared.metrics {
            metrics.store.put(kind_of(Some(path)), body.len() as u64);
        }
        let work = async {
            if let Some(local) = &self.shared.local {
                local.prepare_for(path).await?;
            }
            let put = backend.put(path.inner(), PutPayload::from(body)).await;
            // What is missing is the bucket, not the object.
            put.map(drop).map_err(|error| StoreError::from_backend(path, error).refuse_missing())
        };
        within(deadline, path, work).await
    }

    /// Reads a whole object.
    pub async fn get(&self, path: &ObjectPath) -> Result<Bytes, StoreError> {
        self.count(StoreOperation::Get, Some(path));
        within_deadline(path, async {
            let failed = |error| StoreError::from_backend(path, error);
            let answer = self.shared.backend.get(path.inner()).await.map_err(failed)?;
            let size = answer.meta.size;
            exactly(path, size, answer.bytes().await.map_err(failed)?)
        })
        .await
    }

    /// Reads the bytes in `range`, which must not be empty nor reach past the object's end.
    pub async fn get_range(&self, path: &ObjectPath, range: Range<u64>) -> Result<Bytes, StoreError> {
        if range.is_empty() {
            return Err(StoreError::refused(path, &"a range without bytes"));
        }
        self.count(StoreOperation::Get, Some(path));
        within_deadline(path, async {
            let length = range.end - range.start;
            let answer = self.shared.backend.get_range(path.inner(), range).await;
            exactly(path, length, answer.map_err(|error| StoreError::from_backend(path, error))?)
        })
        .await
    }

    /// Reads the first `length` bytes, or all if it has no more, and tells the object's size in bytes.
    pub async fn get_prefix(&self, path: &ObjectPath, length: u64) -> Result<(Bytes, u64), StoreError> {
        if length == 0 {
            return Err(StoreError::refused(path, &"a range without bytes"));
        }
        self.count(StoreOperation::Get, Some(path));
        within_deadline(path, async {
            let failed = |error| StoreError::from_backend(path, error);
            let options = GetOptions { range: Some(GetRange::Bounded(0..length)), ..GetOptions::default() };
            let answer = self.shared.backend.get_opts(path.inner(), options).await.map_err(failed)?;
            let size = answer.meta.size;
            let bytes = exactly(path, size.min(length), answer.bytes().await.map_err(failed)?)?;
            Ok((bytes, size))
        })
        .await
    }

    /// The object's size in bytes.
    pub async fn size(&self, path: &ObjectPath) -> Result<u64, StoreError> {
        self.count(StoreOperation::Head, Some(path));
        within_deadline(path, async {
            let answer = self.shared.backend.head(path.inner()).await;
            answer.map(|meta| meta.size).map_err(|error| StoreError::from_backend(path, error))
        })
        .await
    }

    /// Removes an object; one that is not there is a success. A power cut may bring it back.
    pub async fn delete(&self, path: &ObjectPath) -> Result<(), StoreError> {
        self.count(StoreOperation::Delete, Some(path));
        let deleted = within_deadline(path, async {
            let answer = self.shared.backend.delete(path.inner()).await;
            answer.map_err(|error| StoreError::from_backend(path, error))
        });
        match deleted.await {
            Err(StoreError::Missing { .. }) => Ok(()),
            answer => answer,
        }
    }

    /// The objects below `prefix` (all, if none), page by page, in no order. Files in the store whose names
    /// could not be ours are passed over; names that are no text, or have control characters, are an error, as
    /// a listing cannot go on behind them.
    pub fn list(&self, prefix: Option<&ObjectPath>) -> BoxStream<'static, Result<ListedObject, StoreError>> {
        self.count(StoreOperation::List, prefix);
        let place = prefix.map_or_else(String::new, ToString::to_string);
        let found = self.shared.backend.list(prefix.map(ObjectPath::inner));
        let found = found.map_err(move |error| StoreError::from_backend(&place, error).refuse_missing());
        found.try_filter_map(async |meta| Ok(listed(meta))).boxed()
    }

    /// The objects below `prefix` whose paths come after `after`, in the order of their paths; more than `objects_max` is an
    /// error. A listing as short as it can be: what comes before is not told by the store.
    pub async fn list_after(
        &self,
        prefix: &ObjectPath,
        after: &ObjectPath,
        objects_max: usize,
    ) -> Result<Vec<ListedObject>, StoreError> {
        self.count(StoreOperation::List, Some(prefix));
        let place = prefix.to_string();
        let found = self.shared.backend.list_with_offset(Some(prefix.inner()), after.inner());
        let found = found.map_err(move |error| StoreError::from_backend(&place, error).refuse_missing());
        let found = found.try_filter_map(async |meta| Ok(listed(meta))).boxed();
        sorted(&prefix.to_string(), found, objects_max).await
    }

    /// The objects below `prefix` in the order of their paths; more than `objects_max` is an error.
    pub async fn list_sorted(
        &self,
        prefix: Option<&ObjectPath>,
        objects_max: usize,
    ) -> Result<Vec<ListedObject>, StoreError> {
        let place = prefix.map_or_else(String::new, ToString::to_string);
        sorted(&place, self.list(prefix), objects_max).await
    }

    /// Makes sure that objects which can be read also survive a power cut: a broker that died may have put them
    /// without the last fsync. Nothing to do where a PUT that can be read is durable.
    pub async fn settle(&self, paths: &[ObjectPath]) -> Result<(), StoreError> {
        match &self.shared.local {
            Some(local) => local.settle(paths.to_vec()).await,
            None => Ok(()),
        }
    }

    /// What killed processes left of their PUTs, last written before `before`: files of a local directory that no listing
    /// shows. None in any other store. A hundred thousand at once, about.
    pub async fn unfinished(&self, before: Timestamp) -> Result<Vec<UnfinishedFile>, StoreError> {
        match &self.shared.local {
            Some(local) => local.unfinished(before).await,
            None => Ok(Vec::new()),
        }
    }

    /// Deletes what [`ObjectStore::unfinished`] found. A PUT that is still writing such a file fails and is repeated.
    pub async fn delete_unfinished(&self, files: Vec<UnfinishedFile>) -> Result<(), StoreError> {
        local::delete_unfinished(files).await
    }
}

impl fmt::Debug for ObjectStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ObjectStore({})", self.shared.name)
    }
}

impl fmt::Display for ObjectStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shared.name)
    }
}

fn kind_of(path: Option<&ObjectPath>) -> ObjectKind {
    match path.map(|path| path.as_str().split('/').next().unwrap_or_default()) {
        Some("journal") => ObjectKind::Journal,
        Some("topics") => ObjectKind::Segment,
        Some("manifests") => ObjectKind::Manifest,
        _ => ObjectKind::Other,
    }
}

fn listed(meta: ObjectMeta) -> Option<ListedObject> {
    let path = ObjectPath::parse(meta.location.as_ref()).ok()?;
    Some(ListedObject { path, size: meta.size })
}

fn exactly(path: &ObjectPath, wanted: u64, body: Bytes) -> Result<Bytes, StoreError> {
    match u64::try_from(body.len()) {
        Ok(got) if got == wanted => Ok(body),
        _ => Err(StoreError::refused(path, &format!("{} bytes came for {wanted}", body.len()))),
    }
}

/// All that is found, sorted by path.
async fn sorted(
    place: &str,
    mut found: BoxStream<'static, Result<ListedObject, StoreError>>,
    objects_max: usize,
) -> Result<Vec<ListedObject>, StoreError> {
    let mut objects = Vec::new();
    while let Some(object) = within_deadline(&place, found.try_next()).await? {
        if objects.len() == objects_max {
            return Err(StoreError::refused(&place, &format!("more than {objects_max} objects")));
        }
        objects.push(object);
    }
    objects.sort_unstable_by(|a: &ListedObject, b| a.path.cmp(&b.path));
    Ok(objects)
}

async fn within_deadline<T>(
    place: &impl fmt::Display,
    work: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    within(OPERATION_DEADLINE, place, work).await
}

async fn within<T>(
    deadline: Duration,
    place: &impl fmt::Display,
    work: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    match tokio::time::timeout(deadline, work).await {
        Ok(answer) => answer,
        Err(_) => Err(StoreError::unavailable(place, &format!("no answer in {deadline:?}"))),
    }
}
