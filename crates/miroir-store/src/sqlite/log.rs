//! The steps that change something, as SQL.

use miroir_core::arrival::ArrivalChange;
use miroir_core::error::ResponseError;
use miroir_core::ids::{NodeId, PhysicalUid, TaskUid};
use miroir_core::task::{Decision, OpResult, SyncState, Task, TaskKind, TaskStatus};
use rusqlite::{Connection, params};
use serde_json::Value;
use time::OffsetDateTime;

use super::arrivals;
use super::payloads;
use super::records;
use super::rows::{big, json, nanoseconds, parsed, task_uid};
use super::settings;
use crate::{
    Accepted, CatalogChange, Collection, Commit, Deciding, Delivery, NewEntry, OpSent, Rebuilt, Reception,
    Relabelling, Settled, StoreError,
};

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

pub(super) fn append(db: &Connection, entry: NewEntry) -> Result<Task, StoreError> {
    let uid = take_number(db)?;
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
    Ok(task)
}

pub(super) fn decide(
    db: &Connection,
    decisions: &[(TaskUid, Decision)],
    arrivals: &[(PhysicalUid, ArrivalChange)],
) -> Result<Deciding, StoreError> {
    let mut open = db.prepare_cached("SELECT 1 FROM entries WHERE task_uid = ?1")?;
    for (task, _) in decisions {
        if !open.exists([big(task.0)])? {
            return Ok(Deciding::Overtaken);
        }
    }
    let mut update = db.prepare_cached("UPDATE entries SET decision = ?2 WHERE task_uid = ?1")?;
    for (task, decision) in decisions {
        update.execute(params![big(task.0), json(decision)?])?;
    }
    if let Some((last, _)) = decisions.last() {
        set_counter(db, "next_undecided", big(last.0) + 1)?;
    }
    arrivals::change(db, arrivals)?;
    Ok(Deciding::Stored)
}

pub(super) fn next_undecided(db: &Connection) -> Result<i64, StoreError> {
    counter(db, "next_undecided")
}

pub(super) fn add_nodes(db: &Connection, nodes: &[NodeId]) -> Result<(), StoreError> {
    let end = counter(db, "next_undecided")?;
    let mut insert = db.prepare_cached(
        "INSERT INTO nodes (id, sync, next_undelivered) VALUES (?1, ?2, ?3) ON CONFLICT (id) DO NOTHING",
    )?;
    for node in nodes {
        insert.execute(params![node.as_str(), SyncState::InSync.as_str(), end])?;
    }
    Ok(())
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

pub(super) fn meet_node(db: &Connection, node: &NodeId, next_node_task: u64) -> Result<(), StoreError> {
    db.prepare_cached("UPDATE nodes SET next_node_task = ?2 WHERE id = ?1 AND next_node_task IS NULL")?
        .execute(params![node.as_str(), big(next_node_task)])?;
    Ok(())
}

/// The node's data are those of the log up to the cursor, and what it owed before is forgotten.
fn begin_anew(db: &Connection, rebuilt: &Rebuilt) -> Result<(), StoreError> {
    let (node, cursor) = (rebuilt.node.as_str(), big(rebuilt.cursor.0));
    db.prepare_cached("UPDATE nodes SET next_undelivered = ?2, next_node_task = ?3 WHERE id = ?1")?
        .execute(params![node, cursor, big(rebuilt.next_node_task)])?;
    // Of later entries too: what it received of them it received before its data were replaced.
    db.prepare_cached("DELETE FROM node_tasks WHERE node_id = ?1")?.execute([node])?;
    Ok(())
}

/// The node goes on as it is, and what it gets again counts as never received.
fn accept(db: &Connection, accepted: &Accepted) -> Result<(), StoreError> {
    let node = accepted.node.as_str();
    db.prepare_cached("UPDATE nodes SET next_undelivered = ?2, next_node_task = ?3 WHERE id = ?1")?
        .execute(params![node, big(accepted.cursor.0), big(accepted.next_node_task)])?;
    for task in &accepted.again {
        db.prepare_cached("DELETE FROM node_tasks WHERE node_id = ?1 AND task_uid = ?2")?
            .execute(params![node, big(task.0)])?;
    }
    Ok(())
}

pub(super) fn deliver(db: &Connection, delivery: &Delivery) -> Result<(), StoreError> {
    let received = delivery.sent.iter().filter_map(|sent| match sent.reception {
        Reception::Enqueued(node_task) => Some(big(node_task) + 1),
        Reception::Refused(_) => None,
    });
    db.prepare_cached(
        "UPDATE nodes SET next_undelivered = ?2,
             next_node_task = CASE WHEN ?3 > COALESCE(next_node_task, 0) THEN ?3 ELSE next_node_task END
         WHERE id = ?1",
    )?
    .execute(params![delivery.node.as_str(), big(delivery.cursor.0), received.max().unwrap_or(0)])?;
    let mut insert = db.prepare_cached(
        "INSERT INTO node_tasks (task_uid, node_id, op, node_task_uid, result) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (task_uid, node_id, op) DO UPDATE
         SET node_task_uid = excluded.node_task_uid, result = excluded.result",
    )?;
    for OpSent { task, op, reception } in &delivery.sent {
        let (node_task, result) = match reception {
            Reception::Enqueued(node_task) => (Some(big(*node_task)), None),
            Reception::Refused(error) => (None, Some(json(&refusal(error))?)),
        };
        insert.execute(params![big(task.0), delivery.node.as_str(), big(*op as u64), node_task, result])?;
        begin(db, *task, delivery.at)?;
    }
    Ok(())
}

fn refusal(error: &ResponseError) -> OpResult {
    OpResult::Failed(error.clone())
}

pub(super) fn commit(db: &Connection, commit: &Commit) -> Result<(), StoreError> {
    let mut result = db.prepare_cached(
        "UPDATE node_tasks SET result = ?4 WHERE task_uid = ?1 AND node_id = ?2 AND op = ?3",
    )?;
    for (node, task, op, end) in &commit.results {
        result.execute(params![big(task.0), node.as_str(), big(*op as u64), json(end)?])?;
    }
    for settled in &commit.settled {
        settle(db, settled)?;
    }
    for change in &commit.catalog {
        change_catalog(db, change)?;
    }
    for (uid, rule) in &commit.rules {
        let body = rule.as_ref().map(serde_json::to_value).transpose();
        let body =
            body.map_err(|error| StoreError::Corrupt(format!("rule `{uid}` can't be written: {error}")))?;
        records::put(db, Collection::Rules, uid, body.as_ref())?;
    }
    for relabelling in &commit.relabelled {
        relabel(db, relabelling)?;
    }
    for rebuilt in &commit.rebuilt {
        begin_anew(db, rebuilt)?;
    }
    for accepted in &commit.accepted {
        accept(db, accepted)?;
    }
    for change in &commit.settings {
        settings::change(db, change)?;
    }
    let mut node = db.prepare_cached("UPDATE nodes SET sync = ?2 WHERE id = ?1")?;
    for (id, sync) in &commit.nodes {
        node.execute(params![id.as_str(), sync.as_str()])?;
    }
    for task in &commit.forgotten {
        for forget in [
            "DELETE FROM entries WHERE task_uid = ?1",
            "DELETE FROM payload_parts WHERE task_uid = ?1",
            "DELETE FROM node_tasks WHERE task_uid = ?1",
            "DELETE FROM tasks WHERE uid = ?1 AND deleted = 1",
        ] {
            db.prepare_cached(forget)?.execute([big(task.0)])?;
        }
    }
    Ok(())
}

fn settle(db: &Connection, settled: &Settled) -> Result<(), StoreError> {
    let error = settled.error.as_ref().map(json).transpose()?;
    let finished_at = nanoseconds(settled.finished_at);
    db.prepare_cached(
        "UPDATE tasks SET status = ?2, error = ?3, details = ?4, finished_at = ?5,
             started_at = COALESCE(started_at, ?5)
         WHERE uid = ?1",
    )?
    .execute(params![
        big(settled.task.0),
        settled.status.as_str(),
        error,
        json(&settled.details)?,
        finished_at,
    ])?;
    Ok(())
}

/// What was said of one index before is now said of the other: in earlier tasks, and in what earlier swaps name.
fn relabel(db: &Connection, relabelling: &Relabelling) -> Result<(), StoreError> {
    let Relabelling { before, pair: (first, second) } = relabelling;
    db.prepare_cached(
        "UPDATE tasks SET index_uid = CASE index_uid WHEN ?2 THEN ?3 ELSE ?2 END
         WHERE uid < ?1 AND index_uid IN (?2, ?3)",
    )?
    .execute(params![big(before.0), first.as_str(), second.as_str()])?;
    let mut query = db.prepare_cached("SELECT uid, details FROM tasks WHERE uid < ?1 AND kind = ?2")?;
    let swaps = query
        .query_and_then(params![big(before.0), TaskKind::IndexSwap.as_str()], |row| {
            Ok((row.get::<_, i64>("uid")?, parsed::<Value>(row, "details")?))
        })?
        .collect::<Result<Vec<_>, StoreError>>()?;
    for (uid, mut details) in swaps {
        if exchange(&mut details, first.as_str(), second.as_str()) {
            db.prepare_cached("UPDATE tasks SET details = ?2 WHERE uid = ?1")?
                .execute(params![uid, json(&details)?])?;
        }
    }
    Ok(())
}

/// Whether the details of a swap name one of the two.
fn exchange(details: &mut Value, first: &str, second: &str) -> bool {
    let swaps = details.get_mut("swaps").and_then(Value::as_array_mut).into_iter().flatten();
    let names = swaps.filter_map(|swap| swap.get_mut("indexes")?.as_array_mut()).flatten();
    let mut changed = false;
    for name in names {
        let other = match name.as_str() {
            Some(text) if text == first => second,
            Some(text) if text == second => first,
            _ => continue,
        };
        *name = other.into();
        changed = true;
    }
    changed
}

fn change_catalog(db: &Connection, change: &CatalogChange) -> Result<(), StoreError> {
    match change {
        CatalogChange::Put(index) => {
            db.prepare_cached(
                "INSERT INTO indexes
                     (uid, physical_uid, primary_key, shards, placement, settings, created_at, updated_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
                 ON CONFLICT (uid) DO UPDATE SET
                     physical_uid = excluded.physical_uid, primary_key = excluded.primary_key,
                     shards = excluded.shards, placement = excluded.placement, settings = excluded.settings,
                     created_at = excluded.created_at, updated_at = excluded.updated_at",
            )?
            .execute(params![
                index.uid.as_str(),
                index.physical.as_str(),
                index.primary_key,
                index.shards.get(),
                json(&index.placement)?,
                json(&index.settings)?,
                nanoseconds(index.created_at),
                nanoseconds(index.updated_at),
            ])?;
        }
        CatalogChange::Remove(uid) => {
            db.prepare_cached("DELETE FROM indexes WHERE uid = ?1")?.execute([uid.as_str()])?;
        }
    }
    Ok(())
}
