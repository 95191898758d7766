//! What a killed process leaves of a PUT on a local directory: `LocalFileSystem` writes `<name>#<number>` and renames it
//! when it is whole, and its listings pass over such names.
//!
//! To delete one that somebody still writes does no harm: its renaming fails, and so the PUT, which is repeated.

use super::StoreError;
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

/// Files below `root` that were last written before `before`. Goes through all directories: takes its time.
pub(super) fn find(root: &Path, before: Timestamp) -> Result<Vec<UnfinishedFile>, StoreError> {
    let mut found = Vec::new();
    let mut directories = vec![root.to_path_buf()];
    while let Some(directory) = directories.pop() {
        look_into(&directory, before, &mut directories, &mut found)
            .map_err(|error| StoreError::from_io(&directory.display(), error))?;
        if found.len() >= FILES_MAX {
            break;
        }
    }
    Ok(found)
}

fn look_into(
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
        } else if kind.is_file() && is_staged(&entry.file_name().to_string_lossy()) {
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

/// Whether listings pass over a file of this name. No object is named so.
fn is_staged(name: &str) -> bool {
    let suffix = name.split_once('#').map(|(_, suffix)| suffix);
    suffix.is_some_and(|suffix| !suffix.is_empty() && suffix.bytes().all(|byte| byte.is_ascii_digit()))
}

fn written_before(metadata: &Metadata, before: Timestamp) -> bool {
    let written = metadata.modified().ok().and_then(|written| written.duration_since(UNIX_EPOCH).ok());
    written
        .is_some_and(|written| i64::try_from(written.as_millis()).is_ok_and(|written| written < before.get()))
}
