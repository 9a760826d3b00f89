//! Routes about the node as a whole.

use axum::extract::State;
use axum::http::Uri;
use deserr::Deserr;
use serde_json::{Map, json};

use super::body::RawBody;
use super::params::Params;
use super::{Answer, Shared, run_blocking};
use crate::engine::read;
use crate::error::{ApiError, Result};
use crate::queue::task::show_time;
use crate::refused::parse;

/// The version of the engine, whose answers these are.
const ENGINE_VERSION: &str = "1.15.1";

/// The features of Meilisearch 1.50, in its order: only their form is looked at.
#[derive(Deserr)]
#[deserr(deny_unknown_fields)]
struct Features {
    #[deserr(default, rename = "metrics")]
    _metrics: Option<bool>,
    #[deserr(default, rename = "logsRoute")]
    _logs_route: Option<bool>,
    #[deserr(default, rename = "editDocumentsByFunction")]
    _edit_documents_by_function: Option<bool>,
    #[deserr(default, rename = "containsFilter")]
    _contains_filter: Option<bool>,
    #[deserr(default, rename = "dynamicSearchRules")]
    _dynamic_search_rules: Option<bool>,
    #[deserr(default, rename = "network")]
    _network: Option<bool>,
    #[deserr(default, rename = "getTaskDocumentsRoute")]
    _get_task_documents_route: Option<bool>,
    #[deserr(default, rename = "taskQueueCompactionRoute")]
    _task_queue_compaction_route: Option<bool>,
    #[deserr(default, rename = "compositeEmbedders")]
    _composite_embedders: Option<bool>,
    #[deserr(default, rename = "chatCompletions")]
    _chat_completions: Option<bool>,
    #[deserr(default, rename = "multimodal")]
    _multimodal: Option<bool>,
    #[deserr(default, rename = "foreignKeys")]
    _foreign_keys: Option<bool>,
    #[deserr(default, rename = "disableDocumentsFetchQueue")]
    _disable_documents_fetch_queue: Option<bool>,
    #[deserr(default, rename = "legacySearch")]
    _legacy_search: Option<bool>,
    #[deserr(default, rename = "renderRoute")]
    _render_route: Option<bool>,
}

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

/// Whether a feature of Meilisearch is on makes no difference here, but what is none is refused.
pub async fn switch_features(body: RawBody) -> Result<Answer> {
    parse::<Features>(body.json()?)
        .map(|_| Answer(json!({})))
        .map_err(|refused| ApiError::new("bad_request", refused.message))
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
