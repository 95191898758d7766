//! What a killed process leaves of a PUT on a local directory: `LocalFileSystem` writes `<name>#<number>` and renames it
//! when it is whole, and its listings pass over such names.
//!
//! To delete one that somebody still writes does no harm: its renaming fails, and so the PUT, which is repeated.

use super::{ObjectPath, StoreError, paths};
use crate::types::Timestamp;
use std::fs::Metadata;
use std::io;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

/// A file that no object will come of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnfinishedFile {
    /// Where it lies.
    pub path: PathBuf,
    /// Its length.
    pub bytes: u64,
}

/// Files in one answer; what is more comes with the next.
const FILES_MAX: usize = 100_000;

/// Deletes the file; nothing, if it is gone.
pub(super) fn delete(file: &UnfinishedFile) -> Result<(), StoreError> {
    match std::fs::remove_file(&file.path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(StoreError::from_io(&file.path.display(), error))
        }
        _ => Ok(()),
    }
}

/// Files that were to be objects of ours, below `root`, and were last written before `before`. Goes through all
/// directories of ours: takes its time.
pub(super) fn find(root: &Path, before: Timestamp) -> Result<Vec<UnfinishedFile>, StoreError> {
    let mut found = Vec::new();
    let ours = [
        paths::segments_prefix(),
        paths::manifests_prefix(),
        paths::journals_prefix(),
        paths::indexes_prefix(),
    ];
    let mut directories: Vec<PathBuf> = ours.iter().map(|prefix| root.join(prefix.as_str())).collect();
    while let Some(directory) = directories.pop() {
        look_into(root, &directory, before, &mut directories, &mut found)
            .map_err(|error| StoreError::from_io(&directory.display(), error))?;
        if found.len() >= FILES_MAX {
            break;
        }
    }
    Ok(found)
}

fn look_into(
    root: &Path,
    directory: &Path,
    before: Timestamp,
    directories: &mut Vec<PathBuf>,
    found: &mut Vec<UnfinishedFile>,
) -> io::Result<()> {
    let entries = match std::fs::read_dir(directory) {
        // It went meanwhile.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            directories.push(entry.path());
        } else if kind.is_file() && is_staged(root, &entry.path()) {
            match entry.metadata() {
                Ok(metadata) if written_before(&metadata, before) => {
                    found.push(UnfinishedFile { path: entry.path(), bytes: metadata.len() });
                }
                Ok(_younger) => {}
                Err(error) => tracing::debug!(%error, "a file went before it was looked at"),
            }
        }
    }
    Ok(())
}

/// Whether listings pass over this file, and it was to be an object of ours.
fn is_staged(root: &Path, file: &Path) -> bool {
    let path = file.strip_prefix(root).ok().and_then(Path::to_str);
    let Some((object, suffix)) = path.and_then(|path| path.split_once('#')) else { return false };
    let is_number = !suffix.is_empty() && suffix.bytes().all(|byte| byte.is_ascii_digit());
    is_number && ObjectPath::parse(object).is_ok_and(|object| paths::is_ours(&object))
}

fn written_before(metadata: &Metadata, before: Timestamp) -> bool {
    let written = metadata.modified().ok().and_then(|written| written.duration_since(UNIX_EPOCH).ok());
    written
        .is_some_and(|written| i64::try_from(written.as_millis()).is_ok_and(|written| written < before.get()))
}
