//! Canceling and deleting tasks. Both are done in the step that accepts them, so they overtake whatever waits.

use miroir_core::ids::TaskUid;
use miroir_core::task::{Mutation, Task, TaskKind, TaskStatus, details_at_end};
use rusqlite::{Connection, params, params_from_iter};
use serde_json::{Map, Value, json};

use super::log::{next_undecided, take_number};
use super::repeats;
use super::rows::{self, big, json, nanoseconds};
use super::tasks::Conditions;
use crate::{Administration, StoreError, TaskAction};

const FINISHED: &str = "status IN ('succeeded', 'failed', 'canceled')";

pub(super) fn administer(db: &Connection, order: &Administration) -> Result<Task, StoreError> {
    if let Some(done) = repeats::find(db, order.id)? {
        let details = done.details.as_deref().map(serde_json::from_str).transpose()?;
        return Ok(task(order, done.task, details.unwrap_or_default()));
    }
    let conditions = Conditions::of(&order.filter);
    let matched = count(db, &conditions)?;
    let uid = take_number(db)?;
    let (counted, done) = match order.action {
        TaskAction::Cancel => ("canceledTasks", cancel(db, &conditions, order, uid)?),
        TaskAction::Delete => ("deletedTasks", delete(db, &conditions)?),
    };
    let mut details = Map::new();
    details.insert("matchedTasks".to_owned(), json!(matched));
    details.insert(counted.to_owned(), json!(done));
    details.insert("originalFilter".to_owned(), json!(order.query));
    let task = task(order, uid, details);
    db.prepare_cached(
        "INSERT INTO tasks (uid, kind, status, details, enqueued_at, started_at, finished_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?5, ?5)",
    )?
    .execute(params![
        big(uid.0),
        task.kind.as_str(),
        task.status.as_str(),
        json(&task.details)?,
        nanoseconds(order.at),
    ])?;
    repeats::note(db, order.id, uid, Some(&json(&task.details)?))?;
    Ok(task)
}

/// The task that says what was done.
fn task(order: &Administration, uid: TaskUid, details: Map<String, Value>) -> Task {
    Task {
        uid,
        index_uid: None,
        status: TaskStatus::Succeeded,
        kind: match order.action {
            TaskAction::Cancel => TaskKind::TaskCancelation,
            TaskAction::Delete => TaskKind::TaskDeletion,
        },
        canceled_by: None,
        details: Some(details),
        error: None,
        enqueued_at: order.at,
        started_at: Some(order.at),
        finished_at: Some(order.at),
        custom_metadata: None,
    }
}

fn count(db: &Connection, conditions: &Conditions) -> Result<i64, StoreError> {
    let sql = format!("SELECT COUNT(*) FROM tasks WHERE {}", conditions.sql());
    Ok(db.prepare(&sql)?.query_row(params_from_iter(conditions.values()), |row| row.get(0))?)
}

/// Only what nothing was decided about can be taken back: later decisions rest on earlier ones, and a decided write may
/// be on its way to some node. Errands are decided about when they are done, so one that is being done can be.
fn cancel(
    db: &Connection,
    conditions: &Conditions,
    order: &Administration,
    canceled_by: TaskUid,
) -> Result<usize, StoreError> {
    let sql = format!(
        "SELECT tasks.uid, tasks.details, entries.mutation FROM tasks JOIN entries ON entries.task_uid = tasks.uid
         WHERE {} AND NOT tasks.{FINISHED} AND tasks.uid >= {}",
        conditions.sql(),
        next_undecided(db)?,
    );
    let mut query = db.prepare(&sql)?;
    let open = query
        .query_and_then(params_from_iter(conditions.values()), |row| {
            let details: Option<Map<String, Value>> = rows::parsed_if_there(row, "details")?;
            let mutation: Mutation = rows::parsed(row, "mutation")?;
            Ok((row.get::<_, i64>("uid")?, details.unwrap_or_default(), mutation))
        })?
        .collect::<Result<Vec<_>, StoreError>>()?;
    let mut update = db.prepare_cached(
        "UPDATE tasks SET status = ?2, canceled_by = ?3, details = ?4, started_at = COALESCE(started_at, ?5),
         finished_at = ?5
         WHERE uid = ?1",
    )?;
    for (uid, details, mutation) in &open {
        let details = details_at_end(details.clone(), mutation, TaskStatus::Canceled, 0);
        let at = nanoseconds(order.at);
        update.execute(params![
            uid,
            TaskStatus::Canceled.as_str(),
            big(canceled_by.0),
            json(&details)?,
            at
        ])?;
        db.prepare_cached("DELETE FROM entries WHERE task_uid = ?1")?.execute([uid])?;
        db.prepare_cached("DELETE FROM payload_parts WHERE task_uid = ?1")?.execute([uid])?;
    }
    Ok(open.len())
}

/// A task of which some node still owes its share is only hidden: its entry is delivered to the end.
fn delete(db: &Connection, conditions: &Conditions) -> Result<usize, StoreError> {
    let owed = "EXISTS (SELECT 1 FROM entries WHERE entries.task_uid = tasks.uid)";
    let hide = format!("UPDATE tasks SET deleted = 1 WHERE {} AND {FINISHED} AND {owed}", conditions.sql());
    let drop = format!("DELETE FROM tasks WHERE {} AND {FINISHED}", conditions.sql());
    let hidden = db.prepare(&hide)?.execute(params_from_iter(conditions.values()))?;
    let dropped = db.prepare(&drop)?.execute(params_from_iter(conditions.values()))?;
    Ok(hidden + dropped)
}
