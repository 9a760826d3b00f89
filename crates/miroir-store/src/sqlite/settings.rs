//! Changes of settings, and which node has which.

use std::collections::BTreeSet;

use miroir_core::ids::{NodeId, PhysicalUid, SettingsVersion};
use miroir_core::settings::{Broadcast, REMEMBERED_COMMITS, SettingsUnknown, SettingsVersions};
use rusqlite::{Connection, OptionalExtension, Row, params};
use time::OffsetDateTime;

use super::log::{conflict, counter, set_counter};
use super::rows::{big, json, nanoseconds, parsed};
use crate::{KEPT_BROADCASTS, SettingsChange, StoreError};

const VERSION: &str = "settings_version";

pub(super) fn change(db: &Connection, change: &SettingsChange) -> Result<(), StoreError> {
    match change {
        SettingsChange::Ended(broadcast) => {
            if is_over(db, broadcast)? {
                return Ok(());
            }
            if let Some(version) = broadcast.version {
                commit(db, broadcast, version)?;
            }
            let index = &broadcast.index;
            broadcast.astray().iter().try_for_each(|node| doubt(db, index, node, SettingsUnknown::Astray))?;
            save(db, broadcast)
        }
        SettingsChange::Advanced { index, node, version, at } => {
            trust(db, index, node)?;
            advance(db, index, node, *version, *at)
        }
        SettingsChange::Doubted { index, node, why } => {
            db.prepare_cached("DELETE FROM node_settings_version WHERE index_uid = ?1 AND node_id = ?2")?
                .execute([index.as_str(), node.as_str()])?;
            doubt(db, index, node, *why)
        }
        SettingsChange::Trusted { index, node } => trust(db, index, node),
        SettingsChange::Forgotten(index) => {
            for forget in [
                "DELETE FROM settings_commits WHERE index_uid = ?1",
                "DELETE FROM node_settings_version WHERE index_uid = ?1",
                "DELETE FROM settings_broadcasts WHERE index_uid = ?1",
                "DELETE FROM settings_doubts WHERE index_uid = ?1",
            ] {
                db.prepare_cached(forget)?.execute([index.as_str()])?;
            }
            Ok(())
        }
    }
}

fn is_over(db: &Connection, broadcast: &Broadcast) -> Result<bool, StoreError> {
    let sql = "SELECT is_over FROM settings_broadcasts WHERE task_uid = ?1";
    let found: Option<i64> =
        db.prepare_cached(sql)?.query_row([big(broadcast.task.0)], |row| row.get(0)).optional()?;
    Ok(found == Some(1))
}

/// Takes the next number. Whoever thinks that another one is next has an old picture of the cluster.
fn commit(db: &Connection, broadcast: &Broadcast, version: SettingsVersion) -> Result<(), StoreError> {
    let last = counter(db, VERSION)?;
    if last + 1 != big(version.0) {
        let expected = version.0.saturating_sub(1).to_string();
        return Err(conflict("the last version of settings", &expected, &last.to_string()));
    }
    set_counter(db, VERSION, big(version.0))?;
    let at = broadcast.ended_at.unwrap_or(broadcast.began_at);
    db.prepare_cached(
        "INSERT INTO settings_commits (version, index_uid, task_uid, hash, committed_at) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?
    .execute(params![
        big(version.0),
        broadcast.index.as_str(),
        big(broadcast.task.0),
        broadcast.hash.to_string(),
        nanoseconds(at),
    ])?;
    db.prepare_cached(
        "DELETE FROM settings_commits WHERE index_uid = ?1 AND version NOT IN
             (SELECT version FROM settings_commits WHERE index_uid = ?1 ORDER BY version DESC LIMIT ?2)",
    )?
    .execute(params![broadcast.index.as_str(), big(REMEMBERED_COMMITS as u64)])?;
    broadcast.verified().iter().try_for_each(|node| advance(db, &broadcast.index, node, version, at))
}

fn advance(
    db: &Connection,
    index: &PhysicalUid,
    node: &NodeId,
    version: SettingsVersion,
    at: OffsetDateTime,
) -> Result<(), StoreError> {
    db.prepare_cached(
        "INSERT INTO node_settings_version (index_uid, node_id, version, updated_at) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (index_uid, node_id) DO UPDATE SET version = excluded.version, updated_at = excluded.updated_at",
    )?
    .execute(params![index.as_str(), node.as_str(), big(version.0), nanoseconds(at)])?;
    Ok(())
}

fn doubt(
    db: &Connection,
    index: &PhysicalUid,
    node: &NodeId,
    why: SettingsUnknown,
) -> Result<(), StoreError> {
    let sql = match why {
        SettingsUnknown::Astray => {
            "INSERT INTO settings_doubts (index_uid, node_id, why) VALUES (?1, ?2, ?3)
             ON CONFLICT (index_uid, node_id) DO UPDATE SET why = excluded.why"
        }
        SettingsUnknown::Changed => {
            "INSERT INTO settings_doubts (index_uid, node_id, why) VALUES (?1, ?2, ?3)
             ON CONFLICT (index_uid, node_id) DO NOTHING"
        }
    };
    db.prepare_cached(sql)?.execute(params![index.as_str(), node.as_str(), json(&why)?])?;
    Ok(())
}

fn trust(db: &Connection, index: &PhysicalUid, node: &NodeId) -> Result<(), StoreError> {
    db.prepare_cached("DELETE FROM settings_doubts WHERE index_uid = ?1 AND node_id = ?2")?
        .execute([index.as_str(), node.as_str()])?;
    Ok(())
}

pub(super) fn save(db: &Connection, broadcast: &Broadcast) -> Result<(), StoreError> {
    let index = broadcast.index.as_str();
    db.prepare_cached(
        "INSERT INTO settings_broadcasts (task_uid, index_uid, is_over, state) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (task_uid) DO UPDATE SET is_over = excluded.is_over, state = excluded.state",
    )?
    .execute(params![
        big(broadcast.task.0),
        index,
        i64::from(broadcast.phase.is_over()),
        json(broadcast)?,
    ])?;
    db.prepare_cached(
        "DELETE FROM settings_broadcasts WHERE index_uid = ?1 AND is_over = 1 AND task_uid NOT IN
             (SELECT task_uid FROM settings_broadcasts WHERE index_uid = ?1 AND is_over = 1
              ORDER BY task_uid DESC LIMIT ?2)",
    )?
    .execute(params![index, big(KEPT_BROADCASTS as u64)])?;
    Ok(())
}

pub(super) fn open(db: &Connection) -> Result<Vec<Broadcast>, StoreError> {
    let mut query = db.prepare_cached(
        "SELECT state FROM settings_broadcasts
         WHERE is_over = 0 OR task_uid IN (SELECT task_uid FROM entries) ORDER BY task_uid",
    )?;
    query.query_and_then([], broadcast)?.collect()
}

pub(super) fn of_index(db: &Connection, index: &PhysicalUid) -> Result<Vec<Broadcast>, StoreError> {
    let mut query = db.prepare_cached(
        "SELECT state FROM settings_broadcasts WHERE index_uid = ?1 ORDER BY task_uid DESC LIMIT ?2",
    )?;
    query.query_and_then(params![index.as_str(), big(KEPT_BROADCASTS as u64 + 1)], broadcast)?.collect()
}

fn broadcast(row: &Row<'_>) -> Result<Broadcast, StoreError> {
    parsed(row, "state")
}

pub(super) fn versions(db: &Connection) -> Result<SettingsVersions, StoreError> {
    let mut versions = SettingsVersions::default();
    let mut commits =
        db.prepare_cached("SELECT index_uid, version FROM settings_commits ORDER BY version")?;
    for row in commits.query_map([], index_and_version)? {
        let (index, version) = row?;
        versions.commit(&index, version, &BTreeSet::new());
    }
    let mut nodes = db.prepare_cached("SELECT index_uid, version, node_id FROM node_settings_version")?;
    for row in nodes.query_map([], |row| Ok((index_and_version(row)?, row.get::<_, String>("node_id")?)))? {
        let ((index, version), node) = row?;
        versions.change(&index, |versions| {
            versions.nodes.insert(NodeId::new(node), version);
        });
    }
    let mut doubts = db.prepare_cached("SELECT index_uid, node_id, why FROM settings_doubts")?;
    for row in doubts.query_and_then([], doubt_of)? {
        let (index, node, why) = row?;
        versions.change(&index, |versions| versions.doubt(&node, why));
    }
    versions.last = match counter(db, VERSION)? {
        0 => None,
        last => Some(SettingsVersion(last.unsigned_abs())),
    };
    Ok(versions)
}

fn doubt_of(row: &Row<'_>) -> Result<(PhysicalUid, NodeId, SettingsUnknown), StoreError> {
    let text = |name| row.get::<_, String>(name);
    Ok((PhysicalUid::new(text("index_uid")?), NodeId::new(text("node_id")?), parsed(row, "why")?))
}

fn index_and_version(row: &Row<'_>) -> rusqlite::Result<(PhysicalUid, SettingsVersion)> {
    let version: i64 = row.get("version")?;
    Ok((PhysicalUid::new(row.get::<_, String>("index_uid")?), SettingsVersion(version.unsigned_abs())))
}
