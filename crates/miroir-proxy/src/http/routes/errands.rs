//! `/dumps`, `/snapshots`, `/indexes/{index}/compact`: what Miroir has the nodes do at one place in the log.

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use miroir_core::document::Payload;
use miroir_core::ids::IndexUid;
use miroir_core::task::{Errand, Mutation, TaskSummary};

use super::indexes::NO_INDEX;
use crate::http::App;
use crate::http::auth::{Authorized, DumpsCreate, IndexesCompact, SnapshotsCreate};
use crate::http::error::HttpError;
use crate::http::path::IndexPath;
use crate::write::NewWrite;

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/dumps", post(dump))
        .route("/snapshots", post(snapshot))
        .route("/indexes/{index}/compact", post(compact))
}

type Accepted = Result<(StatusCode, Json<TaskSummary>), HttpError>;

async fn dump(_: Authorized<DumpsCreate>, State(app): State<App>) -> Accepted {
    append(&app, IndexUid::new(NO_INDEX), Errand::Dump).await
}

async fn snapshot(_: Authorized<SnapshotsCreate>, State(app): State<App>) -> Accepted {
    append(&app, IndexUid::new(NO_INDEX), Errand::Snapshot).await
}

async fn compact(
    _: Authorized<IndexesCompact>,
    IndexPath(index): IndexPath,
    State(app): State<App>,
) -> Accepted {
    append(&app, index, Errand::CompactIndex).await
}

async fn append(app: &App, index: IndexUid, errand: Errand) -> Accepted {
    let mutation = Mutation::Errand { errand };
    let write = NewWrite { index, mutation, payload: Payload::default(), custom_metadata: None };
    Ok((StatusCode::ACCEPTED, Json(app.writer.append(write).await?)))
}
