//! The life of a task:
//!
//! ```text
//! enqueued --Delivered--> processing --Succeeded--> succeeded
//!    |  \                     |    \---Failed-----> failed
//!    |   \---Failed/Succeeded-+--------------------> (the same ends: a write that no node hears of)
//!    +--------Canceled--------+-------------------> canceled
//! ```
//!
//! The three on the right are final.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Where a task stands, as clients see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum TaskStatus {
    /// Accepted and durable; no node has heard of it.
    Enqueued,
    /// At least one node has got a part of it.
    Processing,
    /// Applied, and visible to every later search.
    Succeeded,
    /// Refused as a whole, by Miroir or by the nodes.
    Failed,
    /// Taken back by a later task before it was applied.
    Canceled,
}

/// What can happen to a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskEvent {
    /// The first node has accepted a part of it.
    Delivered,
    /// Every in-sync replica that it touches has applied it.
    Succeeded,
    /// It was refused.
    Failed,
    /// A cancelation reached it.
    Canceled,
}

impl TaskStatus {
    /// Every status there is.
    pub const ALL: &[Self] =
        &[Self::Enqueued, Self::Processing, Self::Succeeded, Self::Failed, Self::Canceled];

    /// The status after `event`; `None` where the event can't change anything any more.
    #[must_use]
    pub const fn next(self, event: TaskEvent) -> Option<Self> {
        match (self, event) {
            (Self::Enqueued, TaskEvent::Delivered) => Some(Self::Processing),
            (Self::Enqueued | Self::Processing, TaskEvent::Succeeded) => Some(Self::Succeeded),
            (Self::Enqueued | Self::Processing, TaskEvent::Failed) => Some(Self::Failed),
            (Self::Enqueued | Self::Processing, TaskEvent::Canceled) => Some(Self::Canceled),
            (Self::Processing, TaskEvent::Delivered)
            | (Self::Succeeded | Self::Failed | Self::Canceled, _) => None,
        }
    }

    /// Whether nothing can change it any more.
    pub const fn is_finished(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Canceled)
    }

    /// The name that clients see.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Enqueued => "enqueued",
            Self::Processing => "processing",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
        }
    }

    /// The status of this name, in whatever case, as Meilisearch reads it.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|status| status.as_str().eq_ignore_ascii_case(name))
    }
}

impl fmt::Display for TaskStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
