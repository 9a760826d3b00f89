//! Between Rust and columns.

use std::collections::BTreeSet;

use miroir_core::ids::{IndexUid, NodeId, PhysicalUid, TaskUid};
use miroir_core::task::{LogEntry, SyncState, Task, TaskKind, TaskStatus};
use miroir_core::view::IndexEntry;
use rusqlite::Row;
use serde::Serialize;
use serde::de::DeserializeOwned;
use time::OffsetDateTime;

use crate::{CaughtUp, NodeRecord, NodeTask, StoreError, Work};

/// A number as a column holds it.
pub(super) fn big(number: u64) -> i64 {
    i64::try_from(number).expect("numbers of tasks and documents stay far below 2^63")
}

fn unsigned(number: i64) -> Result<u64, StoreError> {
    u64::try_from(number).map_err(|_| StoreError::Corrupt(format!("{number} where no number is below 0")))
}

pub(super) fn task_uid(number: i64) -> Result<TaskUid, StoreError> {
    Ok(TaskUid(unsigned(number)?))
}

/// Nanoseconds since 1970; a date that is out of range (a client may filter by any) becomes the nearest.
pub(super) fn nanoseconds(date: OffsetDateTime) -> i64 {
    let exact = date.unix_timestamp_nanos();
    i64::try_from(exact).unwrap_or(if exact < 0 { i64::MIN } else { i64::MAX })
}

pub(super) fn date(nanoseconds: i64) -> Result<OffsetDateTime, StoreError> {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(nanoseconds))
        .map_err(|error| StoreError::Corrupt(error.to_string()))
}

pub(super) fn json(value: &impl Serialize) -> Result<String, StoreError> {
    Ok(serde_json::to_string(value)?)
}

pub(super) fn parsed<T: DeserializeOwned>(row: &Row<'_>, column: &str) -> Result<T, StoreError> {
    let text: String = row.get(column)?;
    Ok(serde_json::from_str(&text)?)
}

pub(super) fn parsed_if_there<T: DeserializeOwned>(
    row: &Row<'_>,
    column: &str,
) -> Result<Option<T>, StoreError> {
    let text: Option<String> = row.get(column)?;
    Ok(text.as_deref().map(serde_json::from_str).transpose()?)
}

fn named<T>(row: &Row<'_>, column: &str, find: impl Fn(&str) -> Option<T>) -> Result<T, StoreError> {
    let name: String = row.get(column)?;
    find(&name).ok_or_else(|| StoreError::Corrupt(format!("unknown {column} `{name}`")))
}

fn date_if_there(row: &Row<'_>, column: &str) -> Result<Option<OffsetDateTime>, StoreError> {
    row.get::<_, Option<i64>>(column)?.map(date).transpose()
}

/// The name of no index for an entry about several.
fn index_uid(row: &Row<'_>) -> Result<IndexUid, StoreError> {
    Ok(IndexUid::new(row.get::<_, Option<String>>("index_uid")?.unwrap_or_default()))
}

pub(super) const TASK: &str = "uid, index_uid, kind, status, canceled_by, details, error, enqueued_at, started_at, \
                               finished_at, custom_metadata";

pub(super) fn task(row: &Row<'_>) -> Result<Task, StoreError> {
    Ok(Task {
        uid: task_uid(row.get("uid")?)?,
        index_uid: row.get::<_, Option<String>>("index_uid")?.map(IndexUid::new),
        status: named(row, "status", TaskStatus::from_name)?,
        kind: named(row, "kind", TaskKind::from_name)?,
        canceled_by: row.get::<_, Option<i64>>("canceled_by")?.map(task_uid).transpose()?,
        details: parsed_if_there(row, "details")?,
        error: parsed_if_there(row, "error")?,
        enqueued_at: date(row.get("enqueued_at")?)?,
        started_at: date_if_there(row, "started_at")?,
        finished_at: date_if_there(row, "finished_at")?,
        custom_metadata: row.get("custom_metadata")?,
    })
}

pub(super) const ENTRY: &str =
    "entries.task_uid, entries.mutation, entries.decision, tasks.index_uid, tasks.enqueued_at, tasks.status";

pub(super) fn entry(row: &Row<'_>) -> Result<LogEntry, StoreError> {
    Ok(LogEntry {
        uid: task_uid(row.get("task_uid")?)?,
        index_uid: index_uid(row)?,
        mutation: parsed(row, "mutation")?,
        enqueued_at: date(row.get("enqueued_at")?)?,
    })
}

pub(super) fn work(row: &Row<'_>) -> Result<Work, StoreError> {
    Ok(Work {
        entry: entry(row)?,
        decision: parsed(row, "decision")?,
        status: named(row, "status", TaskStatus::from_name)?,
    })
}

pub(super) fn node(row: &Row<'_>) -> Result<NodeRecord, StoreError> {
    Ok(NodeRecord {
        id: NodeId::new(row.get::<_, String>("id")?),
        sync: named(row, "sync", SyncState::from_name)?,
        cursor: task_uid(row.get("next_undelivered")?)?,
        ahead: row.get::<_, Option<i64>>("sent_ahead")?.map(task_uid).transpose()?,
        // They stand in a table of their own.
        covered: BTreeSet::new(),
        next_node_task: row.get::<_, Option<i64>>("next_node_task")?.map(unsigned).transpose()?,
    })
}

pub(super) fn caught_up(row: &Row<'_>) -> Result<CaughtUp, StoreError> {
    Ok(CaughtUp {
        index: PhysicalUid::new(row.get::<_, String>("index_uid")?),
        line: task_uid(row.get("line")?)?,
        next_node_task: unsigned(row.get("next_node_task")?)?,
    })
}

pub(super) fn node_task(row: &Row<'_>) -> Result<NodeTask, StoreError> {
    let op = unsigned(row.get("op")?)?;
    Ok(NodeTask {
        node: NodeId::new(row.get::<_, String>("node_id")?),
        task: task_uid(row.get("task_uid")?)?,
        op: usize::try_from(op).map_err(|error| StoreError::Corrupt(error.to_string()))?,
        node_task: row.get::<_, Option<i64>>("node_task_uid")?.map(unsigned).transpose()?,
        result: parsed_if_there(row, "result")?,
    })
}

pub(super) fn index(row: &Row<'_>) -> Result<IndexEntry, StoreError> {
    let placement: miroir_core::placement::IndexPlacement = parsed(row, "placement")?;
    Ok(IndexEntry {
        uid: IndexUid::new(row.get::<_, String>("uid")?),
        physical: PhysicalUid::new(row.get::<_, String>("physical_uid")?),
        primary_key: row.get("primary_key")?,
        shards: placement.shard_count(),
        placement,
        settings: parsed(row, "settings")?,
        created_at: date(row.get("created_at")?)?,
        updated_at: date(row.get("updated_at")?)?,
    })
}
