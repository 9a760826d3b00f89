//! Nodes, and the places of their lanes in the log.

use std::collections::BTreeSet;

use miroir_core::error::ResponseError;
use miroir_core::ids::{NodeId, TaskUid};
use miroir_core::task::{OpResult, SyncState};
use rusqlite::{Connection, OptionalExtension, params};

use super::log::{begin, conflict, counter};
use super::rows::{self, big, json, task_uid};
use crate::{Accepted, CaughtUp, Delivery, NodeRecord, OpSent, Rebuilt, Reception, StoreError};

const SELECT: &str = "SELECT id, sync, next_undelivered, sent_ahead, next_node_task FROM nodes";

pub(super) fn add_nodes(db: &Connection, nodes: &[NodeId], sync: SyncState) -> Result<(), StoreError> {
    let end = counter(db, "next_undecided")?;
    let mut insert = db.prepare_cached(
        "INSERT INTO nodes (id, sync, next_undelivered) VALUES (?1, ?2, ?3) ON CONFLICT (id) DO NOTHING",
    )?;
    for node in nodes {
        insert.execute(params![node.as_str(), sync.as_str(), end])?;
    }
    Ok(())
}

pub(super) fn meet_node(db: &Connection, node: &NodeId, next_node_task: u64) -> Result<(), StoreError> {
    db.prepare_cached("UPDATE nodes SET next_node_task = ?2 WHERE id = ?1 AND next_node_task IS NULL")?
        .execute(params![node.as_str(), big(next_node_task)])?;
    Ok(())
}

pub(super) fn all(db: &Connection) -> Result<Vec<NodeRecord>, StoreError> {
    let mut query = db.prepare_cached(&format!("{SELECT} ORDER BY id"))?;
    let mut nodes: Vec<NodeRecord> = query.query_and_then([], rows::node)?.collect::<Result<_, _>>()?;
    for node in &mut nodes {
        node.covered = covered(db, &node.id)?;
    }
    Ok(nodes)
}

pub(super) fn one(db: &Connection, id: &NodeId) -> Result<Option<NodeRecord>, StoreError> {
    let mut query = db.prepare_cached(&format!("{SELECT} WHERE id = ?1"))?;
    let mut found = query.query_and_then([id.as_str()], rows::node)?.next().transpose()?;
    if let Some(node) = &mut found {
        node.covered = covered(db, id)?;
    }
    Ok(found)
}

fn covered(db: &Connection, node: &NodeId) -> Result<BTreeSet<TaskUid>, StoreError> {
    let mut query = db.prepare_cached("SELECT task_uid FROM covered_entries WHERE node_id = ?1")?;
    let entries = query.query_and_then([node.as_str()], |row| task_uid(row.get(0)?))?;
    entries.collect()
}

pub(super) fn save_caught_up(
    db: &Connection,
    node: &NodeId,
    caught_up: &[CaughtUp],
) -> Result<(), StoreError> {
    let mut save = db.prepare_cached(
        "INSERT INTO caught_up_indexes (node_id, index_uid, line, next_node_task) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (node_id, index_uid) DO UPDATE
         SET line = excluded.line, next_node_task = excluded.next_node_task",
    )?;
    for CaughtUp { index, line, next_node_task } in caught_up {
        save.execute(params![node.as_str(), index.as_str(), big(line.0), big(*next_node_task)])?;
    }
    Ok(())
}

pub(super) fn caught_up(db: &Connection, node: &NodeId) -> Result<Vec<CaughtUp>, StoreError> {
    let mut query = db.prepare_cached(
        "SELECT index_uid, line, next_node_task FROM caught_up_indexes WHERE node_id = ?1 ORDER BY index_uid",
    )?;
    query.query_and_then([node.as_str()], rows::caught_up)?.collect()
}

/// What a node that is being rebuilt has is not known any more, or does not matter.
pub(super) fn forget_caught_up(db: &Connection, node: &NodeId) -> Result<(), StoreError> {
    db.prepare_cached("DELETE FROM caught_up_indexes WHERE node_id = ?1")?.execute([node.as_str()])?;
    Ok(())
}

/// The node's data are those of the log up to the cursor, with some entries from there on, and what it owed of them is
/// forgotten.
pub(super) fn begin_anew(db: &Connection, rebuilt: &Rebuilt) -> Result<(), StoreError> {
    begin_at(db, &rebuilt.node, rebuilt.cursor, rebuilt.next_node_task)?;
    let node = rebuilt.node.as_str();
    // Of later entries too: what it received of them it received before its data were replaced.
    db.prepare_cached("DELETE FROM node_tasks WHERE node_id = ?1")?.execute([node])?;
    db.prepare_cached("DELETE FROM covered_entries WHERE node_id = ?1")?.execute([node])?;
    let mut cover = db.prepare_cached("INSERT INTO covered_entries (task_uid, node_id) VALUES (?1, ?2)")?;
    for task in &rebuilt.covered {
        cover.execute(params![big(task.0), node])?;
    }
    Ok(())
}

/// The node's lane begins here, whatever it was about to do.
fn begin_at(db: &Connection, node: &NodeId, cursor: TaskUid, next_node_task: u64) -> Result<(), StoreError> {
    db.prepare_cached(
        "UPDATE nodes SET next_undelivered = ?2, next_node_task = ?3, sent_ahead = NULL WHERE id = ?1",
    )?
    .execute(params![node.as_str(), big(cursor.0), big(next_node_task)])?;
    forget_caught_up(db, node)
}

/// The node goes on as it is, and what it gets again counts as never received.
pub(super) fn accept(db: &Connection, accepted: &Accepted) -> Result<(), StoreError> {
    begin_at(db, &accepted.node, accepted.cursor, accepted.next_node_task)?;
    for task in &accepted.again {
        for forget in [
            "DELETE FROM node_tasks WHERE node_id = ?1 AND task_uid = ?2",
            "DELETE FROM covered_entries WHERE node_id = ?1 AND task_uid = ?2",
        ] {
            db.prepare_cached(forget)?.execute(params![accepted.node.as_str(), big(task.0)])?;
        }
    }
    Ok(())
}

/// Moves a lane on from where it says that it is.
pub(super) fn deliver(db: &Connection, delivery: &Delivery) -> Result<(), StoreError> {
    let Delivery { node, from, cursor, sent, ahead, at } = delivery;
    if !moves(db, node, (*from, *cursor))? {
        if is_stored(db, delivery)? {
            return Ok(());
        }
        let found = cursor_of(db, node)?.map_or_else(|| "unknown".to_owned(), |found| found.to_string());
        let expected = format!("{from}, and to go to {cursor}");
        return Err(conflict(&format!("the place of node `{node}` in the log"), &expected, &found));
    }
    let received = sent.iter().filter_map(|sent| match sent.reception {
        Reception::Enqueued(node_task) => Some(big(node_task) + 1),
        Reception::Refused(_) => None,
    });
    db.prepare_cached(
        "UPDATE nodes SET next_undelivered = ?2, sent_ahead = ?4,
             next_node_task = CASE WHEN ?3 > COALESCE(next_node_task, 0) THEN ?3 ELSE next_node_task END
         WHERE id = ?1",
    )?
    .execute(params![
        node.as_str(),
        big(cursor.0),
        received.max().unwrap_or(0),
        ahead.map(|ahead| big(ahead.0))
    ])?;
    // What is known of the end of the same request stays.
    let mut insert = db.prepare_cached(
        "INSERT INTO node_tasks (task_uid, node_id, op, node_task_uid, result) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (task_uid, node_id, op) DO UPDATE
         SET node_task_uid = excluded.node_task_uid, result = excluded.result
         WHERE node_tasks.node_task_uid IS NULL OR excluded.node_task_uid IS NULL
             OR node_tasks.node_task_uid <> excluded.node_task_uid",
    )?;
    for OpSent { task, op, reception } in sent {
        let (node_task, result) = match reception {
            Reception::Enqueued(node_task) => (Some(big(*node_task)), None),
            Reception::Refused(error) => (None, Some(json(&refusal(error))?)),
        };
        insert.execute(params![big(task.0), node.as_str(), big(*op as u64), node_task, result])?;
        begin(db, *task, *at)?;
    }
    Ok(())
}

/// Whether the lane is where it says, and does not go back.
fn moves(db: &Connection, node: &NodeId, (from, to): (TaskUid, TaskUid)) -> Result<bool, StoreError> {
    Ok(from <= to && cursor_of(db, node)? == Some(from))
}

fn cursor_of(db: &Connection, node: &NodeId) -> Result<Option<TaskUid>, StoreError> {
    let mut query = db.prepare_cached("SELECT next_undelivered FROM nodes WHERE id = ?1")?;
    query.query_row([node.as_str()], |row| row.get(0)).optional()?.map(task_uid).transpose()
}

/// Whether the delivery was stored before: the cursor is where it goes, and all that it received is there.
fn is_stored(db: &Connection, delivery: &Delivery) -> Result<bool, StoreError> {
    let Delivery { node, from, cursor, sent, .. } = delivery;
    if from > cursor || cursor_of(db, node)? != Some(*cursor) {
        return Ok(false);
    }
    let mut query = db.prepare_cached(
        "SELECT node_task_uid FROM node_tasks WHERE task_uid = ?1 AND node_id = ?2 AND op = ?3",
    )?;
    for OpSent { task, op, reception } in sent {
        let expected = match reception {
            Reception::Enqueued(number) => Some(big(*number)),
            Reception::Refused(_) => None,
        };
        let key = params![big(task.0), node.as_str(), big(*op as u64)];
        let found: Option<Option<i64>> = query.query_row(key, |row| row.get(0)).optional()?;
        if found != Some(expected) {
            return Ok(false);
        }
    }
    Ok(true)
}

fn refusal(error: &ResponseError) -> OpResult {
    OpResult::Failed(error.clone())
}
