//! Small things of the whole instance that clients set and Miroir keeps for them as JSON.

use std::collections::BTreeMap;

use rusqlite::{Connection, params};
use serde_json::Value;

use super::rows::{json, parsed};
use crate::{Collection, StoreError};

pub(super) fn all(db: &Connection, collection: Collection) -> Result<BTreeMap<String, Value>, StoreError> {
    let mut query = db.prepare_cached("SELECT id, body FROM records WHERE collection = ?1")?;
    let rows =
        query.query_and_then([collection.as_str()], |row| Ok((row.get("id")?, parsed(row, "body")?)))?;
    rows.collect()
}

pub(super) fn put(
    db: &Connection,
    collection: Collection,
    id: &str,
    body: Option<&Value>,
) -> Result<(), StoreError> {
    let Some(body) = body else {
        db.prepare_cached("DELETE FROM records WHERE collection = ?1 AND id = ?2")?
            .execute(params![collection.as_str(), id])?;
        return Ok(());
    };
    db.prepare_cached(
        "INSERT INTO records (collection, id, body) VALUES (?1, ?2, ?3)
         ON CONFLICT (collection, id) DO UPDATE SET body = excluded.body",
    )?
    .execute(params![collection.as_str(), id, json(body)?])?;
    Ok(())
}
