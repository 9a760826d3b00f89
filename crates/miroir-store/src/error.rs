//! What can go wrong with the store.

use std::path::PathBuf;

use thiserror::Error;

/// Why the store did not do what it was asked. Nothing of the step is kept.
#[derive(Debug, Clone, Error)]
pub enum StoreError {
    /// A newer Miroir wrote the database. Nothing was touched.
    #[error(
        "the database `{path}` has schema version {found}, written by a newer Miroir; this one knows versions up to \
         {known}. Use that Miroir, or another data directory"
    )]
    NewerSchema {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: usize,
        /// The newest version that this Miroir knows.
        known: usize,
    },
    /// Another Miroir has the database open.
    #[error("another Miroir uses the database `{path}`: stop it, or give this one another data directory")]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// No room is left for it.
    #[error("no space is left on the disk of the state store: free some, and send the write again")]
    Full,
    /// The engine failed: file gone, a damaged database.
    #[error("the state store failed: {0}")]
    Engine(String),
    /// What lies in the database is not what this Miroir wrote.
    #[error("the state store holds something unreadable: {0}")]
    Corrupt(String),
    /// The store is being closed.
    #[error("the state store is closed")]
    Closed,
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DiskFull) => Self::Full,
            _ => Self::Engine(error.to_string()),
        }
    }
}

impl From<serde_json::Error> for StoreError {
    fn from(error: serde_json::Error) -> Self {
        Self::Corrupt(error.to_string())
    }
}
