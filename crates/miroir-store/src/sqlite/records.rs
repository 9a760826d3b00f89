//! Small things of the whole instance that clients set and Miroir keeps for them as JSON.

use rusqlite::{Connection, params};
use serde_json::Value;

use super::log::{conflict, counter, set_counter};
use super::rows::{big, json, parsed};
use crate::{Collection, Kept, RecordChange, StoreError};

/// Everything in a collection, as one transaction sees it.
pub(super) fn all(db: &Connection, collection: Collection) -> Result<Kept, StoreError> {
    // The version and the rows are looked up one after the other, and have to be of one state.
    let snapshot = db.unchecked_transaction()?;
    let kept = kept(db, collection);
    snapshot.finish()?;
    kept
}

fn kept(db: &Connection, collection: Collection) -> Result<Kept, StoreError> {
    let version = match collection {
        Collection::Webhooks | Collection::ChatWorkspaces => counter(db, collection.as_str())?.unsigned_abs(),
        Collection::Rules => 0,
    };
    let mut query = db.prepare_cached("SELECT id, body FROM records WHERE collection = ?1")?;
    let rows =
        query.query_and_then([collection.as_str()], |row| Ok((row.get("id")?, parsed(row, "body")?)))?;
    Ok(Kept { version, by_id: rows.collect::<Result<_, StoreError>>()? })
}

/// Changes a collection that has the version that the change was made from. `false` if it has another one, unless the last
/// change was this one.
pub(super) fn put(db: &Connection, change: &RecordChange) -> Result<bool, StoreError> {
    let RecordChange { collection, version, id, body } = change;
    if *collection == Collection::Rules {
        return Err(conflict("how dynamic search rules change", "by a record of its own", "by commits"));
    }
    let found = counter(db, collection.as_str())?.unsigned_abs();
    if found == version + 1 {
        return Ok(get(db, *collection, id)? == *body);
    }
    if found != *version {
        return Ok(false);
    }
    set(db, *collection, id, body.as_ref())?;
    set_counter(db, collection.as_str(), big(version + 1))?;
    Ok(true)
}

fn get(db: &Connection, collection: Collection, id: &str) -> Result<Option<Value>, StoreError> {
    let mut query = db.prepare_cached("SELECT body FROM records WHERE collection = ?1 AND id = ?2")?;
    let mut found = query.query_and_then([collection.as_str(), id], |row| parsed(row, "body"))?;
    found.next().transpose()
}

/// Puts something into a collection whatever was there; none takes it out.
pub(super) fn set(
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
