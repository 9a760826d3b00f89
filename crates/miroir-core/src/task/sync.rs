//! Whether a node holds everything that clients were told has succeeded:
//!
//! ```text
//!             LeftBehind                FailedAlone, DataLost
//!  in sync -----------------> behind ---------------------> damaged
//!   ^ ^ \                     |   ^                          ^   |
//!   | |  \--FailedAlone,------+---+--------------------------/   |
//!   | |     DataLost          |   \------Rebuilt, Restored--------/
//!   | \-------CaughtUp--------/
//! ```
//!
//! A node that is behind gets the writes that it misses and catches up by itself. A damaged node refused a write that
//! others took, or lost what it had: no later write brings that back, so it stays out until its data are copied anew, or
//! what it had is there again.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a node's data are worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SyncState {
    /// It has everything that clients were told has succeeded: it may be read.
    InSync,
    /// Some task succeeded without it.
    Behind,
    /// It lost a write for good.
    Damaged,
}

/// What can happen to a node's data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyncEvent {
    /// A task succeeded without it.
    LeftBehind,
    /// It has done everything that succeeded without it.
    CaughtUp,
    /// It failed a task that others did, or did one that failed.
    FailedAlone,
    /// It no longer has what it had: its disk was lost, or an older state of it came back.
    DataLost,
    /// Its data were copied anew from its peers, up to some place in the log.
    Rebuilt,
    /// What it had is there again, or it is taken as it is: it goes on where it was.
    Restored,
}

impl SyncState {
    /// Every state there is.
    pub const ALL: &[Self] = &[Self::InSync, Self::Behind, Self::Damaged];

    /// The state after `event`; the same one where the event changes nothing.
    #[must_use]
    pub const fn next(self, event: SyncEvent) -> Self {
        match (self, event) {
            (Self::Behind, SyncEvent::LeftBehind | SyncEvent::Rebuilt | SyncEvent::Restored)
            | (Self::InSync, SyncEvent::LeftBehind)
            | (Self::Damaged, SyncEvent::Rebuilt | SyncEvent::Restored) => Self::Behind,
            (Self::InSync | Self::Behind, SyncEvent::CaughtUp)
            | (Self::InSync, SyncEvent::Rebuilt | SyncEvent::Restored) => Self::InSync,
            (Self::InSync | Self::Behind, SyncEvent::FailedAlone | SyncEvent::DataLost)
            | (
                Self::Damaged,
                SyncEvent::LeftBehind | SyncEvent::CaughtUp | SyncEvent::FailedAlone | SyncEvent::DataLost,
            ) => Self::Damaged,
        }
    }

    /// The name in the store and in the log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InSync => "inSync",
            Self::Behind => "behind",
            Self::Damaged => "damaged",
        }
    }

    /// The state of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|state| state.as_str() == name)
    }
}

impl fmt::Display for SyncState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
