//! What becomes true together when nodes have finished something.

use miroir_core::task::{SyncState, TaskKind};
use rusqlite::{Connection, params};
use serde_json::Value;

use super::log::{counter, set_counter};
use super::nodes;
use super::records;
use super::rows::{big, json, nanoseconds, parsed, task_uid};
use super::settings;
use crate::{CatalogChange, Collection, Commit, Relabelling, Settled, StoreError};

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
        records::set(db, Collection::Rules, uid, body.as_ref())?;
    }
    relabel_all(db, &commit.relabelled)?;
    for rebuilt in &commit.rebuilt {
        nodes::begin_anew(db, rebuilt)?;
    }
    for accepted in &commit.accepted {
        nodes::accept(db, accepted)?;
    }
    for change in &commit.settings {
        settings::change(db, change)?;
    }
    let mut node = db.prepare_cached("UPDATE nodes SET sync = ?2 WHERE id = ?1")?;
    for (id, sync) in &commit.nodes {
        node.execute(params![id.as_str(), sync.as_str()])?;
        if *sync == SyncState::Damaged {
            nodes::forget_caught_up(db, id)?;
        }
    }
    for task in &commit.forgotten {
        for forget in [
            "DELETE FROM entries WHERE task_uid = ?1",
            "DELETE FROM payload_parts WHERE task_uid = ?1",
            "DELETE FROM node_tasks WHERE task_uid = ?1",
            "DELETE FROM covered_entries WHERE task_uid = ?1",
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

/// Exchanging twice is not exchanging at all, so what was exchanged before is left out.
fn relabel_all(db: &Connection, relabelled: &[Relabelling]) -> Result<(), StoreError> {
    let Some(last) = relabelled.iter().map(|relabelling| relabelling.before).max() else { return Ok(()) };
    let next = task_uid(counter(db, "next_relabelled")?)?;
    for relabelling in relabelled.iter().filter(|relabelling| relabelling.before >= next) {
        relabel(db, relabelling)?;
    }
    set_counter(db, "next_relabelled", big(next.0.max(last.0 + 1)))
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
