//! A task: what was asked, how far it got and how it ended, in the words of Meilisearch's task object.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::error::ApiError;

/// The place of a task in the queue; counts from 0.
pub type TaskUid = u64;

/// Where a task is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Status {
    Enqueued,
    Processing,
    Succeeded,
    Failed,
    Canceled,
}

impl Status {
    pub const ALL: [Self; 5] =
        [Self::Enqueued, Self::Processing, Self::Succeeded, Self::Failed, Self::Canceled];

    /// The name clients see.
    pub fn name(self) -> &'static str {
        match self {
            Self::Enqueued => "enqueued",
            Self::Processing => "processing",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
        }
    }

    /// The status of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.name() == name)
    }

    /// Whether nothing will happen to the task any more.
    pub fn is_final(self) -> bool {
        !matches!(self, Self::Enqueued | Self::Processing)
    }
}

/// The names of task types that filters accept; only those that [`Operation::kind`] gives ever occur here.
pub const KINDS: [&str; 18] = [
    "documentAdditionOrUpdate",
    "documentEdition",
    "documentDeletion",
    "settingsUpdate",
    "indexCreation",
    "indexDeletion",
    "indexUpdate",
    "indexSwap",
    "taskCancelation",
    "taskDeletion",
    "dumpCreation",
    "snapshotCreation",
    "export",
    "upgradeDatabase",
    "indexCompaction",
    "networkTopologyChange",
    "dsrUpdate",
    "dsrClear",
];

/// Whether documents of an import replace or are merged into those with the same id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ImportMethod {
    Replace,
    Merge,
}

/// One exchange of two index names, or a renaming.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Swap {
    pub indexes: (String, String),
    pub rename: bool,
}

/// What a task does. Documents of an import are kept beside it, since they may be large.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Operation {
    CreateIndex {
        primary_key: Option<String>,
    },
    UpdateIndex {
        primary_key: Option<String>,
        new_uid: Option<String>,
    },
    DeleteIndex,
    SwapIndexes {
        swaps: Vec<Swap>,
    },
    /// Keys as the client sent them; `null` resets.
    UpdateSettings {
        patch: Map<String, Value>,
        is_deletion: bool,
    },
    ImportDocuments {
        method: ImportMethod,
        primary_key: Option<String>,
        received: u64,
        skip_creation: bool,
    },
    DeleteDocuments {
        ids: Vec<String>,
    },
    DeleteDocumentsByFilter {
        filter: Value,
    },
    ClearDocuments,
    CancelTasks {
        tasks: Vec<TaskUid>,
        query: String,
    },
    DeleteTasks {
        tasks: Vec<TaskUid>,
        query: String,
    },
}

impl Operation {
    /// The task type clients see.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::CreateIndex { .. } => "indexCreation",
            Self::UpdateIndex { .. } => "indexUpdate",
            Self::DeleteIndex => "indexDeletion",
            Self::SwapIndexes { .. } => "indexSwap",
            Self::UpdateSettings { .. } => "settingsUpdate",
            Self::ImportDocuments { .. } => "documentAdditionOrUpdate",
            Self::DeleteDocuments { .. } | Self::DeleteDocumentsByFilter { .. } | Self::ClearDocuments => {
                "documentDeletion"
            }
            Self::CancelTasks { .. } => "taskCancelation",
            Self::DeleteTasks { .. } => "taskDeletion",
        }
    }

    /// The details of the task before it ran.
    pub fn details(&self, index_uid: Option<&str>) -> Value {
        match self {
            Self::CreateIndex { primary_key } => json!({ "primaryKey": primary_key }),
            Self::UpdateIndex { primary_key, new_uid } => {
                let mut details = json!({ "primaryKey": primary_key });
                if new_uid.is_some() {
                    details["oldIndexUid"] = json!(index_uid);
                    details["newIndexUid"] = json!(new_uid);
                }
                details
            }
            Self::SwapIndexes { swaps } => json!({ "swaps": swaps }),
            Self::UpdateSettings { patch, .. } => Value::Object(settings_details(patch)),
            Self::ImportDocuments { received, .. } => {
                json!({ "receivedDocuments": received, "indexedDocuments": null })
            }
            Self::DeleteDocuments { ids } => {
                json!({ "providedIds": ids.len(), "deletedDocuments": null, "originalFilter": null })
            }
            Self::DeleteDocumentsByFilter { filter } => json!({
                "providedIds": 0,
                "deletedDocuments": null,
                "originalFilter": filter.to_string(),
            }),
            Self::DeleteIndex | Self::ClearDocuments => json!({ "deletedDocuments": null }),
            Self::CancelTasks { tasks, query } => {
                json!({ "matchedTasks": tasks.len(), "canceledTasks": null, "originalFilter": query })
            }
            Self::DeleteTasks { tasks, query } => {
                json!({ "matchedTasks": tasks.len(), "deletedTasks": null, "originalFilter": query })
            }
        }
    }
}

/// What was sent, with secrets masked; resetting the two lists that default to everything shows that default.
fn settings_details(patch: &Map<String, Value>) -> Map<String, Value> {
    let mut details = patch.clone();
    for list in ["displayedAttributes", "searchableAttributes"] {
        if details.get(list).is_some_and(Value::is_null) {
            details.insert(list.to_owned(), json!(["*"]));
        }
    }
    if let Some(embedders) = details.get_mut("embedders") {
        crate::engine::settings::mask_secrets(embedders);
    }
    details
}

/// One entry of the queue.
#[derive(Debug, Clone, PartialEq)]
pub struct Task {
    pub uid: TaskUid,
    pub batch_uid: Option<u64>,
    pub index_uid: Option<String>,
    pub status: Status,
    pub operation: Operation,
    pub canceled_by: Option<TaskUid>,
    pub details: Value,
    pub error: Option<ApiError>,
    pub enqueued_at: OffsetDateTime,
    pub started_at: Option<OffsetDateTime>,
    pub finished_at: Option<OffsetDateTime>,
    pub custom_metadata: Option<String>,
}

impl Task {
    /// The short form that answers a write.
    pub fn summary(&self) -> Value {
        let mut summary = json!({
            "taskUid": self.uid,
            "indexUid": self.index_uid,
            "status": self.status,
            "type": self.operation.kind(),
            "enqueuedAt": show_time(self.enqueued_at),
        });
        self.add_metadata(&mut summary);
        summary
    }

    /// The form of `GET /tasks/{uid}`.
    pub fn view(&self) -> Value {
        let duration = self.started_at.zip(self.finished_at).map(|(start, end)| show_duration(end - start));
        let mut view = json!({
            "uid": self.uid,
            "batchUid": self.batch_uid,
            "indexUid": self.index_uid,
            "status": self.status,
            "type": self.operation.kind(),
            "canceledBy": self.canceled_by,
            "details": self.details,
            "error": self.error,
            "duration": duration,
            "enqueuedAt": show_time(self.enqueued_at),
            "startedAt": self.started_at.map(show_time),
            "finishedAt": self.finished_at.map(show_time),
        });
        self.add_metadata(&mut view);
        view
    }

    fn add_metadata(&self, view: &mut Value) {
        if let Some(metadata) = &self.custom_metadata {
            view["customMetadata"] = json!(metadata);
        }
    }
}

/// A time as RFC 3339; years outside 0..=9999 cannot come from a clock.
pub fn show_time(time: OffsetDateTime) -> String {
    time.format(&Rfc3339).expect("a clock's time has a four-digit year")
}

/// ISO 8601, in seconds with their fraction.
fn show_duration(duration: time::Duration) -> String {
    let seconds = duration.whole_seconds();
    let nanoseconds = duration.subsec_nanoseconds();
    if nanoseconds == 0 {
        return format!("PT{seconds}S");
    }
    let fraction = format!("{nanoseconds:09}");
    format!("PT{seconds}.{}S", fraction.trim_end_matches('0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_iso_8601_seconds() {
        assert_eq!(show_duration(time::Duration::milliseconds(12)), "PT0.012S");
        assert_eq!(show_duration(time::Duration::seconds(75)), "PT75S");
    }

    #[test]
    fn resetting_the_displayed_list_shows_its_default_in_the_details() {
        let patch = json!({ "displayedAttributes": null, "stopWords": null });
        let operation = Operation::UpdateSettings {
            patch: patch.as_object().cloned().unwrap_or_default(),
            is_deletion: false,
        };
        assert_eq!(operation.details(None), json!({ "displayedAttributes": ["*"], "stopWords": null }));
    }

    #[test]
    fn every_status_is_found_by_its_name() {
        for status in Status::ALL {
            assert_eq!(Status::parse(status.name()), Some(status));
        }
        assert_eq!(Status::parse("done"), None);
    }
}
