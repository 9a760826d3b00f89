//! Experimental features that were switched on or off.

use std::collections::BTreeMap;

use rusqlite::{Connection, params};

use crate::StoreError;

pub(super) fn all(db: &Connection) -> Result<BTreeMap<String, bool>, StoreError> {
    let mut query = db.prepare_cached("SELECT name, enabled FROM features")?;
    let rows = query.query_map([], |row| Ok((row.get(0)?, row.get::<_, i64>(1)? != 0)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

pub(super) fn set(db: &Connection, changes: &BTreeMap<String, bool>) -> Result<(), StoreError> {
    let mut update = db.prepare_cached(
        "INSERT INTO features (name, enabled) VALUES (?1, ?2)
         ON CONFLICT (name) DO UPDATE SET enabled = excluded.enabled",
    )?;
    for (name, enabled) in changes {
        update.execute(params![name, i64::from(*enabled)])?;
    }
    Ok(())
}
