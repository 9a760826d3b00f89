//! The store of a single Miroir: one `SQLite` file in write-ahead mode, with full durability.

mod administer;
mod arrivals;
mod commit;
mod epoch;
mod error;
mod features;
mod files;
mod identity;
mod keys;
mod log;
mod network;
mod nodes;
mod payloads;
mod readers;
mod records;
mod repeats;
mod rows;
mod schema;
mod settings;
mod store;
mod tasks;
mod writer;

use std::fs::{File, TryLockError};
use std::path::Path;
use std::time::Duration;

use rusqlite::Connection;

use self::error::LOOK_AT_THE_DISK;
pub use self::files::files_of;
use self::readers::Readers;
use self::writer::Writer;
use crate::{StoreError, StoreIdentity};

/// How long a connection waits for another process that holds the file: a backup, a shell.
const BUSY: Duration = Duration::from_secs(10);

/// Statements that each connection keeps prepared.
const STATEMENTS: usize = 64;

/// A store in one file. Dropping it waits until everything begun is durable.
#[derive(Debug)]
pub struct SqliteStore {
    writer: Writer,
    readers: Readers,
    /// Held as long as the others have the file open, so it comes last. None for whoever does not mind company.
    _lock: Option<File>,
}

impl SqliteStore {
    /// Opens the file, makes it if there is none, and brings it to this version's schema. Waits for the disk.
    ///
    /// # Errors
    /// When the file can't be opened or written, was written by a newer Miroir, or another one has it open.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        files::keep_private(path)?;
        let lock = lock(path)?;
        Self::open_with(path, Some(lock))
    }

    /// Opens the file as [`open`](Self::open) does, whoever else has it open. Steps are safe for that (see
    /// [`Store`](crate::Store)); a Miroir is not, since nobody tells it of the other's steps. For tests of that.
    ///
    /// # Errors
    /// As for [`open`](Self::open), but for the last one.
    pub fn open_unlocked(path: &Path) -> Result<Self, StoreError> {
        files::keep_private(path)?;
        Self::open_with(path, None)
    }

    fn open_with(path: &Path, lock: Option<File>) -> Result<Self, StoreError> {
        let mut connection = Connection::open(path)?;
        connection.busy_timeout(BUSY)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        schema::migrate(&mut connection, path)?;
        Ok(Self { writer: Writer::start(connection)?, readers: Readers::new(path.to_owned()), _lock: lock })
    }

    /// Reads whose store this file is without opening it for work: another Miroir may be working with it. Nothing is made or
    /// changed. None if there is no file. Waits for the disk.
    ///
    /// # Errors
    /// When the file can't be read, or is no store.
    pub fn peek(path: &Path) -> Result<Option<StoreIdentity>, StoreError> {
        identity::peek(path)
    }
}

/// Keeps other Miroirs from the database; two would deliver every write twice. A lock file beside it, since the engine's
/// own locks are for single transactions.
fn lock(path: &Path) -> Result<File, StoreError> {
    let failed = |error: std::io::Error| StoreError::Engine {
        message: format!("can't lock `{}`: {error}", path.display()),
        advice: LOOK_AT_THE_DISK,
    };
    let file = files::create(&files::lock_of(path)).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::InUse { place: path.display().to_string() }),
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}
