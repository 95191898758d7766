//! Directories on the local disk that are still there after a power cut.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// Creates `directory` with its parents, and makes every entry that this adds durable. The directory's own
/// entry is made durable also if it existed: whoever created it may have died before it was.
pub(crate) fn create_directory(directory: &Path) -> io::Result<()> {
    let first_existing = first_existing_ancestor(directory);
    std::fs::create_dir_all(directory)?;
    sync_directories(directory, &first_existing)
}

/// Makes the entries of `from`, of `to` (an ancestor of it), and of all between durable; and `to`'s own.
pub(crate) fn sync_directories(from: &Path, to: &Path) -> io::Result<()> {
    for directory in from.ancestors() {
        sync_directory(directory)?;
        if directory == to {
            break;
        }
    }
    to.parent().filter(|parent| !parent.as_os_str().is_empty()).map_or(Ok(()), sync_own_entry)
}

/// Makes the entries of one directory durable.
pub(crate) fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

/// A parent that we may not read was not made by us, so its entries are not ours to keep.
fn sync_own_entry(parent: &Path) -> io::Result<()> {
    match sync_directory(parent) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        answer => answer,
    }
}

fn first_existing_ancestor(directory: &Path) -> PathBuf {
    directory.ancestors().find(|ancestor| ancestor.exists()).unwrap_or(directory).to_path_buf()
}
