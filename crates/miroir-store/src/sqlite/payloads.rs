//! The documents of entries, part by part: a value of the database is in memory as a whole, and more than once, while it
//! is written. Reading fills the one piece of memory that is handed out.

use bytes::Bytes;
use miroir_core::ids::TaskUid;
use rusqlite::{Connection, MAIN_DB, OptionalExtension, params};

use super::rows::big;
use crate::StoreError;

pub(super) fn insert(db: &Connection, task: TaskUid, parts: &[Bytes]) -> Result<(), StoreError> {
    let mut insert =
        db.prepare_cached("INSERT INTO payload_parts (task_uid, part, body) VALUES (?1, ?2, ?3)")?;
    for (number, part) in parts.iter().enumerate() {
        insert.execute(params![big(task.0), big(number as u64), &part[..]])?;
    }
    Ok(())
}

pub(super) fn all(db: &Connection, task: TaskUid) -> Result<Vec<Bytes>, StoreError> {
    // Rows and values are looked up one after the other, and have to be of one state.
    let snapshot = db.unchecked_transaction()?;
    let mut query = db.prepare_cached("SELECT rowid FROM payload_parts WHERE task_uid = ?1 ORDER BY part")?;
    let rows = query.query_map([big(task.0)], |row| row.get(0))?.collect::<Result<Vec<i64>, _>>()?;
    let parts = rows.into_iter().map(|row| read(db, row)).collect::<Result<_, _>>();
    snapshot.finish()?;
    parts
}

pub(super) fn part(db: &Connection, task: TaskUid, part: usize) -> Result<Option<Bytes>, StoreError> {
    let snapshot = db.unchecked_transaction()?;
    let mut query = db.prepare_cached("SELECT rowid FROM payload_parts WHERE task_uid = ?1 AND part = ?2")?;
    let row: Option<i64> = query.query_row([big(task.0), big(part as u64)], |row| row.get(0)).optional()?;
    let part = row.map(|row| read(db, row)).transpose();
    snapshot.finish()?;
    part
}

fn read(db: &Connection, row: i64) -> Result<Bytes, StoreError> {
    let value = db.blob_open(MAIN_DB, "payload_parts", "body", row, true)?;
    let mut bytes = vec![0; value.len()];
    value.read_at_exact(&mut bytes, 0)?;
    Ok(bytes.into())
}

pub(super) fn bytes(db: &Connection, task: TaskUid) -> Result<u64, StoreError> {
    let mut query =
        db.prepare_cached("SELECT COALESCE(SUM(LENGTH(body)), 0) FROM payload_parts WHERE task_uid = ?1")?;
    let bytes: i64 = query.query_row([big(task.0)], |row| row.get(0))?;
    Ok(bytes.unsigned_abs())
}

pub(super) fn bytes_of_all(db: &Connection) -> Result<u64, StoreError> {
    let mut query = db.prepare_cached("SELECT COALESCE(SUM(LENGTH(body)), 0) FROM payload_parts")?;
    let bytes: i64 = query.query_row([], |row| row.get(0))?;
    Ok(bytes.unsigned_abs())
}
