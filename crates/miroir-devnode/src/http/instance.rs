//! Routes about the node as a whole.

use axum::extract::State;
use axum::http::Uri;
use serde_json::{Map, json};

use super::params::Params;
use super::{Answer, Shared, run_blocking};
use crate::engine::read;
use crate::error::Result;
use crate::queue::task::show_time;

/// The version of the engine, whose answers these are.
const ENGINE_VERSION: &str = "1.15.1";

pub async fn health() -> Answer {
    Answer(json!({ "status": "available" }))
}

pub async fn version() -> Answer {
    Answer(json!({ "commitSha": "unknown", "commitDate": "unknown", "pkgVersion": ENGINE_VERSION }))
}

/// This node has none of them.
pub async fn features() -> Answer {
    Answer(json!({}))
}

/// This node knows the master key only.
pub async fn keys() -> Answer {
    Answer(json!({ "results": [], "offset": 0, "limit": 20, "total": 0 }))
}

pub async fn stats(State(node): Shared, uri: Uri) -> Result<Answer> {
    Params::parse(&uri, &["showInternalDatabaseSizes", "sizeFormat"], "invalid_stats_")?;
    run_blocking(move || {
        let mut indexes = Map::new();
        let (mut size, mut used, mut last_update) = (0, 0, None);
        for entry in node.store.indexes()? {
            let index = node.engine.index(&entry.folder)?;
            size += index.on_disk_size()?;
            used += index.used_size()?;
            let rtxn = index.read_txn()?;
            last_update = last_update.max(Some(index.updated_at(&rtxn)?));
            let stats = read::stats(&index, node.store.is_indexing(&entry.uid)?)?;
            indexes.insert(entry.uid, stats);
        }
        Ok(Answer(json!({
            "databaseSize": size,
            "usedDatabaseSize": used,
            "lastUpdate": last_update.map(show_time),
            "indexes": indexes,
        })))
    })
    .await
}
