//! `/stats` and `/indexes/{index}/stats`.

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Map, Value, json};
use time::format_description::well_known::Rfc3339;

use super::existing;
use crate::http::App;
use crate::http::auth::{Authorized, StatsGet};
use crate::http::error::HttpError;
use crate::http::path::IndexPath;
use crate::read::index_stats;

pub(super) fn routes() -> Router<App> {
    Router::new().route("/stats", get(all)).route("/indexes/{index}/stats", get(one))
}

async fn one(
    _: Authorized<StatsGet>,
    IndexPath(uid): IndexPath,
    State(app): State<App>,
) -> Result<Json<Map<String, Value>>, HttpError> {
    let view = app.cluster.view.load();
    Ok(Json(index_stats(&app.cluster, &view, existing(&view, &uid)?).await?))
}

async fn all(caller: Authorized<StatsGet>, State(app): State<App>) -> Result<Json<Value>, HttpError> {
    let view = app.cluster.view.load();
    let (mut indexes, mut size, mut last) = (Map::new(), 0, None);
    for entry in view.indexes.values() {
        let stats = index_stats(&app.cluster, &view, entry).await?;
        // The size is that of the database, whoever asks.
        size += stats["rawDocumentDbSize"].as_u64().unwrap_or(0);
        if caller.allows(&entry.uid) {
            last = last.max(Some(entry.updated_at));
            indexes.insert(entry.uid.to_string(), Value::Object(stats));
        }
    }
    let last = last.and_then(|date| date.format(&Rfc3339).ok());
    Ok(Json(
        json!({ "databaseSize": size, "usedDatabaseSize": size, "lastUpdate": last, "indexes": indexes }),
    ))
}
