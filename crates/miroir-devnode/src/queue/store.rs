//! Tasks and the list of indexes, in one `SQLite` file, so that a task and what it does to the list of indexes become
//! durable together. Every change is synced to disk before it is answered.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};

use rusqlite::{Connection, OptionalExtension, Row, Transaction, params, params_from_iter};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;

use super::filter::TaskFilter;
use super::task::{Operation, Status, Task, TaskUid};
use crate::error::{ApiError, Result};

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS counters (name TEXT PRIMARY KEY, next INTEGER NOT NULL);
    INSERT OR IGNORE INTO counters VALUES ('task', 0), ('batch', 0);
    CREATE TABLE IF NOT EXISTS tasks (
        uid INTEGER PRIMARY KEY, batch_uid INTEGER, index_uid TEXT, status TEXT NOT NULL, kind TEXT NOT NULL,
        canceled_by INTEGER, operation TEXT NOT NULL, details TEXT NOT NULL, error TEXT,
        enqueued_at INTEGER NOT NULL, started_at INTEGER, finished_at INTEGER, custom_metadata TEXT
    );
    CREATE INDEX IF NOT EXISTS tasks_by_status ON tasks (status, uid);
    CREATE TABLE IF NOT EXISTS payloads (task_uid INTEGER PRIMARY KEY, body BLOB NOT NULL);
    CREATE TABLE IF NOT EXISTS indexes (
        uid TEXT PRIMARY KEY, folder TEXT NOT NULL UNIQUE, created_at INTEGER NOT NULL, settings TEXT NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS keys (uid TEXT PRIMARY KEY, value TEXT NOT NULL UNIQUE, key TEXT NOT NULL);
";

const COLUMNS: &str = "uid, batch_uid, index_uid, status, canceled_by, operation, details, error, enqueued_at, \
                       started_at, finished_at, custom_metadata";

/// An index as the list of indexes knows it; the engine's files are in `folder`.
#[derive(Debug, Clone, PartialEq)]
pub struct IndexEntry {
    pub uid: String,
    pub folder: String,
    pub created_at: OffsetDateTime,
    /// What clients set, keyed as in the settings object; a missing key has its default.
    pub settings: Value,
}

/// An API key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Key {
    pub uid: String,
    pub value: String,
    pub name: Option<String>,
    pub description: Option<String>,
    pub actions: Vec<String>,
    pub indexes: Vec<String>,
    pub expires_at: Option<String>,
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
}

/// A change to the list of indexes that becomes durable with the tasks that caused it.
#[derive(Debug, Clone, PartialEq)]
pub enum CatalogChange {
    Create(IndexEntry),
    Delete { uid: String },
    Rename { from: String, to: String },
    Swap { left: String, right: String },
    Settings { uid: String, settings: Value },
}

/// How one task ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    pub uid: TaskUid,
    pub status: Status,
    pub details: Value,
    pub error: Option<ApiError>,
}

/// What a batch did, made durable as one.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct BatchResult {
    pub outcomes: Vec<Outcome>,
    pub catalog: Vec<CatalogChange>,
    pub canceled: Vec<(TaskUid, TaskUid)>,
    pub deleted_tasks: Vec<TaskUid>,
}

/// The file; one connection, since a development node has few writers.
pub struct Store {
    connection: Mutex<Connection>,
    /// All keys, the newest first: every request asks for them.
    keys: RwLock<Vec<Key>>,
}

impl Store {
    /// Opens the file, making it if needed; tasks that a crash interrupted are waiting again.
    pub fn open(path: &Path) -> Result<Self> {
        let connection = Connection::open(path)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.execute_batch(SCHEMA)?;
        connection.execute(
            "UPDATE tasks SET status = 'enqueued', batch_uid = NULL, started_at = NULL WHERE status = 'processing'",
            [],
        )?;
        let keys = RwLock::new(keys::load(&connection)?);
        Ok(Self { connection: Mutex::new(connection), keys })
    }

    /// Appends a task, with its documents if it has some; it is durable when this returns.
    pub fn enqueue(
        &self,
        index_uid: Option<&str>,
        operation: Operation,
        custom_metadata: Option<String>,
        payload: Option<&[u8]>,
    ) -> Result<Task> {
        let mut connection = self.lock();
        let transaction = connection.transaction()?;
        let task = Task {
            uid: take_number(&transaction, "task")?,
            batch_uid: None,
            index_uid: index_uid.map(str::to_owned),
            status: Status::Enqueued,
            details: operation.details(index_uid),
            operation,
            canceled_by: None,
            error: None,
            enqueued_at: OffsetDateTime::now_utc(),
            started_at: None,
            finished_at: None,
            custom_metadata,
        };
        transaction.execute(
            "INSERT INTO tasks (uid, index_uid, status, kind, operation, details, enqueued_at, custom_metadata)
             VALUES (?1, ?2, 'enqueued', ?3, ?4, ?5, ?6, ?7)",
            params![
                task.uid,
                task.index_uid,
                task.operation.kind(),
                serde_json::to_string(&task.operation)?,
                task.details.to_string(),
                to_nanoseconds(task.enqueued_at),
                task.custom_metadata,
            ],
        )?;
        if let Some(body) = payload {
            transaction.execute("INSERT INTO payloads VALUES (?1, ?2)", params![task.uid, body])?;
        }
        transaction.commit()?;
        Ok(task)
    }

    /// The documents of an import that has not ended.
    pub fn payload(&self, uid: TaskUid) -> Result<Vec<u8>> {
        let body = self
            .lock()
            .query_row("SELECT body FROM payloads WHERE task_uid = ?1", [uid], |row| row.get(0))?;
        Ok(body)
    }

    /// The size in bytes of the documents of an import, 0 for a task without any.
    pub fn payload_size(&self, uid: TaskUid) -> Result<u64> {
        let size = self
            .lock()
            .query_row("SELECT length(body) FROM payloads WHERE task_uid = ?1", [uid], |row| row.get(0))
            .optional()?;
        Ok(size.unwrap_or(0))
    }

    /// The oldest waiting tasks, oldest first.
    pub fn waiting(&self, limit: usize) -> Result<Vec<Task>> {
        self.select("WHERE status = 'enqueued' ORDER BY uid LIMIT ?1", &[Value::from(limit)])
    }

    /// The oldest waiting task of those that go before all others.
    pub fn waiting_about_tasks(&self) -> Result<Option<Task>> {
        let sql =
            "WHERE status = 'enqueued' AND kind IN ('taskCancelation', 'taskDeletion') ORDER BY uid LIMIT 1";
        Ok(self.select(sql, &[])?.pop())
    }

    /// One task.
    pub fn task(&self, uid: TaskUid) -> Result<Option<Task>> {
        Ok(self.select("WHERE uid = ?1", &[Value::from(uid)])?.pop())
    }

    /// A page of the tasks that match, newest first unless reversed.
    pub fn tasks(&self, filter: &TaskFilter) -> Result<Vec<Task>> {
        let (condition, values) = filter.to_page_sql();
        self.select(&condition, &values)
    }

    /// How many tasks match, whatever the page.
    pub fn count(&self, filter: &TaskFilter) -> Result<u64> {
        let (condition, values) = filter.to_condition_sql();
        let sql = format!("SELECT count(*) FROM tasks {condition}");
        Ok(self.lock().query_row(&sql, params_from_iter(values.iter().map(to_sql)), |row| row.get(0))?)
    }

    /// Whether a batch works on this index now.
    pub fn is_indexing(&self, index_uid: &str) -> Result<bool> {
        let sql = "SELECT count(*) FROM tasks WHERE status = 'processing' AND index_uid = ?1";
        Ok(self.lock().query_row(sql, [index_uid], |row| row.get::<_, u64>(0))? > 0)
    }

    /// Marks tasks as one running batch.
    pub fn begin(&self, tasks: &[TaskUid]) -> Result<()> {
        let mut connection = self.lock();
        let transaction = connection.transaction()?;
        let batch = take_number(&transaction, "batch")?;
        let now = to_nanoseconds(OffsetDateTime::now_utc());
        for uid in tasks {
            transaction.execute(
                "UPDATE tasks SET status = 'processing', batch_uid = ?2, started_at = ?3 WHERE uid = ?1",
                params![uid, batch, now],
            )?;
        }
        transaction.commit()?;
        Ok(())
    }

    /// Records how a batch ended together with what it did to the list of indexes.
    pub fn finish(&self, result: &BatchResult) -> Result<()> {
        let mut connection = self.lock();
        let transaction = connection.transaction()?;
        let now = to_nanoseconds(OffsetDateTime::now_utc());
        for change in &result.catalog {
            apply_change(&transaction, change)?;
        }
        for outcome in &result.outcomes {
            let error = outcome.error.as_ref().map(serde_json::to_string).transpose()?;
            transaction.execute(
                "UPDATE tasks SET status = ?2, details = ?3, error = ?4, finished_at = ?5 WHERE uid = ?1",
                params![outcome.uid, outcome.status.name(), outcome.details.to_string(), error, now],
            )?;
            transaction.execute("DELETE FROM payloads WHERE task_uid = ?1", [outcome.uid])?;
        }
        for (uid, by) in &result.canceled {
            cancel(&transaction, *uid, *by, now)?;
        }
        for uid in &result.deleted_tasks {
            transaction.execute("DELETE FROM tasks WHERE uid = ?1", [uid])?;
        }
        transaction.commit()?;
        Ok(())
    }

    /// One index of the list.
    pub fn index(&self, uid: &str) -> Result<Option<IndexEntry>> {
        let sql = "SELECT uid, folder, created_at, settings FROM indexes WHERE uid = ?1";
        self.lock().query_row(sql, [uid], read_index).optional()?.transpose()
    }

    /// The whole list, in the order of the uids' bytes.
    pub fn indexes(&self) -> Result<Vec<IndexEntry>> {
        let connection = self.lock();
        let mut statement =
            connection.prepare("SELECT uid, folder, created_at, settings FROM indexes ORDER BY uid")?;
        let rows = statement.query_map([], read_index)?;
        rows.map(|row| row?).collect()
    }

    fn select(&self, condition: &str, values: &[Value]) -> Result<Vec<Task>> {
        let connection = self.lock();
        let mut statement = connection.prepare_cached(&format!("SELECT {COLUMNS} FROM tasks {condition}"))?;
        let rows = statement.query_map(params_from_iter(values.iter().map(to_sql)), read_task)?;
        rows.map(|row| row?).collect()
    }

    /// A thread that panicked left no half-made change: each change is a transaction.
    fn lock(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn take_number(transaction: &Transaction<'_>, counter: &str) -> Result<u64> {
    let sql = "UPDATE counters SET next = next + 1 WHERE name = ?1 RETURNING next - 1";
    Ok(transaction.query_row(sql, [counter], |row| row.get(0))?)
}

fn cancel(transaction: &Transaction<'_>, uid: TaskUid, by: TaskUid, now: i64) -> Result<()> {
    transaction.execute(
        "UPDATE tasks SET status = 'canceled', canceled_by = ?2, started_at = ?3, finished_at = ?3,
         batch_uid = (SELECT batch_uid FROM tasks WHERE uid = ?2),
         details = CASE WHEN json_type(details, '$.indexedDocuments') IS NOT NULL
             THEN json_set(details, '$.indexedDocuments', 0)
             WHEN json_type(details, '$.deletedDocuments') IS NOT NULL
             THEN json_set(details, '$.deletedDocuments', 0) ELSE details END
         WHERE uid = ?1 AND status = 'enqueued'",
        params![uid, by, now],
    )?;
    transaction.execute("DELETE FROM payloads WHERE task_uid = ?1", [uid])?;
    Ok(())
}

fn apply_change(transaction: &Transaction<'_>, change: &CatalogChange) -> Result<()> {
    match change {
        CatalogChange::Create(entry) => transaction.execute(
            "INSERT INTO indexes VALUES (?1, ?2, ?3, ?4)",
            params![entry.uid, entry.folder, to_nanoseconds(entry.created_at), entry.settings.to_string()],
        )?,
        CatalogChange::Delete { uid } => transaction.execute("DELETE FROM indexes WHERE uid = ?1", [uid])?,
        CatalogChange::Rename { from, to } => {
            // The renaming task itself stays with the name it was sent to.
            let tasks = "UPDATE tasks SET index_uid = ?2 WHERE index_uid = ?1 AND status <> 'processing'";
            transaction.execute(tasks, [from, to])?;
            transaction.execute("UPDATE indexes SET uid = ?2 WHERE uid = ?1", [from, to])?
        }
        CatalogChange::Swap { left, right } => {
            // No index can have an empty name, so it can stand in during the exchange.
            for (from, to) in [(left.as_str(), ""), (right, left), ("", right)] {
                transaction.execute("UPDATE indexes SET uid = ?2 WHERE uid = ?1", [from, to])?;
                transaction.execute("UPDATE tasks SET index_uid = ?2 WHERE index_uid = ?1", [from, to])?;
            }
            0
        }
        CatalogChange::Settings { uid, settings } => transaction
            .execute("UPDATE indexes SET settings = ?2 WHERE uid = ?1", params![uid, settings.to_string()])?,
    };
    Ok(())
}

fn read_index(row: &Row<'_>) -> rusqlite::Result<Result<IndexEntry>> {
    let (uid, folder, created_at) = (row.get(0)?, row.get(1)?, row.get(2)?);
    let settings: String = row.get(3)?;
    Ok(from_nanoseconds(created_at).and_then(|created_at| {
        Ok(IndexEntry { uid, folder, created_at, settings: serde_json::from_str(&settings)? })
    }))
}

fn read_task(row: &Row<'_>) -> rusqlite::Result<Result<Task>> {
    let status: String = row.get(3)?;
    let operation: String = row.get(5)?;
    let details: String = row.get(6)?;
    let error: Option<String> = row.get(7)?;
    let times: (i64, Option<i64>, Option<i64>) = (row.get(8)?, row.get(9)?, row.get(10)?);
    let task = (
        row.get::<_, u64>(0)?,
        row.get::<_, Option<u64>>(1)?,
        row.get::<_, Option<String>>(2)?,
        row.get::<_, Option<u64>>(4)?,
        row.get::<_, Option<String>>(11)?,
    );
    Ok((|| {
        let (uid, batch_uid, index_uid, canceled_by, custom_metadata) = task;
        Ok(Task {
            uid,
            batch_uid,
            index_uid,
            status: Status::parse(&status).ok_or_else(|| ApiError::internal(format!("status {status}")))?,
            operation: serde_json::from_str(&operation)?,
            canceled_by,
            details: serde_json::from_str(&details)?,
            error: error.as_deref().map(serde_json::from_str).transpose()?,
            enqueued_at: from_nanoseconds(times.0)?,
            started_at: times.1.map(from_nanoseconds).transpose()?,
            finished_at: times.2.map(from_nanoseconds).transpose()?,
            custom_metadata,
        })
    })())
}

/// Nanoseconds since 1970, which fit 64 bits until the year 2262.
pub fn to_nanoseconds(time: OffsetDateTime) -> i64 {
    i64::try_from(time.unix_timestamp_nanos()).unwrap_or(i64::MAX)
}

fn from_nanoseconds(nanoseconds: i64) -> Result<OffsetDateTime> {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(nanoseconds)).map_err(ApiError::internal)
}

fn to_sql(value: &Value) -> rusqlite::types::Value {
    match value {
        Value::Number(number) => rusqlite::types::Value::Integer(number.as_i64().unwrap_or(i64::MAX)),
        Value::String(text) => rusqlite::types::Value::Text(text.clone()),
        _ => rusqlite::types::Value::Null,
    }
}

mod keys;
#[cfg(test)]
mod tests;
