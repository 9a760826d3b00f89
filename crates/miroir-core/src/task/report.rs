//! A task as the tasks API shows it, field by field as Meilisearch 1.50 prints it.

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};

use super::{TaskKind, TaskStatus};
use crate::error::ResponseError;
use crate::ids::{IndexUid, TaskUid};

/// One task with all that clients may know of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Task {
    /// Its place in the log.
    pub uid: TaskUid,
    /// The index that it is about; none for tasks about no index or several.
    pub index_uid: Option<IndexUid>,
    /// Where it stands.
    pub status: TaskStatus,
    /// What it does.
    pub kind: TaskKind,
    /// The task that canceled it.
    pub canceled_by: Option<TaskUid>,
    /// Numbers and parameters that depend on the kind.
    pub details: Option<Map<String, Value>>,
    /// Why it failed.
    pub error: Option<ResponseError>,
    /// When it was accepted.
    pub enqueued_at: OffsetDateTime,
    /// When the first node got a part of it.
    pub started_at: Option<OffsetDateTime>,
    /// When its status became final.
    pub finished_at: Option<OffsetDateTime>,
    /// The client's own text.
    pub custom_metadata: Option<String>,
}

impl Task {
    /// The batch that worked on it, none before the work began. Miroir makes one batch of each task and gives it the
    /// task's number: that is stable, and one Meilisearch promises nothing about which tasks share a batch.
    pub fn batch_uid(&self) -> Option<u64> {
        self.started_at.map(|_| self.uid.0)
    }

    /// The answer to the request that made the task.
    pub fn summary(&self) -> TaskSummary {
        TaskSummary {
            task_uid: self.uid,
            index_uid: self.index_uid.clone(),
            status: self.status,
            kind: self.kind,
            enqueued_at: self.enqueued_at,
            custom_metadata: self.custom_metadata.clone(),
        }
    }
}

impl Serialize for Task {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let duration = self.started_at.zip(self.finished_at).map(|(start, end)| iso_8601(end - start));
        let mut task = serializer.serialize_struct("Task", 13)?;
        task.serialize_field("uid", &self.uid)?;
        task.serialize_field("batchUid", &self.batch_uid())?;
        task.serialize_field("indexUid", &self.index_uid)?;
        task.serialize_field("status", &self.status)?;
        task.serialize_field("type", &self.kind)?;
        task.serialize_field("canceledBy", &self.canceled_by)?;
        match &self.details {
            Some(details) if !(details.is_empty() && self.kind == TaskKind::SnapshotCreation) => {
                task.serialize_field("details", details)?;
            }
            _ => task.skip_field("details")?,
        }
        task.serialize_field("error", &self.error)?;
        task.serialize_field("duration", &duration)?;
        task.serialize_field("enqueuedAt", &rfc_3339::<S>(self.enqueued_at)?)?;
        task.serialize_field("startedAt", &self.started_at.map(rfc_3339::<S>).transpose()?)?;
        task.serialize_field("finishedAt", &self.finished_at.map(rfc_3339::<S>).transpose()?)?;
        match &self.custom_metadata {
            Some(metadata) => task.serialize_field("customMetadata", metadata)?,
            None => task.skip_field("customMetadata")?,
        }
        task.end()
    }
}

/// What a client learns of a task in the answer to its write.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskSummary {
    /// Its place in the log.
    pub task_uid: TaskUid,
    /// The index that it is about.
    pub index_uid: Option<IndexUid>,
    /// Where it stands: enqueued.
    pub status: TaskStatus,
    /// What it does.
    #[serde(rename = "type")]
    pub kind: TaskKind,
    /// When it was accepted.
    #[serde(with = "time::serde::rfc3339")]
    pub enqueued_at: OffsetDateTime,
    /// The client's own text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub custom_metadata: Option<String>,
}

fn rfc_3339<S: Serializer>(date: OffsetDateTime) -> Result<String, S::Error> {
    date.format(&Rfc3339).map_err(serde::ser::Error::custom)
}

/// `PT0.012S`: whole days apart, the fraction in as many groups of three digits as it needs. A clock that went back
/// between the two dates gives no time at all.
fn iso_8601(duration: Duration) -> String {
    let duration = duration.max(Duration::ZERO);
    let days = duration.whole_days();
    let seconds = duration.whole_seconds() - days * Duration::DAY.whole_seconds();
    let nanoseconds = duration.subsec_nanoseconds();
    let date = if days == 0 { String::new() } else { format!("{days}D") };
    let fraction = match nanoseconds {
        0 => String::new(),
        n if n % 1_000_000 == 0 => format!(".{:03}", n / 1_000_000),
        n if n % 1_000 == 0 => format!(".{:06}", n / 1_000),
        n => format!(".{n:09}"),
    };
    let time = if seconds == 0 && nanoseconds == 0 && days != 0 {
        String::new()
    } else {
        format!("T{seconds}{fraction}S")
    };
    format!("P{date}{time}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_printed_as_meilisearch_does() {
        let printed: Vec<_> = [
            Duration::ZERO,
            Duration::milliseconds(12),
            Duration::new(3, 4_500),
            Duration::new(61, 7),
            Duration::days(2),
            Duration::days(1) + Duration::seconds(5),
            Duration::seconds(-1),
        ]
        .map(iso_8601)
        .into();
        let expected = ["PT0S", "PT0.012S", "PT3.000004500S", "PT61.000000007S", "P2D", "P1DT5S", "PT0S"];
        assert_eq!(printed, expected);
    }
}
