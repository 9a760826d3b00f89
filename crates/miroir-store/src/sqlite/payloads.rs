//! The documents of entries, part by part: a value of the database is held in memory as a whole, and more than once, while
//! it is written or read.

use bytes::Bytes;
use miroir_core::ids::TaskUid;
use rusqlite::{Connection, OptionalExtension, params};

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
    let mut query = db.prepare_cached("SELECT body FROM payload_parts WHERE task_uid = ?1 ORDER BY part")?;
    let parts = query.query_map([big(task.0)], |row| row.get::<_, Vec<u8>>(0))?;
    Ok(parts.map(|part| part.map(Bytes::from)).collect::<Result<_, _>>()?)
}

pub(super) fn part(db: &Connection, task: TaskUid, part: usize) -> Result<Option<Bytes>, StoreError> {
    let mut query = db.prepare_cached("SELECT body FROM payload_parts WHERE task_uid = ?1 AND part = ?2")?;
    let part = query.query_row([big(task.0), big(part as u64)], |row| row.get::<_, Vec<u8>>(0));
    Ok(part.optional()?.map(Bytes::from))
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
