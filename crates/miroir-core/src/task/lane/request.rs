//! What a lane has to know of a request: how it is found in a node's queue, and what doing it twice means.

use serde_json::Value;

use crate::ids::{PhysicalUid, TaskUid};
use crate::task::Op;

/// How every mark begins.
const MARK: &str = "miroir:";

/// The mark by which a request is found again in a node's queue: which log, which entry, which of its requests.
pub fn mark(log_id: &str, entry: TaskUid, op: usize) -> String {
    format!("{MARK}{log_id}:{entry}:{op}")
}

/// Whether a task's `customMetadata` is such a mark.
pub fn is_mark(metadata: &Value) -> bool {
    metadata.as_str().is_some_and(|metadata| metadata.starts_with(MARK))
}

/// One request to a node, as a lane sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaneRequest {
    /// The index that it is about, as the node calls it.
    pub index: PhysicalUid,
    /// How it is told from others.
    pub identity: Identity,
    /// Whether doing it twice in a row is the same as doing it once.
    pub is_repeatable: bool,
}

/// How a request is told from all others in a node's queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// By its mark.
    Mark(String),
    /// By the type of its task and its index, in the order in which a lane sends.
    Kind(&'static str),
}

impl LaneRequest {
    /// The request for `op`, which carries `mark` if its route takes one.
    pub fn new(op: &Op<'_>, index: PhysicalUid, mark: String) -> Self {
        let identity = if is_marked(op) { Identity::Mark(mark) } else { Identity::Kind(task_type(op)) };
        Self { index, identity, is_repeatable: !matches!(op, Op::EditDocuments { .. }) }
    }

    /// Whether it changes settings: such a request waits for its wave, and others may send a node the like.
    pub fn is_settings(&self) -> bool {
        self.identity == Identity::Kind(SETTINGS)
    }

    /// Whether this task of a node is the request, by all that can be seen of it.
    pub(super) fn is_task(&self, task: &Value) -> bool {
        match &self.identity {
            Identity::Mark(mark) => task["customMetadata"] == mark.as_str(),
            Identity::Kind(kind) => task["indexUid"] == self.index.as_str() && task["type"] == *kind,
        }
    }
}

/// The type of a task that changes settings.
const SETTINGS: &str = "settingsUpdate";

/// Whether the node keeps the mark of such a request: only the routes of documents and of rules take one.
const fn is_marked(op: &Op<'_>) -> bool {
    match op {
        Op::AddDocuments { .. }
        | Op::DeleteByIds { .. }
        | Op::DeleteByFilter { .. }
        | Op::EditDocuments { .. }
        | Op::Clear
        | Op::PutRule { .. }
        | Op::DeleteRule { .. }
        | Op::ClearRules => true,
        Op::CreateIndex { .. } | Op::UpdateIndex { .. } | Op::DeleteIndex | Op::Settings { .. } => false,
    }
}

/// The type of a node's task for such a request, as `/tasks` shows it.
const fn task_type(op: &Op<'_>) -> &'static str {
    match op {
        Op::CreateIndex { .. } => "indexCreation",
        Op::UpdateIndex { .. } => "indexUpdate",
        Op::DeleteIndex => "indexDeletion",
        Op::Settings { .. } => SETTINGS,
        Op::AddDocuments { .. } => "documentAdditionOrUpdate",
        Op::DeleteByIds { .. } | Op::DeleteByFilter { .. } | Op::Clear => "documentDeletion",
        Op::EditDocuments { .. } => "documentEdition",
        Op::PutRule { .. } | Op::DeleteRule { .. } => "dsrUpdate",
        Op::ClearRules => "dsrClear",
    }
}

/// Whether only a lane sends such a task.
pub(super) fn is_of_lane(task: &Value) -> bool {
    is_mark(&task["customMetadata"])
        || matches!(task["type"].as_str(), Some("indexCreation" | "indexUpdate" | "indexDeletion"))
}
