//! What a directory needs besides `LocalFileSystem` for a PUT to survive a power cut.
//!
//! With fsync on, that backend syncs the file before it renames it into place and its directory after, and
//! also the directories that it makes itself. Two gaps are closed here. A PUT into a directory that another PUT
//! is just making does not wait for that one's fsyncs, and a directory made by a process that died before its
//! fsyncs is taken for durable. So before its first PUT into a directory, this process makes it durable itself.

use super::unfinished::{self, UnfinishedFile};
use super::{ObjectPath, StoreError};
use crate::types::Timestamp;
use parking_lot::Mutex;
use std::collections::{BTreeSet, HashSet};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(super) struct LocalDirectory {
    root: Arc<Path>,
    /// Directories that this process has made durable.
    durable: Arc<Mutex<HashSet<PathBuf>>>,
}

/// Forgetting one only costs its fsyncs again.
const DURABLE_MAX: usize = 16_384;
const MAKE_ATTEMPTS_MAX: usize = 4;

impl LocalDirectory {
    pub(super) fn new(root: &Path) -> LocalDirectory {
        LocalDirectory { root: root.into(), durable: Arc::default() }
    }

    fn file(&self, path: &ObjectPath) -> PathBuf {
        self.root.join(path.as_str())
    }

    /// Makes the directory that `path` lies in, durably.
    pub(super) async fn prepare_for(&self, path: &ObjectPath) -> Result<(), StoreError> {
        let file = self.file(path);
        let directory = file.parent().unwrap_or(&self.root).to_path_buf();
        if self.durable.lock().contains(&directory) {
            return Ok(());
        }
        let (root, durable) = (Arc::clone(&self.root), Arc::clone(&self.durable));
        let work = move || {
            make_durable(&directory, &root)?;
            let mut durable = durable.lock();
            if durable.len() >= DURABLE_MAX {
                durable.clear();
            }
            durable.insert(directory);
            Ok(())
        };
        on_blocking_thread(path, work).await
    }

    /// Removes the directory that `path` lies in if nothing is left in it. One that stays does no harm.
    pub(super) async fn clear_folder_of(&self, path: &ObjectPath) {
        let (file, durable) = (self.file(path), Arc::clone(&self.durable));
        let work = move || {
            let Some(directory) = file.parent() else { return Ok(()) };
            durable.lock().remove(directory);
            std::fs::remove_dir(directory)
        };
        if let Err(error) = on_blocking_thread(path, work).await {
            tracing::debug!(%path, %error, "its folder stays");
        }
    }

    /// Syncs the files, then every directory between them and the root once.
    pub(super) async fn settle(&self, paths: Vec<ObjectPath>) -> Result<(), StoreError> {
        let root = Arc::clone(&self.root);
        blocking("settle", move || settle(&root, &paths)).await
    }

    pub(super) async fn unfinished(&self, before: Timestamp) -> Result<Vec<UnfinishedFile>, StoreError> {
        let root = Arc::clone(&self.root);
        blocking("unfinished files", move || unfinished::find(&root, before)).await
    }
}

/// Makes a directory and those above it, durably. Another process may remove it meanwhile, as it is empty.
fn make_durable(directory: &Path, root: &Path) -> io::Result<()> {
    for _ in 1..MAKE_ATTEMPTS_MAX {
        std::fs::create_dir_all(directory)?;
        match crate::disk::sync_directories(directory, root) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            synced => return synced,
        }
    }
    std::fs::create_dir_all(directory)?;
    crate::disk::sync_directories(directory, root)
}

/// Deletes them all, or all before the first that resists.
pub(super) async fn delete_unfinished(files: Vec<UnfinishedFile>) -> Result<(), StoreError> {
    blocking("unfinished files", move || files.iter().try_for_each(unfinished::delete)).await
}

async fn blocking<T: Send + 'static>(
    what: &'static str,
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    match crate::background::blocking(work).await {
        Ok(answer) => answer,
        Err(error) => Err(StoreError::unavailable(&what, &error)),
    }
}

fn settle(root: &Path, paths: &[ObjectPath]) -> Result<(), StoreError> {
    let mut directories = BTreeSet::new();
    for path in paths {
        let file = root.join(path.as_str());
        let synced = File::open(&file).and_then(|file| file.sync_all());
        synced.map_err(|error| StoreError::from_io(path, error))?;
        directories.extend(file.ancestors().skip(1).take_while(|up| up.starts_with(root)).map(PathBuf::from));
    }
    for directory in directories {
        let synced = crate::disk::sync_directory(&directory);
        synced.map_err(|error| StoreError::from_io(&directory.display(), error))?;
    }
    Ok(())
}

async fn on_blocking_thread(
    path: &ObjectPath,
    work: impl FnOnce() -> io::Result<()> + Send + 'static,
) -> Result<(), StoreError> {
    match crate::background::blocking(work).await {
        Ok(answer) => answer.map_err(|error| StoreError::from_io(path, error).refuse_missing()),
        Err(error) => Err(StoreError::unavailable(path, &error)),
    }
}
