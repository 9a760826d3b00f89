//! The log: entries, decisions about them, and the counters.

use miroir_core::arrival::ArrivalChange;
use miroir_core::ids::{PhysicalUid, TaskUid};
use miroir_core::task::{Decision, Task, TaskStatus};
use rusqlite::{Connection, params};
use time::OffsetDateTime;

use super::arrivals;
use super::payloads;
use super::repeats;
use super::rows::{big, json, nanoseconds, parsed_if_there, task_uid};
use crate::{Deciding, NewEntry, StoreError};

pub(super) fn counter(db: &Connection, name: &str) -> Result<i64, StoreError> {
    Ok(db
        .prepare_cached("SELECT value FROM counters WHERE name = ?1")?
        .query_row([name], |row| row.get(0))?)
}

pub(super) fn set_counter(db: &Connection, name: &str, value: i64) -> Result<(), StoreError> {
    db.prepare_cached("UPDATE counters SET value = ?2 WHERE name = ?1")?.execute(params![name, value])?;
    Ok(())
}

/// The number of the next task, which nobody else gets.
pub(super) fn take_number(db: &Connection) -> Result<TaskUid, StoreError> {
    let uid = counter(db, "next_task")?;
    set_counter(db, "next_task", uid + 1)?;
    task_uid(uid)
}

/// Puts a write at the end of the log, or finds it there.
pub(super) fn append(db: &Connection, entry: NewEntry) -> Result<Task, StoreError> {
    let before = repeats::find(db, entry.id)?;
    let uid = match &before {
        Some(done) => done.task,
        None => take_number(db)?,
    };
    let task = Task {
        uid,
        index_uid: Some(entry.index_uid).filter(|_| !entry.mutation.is_about_several()),
        status: TaskStatus::Enqueued,
        kind: entry.mutation.kind(),
        canceled_by: None,
        details: Some(entry.details),
        error: None,
        enqueued_at: entry.enqueued_at,
        started_at: None,
        finished_at: None,
        custom_metadata: entry.custom_metadata,
    };
    if before.is_some() {
        return Ok(task);
    }
    db.prepare_cached(
        "INSERT INTO tasks (uid, index_uid, kind, status, details, enqueued_at, custom_metadata)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?
    .execute(params![
        big(uid.0),
        task.index_uid.as_ref().map(miroir_core::ids::IndexUid::as_str),
        task.kind.as_str(),
        task.status.as_str(),
        json(&task.details)?,
        nanoseconds(task.enqueued_at),
        task.custom_metadata,
    ])?;
    db.prepare_cached("INSERT INTO entries (task_uid, mutation) VALUES (?1, ?2)")?
        .execute(params![big(uid.0), json(&entry.mutation)?])?;
    payloads::insert(db, uid, &entry.payload)?;
    repeats::note(db, entry.id, uid, None)?;
    Ok(task)
}

/// Stores decisions about the first entries that nothing was decided about, unless they are there already.
pub(super) fn decide(
    db: &Connection,
    decisions: &[(TaskUid, Decision)],
    arrivals: &[(PhysicalUid, ArrivalChange)],
) -> Result<Deciding, StoreError> {
    let (Some((first, _)), Some((last, _))) = (decisions.first(), decisions.last()) else {
        // Nothing would tell a repeated change of a book from another one.
        let nothing = arrivals.is_empty();
        return if nothing { Ok(Deciding::Stored) } else { Err(conflict("a decision", "one", "none")) };
    };
    let next = task_uid(next_undecided(db)?)?;
    let mut known = db.prepare_cached("SELECT decision FROM entries WHERE task_uid = ?1")?;
    let mut is_repeated = true;
    for (task, decision) in decisions {
        let mut found = known.query([big(task.0)])?;
        let Some(row) = found.next()? else { return Ok(Deciding::Overtaken) };
        let stored: Option<Decision> = parsed_if_there(row, "decision")?;
        if stored.as_ref().is_some_and(|stored| stored != decision) {
            let what = format!("the decision about entry {task}");
            return Err(conflict(&what, "none, or the one that it made", "another one"));
        }
        is_repeated &= stored.is_some();
    }
    if is_repeated {
        return Ok(Deciding::Stored);
    }
    check_order(db, next, decisions, (*first, *last))?;
    let mut update = db.prepare_cached("UPDATE entries SET decision = ?2 WHERE task_uid = ?1")?;
    for (task, decision) in decisions {
        update.execute(params![big(task.0), json(decision)?])?;
    }
    set_counter(db, "next_undecided", big(last.0) + 1)?;
    arrivals::change(db, arrivals)?;
    Ok(Deciding::Stored)
}

/// The entries from the next undecided one up to the last have to be those of the decisions, in their order.
fn check_order(
    db: &Connection,
    next: TaskUid,
    decisions: &[(TaskUid, Decision)],
    (first, last): (TaskUid, TaskUid),
) -> Result<(), StoreError> {
    let mut query = db.prepare_cached(
        "SELECT task_uid FROM entries WHERE task_uid >= ?1 AND task_uid <= ?2 ORDER BY task_uid",
    )?;
    let open =
        query.query_map([big(next.0), big(last.0)], |row| row.get(0))?.collect::<Result<Vec<i64>, _>>()?;
    if open.iter().copied().eq(decisions.iter().map(|(task, _)| big(task.0))) {
        return Ok(());
    }
    let found = open.first().map_or_else(|| format!("behind {last}"), i64::to_string);
    Err(conflict("the next undecided entry", &format!("{first}, and all up to {last} after it"), &found))
}

/// What a step rests on is not so.
pub(super) fn conflict(what: &str, expected: &str, found: &str) -> StoreError {
    StoreError::Conflict { what: what.to_owned(), expected: expected.to_owned(), found: found.to_owned() }
}

pub(super) fn next_undecided(db: &Connection) -> Result<i64, StoreError> {
    counter(db, "next_undecided")
}

pub(super) fn begin(db: &Connection, task: TaskUid, at: OffsetDateTime) -> Result<(), StoreError> {
    db.prepare_cached("UPDATE tasks SET status = ?2, started_at = ?3 WHERE uid = ?1 AND status = ?4")?
        .execute(params![
            big(task.0),
            TaskStatus::Processing.as_str(),
            nanoseconds(at),
            TaskStatus::Enqueued.as_str(),
        ])?;
    Ok(())
}
