//! Whose store this is.

use std::path::Path;

use miroir_core::ids::{ClusterId, PhysicalUid};
use rusqlite::{Connection, OpenFlags, OptionalExtension};
use uuid::{Builder, Uuid};

use super::BUSY;
use crate::{StoreError, StoreIdentity};

pub(super) fn cluster_id(db: &Connection) -> Result<ClusterId, StoreError> {
    find_cluster_id(db)?.ok_or_else(|| StoreError::Corrupt("it has no cluster id".to_owned()))
}

/// What is stored are random bytes, of which this makes a UUID of version 4.
fn find_cluster_id(db: &Connection) -> Result<Option<ClusterId>, StoreError> {
    let Some(text) = meta(db, "cluster_id")? else { return Ok(None) };
    let random = Uuid::try_parse(&text)
        .map_err(|error| StoreError::Corrupt(format!("the cluster id `{text}` can't be read: {error}")))?;
    Ok(Some(ClusterId(Builder::from_random_bytes(random.into_bytes()).into_uuid())))
}

fn meta(db: &Connection, name: &str) -> Result<Option<String>, StoreError> {
    Ok(db.query_row("SELECT value FROM meta WHERE name = ?1", [name], |row| row.get(0)).optional()?)
}

/// See [`SqliteStore::peek`](super::SqliteStore::peek).
pub(super) fn peek(path: &Path) -> Result<Option<StoreIdentity>, StoreError> {
    if std::fs::metadata(path).map_or(0, |file| file.len()) == 0 {
        return Ok(None);
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags)?;
    db.busy_timeout(BUSY)?;
    let log_id = meta(&db, "log_id")?.ok_or_else(|| StoreError::Corrupt("it has no log id".to_owned()))?;
    let mut query = db.prepare("SELECT physical_uid FROM indexes")?;
    let indexes = query.query_map([], |row| row.get::<_, String>(0))?;
    let indexes = indexes.map(|uid| Ok(PhysicalUid::new(uid?))).collect::<Result<_, StoreError>>()?;
    Ok(Some(StoreIdentity { cluster: find_cluster_id(&db)?, log_id, indexes }))
}
