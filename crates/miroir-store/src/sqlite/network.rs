//! The network that clients described.

use miroir_core::network::Network;
use rusqlite::{Connection, params};

use super::rows;
use crate::StoreError;

pub(super) fn current(db: &Connection) -> Result<Network, StoreError> {
    let mut query = db.prepare_cached("SELECT body FROM network")?;
    let mut found = query.query_and_then([], |row| rows::parsed(row, "body"))?;
    found.next().unwrap_or_else(|| Ok(Network::default()))
}

pub(super) fn replace(db: &Connection, version: &str, next: &Network) -> Result<bool, StoreError> {
    let found = current(db)?;
    if found == *next {
        return Ok(true);
    }
    if found.version != version {
        return Ok(false);
    }
    db.execute("DELETE FROM network", [])?;
    db.execute(
        "INSERT INTO network (version, body) VALUES (?1, ?2)",
        params![next.version, rows::json(next)?],
    )?;
    Ok(true)
}
