//! API keys.

use miroir_core::ids::KeyUid;
use miroir_core::keys::{ApiKey, KeyPatch};
use rusqlite::{Connection, OptionalExtension, Row, params};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use super::rows::{date, json, nanoseconds, parsed};
use crate::{Adding, StoreError};

const COLUMNS: &str = "uid, name, description, actions, indexes, expires_at, created_at, updated_at";

pub(super) fn all(db: &Connection) -> Result<Vec<ApiKey>, StoreError> {
    let mut query = db.prepare_cached(&format!("SELECT {COLUMNS} FROM api_keys"))?;
    query.query_and_then([], read)?.collect()
}

pub(super) fn begin(db: &Connection, keys: &[ApiKey]) -> Result<(), StoreError> {
    if db.prepare_cached("SELECT 1 FROM api_keys")?.exists([])? {
        return Ok(());
    }
    for key in keys {
        add(db, key)?;
    }
    Ok(())
}

pub(super) fn add(db: &Connection, key: &ApiKey) -> Result<Adding, StoreError> {
    let expires_at = key.expires_at.map(|end| end.format(&Rfc3339)).transpose();
    let expires_at = expires_at.map_err(|error| StoreError::Corrupt(error.to_string()))?;
    let added = db
        .prepare_cached(&format!(
            "INSERT INTO api_keys ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT (uid) DO NOTHING"
        ))?
        .execute(params![
            key.uid.to_string(),
            key.name,
            key.description,
            json(&key.actions)?,
            json(&key.indexes)?,
            expires_at,
            nanoseconds(key.created_at),
            nanoseconds(key.updated_at),
        ])?;
    // The same key in all that is kept of it is the same step once more.
    Ok(if added == 0 && get(db, key.uid)?.as_ref() != Some(key) { Adding::Taken } else { Adding::Added })
}

pub(super) fn patch(
    db: &Connection,
    uid: KeyUid,
    patch: KeyPatch,
    at: OffsetDateTime,
) -> Result<Option<ApiKey>, StoreError> {
    let Some(mut key) = get(db, uid)? else { return Ok(None) };
    key.name = patch.name.unwrap_or(key.name);
    key.description = patch.description.unwrap_or(key.description);
    key.updated_at = at;
    db.prepare_cached("UPDATE api_keys SET name = ?2, description = ?3, updated_at = ?4 WHERE uid = ?1")?
        .execute(params![uid.to_string(), key.name, key.description, nanoseconds(at)])?;
    Ok(Some(key))
}

pub(super) fn delete(db: &Connection, uid: KeyUid) -> Result<Option<ApiKey>, StoreError> {
    let key = get(db, uid)?;
    db.prepare_cached("DELETE FROM api_keys WHERE uid = ?1")?.execute([uid.to_string()])?;
    Ok(key)
}

fn get(db: &Connection, uid: KeyUid) -> Result<Option<ApiKey>, StoreError> {
    let mut query = db.prepare_cached(&format!("SELECT {COLUMNS} FROM api_keys WHERE uid = ?1"))?;
    query.query_row([uid.to_string()], |row| Ok(read(row))).optional()?.transpose()
}

fn read(row: &Row<'_>) -> Result<ApiKey, StoreError> {
    let unreadable = |error: String| StoreError::Corrupt(format!("an API key: {error}"));
    let uid =
        Uuid::parse_str(&row.get::<_, String>("uid")?).map_err(|error| unreadable(error.to_string()))?;
    let expires_at = row
        .get::<_, Option<String>>("expires_at")?
        .map(|text| OffsetDateTime::parse(&text, &Rfc3339).map_err(|error| unreadable(error.to_string())))
        .transpose()?;
    Ok(ApiKey {
        uid: KeyUid(uid),
        name: row.get("name")?,
        description: row.get("description")?,
        actions: parsed(row, "actions")?,
        indexes: parsed(row, "indexes")?,
        expires_at,
        created_at: date(row.get("created_at")?)?,
        updated_at: date(row.get("updated_at")?)?,
    })
}
