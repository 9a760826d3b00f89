//! The files of a store. They hold the keys of clients and what clients wrote, so nobody but their owner may read them.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::error::LOOK_AT_THE_DISK;
use crate::StoreError;

/// What may be done with the files of a store, and by its owner only.
const MODE: u32 = 0o600;

/// What anybody else may do.
const OTHERS: u32 = 0o077;

/// The database, what `SQLite` keeps beside it, and the lock file.
pub fn files_of(path: &Path) -> [PathBuf; 4] {
    [path.to_owned(), beside(path, "-wal"), beside(path, "-shm"), lock_of(path)]
}

pub(super) fn lock_of(path: &Path) -> PathBuf {
    beside(path, ".lock")
}

fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    name.into()
}

/// Makes the database if there is none, so that it is never another's to read: `SQLite` gives what it makes beside it the
/// same permissions. Takes the right to read from others where they have it.
pub(super) fn keep_private(path: &Path) -> Result<(), StoreError> {
    let failed = |error: io::Error| StoreError::Engine {
        message: format!("can't open `{}`: {error}", path.display()),
        advice: LOOK_AT_THE_DISK,
    };
    create(path).map_err(failed)?;
    for file in files_of(path) {
        let Ok(metadata) = fs::metadata(&file) else { continue };
        if metadata.permissions().mode() & OTHERS == 0 {
            continue;
        }
        let outcome = fs::set_permissions(&file, Permissions::from_mode(MODE));
        let file = file.display();
        match outcome {
            Ok(()) => tracing::warn!(%file, "others could read this file of the store, and can't any more"),
            Err(error) => tracing::error!(%file, %error, "others can read this file of the store"),
        }
    }
    Ok(())
}

/// Opens a file for writing and leaves what it has; makes it if there is none.
pub(super) fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(false).mode(MODE).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SqliteStore;

    fn modes(path: &Path) -> Vec<u32> {
        files_of(path).iter().map(|file| fs::metadata(file).unwrap().permissions().mode() & 0o777).collect()
    }

    #[test]
    fn nobody_but_its_owner_can_read_a_store_whoever_could_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("miroir.sqlite");
        let store = SqliteStore::open(&path).unwrap();
        assert_eq!(modes(&path), [MODE; 4]);
        drop(store);
        for file in files_of(&path) {
            fs::write(&file, fs::read(&file).unwrap_or_default()).unwrap();
            fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
        }
        let store = SqliteStore::open(&path).unwrap();
        assert_eq!(modes(&path), [MODE; 4]);
        drop(store);
    }
}
