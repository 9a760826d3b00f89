//! Questions about tasks and their answer.

use serde::Serialize;
use time::OffsetDateTime;

use super::{Task, TaskKind, TaskStatus};
use crate::ids::{IndexUid, TaskUid};
use crate::keys::UidPattern;

/// Which tasks a client wants to see: everything that `GET /tasks` can filter by. `None` means any.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TaskFilter {
    /// These tasks.
    pub uids: Option<Vec<TaskUid>>,
    /// Tasks of these batches.
    pub batch_uids: Option<Vec<u64>>,
    /// Tasks that one of these canceled.
    pub canceled_by: Option<Vec<TaskUid>>,
    /// Tasks of these statuses.
    pub statuses: Option<Vec<TaskStatus>>,
    /// Tasks of these types.
    pub types: Option<Vec<TaskKind>>,
    /// Tasks about these indexes.
    pub index_uids: Option<Vec<IndexUid>>,
    /// Accepted before.
    pub before_enqueued_at: Option<OffsetDateTime>,
    /// Accepted after.
    pub after_enqueued_at: Option<OffsetDateTime>,
    /// Begun before.
    pub before_started_at: Option<OffsetDateTime>,
    /// Begun after.
    pub after_started_at: Option<OffsetDateTime>,
    /// Ended before.
    pub before_finished_at: Option<OffsetDateTime>,
    /// Ended after.
    pub after_finished_at: Option<OffsetDateTime>,
    /// Of those, only tasks about indexes that the caller's key is for. As on Meilisearch, the others are counted in the
    /// total, and take their places on the pages.
    pub visible: Option<Vec<UidPattern>>,
}

/// Which part of the tasks found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TaskPage {
    /// At most so many.
    pub limit: u32,
    /// Beginning with this one.
    pub from: Option<TaskUid>,
    /// Oldest first.
    pub reverse: bool,
}

impl Default for TaskPage {
    fn default() -> Self {
        Self { limit: 20, from: None, reverse: false }
    }
}

/// The answer of `GET /tasks`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TaskList {
    /// The tasks, newest first unless asked otherwise.
    pub results: Vec<Task>,
    /// How many tasks match, on this page or not, visible or not.
    pub total: u64,
    /// The limit asked for.
    pub limit: u32,
    /// The first task of this page.
    pub from: Option<TaskUid>,
    /// The first task of the next page.
    pub next: Option<TaskUid>,
}
