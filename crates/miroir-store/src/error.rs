//! What can go wrong with the store, by what a caller can do about it. Each engine says which of its own errors is which.

use miroir_core::ids::Epoch;
use thiserror::Error;

/// Why the store did not do what it was asked. Nothing of the step is kept, except where [`StoreError::Unknown`] says that
/// nobody knows.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum StoreError {
    /// A newer Miroir wrote the database. Nothing was touched.
    #[error(
        "the database `{place}` has schema version {found}, written by a newer Miroir; this one knows versions up to \
         {known}. Use that Miroir, or another data directory"
    )]
    NewerSchema {
        /// Where the database is, as the operator knows it.
        place: String,
        /// Its version.
        found: usize,
        /// The newest version that this Miroir knows.
        known: usize,
    },
    /// Another Miroir has the database open.
    #[error("another Miroir uses the database `{place}`: stop it, or give this one another data directory")]
    InUse {
        /// Where the database is, as the operator knows it.
        place: String,
    },
    /// No room is left for it.
    #[error("no space is left on the disk of the state store: free some, and send the write again")]
    Full,
    /// Somebody else holds the database for longer than the engine waits: a backup, a shell.
    #[error("the state store is held by somebody else, a backup or a shell, for too long: try again")]
    Busy,
    /// The step was taken in an epoch that is over: another process has begun one since, and takes the steps from now on.
    #[error(
        "another Miroir works with this task store: it began epoch {current}, and this one works in epoch {epoch}. Stop \
         one of the two; what was accepted is kept"
    )]
    Superseded {
        /// The epoch of the step.
        epoch: Epoch,
        /// The epoch that the store is in.
        current: Epoch,
    },
    /// What the step rests on is not true: somebody else has changed it.
    #[error(
        "{what} is {found} in the task store, where this Miroir expected {expected}: another one has changed it. If two work \
         with this store, stop one, and start the other again; what was accepted is kept"
    )]
    Conflict {
        /// What the step rests on.
        what: String,
        /// What the caller took it for.
        expected: String,
        /// What it is.
        found: String,
    },
    /// Nobody knows whether the step was kept: the connection was lost before its answer came, say. Every step can be
    /// repeated, and is kept once.
    #[error("the state store did not say whether it kept this; it may have: {0}")]
    Unknown(String),
    /// The engine failed: file gone, no right to write, a disk that fails.
    #[error("the state store failed: {message}. {advice}")]
    Engine {
        /// The engine's own words.
        message: String,
        /// What whoever runs Miroir can do about it: a sentence.
        advice: &'static str,
    },
    /// What lies in the database is not what this Miroir wrote.
    #[error("the state store holds something unreadable: {0}")]
    Corrupt(String),
    /// The store is being closed.
    #[error("the state store is closed")]
    Closed,
}

impl StoreError {
    /// Work of the store's own that broke off: a fault of the program, not of the disk.
    pub fn broken_off(error: impl std::error::Error) -> Self {
        Self::Engine {
            message: error.to_string(),
            advice: "Look at the log for what broke off, and restart Miroir",
        }
    }

    /// Whether the same step can end in another way when it is taken again. Where it can't, somebody else has changed what
    /// the step rests on, and the caller has to look again or to stop.
    pub const fn may_pass(&self) -> bool {
        match self {
            Self::NewerSchema { .. }
            | Self::InUse { .. }
            | Self::Superseded { .. }
            | Self::Conflict { .. } => false,
            Self::Full
            | Self::Busy
            | Self::Unknown(_)
            | Self::Engine { .. }
            | Self::Corrupt(_)
            | Self::Closed => true,
        }
    }
}

impl From<serde_json::Error> for StoreError {
    fn from(error: serde_json::Error) -> Self {
        Self::Corrupt(error.to_string())
    }
}
