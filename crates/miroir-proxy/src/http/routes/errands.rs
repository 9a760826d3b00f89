//! `/dumps`, `/snapshots`, `/export`, `/indexes/{index}/compact`: what Miroir has the nodes do at one place in the log.

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use miroir_core::document::Payload;
use miroir_core::error::ErrorCode;
use miroir_core::ids::IndexUid;
use miroir_core::task::{Errand, Export, Mutation};
use serde_json::Value;

use super::TaskResponse;
use super::indexes::NO_INDEX;
use crate::auth::{self, Authorized, DumpsCreate, IndexesCompact, SnapshotsCreate};
use crate::error::RequestError;
use crate::http::App;
use crate::http::body::JsonBody;
use crate::http::path::IndexPath;
use crate::node_api::NodeRequest;
use crate::probe::ask_any;
use crate::write::NewWrite;

/// The name of no field, which comes last in order.
const AFTER_ALL: &str = "~";

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/dumps", post(dump))
        .route("/snapshots", post(snapshot))
        .route("/export", post(export))
        .route("/indexes/{index}/compact", post(compact))
}

async fn dump(_: Authorized<DumpsCreate>, State(app): State<App>) -> TaskResponse {
    append(&app, IndexUid::new(NO_INDEX), Errand::Dump).await
}

async fn snapshot(_: Authorized<SnapshotsCreate>, State(app): State<App>) -> TaskResponse {
    append(&app, IndexUid::new(NO_INDEX), Errand::Snapshot).await
}

async fn compact(
    _: Authorized<IndexesCompact>,
    IndexPath(index): IndexPath,
    State(app): State<App>,
) -> TaskResponse {
    append(&app, index, Errand::CompactIndex).await
}

/// Meilisearch answers 200 here, unlike for other tasks.
async fn export(_: Authorized<auth::Export>, State(app): State<App>, body: JsonBody) -> TaskResponse {
    let Some(export) = Export::parse(&body.value) else { return Err(wrong_form(&app, body.value).await) };
    let (_, summary) = append(&app, IndexUid::new(NO_INDEX), Errand::Export(export)).await?;
    Ok((StatusCode::OK, summary))
}

/// A node says best what is wrong. It is asked with one more field, which it refuses in any case, after all others.
async fn wrong_form(app: &App, mut body: Value) -> RequestError {
    if let Value::Object(fields) = &mut body {
        fields.insert(AFTER_ALL.to_owned(), Value::Null);
    }
    let reply = ask_any(&app.cluster, NodeRequest::post("/export").json(body.to_string())).await;
    match reply.filter(|reply| reply.status == StatusCode::BAD_REQUEST) {
        Some(reply) if !reply.body.windows(AFTER_ALL.len()).any(|part| part == AFTER_ALL.as_bytes()) => {
            RequestError::Node(reply)
        }
        _ => RequestError::new(ErrorCode::BadRequest, "The body does not say where to export which indexes."),
    }
}

async fn append(app: &App, index: IndexUid, errand: Errand) -> TaskResponse {
    let mutation = Mutation::Errand { errand };
    let write = NewWrite { index, mutation, payload: Payload::default(), custom_metadata: None };
    Ok((StatusCode::ACCEPTED, Json(app.writer.append(write).await?)))
}
