//! The exclusive lock on a data directory: a file that names its holder.

use super::OpenError;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::path::Path;

/// Held for the life of a store; the operating system lets go of it when the process ends in any way.
#[derive(Debug)]
pub(super) struct DirectoryLock {
    _file: File,
}

/// The file's name within the directory. It is never removed: a removed lock file could be held twice.
const FILE_NAME: &str = "LOCK";

impl DirectoryLock {
    /// Takes the lock, or says who has it.
    pub(super) fn take(directory: &Path) -> Result<DirectoryLock, OpenError> {
        let unusable = |error| OpenError::unusable(directory, &error);
        let mut file = open(directory).map_err(unusable)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(in_use(directory, &mut file)),
            Err(TryLockError::Error(error)) => return Err(unusable(error)),
        }
        name_holder(&mut file).map_err(unusable)?;
        Ok(DirectoryLock { _file: file })
    }
}

fn open(directory: &Path) -> std::io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).open(directory.join(FILE_NAME))
}

fn name_holder(file: &mut File) -> std::io::Result<()> {
    file.set_len(0)?;
    writeln!(file, "{}", std::process::id())
}

fn in_use(directory: &Path, file: &mut File) -> OpenError {
    let mut holder = String::new();
    let read = file.take(HOLDER_BYTES_MAX).read_to_string(&mut holder);
    let pid = read.ok().and_then(|_| holder.trim().parse().ok());
    OpenError::InUse { directory: directory.to_path_buf(), holder: Holder(pid) }
}

const HOLDER_BYTES_MAX: u64 = 32;

/// The process that holds the lock, if its number could be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holder(pub Option<u32>);

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some(pid) => write!(f, "another broker (pid {pid})"),
            None => write!(f, "another broker"),
        }
    }
}
